"""What people do with areas at the desk: stored, audited, told, and kept through restarts."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent import audit
from agent.delivery import rows
from agent.facts import ClockQuality, InputState
from agent.inbox import AreaAsk, Call, Site, SnapshotReport
from agent.safety.arming import Act, Arm, Bypass, Disarm, Unbypass, area_of
from agent.safety.calendar import Calendar, Span
from agent.safety.incidents import Happening
from agent.safety.zones import Zone, ZoneType
from tests.fakes.clock import START_WALL_NS
from tests.fakes.office import Office, office
from tests.fakes.waiting import until

ZONES = (
    Zone("Z01", "托大一班一键报警", ZoneType.PANIC_24H, "B1", 0, "R01", ("C01",)),
    Zone("Z02", "大门", ZoneType.PERIMETER, "B1", 1, area="A1", entry=True),
    Zone("Z03", "窗", ZoneType.PERIMETER, "B1", 2, area="A1"),
    Zone("Z04", "后门", ZoneType.PERIMETER, "B1", 3),
    Zone("Z05", "箱盖", ZoneType.TAMPER_24H, "B1", 4),
)
SITE = Site(
    zones=ZONES, names={}, processes=(), bridges=("B1",), areas=(area_of("A1", "全园", 45, 30, ZONES),)
)  # fmt: skip
SHANGHAI = ZoneInfo("Asia/Shanghai")
DOOR, WINDOW, BACK = 1, 2, 3
ALARM, NORMAL = InputState.ALARM, InputState.NORMAL


def calendar_site(spans: tuple[Span, ...], disarms: bool = True) -> Site:
    calendar = Calendar(SHANGHAI, (spans,) * 7, disarms=disarms)
    return Site(ZONES, {}, (), ("B1",), SITE.areas, {"A1": calendar})


def closed(made: Office) -> None:
    made.desk.post(SnapshotReport("B1", dict.fromkeys(range(5), NORMAL), made.clock.stamp()))
    made.turn(2)


def _leaving(made: Office) -> bool:
    return bool(made.desk.area_list()[0]["phase"] == "exit_delay")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "alarm.db", site=SITE) as made:
        closed(made)
        yield made


def test_armed_by_a_person_then_a_window_is_opened(desk: Office) -> None:
    found = desk.act(Arm("王芳"))
    assert (found["phase"], found["who"], found["left_s"]) == ("exit_delay", "王芳", 45.0)
    (armed,) = desk.police.alerts("arming")
    assert (armed["type"], armed["priority"], armed["data"]["who"]) == ("cn.tyj.alarm.arming.v1", 4, "王芳")
    desk.turn(46)
    assert desk.desk.area_list()[0]["phase"] == "armed"
    assert {zone["id"]: zone["armed"] for zone in desk.desk.zone_list()} == {
        "Z01": True, "Z02": True, "Z03": True, "Z04": "never", "Z05": True,
    }  # fmt: skip
    desk.change(1, ALARM, input_no=WINDOW)
    (alert,) = desk.police.alerts("door_forced")
    assert (alert["priority"], alert["data"]["armed"], alert["data"]["zone"]["area"]) == (1, True, "A1")
    assert desk.police.alerts("door.v1") == []
    (incident,) = desk.incidents()
    assert incident.latched
    assert desk.act(Disarm("王芳"))["phase"] == "disarmed"
    assert [each.kind for each in desk.incidents()] == ["door_forced"], "a person resets it, no disarming does"
    with desk.store.reading() as db:
        chain = rows.read_audit(db)
    assert [(row.deed.action, row.deed.subject) for row in chain] == [
        ("area.arm", "area/A1"), ("area.disarm", "area/A1"),
    ]  # fmt: skip
    assert audit.first_break(chain) is None


def test_the_retained_topic_shows_the_area(desk: Office) -> None:
    desk.act(Arm("王芳"))
    topic, message = desk.police.told[-1]
    assert topic.endswith("state/zones")
    assert message["areas"][0]["phase"] == "exit_delay"


def test_an_area_is_armed_after_a_restart_whatever_it_was_doing(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with office(path, site=SITE) as first:
        closed(first)
        first.act(Bypass("王芳", "Z03", "窗坏了"))
        first.act(Arm("王芳"))
    with office(path, site=SITE) as second:
        (area,) = second.desk.area_list()
        assert (area["phase"], area["who"], area["bypassed"]) == ("armed", "王芳", ["Z03"])
        closed(second)
        second.change(1, ALARM, input_no=DOOR)
        second.turn(20)
    with office(path, site=SITE) as third:
        assert third.desk.area_list()[0]["phase"] == "entry_delay"
        third.turn(29)
        assert third.police.alerts("intrusion") == []
        third.turn(2)
        (alert,) = third.police.alerts("intrusion")
        assert (alert["subject"], alert["data"]["state"], alert["data"]["late"]) == ("zone/Z02", "triggered", False)
        third.act(Disarm("王芳"))
    with office(path, site=SITE) as fourth:
        assert fourth.desk.area_list()[0]["phase"] == "disarmed"


def test_what_is_not_closed_is_named_and_left_out_only_when_asked(desk: Office) -> None:
    desk.change(1, ALARM, input_no=WINDOW)
    code, text = desk.act(Arm("王芳"))
    assert (code, text.en) == ("not_ready", "open, faulted or not seen: Z03 窗")
    assert desk.desk.area_list()[0]["phase"] == "disarmed"
    found = desk.act(Arm("王芳", force=True))
    assert found["bypassed"] == ["Z03"]
    (alert,) = desk.police.alerts("arming")
    assert alert["data"]["bypassed"] == ["Z03"]
    assert desk.act(Arm("李娜"))[0] == "already_armed"
    desk.turn(46)
    desk.change(2, NORMAL, input_no=WINDOW)
    desk.change(3, ALARM, input_no=WINDOW)
    assert desk.police.alerts("door_forced") == []
    assert desk.police.alerts("door.v1")[-1]["data"]["armed"] is False


def test_nobody_bypasses_or_arms_what_is_in_no_area(desk: Office) -> None:
    for zone, code in (
        ("Z01", "never_bypassed"),
        ("Z05", "never_bypassed"),
        ("Z04", "no_area"),
        ("Z9", "no_such_zone"),
    ):
        assert desk.act(Bypass("王芳", zone, "坏了"))[0] == code
        assert desk.act(Unbypass("王芳", zone))[0] == code
    assert desk.act(Arm("王芳", bypass=frozenset({"Z01"})))[0] == "no_such_zone"
    assert desk.act(Arm("王芳"), area_id="A9")[0] == "no_such_area"


def test_a_bypass_is_audited_with_its_reason(desk: Office) -> None:
    assert desk.act(Bypass("王芳", "Z03", "窗坏了"))["bypassed"] == ["Z03"]
    (alert,) = desk.police.alerts("arming")
    assert (alert["data"]["state"], alert["data"]["zone"]["id"], alert["data"]["why"]) == ("bypassed", "Z03", "窗坏了")
    with desk.store.reading() as db:
        (row,) = rows.read_audit(db)
    assert (row.deed.action, row.deed.subject, row.deed.detail) == ("zone.bypass", "zone/Z03", {"why": "窗坏了"})


def test_nothing_a_person_does_holds_before_it_is_stored(desk: Office) -> None:
    answers: list[object] = []
    with closing(sqlite3.connect(desk.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        desk.desk.post(AreaAsk("", Arm("王芳"), answers.append))
        desk.desk.post(AreaAsk("", Arm("李娜"), answers.append))
        desk.change(1, ALARM, input_no=0, settle=False)
        until(lambda: desk.police.alerts("panic"), 5, "the press that came later is out")
        assert [each[0] for each in answers if isinstance(each, tuple)] == ["busy"]
        assert desk.desk.area_list()[0]["phase"] == "disarmed"
        desk.change(2, ALARM, input_no=WINDOW, settle=False)
        other.execute("ROLLBACK")
    desk.settle()
    assert desk.desk.area_list()[0]["phase"] == "exit_delay"
    assert len(desk.police.alerts("door_forced")) == 1, "opened between the word and its commit"


def test_what_the_calendar_did_between_a_word_and_its_commit_stays(tmp_path: Path) -> None:
    minute = START_WALL_NS // 60_000_000_000 % 1440 + 8 * 60  # of the day in Shanghai
    site = calendar_site((Span(minute - 60, minute + 10),))
    cases: list[tuple[Act, list[str]]] = [(Arm("王芳"), []), (Bypass("王芳", "Z03", "窗坏了"), ["Z03"])]
    for act, bypassed in cases:
        path = tmp_path / f"{type(act).__name__}.db"
        with office(path, site=site) as made:
            closed(made)
            answers: list[object] = []
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                made.desk.post(AreaAsk("", act, answers.append))
                made.clock.move(600)
                made.desk.post(Call(made.desk.turn))
                until(partial(_leaving, made), 5, "the calendar arms")
                assert answers == []
                other.execute("ROLLBACK")
            made.settle()
            (area,) = made.desk.area_list()
            assert (area["phase"], area["who"], area["bypassed"]) == ("exit_delay", "calendar", bypassed)
        with office(path, site=site) as again:
            (area,) = again.desk.area_list()
            assert (area["phase"], area["who"], area["bypassed"]) == ("armed", "calendar", bypassed)


def test_with_a_store_that_fails_a_person_is_refused(desk: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ValueError("a value that no column takes")

    monkeypatch.setattr(rows, "put", refuse)
    assert desk.act(Arm("王芳"))[0] == "store_failing"
    assert desk.desk.area_list()[0]["phase"] == "disarmed"
    assert desk.act(Arm("王芳"))[0] == "store_failing", "asked again it is tried again"


def test_duress_looks_like_a_disarming_and_is_told_to_the_platforms_alone(desk: Office) -> None:
    desk.act(Arm("王芳"))
    plain = desk.act(Disarm("王芳"))
    desk.act(Arm("王芳"))
    forced = desk.act(Disarm("王芳", duress=True))
    assert {**plain, "since_ns": 0} == {**forced, "since_ns": 0}
    for route in (desk.police, desk.cloud):
        (alert,) = route.alerts("duress")
        assert (alert["priority"], alert["data"]["silent"], alert["data"]["who"]) == (1, True, "王芳")
    assert desk.desk.shown_incidents() == []
    with desk.store.reading() as db:
        assert [event for event in rows.read_events(db, 100, None, None) if "duress" in str(event)] == []
        assert [row.deed.action for row in rows.read_audit(db)] == [
            "area.arm", "area.disarm", "area.arm", "area.disarm",
        ]  # fmt: skip
    (incident,) = desk.incidents()
    assert incident.latched
    for happening in Happening.ACKNOWLEDGE, Happening.RESET:
        assert desk.person(happening, incident.id[:30], "误报")[0] == "no_such_incident", "found by guessing"
    assert desk.person(Happening.RESET, incident.id, "警方已核实").reset_why == "警方已核实"
    with desk.store.reading() as db:
        assert rows.read_closed(db) == []


def test_duress_goes_out_although_nothing_can_be_stored_or_disarmed(
    desk: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.act(Disarm("王芳", duress=True))["phase"] == "disarmed", "it was disarmed already"
    assert len(desk.police.alerts("duress")) == 1
    assert desk.act(Disarm("王芳", duress=True), area_id="A9")[0] == "no_such_area"
    assert len(desk.police.alerts("duress")) == 2
    desk.act(Arm("王芳"))

    def refuse(*_: object, **__: object) -> None:
        raise ValueError("a value that no column takes")

    monkeypatch.setattr(rows, "put", refuse)
    assert desk.act(Disarm("王芳", duress=True))[0] == "store_failing"
    assert len(desk.police.alerts("duress")) == 3


def test_the_calendar_arms_at_closing_and_disarms_at_opening(tmp_path: Path) -> None:
    minute = START_WALL_NS // 60_000_000_000 % 1440 + 8 * 60  # of the day in Shanghai
    closes = (minute + 10) % 1440
    site = calendar_site((Span(closes - 60, closes),))
    with office(tmp_path / "alarm.db", site=site) as made:
        closed(made)
        assert made.desk.area_list()[0]["phase"] == "disarmed"
        made.change(1, ALARM, input_no=WINDOW)
        made.turn(600)
        (area,) = made.desk.area_list()
        assert (area["phase"], area["who"], area["waiting"]) == ("exit_delay", "calendar", ["Z03"])
        for _ in range(5):
            made.turn(10)
        (fault,) = made.police.alerts("arming_incomplete")
        assert (fault["data"]["state"], fault["data"]["detail"]) == ("triggered", {"zones": "Z03"})
        made.change(2, NORMAL, input_no=WINDOW)
        made.turn(1)
        assert made.police.alerts("arming_incomplete")[-1]["data"]["state"] == "restored"
        made.change(3, ALARM, input_no=WINDOW)
        assert len(made.police.alerts("door_forced")) == 1
        made.act(Disarm("王芳"))
        made.turn(3600)
        assert made.desk.area_list()[0]["phase"] == "disarmed", "a person's word holds"
        with made.store.reading() as db:
            assert [(row.deed.who, row.deed.action) for row in rows.read_audit(db)] == [
                ("calendar", "area.arm"), ("王芳", "area.disarm"),
            ]  # fmt: skip
        made.turn(23 * 3600 - 30)
        assert made.desk.area_list()[0]["phase"] != "disarmed", "until the next closing"
        applied = made.desk.panel.areas.state_of("A1").calendar_ns
    with office(tmp_path / "alarm.db", site=site) as again:
        assert again.desk.panel.areas.state_of("A1").calendar_ns == applied


def test_a_clock_that_is_not_known_arms(tmp_path: Path) -> None:
    made = Office(tmp_path / "alarm.db", calendar_site((Span(0, 1440),)))
    made.clock.now_quality = ClockQuality.UNKNOWN
    assert made.store.start(10)
    made.desk.start()
    try:
        made.connect()
        made.turn(1)
        assert made.desk.area_list()[0]["phase"] == "armed"
        closed(made)
        assert made.act(Disarm("王芳"))["phase"] == "disarmed"
        made.turn(600)
        assert made.desk.area_list()[0]["phase"] == "disarmed"
    finally:
        made.desk.stop()
        made.store.stop()


@pytest.mark.parametrize(("spans", "disarms", "phase"), [
    ((Span(0, 1440),), True, "disarmed"),
    ((Span(0, 1440),), False, "armed"),
    ((), True, "armed"),
])  # fmt: skip
def test_what_was_armed_for_want_of_the_time_is_disarmed_when_it_is_open_by_the_calendar(
    tmp_path: Path, spans: tuple[Span, ...], disarms: bool, phase: str
) -> None:
    path = tmp_path / "alarm.db"
    with _timeless(path, calendar_site(spans, disarms)) as made:
        made.turn(1)
        assert [(area["phase"], area["blind"]) for area in made.desk.area_list()] == [("armed", True)]
        told = [body["data"] for body in made.police.alerts("arming.v1")]
        assert [(each["state"], each["why"]) for each in told] == [("armed", "clock unknown")]
    with _timeless(path, calendar_site(spans, disarms)) as made:
        made.turn(1)
        assert made.desk.area_list()[0]["blind"], "a restart forgot why it is armed"
        made.clock.now_quality = ClockQuality.LAST_GOOD
        made.turn(1)
        assert made.desk.area_list()[0]["phase"] == "armed", "the time of the last shutdown disarms nothing"
        made.clock.now_quality = ClockQuality.NTP
        made.turn(1)
        assert made.desk.area_list()[0]["phase"] == phase
        told = [body["data"] for body in made.police.alerts("arming.v1")]
        if phase == "disarmed":
            assert (told[-1]["state"], told[-1]["who"]) == ("disarmed", "calendar")
            assert "clock known again" in told[-1]["why"]
        else:
            assert told == []


def test_what_a_person_armed_is_not_disarmed_when_the_time_is_known_again(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with office(path, site=SITE) as made:
        closed(made)
        made.act(Arm("王芳"))
        made.turn(50)
    with _timeless(path, calendar_site((Span(0, 1440),))) as made:
        made.turn(1)
        assert [(area["phase"], area["blind"]) for area in made.desk.area_list()] == [("armed", False)]
        made.clock.now_quality = ClockQuality.NTP
        made.turn(1)
        assert made.desk.area_list()[0]["phase"] == "armed"


@contextmanager
def _timeless(path: Path, site: Site) -> Iterator[Office]:
    """A start of a machine that does not know the time."""
    made = Office(path, site)
    made.clock.now_quality = ClockQuality.UNKNOWN
    assert made.store.start(10)
    made.desk.start()
    try:
        made.connect()
        yield made
    finally:
        made.desk.stop()
        made.store.stop()
