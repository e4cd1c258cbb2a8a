"""footage.db: what is written, in which order, and what happens when the disk or the file is bad."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.footage import rows
from agent.footage.index import Index
from agent.footage.index_file import IndexBroken, IndexBusy, connect, prepare, set_aside
from agent.footage.migrations import MIGRATIONS
from agent.footage.rows import Last, SegmentRow
from agent.footage.timeline import Gap
from tests.fakes.gap_rows import gaps_between
from tests.fakes.waiting import until


def row(seq: int, start_ns: int, end_ns: int | None = None, state: str = "closed", camera: str = "cam") -> SegmentRow:
    path = f"{camera}/{seq}.mp4"
    return SegmentRow(
        camera, "vol", "main", 1, seq, start_ns, end_ns, 0, 0, path, "h264", 0, 0, None, None, None, state
    )


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    prepare(tmp_path / "footage.db")
    found = Index(tmp_path / "footage.db")
    found.start()
    yield found
    found.stop()


def gaps(index: Index) -> list[Gap]:
    index.submit().done.wait(5)
    with index.reading() as connection:
        return gaps_between(connection, "cam", "main", 0, 10**12, 100)


def test_a_row_is_there_once_its_commit_is_told(index: Index) -> None:
    assert index.submit(rows.put_segment(row(1, 10, None, "open"))).done.wait(5)
    with index.reading() as connection:
        assert [each.state for each in rows.open_segments(connection, "vol")] == ["open"]


def test_commits_survive_a_power_cut(index: Index) -> None:
    with closing(connect(index.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_bad_row_does_not_hold_up_the_next(index: Index) -> None:
    bad = index.submit(("INSERT INTO segment (camera) VALUES (?)", ("cam",)))
    assert index.submit(rows.put_segment(row(1, 10))).done.wait(5)
    assert bad.refused
    assert index.failing is None


def test_a_time_that_no_database_holds_ends_nothing(index: Index) -> None:
    """A camera that lies about time must not end the one thread that writes."""
    bad = index.submit(rows.put_gap("cam", "main", Gap(1 << 70, None, "stopped")))
    assert index.submit(rows.put_segment(row(1, 10))).done.wait(5)
    assert bad.refused


def test_a_locked_database_is_told_and_waited_for(index: Index) -> None:
    index.submit(rows.put_segment(row(1, 10))).done.wait(5)
    with closing(sqlite3.connect(index.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        pending = index.submit(rows.put_segment(row(2, 20)))
        until(lambda: index.failing, 10, "the index says that it is failing")
        assert not pending.done.is_set()
        other.execute("ROLLBACK")
    assert pending.done.wait(10)
    until(lambda: index.failing is None, 5, "the index works again")


def test_one_gap_lasts_and_is_ended(index: Index) -> None:
    index.submit(rows.put_gap("cam", "main", Gap(100, None, "stopped")))
    index.submit(rows.put_gap("cam", "main", Gap(200, None, "power_loss")))
    assert gaps(index) == [Gap(100, None, "stopped")]
    index.submit(*rows.end_gap("cam", "main", 300))
    assert gaps(index) == [Gap(100, 300, "stopped")]


def test_a_gap_takes_its_cause_when_that_is_known(index: Index) -> None:
    index.submit(*rows.mark_gap("cam", "main", 100, 100, "connection_lost", ""))
    index.submit(*rows.mark_gap("cam", "main", 100, 160, "camera_silent", "no packets come"))
    assert gaps(index) == [Gap(100, None, "camera_silent", "no packets come")]


def test_another_cause_begins_another_gap_without_a_hole(index: Index) -> None:
    index.submit(rows.put_gap("cam", "main", Gap(100, None, "power_loss")))
    index.submit(*rows.mark_gap("cam", "main", 100, 160, "camera_refused", "x"))
    index.submit(*rows.mark_gap("cam", "main", 100, 170, "camera_refused", "x"))
    assert gaps(index) == [Gap(100, 160, "power_loss"), Gap(160, None, "camera_refused", "x")]


def test_a_clock_set_back_leaves_no_gap_of_negative_length(index: Index) -> None:
    index.submit(rows.put_gap("cam", "main", Gap(5000, None, "clock_step")))
    index.submit(*rows.end_gap("cam", "main", 1000))
    assert gaps(index) == []


def test_segments_of_a_range(index: Index) -> None:
    index.submit(*(rows.put_segment(row(n, n * 60, n * 60 + 60)) for n in range(10)))
    index.submit(rows.put_segment(row(10, 600, None, "open"))).done.wait(5)
    with index.reading() as connection:
        found = rows.segments_between(connection, "cam", "main", 130, 620, 100, 3600)
        assert [each.seq for each in found] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
        assert rows.last_of(connection, "cam", "main") == Last(10, 600)
        plan = " ".join(
            str(tuple(each))
            for each in connection.execute("EXPLAIN QUERY PLAN SELECT * FROM segment ORDER BY start_ns LIMIT 100")
        )
        assert "segment_start" in plan


def test_the_newest_footage_is_what_was_recorded_last(index: Index) -> None:
    """The clock was set back between the two."""
    index.submit(rows.put_segment(row(1, 9000, 9060)), rows.put_segment(row(2, 100, 160))).done.wait(5)
    with index.reading() as connection:
        assert rows.last_of(connection, "cam", "main") == Last(2, 160)


def test_streams_of_a_camera_stand_side_by_side(index: Index) -> None:
    index.submit(rows.put_segment(row(7, 100, 160)), rows.put_gap("cam", "sub", Gap(100, None, "starting")))
    index.submit(rows.put_gap("cam", "main", Gap(160, None, "stopped"))).done.wait(5)
    with index.reading() as connection:
        assert rows.last_of(connection, "cam", "sub") == Last()
        assert gaps_between(connection, "cam", "sub", 0, 999, 9) == [Gap(100, None, "starting")]


def test_what_was_deleted_is_counted_on(index: Index) -> None:
    sql = "INSERT INTO tombstone VALUES ('cam', 'main', 1, 9, 0, 540, 9, 1, '', 'head', 'expired', 600)"
    index.submit((sql, ())).done.wait(5)
    with index.reading() as connection:
        assert rows.last_of(connection, "cam", "main") == Last(9, 540, None, "head")


def test_an_index_of_the_first_version_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "footage.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
        for seq, end_ns, state in ((1, None, "open"), (2, 30, "closed")):
            old.execute(
                "INSERT INTO segment (camera, volume, stream, seq, start_ns, end_ns, path, codec, width, height,"
                " sha256, state) VALUES ('cam', 'vol', 'main', ?, 10, ?, ?, 'h264', 0, 0, 'd', ?)",
                (seq, end_ns, f"cam/{seq}.mp4", state),
            )
        old.execute("INSERT INTO gap (camera, from_ns, to_ns, reason) VALUES ('cam', 5, 10, 'starting')")
        old.commit()
    prepare(path)
    with Index(path).reading() as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        assert [(each.seq, each.digest) for each in rows.open_segments(connection, "vol")] == [(1, "d")]
        assert gaps_between(connection, "cam", "main", 0, 20, 9) == [Gap(5, 10, "starting")]
        plan = str([tuple(each) for each in connection.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM segment WHERE volume = 'vol' AND state = 'open'")])  # fmt: skip
        assert "segment_open" in plan


def test_directories_by_the_index_alone(index: Index) -> None:
    for camera in ("a", "b/c", "c"):
        index.submit(*(rows.put_segment(row(n, n, camera=camera)) for n in range(3)))
    index.submit().done.wait(5)
    with index.reading() as connection:
        assert list(rows.directories_of(connection, "vol")) == ["a", "b/c", "c"]
        assert len(rows.segments_in(connection, "vol", "c")) == 3
        assert rows.next_of(connection, "c", "main", 1) == (2, 2, None)
        assert rows.next_of(connection, "c", "main", 2) is None


def test_garbage_is_no_index(tmp_path: Path) -> None:
    path = tmp_path / "footage.db"
    path.write_bytes(b"garbage " * 1000)
    with pytest.raises(IndexBroken):
        prepare(path)
    aside = set_aside(path, "now")
    assert aside.exists()
    prepare(path)


def test_a_damaged_page_is_found(tmp_path: Path) -> None:
    path = tmp_path / "footage.db"
    prepare(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany(*_many())
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[-8192:-4096] = b"\xff" * 4096
    path.write_bytes(data)
    index = Index(path)
    index.prepare()  # a start does not read it all
    index.start()
    index.check(lambda: True)
    assert index.generation == 0, "it was told to stop"
    index.check(lambda: False)
    until(lambda: index.generation == 1, 10, "the index is begun anew")
    assert _works(index)
    index.stop()
    assert len(list(tmp_path.glob("footage.db.broken-*"))) >= 1


HOWS: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "overwritten": lambda path: path.write_bytes(b"garbage " * 1000),
    "emptied": lambda path: path.write_bytes(b""),
    "another in its place": lambda path: (path.rename(path.with_name("old")), path.write_bytes(b"garbage " * 1000)),
}


@pytest.mark.parametrize("how", list(HOWS))
def test_an_index_that_breaks_while_it_is_used_is_begun_anew(tmp_path: Path, how: str) -> None:
    path = tmp_path / "footage.db"
    index = Index(path)
    index.prepare()
    index.start()
    index.submit(rows.put_rebuilt("vol")).done.wait(5)
    with index.reading() as connection:
        assert not rows.is_rebuilding(connection, "vol")
    HOWS[how](path)
    assert index.submit(rows.put_segment(row(1, 1))).done.wait(10), "what is submitted meanwhile is kept"
    assert index.generation == 1
    assert index.failing is None
    with index.reading() as connection:
        assert rows.is_rebuilding(connection, "vol")
    assert _works(index)
    index.stop()
    assert next(tmp_path.glob("footage.db.broken-*")).exists()


def test_who_reads_a_broken_index_has_it_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "footage.db"
    index = Index(path)
    index.prepare()
    index.start()
    path.write_bytes(b"garbage " * 1000)
    for part in ("-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)
    with pytest.raises(sqlite3.DatabaseError), index.reading() as connection:
        connection.execute("SELECT * FROM segment")
    until(lambda: index.generation == 1, 5, "the index is begun anew, without a write")
    assert _works(index)
    index.stop()


def test_one_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "footage.db"
    first, second = Index(path), Index(path)
    first.prepare()
    with pytest.raises(IndexBusy):
        second.prepare()
    second.start()
    waits = second.submit(rows.put_segment(row(1, 1)))
    until(lambda: second.failing is not None, 5, "the second tells that it cannot write")
    first.start()
    assert _works(first)
    first.stop()
    assert waits.done.wait(10), "what waited is written when the first is gone"
    second.stop()


def _works(index: Index) -> bool:
    before = row(77, 77)
    assert index.submit(rows.put_segment(before)).done.wait(5)
    with index.reading() as connection:
        return rows.next_of(connection, before.camera, before.stream, 76) is not None


def _many() -> tuple[str, list[list[object]]]:
    sql, _ = rows.put_segment(row(1, 1))
    return sql, [list(rows.put_segment(row(n, n))[1]) for n in range(500)]


def test_a_newer_index_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "footage.db"
    prepare(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(IndexBroken, match="newer"):
        prepare(path)


def test_another_program_that_closes_the_database_takes_nothing_from_under_the_writer(tmp_path: Path) -> None:
    """SQLite deletes the log of a database when the last program closes it. The writer is told from its locks, and they
    go with any descriptor of the file that its process closes."""
    index = Index(tmp_path / "footage.db")
    index.prepare()
    index.start()
    other = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(*c.execute('SELECT COUNT(*) FROM segment'));"
        " c.close()"
    )
    try:
        for seq in range(1, 5):
            assert index.submit(rows.put_segment(row(seq, seq * 10))).done.wait(5)
            ran = subprocess.run([sys.executable, "-c", other, index.path], capture_output=True, text=True, check=True)
            assert ran.stdout == f"({seq},)\n"
        assert index.failing is None
        assert index.generation == 0
        assert list(tmp_path.glob("*.broken*")) == []
    finally:
        index.stop()
