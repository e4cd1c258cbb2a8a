"""The copy of the journal on one volume: `journal/<first number>.jsonl`, see `journal_chain` for what a line is.

Invariants
1. Rows are appended in the order of their numbers and fsynced before `append` returns.
2. What a power cut tore off a last line is cut away before the next row; a whole line is never changed.
"""

import heapq
import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import groupby, islice
from pathlib import Path
from typing import Final

from agent.footage.custody.journal_chain import Head, Row, file_of, merged, parse_line, to_line
from agent.footage.disk.files import sync_directory

JOURNAL: Final = "journal"
"""Directory of a volume."""

_LONGEST_LINE: Final = 1 << 20


class CopyDamaged(Exception):
    """The end of a copy is not what was written: a whole line that is no row. The text names the file."""


def folder(volume: Path) -> Path:
    """Where the copy of a volume lies."""
    return volume / JOURNAL


def files(volume: Path) -> list[Path]:
    """The files of a copy, by the numbers in them; none when there is no copy. Raises OSError."""
    with suppress(FileNotFoundError):
        return sorted(each for each in folder(volume).iterdir() if each.name.endswith(".jsonl"))
    return []


def rows_beside(volume: Path, n: int) -> list[Row]:
    """Every row that is whole in the file that row `n` belongs to. Raises OSError, also when there is no such file."""
    return [row for row in rows_in(folder(volume) / file_of(n)) if row is not None]


def read_from(path: Path) -> Iterator[Row]:
    """Every row that is whole in this file of a copy and those after it. Raises OSError."""
    for each in files(path.parents[1]):
        if each.name >= path.name:
            yield from (row for row in rows_in(each) if row is not None)


def first_strange(volume: Path, hash_at: Callable[[int], str | None]) -> Path | None:
    """The first file of a copy whose last row is another one than `hash_at` has of its number: the files before it
    say the same, since each row is bound to all before. None when there is none. Raises OSError."""
    found = files(volume)

    def differs(path: Path) -> bool:
        last: Row | None = None
        for row in rows_in(path):
            last = row or last
        return last is None or hash_at(last.n) != last.hash

    at = bisect_left(found, True, key=differs)
    return found[at] if at < len(found) else None


def size_bytes(volume: Path) -> int:
    """What a copy takes. Raises OSError."""
    return sum(each.stat().st_size for each in files(volume))


def read(volume: Path, after_n: int = 0) -> Iterator[Row]:
    """Every row of a copy that is whole, from `after_n` on; torn and damaged lines are passed over. Raises OSError."""
    first = file_of(after_n + 1)
    for path in files(volume):
        if path.name >= first:
            for row in rows_in(path):
                if row is not None and row.n > after_n:
                    yield row


def replay(volumes: Iterable[Path], after: Head | None = None) -> Iterator[Row]:
    """The one chain in the copies of several volumes, from `after` (the beginning) on. Raises OSError."""
    begin = after or Head()
    return in_order((read(volume, begin.n) for volume in volumes), begin)


def in_order(copies: Iterable[Iterator[Row]], after: Head) -> Iterator[Row]:
    """The one chain in several copies, each from the row after `after` on."""
    return merged(heapq.merge(*copies, key=lambda row: row.n), after)


def row_at(volume: Path, n: int) -> Row | None:
    """One row of a copy, or None. Raises OSError."""
    return next((row for row in islice(read(volume, n - 1), 1) if row.n == n), None) if n > 0 else None


def head(volume: Path) -> Head:
    """Where a copy ends. Cuts off nothing. Raises CopyDamaged, and OSError."""
    for path in reversed(files(volume)):
        last: Row | None = None
        for row in rows_in(path):
            if row is None:
                if is_torn(path):
                    break
                raise CopyDamaged(str(path))
            last = row
        if last is not None:
            return Head(last.n, last.hash)
    return Head()


def append(volume: Path, rows: Iterable[Row]) -> None:
    """Write rows at the end of a copy and bring them to the disk. Raises OSError; then a part may be written."""
    if not folder(volume).is_dir():
        folder(volume).mkdir()
        sync_directory(volume)
    for name, some in groupby(rows, lambda row: file_of(row.n)):
        path = folder(volume) / name
        new = not path.exists()
        _append_to(path, "".join(to_line(row) for row in some).encode())
        if new:
            sync_directory(folder(volume))


def set_aside(volume: Path, stamp: str) -> Path:
    """Move a copy out of the way, never deleting it; where it went. Raises OSError."""
    target = volume / f"{JOURNAL}-{stamp}"
    number = 0
    while target.exists():
        number += 1
        target = volume / f"{JOURNAL}-{stamp}-{number}"
    folder(volume).rename(target)
    sync_directory(volume)
    return target


def _append_to(path: Path, data: bytes) -> None:
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        end = _end_of_lines(number)
        os.ftruncate(number, end)
        os.lseek(number, end, os.SEEK_SET)
        while data:
            data = data[os.write(number, data) :]
        os.fsync(number)
    finally:
        os.close(number)


def _end_of_lines(number: int) -> int:
    """Bytes up to the last end of line: what follows it was torn by a power cut."""
    size = os.fstat(number).st_size
    while size:
        step = min(size, 1 << 16)
        found = os.pread(number, step, size - step).rfind(b"\n")
        if found >= 0:
            return size - step + found + 1
        size -= step
    return 0


def is_torn(path: Path) -> bool:
    """Whether a power cut tore off the last line of a file. Raises OSError."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _end_of_lines(number) != os.fstat(number).st_size
    finally:
        os.close(number)


def rows_in(path: Path) -> Iterator[Row | None]:
    """The row of each line of a file, None for what is no row. Raises OSError."""
    with path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE):
            try:
                yield parse_line(line.decode())
            except UnicodeDecodeError:
                yield None
