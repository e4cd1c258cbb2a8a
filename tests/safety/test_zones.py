"""What changes of an input mean, zone by zone."""

import pytest

from agent.facts import InputState
from agent.safety.zones import LinkLost, Meaning, Seen, Zone, ZoneState, ZoneType, step


def _zone(kind: ZoneType) -> Zone:
    return Zone("Z01", "一键报警", kind, "B1", 0, supervised=True)


def _told(kind: ZoneType, *states: InputState) -> list[Meaning]:
    zone, state = _zone(kind), ZoneState()
    told: list[Meaning] = []
    for at_ns, seen in enumerate(states):
        state, meanings = step(zone, state, Seen(seen, at_ns + 1))
        told += meanings
    return told


@pytest.mark.parametrize(
    ("kind", "states", "told"),
    [
        (ZoneType.PANIC_24H, [InputState.ALARM, InputState.NORMAL], [Meaning.PANIC, Meaning.PANIC_RESTORED]),
        (ZoneType.PANIC_24H, [InputState.OPEN, InputState.NORMAL], [Meaning.FAULT, Meaning.FAULT_RESTORED]),
        (ZoneType.PANIC_24H, [InputState.SHORT, InputState.ALARM],
         [Meaning.FAULT, Meaning.FAULT_RESTORED, Meaning.PANIC]),
        (ZoneType.PANIC_24H, [InputState.TAMPER], [Meaning.TAMPER]),
        (ZoneType.TAMPER_24H, [InputState.OPEN, InputState.NORMAL], [Meaning.TAMPER, Meaning.TAMPER_RESTORED]),
        (ZoneType.TAMPER_24H, [InputState.ALARM], [Meaning.TAMPER]),
        (ZoneType.PERIMETER, [InputState.ALARM, InputState.NORMAL], [Meaning.DOOR_OPENED, Meaning.DOOR_CLOSED]),
        (ZoneType.PERIMETER, [InputState.FAULT], [Meaning.FAULT]),
        (ZoneType.ENVIRONMENT, [InputState.ALARM], [Meaning.ENVIRONMENT]),
        (ZoneType.PANIC_24H, [InputState.NORMAL, InputState.NORMAL], []),
    ],
)  # fmt: skip
def test_meanings(kind: ZoneType, states: list[InputState], told: list[Meaning]) -> None:
    assert _told(kind, *states) == told


def test_two_presses_without_a_release_between_them_are_two() -> None:
    zone = _zone(ZoneType.PANIC_24H)
    state, first = step(zone, ZoneState(), Seen(InputState.ALARM, 1, InputState.NORMAL))
    state, second = step(zone, state, Seen(InputState.ALARM, 2, InputState.NORMAL))
    assert first == second == (Meaning.PANIC,)


@pytest.mark.parametrize("kind", list(ZoneType))
@pytest.mark.parametrize("seen", [each for each in InputState if each is not InputState.UNKNOWN])
def test_silence_keeps_what_was_seen(kind: ZoneType, seen: InputState) -> None:
    zone = _zone(kind)
    state, _ = step(zone, ZoneState(), Seen(seen, 5))
    lost, told = step(zone, state, LinkLost())
    assert (lost.shown, lost.input, told) == (InputState.UNKNOWN, seen, ())
    back, told = step(zone, lost, Seen(seen, 9))
    assert (back.shown, told) == (seen, ()), "the same state after a silence is no news"
