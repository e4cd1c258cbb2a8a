"""footage.db: which file holds which time of which camera, and why there is none.

Invariants
1. One thread writes; whoever wants something written submits it and may wait for the commit.
2. What is submitted is committed in that order, or the index says that it is failing and tries again.
3. Rows rest on files, never the other way round: an index that is lost is built again from the files.
4. A reel (camera and stream) has at most one open gap (`to_ns` is null).
5. One process writes: it holds a lock on `footage.lock` beside the database as long as it may.
6. A database that turns out to be broken, at the start or later, is set aside and never deleted; the new one knows
   that it has to be built again from the files (`rows.is_rebuilding`), until each volume was gone through.
7. Nobody waits for a disk that does not answer but the thread that writes: `reading` refuses, `failing` tells, what is
   submitted waits in memory, at most `MAX_WAITING`. What was left out then is looked for in the files afterwards.
"""

import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

from agent.clock import SystemClock
from agent.footage.index_file import HEAD, IndexBroken, connect, is_broken, prepare, set_aside, take_lock
from agent.footage.rows import Statement
from agent.seldom import Seldom
from agent.woken import WokenThread

log = logging.getLogger(__name__)

FAILING_RETRY_S: Final = 1.0
MAX_WAITING: Final = 10_000
"""Submissions kept while the disk refuses: 28 MB at most, and hours of 16 cameras. What comes beyond is left to be
found in the files."""

MOST_AT_ONCE: Final = 1000
"""Submissions in one commit: what waited for hours is no single step of many seconds."""

HUNG_S: Final = 5.0
"""A disk that has not answered for so long is told, and not read from: a busy SD card needs one or two."""

CHECK_S: Final = 10.0
"""An index that is idle looks this often whether its file is still there, and still a database."""

ANEW_EVERY_S: Final = 20.0
"""A database is set aside no more often than this."""

DOES_NOT_ANSWER: Final = "the disk of the index does not answer"

_LOOK_S: Final = 0.1
_CHECK_STEPS: Final = 100_000
"""Of SQLite's virtual machine, between two looks at whether to stop: some milliseconds."""

_NEVER: Final = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
    OverflowError,
)
"""What SQLite, or the way to it, says of a row that it will never take: the fault is in the row."""


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
        self._seldom = Seldom(log, SystemClock())
        self._busy_since: float | None = None
        """Since when the disk is asked for something (monotonic seconds)."""
        self._ready = threading.Event()
        self._left_out = False
        """Rows were, since the last that all could be committed."""
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
        """How often the index went on without knowing all that it was told: a database was begun anew, one that could
        not be used before was opened, or rows were left out."""
        self.settling = threading.Lock()
        """Held by who makes the files and the rows of a directory agree, and by who deletes both."""
        self._thread = WokenThread("footage-index", self._run, "the footage index did not stop")

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
        self._ready.set()

    def start(self) -> None:
        """Begin to write; what `prepare` did not prepare, the thread does."""
        self._thread.start()

    def is_ready(self) -> bool:
        """Wait until the database is open; False as soon as the disk refuses that, or does not answer."""
        while not self._ready.wait(_LOOK_S):
            if self.failing is not None:
                return False
        return True

    def stop(self, timeout_s: float = 10.0) -> None:
        """Commit what waits, then stop. Raises RuntimeError when that takes longer than `timeout_s`."""
        self._thread.stop(timeout_s)
        self._let_go()

    @property
    def failing(self) -> str | None:
        """What SQLite says while nothing can be committed, else None."""
        return DOES_NOT_ANSWER if self._hangs() else self._failing

    def submit(self, *statements: Statement) -> Pending:
        """Have these statements committed together, after all that were submitted before. Never waits."""
        pending = Pending(statements)
        with self._thread.wake:
            if len(self._queue) >= MAX_WAITING:
                self._left_out = pending.refused = True
            else:
                self._queue.append(pending)
                self._thread.wake.notify_all()
        if pending.refused:
            self._seldom.say(logging.ERROR, "behind", "the footage index is far behind; rows are left to their files")
        return pending

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of the caller's own that can only read. For one short transaction. Raises sqlite3.Error, at once
        while the disk does not answer the thread that writes."""
        if self._hangs():
            raise sqlite3.OperationalError(DOES_NOT_ANSWER)
        try:
            with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=2.0)) as connection:
                connection.row_factory = sqlite3.Row
                yield connection
        except sqlite3.DatabaseError as error:
            if is_broken(error):
                self.report(str(error))
            raise

    def report(self, what: str) -> None:
        """The database is broken, somebody saw: it is set aside, and a new one begun. Never waits."""
        with self._thread.wake:
            self._broken = what
            self._thread.wake.notify_all()

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

    def _hangs(self) -> bool:
        since = self._busy_since
        return since is not None and time.monotonic() - since > HUNG_S

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        thread = self._thread
        try:
            while True:
                self._busy_since = None
                with thread.wake:
                    thread.wake.wait_for(
                        lambda: self._queue or thread.stopping or self._broken or not self._prepared, CHECK_S
                    )
                    batch = list(islice(self._queue, MOST_AT_ONCE))
                    stopping = thread.stopping
                if stopping and not batch:
                    return
                self._busy_since = time.monotonic()
                try:
                    self._look()
                    connection = connection or self._connect()
                    self._commit(connection, batch)
                except (sqlite3.Error, IndexBroken, OSError) as error:
                    if connection is not None:
                        connection.close()
                        connection = None
                    if (isinstance(error, IndexBroken) or is_broken(error)) and self._begin_anew(str(error)):
                        continue
                    text = f"footage index: {error}; trying again every {FAILING_RETRY_S} s"
                    self._seldom.say(logging.WARNING, "failing", text)
                    self._failing, self._busy_since = str(error), None
                    if stopping:
                        return  # what waits is in the files, and rows of it can be made again
                    with thread.wake:
                        thread.wake.wait_for(lambda: thread.stopping, FAILING_RETRY_S)
                    continue
                self._works()
        finally:
            self._busy_since = None
            if connection is not None:
                connection.close()

    def _works(self) -> None:
        """The disk took what it was given."""
        if self._failing is not None:
            self._seldom.say(logging.INFO, "working", "footage index: working again")
        self._failing = None
        with self._thread.wake:
            if self._left_out and not self._queue:
                self._left_out = False
                self.generation += 1

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
        head = os.pread(self._eye, len(HEAD), 0)
        # A database that was just made may be all in its log, and the file still empty.
        if head != HEAD and (head or self._had_head):
            raise IndexBroken("the file was overwritten")
        self._had_head = head == HEAD

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
            self._seldom.say(logging.WARNING, "anew", f"footage index: no new one can be made: {error}")
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
        return connect(self.path)

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
                    self._seldom.say(logging.WARNING, "row", f"footage index refuses a row: {error}")
                    connection.execute("ROLLBACK TO one")
                    pending.refused = True
                connection.execute("RELEASE one")
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.rollback()
            raise
        with self._thread.wake:
            for _ in batch:
                self._queue.popleft()
        for pending in batch:
            pending.done.set()
