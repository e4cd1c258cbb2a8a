"""One thread per volume that brings written bytes to the disk, so that no other thread waits for it.

Invariants
1. Every registered file that was written to is synced once per interval.
2. A file is closed after a whole fsync of it and of its directories; only then its row is submitted.
3. A file whose sync failed is marked and never synced again: what is on the disk is unknown (footage.md).
4. Nothing that the disk does to one file ends the thread.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.clock import Clock
from agent.footage.disk.files import sync_directory
from agent.footage.recording.segment import HashedFile
from agent.footage.recording.writeback import begin_writing, end_writing
from agent.seldom import Seldom
from agent.woken import WokenThread

log = logging.getLogger(__name__)

SLOW_S: Final = 2.0
"""A sync that takes longer than this is told as a slow disk: twice the interval it should fit into."""

Sync = Callable[[int], None]


class SyncThread:
    """Syncs the open files of one volume every `every_s` seconds, and closes those that are finished."""

    def __init__(self, every_s: float, clock: Clock, fdatasync: Sync = os.fdatasync, fsync: Sync = os.fsync) -> None:
        self._every_ns = int(every_s * 1e9)
        self._mono_ns = clock.mono_ns
        self._fdatasync = fdatasync
        self._fsync = fsync
        self._open: dict[int, tuple[HashedFile, list[Path]]] = {}
        self._finished: list[tuple[HashedFile, Callable[[bool], None]]] = []
        self._soon: list[HashedFile] = []
        self._busy_since_ns: int | None = None
        self._last_took_s = 0.0
        self._seldom = Seldom(log, clock)
        self._thread = WokenThread("footage-sync", self._run, "the sync thread did not stop: the disk does not answer")

    def start(self) -> None:
        """Begin to sync."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Close what is finished, then stop. Raises RuntimeError when the disk holds it up longer."""
        self._thread.stop(timeout_s)

    def add(self, file: HashedFile, directories: list[Path]) -> None:
        """Sync this file from now on; `directories` hold names that are new and are synced with it."""
        with self._thread.wake:
            self._open[id(file)] = (file, directories)

    def soon(self, file: HashedFile) -> None:
        """Sync this file before the next round: what a run begins with is seconds old when it is written."""
        with self._thread.wake:
            self._soon.append(file)
            self._thread.wake.notify_all()

    def finish(self, file: HashedFile, done: Callable[[bool], None]) -> None:
        """Bring the file to the disk whole, close it, and call `done` with whether that worked, on this thread."""
        with self._thread.wake:
            self._finished.append((file, done))
            self._thread.wake.notify_all()

    def waits_s(self) -> float:
        """How long the round under way waits for the disk, 0 when there is none."""
        since = self._busy_since_ns
        return (self._mono_ns() - since) / 1e9 if since is not None else 0.0

    def slow_s(self) -> float:
        """How long the disk takes for a round of syncs: the one under way, or the last one."""
        since = self._busy_since_ns
        return max(self._last_took_s, (self._mono_ns() - since) / 1e9 if since is not None else 0.0)

    def _run(self) -> None:
        next_round, thread = self._mono_ns() + self._every_ns, self._thread
        while True:
            with thread.wake:
                thread.wake.wait_for(
                    lambda: bool(self._finished or self._soon) or thread.stopping,
                    max(0.0, (next_round - self._mono_ns()) / 1e9),
                )
                finished, self._finished = self._finished, []
                early, self._soon = [self._open[id(file)] for file in self._soon if id(file) in self._open], []
                stopping = thread.stopping
                files = list(self._open.values())
            began = self._busy_since_ns = self._mono_ns()
            for file, done in finished:
                self._finish(file, done)
            for file, directories in early:
                if id(file) in self._open:
                    self._sync(file, directories)
            if began >= next_round:
                self._write_out([file for file, _ in files if id(file) in self._open])
                for file, directories in files:
                    if id(file) in self._open:
                        self._sync(file, directories)
                next_round = began + self._every_ns
                self._last_took_s = (self._mono_ns() - began) / 1e9
            self._busy_since_ns = None
            if stopping and not finished:
                return

    def _finish(self, file: HashedFile, done: Callable[[bool], None]) -> None:
        whole = self._close(file)
        try:
            done(whole)
        except Exception as error:  # noqa: BLE001  # top of one file's work: the others are synced on
            text = f"what follows the close of {file.path.name} failed"
            self._seldom.say(logging.ERROR, f"close {type(error).__name__}", text, error)

    def _write_out(self, files: list[HashedFile]) -> None:
        """Write what is dirty of all of them before any is synced: then one commit of the journal serves all."""
        for write in (begin_writing, end_writing):
            for file in files:
                if file.failed is None and file.dirty:
                    try:
                        write(file.number)
                    except OSError as error:
                        self._fail(file, error)

    def _sync(self, file: HashedFile, directories: list[Path]) -> None:
        if file.failed is not None or not file.dirty:
            return
        file.dirty = False
        try:
            self._fdatasync(file.number)
            while directories:
                sync_directory(directories[0])
                directories.pop(0)
        except OSError as error:
            self._fail(file, error)

    def _fail(self, file: HashedFile, error: OSError) -> None:
        file.failed = error.strerror or str(error)
        self._seldom.say(logging.WARNING, "failed", f"sync of {file.path.name} failed: {error}")

    def _close(self, file: HashedFile) -> bool:
        if file.closed:
            return False
        with self._thread.wake:
            _, directories = self._open.pop(id(file), (file, []))
        try:
            if file.failed is None:
                self._fsync(file.number)
                for directory in directories or [file.path.parent]:
                    sync_directory(directory)
        except OSError as error:
            self._fail(file, error)
        file.closed = True
        try:
            os.close(file.number)
        except OSError as error:  # the descriptor is gone all the same (close(2))
            file.failed = file.failed or error.strerror or str(error)
        return file.failed is None
