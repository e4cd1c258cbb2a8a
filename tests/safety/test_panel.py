"""The panel over time: presses, releases, snapshots, silent links."""

from collections.abc import Callable

import pytest

from agent.facts import InputState, Stamp
from agent.safety.arming import Moment
from agent.safety.incidents import Happening, Incident, Life, NotNow
from agent.safety.panel import LATE_AFTER_S, Panel, by_person
from agent.safety.zones import Meaning, Seen, Zone, ZoneState, ZoneType

_PANIC = Zone("Z01", "一键报警", ZoneType.PANIC_24H, "B1", 0, "R01")
_DOOR = Zone("Z02", "大门", ZoneType.PERIMETER, "B1", 1)
_S = 1_000_000_000


def _named(name: str) -> Callable[[str], str]:
    return lambda part: f"{name}{part}"


def _press(panel: Panel, name: str, at_ns: int) -> Incident:
    change = panel.change(_PANIC, Seen(InputState.ALARM, at_ns, InputState.NORMAL), _named(name), mono_ns=at_ns)
    (incident,) = change.incidents
    return incident


def _release(panel: Panel, at_ns: int) -> None:
    panel.change(_PANIC, Seen(InputState.NORMAL, at_ns, InputState.ALARM), _named("never"), mono_ns=at_ns)


def test_a_chattering_button_is_one_incident_with_a_count() -> None:
    panel = Panel([_PANIC, _DOOR])
    for number in range(1, 6):
        incident = _press(panel, f"press-{number}", number * 10)
        _release(panel, number * 10 + 5)
    assert (incident.id, incident.count, incident.last_ns) == ("press-1", 5, 50)
    (only,) = panel.open_incidents()
    assert (only.state, only.latched) == (Life.RESTORED, True)


def test_reset_only_after_the_restore_and_then_a_new_incident() -> None:
    panel = Panel([_PANIC])
    incident = _press(panel, "first", 10)
    with pytest.raises(NotNow):
        by_person(incident, Happening.RESET, "王芳", "误报", 11)
    _release(panel, 12)
    (incident,) = panel.open_incidents()
    panel.keep(by_person(incident, Happening.RESET, "王芳", "误报", 13))
    assert panel.open_incidents() == []
    assert panel.newest(incident) is None
    assert _press(panel, "second", 14).id == "second"


def test_a_door_tells_both_ways_and_begins_no_incident() -> None:
    panel = Panel([_PANIC, _DOOR])
    opened = panel.change(_DOOR, Seen(InputState.ALARM, 1), _named("x"), mono_ns=1)
    closed = panel.change(_DOOR, Seen(InputState.NORMAL, 2), _named("x"), mono_ns=2)
    assert [each.meaning for each in (*opened.told, *closed.told)] == [Meaning.DOOR_OPENED, Meaning.DOOR_CLOSED]
    assert panel.open_incidents() == []


def test_a_cut_line_then_a_press_tells_the_restore_first_under_its_own_id() -> None:
    panel = Panel([_PANIC])
    panel.change(_PANIC, Seen(InputState.OPEN, 1), _named("cut"), mono_ns=1)
    change = panel.change(_PANIC, Seen(InputState.ALARM, 2), _named("press"), mono_ns=2)
    assert [(each.meaning, each.part) for each in change.told] == [
        (Meaning.FAULT_RESTORED, "fault_restored"),
        (Meaning.PANIC, ""),
    ]
    assert [each.kind for each in panel.open_incidents()] == ["panic"]


def test_a_snapshot_difference_waits_for_the_boards_own_event() -> None:
    panel = Panel([_PANIC, _DOOR])
    at = Stamp(5, 5 * _S)
    panel.snapshot("B1", {0: InputState.ALARM, 1: InputState.ALARM, 7: InputState.ALARM}, at)
    assert panel.late(6 * _S) == []
    _press(panel, "own", 6)
    (late,) = panel.late(round((5 + LATE_AFTER_S + 0.1) * _S))
    assert (late.zone.id, late.state) == ("Z02", InputState.ALARM)
    assert panel.late(100 * _S) == []


def test_silent_link_and_snapshot_after_it() -> None:
    panel = Panel([_PANIC, _DOOR])
    panel.snapshot("B1", {0: InputState.NORMAL, 1: InputState.NORMAL}, Stamp(1, 1))
    panel.link_lost("B1")
    assert panel.state_of("Z01").shown is InputState.UNKNOWN
    panel.snapshot("B1", {0: InputState.NORMAL, 1: InputState.UNKNOWN}, Stamp(2, 2))
    assert panel.state_of("Z01").shown is InputState.NORMAL
    assert panel.state_of("Z02").shown is InputState.UNKNOWN


def test_stored_state_comes_back_and_what_is_newer_stays() -> None:
    panel = Panel([_PANIC, _DOOR])
    panel.change(_DOOR, Seen(InputState.ALARM, 9), _named("x"), mono_ns=9)
    old = Incident("old", "panic", "zone/Z01", "一键报警", "R01", True, 1, 1, Life.RESTORED, restored_ns=2)
    states = {"Z02": ZoneState(InputState.NORMAL, 3), "Z99": ZoneState()}
    assert panel.take_over([old], states, {}, _named("x"), Moment(10, 10)) == []
    assert panel.state_of("Z02").input is InputState.ALARM
    again = _press(panel, "new", 10)
    assert (again.id, again.count, again.state) == ("old", 2, Life.TRIGGERED)
