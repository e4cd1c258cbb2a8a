"""What `verify` reads: an index that may be on a medium of its own, and files, out of the way of the recorder.

Invariants
1. Nothing is written, not even on a medium that could be.
2. Recording goes first: files are read with the lowest priority for disk and processor, and leave the page cache.
"""

import ctypes
import errno
import os
import platform
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from agent.footage.chain import digest_of, new_hash
from agent.footage.custody.evidence import Said, Seen
from agent.footage.mp4.boxes_walk import walk

_CHUNK_BYTES: Final = 1 << 20

_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30, "armv7l": 314, "riscv64": 30}
"""System call numbers of ioprio_set(2), which the C library does not wrap."""

_IOPRIO_IDLE: Final = 3 << 13


def signature_is_right(public: bytes, text: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature is of this text by this raw public key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def open_index(path: Path) -> sqlite3.Connection:
    """A connection that can only read, also on a medium that cannot be written. Raises sqlite3.Error."""
    name = quote(str(path.absolute()))
    connection = sqlite3.connect(f"file:{name}?mode=ro", uri=True, timeout=5.0, check_same_thread=False)
    try:
        connection.execute("SELECT 1 FROM journal LIMIT 1").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if os.access(path.parent, os.W_OK):
            raise
        # Without a place for its shared memory SQLite reads a database only when told that nobody writes it.
        connection = sqlite3.connect(f"file:{name}?immutable=1", uri=True, check_same_thread=False)
    _as_now(connection)
    return connection


def _as_now(connection: sqlite3.Connection) -> None:
    """An index of an earlier version, which no longer gets its new tables, has them empty, in the memory alone."""
    there = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'journal_pack'").fetchone()
    if there is None:
        connection.execute("PRAGMA temp_store = MEMORY")
        for table in _UNPACKED:
            connection.execute(f"CREATE TEMP TABLE {table}")


_UNPACKED: Final = (
    "journal_pack (first_n INTEGER PRIMARY KEY, last_n, before, after, bytes)",
    "journal_part (camera, stream, first_seq, last_seq, first_n, data)",
    "journal_before (n INTEGER PRIMARY KEY, previous)",
)
"""Of an index that was made before the journal was packed (migrations.py)."""


def give_way() -> None:
    """Have the calling thread, and those that it starts, read and compute only when nobody else wants to."""
    with suppress(OSError):
        os.nice(19)
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, 1, 0, _IOPRIO_IDLE)


def read_file(path: Path, algorithm: str) -> Seen:
    """Size, digest and description of a file; its pages leave the cache. Raises OSError."""
    fed = new_hash(algorithm)
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "this is no plain file")
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        buffer = bytearray(_CHUNK_BYTES)
        view = memoryview(buffer)
        size, head = 0, b""
        while count := os.readv(number, [buffer]):
            if not size:
                head = bytes(view[:count])
            fed.update(view[:count])
            size += count
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(number)
    return Seen(size, digest_of(fed), said_in(head))


def said_in(head: bytes) -> Said | None:
    """What a file says of itself, by its first megabyte; None when it does not say it."""
    at = 0
    while at + 8 <= len(head):
        size, kind = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if size < 8 or at + size > len(head):
            return None
        at += size
        if kind == b"moov":
            break
    told = walk(lambda offset, size: head[offset : min(offset + size, at)], at).description or {}
    camera, stream, seq, start_ns, before = (told.get(key) for key in ("camera", "stream", "seq", "start_ns", "chain"))
    if (
        isinstance(camera, str)
        and isinstance(stream, str)
        and type(seq) is int
        and type(start_ns) is int
        and isinstance(before, str)
    ):
        boot = told.get("boot")
        return Said(camera, stream, seq, start_ns, before, boot if isinstance(boot, str) else "")
    return None
