"""A disk of the index that does not answer, or refuses for hours: nobody waits for it, memory is bounded, and what was
left out is looked for afterwards."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.facts import ConditionKind
from agent.footage import rows
from agent.footage.disk.files import create_volume
from agent.footage.index import DOES_NOT_ANSWER, Index
from agent.footage.index_file import prepare
from agent.footage.recording.recorder import Recorder
from agent.footage.timeline import Gap
from tests.fakes.waiting import until

FOR_SECONDS = (
    """WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 4000000)
    INSERT INTO note SELECT 'n', MAX(x) FROM n""",
    (),
)
"""A statement that keeps the one thread that writes busy, as a disk does that hangs."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    found = Index(tmp_path / "footage.db")
    found.start()
    assert found.is_ready()
    yield found
    found.stop(30)


def test_a_commit_that_hangs_is_told_and_nobody_reads(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.footage.index.HUNG_S", 0.2)
    assert index.failing is None
    hangs = index.submit(FOR_SECONDS)
    until(lambda: index.failing == DOES_NOT_ANSWER, 10, "it is told")
    began = time.monotonic()
    with pytest.raises(sqlite3.OperationalError, match="does not answer"), index.reading():
        pass
    assert not hangs.done.is_set(), "it was over too soon for this test"
    assert time.monotonic() - began < 1
    assert hangs.done.wait(60)
    until(lambda: index.failing is None, 5, "it is over")
    with index.reading() as connection:
        assert connection.execute("SELECT value FROM note WHERE name = 'n'").fetchone()[0] == "4000000"


def test_an_idle_index_does_not_hang(index: Index) -> None:
    for _ in range(3):
        assert index.submit().done.wait(10)
        until(lambda: index._busy_since is None, 5, "nothing is asked of the disk")
        assert index.failing is None


def test_what_was_left_out_is_looked_for_once_the_index_works(
    index: Index, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent.footage.index.MAX_WAITING", 50)
    index.submit().done.wait(5)
    before = index.generation
    with closing(sqlite3.connect(index.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        taken = [index.submit(rows.put_gap(f"cam{n}", "main", Gap(n, None, "starting"))) for n in range(500)]
        assert sum(not each.refused for each in taken) <= 51
        until(lambda: index.failing is not None, 10, "the index says so")
        assert index.generation == before
        other.execute("ROLLBACK")
    until(lambda: index.generation == before + 1, 10, "files and rows are to be compared")
    assert all(each.done.is_set() for each in taken if not each.refused)
    assert sum("far behind" in record.message for record in caplog.records) == 1, "one line, not one for each row"
    until(lambda: index.failing is None, 5, "it works")
    assert index.submit().done.wait(5)
    assert index.generation == before + 1


def test_what_waited_is_not_one_step_of_many_seconds(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.footage.index.MOST_AT_ONCE", 10)
    with closing(sqlite3.connect(index.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waits = [index.submit(rows.put_gap(f"cam{n}", "main", Gap(n, None, "starting"))) for n in range(95)]
        other.execute("ROLLBACK")
    assert waits[-1].done.wait(20)
    assert all(each.done.is_set() for each in waits)
    with index.reading() as connection:
        assert connection.execute("SELECT COUNT(*) FROM gap").fetchone()[0] == 95


def test_a_recorder_begins_beside_a_database_that_another_program_holds(tmp_path: Path) -> None:
    """And takes it up when it is free; a stop waits for it hardly."""
    create_volume(tmp_path / "volume", "f1")
    prepare(tmp_path / "footage.db")
    index = Index(tmp_path / "footage.db")
    recorder = Recorder([], [tmp_path / "volume"], "f1", index, SystemClock(), "boot", reserve_bytes=1)
    with closing(sqlite3.connect(index.path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        recorder.start()
        until(lambda: recorder.volumes.any_open, 20, "footage can be recorded")
        assert recorder.status()["index"]["ok"] is False
        assert ConditionKind.FOOTAGE_UPKEEP_FAILING in {fault.kind for fault in recorder.faults()}
        other.execute("ROLLBACK")
    until(lambda: recorder.status()["index"]["ok"], 20, "the index is taken up")
    with index.reading() as connection:
        until(lambda: connection.execute("SELECT COUNT(*) FROM volume").fetchone()[0] == 1, 10, "it is told all")
    recorder.stop()


def test_a_stop_while_another_program_holds_the_database(tmp_path: Path) -> None:
    index = Index(tmp_path / "footage.db")
    index.start()
    assert index.is_ready()
    with closing(sqlite3.connect(index.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waits = index.submit(rows.put_gap("cam", "main", Gap(1, None, "starting")))
        index.stop(6)
        assert not waits.done.is_set()
        other.execute("ROLLBACK")
    assert threading.active_count() < 50
