"""alarm.db: what is told committed is there, whatever was stored comes back, and faults are told."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent import audit
from agent.clock import SystemClock
from agent.delivery import rows
from agent.delivery.payload import Alert, Identity, cloud_event, ordered_id
from agent.delivery.schema import MIGRATIONS
from agent.delivery.store import AlarmStore, JobFailed, Opened
from agent.facts import ClockQuality, InputState, Text
from agent.safety.incidents import Incident, Life
from agent.safety.zones import ZoneState
from tests.fakes.waiting import until

_WHO = Identity("F0012", "edge-0001", ZoneInfo("Asia/Shanghai"), "boot-1")
_INCIDENT = Incident("i1", "panic", "zone/Z01", "一键报警", "R01", True, 5, 5, Life.RESTORED, restored_ns=6)


def _alert(seq: int, priority: int = 1) -> Alert:
    alert_id = ordered_id(seq * 1_000_000, b"0123456789")
    return Alert(
        alert_id,
        seq,
        "alarm",
        "cn.tyj.alarm.panic.v1",
        "zone/Z01",
        priority,
        seq,
        ClockQuality.NTP,
        Text("急", "panic"),
    )


def _write(*alerts: Alert, **more: Any) -> rows.Write:
    bodies = tuple((alert, cloud_event(alert, _WHO)) for alert in alerts)
    return rows.Write(alerts=bodies, platforms=("police", "cloud"), at_ns=time.time_ns(), **more)


@contextmanager
def _store(path: Path) -> Iterator[tuple[AlarmStore, Opened]]:
    opened: SimpleQueue[Opened] = SimpleQueue()
    store = AlarmStore(path, SystemClock(), opened.put)
    assert store.start(10)
    try:
        yield store, opened.get()
    finally:
        store.stop()


def _do(store: AlarmStore, job: Any) -> Any:
    """Run a job and wait for its commit."""
    results: SimpleQueue[Any] = SimpleQueue()
    store.submit(job, results.put)
    return results.get(timeout=10)


def test_what_was_stored_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "alarm.db"
    with _store(path) as (store, opened):
        assert opened.kept == rows.Kept((), {}, {}, (), ())
        _do(
            store,
            partial(
                rows.put,
                write=_write(
                    _alert(1, priority=3), _alert(2), incidents=(_INCIDENT,),
                    zones=(("Z01", ZoneState(InputState.ALARM, 5, known=True)),),
                    seen_input=("uid", 3, 4), seen_fact=("vision", "b", 9),
                ),
            ),
        )  # fmt: skip
        done = rows.Delivery(_alert(2).id, "police", "receipted", done=True, receipted_ns=9, case_no="110-1")
        _do(store, partial(rows.put_delivery, delivery=done))
    with _store(path) as (store, opened):
        kept = opened.kept
        assert kept.incidents == (_INCIDENT,)
        assert kept.zones == {"Z01": ZoneState(InputState.ALARM, 5, known=False)}
        assert kept.seen_inputs == (("uid", 3, 4),)
        assert kept.seen_facts == (("vision", "b", 9),)
        with store.reading() as db:
            waiting = {name: [each.priority for each in rows.read_waiting(db, name, 9)] for name in ("police", "cloud")}
            assert waiting == {"police": [3], "cloud": [1, 3]}
            first, second = rows.read_events(db, 10, None, None)
            assert rows.read_events(db, 10, 1, None) == [second]
            assert rows.read_events(db, 10, None, "fault") == []
        assert first["seq"] == 1
        assert second["delivery"]["police"] == {
            "state": "receipted", "published_ns": None, "receipted_ns": 9, "case_no": "110-1"
        }  # fmt: skip


def test_sequence_numbers_are_never_reserved_twice(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    given: list[rows.Block] = []
    for _ in range(3):
        with _store(path) as (store, opened):
            given += [opened.block, _do(store, rows.reserve)]
    numbers = [(block.first, block.end) for block in given]
    assert all(end == first for (_, end), (first, _) in pairwise(numbers))


def test_told_again_is_stored_once(tmp_path: Path) -> None:
    with _store(tmp_path / "alarm.db") as (store, _):
        for _ in range(3):
            _do(store, partial(rows.put, write=_write(_alert(1), seen_input=("uid", 1, 1))))
        with store.reading() as db:
            assert len(rows.read_events(db, 10, None, None)) == 1


def test_a_receipt_is_not_undone_by_a_late_acknowledgement(tmp_path: Path) -> None:
    with _store(tmp_path / "alarm.db") as (store, _):
        _do(store, partial(rows.put, write=_write(_alert(1))))
        for state, done in (("receipted", True), ("published", False)):
            _do(store, partial(rows.put_delivery, delivery=rows.Delivery(_alert(1).id, "police", state, done)))
        with store.reading() as db:
            assert rows.read_events(db, 1, None, None)[0]["delivery"]["police"]["state"] == "receipted"


def test_audit_rows_are_chained_in_the_database(tmp_path: Path) -> None:
    with _store(tmp_path / "alarm.db") as (store, _):
        for n in range(1, 4):
            deed = audit.Deed(n, "王芳", "footage.export", "camera/C01", {"from_ns": n})
            row = _do(store, partial(rows.put, write=rows.Write(deed=deed)))
            assert row.n == n
        with store.reading() as db:
            chain = rows.read_audit(db)
    assert len(chain) == 3
    assert audit.first_break(chain) is None
    with closing(sqlite3.connect(tmp_path / "alarm.db")) as db, db:
        db.execute("UPDATE audit SET who = '李娜' WHERE n = 2")
    with closing(sqlite3.connect(tmp_path / "alarm.db")) as db:
        assert audit.first_break(rows.read_audit(db)) == 2


def test_one_bad_change_does_not_hold_up_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with _store(tmp_path / "alarm.db") as (store, _):
        results: SimpleQueue[Any] = SimpleQueue()
        store.submit(lambda db: db.execute("INSERT INTO nowhere VALUES (1)"), results.put)
        store.submit(partial(rows.put, write=_write(_alert(1))), results.put)
        assert isinstance(results.get(timeout=10), JobFailed)
        assert results.get(timeout=10) is None
        assert store.state().ok
    assert "refused by the database" in caplog.text


def test_a_held_lock_is_told_and_everything_is_stored_after_it(tmp_path: Path) -> None:
    with _store(tmp_path / "alarm.db") as (store, _):
        with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            done = threading.Event()
            store.submit(partial(rows.put, write=_write(_alert(1))), lambda _result: done.set())
            until(lambda: not store.state().ok, 10, "the store fails")
            assert "locked" in store.state().detail
            assert not done.is_set()
            other.execute("ROLLBACK")
        assert done.wait(10)
        until(lambda: store.state().ok, 5, "the store works")


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with _store(path):
        pass
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    store = AlarmStore(path, SystemClock(), lambda _opened: None)
    assert not store.start(0.5)
    assert "newer" not in store.state().detail
    assert "schema" in store.state().detail
    store.stop()
    assert [each.name for each in tmp_path.iterdir() if "damaged" in each.name] == []


def test_neither_a_job_nor_a_listener_that_fails_ends_the_store(tmp_path: Path) -> None:
    def listener(_result: object) -> None:
        raise LookupError("nobody is there")

    with _store(tmp_path / "alarm.db") as (store, _):
        deed = audit.Deed(1, "王芳", "footage.export", "camera/C01", {})
        store.submit(partial(rows.put, write=rows.Write(deed=deed)), listener)
        assert isinstance(_do(store, lambda db: db.execute("SELECT ?", (1 << 70,))), JobFailed)
        assert isinstance(_do(store, lambda _db: [][1]), JobFailed)
        assert _do(store, partial(rows.put, write=rows.Write(deed=deed))).n == 2, "what was committed was done twice"
        assert store.state().ok


def damaged(path: Path) -> Callable[[sqlite3.Connection], None]:
    """Spoils the files at work; the job finds it out, as SQLite does when it reads the next page."""
    for part in (path, path.with_name("alarm.db-wal")):
        part.write_bytes(b"this is no database" * 1000)
    found: list[bool] = []

    def job(_db: sqlite3.Connection) -> None:
        if not found:
            found.append(True)
            raise sqlite3.DatabaseError("database disk image is malformed")

    return job


def test_a_database_damaged_at_work_is_begun_anew_with_fresh_numbers(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    opened: SimpleQueue[Opened] = SimpleQueue()
    store = AlarmStore(path, SystemClock(), opened.put)
    assert store.start(10)
    first = opened.get(timeout=5)
    assert not first.anew
    store.submit(damaged(path))
    store.submit(partial(rows.put, write=_write(_alert(1))))
    again = opened.get(timeout=10)
    assert again.anew
    assert again.block.first >= time.time_ns() // 1_000_000_000, "numbers of the damaged file may come again"
    assert _do(store, rows.reserve).first == again.block.end
    with store.reading() as db:
        assert len(rows.read_events(db, 10, None, None)) == 1
    store.stop()


def test_old_history_is_forgotten_and_what_matters_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kept in (("EVENTS_KEPT", 5), ("PRUNED_AT_ONCE", 4)):
        monkeypatch.setattr(rows, name, kept)
    with _store(tmp_path / "alarm.db") as (store, _):
        alerts = [_alert(n, priority=1 if n == 1 else 3) for n in range(1, 16)]
        for n, alert in enumerate(alerts, start=1):
            more = {"seen_input": ("uid", 1, n)}
            _do(store, partial(rows.put, write=_write(alert, **more)))
            for platform in ("police", "cloud"):
                done = not (n == 2 and platform == "police") and not (n == 3 and platform == "cloud")
                _do(store, partial(rows.put_delivery, delivery=rows.Delivery(alert.id, platform, "receipted", done)))
        prune = partial(rows.prune, platforms=("police",))  # the cloud is no longer in the settings
        left = []
        for _ in range(3):
            _do(store, prune)
            with store.reading() as db:
                left.append([event["seq"] for event in rows.read_events(db, 100, None, None)])
        assert left[0] == [1, 2, *range(7, 16)], "no more than a few at once"
        assert left[1] == left[2] == [1, 2, *range(11, 16)]
        with store.reading() as db:
            assert db.execute("SELECT count(*) FROM outbox").fetchone() == (14,)
            assert db.execute("SELECT count(*) FROM seen_inputs").fetchone() == (15,)


def test_old_repeats_and_closed_incidents_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = tuple((table, key, order, which, 3) for table, key, order, which, _ in rows._HISTORY)
    monkeypatch.setattr(rows, "_HISTORY", history)
    with _store(tmp_path / "alarm.db") as (store, _):
        for n in range(10):
            incidents = tuple(
                Incident(f"{kind}{n}", kind, "s", "", None, kind == "panic", n, n, state)
                for kind, state in (("fault", Life.CLOSED), ("open", Life.TRIGGERED), ("panic", Life.CLOSED))
            )
            seen = {"seen_input": ("uid", 1, n), "seen_fact": ("vision", "b", n)}
            _do(store, partial(rows.put, write=rows.Write(incidents=incidents, at_ns=n, **seen)))  # type: ignore[arg-type]
        _do(store, partial(rows.prune, platforms=()))
        with store.reading() as db:
            assert [n for (n,) in db.execute("SELECT event_id FROM seen_inputs")] == [7, 8, 9]
            assert [n for (n,) in db.execute("SELECT n FROM seen_facts")] == [7, 8, 9]
            left = rows.read_incidents(db, open_only=False)
        assert len([each for each in left if each.kind == "fault"]) == 3
        assert len([each for each in left if each.kind != "fault"]) == 20
