"""alarm.db: one thread writes it, in batches, and tells each writer after the commit.

Invariants
1. One thread, `store`, owns the only writing connection. WAL, synchronous=FULL: what was told committed survives a
   power cut.
2. A job is told done only after the commit that holds it; jobs are committed in the order in which they came.
3. A commit that fails is tried again with all of its jobs until it succeeds: nothing that was handed over is dropped
   while the process lives.
4. A database that cannot be read is set aside, never overwritten.
"""

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.clock import Clock
from agent.delivery.rows import Block, Kept, read_kept, reserve
from agent.delivery.schema import NewerSchema, migrate

log = logging.getLogger(__name__)

BATCH: Final = 256
"""Jobs in one commit, at most: bounds how long the first of them waits for the last."""

AGAIN_S: Final = 1.0
"""Wait before a failed commit or opening is tried again."""

BUSY_S: Final = 2.0
"""A reader may hold the database no longer than 1 s (ARCHITECTURE); twice that is waited for."""

Job = Callable[[sqlite3.Connection], Any]


@dataclass(frozen=True, slots=True)
class Opened:
    """The database is open: what it held, and reserved sequence numbers. `anew`: an earlier one was set aside."""

    kept: Kept
    block: Block
    anew: bool = False


@dataclass(frozen=True, slots=True)
class StoreState:
    """Whether alerts can be stored; `detail` is the error's text."""

    ok: bool
    detail: str = ""


_FINE: Final = StoreState(ok=True)


class JobFailed(Exception):
    """The job itself is wrong; the database is not. Trying again would not help."""


class AlarmStore:
    """The database of the alarm process. Callbacks run on the store thread and must not wait."""

    def __init__(self, path: Path, clock: Clock, opened: Callable[[Opened], None]) -> None:
        """Use the database at `path`; `opened` is told when it is open, and again when it had to be begun anew."""
        self.path = path
        self._clock = clock
        self._opened = opened
        self._jobs: deque[tuple[Job, Callable[[Any], None] | None]] = deque()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._state = StoreState(ok=False, detail="not open yet")
        self._busy_since_ns = 0
        self._seq_floor = 1
        self._told_opened = False
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)

    def start(self, timeout_s: float) -> bool:
        """Begin; True when the database was open within the time. Otherwise opening goes on in the background."""
        self._thread.start()
        return self._ready.wait(timeout_s)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Commit what waits, then stop. Raises RuntimeError when the thread hangs."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise RuntimeError("the store did not stop")

    def submit(self, job: Job, done: Callable[[Any], None] | None = None) -> None:
        """Run `job` in the next commit; `done` gets its result after it, or a JobFailed. Never waits."""
        self._jobs.append((job, done))
        self._wake.set()

    def waiting(self) -> int:
        """How many jobs are not committed."""
        return len(self._jobs)

    def state(self) -> StoreState:
        """Whether the last attempt to open or to commit succeeded."""
        return self._state

    def stuck_s(self) -> float:
        """For how long the commit under way has been running; 0 when none is."""
        since_ns = self._busy_since_ns
        return (self._clock.mono_ns() - since_ns) / 1e9 if since_ns else 0.0

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A short reading connection for the calling thread. Raises sqlite3.Error."""
        db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=1.0)
        try:
            yield db
        finally:
            db.close()

    def _run(self) -> None:
        db: sqlite3.Connection | None = None
        while not (self._stop.is_set() and not self._jobs):
            try:
                if db is None:
                    db = self._open()
                if self._jobs:
                    self._commit(db)
                self._state = _FINE
                if not self._jobs and not self._stop.is_set():
                    self._clock.wait(self._wake, 3600)
                    self._wake.clear()
            except Exception as error:  # noqa: BLE001  # the top of the store's thread: told, and tried again
                self._busy_since_ns = 0
                self._failed(error)
                _close(db)
                db = None
                if self._stop.is_set():
                    break
                self._clock.wait(self._stop, AGAIN_S)
        _close(db)
        if self._jobs:
            log.error("%d changes were not stored", len(self._jobs))

    def _failed(self, error: Exception) -> None:
        if self._state.detail != str(error):
            expected = isinstance(error, sqlite3.Error | OSError | NewerSchema)
            log.error("alerts cannot be stored: %s: %s", self.path, error, exc_info=None if expected else error)
        self._state = StoreState(ok=False, detail=str(error))

    def _open(self) -> sqlite3.Connection:
        self._busy_since_ns = self._clock.mono_ns()
        try:
            db = self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) or not self.path.exists():
                raise
            self._set_aside(error)
            db = self._connect()
        if not self._told_opened:
            try:
                opened = self._first_look(db)
            except BaseException:
                db.close()
                raise
            self._state = _FINE
            self._told_opened = True
            self._opened(opened)
            self._ready.set()
        self._busy_since_ns = 0
        return db

    def _first_look(self, db: sqlite3.Connection) -> Opened:
        db.execute("BEGIN IMMEDIATE")
        block = reserve(db, self._seq_floor)
        kept = read_kept(db)
        db.execute("COMMIT")
        return Opened(kept, block, anew=self._seq_floor > 1)

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            migrate(db)
            if (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(found)
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside(self, error: Exception) -> None:
        """Keep what cannot be read for later study, and go on with a new database.

        Sequence numbers go on from the milliseconds since 1970, above any that were given before (a start reserves
        10 000, so a machine would have to start every 10 s for ever to overtake them). The damaged file knows the time
        too, for a clock that is not set yet.
        """
        wall_ns = max(self._clock.wall_ns(), self.path.stat().st_mtime_ns)
        for ending in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + ending)
            if part.exists():
                part.rename(part.with_name(f"{part.name}.damaged-{wall_ns // 1_000_000_000}"))
        self._seq_floor = wall_ns // 1_000_000
        self._told_opened = False
        log.error("%s is damaged (%s): it was set aside and a new one begun", self.path, error)

    def _commit(self, db: sqlite3.Connection) -> None:
        batch = [self._jobs[index] for index in range(min(len(self._jobs), BATCH))]
        self._busy_since_ns = self._clock.mono_ns()
        results: list[Any] = []
        try:
            db.execute("BEGIN IMMEDIATE")
            for job, _ in batch:
                results.append(_run_job(db, job))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self._busy_since_ns = 0
        for (_, done), result in zip(batch, results, strict=True):
            self._jobs.popleft()
            if done is None:
                continue
            try:
                done(result)
            except Exception:  # it is committed: who waited for it must not make it be done again
                log.exception("who waited for a commit could not be told")


def _run_job(db: sqlite3.Connection, job: Job) -> Any:
    db.execute("SAVEPOINT job")
    try:
        result = job(db)
    except Exception as error:
        if not _is_the_jobs_fault(error):
            raise
        # Trying again would not help, and would hold up all that follow.
        db.execute("ROLLBACK TO job")
        log.exception("a change was refused by the database")
        result = JobFailed(str(error))
    db.execute("RELEASE job")
    return result


def _is_the_jobs_fault(error: Exception) -> bool:
    """The statement or its values are wrong; a full disk, a lock or a bad sector is not the job's fault."""
    if isinstance(error, OSError | MemoryError):
        return False
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_ERROR
    return not isinstance(error, sqlite3.DatabaseError) or isinstance(
        error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError
    )


def _close(db: sqlite3.Connection | None) -> None:
    if db is not None:
        try:
            db.close()
        except sqlite3.Error as error:
            log.warning("closing alarm.db: %s", error)
