"""Footage of a machine that began in 1970, brought to where it belongs."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent.facts import ClockQuality
from agent.footage.timeline import CLOCK_STEP_NS, NS
from agent.footage.upkeep.rectify import RECTIFIED, SETTLED_NS, TRUSTED, Move, RunClock, Settled, moves, right_offsets

NOW = 1_795_000_000 * NS
BOOT_AT = NOW - 600 * NS
"""The machine was switched on ten minutes ago; its clock said 1970."""


def run(number: int, wall_ns: int, mono_s: int, quality: str, boot: str = "b") -> RunClock:
    return RunClock(number, boot, wall_ns, mono_s * NS, quality)


def test_a_start_in_1970_is_corrected_by_the_clock_of_the_machine() -> None:
    early = [run(1, 30 * NS, 30, "unknown"), run(2, 130 * NS, 130, "unknown")]
    assert moves(early, {"b": BOOT_AT}) == [Move(1, "b", BOOT_AT), Move(2, "b", BOOT_AT)]


def test_by_later_footage_of_the_same_boot_alone() -> None:
    runs = [run(1, 30 * NS, 30, "unknown"), run(2, BOOT_AT + 200 * NS, 200, "ntp"), run(3, 40 * NS, 40, "unknown", "x")]
    offsets = right_offsets(runs)
    assert offsets == {"b": BOOT_AT}
    assert moves(runs, offsets) == [Move(1, "b", BOOT_AT)], "another boot is not touched, nor what is right"


def test_what_the_journal_told_is_believed_before_a_run() -> None:
    assert right_offsets([run(1, BOOT_AT + 5 * NS, 5, "ntp")], [("b", BOOT_AT + 7), ("", 3)]) == {"b": BOOT_AT + 7}


def test_a_clock_that_was_right_all_along_is_trusted_where_it_is() -> None:
    assert moves([run(1, BOOT_AT + 30 * NS + NS // 3, 30, "rtc")], {"b": BOOT_AT}) == [Move(1, "b", 0)]


def test_what_was_moved_once_stays() -> None:
    assert moves([run(1, 30 * NS, 30, RECTIFIED), run(2, 30 * NS, 30, "ntp")], {"b": BOOT_AT}) == []


def test_a_clock_is_believed_when_it_has_gone_evenly() -> None:
    seen = Settled().step(50 * NS, 50 * NS, ClockQuality.UNKNOWN)
    assert not seen.believed(50 * NS)
    seen = seen.step(BOOT_AT + 60 * NS, 60 * NS, ClockQuality.NTP)
    assert not seen.believed(60 * NS)
    seen = seen.step(BOOT_AT + 65 * NS, 62 * NS, ClockQuality.NTP)
    assert not seen.step(BOOT_AT + 74 * NS, 71 * NS, ClockQuality.NTP).believed(71 * NS), "it was set again at 62"
    seen = seen.step(BOOT_AT + 75 * NS, 72 * NS, ClockQuality.NTP)
    assert seen.believed(62 * NS + SETTLED_NS)
    assert not seen.step(0, 80 * NS, ClockQuality.UNKNOWN).believed(80 * NS)


runs = st.lists(
    st.builds(
        run, st.integers(1, 9), st.integers(0, 2 * NOW), st.integers(0, 10**6),
        st.sampled_from(["ntp", "rtc", "last_good", "unknown", "rectified"]), st.sampled_from(["b", "c", ""]),
    ),
    max_size=8,
)  # fmt: skip


@given(runs)
def test_moved_runs_are_where_their_monotonic_clock_says(drawn: list[RunClock]) -> None:
    found = [replace(each, run=number) for number, each in enumerate(drawn)]
    offsets = right_offsets(found)
    moved = {move.run: move.by_ns for move in moves(found, offsets)}
    for each in found:
        assert (each.run in moved) == (each.quality not in TRUSTED and each.boot in offsets)
    for number, by_ns in moved.items():
        right = found[number].mono_ns + offsets[found[number].boot]
        is_there = abs(found[number].wall_ns - right) <= CLOCK_STEP_NS
        assert found[number].wall_ns + by_ns == (found[number].wall_ns if is_there else right)
