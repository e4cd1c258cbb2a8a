"""Sirens and strobes at the desk: on with a press, silenced by a person, again while it lasts, and through restarts."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.delivery import rows
from agent.facts import InputState
from agent.inbox import Call, PersonAsks, Site
from agent.safety.arming import Arm, Disarm
from agent.safety.drills import DrillKind
from agent.safety.incidents import Happening
from agent.safety.outputs import Output, OutputKind, Pin
from agent.safety.zones import Zone, ZoneType
from agent.sounding import OutputTest
from tests.fakes.office import Office, Outlet, office
from tests.fakes.waiting import until
from tests.test_acts import SITE as AREAS
from tests.test_acts import ZONES, closed
from tests.test_drills import drill, press

ALARM, NORMAL = InputState.ALARM, InputState.NORMAL
OUTPUTS = (
    Output("S1", "走廊警号", OutputKind.SIREN, "B1", Pin.SIREN),
    Output("L1", "走廊警灯", OutputKind.STROBE, "B1", Pin.STROBE),
    Output("S2", "备用警号", OutputKind.SIREN, "B2", Pin.SIREN, standby=True),
)
SILENT = Zone("Z09", "园长室一键报警", ZoneType.PANIC_24H, "B1", 9, silent=True)
SITE = Site(
    zones=(*ZONES, SILENT),
    names={"room/R01": "托大一班", "output/S1": "走廊警号"},
    processes=(),
    bridges=("B1",),
    areas=AREAS.areas,
    outputs=OUTPUTS,
    room_areas={"R01": frozenset({"A1"})},
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "alarm.db", site=SITE) as made:
        closed(made)
        yield made


def main(made: Office) -> Outlet:
    return made.outlets["B1"]


def shows(made: Office) -> tuple[bool, bool]:
    """Siren and strobe of the first board."""
    return main(made).siren, main(made).strobe


def shows_spare(made: Office) -> bool:
    return made.outlets["B2"].siren


def test_a_press_sounds_until_somebody_silences_it_and_lights_until_the_reset(desk: Office) -> None:
    assert shows(desk) == (False, False)
    desk.change(1, ALARM)
    assert shows(desk) == (True, True)
    assert not shows_spare(desk), "the spare one sounds, though the first works"
    (incident,) = desk.incidents()
    desk.person(Happening.ACKNOWLEDGE, incident.id)
    assert shows(desk) == (False, True)
    desk.turn(29)
    assert shows(desk) == (False, True)
    desk.turn(2)
    assert shows(desk) == (True, True), "the button is still in"
    desk.person(Happening.ACKNOWLEDGE, incident.id)
    assert shows(desk) == (False, True), "silenced once more"
    desk.change(2, NORMAL)
    desk.turn(300)
    assert shows(desk) == (False, True), "somebody knows, and it is over but for the reset"
    desk.change(3, ALARM)
    assert shows(desk) == (True, True), "a new press sounds at once"
    desk.change(4, NORMAL)
    desk.person(Happening.RESET, incident.id, "误报")
    desk.turn(1)
    assert shows(desk) == (False, False)
    with desk.store.reading() as db:
        actions = [row.deed.action for row in rows.read_audit(db)]
    assert actions == ["incident.acknowledge", "incident.silence", "incident.reset"]


def test_a_siren_is_silenced_only_once_that_is_stored(desk: Office) -> None:
    desk.change(1, ALARM)
    (incident,) = desk.incidents()
    with closing(sqlite3.connect(desk.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answers: list[Any] = []
        desk.desk.post(PersonAsks(Happening.ACKNOWLEDGE, incident.id, "王芳", "", answers.append))
        for _ in range(5):
            done: list[bool] = []
            desk.desk.post(Call(lambda done=done: done.append(True)))  # type: ignore[misc]
            until(lambda done=done: done, 5, "the desk answers")  # type: ignore[misc]
        assert (shows(desk), answers) == ((True, True), [])
        other.execute("ROLLBACK")
    until(lambda: answers, 5, "stored")
    desk.settle()
    assert shows(desk) == (False, True)


def test_duress_and_a_silent_button_sound_and_light_nothing(desk: Office) -> None:
    desk.change(1, ALARM, input_no=9)
    desk.act(Disarm("王芳", duress=True))
    desk.turn(40)
    assert {incident.kind for incident in desk.incidents()} == {"panic", "duress"}
    assert desk.police.alerts("panic")
    assert [outlet.told for outlet in desk.outlets.values()] == [[(False, False)], [(False, False)]]


def test_a_restart_silences_no_siren_and_sounds_again_what_nobody_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with office(path, site=SITE) as first:
        first.change(1, ALARM)
    with office(path, site=SITE) as second:
        second.turn()
        assert main(second).told == [(True, True)], "it was off in between"
        (incident,) = second.incidents()
        second.person(Happening.ACKNOWLEDGE, incident.id)
    with office(path, site=SITE) as third:
        third.turn()
        assert main(third).told == [(False, True)], "what somebody silenced sounds at every restart"
        third.turn(31)
        assert shows(third) == (True, True), "the button is still in"


def test_nothing_is_switched_off_before_it_is_known_what_was_stored(tmp_path: Path) -> None:
    made = Office(tmp_path / "alarm.db", SITE)
    made.desk.start()
    try:
        _turned(made)
        assert main(made).told == []
        made.clock.move(11)
        _turned(made)
        assert main(made).told == [(False, False)], "a database that never opens is not waited for"
    finally:
        made.desk.stop()


def _turned(made: Office) -> None:
    done: list[bool] = []
    made.desk.post(Call(made.desk.turn))
    made.desk.post(Call(lambda: done.append(True)))
    until(lambda: done, 5, "the desk turned")
    done.clear()
    made.desk.post(Call(lambda: done.append(True)))
    until(lambda: done, 5, "and looked at the outputs")


def test_a_siren_that_fails_is_told_and_the_spare_one_sounds(desk: Office) -> None:
    desk.change(1, ALARM)
    main(desk).trouble = "refused: illegal data address"
    desk.turn()
    desk.turn(1)
    assert not desk.police.alerts("output_failed")
    desk.turn(1.5)
    told = [body for body in desk.police.alerts("output_failed") if body["subject"] == "output/S1"]
    assert [(body["type"], body["data"]["state"]) for body in told] == [("cn.tyj.fault.output_failed.v1", "triggered")]
    assert told[0]["data"]["detail"]["reason"] == "refused: illegal data address"
    assert told[0]["data"]["name"] == "走廊警号"
    assert shows_spare(desk)
    assert shows(desk) == (True, True), "the failed one is driven all the same"
    main(desk).trouble = ""
    desk.turn()
    assert shows_spare(desk) is False
    states = [body["data"]["state"] for body in desk.police.alerts("output_failed") if body["subject"] == "output/S1"]
    assert states == ["triggered", "restored"]


def test_an_output_that_raises_makes_no_press_new_and_silences_no_button(
    desk: Office, caplog: pytest.LogCaptureFixture
) -> None:
    main(desk).raises = True
    key = desk.change(1, ALARM)
    desk.change(1, ALARM)
    assert desk.acknowledged == [key, key]
    assert len(desk.police.alerts("panic")) == 1, "its repeat was taken for a new one"
    main(desk).raises = False
    desk.turn()
    assert shows(desk) == (True, True), "tried again"
    assert "the outputs could not be brought" in caplog.text


def test_a_board_that_is_not_heard_from_the_start_is_told_after_a_while(tmp_path: Path) -> None:
    made = Office(tmp_path / "alarm.db", SITE)
    made.outlets["B2"].up = False
    assert made.store.start(10)
    made.desk.start()
    try:
        made.connect()
        made.turn(9)
        assert made.police.alerts("output_failed") == [], "a board may take its time to start"
        made.turn(2)
        assert {body["subject"] for body in made.police.alerts("output_failed")} == {"output/S2"}
        values = {each["id"]: each["trouble"] for each in made.desk.sounding.values()}
        assert values == {"S1": None, "L1": None, "S2": "the board is not heard"}
    finally:
        made.desk.stop()
        made.store.stop()


def tried(made: Office, output_id: str, seconds: int = 3) -> Any:
    answers: list[Any] = []
    ask = OutputTest(output_id, seconds, "王芳", answers.append)
    made.desk.post(Call(lambda: made.desk.sounding.test(ask)))
    until(lambda: answers, 5, "the person is answered")
    made.settle()
    return answers[0]


def test_an_output_is_tested_for_a_few_seconds_and_that_is_audited(desk: Office) -> None:
    desk.turn()
    found = tried(desk, "S1")
    assert (found["id"], found["tested_s"]) == ("S1", 3.0)
    assert shows(desk) == (True, False)
    desk.turn(3)
    assert shows(desk) == (False, False)
    with desk.store.reading() as db:
        (row,) = rows.read_audit(db)
    assert (row.deed.action, row.deed.subject, row.deed.detail) == ("output.test", "output/S1", {"seconds": 3})
    assert tried(desk, "S7")[0] == "no_such_output"
    main(desk).trouble = "refused"
    desk.turn()
    assert tried(desk, "S1")[0] == "output_failed"


def test_a_board_that_ends_a_test_by_itself_is_asked_to(desk: Office) -> None:
    desk.turn()
    main(desk).clocked = True
    tried(desk, "L1", 5)
    assert main(desk).tried == [(False, True, 5)]
    assert shows(desk) == (False, False)


def test_a_press_during_a_test_sounds_on_after_it(desk: Office) -> None:
    desk.turn()
    tried(desk, "S1")
    desk.change(1, ALARM)
    desk.turn(4)
    assert shows(desk) == (True, True)


def seen(made: Office, people: int, seconds: int) -> None:
    """Vision sees so many people, and tells it every 10 seconds."""
    for _ in range(seconds // 10):
        made.tell(made.people(people))
        for _ in range(10):
            made.turn(1)


def test_people_in_an_armed_room_are_an_alarm_that_latches(desk: Office) -> None:
    seen(desk, 2, 40)
    assert desk.police.alerts("after_hours") == [], "nobody armed"
    desk.act(Arm("王芳"))
    seen(desk, 2, 40)
    assert desk.police.alerts("after_hours") == [], "they are leaving"
    desk.turn(6)
    seen(desk, 1, 30)
    (alert,) = desk.police.alerts("after_hours")
    assert (alert["type"], alert["priority"]) == ("cn.tyj.alarm.after_hours_presence.v1", 1)
    assert (alert["data"]["room"], alert["data"]["people"]["count"], alert["data"]["areas"]) == ("R01", 1, ["A1"])
    assert shows(desk) == (True, True)
    (incident,) = desk.incidents()
    assert (incident.kind, incident.latched) == ("after_hours_presence", True)
    told_s = (desk.clock.wall_ns() - incident.triggered_ns) / 1e9
    assert told_s >= 20, "the footage of who came in is held from when he was seen"
    assert desk.person(Happening.RESET, incident.id, "保洁")[0] == "not_restored"
    seen(desk, 0, 20)
    assert [body["data"]["state"] for body in desk.police.alerts("after_hours")] == ["triggered", "restored"]
    assert shows(desk)[1], "it latches"
    desk.person(Happening.RESET, incident.id, "保洁")
    desk.turn(1)
    assert shows(desk) == (False, False)


def test_presence_survives_a_restart_and_ends_by_disarming(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with office(path, site=SITE) as first:
        closed(first)
        first.act(Arm("王芳"))
        first.turn(50)
        seen(first, 1, 30)
        assert first.police.alerts("after_hours")
    with office(path, site=SITE) as second:
        closed(second)
        seen(second, 1, 30)
        assert second.police.alerts("after_hours") == [], "the same people were told again"
        second.act(Disarm("王芳"))
        second.turn(1)
        assert [body["data"]["state"] for body in second.police.alerts("after_hours")] == ["restored"]


@pytest.mark.parametrize(("kind", "sounds"), [(DrillKind.DRILL, True), (DrillKind.WALK, False)])
def test_a_drill_sounds_as_the_real_thing_and_a_walk_test_not_until_it_is_real(
    desk: Office, kind: DrillKind, sounds: bool
) -> None:
    assert drill(desk, "Z01", kind)["kind"] == str(kind)
    press(desk, 1, 0)
    desk.change(2, NORMAL)
    desk.turn(1)  # a chirp is over
    assert shows(desk) == (sounds, sounds)
    press(desk, 3, 0)
    desk.change(4, NORMAL)
    press(desk, 5, 0)
    desk.turn(1)
    assert shows(desk) == (True, True), "the third press is real"
    assert desk.desk.panel.drills.running is None


def test_the_end_of_a_drill_is_the_end_of_its_sound(desk: Office) -> None:
    drill(desk, "Z01")
    press(desk, 1, 0)
    desk.change(2, NORMAL)
    assert shows(desk) == (True, True)
    drill(desk, "", None)
    desk.turn(1)
    assert shows(desk) == (False, False)


def test_a_walk_test_chirps_and_a_test_of_a_button_is_silent(desk: Office) -> None:
    drill(desk, "all", DrillKind.WALK)
    press(desk, 1)
    assert shows(desk)[0], "whoever walks hears it"
    desk.turn(0.3)
    assert not shows(desk)[0]
    desk.change(2, NORMAL)
    assert not shows(desk)[0], "letting go is no activation"
    assert [told[0] for told in main(desk).told].count(True) == 1
    drill(desk, "", None)
    drill(desk, "Z01", DrillKind.BUTTON)
    press(desk, 3, after_s=11)
    assert not shows(desk)[0]


def test_rooms_that_nobody_asked_to_watch_are_not(tmp_path: Path) -> None:
    with office(tmp_path / "alarm.db", site=replace(SITE, presence_s=0)) as made:
        closed(made)
        made.act(Arm("王芳"))
        made.turn(50)
        seen(made, 3, 60)
        assert made.police.alerts("after_hours") == []
