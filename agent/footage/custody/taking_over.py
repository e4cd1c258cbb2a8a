"""Takes a journal over from the volumes, piece by piece: footage.db was lost, or is an old one.

A journal of a year takes a minute; the keeper's other chores have their turns meanwhile.

Invariants
1. Rows go into footage.db in their order, each only as the continuation of what is there, with their effects.
2. From the first piece to the last footage.db itself says that rows are missing (note `journal.taking_over`): a crash
   in between ends nothing, and nobody appends a row where others belong.
3. It is over only when every copy was read to its end; a copy that cannot be read is waited for, unless the others
   have all that it has.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from agent.clock import Clock
from agent.footage.custody import journal_copy
from agent.footage.custody.journal_chain import Head, Row, file_of
from agent.footage.custody.journal_copy import CopyDamaged
from agent.footage.custody.journal_pack import is_full
from agent.footage.custody.journal_rows import put_pack, put_row
from agent.footage.custody.packing import LOOSE_ROWS
from agent.footage.index import Index
from agent.footage.rows import Statement

log = logging.getLogger(__name__)

PIECE_NS: Final = 500_000_000
"""How long one turn takes rows over."""

COMMIT_WAIT_S: Final = 10.0

NOTE: Final = "journal.taking_over"

Effects = Callable[[Row], list[Statement]]
"""What a row that was taken over from a copy changes in the tables."""


class CannotTakeOver(Exception):
    """Not now: footage.db does not commit, or a volume cannot be read. The text says which."""


class TakeOver:
    """Used by the keeper's thread alone, but for `status`."""

    def __init__(self, index: Index, clock: Clock, effects: Effects | None) -> None:
        self._index = index
        self._clock = clock
        self._effects = effects
        self._progress: tuple[int, int] | None = None
        self._taken = 0

    def status(self) -> dict[str, int] | None:
        """How far it is, {n, of}; None while there is nothing to take over."""
        progress = self._progress
        return {"n": progress[0], "of": progress[1]} if progress else None

    def begin(self) -> None:
        """Say in footage.db that rows are missing. Raises CannotTakeOver."""
        self._commit([("INSERT OR REPLACE INTO note VALUES (?, '')", (NOTE,))])

    def turn(self, head: Head, volumes: Sequence[Path], is_begun: bool) -> tuple[Head, bool]:
        """Put some of the rows that the volumes have after `head` into footage.db; where it ends then, and whether
        that was all. `is_begun` says whether `begin` was called before. Raises CannotTakeOver."""
        until_ns = self._clock.mono_ns() + PIECE_NS
        failed: dict[Path, str] = {}
        of = max((_end(each) for each in volumes), default=0)
        for rows in _files(volumes, head, failed):
            if not is_begun:
                self.begin()
                is_begun = True
            self._commit(self._statements(head, rows, of))
            head = Head(rows[-1].n, rows[-1].hash)
            self._taken += len(rows)
            self._progress = (head.n, max(of, head.n))
            if self._clock.mono_ns() >= until_ns:
                return head, False
        if failed and head.n < of:
            raise CannotTakeOver("; ".join(f"{path}: {why}" for path, why in failed.items()))
        if is_begun:
            self._commit([("DELETE FROM note WHERE name = ?", (NOTE,))])
            log.warning("footage journal: %s rows were taken over from the volumes, up to %s", self._taken, head.n)
        self._progress, self._taken = None, 0
        return head, True

    def _statements(self, head: Head, rows: list[Row], of: int) -> list[Statement]:
        """Rows that are old already are packed at once."""
        effects = [each for row in rows for each in (self._effects(row) if self._effects else [])]
        if is_full(head.n + 1, rows) and rows[-1].n <= of - LOOSE_ROWS:
            return [*put_pack(rows), *effects]
        return [*(put_row(row) for row in rows), *effects]

    def _commit(self, statements: Sequence[Statement]) -> None:
        pending = self._index.submit(*statements)
        if not pending.done.wait(COMMIT_WAIT_S) or pending.refused:
            raise CannotTakeOver(f"footage.db does not take the journal over: {self._index.failing or 'it refused'}")


def is_under_way(connection: sqlite3.Connection) -> bool:
    """Whether footage.db says that rows of the journal are missing in it."""
    return connection.execute("SELECT 1 FROM note WHERE name = ?", (NOTE,)).fetchone() is not None


def _files(volumes: Sequence[Path], head: Head, failed: dict[Path, str]) -> Iterator[list[Row]]:
    """What follows `head` in the copies, file by file. Volumes that cannot be read are named in `failed`."""

    def readable(volume: Path) -> Iterator[Row]:
        try:
            yield from journal_copy.read(volume, head.n)
        except OSError as error:
            failed[volume] = str(error)

    for _, some in groupby(journal_copy.in_order(map(readable, volumes), head), key=lambda row: file_of(row.n)):
        yield list(some)


def _end(volume: Path) -> int:
    try:
        return journal_copy.head(volume).n
    except (OSError, CopyDamaged):
        return 0
