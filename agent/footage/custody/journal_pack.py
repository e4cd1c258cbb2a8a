"""PURE. Packs: a thousand rows of the journal in two fifths of the room, as footage.db keeps them once they are old.

A pack holds the rows of one file of a copy (`journal_chain.file_of`), as the same lines. It has a part for the
tombstones of each camera and stream, so that those of one are found without the others, and one for all else. Each
part is a zlib stream (RFC 1950) of lines.

Invariants
1. The rows of a pack are a chain from `before`, the hash of the row before it, to `after`, that of its last.
2. What cannot be read of a part is left out and breaks the chain: nobody takes it for a row.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.footage.custody.journal_chain import (
    BEGINNING,
    ROWS_PER_FILE,
    Head,
    Kind,
    Row,
    first_break,
    parse_line,
    to_line,
)

MOST_PART_BYTES: Final = 1 << 27
"""Of the lines of one part: a damaged one must not fill the memory."""

ONLY_PACKED: Final = frozenset({Kind.TOMBSTONE, Kind.GAP})
"""Rows of these kinds stand in the pack alone: they are nearly all that there is, and nothing asks for an old one of
them by its kind. The others stand in the table as well."""

_REST: Final = ("", "")


@dataclass(frozen=True, slots=True)
class Part:
    """The lines of one camera and stream with the numbers of segments that they tell of; of none: all other rows."""

    camera: str
    stream: str
    first_seq: int
    last_seq: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Pack:
    """What is known of a pack beside its rows. `size_bytes` is 0 when the volumes alone have them."""

    first_n: int
    last_n: int
    before: str = BEGINNING
    after: str = BEGINNING
    size_bytes: int = 0

    def is_whole(self, rows: Sequence[Row]) -> bool:
        """Whether these are its rows, and all of them."""
        ends = bool(rows) and rows[-1].n == self.last_n and rows[-1].hash == self.after
        return ends and first_break(rows, Head(self.first_n - 1, self.before)) is None


def to_parts(rows: Iterable[Row]) -> list[Part]:
    """The parts of a pack of these rows."""
    lines: dict[tuple[str, str], list[str]] = {}
    numbers: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        camera, stream, first_seq, last_seq = _buries(row) or (*_REST, 0, 0)
        lines.setdefault((camera, stream), []).append(to_line(row))
        numbers.setdefault((camera, stream), []).extend((first_seq, last_seq))
    return [
        Part(*reel, min(numbers[reel]), max(numbers[reel]), zlib.compress("".join(some).encode(), 6))
        for reel, some in sorted(lines.items())
    ]


def rows_of(parts: Iterable[bytes]) -> list[Row]:
    """The rows in these parts, in their order."""
    return sorted((row for data in parts for row in _rows_in(data)), key=lambda row: row.n)


def _rows_in(data: bytes) -> Iterator[Row]:
    try:
        text = zlib.decompressobj().decompress(data, MOST_PART_BYTES).decode()
    except (zlib.error, UnicodeDecodeError, TypeError):
        return
    for line in text.split("\n"):
        row = parse_line(f"{line}\n")
        if row is not None:
            yield row


def _buries(row: Row) -> tuple[str, str, int, int] | None:
    """Camera, stream, and first and last number of what a row says was deleted."""
    if row.kind != Kind.TOMBSTONE:
        return None
    told: dict[str, Any] = row.told()
    match [told.get(name) for name in ("camera", "stream", "first_seq", "last_seq")]:
        case [str(camera), str(stream), int(first_seq), int(last_seq)] if abs(first_seq) < 1 << 62 > abs(last_seq):
            return camera, stream, first_seq, last_seq
    return None


def is_full(first_n: int, rows: Sequence[Row]) -> bool:
    """Whether these are all rows of the file that begins with `first_n`."""
    return first_n % ROWS_PER_FILE == 1 and len(rows) == ROWS_PER_FILE and rows[0].n == first_n
