"""Goes through a whole volume while it is recorded on, and makes files and index agree.

A volume of 90 days and 8 cameras has a million files: reading only their names takes minutes from a cold disk, so
recording does not wait for it. The newest hours come first.

Invariants
1. Nothing that was recorded since the thread began is looked at.
2. It holds one directory in memory, and rests as long as it works: the disk belongs to recording.
"""

import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from typing import Final

from agent.clock import Clock
from agent.footage import rows
from agent.footage.files import Volume, VolumeRefused, segment_directories
from agent.footage.index import Index
from agent.footage.recovery import Found, settle_directory

log = logging.getLogger(__name__)

MOST_REST_S: Final = 1.0


class Comparison:
    """One pass over one volume. `found` grows meanwhile and may be read by any thread."""

    def __init__(
        self, volume: Volume, index: Index, last_seq: Mapping[tuple[str, str], int], rebuilt: bool, clock: Clock
    ) -> None:
        """`last_seq`: camera uuid, stream -> number of the last segment so far. `rebuilt`: the index knows nothing."""
        self.found = Found(rebuilt=rebuilt)
        self.over = self.whole = False
        """Whether the thread has ended by itself, and whether it went through everything."""
        self._volume = volume
        self._index = index
        self._last_seq = last_seq
        self._clock = clock
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

    def _run(self) -> None:
        try:
            for directory in self._directories():
                began_ns = self._clock.mono_ns()
                settle_directory(self._volume, self._index, directory, self.found, self._progress, self._last_seq)
                took_s = (self._clock.mono_ns() - began_ns) / 1e9
                if self._clock.wait(self._stop, min(took_s, MOST_REST_S)):
                    return
            self.whole = True
        except _Stopped:
            return
        except (OSError, VolumeRefused, sqlite3.Error) as error:
            log.warning("the volume was not compared with its index to the end: %s", error)
        except Exception:  # top of the thread: recording goes on, the next start compares again
            log.exception("the volume was not compared with its index to the end")
        self.over = True
        self.found.log()

    def _directories(self) -> Iterator[str]:
        yield from segment_directories(self._volume.path)
        with self._index.reading() as connection:
            known = list(rows.directories_of(connection, self._volume.uuid))
        yield from (each for each in known if not (self._volume.path / each).is_dir())

    def _progress(self) -> None:
        if self._stop.is_set():
            raise _Stopped


class _Stopped(Exception):
    pass
