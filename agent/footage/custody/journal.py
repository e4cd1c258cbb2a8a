"""The writer of the journal (see `journal_chain`): the table in footage.db, and a copy on every volume.

Used by the keeper's thread alone, but for `faults` and `status`.

Invariants
1. A row is committed to footage.db first, together with the statements that it stands for, and then copied to the
   volumes: a crash in between leaves copies that are behind, and those are completed from the table.
2. When footage.db was lost, the journal goes on from the copies before anything new is written to it: nothing is
   appended until the table has rows, or a volume is there to be asked.
3. What is taken over from a copy takes effect again: a hold that was known to a volume alone holds.
4. No start and no step reads it whole: it is never pruned, since what is deleted is proved by it, and 16 cameras
   write 5 MB a day into it. `status` says how large it is.
5. A copy that contradicts the table is set aside (`journal-<time>` on its volume), told, and noted as a row `fork`.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from agent.clock import Clock
from agent.facts import ConditionKind, Stamp
from agent.footage.custody import journal_copy
from agent.footage.custody.journal_chain import Head, Kind, Remedy, Row, heal, next_row
from agent.footage.custody.journal_copy import CopyDamaged
from agent.footage.fault import Fault
from agent.footage.index import Index, Pending
from agent.footage.rows import Statement
from agent.seldom import Seldom

log = logging.getLogger(__name__)

COMMIT_WAIT_S: Final = 10.0
"""How long `append` waits for its commit."""

ROWS_AT_ONCE: Final = 500
"""Of what is copied or taken over in one piece."""

_COUNT_EVERY_NS: Final = 3600 * 10**9

Effects = Callable[[Row], list[Statement]]
"""What a row that was taken over from a copy changes in the tables."""


class JournalWaits(Exception):
    """Nothing can be appended now: footage.db does not commit, or it is new and no volume is there to be asked.
    What was submitted is committed later or not at all; the next `append` knows which."""


class Journal:
    """The journal of one facility's footage."""

    name = "journal"
    every_s = 2.0

    def __init__(
        self, index: Index, volumes: Callable[[], list[Path]], clock: Clock, effects: Effects | None = None
    ) -> None:
        """`volumes` gives the paths of those that are mounted and ours, now."""
        self._index = index
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
        """Complete the copies: those that failed, and those of volumes that came."""
        self._look()
        self._copy_all()
        if now.mono_ns >= self._count_ns:
            self._count_ns = now.mono_ns + _COUNT_EVERY_NS
            self._sizes = {path: self._size(path) for path in list(self._copied)}

    def faults(self) -> list[Fault]:
        """Copies that cannot be written, and copies that contradict the table."""
        failing = [Fault(ConditionKind.FOOTAGE_UPKEEP_FAILING, f"journal/{path}", (("detail", text),))
                   for path, text in list(self._failing.items())]  # fmt: skip
        forked = [Fault(ConditionKind.EVIDENCE_BROKEN, f"journal/{path}", (("detail", text),))
                  for path, text in list(self._forked.items())]  # fmt: skip
        return [*failing, *forked]

    def status(self) -> dict[str, Any]:
        """Where the journal ends, and how far its copies go."""
        head = self._head
        copies = {str(path): n for path, n in list(self._copied.items())}
        told = {"n": head.n if head else None, "hash": head.hash if head else None, "copies": copies}
        return {"journal": {**told, "bytes": max(self._sizes.values(), default=0)}}

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
            try:
                with self._index.reading() as connection:
                    head = head_of(connection)
            except sqlite3.DatabaseError as error:
                log.debug("the journal cannot be read yet: %s", error)
                return
            if head.n == 0:
                readable = [path for path in volumes if self._is_readable(path)]
                if not readable:
                    return
                head = self._take_over(head, readable)
            self._head = head
        for path in volumes:
            if path not in self._copied:
                self._heal(path)

    def _is_readable(self, path: Path) -> bool:
        try:
            journal_copy.head(path)
        except CopyDamaged:
            return True
        except OSError as error:
            self._fail(path, error)
            return False
        return True

    def _heal(self, path: Path) -> None:
        assert self._head is not None
        try:
            try:
                copy = journal_copy.head(path)
                with self._index.reading() as connection:
                    table_at_copy = hash_at(connection, copy.n)
                at_table = journal_copy.row_at(path, self._head.n) if copy.n > self._head.n else None
                remedy = heal(self._head, copy, table_at_copy, at_table.hash if at_table else None)
            except CopyDamaged:
                copy, remedy = Head(), Remedy.SET_ASIDE
            if remedy is Remedy.TAKE_OVER:
                self._head = self._take_over(self._head, [path])
                # What a copy has after a row that is damaged in it is no continuation.
                remedy = Remedy.SET_ASIDE if self._head.n < copy.n else Remedy.NOTHING
            if remedy is Remedy.SET_ASIDE:
                self._set_aside(path, copy)
                copy = Head()
        except OSError as error:
            self._fail(path, error)
            return
        self._copied[path] = copy.n

    def _take_over(self, head: Head, volumes: list[Path]) -> Head:
        """Put the rows that the volumes have after `head` into the table, with their effects; where it ends then."""
        taken = 0
        for some in _pieces(journal_copy.replay(volumes, head)):
            statements = [each for row in some for each in [put_row(row), *self._effects_of(row)]]
            pending = self._index.submit(*statements)
            if not pending.done.wait(COMMIT_WAIT_S) or pending.refused:
                raise JournalWaits(f"footage.db does not take the journal over: {self._index.failing}")
            head = Head(some[-1].n, some[-1].hash)
            taken += len(some)
        if taken:
            log.warning("footage journal: %s rows were taken over from the volumes, up to %s", taken, head.n)
        return head

    def _effects_of(self, row: Row) -> list[Statement]:
        return self._effects(row) if self._effects else []

    def _set_aside(self, path: Path, copy: Head) -> None:
        """Keep a copy that contradicts the table under another name, let its holds hold, and note it."""
        assert self._head is not None
        holds = [row for row in journal_copy.read(path) if row.kind == Kind.HOLD]
        kept = journal_copy.set_aside(path, str(self._clock.wall_ns() // 1_000_000_000))
        log.error("the footage journal on %s is another one than in footage.db: it is kept as %s", path, kept.name)
        self._forked[path] = kept.name
        detail = {"volume": str(path), "kept": kept.name, "n": copy.n, "hash": copy.hash}
        row = next_row(self._head, self._clock.wall_ns(), Kind.FORK, detail)
        self._commit(row, [each for hold in holds for each in self._effects_of(hold)])

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
                some = rows_after(connection, copied, ROWS_AT_ONCE)
            if not some:
                return
            journal_copy.append(path, some)
            copied = some[-1].n
            self._copied[path] = copied

    def _fail(self, path: Path, error: OSError) -> None:
        self._failing[path] = str(error)
        self._seldom.say(logging.WARNING, f"copy {path}", f"the journal cannot be copied to {path}: {error}")


def put_row(row: Row) -> Statement:
    """A row of the table `journal`; refused, with all that is committed with it, unless it follows what is there."""
    return (_PUT_ROW, (row.n, row.n, row.n - 1, row.previous, row.at_ns, row.kind, row.detail, row.hash))


_PUT_ROW: Final = """
    INSERT INTO journal (n, at_ns, kind, detail, hash) SELECT
    ?, CASE WHEN ? = 1 OR (SELECT hash FROM journal WHERE n = ?) = ? THEN ? END, ?, ?, ?"""
"""`at_ns` may not be null: a row that follows nothing breaks that rule. It may have been submitted just before a broken
footage.db was set aside and a new one begun."""


def head_of(connection: sqlite3.Connection) -> Head:
    """Where the journal in the table ends."""
    row = connection.execute("SELECT n, hash FROM journal ORDER BY n DESC LIMIT 1").fetchone()
    return Head(row[0], row[1]) if row else Head()


def hash_at(connection: sqlite3.Connection, n: int) -> str | None:
    """The hash of one row of the table."""
    row = connection.execute("SELECT hash FROM journal WHERE n = ?", (n,)).fetchone()
    return str(row[0]) if row else None


def rows_after(connection: sqlite3.Connection, after_n: int, limit: int, kind: str | None = None) -> list[Row]:
    """At most `limit` rows of the table with higher numbers, of all kinds or of one."""
    if kind is None:
        found = connection.execute(f"SELECT {_COLUMNS} WHERE n > ? ORDER BY n LIMIT ?", (after_n, limit))
    else:
        found = connection.execute(
            f"SELECT {_COLUMNS} WHERE n > ? AND kind = ? ORDER BY n LIMIT ?", (after_n, kind, limit)
        )
    return [_row(each) for each in found]


def newest(connection: sqlite3.Connection, kind: str, before_n: int | None = None) -> Row | None:
    """The newest row of a kind, of all or of those before row `before_n`."""
    found = connection.execute(
        "SELECT MAX(n) FROM journal WHERE kind = ? AND n < ?", (kind, (1 << 62) if before_n is None else before_n)
    ).fetchone()[0]
    return rows_after(connection, found - 1, 1)[0] if found else None


def buried(connection: sqlite3.Connection, camera: str, stream: str, from_seq: int, limit: int) -> list[Row]:
    """At most `limit` tombstones of a camera and stream, by their numbers, from the one on that holds or follows
    `from_seq`."""
    found = connection.execute(_BURIED, (camera, stream, from_seq, limit))
    return [_row(each) for each in found]


_COLUMNS: Final = """
    n, (SELECT hash FROM journal AS before WHERE before.n = journal.n - 1), at_ns, kind, detail, hash FROM journal"""

_BURIED: Final = f"""
    SELECT {_COLUMNS} WHERE kind = 'tombstone' AND json_extract(detail, '$.camera') = ?
    AND json_extract(detail, '$.stream') = ? AND json_extract(detail, '$.last_seq') >= ?
    ORDER BY json_extract(detail, '$.last_seq') LIMIT ?"""


def _row(values: Sequence[Any]) -> Row:
    n, previous, at_ns, kind, detail, hashed = values
    return Row(n, previous or Head().hash, at_ns, kind, detail, hashed)


def _pieces(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while some := list(islice(rows, ROWS_AT_ONCE)):
        yield some
