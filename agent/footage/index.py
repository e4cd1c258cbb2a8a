"""footage.db: which file holds which time of which camera, and why there is none.

Invariants
1. One thread writes; whoever wants something written submits it and may wait for the commit.
2. What is submitted is committed in that order, or the index says that it is failing and tries again.
3. Rows rest on files, never the other way round: an index that is lost is built again from the files.
4. A reel (camera and stream) has at most one open gap (`to_ns` is null).
5. One process writes: it holds a lock on `footage.lock` beside the database as long as it may.
6. A database that turns out to be broken, at the start or later, is set aside and never deleted; the new one knows
   that it has to be built again from the files (`rows.is_rebuilding`), until each volume was gone through.
"""

import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agent.footage.migrations import MIGRATIONS
from agent.footage.rows import Statement, put_rebuilding

log = logging.getLogger(__name__)

FAILING_RETRY_S: Final = 1.0
MAX_WAITING: Final = 20_000
"""Statements kept while the disk refuses: a day of four cameras. Beyond it the oldest wait on the disk's files."""


CHECK_S: Final = 10.0
"""An index that is idle looks this often whether its file is still there, and still a database."""

ANEW_EVERY_S: Final = 20.0
"""A database is set aside no more often than this."""

_HEAD: Final = b"SQLite format 3\0"
_LOCK_FILE: Final = "footage.lock"
_CHECK_STEPS: Final = 100_000
"""Of SQLite's virtual machine, between two looks at whether to stop: some milliseconds."""

_TABLES: Final = frozenset({"segment", "gap", "run", "volume", "camera", "hold", "tombstone", "journal", "note"})

_BROKEN: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


_NEVER: Final = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
    OverflowError,
)
"""What SQLite, or the way to it, says of a row that it will never take: the fault is in the row."""


class IndexBroken(Exception):
    """footage.db cannot be read. The text says what SQLite said."""


class IndexBusy(OSError):
    """Another process writes footage.db."""


class Pending:
    """Something submitted; `done` is set once it is committed."""

    __slots__ = ("done", "refused", "statements")

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.statements = statements
        self.done = threading.Event()
        self.refused = False


class Index:
    """The one writer of footage.db, and the way to read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._queue: deque[Pending] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._failing: str | None = None
        self._broken: str | None = None
        self._lock: int | None = None
        self._eye: int | None = None
        """A descriptor of the database that stays open: closing one drops all locks that SQLite has on the file in this
        process (fcntl(2)), and another program that closes the database would then delete the log that is in use."""
        self._inode = 0
        self._had_head = False
        self._prepared = False
        self._not_before = 0.0
        self.generation = 0
        """How often a database was opened after the start: begun anew, or one that could not be used before."""
        self.settling = threading.Lock()
        """Held by who makes the files and the rows of a directory agree, and by who deletes both."""
        self._thread = threading.Thread(target=self._run, name="footage-index", daemon=True)

    def prepare(self) -> None:
        """Make or migrate the database; one that is broken is set aside before. Raises IndexBusy, OSError and
        sqlite3.OperationalError when it cannot be used now; `start` tries it again then."""
        if self._lock is None:
            self._lock = take_lock(self.path)
        try:
            prepare(self.path)
        except IndexBroken as error:
            self._set_aside(str(error))
            prepare(self.path)
        self._watch()
        self._broken = None
        self._prepared = True

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Commit what waits, then stop. Raises RuntimeError when that takes longer than `timeout_s`."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise RuntimeError("the footage index did not stop")
        self._let_go()

    @property
    def failing(self) -> str | None:
        """What SQLite says while nothing can be committed, else None."""
        return self._failing

    def submit(self, *statements: Statement) -> Pending:
        """Have these statements committed together, after all that were submitted before. Never waits."""
        pending = Pending(statements)
        with self._wake:
            if len(self._queue) >= MAX_WAITING:
                log.error("the footage index is far behind; a row is left to be rebuilt from its file")
                pending.refused = True
                return pending
            self._queue.append(pending)
            self._wake.notify_all()
        return pending

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of the caller's own that can only read. For one short transaction."""
        try:
            with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=2.0)) as connection:
                connection.row_factory = sqlite3.Row
                yield connection
        except sqlite3.DatabaseError as error:
            if _is_broken(error):
                self.report(str(error))
            raise

    def report(self, what: str) -> None:
        """The database is broken, somebody saw: it is set aside, and a new one begun. Never waits."""
        with self._wake:
            self._broken = what
            self._wake.notify_all()

    def check(self, stop: Callable[[], bool]) -> None:
        """Read the whole database through, unless `stop` says so before, and report it when it is broken. It takes
        seconds, and from a cold disk minutes: nothing waits for it. Raises sqlite3.Error when it cannot be read."""
        if stop():
            return
        with self.reading() as connection:
            connection.set_progress_handler(lambda: int(stop()), _CHECK_STEPS)
            try:
                answer = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            except sqlite3.OperationalError:
                if stop():
                    return
                raise
        if answer != "ok":
            self.report(answer)

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        try:
            while True:
                with self._wake:
                    self._wake.wait_for(lambda: self._queue or self._stopping or self._broken, CHECK_S)
                    batch = list(self._queue)
                    stopping = self._stopping
                if stopping and not batch:
                    return
                try:
                    self._look()
                    connection = connection or self._connect()
                    self._commit(connection, batch)
                except (sqlite3.Error, IndexBroken, OSError) as error:
                    if connection is not None:
                        connection.close()
                        connection = None
                    if (isinstance(error, IndexBroken) or _is_broken(error)) and self._begin_anew(str(error)):
                        continue
                    if self._failing is None:
                        log.warning("footage index: %s; trying again every %s s", error, FAILING_RETRY_S)
                    self._failing = str(error)
                    if stopping:
                        return
                    with self._wake:
                        self._wake.wait_for(lambda: self._stopping, FAILING_RETRY_S)
                    continue
                if self._failing is not None:
                    log.info("footage index: working again")
                self._failing = None
        finally:
            if connection is not None:
                connection.close()

    def _look(self) -> None:
        """Whether the database is still the one that was opened. Raises IndexBroken when it is not."""
        if not self._prepared:
            return
        if self._broken is not None:
            raise IndexBroken(self._broken)
        try:
            inode = self.path.stat().st_ino
        except FileNotFoundError as error:
            raise IndexBroken("the file was deleted") from error
        if inode != self._inode or self._eye is None:
            raise IndexBroken("the file was replaced")
        head = os.pread(self._eye, len(_HEAD), 0)
        # A database that was just made may be all in its log, and the file still empty.
        if head != _HEAD and (head or self._had_head):
            raise IndexBroken("the file was overwritten")
        self._had_head = head == _HEAD

    def _watch(self) -> None:
        """Look at the database that is there from now on."""
        inode = self.path.stat().st_ino
        if self._eye is None or inode != self._inode:
            if self._eye is not None:
                os.close(self._eye)
            self._eye = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self._inode, self._had_head = inode, False

    def _begin_anew(self, why: str) -> bool:
        """Set aside what is broken and make another one; False when that cannot be done now: a disk that breaks one
        after the other is not filled with them."""
        now = time.monotonic()
        if now < self._not_before:
            return False
        self._not_before = now + ANEW_EVERY_S
        try:
            self._set_aside(why)
            self._prepared = False
            self.prepare()
        except (sqlite3.Error, OSError, IndexBroken) as error:
            log.warning("footage index: no new one can be made: %s", error)
            return False
        self.generation += 1
        return True

    def _set_aside(self, why: str) -> None:
        aside = set_aside(self.path, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        log.error("the footage index is broken (%s); moved to %s, building a new one", why, aside.name)

    def _let_go(self) -> None:
        for number in (self._eye, self._lock):
            if number is not None:
                os.close(number)
        self._eye = self._lock = None

    def _connect(self) -> sqlite3.Connection:
        if not self._prepared:
            self.prepare()
            self.generation += 1
        return _connect(self.path)

    def _commit(self, connection: sqlite3.Connection, batch: list[Pending]) -> None:
        if not batch:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            for pending in batch:
                connection.execute("SAVEPOINT one")
                try:
                    for sql, values in pending.statements:
                        connection.execute(sql, values)
                except _NEVER as error:
                    # It would fail every time: one bad row must not hold up all the others.
                    log.warning("footage index refuses a row: %s", error)
                    connection.execute("ROLLBACK TO one")
                    pending.refused = True
                connection.execute("RELEASE one")
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.rollback()
            raise
        with self._wake:
            for _ in batch:
                self._queue.popleft()
        for pending in batch:
            pending.done.set()


def prepare(path: Path) -> None:
    """Make or migrate footage.db, in a time that does not grow with it: `Index.check` reads the rest. Raises
    IndexBroken when what is there is no sound database of ours, and sqlite3.OperationalError when it is sound for all
    we know but cannot be used now (locked, disk error)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(_connect(path)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise IndexBroken(f"made by a newer version ({version})")
            for number in range(version, len(MIGRATIONS)):
                connection.executescript(f"BEGIN; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")
            if version == 0:
                connection.execute(*put_rebuilding())
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            if not names >= _TABLES:
                raise IndexBroken("tables are missing")
            for table in ("segment", "gap", "run"):
                connection.execute(f"SELECT MAX(id) FROM {table}").fetchone()
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and not _is_broken(error):
            raise
        raise IndexBroken(str(error)) from error


def take_lock(path: Path) -> int:
    """The right to write the database at `path`, until the descriptor that this returns is closed. Raises IndexBusy
    when another process has it, and OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number = os.open(path.with_name(_LOCK_FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(number)
        raise IndexBusy(error.errno, "another process writes the footage index") from error
    return number


def set_aside(path: Path, stamp: str, why: str = "broken") -> Path:
    """Move a database out of the way, with its log; nothing is ever deleted. Returns where it went."""
    target, number = path.with_name(f"{path.name}.{why}-{stamp}"), 0
    while any(target.with_name(target.name + suffix).exists() for suffix in _PARTS):
        number += 1
        target = path.with_name(f"{path.name}.{why}-{stamp}-{number}")
    for suffix in _PARTS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    return target


_PARTS: Final = ("", "-wal", "-shm")


def _is_broken(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _BROKEN


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
