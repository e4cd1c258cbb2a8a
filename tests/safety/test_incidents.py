"""The life of an incident: every event that stands in the table, and every one that does not."""

from dataclasses import replace
from itertools import product

import pytest

from agent.safety.incidents import (
    LATCHING_LIFE,
    SELF_CLEARING_LIFE,
    Event,
    Happening,
    Incident,
    Life,
    NotNow,
    step,
)

_NEW = Incident("i1", "panic", "zone/Z01", "一键报警", "R01", True, 100, 100)
_ALL = list(product([True, False], Life, Happening))


def _life(latching: bool) -> dict[tuple[Life, Happening], Life]:
    return LATCHING_LIFE if latching else SELF_CLEARING_LIFE


@pytest.mark.parametrize(("latching", "state", "happening"), [each for each in _ALL if each[1:] in _life(each[0])])
def test_legal(latching: bool, state: Life, happening: Happening) -> None:
    before = replace(_NEW, latching=latching, state=state)
    after = step(before, Event(happening, "王芳", "误报"), 200)
    assert after.state is _life(latching)[(state, happening)]
    assert (after.id, after.triggered_ns) == (before.id, before.triggered_ns)
    assert after.count == before.count + (happening is Happening.TRIGGER)


@pytest.mark.parametrize(("latching", "state", "happening"), [each for each in _ALL if each[1:] not in _life(each[0])])
def test_illegal_raises_and_changes_nothing(latching: bool, state: Life, happening: Happening) -> None:
    before = replace(_NEW, latching=latching, state=state)
    with pytest.raises(NotNow) as told:
        step(before, Event(happening), 200)
    assert (told.value.state, told.value.happening) == (state, happening)
    assert before == replace(_NEW, latching=latching, state=state)


def test_latched_until_a_person_resets_it() -> None:
    incident = step(_NEW, Event(Happening.RESTORE), 150)
    assert incident.latched
    incident = step(incident, Event(Happening.ACKNOWLEDGE, "李娜"), 160)
    assert incident.latched
    incident = step(incident, Event(Happening.RESET, "王芳", "误按"), 170)
    assert not incident.latched
    assert (incident.acknowledged_by, incident.reset_by, incident.reset_why) == ("李娜", "王芳", "误按")


def test_a_new_press_sounds_again_after_an_acknowledgement() -> None:
    incident = step(_NEW, Event(Happening.ACKNOWLEDGE, "李娜"), 150)
    incident = step(incident, Event(Happening.TRIGGER), 160)
    assert (incident.state, incident.count, incident.last_ns) == (Life.TRIGGERED, 2, 160)


def test_a_fault_ends_with_its_restore() -> None:
    fault = replace(_NEW, latching=False)
    assert step(fault, Event(Happening.RESTORE), 150).state is Life.CLOSED
