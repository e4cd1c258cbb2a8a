"""The copy of the journal on one volume: `journal/<first number>.jsonl`, see `journal_chain` for what a line is.

Invariants
1. Rows are appended in the order of their numbers and fsynced before `append` returns.
2. What a power cut tore off a last line is cut away before the next row; a whole line is never changed.
"""

import heapq
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby, islice
from pathlib import Path
from typing import Final

from agent.footage.custody.journal_chain import Head, Row, file_of, merged, parse_line, to_line
from agent.footage.disk.files import sync_directory

JOURNAL: Final = "journal"
"""Directory of a volume."""

_LONGEST_LINE: Final = 1 << 20


MOST_DAMAGED: Final = 100
"""Lines that are named one by one: a copy may be full of them."""


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


def size_bytes(volume: Path) -> int:
    """What a copy takes. Raises OSError."""
    return sum(each.stat().st_size for each in files(volume))


def read(volume: Path, after_n: int = 0) -> Iterator[Row]:
    """Every row of a copy that is whole, from `after_n` on; torn and damaged lines are passed over. Raises OSError."""
    first = file_of(after_n + 1)
    for path in files(volume):
        if path.name >= first:
            for row in _rows(path):
                if row is not None and row.n > after_n:
                    yield row


def damaged_lines(volume: Path) -> list[tuple[Path, int]]:
    """File and line number (from 1) of what is no row, at most `MOST_DAMAGED`; the torn last line of the last file is
    none. Raises OSError."""
    damaged = ((path, number) for path in files(volume) for number, row in enumerate(_rows(path), 1) if row is None)
    found = list(islice(damaged, MOST_DAMAGED))
    if found and found[-1][0] == files(volume)[-1] and _torn(found[-1][0]):
        found.pop()
    return found


def replay(volumes: Iterable[Path], after: Head | None = None) -> Iterator[Row]:
    """The one chain in the copies of several volumes, from `after` (the beginning) on. Raises OSError."""
    begin = after or Head()
    return merged(heapq.merge(*(read(volume, begin.n) for volume in volumes), key=lambda row: row.n), begin)


def row_at(volume: Path, n: int) -> Row | None:
    """One row of a copy, or None. Raises OSError."""
    return next((row for row in islice(read(volume, n - 1), 1) if row.n == n), None) if n > 0 else None


def head(volume: Path) -> Head:
    """Where a copy ends. Cuts off nothing. Raises CopyDamaged, and OSError."""
    for path in reversed(files(volume)):
        last: Row | None = None
        for row in _rows(path):
            if row is None:
                if _torn(path):
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


def _torn(path: Path) -> bool:
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _end_of_lines(number) != os.fstat(number).st_size
    finally:
        os.close(number)


def _rows(path: Path) -> Iterator[Row | None]:
    with path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE):
            try:
                yield parse_line(line.decode())
            except UnicodeDecodeError:
                yield None
