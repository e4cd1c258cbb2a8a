"""What all reels of a recorder share: index, volumes, clock, and what is counted for all of them.

Used by the recording thread alone; `damaged` and `dropped` may be read by any.

Invariants
1. No number of a run is given twice.
2. One row at a time is waited for: all cameras would be held up for one index.
"""

import logging
from typing import Final

from agent.clock import Clock
from agent.footage.chain import SHA256
from agent.footage.index import Index, Pending
from agent.footage.recording.segment import Opener, create_file
from agent.footage.recording.volumes import Volumes
from agent.seldom import Seldom

ROW_WAIT_S: Final = 2.0
"""Footage goes before its index: a row that is not committed in this time does not hold up the file, which
says itself what it is."""


class Store:
    """Where reels put their files and rows."""

    def __init__(
        self, index: Index, volumes: Volumes, clock: Clock, boot: str, segment_ns: int, algorithm: str = SHA256
    ) -> None:
        self.index = index
        self.volumes = volumes
        self.clock = clock
        self.boot = boot
        self.segment_ns = segment_ns
        self.algorithm = algorithm
        self.seldom = Seldom(logging.getLogger(__name__), clock)
        """A disk that fails does so to every camera, again and again."""
        self.runs = 0
        self.dropped = 0
        """How often packets were dropped because nobody took them."""
        self.damaged: str | None = None
        """Path of a file whose state on the disk is unknown, until it is told."""
        self.opener: Opener = create_file
        self._late: Pending | None = None
        """A row that the index did not commit in time."""

    def waits_for(self, row: Pending) -> bool:
        """Wait until a row is committed; False when that takes too long. No other row is waited for until it is."""
        if self.index.failing is not None or (self._late is not None and not self._late.done.is_set()):
            return True
        self._late = None if row.refused or row.done.wait(ROW_WAIT_S) else row
        return self._late is None

    def next_run(self) -> int:
        """A number for a run, never used before."""
        self.runs += 1
        return self.runs
