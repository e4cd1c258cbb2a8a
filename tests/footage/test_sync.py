"""The thread that brings bytes to the disk outlives whatever the disk does."""

import errno
import os
from pathlib import Path

from agent.clock import SystemClock
from agent.footage.recording.segment import HashedFile
from agent.footage.recording.sync import SyncThread
from tests.fakes.waiting import until


def test_what_follows_a_close_may_fail(tmp_path: Path) -> None:
    """A disk that was mounted read-only after an error refuses to delete what is empty: syncing goes on."""

    def read_only(_: bool) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    sync = SyncThread(0.02, SystemClock())
    sync.start()
    first, second = HashedFile(tmp_path / "1"), HashedFile(tmp_path / "2")
    closed: list[bool] = []
    for file in (first, second):
        sync.add(file, [tmp_path])
    second.write(b"x")
    sync.finish(first, read_only)
    until(lambda: not second.dirty, 5, "the other file is synced")
    sync.finish(second, closed.append)
    until(lambda: closed, 5, "the other file is closed")
    assert closed == [True]
    sync.stop()


def test_a_file_is_synced_before_the_round_when_asked(tmp_path: Path) -> None:
    synced: list[int] = []
    sync = SyncThread(3600, SystemClock(), fdatasync=synced.append)
    sync.start()
    asked, other = HashedFile(tmp_path / "1"), HashedFile(tmp_path / "2")
    for file in (asked, other):
        sync.add(file, [tmp_path])
        file.write(b"x")
    sync.soon(asked)
    until(lambda: synced, 5, "the file is synced")
    assert synced == [asked.number]
    assert other.dirty
    closed: list[bool] = []
    for file in (asked, other):
        sync.finish(file, closed.append)
    sync.soon(asked)
    until(lambda: len(closed) == 2, 5, "both are closed")
    sync.stop()
    assert synced == [asked.number]


def test_a_file_that_cannot_be_written_out_is_marked_and_the_others_are_synced(tmp_path: Path) -> None:
    reading, writing = os.pipe()  # has no pages to write: ESPIPE
    broken, other = HashedFile(tmp_path / "1", lambda _: writing), HashedFile(tmp_path / "2")
    sync = SyncThread(0.02, SystemClock())
    sync.start()
    for file in (broken, other):
        file.write(b"x")
        sync.add(file, [tmp_path])
    until(lambda: broken.failed and not other.dirty, 5, "one has failed, the other is synced")
    closed: list[bool] = []
    for file in (broken, other):
        sync.finish(file, closed.append)
    until(lambda: len(closed) == 2, 5, "both are closed")
    sync.stop()
    os.close(reading)
    assert closed == [False, True]
