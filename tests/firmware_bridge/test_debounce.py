"""Inputs over time: what counts as a press, and what is noise."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.debounce import (
    CONTACT_DEBOUNCE_MS,
    PANIC_DEBOUNCE_MS,
    SAMPLE_EVERY_MS,
    Bands,
    Change,
    Settled,
    classify,
    step,
)
from firmware_bridge.messages import InputMode, LineState

BANDS = Bands()
EOL = InputMode.END_OF_LINE
NORMAL, ALARM = LineState.NORMAL, LineState.ALARM


def _settle(samples: list[LineState], debounce_ms: int, known: Settled | None = None) -> list[tuple[int, Change]]:
    """The changes of a sample every 10 ms, with the time at which each was known."""
    now, changes = known or Settled(NORMAL, NORMAL), []
    for number, seen in enumerate(samples):
        at_ms = number * SAMPLE_EVERY_MS
        now, change = step(now, seen, 0, at_ms, debounce_ms)
        if change is not None:
            changes.append((at_ms, change))
    return changes


def test_a_press_is_known_after_30_ms_and_dated_at_its_first_sample() -> None:
    ((known_at, change),) = _settle([NORMAL, NORMAL, ALARM, ALARM, ALARM, ALARM, ALARM], PANIC_DEBOUNCE_MS)
    assert (known_at, change.at_ms) == (50, 20)
    assert (change.previous, change.state) == (NORMAL, ALARM)


def test_a_door_is_known_after_50_ms() -> None:
    ((known_at, change),) = _settle([NORMAL] + [ALARM] * 8, CONTACT_DEBOUNCE_MS)
    assert known_at - change.at_ms == 50


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_spike_shorter_than_the_debounce_time_is_no_press(length: int) -> None:
    assert _settle([NORMAL] + [ALARM] * length + [NORMAL] * 9, PANIC_DEBOUNCE_MS) == []


def test_a_bouncing_contact_makes_one_press() -> None:
    bouncing = [NORMAL, ALARM, NORMAL, ALARM, NORMAL, ALARM, ALARM, ALARM, ALARM, ALARM]
    ((_, change),) = _settle(bouncing, PANIC_DEBOUNCE_MS)
    assert change.at_ms == 50, "the first sample of the unbroken run"


@given(st.lists(st.sampled_from(LineState), max_size=80), st.sampled_from([30, 50]))
def test_changes_follow_each_other_and_rest_on_unbroken_runs(samples: list[LineState], debounce_ms: int) -> None:
    before = NORMAL
    for at_ms, change in _settle(samples, debounce_ms):
        assert change.previous is before
        assert change.state is not before
        run = samples[change.at_ms // SAMPLE_EVERY_MS : at_ms // SAMPLE_EVERY_MS + 1]
        assert set(run) == {change.state}
        assert at_ms - change.at_ms >= debounce_ms
        before = change.state


@pytest.mark.parametrize(
    ("adc", "state"),
    [
        (0, LineState.SHORT),
        (149, LineState.SHORT),
        (150, LineState.FAULT),
        (489, LineState.FAULT),
        (490, NORMAL),
        (570, NORMAL),
        (571, LineState.FAULT),
        (631, ALARM),
        (800, ALARM),
        (801, LineState.FAULT),
        (930, LineState.FAULT),
        (931, LineState.OPEN),
        (1023, LineState.OPEN),
    ],
)
def test_bands_of_an_end_of_line_pair(adc: int, state: LineState) -> None:
    assert classify(adc, EOL, BANDS, LineState.UNKNOWN) is state


@given(st.integers(0, 1023))
def test_every_reading_means_something_and_keeps_meaning_it(adc: int) -> None:
    for before in LineState:
        state = classify(adc, EOL, BANDS, before)
        assert classify(adc, EOL, BANDS, state) is state


@given(st.sampled_from([140, 155, 488, 574, 628, 803, 926]), st.lists(st.integers(-4, 4), max_size=50))
def test_noise_at_an_edge_does_not_chatter(centre: int, noise: list[int]) -> None:
    before = classify(centre, EOL, BANDS, LineState.UNKNOWN)
    seen = [before]
    for each in noise:
        before = classify(centre + each, EOL, BANDS, before)
        seen.append(before)
    assert sum(a is not b for a, b in itertools.pairwise(seen)) <= 1


@pytest.mark.parametrize(("mode", "closed"), [(InputMode.CLOSES_ON_ALARM, ALARM), (InputMode.OPENS_ON_ALARM, NORMAL)])
def test_dry_contacts(mode: InputMode, closed: LineState) -> None:
    opened = NORMAL if closed is ALARM else ALARM
    assert classify(20, mode, BANDS, LineState.UNKNOWN) is closed
    assert classify(1000, mode, BANDS, LineState.UNKNOWN) is opened
    assert classify(515, mode, BANDS, closed) is closed
    assert classify(509, mode, BANDS, opened) is opened
