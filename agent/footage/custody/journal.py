"""The writer of the journal (see `journal_chain`): the table in footage.db, and a copy on every volume.

Used by the keeper's thread alone, but for `faults` and `status`.

Invariants
1. A row is committed to footage.db first, together with the statements that it stands for, and then copied to the
   volumes: a crash in between leaves copies that are behind, and those are completed from footage.db.
2. When footage.db was lost, the journal goes on from the copies before anything new is written to it: nothing is
   appended until the table has rows, or a volume is there to be asked; nor while rows are taken over (taking_over.py).
3. What is taken over from a copy takes effect again: a hold that was known to a volume alone holds.
4. No start and no step reads it whole. A volume keeps all of it for ever, since what is deleted is proved by it, and
   16 cameras write 5 MB a day into it; footage.db keeps the old rows packed (packing.py). `status` says how large.
5. A copy that contradicts the table is set aside (`journal-<time>` on its volume), told, and noted as a row `fork`.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from agent.clock import Clock
from agent.facts import ConditionKind, Stamp
from agent.footage.custody import journal_copy
from agent.footage.custody.journal_chain import Head, Kind, Remedy, Row, heal, next_row
from agent.footage.custody.journal_copy import CopyDamaged
from agent.footage.custody.journal_rows import hash_at, head_of, pack_before, put_row, rows_after
from agent.footage.custody.packing import Packing
from agent.footage.custody.taking_over import CannotTakeOver, Effects, TakeOver, is_under_way
from agent.footage.fault import Fault
from agent.footage.index import Index, Pending
from agent.footage.rows import Statement
from agent.seldom import Seldom

log = logging.getLogger(__name__)

COMMIT_WAIT_S: Final = 10.0
"""How long `append` waits for its commit."""

ROWS_AT_ONCE: Final = 500
"""Of what is copied in one piece."""

_COUNT_EVERY_NS: Final = 3600 * 10**9

EVERY_S: Final = 2.0
BUSY_S: Final = 0.5
"""While rows are taken over."""


class JournalWaits(Exception):
    """Nothing can be appended now: footage.db does not commit, or it is new and no volume is there to be asked.
    What was submitted is committed later or not at all; the next `append` knows which."""


class Journal:
    """The journal of one facility's footage."""

    name = "journal"
    every_s = EVERY_S

    def __init__(
        self,
        index: Index,
        volumes: Callable[[], list[Path]],
        clock: Clock,
        effects: Effects | None = None,
        packing: Packing | None = None,
    ) -> None:
        """`volumes` gives the paths of those that are mounted and ours, now."""
        self._index = index
        self._packing = packing or Packing(index)
        self._taking = TakeOver(index, clock, effects)
        self._volumes = volumes
        self._clock = clock
        self._effects = effects
        self._head: Head | None = None
        self._under_way: tuple[Row, Pending] | None = None
        self._copied: dict[Path, int] = {}
        """Volume -> number of the last row of its copy, once it was healed."""
        self._sizes: dict[Path, int] = {}
        """Bytes of each copy, when they were last counted."""
        self._count_ns = 0
        self._failing: dict[Path, str] = {}
        self._forked: dict[Path, str] = {}
        self._generation = index.generation
        self._seldom = Seldom(log, clock)

    @property
    def head(self) -> Head | None:
        """Where the journal ends; None until it was read and, if it was lost, taken over from the volumes."""
        return self._head

    def append(self, kind: str, detail: dict[str, Any], *statements: Statement) -> Row:
        """Write a row, and commit `statements` with it. `detail` is plain JSON without floats or secrets.

        Raises JournalWaits, ValueError when `detail` is no such JSON, and sqlite3.Error.
        """
        self._look()
        if self._head is None:
            raise JournalWaits("the journal is not known yet: the index or every volume is away")
        row = next_row(self._head, self._clock.wall_ns(), kind, detail)
        self._commit(row, statements)
        self._copy_all()
        return row

    def step(self, now: Stamp) -> None:
        """Take over what is missing, complete the copies (those that failed, and those of volumes that came), and pack
        what is old. Raises JournalWaits when what is missing cannot be read."""
        self._look()
        self._copy_all()
        if now.mono_ns >= self._count_ns:
            self._count_ns = now.mono_ns + _COUNT_EVERY_NS
            self._sizes = {path: self._size(path) for path in list(self._copied)}
        if self._head is not None:
            self._packing.turn(self._head, self._copied, now)
        self.every_s = BUSY_S if self.is_taking_over else EVERY_S

    @property
    def is_taking_over(self) -> bool:
        """Whether rows are being taken over from the volumes: each step goes on with it."""
        return self._taking.status() is not None

    def faults(self) -> list[Fault]:
        """Copies that cannot be written, and copies that contradict the table."""
        failing = [Fault(ConditionKind.FOOTAGE_UPKEEP_FAILING, f"journal/{path}", (("detail", text),))
                   for path, text in list(self._failing.items())]  # fmt: skip
        forked = [Fault(ConditionKind.EVIDENCE_BROKEN, f"journal/{path}", (("detail", text),))
                  for path, text in list(self._forked.items())]  # fmt: skip
        return [*failing, *forked, *self._packing.faults()]

    def status(self) -> dict[str, Any]:
        """Where the journal ends, how far its copies go, and how far it is taken over."""
        head = self._head
        copies = {str(path): n for path, n in list(self._copied.items())}
        told = {"n": head.n if head else None, "hash": head.hash if head else None, "copies": copies}
        size = max(self._sizes.values(), default=0)
        return {"journal": {**told, "bytes": size, "taking_over": self._taking.status()}}

    def _size(self, path: Path) -> int:
        try:
            return journal_copy.size_bytes(path)
        except OSError:
            return 0

    def _commit(self, row: Row, statements: Iterable[Statement]) -> None:
        pending = self._index.submit(put_row(row), *statements)
        self._under_way = (row, pending)
        pending.done.wait(COMMIT_WAIT_S)
        if self._arrived() != row.n:
            raise JournalWaits(f"footage.db does not commit: {self._index.failing or 'it refused the row'}")

    def _arrived(self) -> int | None:
        """What became of the row under way: its number when it is committed, None when it never will be. Raises
        JournalWaits while that is open."""
        if self._under_way is None:
            return None
        row, pending = self._under_way
        if not (pending.done.is_set() or pending.refused):
            raise JournalWaits(f"footage.db does not commit: {self._index.failing or 'it is slow'}")
        self._under_way = None
        if pending.refused:
            self._head = None
            return None
        self._head = Head(row.n, row.hash)
        return row.n

    def _look(self) -> None:
        """Know where the journal ends, and heal the copies of volumes that came."""
        self._arrived()
        if self._index.generation != self._generation:
            # footage.db was broken, and another one was begun.
            self._generation = self._index.generation
            self._head = None
            self._copied.clear()
        volumes = self._volumes()
        for path in list(self._copied):
            if path not in volumes:
                del self._copied[path]
        self._failing = {path: text for path, text in self._failing.items() if path in volumes}
        if self._head is None:
            self._find_head(volumes)
        for path in volumes:
            if self._head is not None and path not in self._copied:
                self._heal(path, volumes)

    def _find_head(self, volumes: list[Path]) -> None:
        """Know where the journal ends, if footage.db says it; take over some of what is missing, if not."""
        try:
            with self._index.reading() as connection:
                head, is_begun = head_of(connection), is_under_way(connection)
        except sqlite3.DatabaseError as error:
            log.debug("the journal cannot be read yet: %s", error)
            return
        if head.n == 0 or is_begun:
            readable = [path for path in volumes if self._is_readable(path)]
            if not readable:
                return
            try:
                head, is_over = self._taking.turn(head, readable, is_begun)
            except CannotTakeOver as error:
                raise JournalWaits(str(error)) from error
            self._packing.forget()
            if not is_over:
                return
        self._head = head

    def _is_readable(self, path: Path) -> bool:
        try:
            journal_copy.head(path)
        except CopyDamaged:
            return True
        except OSError as error:
            self._fail(path, error)
            return False
        return True

    def _heal(self, path: Path, volumes: list[Path]) -> None:
        assert self._head is not None
        try:
            try:
                copy = journal_copy.head(path)
                with self._index.reading() as connection:
                    table_at_copy = self._hash_at_end(connection, path, copy, volumes)
                at_table = journal_copy.row_at(path, self._head.n) if copy.n > self._head.n else None
                remedy = heal(self._head, copy, table_at_copy, at_table.hash if at_table else None)
            except CopyDamaged:
                copy, remedy = Head(), Remedy.SET_ASIDE
            if remedy is Remedy.TAKE_OVER and next(journal_copy.replay([path], self._head), None) is not None:
                self._take_over(volumes)
                if self._head is not None:
                    self._heal(path, volumes)
                return
            if remedy in (Remedy.SET_ASIDE, Remedy.TAKE_OVER):
                # What a copy has after a row that is damaged in it is no continuation.
                self._set_aside(path, copy)
                copy = Head()
        except OSError as error:
            self._fail(path, error)
            return
        self._copied[path] = copy.n

    def _hash_at_end(self, connection: sqlite3.Connection, path: Path, copy: Head, volumes: list[Path]) -> str | None:
        """What footage.db has for the row at which a copy ends. When no volume has that row any more but the copy
        itself, its last row that footage.db remembers speaks for it."""
        assert self._head is not None
        found = hash_at(connection, copy.n, [each for each in volumes if each != path])
        if found is not None or not 0 < copy.n <= self._head.n:
            return found
        pack = pack_before(connection, copy.n)
        if pack is None:
            return copy.hash
        row = journal_copy.row_at(path, pack.last_n)
        return copy.hash if row is not None and row.hash == pack.after else None

    def _take_over(self, volumes: list[Path]) -> None:
        """A copy goes on where footage.db ends: that is an old one."""
        try:
            self._taking.begin()
        except CannotTakeOver as error:
            raise JournalWaits(str(error)) from error
        self._head = None
        self._find_head(volumes)

    def _set_aside(self, path: Path, copy: Head) -> None:
        """Keep a copy that contradicts the table under another name, let the holds hold that it alone has, and note
        it."""
        assert self._head is not None
        holds = self._strange_holds(path)
        kept = journal_copy.set_aside(path, str(self._clock.wall_ns() // 1_000_000_000))
        log.error("the footage journal on %s is another one than in footage.db: it is kept as %s", path, kept.name)
        self._forked[path] = kept.name
        detail = {"volume": str(path), "kept": kept.name, "n": copy.n, "hash": copy.hash}
        row = next_row(self._head, self._clock.wall_ns(), Kind.FORK, detail)
        self._commit(row, [each for hold in holds for each in self._effects_of(hold)])

    def _strange_holds(self, path: Path) -> list[Row]:
        """Rows of holds that a copy has and footage.db has not: those that both have may have been released since."""
        with self._index.reading() as connection:
            first = journal_copy.first_strange(path, lambda n: hash_at(connection, n))
            if first is None:
                return []
            holds = [row for row in journal_copy.read_from(first) if row.kind == Kind.HOLD]
            return [row for row in holds if hash_at(connection, row.n) != row.hash]

    def _effects_of(self, row: Row) -> list[Statement]:
        return self._effects(row) if self._effects else []

    def _copy_all(self) -> None:
        if self._head is None:
            return
        for path, copied in list(self._copied.items()):
            try:
                self._copy(path, copied)
            except OSError as error:
                self._fail(path, error)
                # Read again where it ends: a part may be written.
                self._copied.pop(path, None)
            else:
                self._failing.pop(path, None)

    def _copy(self, path: Path, copied: int) -> None:
        assert self._head is not None
        while copied < self._head.n:
            with self._index.reading() as connection:
                some = rows_after(connection, copied, ROWS_AT_ONCE, volumes=[p for p in self._copied if p != path])
            if not some:
                return
            journal_copy.append(path, some)
            copied = some[-1].n
            self._copied[path] = copied

    def _fail(self, path: Path, error: OSError) -> None:
        self._failing[path] = str(error)
        self._seldom.say(logging.WARNING, f"copy {path}", f"the journal cannot be copied to {path}: {error}")
