"""What is a drill and what is real, one rule at a time; tests/test_drills.py has them at the desk."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.facts import InputState
from agent.safety.drills import AGAIN_WITHIN_S, LONGEST_S, PRESSES, Drill, DrillKind, Drills, survives
from agent.safety.incidents import Incident, Life, ended
from agent.safety.zones import Meaning, Zone, ZoneType

S = 1_000_000_000
BUTTON = Zone("Z01", "一键报警", ZoneType.PANIC_24H, "B1", 0)
OTHER = replace(BUTTON, id="Z02")
GAS = Zone("Z03", "燃气", ZoneType.ENVIRONMENT, "B1", 2, kind="gas")
ALARM = InputState.ALARM
DRILL = Drill("d", DrillKind.DRILL, frozenset({"Z01", "Z03"}), "王芳", 1, 100 * S, 700 * S, "boot")


def begun() -> Drills:
    drills = Drills()
    drills.begin(DRILL)
    return drills


def activate(drills: Drills, zone: Zone, at_s: float, count: int = 1) -> bool:
    """Whether the zone going into alarm now is a drill."""
    at_ns = round(at_s * S)
    drills.activated(zone, at_ns, count, at_ns, 1, forced=False)
    return drills.covers(zone, Meaning.PANIC, ALARM)


def test_nothing_is_one_once_something_real_began_not_even_what_was_told_as_one() -> None:
    drills = begun()
    assert activate(drills, BUTTON, 101)
    drills.real_began()
    assert not drills.covers(BUTTON, Meaning.PANIC, ALARM)
    assert drills.over(102 * S) == "real_alarm"


@pytest.mark.parametrize("meaning", [Meaning.TAMPER, Meaning.TAMPER_RESTORED, Meaning.FAULT, Meaning.FAULT_RESTORED])
@pytest.mark.parametrize("cause", [ALARM, InputState.NORMAL, InputState.OPEN])
def test_tamper_and_faults_never_are(meaning: Meaning, cause: InputState) -> None:
    drills = begun()
    assert activate(drills, BUTTON, 101)
    assert not drills.covers(BUTTON, meaning, cause)


@pytest.mark.parametrize("cause", [InputState.OPEN, InputState.SHORT, InputState.FAULT, InputState.TAMPER])
def test_an_intrusion_by_a_cut_line_is_none(cause: InputState) -> None:
    drills = begun()
    assert activate(drills, BUTTON, 101)
    assert not drills.covers(BUTTON, Meaning.INTRUSION, cause)


def test_gas_may_be_let_in_as_often_as_a_tester_likes() -> None:
    drills = begun()
    assert all(activate(drills, GAS, 101 + number) for number in range(2 * PRESSES))


@given(st.lists(st.floats(0, 590), max_size=30), st.integers(1, 3))
def test_no_three_presses_within_ten_seconds_are_told_as_drills(moments: list[float], count: int) -> None:
    drills = begun()
    told = [at_s for at_s in sorted(moments) if activate(drills, BUTTON, 100 + at_s, count)]
    for first, third in zip(told, told[2:], strict=False):
        assert third - first >= AGAIN_WITHIN_S - 1e-6
    assert count < PRESSES or not told


@given(st.integers(-(1 << 62), 1 << 62), st.sampled_from(["boot", "another", ""]), st.sampled_from(["boot", ""]))
def test_what_survives_a_restart_has_time_left_and_not_more_than_half_an_hour(
    now_ns: int, here: str, there: str
) -> None:
    drill = replace(DRILL, machine_boot=there)
    if survives(drill, here, now_ns):
        assert here == there == "boot"
        assert 100 * S <= now_ns < 700 * S
    assert not survives(replace(DRILL, until_mono_ns=100 * S + round((LONGEST_S + 1) * S)), "boot", 100 * S)


@pytest.mark.parametrize("latching", [True, False])
def test_the_incident_of_a_drill_is_closed_with_it_and_a_real_one_never(latching: bool) -> None:
    incident = Incident("i", "panic", "zone/Z01", "一键报警", None, latching, 1, 1, drill=True)
    closed = ended(incident, "王芳", "stopped", 5)
    assert (closed.state, closed.open, closed.restored_ns) == (Life.CLOSED, False, 5)
    assert not latching or (closed.reset_by, closed.reset_why) == ("王芳", "stopped")
    with pytest.raises(ValueError, match="is real"):
        ended(replace(incident, drill=False), "王芳", "stopped", 5)
