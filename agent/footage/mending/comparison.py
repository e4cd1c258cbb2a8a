"""Goes through a whole volume while it is recorded on, and makes files and index agree.

A volume of 90 days and 8 cameras has a million files: reading only their names takes minutes from a cold disk, so
recording does not wait for it. The newest hours come first.

Invariants
1. Nothing that was recorded since the thread began is looked at.
2. It holds one directory in memory, and rests as long as it works: the disk belongs to recording.
3. A volume counts as rebuilt once every directory of it was gone through, and not before.
"""

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from agent.clock import Clock
from agent.footage import rows
from agent.footage.disk.files import Volume, VolumeRefused, list_directory, segment_directories
from agent.footage.index import Index
from agent.footage.mending.settling import Found, settle_directory

log = logging.getLogger(__name__)

MOST_REST_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pass is: `files` of `of`, which grows until `counted`, in `took_s` seconds."""

    files: int
    of: int
    counted: bool
    took_s: float
    over: bool


class Comparison:
    """One pass over one volume. `found` and `progress` grow meanwhile and may be read by any thread."""

    def __init__(
        self,
        volume: Volume,
        index: Index,
        last_seq: Mapping[tuple[str, str], int],
        rebuilt: bool,
        clock: Clock,
        *,
        anew: bool = False,
        rest: bool = True,
    ) -> None:
        """`last_seq`: camera uuid, stream -> number of the last segment so far. `rebuilt`: the index knows nothing,
        even if it does not say so itself. `anew`: every file is walked, whatever the index says. `rest`: half of the
        time is left to others; without it the pass is twice as fast."""
        self.found = Found(rebuilt)
        self.over = self.whole = False
        """Whether the thread has ended by itself, and whether it went through everything."""
        self.anew = anew
        self._volume = volume
        self._index = index
        self._last_seq = last_seq
        self._clock = clock
        self._rest = rest
        self._began_ns = clock.mono_ns()
        self._ended_ns: int | None = None
        self._files = self._of = 0
        self._counted = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="footage-comparison", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Look at no more directories. Never waits."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; False when the disk does not answer it."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def progress(self) -> Progress:
        """How far it is."""
        until_ns = self._ended_ns if self._ended_ns is not None else self._clock.mono_ns()
        took_s = (until_ns - self._began_ns) / 1e9
        return Progress(self._files, max(self._of, self._files), self._counted, took_s, self.over)

    def run(self) -> None:
        """The pass, on the caller's thread. Raises OSError, VolumeRefused and sqlite3.Error."""
        self._index.check(self._stop.is_set)
        with self._index.reading() as connection:
            self.found.rebuilt = self.found.rebuilt or rows.is_rebuilding(connection, self._volume.uuid)
        if self.anew or self.found.rebuilt:
            self._count()
        for directory in self._directories():
            began_ns = self._clock.mono_ns()
            self._settle(directory)
            took_s = (self._clock.mono_ns() - began_ns) / 1e9
            if self._stop.is_set() or (self._rest and self._clock.wait(self._stop, min(took_s, MOST_REST_S))):
                return
        self.whole = True
        self._index.submit(rows.put_rebuilt(self._volume.uuid))

    def _run(self) -> None:
        try:
            self.run()
        except _Stopped:
            return
        except (OSError, VolumeRefused, sqlite3.Error) as error:
            log.warning("the volume was not compared with its index to the end: %s", error)
        except Exception:  # top of the thread: recording goes on, the next start compares again
            log.exception("the volume was not compared with its index to the end")
        if self._stop.is_set() and not self.whole:
            return
        self._ended_ns = self._clock.mono_ns()
        self.over = True
        self.found.log()

    def _settle(self, directory: str) -> None:
        before = self._files
        settle_directory(
            self._volume, self._index, directory, self.found, self._progress, self._last_seq, anew=self.anew
        )
        if not self._counted:
            return
        self._files = before + self._number_in(directory)

    def _count(self) -> None:
        for directory in segment_directories(self._volume.path):
            self._of += self._number_in(directory)
            if self._stop.is_set():
                raise _Stopped
        self._counted = True

    def _directories(self) -> Iterator[str]:
        yield from segment_directories(self._volume.path)
        with self._index.reading() as connection:
            known = list(rows.directories_of(connection, self._volume.uuid))
        yield from (each for each in known if not os.path.lexists(self._volume.path / each))

    def _number_in(self, directory: str) -> int:
        """How many films a directory has; 0 when it cannot be read, which is told when it is settled."""
        try:
            return len(list_directory(self._volume.path, directory))
        except OSError:
            return 0

    def _progress(self) -> None:
        if self._stop.is_set():
            raise _Stopped
        self._files += 1


class _Stopped(Exception):
    pass
