"""footage.db as a file: made, migrated, locked, known as broken, set aside.

Invariants
1. Nothing here deletes a database.
2. A database is `IndexBroken` for what is in it, never because it cannot be reached now.
"""

import fcntl
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from agent.footage.migrations import MIGRATIONS
from agent.footage.rows import put_rebuilding

HEAD: Final = b"SQLite format 3\0"
"""What every database begins with, once it is more than its log."""

BUSY_S: Final = 2.0
"""How long another program that holds the database is waited for at once; a stop takes no longer."""

_LOCK_FILE: Final = "footage.lock"
_PARTS: Final = ("", "-wal", "-shm")
_TABLES: Final = frozenset({"segment", "gap", "run", "volume", "camera", "hold", "tombstone", "journal", "note"})
_BROKEN: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class IndexBroken(Exception):
    """footage.db cannot be read. The text says what SQLite said."""


class IndexBusy(OSError):
    """Another process writes footage.db."""


def prepare(path: Path) -> None:
    """Make or migrate footage.db, in a time that does not grow with it: `Index.check` reads the rest. Raises
    IndexBroken when what is there is no sound database of ours, and sqlite3.OperationalError when it is sound for all
    we know but cannot be used now (locked, disk error)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(connect(path)) as connection:
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
        if isinstance(error, sqlite3.OperationalError) and not is_broken(error):
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


def is_broken(error: Exception) -> bool:
    """Whether SQLite says that the database is none, or no whole one."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _BROKEN


def connect(path: Path) -> sqlite3.Connection:
    """A connection that can write, and commits what survives a power cut. Raises sqlite3.Error."""
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
