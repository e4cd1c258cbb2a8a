"""The disk that the index lies on answers no more, or another program holds the database: footage goes on."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from agent.facts import ConditionKind
from agent.wire import WireError
from tests.fakes.camera import RtspServer, make_clip
from tests.fakes.disks import LoopDisk, StallingLoop
from tests.fakes.recording import Recording, assert_decided
from tests.fakes.waiting import until

CAMERAS = ("one", "two")
RSS_MORE_KIB = 40_000


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
    made = Recording(tmp_path, {name: server.url("a.mp4") for name in CAMERAS}, segment_s=10)
    made.make_volume()
    yield made
    made.close()


@pytest.fixture
def system(recording: Recording) -> Iterator[StallingLoop]:
    """The disk below the data directory."""
    loop = StallingLoop(recording.folder / "system.img", 64)
    disk = LoopDisk(recording.folder / "unused", 0, loop)
    disk.mount(recording.folder / "data")
    yield loop
    loop.thaw()
    recording.close()
    disk.close()


def files_grow(recording: Recording) -> bool:
    """Whether a file of every camera was begun since, without a row that tells of it."""
    return all(len(recording.files(name)) >= 3 for name in CAMERAS)


@pytest.mark.needs_root
@pytest.mark.needs_debian("mkfs.ext4", "losetup", "qemu-storage-daemon")
def test_the_system_disk_hangs_while_cameras_run(recording: Recording, system: StallingLoop) -> None:
    recording.start()
    until(lambda: recording.is_recording(*CAMERAS), 15, "both cameras are recorded")
    time.sleep(1.5)
    before_kib, frozen_ns = recording.status()["rss_kib"], time.time_ns()
    frozen = time.monotonic()
    system.freeze()
    recording.desk.wait_for(ConditionKind.FOOTAGE_UPKEEP_FAILING, "process/record", True, 40, since=frozen)
    told = recording.status()["index"]
    assert (told["ok"], told["detail"]) == (False, "the disk of the index does not answer")
    until(lambda: files_grow(recording), 40, "file after file is recorded")
    assert recording.is_recording(*CAMERAS)
    assert recording.status()["rss_kib"] - before_kib < RSS_MORE_KIB
    pulses = recording.desk.pulses()
    until(lambda: recording.desk.pulses() > pulses, 15, "the process is alive")
    thawed = time.monotonic()
    system.thaw()
    recording.desk.wait_for(ConditionKind.FOOTAGE_UPKEEP_FAILING, "process/record", False, 30, since=thawed)
    until(lambda: recording.status()["index"]["ok"], 10, "the index works")
    for name in CAMERAS:
        answer = recording.spans(name, frozen_ns)
        assert_decided(answer, frozen_ns)
        assert answer["gaps"] == []
    assert recording.stop() == 0


@pytest.mark.needs_root
@pytest.mark.needs_debian("mkfs.ext4", "losetup", "qemu-storage-daemon")
def test_the_system_disk_hangs_from_the_start(recording: Recording, system: StallingLoop) -> None:
    system.freeze()
    recording.spawn()

    def recorded() -> bool:
        with suppress(WireError):
            return recording.is_recording(*CAMERAS)
        return False

    until(recorded, 40, "both cameras are recorded")
    assert recording.status()["index"]["ok"] is False
    system.thaw()
    until(lambda: recording.status()["index"]["ok"], 30, "the index works")
    since_ns = time.time_ns()

    def have_rows() -> bool:
        return all(recording.segments(name, since_ns - 10**9) for name in CAMERAS)

    until(have_rows, 30, "the files under way have their rows")
    assert recording.stop() == 0


def test_another_program_holds_the_database(recording: Recording) -> None:
    """From before the start on; and a stop in the middle of it is one in time, with files that are whole."""
    recording.start()
    until(lambda: recording.is_recording(*CAMERAS), 15, "both cameras are recorded")
    assert recording.stop() == 0
    with closing(sqlite3.connect(recording.index, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        recording.start()
        until(lambda: recording.is_recording(*CAMERAS), 30, "both cameras are recorded")
        until(lambda: recording.status()["index"]["ok"] is False, 20, "it is told")
        count = len(recording.files("one"))
        until(lambda: len(recording.files("one")) > count, 25, "file after file is recorded")
        assert recording.stop() in (0, 1), "within the time that a stop is given"
        other.execute("ROLLBACK")
    recording.start()
    until(lambda: recording.is_recording(*CAMERAS), 30, "both cameras are recorded")
    known = {path for name in CAMERAS for path in recording.files(name)}

    def told() -> bool:
        found = {each["path"] for name in CAMERAS for each in recording.segments(name, 0)}
        return {str(path) for path in known} <= found

    until(told, 20, "what was recorded meanwhile is in the index")
    assert recording.stop() == 0
