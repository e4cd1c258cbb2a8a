"""kill -9, a lost index, a volume that is not there, a disk that refuses: what is recorded plays, the rest is a gap."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import pytest

from agent.facts import ConditionKind
from agent.footage.disk.files import create_volume
from agent.footage.mp4.boxes_walk import walk
from tests.fakes.camera import RtspServer, make_clip
from tests.fakes.recording import Recording, assert_decided
from tests.fakes.waiting import until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    folder = tmp_path_factory.mktemp("media")
    make_clip(folder / "a.mp4", fps=25)
    make_clip(folder / "b.mp4", fps=25, b_frames=2)
    found = RtspServer(folder)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def recording(tmp_path: Path, server: RtspServer) -> Iterator[Recording]:
    found = Recording(tmp_path, {"one": server.url("a.mp4"), "two": server.url("b.mp4")})
    yield found
    found.close()


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, server: RtspServer) -> Recording:
    """A facility that recorded three segments of each camera and was stopped; to be copied, not changed."""
    found = Recording(tmp_path_factory.mktemp("past"), {"one": server.url("a.mp4"), "two": server.url("b.mp4")})
    found.make_volume()
    try:
        found.start()
        until(lambda: all(len(found.files(name)) >= 3 for name in ("one", "two")), 40, "three segments of each")
        time.sleep(1.5)
        assert found.stop() == 0
    finally:
        found.close()
    return found


def take_over(recording: Recording, past: Recording) -> None:
    """Begin with the volume and the index of another."""
    shutil.copytree(past.volume, recording.volume, dirs_exist_ok=True)
    shutil.copytree(past.index.parent, recording.index.parent, dirs_exist_ok=True)


def rows_of(recording: Recording) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(recording.index)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM segment ORDER BY camera, seq")]


def frames_of(path: Path) -> int:
    """Decode the whole file; every frame."""
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


def assert_disk_and_index_agree(recording: Recording) -> list[dict[str, Any]]:
    """Every file has a row with its size, hash and frames, every row a file; all of it plays; hashes chain."""
    rows = rows_of(recording)
    on_disk = {str(path.relative_to(recording.volume)) for name in ("one", "two") for path in recording.files(name)}
    assert {row["path"] for row in rows} == on_disk
    last: dict[str, str | None] = {}
    for row in rows:
        path = recording.volume / row["path"]
        data = path.read_bytes()
        assert row["state"] in ("closed", "recovered")
        assert row["bytes"] == len(data)
        assert row["digest"] == hashlib.sha256(data).hexdigest()
        assert row["frames"] == frames_of(path) > 0
        assert row["end_ns"] > row["start_ns"]
        walked = walk(lambda offset, size, data=data: data[offset : offset + size], len(data))  # type: ignore[misc]
        assert walked.description is not None
        assert walked.description["start_ns"] == row["start_ns"]
        if row["camera"] in last:
            assert row["previous"] == last[row["camera"]]
        last[row["camera"]] = row["digest"]
    return rows


def test_killed_in_mid_segment(recording: Recording) -> None:
    recording.make_volume()
    began_ns = time.time_ns()
    recording.start()
    until(lambda: recording.is_recording("one", "two"), 15, "both cameras are recorded")
    until(lambda: len(recording.files("one")) >= 2, 20, "a second segment")
    time.sleep(2.5)
    killed_ns = time.time_ns()
    recording.kill()
    assert "open" in {row["state"] for row in rows_of(recording)}
    recording.start()
    until(lambda: recording.is_recording("one", "two"), 15, "both cameras are recorded again")
    until(lambda: recording.desk.pulses() > 1, 10, "pulses")
    for name in ("one", "two"):
        answer = recording.spans(name, began_ns)
        assert_decided(answer, began_ns)
        gap = next(each for each in answer["gaps"] if each["reason"] == "power_loss")
        assert gap["detail"] == "recorder_killed", "the machine was on"
        lost_s = (killed_ns - gap["from_ns"]) / 1e9
        assert -0.2 < lost_s < 3.0, f"{lost_s} s of footage were lost"
        assert gap["to_ns"] > killed_ns
    assert recording.stop() == 0
    rows = assert_disk_and_index_agree(recording)
    assert "recovered" in {row["state"] for row in rows}


_WITH_A_CHORE_THAT_HANGS = """
import sys, time
from pathlib import Path
from agent.footage.upkeep.sweep import Sweep
from agent.processes import record
Sweep.step = lambda *_: time.sleep(60)
sys.exit(record.main(Path(sys.argv[1])))
"""


class _Hanging(Recording):
    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-c", _WITH_A_CHORE_THAT_HANGS, str(self.settings)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers, 15, "the record process answers")


def test_stopped_while_a_chore_hangs(recording: Recording) -> None:
    recording.make_volume()
    recording.__class__ = _Hanging
    recording.start()
    until(lambda: recording.is_recording("one", "two"), 15, "both cameras are recorded")
    time.sleep(3)
    assert recording.stop() == 1
    assert {row["state"] for row in assert_disk_and_index_agree(recording)} == {"closed"}


def test_stopped_and_started_again(recording: Recording, past: Recording) -> None:
    take_over(recording, past)
    since_ns = max(row["start_ns"] for row in rows_of(recording))
    recording.start()
    until(lambda: recording.is_recording("one", "two"), 15, "both cameras are recorded again")
    answer = recording.spans("one", since_ns)
    assert [each["reason"] for each in answer["gaps"]] == ["restart"]
    # A range that ends within the gap is decided to its end, although recording goes on.
    within_ns = answer["gaps"][0]["from_ns"] + 10**6
    inside = recording.spans("one", since_ns, within_ns)
    assert_decided(inside, since_ns)
    assert inside["gaps"][-1]["to_ns"] == within_ns
    assert recording.stop() == 0
    assert {row["state"] for row in assert_disk_and_index_agree(recording)} == {"closed"}


@pytest.mark.parametrize("how", ["missing", "garbage"])
def test_the_index_is_built_again_from_the_files(recording: Recording, past: Recording, how: str) -> None:
    take_over(recording, past)
    before = {row["path"]: row for row in assert_disk_and_index_agree(recording)}
    for part in recording.index.parent.glob("footage.db*"):
        part.unlink()
    if how == "garbage":
        recording.index.write_bytes(os.urandom(8192))
    recording.start()
    recording.desk.wait_for(ConditionKind.INDEX_REBUILT, f"volume/{recording.volume}", True, 10)
    until(lambda: recording.is_recording("one", "two"), 15, "both cameras are recorded again")
    until(lambda: before.keys() <= {row["path"] for row in rows_of(recording)}, 10, "every file is in the index")
    assert recording.stop() == 0
    after = {row["path"]: row for row in assert_disk_and_index_agree(recording)}
    for path, row in before.items():
        for column in ("camera", "stream", "seq", "start_ns", "frames", "bytes", "digest", "previous", "codec"):
            assert after[path][column] == row[column], column
        assert abs(after[path]["end_ns"] - row["end_ns"]) < 300_000_000
    aside = list(recording.index.parent.glob("footage.db.broken-*"))
    assert bool(aside) == (how == "garbage")


def test_a_volume_that_was_mended_while_nothing_ran(recording: Recording) -> None:
    subject = f"volume/{recording.volume}"
    recording.start()
    recording.desk.wait_for(ConditionKind.VOLUME_MISSING, subject, True, 10)
    assert recording.stop() == 0
    recording.make_volume()
    started = time.monotonic()
    recording.start()
    recording.desk.wait_for(ConditionKind.VOLUME_MISSING, subject, False, 10, since=started)


def test_a_volume_that_is_not_mounted(recording: Recording) -> None:
    subject = f"volume/{recording.volume}"
    recording.start()
    recording.desk.wait_for(ConditionKind.VOLUME_MISSING, subject, True, 10)
    time.sleep(3)
    assert list(recording.volume.iterdir()) == [], "nothing is written below the mount point"
    status = recording.status()
    assert status["volumes"][0]["ok"] is False
    assert "VOLUME.json" in status["volumes"][0]["detail"]
    gap = recording.spans("one", time.time_ns() - 10**9)["gaps"][-1]
    assert gap["reason"] == "volume_missing"
    recording.make_volume()  # it is mounted
    mounted = time.monotonic()
    recording.desk.wait_for(ConditionKind.VOLUME_MISSING, subject, False, 10, since=mounted)
    until(lambda: recording.is_recording("one", "two"), 10, "recording begins by itself")
    assert recording.desk.others({(ConditionKind.VOLUME_MISSING, subject)}) == set()
    # And while it runs: taken away, and given back.
    since_ns = time.time_ns()
    aside = recording.volume.with_name("elsewhere")
    recording.volume.rename(aside)
    recording.volume.mkdir()
    gone = time.monotonic()
    recording.desk.wait_for(ConditionKind.VOLUME_MISSING, subject, True, 10, since=gone)
    assert list(recording.volume.iterdir()) == []
    recording.volume.rmdir()
    aside.rename(recording.volume)
    until(lambda: recording.is_recording("one", "two"), 15, "recording begins again")
    assert "volume_missing" in {each["reason"] for each in recording.spans("one", since_ns)["gaps"]}
    assert recording.stop() == 0


def test_the_volume_of_another_facility(recording: Recording) -> None:
    create_volume(recording.volume, "another")
    recording.start()
    recording.desk.wait_for(ConditionKind.VOLUME_MISSING, f"volume/{recording.volume}", True, 10)
    assert [path.name for path in recording.volume.iterdir()] == ["VOLUME.json"]
    assert "another" in recording.status()["volumes"][0]["detail"]
    assert recording.stop() == 0


def test_files_that_were_deleted_damaged_or_are_strange(recording: Recording, past: Recording) -> None:
    take_over(recording, past)
    began_ns = min(row["start_ns"] for row in rows_of(recording))
    first, second = recording.files("one")[:2]
    first.unlink()
    data = second.read_bytes()
    second.write_bytes(data[: len(data) * 2 // 3])
    strange = second.with_name("holiday.mp4")
    strange.write_bytes(b"my film")
    wrong_place = recording.files("two")[0]
    copy = recording.files("one")[-1].parent / wrong_place.name
    shutil.copy(wrong_place, copy)
    recording.start()
    subject = f"volume/{recording.volume}"
    recording.desk.wait_for(ConditionKind.FOOTAGE_DAMAGED, subject, True, 10)
    quarantine = recording.volume / "quarantine"
    until(lambda: len(list(quarantine.glob("*.mp4"))) == 3, 10, "what is not ours is set aside, and the damaged copied")
    assert not strange.exists()
    assert not copy.exists()

    def reasons() -> set[str]:
        answer = recording.spans("one", began_ns)
        assert_decided(answer, began_ns)
        return {each["reason"] for each in answer["gaps"]}

    until(lambda: {"file_missing", "file_damaged"} <= reasons(), 10, "what is missing is a gap")
    assert frames_of(second) > 0
    assert recording.stop() == 0


def test_an_index_that_cannot_be_used_stops_no_recording(recording: Recording, past: Recording) -> None:
    """A system disk that went read-only, while the footage has a disk of its own."""
    shutil.copytree(past.volume, recording.volume, dirs_exist_ok=True)
    recording.index.mkdir()
    before = len(recording.files("one"))
    recording.start()
    recording.desk.wait_for(ConditionKind.FOOTAGE_UPKEEP_FAILING, "process/record", True, 10)
    until(lambda: recording.is_recording("one", "two"), 15, "both cameras are recorded")
    until(lambda: len(recording.files("one")) >= before + 2, 25, "a segment follows the first")
    recording.index.rmdir()
    recording.desk.wait_for(ConditionKind.FOOTAGE_UPKEEP_FAILING, "process/record", False, 10)
    until(lambda: len(rows_of(recording)) >= 4, 10, "the rows follow")
    assert recording.stop() == 0
    rows = rows_of(recording)
    assert {row["state"] for row in rows} == {"closed"}
    for row in rows:
        assert frames_of(recording.volume / row["path"]) == row["frames"] > 0


def test_the_desk_may_be_away(recording: Recording) -> None:
    recording.make_volume()
    recording.desk.stop()
    recording.start()
    until(lambda: recording.is_recording("one", "two"), 15, "footage does not wait for the desk")
    assert json.dumps(recording.status())
    assert recording.stop() in (0, 1)
