"""A little room kept beside the index, to be given up when its disk is full.

Deleting footage begins with a commit, and a commit takes room: on a disk that is full to the last byte nothing could
be deleted any more. Used by the keeper's thread.
"""

import errno
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.footage.disk.files import room_on

log = logging.getLogger(__name__)

SPARE_BYTES: Final = 2 * 1024 * 1024
"""Some hundred commits of a few pages each (SQLite writes pages of 4 KiB into its log)."""

FULL_BYTES: Final = 256 * 1024
"""With less than this free a commit may fail for want of room."""


class SpareRoom:
    """A file that holds nothing."""

    def __init__(self, index: Path) -> None:
        """`index` is the database that the room is for."""
        self._path = index.with_name(f"{index.name}.room")

    def keep(self) -> None:
        """Have it, as soon as there is plenty of room."""
        with suppress(OSError):
            if self._path.exists() or room_on(self._path.parent).free_bytes < 4 * SPARE_BYTES:
                return
            number = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(number, 0, SPARE_BYTES)
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    self._path.unlink()
                    raise
            finally:
                os.close(number)

    def give_up(self) -> None:
        """Give it up if that may help an index that does not commit."""
        try:
            if room_on(self._path.parent).free_bytes < FULL_BYTES and self._path.exists():
                self._path.unlink()
                log.warning("the disk of the index is full: %s bytes were kept for that", SPARE_BYTES)
        except OSError as error:
            log.warning("the room kept beside the index cannot be given up: %s", error)
