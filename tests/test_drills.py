"""Drills at the desk: what is told as one, what is real all the same, and how each ends."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent import audit
from agent.delivery import rows
from agent.facts import InputChanged, InputState
from agent.inbox import DrillAsk, InputReport, Site, SnapshotReport
from agent.safety.arming import Arm, Disarm, area_of
from agent.safety.drills import AGAIN_WITHIN_S, HELD_S, DrillKind
from agent.safety.incidents import Happening
from agent.safety.zones import Zone, ZoneType
from tests.fakes.office import UID, Office, office
from tests.fakes.waiting import until

ZONES = (
    Zone("Z01", "托大一班一键报警", ZoneType.PANIC_24H, "B1", 0, "R01", ("C01",)),
    Zone("Z02", "保健室一键报警", ZoneType.PANIC_24H, "B1", 1),
    Zone("Z03", "箱盖", ZoneType.TAMPER_24H, "B1", 2),
    Zone("Z04", "窗", ZoneType.PERIMETER, "B1", 3, area="A1"),
    Zone("Z05", "厨房燃气", ZoneType.ENVIRONMENT, "B1", 4, kind="gas"),
    Zone("Z06", "市电", ZoneType.ENVIRONMENT, "B1", 5, kind="mains"),
)
SITE = Site(
    ZONES, {}, (), ("B1",), (area_of("A1", "全园", 0, 30, ZONES),), machine_boot="boot-of-the-machine"
)  # fmt: skip
ALARM, NORMAL, OPEN = InputState.ALARM, InputState.NORMAL, InputState.OPEN
FIRST, SECOND, TAMPER, WINDOW, GAS = range(5)


def at_rest(made: Office) -> None:
    made.desk.post(SnapshotReport("B1", dict.fromkeys(range(6), NORMAL), made.clock.stamp()))
    made.turn(2)


def drill(made: Office, target: str, kind: DrillKind | None = DrillKind.DRILL, minutes: float = 30) -> Any:
    """A person begins or ends a drill; what he is answered."""
    answers: list[Any] = []
    made.desk.post(DrillAsk(kind, target, minutes * 60, "王芳", answers.append))
    until(lambda: answers, 10, "the person is answered", every_s=0.002)
    made.settle()
    return answers[0]


def press(made: Office, number: int, input_no: int = FIRST, after_s: float = 1.0) -> None:
    made.clock.move(after_s)
    made.change(number, ALARM, input_no)


def release(made: Office, number: int, input_no: int = FIRST) -> None:
    made.clock.move(0.5)
    made.change(number, NORMAL, input_no)


def told(made: Office, kind: str, state: str = "triggered") -> list[bool]:
    """Of each alert of a kind: whether it was told as a drill."""
    return [body["data"]["drill"] for body in made.police.alerts(kind, state)]


def deeds(made: Office) -> list[tuple[str, str]]:
    with made.store.reading() as db:
        chain = rows.read_audit(db)
    assert audit.first_break(chain) is None
    return [(row.deed.action, row.deed.detail.get("why", "")) for row in chain]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "alarm.db", site=SITE) as made:
        at_rest(made)
        yield made


def test_a_press_of_the_drilled_button_is_told_as_a_drill_with_all_that_a_real_one_has(desk: Office) -> None:
    found = drill(desk, "Z01", minutes=10)
    assert (found["zones"], found["left_s"], found["kind"]) == (["Z01"], 600.0, "drill")
    press(desk, 1)
    (alert,) = desk.police.alerts("panic")
    assert (alert["priority"], alert["data"]["drill"], alert["data"]["cameras"]) == (1, True, ["C01"])
    (incident,) = desk.incidents()
    assert (incident.drill, incident.latched) == (True, True)
    assert desk.desk.zone_list()[0]["latched"] is True
    release(desk, 2)
    assert told(desk, "panic", "restored") == [True]
    assert drill(desk, "", None) == {"id": found["id"]}
    assert desk.incidents() == []
    (reset,) = desk.police.alerts("panic", "reset")
    assert (reset["data"]["drill"], reset["data"]["incident_id"]) == (True, incident.id)
    assert [body["data"]["state"] for body in desk.police.alerts("alarm.drill")] == ["begun", "ended"]
    assert deeds(desk) == [("drill.begin", ""), ("drill.end", "stopped")]
    press(desk, 3)
    assert told(desk, "panic") == [True, False]


@pytest.mark.parametrize(("input_no", "state", "kind"), [(SECOND, ALARM, "panic"), (TAMPER, ALARM, "tamper")])
def test_whatever_is_not_drilled_is_real_and_ends_the_drill(
    desk: Office, input_no: int, state: InputState, kind: str
) -> None:
    drill(desk, "Z01")
    desk.clock.move(1)
    desk.change(1, state, input_no)
    assert told(desk, kind) == [False]
    press(desk, 2)
    assert told(desk, "panic")[-1] is False, "with a real alarm open nothing is a drill any more"
    desk.turn()
    assert desk.desk.drills.values() is None
    assert deeds(desk)[-1] == ("drill.end", "real_alarm")


def test_a_cut_line_of_the_drilled_button_and_a_tampered_one_are_real(desk: Office) -> None:
    drill(desk, "Z01")
    desk.clock.move(1)
    desk.change(1, OPEN)
    desk.change(2, InputState.TAMPER)
    assert told(desk, "fault.zone") == [False]
    assert told(desk, "tamper") == [False]


def test_the_third_press_within_ten_seconds_is_real(desk: Office) -> None:
    drill(desk, "Z01")
    for number in range(1, 7, 2):
        press(desk, number)
        release(desk, number + 1)
    assert told(desk, "panic") == [True, True, False]
    (incident,) = desk.incidents()
    assert not incident.drill
    assert incident.id == desk.police.alerts("panic", "triggered")[2]["data"]["incident_id"]
    assert incident.id != desk.police.alerts("panic", "triggered")[0]["data"]["incident_id"]
    desk.turn()
    assert desk.desk.drills.values() is None
    assert [each.id for each in desk.incidents()] == [incident.id], "the end of the drill ends nothing real"


def test_presses_of_a_slow_test_stay_a_drill(desk: Office) -> None:
    drill(desk, "Z01")
    for number in range(1, 13, 2):
        press(desk, number, after_s=AGAIN_WITHIN_S / 2)
        release(desk, number + 1)
    assert told(desk, "panic") == [True] * 6


def test_a_board_that_counts_three_presses_at_once_tells_of_somebody_in_need(desk: Office) -> None:
    drill(desk, "Z01")
    desk.clock.move(1)
    at = desk.clock.stamp()
    desk.change(1, ALARM, settle=False)
    desk.change(2, NORMAL)
    fact = _fact(desk, 3, count=2)
    desk.desk.post(InputReport(fact, at.mono_ns))
    desk.settle()
    assert told(desk, "panic") == [True, False]


def _fact(made: Office, number: int, count: int = 1, late: bool = False) -> InputChanged:
    return InputChanged("B1", UID, 1, number, FIRST, NORMAL, ALARM, made.clock.stamp(), count, late)


def test_a_button_that_is_held_for_a_minute_is_real(desk: Office) -> None:
    drill(desk, "Z01")
    press(desk, 1)
    desk.turn(HELD_S - 1)
    assert told(desk, "panic") == [True]
    desk.turn(2)
    assert told(desk, "panic") == [True, False]
    desk.turn(0.5)
    assert [each.drill for each in desk.incidents()] == [False]
    desk.turn(HELD_S * 2)
    assert told(desk, "panic") == [True, False]


@pytest.mark.parametrize("late", [False, True])
def test_a_press_from_before_the_drill_or_of_an_unknown_time_is_real(desk: Office, late: bool) -> None:
    pressed_ns = desk.clock.mono_ns()
    desk.clock.move(5)
    drill(desk, "Z01")
    desk.clock.move(5)
    desk.desk.post(InputReport(_fact(desk, 1, late=late), desk.clock.mono_ns() if late else pressed_ns))
    desk.settle()
    assert told(desk, "panic") == [False]


def test_a_drill_ends_by_itself_after_half_an_hour_wherever_the_wall_clock_goes(desk: Office) -> None:
    drill(desk, "all", minutes=600)
    desk.clock.step_wall(-40 * 86400)
    desk.turn(1790)
    assert desk.desk.drills.values() is not None
    desk.clock.step_wall(80 * 86400)
    desk.turn(11)
    assert desk.desk.drills.values() is None
    assert deeds(desk)[-1] == ("drill.end", "time")


def test_when_its_time_is_over_a_press_is_real_at_once(desk: Office) -> None:
    drill(desk, "Z01", minutes=1)
    press(desk, 1, after_s=61)
    assert told(desk, "panic") == [False]


def test_what_is_still_in_alarm_when_the_drill_ends_is_real(desk: Office) -> None:
    drill(desk, "Z05", minutes=1)
    press(desk, 1, GAS)
    assert told(desk, "environment") == [True]
    code, text = drill(desk, "", None)
    assert (code, text.en.rpartition(": ")[2]) == ("still_in_alarm", "Z05 厨房燃气")
    assert told(desk, "environment") == [True], "a person does not make it real by ending the drill"
    desk.turn(60)
    assert told(desk, "environment") == [True, False]
    assert [each.drill for each in desk.incidents()] == [False]


def test_a_window_of_a_drilled_area(desk: Office) -> None:
    desk.act(Arm("王芳"))
    drill(desk, "A1")
    press(desk, 1, WINDOW)
    assert told(desk, "door_forced") == [True]
    release(desk, 2, WINDOW)
    assert told(desk, "door_forced", "restored") == [True]
    drill(desk, "", None)
    assert desk.incidents() == []
    press(desk, 3, WINDOW)
    assert told(desk, "door_forced") == [True, False]


def test_what_may_not_be_drilled(desk: Office) -> None:
    assert drill(desk, "Z03")[0] == "never_drilled"
    assert drill(desk, "Z06")[0] == "never_drilled"
    assert drill(desk, "Z77")[0] == "no_such_zone"
    assert drill(desk, "", None)[0] == "no_drill"
    found = drill(desk, "all")
    assert found["zones"] == ["Z01", "Z02", "Z04", "Z05"]
    assert drill(desk, "Z01")[0] == "drill_running"


def test_no_drill_while_an_alarm_is_open_that_nobody_has_seen(desk: Office) -> None:
    press(desk, 1)
    code, text = drill(desk, "Z02")
    assert (code, text.en) == (
        "alarm_open", "there is a real alarm: acknowledge and reset it first: Z01 托大一班一键报警",
    )  # fmt: skip
    desk.person(Happening.ACKNOWLEDGE, desk.incidents()[0].id)
    assert drill(desk, "Z01")[0] == "alarm_open", "it is pressed"
    release(desk, 2)
    assert drill(desk, "Z01")[0] == "alarm_open", "its own alarm is not reset"
    assert drill(desk, "buttons")["zones"] == ["Z02"]
    press(desk, 3)
    assert told(desk, "panic") == [False, False]


def test_duress_is_real_and_nothing_gives_it_away(desk: Office) -> None:
    desk.act(Arm("王芳"))
    drill(desk, "Z01")
    desk.act(Disarm("王芳", duress=True))
    assert [body["data"]["drill"] for body in desk.police.alerts("duress")] == [False]
    desk.turn(1)
    assert desk.desk.drills.values() is not None
    press(desk, 1)
    assert told(desk, "panic") == [False], "who is forced to drill may be in need"


def test_a_duress_hinders_no_drill_and_ends_none_at_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with office(path, site=SITE) as first:
        at_rest(first)
        first.act(Arm("王芳"))
        first.act(Disarm("王芳", duress=True))
        assert drill(first, "Z01")["zones"] == ["Z01"]
    with office(path, site=SITE, clock=first.clock) as second:
        second.turn(1)
        assert second.desk.drills.values() is not None, "as if nothing were"
        press(second, 1)
        assert told(second, "panic") == [False]


def test_the_start_of_the_process_goes_on_with_it_for_the_time_that_is_left(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with office(path, site=SITE) as first:
        at_rest(first)
        drill(first, "Z01", minutes=1)
        press(first, 1)
        release(first, 2)
    with office(path, site=SITE, clock=first.clock) as second:
        found = second.desk.drills.values()
        assert found is not None
        assert found["zones"] == ["Z01"]
        press(second, 3)
        release(second, 4)
        assert told(second, "panic") == [True]
        second.turn(61)
        assert second.desk.drills.values() is None
        assert second.incidents() == []
    with office(path, site=SITE, clock=first.clock) as third:
        assert third.desk.drills.values() is None


@pytest.mark.parametrize(
    ("site", "kind"),
    [(replace(SITE, machine_boot="another"), "drill"), (replace(SITE, machine_boot=""), "drill"), (SITE, "button")],
)
def test_the_start_of_the_machine_ends_it(tmp_path: Path, site: Site, kind: str) -> None:
    path = tmp_path / "alarm.db"
    with office(path, site=SITE) as first:
        at_rest(first)
        drill(first, "buttons", DrillKind(kind))
        press(first, 1, SECOND)
        press(first, 2)
        release(first, 3)
    with office(path, site=site, clock=first.clock) as second:
        assert second.desk.drills.values() is None
        assert [(each.subject, each.drill) for each in second.incidents()] == [("zone/Z02", False)]
        assert told(second, "panic") == [False], "what is still pressed is real"
        assert deeds(second)[-1] == ("drill.end", "restart")


def test_an_acknowledged_and_reset_incident_of_a_drill_is_one_to_the_end(desk: Office) -> None:
    drill(desk, "Z01")
    press(desk, 1)
    release(desk, 2)
    (incident,) = desk.incidents()
    desk.person(Happening.ACKNOWLEDGE, incident.id)
    desk.person(Happening.RESET, incident.id, "演练")
    assert [told(desk, "panic", state) for state in ("acknowledged", "reset")] == [[True], [True]]
    assert desk.incidents() == []


def test_a_drill_that_was_ended_stays_so_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with office(path, site=SITE) as first:
        at_rest(first)
        drill(first, "Z01")
        drill(first, "", None)
    with office(path, site=SITE, clock=first.clock) as second:
        assert second.desk.drills.values() is None
        press(second, 1)
        assert told(second, "panic") == [False]


def test_a_real_press_that_was_stored_before_the_end_of_the_drill_was_ends_it_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with office(path, site=SITE) as first:
        at_rest(first)
        drill(first, "Z01")
        begun = first.desk.panel.drills.running
        press(first, 1, SECOND)
        first.turn()
        # Killed in between, the row is still there.
        first.store.submit(partial(rows.put, write=rows.Write(drill=begun)))
    with office(path, site=SITE, clock=first.clock) as second:
        press(second, 2)
        assert told(second, "panic") == [False]
        second.turn()
        assert second.desk.drills.values() is None


def test_a_real_press_while_the_drill_is_being_stored_ends_it_before_it_began(desk: Office) -> None:
    answers: list[Any] = []
    with closing(sqlite3.connect(desk.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        desk.desk.post(DrillAsk(DrillKind.DRILL, "all", 600, "王芳", answers.append))
        desk.clock.move(1)
        desk.change(1, ALARM, SECOND, settle=False)
        until(lambda: told(desk, "panic") == [False], 5, "real: there is no drill yet")
        other.execute("ROLLBACK")
    desk.settle()
    assert answers
    press(desk, 2)
    assert told(desk, "panic") == [False, False]
    desk.turn()
    assert deeds(desk) == [("drill.begin", ""), ("drill.end", "real_alarm")]
