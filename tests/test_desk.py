"""The alarm desk: what goes out when, and what survives."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent import audit
from agent.delivery import dispatch, rows
from agent.delivery.payload import input_alert_id, input_incident_id
from agent.facts import ConditionKind, InputState
from agent.inbox import Call, LinkReport, SnapshotReport
from agent.safety.incidents import Happening, Life
from tests.delivery.test_store import damaged
from tests.fakes.office import UID, Office, office
from tests.fakes.waiting import until


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "alarm.db") as made:
        yield made


def test_a_press_goes_to_both_platforms_under_ids_of_the_board(desk: Office) -> None:
    key = desk.change(1, InputState.ALARM)
    assert desk.acknowledged == [key]
    for route in (desk.police, desk.cloud):
        (topic, body) = route.published[0]
        assert topic == "tyj/v1/F0012/edge-0001/evt/alarm"
        assert body["id"] == input_alert_id(UID, 1, 1)
        assert (body["type"], body["priority"], body["historical"]) == ("cn.tyj.alarm.panic.v1", 1, False)
        assert body["data"]["incident_id"] == input_incident_id(UID, 1, 1)
        assert body["data"]["zone"] == {
            "id": "Z01", "name": "托大一班一键报警", "type": "panic_24h", "supervised": False
        }  # fmt: skip
        assert body["data"]["cameras"] == ["C01"]
        assert body["data"]["drill"] is False
    assert all(state["waiting"] == 0 for state in desk.desk.dispatch.status())


def test_published_before_the_commit_and_acknowledged_after_it(desk: Office) -> None:
    with closing(sqlite3.connect(desk.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(5):
            desk.change(1, InputState.ALARM, settle=False)
        until(lambda: desk.police.alerts("panic"), 5, "published while the disk is held")
        assert desk.acknowledged == []
        other.execute("ROLLBACK")
    desk.settle()
    assert len(desk.police.alerts("panic")) == 1, "repeats were published"
    assert desk.acknowledged == [(UID, 1, 1)]
    desk.change(1, InputState.ALARM)
    assert desk.acknowledged == [(UID, 1, 1)] * 2, "a later repeat is acknowledged again"
    assert len(desk.police.alerts("panic")) == 1


def test_a_disk_that_never_returns_is_a_fault_and_silences_no_button(desk: Office) -> None:
    stuck, free = threading.Event(), threading.Event()

    def job(_db: sqlite3.Connection) -> None:
        stuck.set()
        free.wait(30)

    desk.store.submit(job)
    assert stuck.wait(5)
    desk.clock.move(6)
    desk.desk.post(Call(desk.desk.turn))
    until(lambda: desk.police.alerts("store_failing"), 5, "the fault goes out without a commit")
    desk.change(1, InputState.ALARM, settle=False)
    until(lambda: desk.police.alerts("panic"), 5, "the press goes out without a commit")
    assert desk.acknowledged == []
    free.set()
    desk.settle()
    desk.turn()
    assert desk.acknowledged == [(UID, 1, 1)]
    assert [body["data"]["state"] for body in desk.police.alerts("store_failing")] == ["triggered", "restored"]


def test_a_door_is_stored_before_it_is_published(desk: Office) -> None:
    with closing(sqlite3.connect(desk.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        desk.change(1, InputState.ALARM, input_no=1, settle=False)
        desk.change(2, InputState.ALARM, input_no=0, settle=False)
        until(lambda: desk.police.alerts("panic"), 5, "the press that came later is out")
        assert desk.police.alerts("door") == []
        other.execute("ROLLBACK")
    desk.settle()
    (door,) = desk.police.alerts("door")
    assert (door["data"]["state"], door["data"]["armed"], door["priority"]) == ("opened", "never", 3)


def test_a_restart_keeps_latch_zones_and_repeats(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with office(path) as first:
        first.change(1, InputState.ALARM)
        first.change(2, InputState.NORMAL)
        first.change(3, InputState.ALARM, input_no=1)
        numbers = [body["seq"] for body in first.police.alerts()]
    with office(path) as second:
        (incident,) = second.incidents()
        assert (incident.latched, incident.state) == (True, Life.RESTORED)
        second.change(1, InputState.ALARM)
        assert second.acknowledged == [(UID, 1, 1)]
        assert second.police.alerts() == [], "a repeat from before the restart was told again"
        second.desk.post(SnapshotReport("B1", {0: InputState.NORMAL, 1: InputState.NORMAL}, second.clock.stamp()))
        second.turn(2)
        (closed,) = second.police.alerts("door")
        assert (closed["data"]["state"], closed["data"]["late"]) == ("closed", True)
        assert closed["seq"] > max(numbers)


def test_reset_needs_the_input_restored_and_is_audited(desk: Office) -> None:
    desk.change(1, InputState.ALARM)
    (incident,) = desk.incidents()
    assert desk.person(Happening.RESET, incident.id, "误报")[0] == "not_restored"
    assert desk.person(Happening.RESET, "ffff", "误报")[0] == "no_such_incident"
    assert desk.person(Happening.ACKNOWLEDGE, incident.id[:6]).acknowledged_by == "王芳"
    assert desk.person(Happening.ACKNOWLEDGE, incident.id).acknowledged_by == "王芳"
    desk.change(2, InputState.NORMAL)
    after = desk.person(Happening.RESET, incident.id, "误报")
    assert (after.state, after.reset_why) == (Life.CLOSED, "误报")
    assert desk.incidents() == []
    assert desk.person(Happening.RESET, incident.id, "误报")[0] == "no_such_incident"
    states = [body["data"]["state"] for body in desk.police.alerts("panic")]
    assert states == ["triggered", "acknowledged", "restored", "reset"]
    with desk.store.reading() as db:
        chain = rows.read_audit(db)
    assert [row.deed.action for row in chain] == ["incident.acknowledge", "incident.reset"]
    assert audit.first_break(chain) is None
    assert desk.change(3, InputState.ALARM)
    assert desk.incidents()[0].id == input_incident_id(UID, 1, 3)


def test_a_prefix_of_several_incidents_is_ambiguous(desk: Office) -> None:
    for number in range(40):
        desk.change(number * 2 + 1, InputState.ALARM, settle=False)
        desk.change(number * 2 + 2, InputState.NORMAL, settle=False)
    desk.settle()
    (incident,) = desk.incidents()
    assert incident.count == 40
    desk.tell(desk.condition(active=True))
    desk.tell(desk.condition(active=True, kind=ConditionKind.VISION_BLIND))
    found = {each.id[:2] for each in desk.incidents()}
    if len(found) < 3:  # ids made at one moment begin alike
        assert desk.person(Happening.ACKNOWLEDGE, "01")[0] == "ambiguous"


def test_over_capacity_is_told_once_each_way_and_taken_after_the_commit(desk: Office) -> None:
    assert desk.tell(desk.condition(active=True)) == ["taken"]
    (alert,) = desk.police.alerts("over_capacity")
    assert alert["type"] == "cn.tyj.ai.over_capacity.v1"
    assert (alert["data"]["room"], alert["data"]["detail"]) == ("R01", {"count": 25, "capacity": 20})
    assert desk.police.published[0][0].endswith("/evt/ai")
    for _ in range(3):
        desk.turn(5)
        assert desk.tell(desk.condition(active=True)) == ["taken"]
    assert len(desk.police.alerts("over_capacity")) == 1
    desk.tell(desk.condition(active=False))
    assert [body["data"]["state"] for body in desk.police.alerts("over_capacity")] == ["triggered", "restored"]
    assert desk.incidents() == []


def test_a_fact_told_again_does_nothing(desk: Office) -> None:
    first, over = desk.condition(active=True), desk.condition(active=False)
    assert desk.tell(first, n=1) == ["taken"]
    assert desk.tell(over, n=2) == ["taken"]
    assert desk.tell(first, n=1) == ["taken"]
    assert len(desk.police.alerts("over_capacity")) == 2


def test_counts_of_people_are_telemetry_on_change(desk: Office) -> None:
    for count in (3, 3, 3, 4, 4):
        desk.clock.move(2)
        desk.tell(desk.people(count))
    told = [body for topic, body in desk.police.told if topic.endswith("/tele/people")]
    assert [(body["type"], body["data"]["count"]) for body in told] == [
        ("cn.tyj.ai.people_counted.v1", 3),
        ("cn.tyj.ai.people_counted.v1", 4),
    ]
    assert desk.desk.rooms["R01"].count == 4
    assert desk.police.alerts() == []


def test_a_lost_uplink_is_told_on_the_other_one_and_restored(desk: Office) -> None:
    desk.police.lose()
    desk.settle()
    desk.turn(4)
    assert desk.cloud.alerts("uplink_down") == []
    desk.turn(2)
    (alert,) = desk.cloud.alerts("uplink_down")
    assert (alert["subject"], alert["data"]["state"]) == ("platform/police", "triggered")
    desk.change(1, InputState.ALARM)
    desk.turn(10)
    desk.police.connect()
    desk.settle()
    desk.turn()
    assert [body["data"]["state"] for body in desk.cloud.alerts("uplink_down")] == ["triggered", "restored"]
    first = desk.police.alerts()[0]
    assert (first["type"], first["historical"]) == ("cn.tyj.alarm.panic.v1", True)


def test_missing_receipts_are_a_fault(desk: Office) -> None:
    desk.police.receipts = False
    desk.change(1, InputState.ALARM)
    for _ in range(32):
        desk.turn(1)
    (alert,) = desk.cloud.alerts("receipt_missing")
    assert alert["subject"] == "platform/police"
    sent = desk.police.alerts("panic")
    assert len(sent) >= 2
    assert len({body["id"] for body in sent}) == 1
    for body in desk.police.alerts():
        desk.police.receipt(body["id"])
    desk.settle()
    desk.turn()
    assert [body["data"]["state"] for body in desk.cloud.alerts("receipt_missing")] == ["triggered", "restored"]


def test_forged_and_broken_receipts_change_nothing(desk: Office) -> None:
    desk.police.receipts = False
    desk.change(1, InputState.ALARM)
    (alert,) = desk.police.alerts("panic")
    desk.police.raw_receipt(b"\xff\x00")
    desk.police.raw_receipt(b'{"id": "x"}')
    desk.police.receipt(alert["id"], retained=True)
    desk.police.receipt("00000000-0000-0000-0000-000000000000")
    desk.settle()
    waiting = {state["id"]: state["waiting"] for state in desk.desk.dispatch.status()}
    assert waiting == {"police": 1, "cloud": 0}


def test_a_silent_board_makes_its_zones_unknown_and_is_a_fault(desk: Office) -> None:
    desk.desk.post(SnapshotReport("B1", {0: InputState.NORMAL, 1: InputState.NORMAL}, desk.clock.stamp()))
    desk.settle()
    assert {zone["state"] for zone in desk.desk.zone_list()} == {"normal"}
    desk.turn()
    desk.desk.post(LinkReport("B1", False, "silent"))
    desk.turn(1)
    assert {zone["state"] for zone in desk.desk.zone_list()} == {"unknown"}
    assert desk.police.alerts("bridge_silent") == []
    desk.turn(1.5)
    (alert,) = desk.police.alerts("bridge_silent")
    assert alert["data"]["detail"] == {"reason": "silent"}
    desk.desk.post(LinkReport("B1", True, "heard"))
    desk.turn()
    assert [body["data"]["state"] for body in desk.police.alerts("bridge_silent")] == ["triggered", "restored"]


def test_a_process_without_a_pulse_is_a_fault(desk: Office) -> None:
    desk.turn(29)
    assert desk.police.alerts("process_silent") == []
    desk.turn(2)
    (alert,) = desk.police.alerts("process_silent")
    assert alert["subject"] == "process/vision"


def test_an_input_without_a_zone_is_acknowledged(desk: Office) -> None:
    key = desk.change(1, InputState.ALARM, input_no=7)
    assert desk.acknowledged == [key]
    assert desk.police.alerts() == []


def test_conditions_of_an_earlier_start_are_told_over(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with office(path) as first:
        first.tell(first.condition(active=True))
    with office(path) as second:
        assert [each.kind for each in second.incidents()] == ["over_capacity"]
        second.turn(5)
        assert second.police.alerts("over_capacity") == []
        second.turn(12)
        (over,) = second.police.alerts("over_capacity")
        assert (over["data"]["state"], over["data"]["lapsed"]) == ("restored", True)
        assert second.incidents() == []


def test_what_no_platform_receipted_goes_out_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with office(path, connected=False) as first:
        first.change(1, InputState.ALARM)
        first.change(2, InputState.NORMAL)
    with office(path) as second:
        second.settle()
        got = second.police.alerts()
        assert [(body["id"], body["historical"]) for body in got] == [
            (input_alert_id(UID, 1, 1), True),
            (input_alert_id(UID, 1, 2), True),
        ]
    with office(path) as third:
        assert third.police.alerts() == []


def test_a_platform_away_for_weeks_takes_nothing_from_the_other(
    desk: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "HELD_AT_MOST", 20)
    monkeypatch.setattr(dispatch, "FEW", 10)
    monkeypatch.setattr("agent.delivery.outgoing.HELD_AT_MOST", 20)
    desk.cloud.lose()
    for number in range(1, 61):
        desk.change(number, InputState.ALARM if number % 2 else InputState.NORMAL, input_no=1)
    assert len(desk.police.alerts("door")) == 60, "a dead platform used up the other's places"
    waiting = {state["id"]: state["waiting"] for state in desk.desk.dispatch.status()}
    assert waiting == {"police": 0, "cloud": 20}
    desk.cloud.connect()
    for _ in range(4):
        desk.settle()
        desk.turn(1)
    seen = {body["seq"] for body in desk.cloud.alerts("door")}
    assert len(seen) == 60, "what waited in the database never went out"


def test_what_waits_for_a_platform_no_longer_there_holds_up_nothing_at_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "HELD_AT_MOST", 20)
    monkeypatch.setattr("agent.delivery.outgoing.HELD_AT_MOST", 20)
    path = tmp_path / "alarm.db"
    with office(path, connected=False) as first:
        first.police.connect()
        for number in range(1, 31):
            first.change(number, InputState.ALARM if number % 2 else InputState.NORMAL, input_no=1)
        first.police.lose()
        first.change(31, InputState.ALARM, input_no=1)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE outbox SET platform = 'gone' WHERE platform = 'cloud'")
    with office(path) as second:
        second.settle()
        assert [body["id"] for body in second.police.alerts("door")] == [input_alert_id(UID, 1, 31)]


def test_a_broker_that_drops_every_connection_is_a_fault(desk: Office) -> None:
    desk.turn(6)
    desk.police.answers = False
    for number in range(20):
        desk.police.lose()
        desk.turn(1)
        desk.police.connect()
        desk.change(number + 1, InputState.ALARM if number % 2 == 0 else InputState.NORMAL)
        desk.turn(1)
    (alert,) = desk.cloud.alerts("uplink_down")
    assert (alert["subject"], alert["data"]["state"]) == ("platform/police", "triggered")
    desk.police.answers = True
    desk.police.lose()
    desk.police.connect()
    desk.settle()
    desk.turn()
    assert [body["data"]["state"] for body in desk.cloud.alerts("uplink_down")] == ["triggered", "restored"]


def test_a_latched_alarm_outlives_its_database(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with office(path) as first:
        first.change(1, InputState.ALARM)
        first.store.submit(damaged(path))
        until(lambda: not first.store.state().ok, 5, "the damage is found")

        def mended() -> bool:
            first.clock.move(2)  # the store may begin to wait only now
            return first.store.state().ok

        until(mended, 10, "a new database")
        first.settle()
    assert list(tmp_path.glob("alarm.db.damaged-*"))
    with office(path) as second:
        (incident,) = [each for each in second.incidents() if each.kind == "panic"]
        assert (incident.latched, incident.id) == (True, input_incident_id(UID, 1, 1))


def test_a_new_press_can_be_acknowledged_although_the_clock_was_set_back(desk: Office) -> None:
    desk.change(1, InputState.ALARM)
    (incident,) = desk.incidents()
    desk.clock.step_wall(50 * 365 * 86400)
    assert desk.person(Happening.ACKNOWLEDGE, incident.id).state is Life.ACKNOWLEDGED
    desk.clock.step_wall(-50 * 365 * 86400)
    desk.change(2, InputState.NORMAL)
    desk.change(3, InputState.ALARM)
    assert desk.incidents()[0].state is Life.TRIGGERED
    assert desk.person(Happening.ACKNOWLEDGE, incident.id).state is Life.ACKNOWLEDGED
    states = [body["data"]["state"] for body in desk.police.alerts("panic")]
    assert states == ["triggered", "acknowledged", "restored", "triggered", "acknowledged"]


def test_a_fault_in_one_route_takes_no_press_from_the_other_platform_or_the_disk(
    desk: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise LookupError("a fault of this program")

    working = desk.police.publish
    monkeypatch.setattr(desk.police, "publish", broken)
    key = desk.change(1, InputState.ALARM)
    assert len(desk.cloud.alerts("panic")) == 1
    assert desk.acknowledged == [key]
    monkeypatch.setattr(desk.police, "publish", working)
    desk.police.connect()
    desk.settle()
    assert [body["id"] for body in desk.police.alerts("panic")] == [input_alert_id(UID, 1, 1)]


def test_a_fact_that_could_not_be_dealt_with_is_taken_when_it_comes_again(
    desk: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("a fault of this program")

    with monkeypatch.context() as during:
        during.setattr(desk.desk.watch, "take", broken)
        for _ in range(3):
            assert desk.tell(desk.condition(active=True), n=7) == []
    assert desk.tell(desk.condition(active=True), n=7) == ["taken"], "its sender would wait for ever"
    assert caplog.text.count("Traceback") == 1, "the same fault is logged once a minute"


def test_an_input_that_nobody_wired_chatters_without_a_flood_of_lines(
    desk: Office, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(50):
        desk.change(number, InputState.ALARM, input_no=7, settle=False)
    desk.settle()
    assert len([line for line in caplog.messages if "no zone" in line]) == 1


def test_what_can_never_be_stored_is_published_and_neither_acknowledged_nor_done(
    desk: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.change(1, InputState.ALARM)
    (incident,) = desk.incidents()

    def refuse(*_: object, **__: object) -> None:
        raise ValueError("a value that no column takes")

    monkeypatch.setattr(rows, "put", refuse)
    desk.change(2, InputState.NORMAL)
    desk.change(3, InputState.ALARM)
    assert desk.acknowledged == [(UID, 1, 1)]
    assert [body["data"]["state"] for body in desk.police.alerts("panic")].count("triggered") == 2
    assert desk.person(Happening.ACKNOWLEDGE, incident.id)[0] == "store_failing"
    assert desk.incidents()[0].state is Life.TRIGGERED
    assert desk.tell(desk.condition(active=True)) == ["taken"], "its sender would send it for ever"
