"""What syncing many files costs the disk, counted in its own log of requests."""

import os
import time
from collections.abc import Callable

import pytest

from agent.clock import SystemClock
from agent.footage.recording.segment import HashedFile
from agent.footage.recording.sync import SyncThread
from tests.fakes.waiting import until
from tests.faults.rigs.logged_disk import NEEDS, LoggedDisk, run
from tests.faults.rigs.write_log import FLUSH

pytestmark = pytest.mark.needs_debian(*NEEDS)

FILES = 8
ROUNDS = 3


def grow(files: list[HashedFile]) -> None:
    """A second of a 4 Mbit/s stream for each."""
    for file in files:
        file.write(bytes(500_000))


def one_by_one(files: list[HashedFile]) -> None:
    for _ in range(ROUNDS):
        grow(files)
        for file in files:
            run("sync", "--data", file.path)


def by_the_thread(files: list[HashedFile]) -> None:
    sync = SyncThread(0.1, SystemClock())
    for file in files:
        sync.add(file, [])
    for place in range(ROUNDS):
        grow(files)
        if place == 0:
            sync.start()
        until(lambda: not any(file.dirty for file in files), 10, "all are synced")
        time.sleep(0.2)
    sync.stop()


@pytest.mark.parametrize(("way", "most", "least"), [(one_by_one, 1000, FILES * ROUNDS), (by_the_thread, FILES, 1)])
def test_one_commit_serves_all_files(way: Callable[[list[HashedFile]], None], most: int, least: int) -> None:
    with LoggedDisk() as disk:
        files = [HashedFile(disk.mount / f"{number}.mp4") for number in range(FILES)]
        run("sync", "--file-system", disk.mount)
        began = disk.position()
        way(files)
        disk.freeze()
        for file in files:
            os.close(file.number)
        flushes = sum(bool(entry.flags & FLUSH) for entry in disk.entries if entry.end > began)
        written = {file.path.name: file.path.stat().st_size for file in files}
    assert set(written.values()) == {ROUNDS * 500_000}
    assert least <= flushes <= most
