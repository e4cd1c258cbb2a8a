"""The index is lost, overwritten or wrong while cameras are recorded: it is built again, and no frame is missing."""

import io
import itertools
import json
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent.access.console import Screen
from agent.access.reindexing import reindex_footage
from agent.facts import ConditionKind
from agent.footage.custody.verify import Wanted as Verified
from agent.footage.custody.verify import verify
from agent.footage.disk.files import check_volume
from agent.footage.inspection.reindex import Wanted
from agent.footage.mending.segment_file import walk_file
from agent.footage.naming import camera_uuid
from agent.wire import call
from tests.fakes.camera import RtspServer, make_clip
from tests.fakes.recording import FACILITY, Recording
from tests.fakes.waiting import until

NAMES = ("one", "two")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    folder = tmp_path_factory.mktemp("media")
    make_clip(folder / "a.mp4", fps=25)
    found = RtspServer(folder)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def recording(tmp_path: Path, server: RtspServer) -> Iterator[Recording]:
    found = Recording(tmp_path, {name: server.url("a.mp4") for name in NAMES})
    found.make_volume()
    found.start()
    until(lambda: found.is_recording(*NAMES), 15, "both cameras are recorded")
    yield found
    found.close()


def rows_of(recording: Recording) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(recording.index)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM segment ORDER BY camera, seq")]


def assert_nothing_is_missing(recording: Recording) -> None:
    """After an orderly stop: every file has its row, in one chain, and every instant between two files is footage."""
    assert recording.stop() == 0
    found = rows_of(recording)
    on_disk = {str(path.relative_to(recording.volume)) for name in NAMES for path in recording.files(name)}
    assert {row["path"] for row in found} == on_disk
    for name in NAMES:
        mine = [row for row in found if row["camera"] == camera_uuid(FACILITY, name)]
        assert [row["seq"] for row in mine] == list(range(1, len(mine) + 1))
        for before, after in itertools.pairwise(mine):
            assert before["state"] == "closed"
            assert after["previous"] == before["digest"]
            assert abs(after["start_ns"] - before["end_ns"]) < 100_000_000, "no frame is missing"


@pytest.mark.parametrize("torn", [False, True])
def test_the_chain_goes_on_when_no_index_can_be_read_at_start(recording: Recording, torn: bool) -> None:
    """Somebody else has footage.db locked. What was recorded before says where the chain stands; a file that kill -9
    left open is passed over, as its row will say."""
    until(lambda: all(len(recording.files(name)) >= 2 for name in NAMES), 30, "two files of each camera")
    if torn:
        newest = {name: recording.files(name)[-1] for name in NAMES}
        until(
            lambda: all(walk_file(path).fragments > 0 for path in newest.values()), 10, "something plays in the newest"
        )
        recording.kill()
    else:
        assert recording.stop() == 0
    with closing(sqlite3.connect(recording.index, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        before = {name: len(recording.files(name)) for name in NAMES}
        recording.start()
        until(lambda: recording.is_recording(*NAMES), 20, "both cameras are recorded without an index")
        assert not recording.status()["index"]["ok"]
        until(lambda: all(len(recording.files(name)) > before[name] + 1 for name in NAMES), 30, "files without rows")
        other.execute("ROLLBACK")
    until(lambda: recording.status()["index"]["ok"], 30, "the index works again")
    until(lambda: len(rows_of(recording)) == sum(len(recording.files(name)) for name in NAMES), 30, "every file's row")
    until(
        lambda: sum(row["state"] == "open" for row in rows_of(recording)) <= len(NAMES),
        30,
        "what was torn is recovered",
    )
    call(recording.runtime / "record.sock", "checkpoint")
    assert recording.stop() == 0
    volume = check_volume(recording.volume, FACILITY)
    report = verify(Verified(recording.index, {volume.uuid: volume.path}), lambda done, total: None)
    assert [(each.kind, each.seq, each.detail.en) for each in report.findings] == []
    assert bool(report.notes) == torn


def test_an_index_that_is_overwritten_while_it_is_recorded_is_built_again(recording: Recording) -> None:
    until(lambda: all(len(recording.files(name)) >= 2 for name in NAMES), 30, "a second segment of each")
    pid, before = recording.pid, {row["path"] for row in rows_of(recording)}
    recording.index.write_bytes(os.urandom(65536))
    recording.desk.wait_for(ConditionKind.INDEX_REBUILT, f"volume/{recording.volume}", True, 30)
    until(lambda: before <= {row["path"] for row in rows_of(recording)}, 10, "every file has its row again")
    assert recording.pid == pid
    assert list(recording.index.parent.glob("footage.db.broken-*")), "nothing is deleted"
    # And wrong rows, told by nobody: the command has the recorder look at every file.
    with closing(sqlite3.connect(recording.index, timeout=10)) as connection:
        connection.execute("UPDATE segment SET camera = 'somebody' WHERE state = 'closed'")
        connection.commit()
    status, told = command(recording)
    assert (status, told["whole"], told["beside_recording"]) == (0, True, True)
    assert told["files"] == told["of"] >= 2
    assert {row["camera"] for row in rows_of(recording)} == {camera_uuid(FACILITY, name) for name in NAMES}
    until(lambda: all(len(recording.files(name)) >= 3 for name in NAMES), 40, "it is recorded on")
    assert_nothing_is_missing(recording)


def test_the_command_does_it_alone_and_record_may_start_meanwhile(recording: Recording) -> None:
    assert recording.stop() == 0
    for part in recording.index.parent.glob("footage.db*"):
        part.unlink()
    status, told = command(recording)
    assert (status, told["whole"], told["beside_recording"]) == (0, True, False)
    starting = threading.Thread(target=recording.start)
    starting.start()  # while a second one runs
    status, told = command(recording)
    assert (status, told["whole"]) == (0, True)
    starting.join(30)
    until(lambda: recording.is_recording(*NAMES), 15, "it is recorded")
    until(lambda: all(len(recording.files(name)) >= 2 for name in NAMES), 15, "new files")
    assert recording.stop() == 0
    on_disk = {str(path.relative_to(recording.volume)) for name in NAMES for path in recording.files(name)}
    assert {row["path"] for row in rows_of(recording)} == on_disk


def test_a_recorder_that_does_not_answer_is_told(recording: Recording) -> None:
    os.kill(recording.pid, signal.SIGSTOP)
    try:
        recording.runtime.joinpath("record.sock").rename(recording.runtime / "elsewhere")
        status, _ = command(recording)
    finally:
        os.kill(recording.pid, signal.SIGCONT)
        (recording.runtime / "elsewhere").rename(recording.runtime / "record.sock")
    assert status == 3
    assert rows_of(recording), "and nothing was touched"
    assert not list(recording.index.parent.glob("*before-reindex*"))


def command(recording: Recording) -> tuple[int, dict[str, Any]]:
    """`yunjian footage reindex --json`: exit status and answer."""
    out, errors = io.StringIO(), io.StringIO()
    wanted = Wanted(recording.index, (recording.volume,), FACILITY, {})
    status = reindex_footage(Screen("en", out, errors), recording.runtime, wanted, True)
    return status, json.loads(out.getvalue() or "{}")
