"""PURE. The journal of the footage: what the files cannot say of themselves, each row bound to the one before.

Holds, deletions, checkpoints, exports and keys are rows of one hash chain. It stands in the table `journal` of
footage.db and, as text, in `journal/<first number>.jsonl` of every volume, a thousand rows to a file. A line is

    {"hash":"<64 hex digits>","row":["yunjian-journal-1",n,previous,at_ns,kind,{detail}]}

without a space outside strings. `hash` is the sha256 of the bytes of the array exactly as it stands in the line;
`previous` is the hash of row n - 1, 64 zeros before the first. Files are cut by number and not by month, because the
clock of a machine may be wrong.

Invariants
1. Rows are numbered 1, 2, 3, ... without a gap, and the hash of a row covers all of it and the hash before.
2. The table is the original, the volumes hold copies: rows go from a volume into the table only where the table
   ends, and only as an unbroken continuation of it.
3. A copy that contradicts the table is never written over and never deleted: it is set aside and told.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

BEGINNING: Final = "0" * 64
"""What stands before the first row."""

ROWS_PER_FILE: Final = 1000

_ENDLESS: Final = 1 << 63
"""No number in a database is larger: whoever writes one into a copy stops nobody with it."""

_FORM: Final = "yunjian-journal-1"
_OPENING: Final = '{"hash":"'
_MIDDLE: Final = '","row":'
_HASH_AT: Final = len(_OPENING)
_ROW_AT: Final = _HASH_AT + 64 + len(_MIDDLE)


class Kind:
    """What a row tells. The shape of each `detail` is written where the row is made."""

    KEY: Final = "key"
    CHECKPOINT: Final = "checkpoint"
    TOMBSTONE: Final = "tombstone"
    HOLD: Final = "hold"
    RELEASE: Final = "release"
    EXPORT: Final = "export"
    RECTIFY: Final = "rectify"
    GAP: Final = "gap"
    POLICY: Final = "policy"
    FORK: Final = "fork"


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `detail` is canonical JSON, `at_ns` UTC nanoseconds, `previous` the hash of the row before."""

    n: int
    previous: str
    at_ns: int
    kind: str
    detail: str
    hash: str

    def told(self) -> dict[str, Any]:
        """The values of `detail`."""
        return dict(json.loads(self.detail))


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row of a journal, by number and hash."""

    n: int = 0
    hash: str = BEGINNING


def canonical(value: Any) -> str:
    """JSON with sorted keys, without spaces, not escaped to ASCII: the same text for the same values everywhere.
    Raises ValueError for a float, which other programs may write in another way."""
    _refuse_floats(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def next_row(head: Head, at_ns: int, kind: str, detail: dict[str, Any]) -> Row:
    """The row that follows `head`. Raises ValueError when `detail` is no plain JSON."""
    text = canonical(detail)
    return Row(head.n + 1, head.hash, at_ns, kind, text, _hash(head.n + 1, head.hash, at_ns, kind, text))


def is_whole(row: Row) -> bool:
    """Whether the row is what its hash was made of."""
    return row.hash == _hash(row.n, row.previous, row.at_ns, row.kind, row.detail)


def follows(head: Head, row: Row) -> bool:
    """Whether the row is whole and the one after `head`."""
    return row.n == head.n + 1 and row.previous == head.hash and is_whole(row)


def first_break(rows: Iterable[Row], head: Head | None = None) -> int | None:
    """The number at which the chain is broken, counted on from `head` (the beginning), or None when it holds."""
    now = head or Head()
    for row in rows:
        if not follows(now, row):
            return now.n + 1
        now = Head(row.n, row.hash)
    return None


def to_line(row: Row) -> str:
    """The row as a line of a copy, with its end of line."""
    return f"{_OPENING}{row.hash}{_MIDDLE}{_text(row.n, row.previous, row.at_ns, row.kind, row.detail)}}}\n"


def parse_line(line: str) -> Row | None:
    """The row in a line; None when it is torn, damaged, or not what its hash says."""
    array = line[_ROW_AT:-2]
    if not (line.startswith(_OPENING) and line[_HASH_AT + 64 : _ROW_AT] == _MIDDLE and line.endswith("}\n")):
        return None
    hashed = line[_HASH_AT : _HASH_AT + 64]
    try:
        if hashlib.sha256(array.encode()).hexdigest() != hashed:
            return None
        form, n, previous, at_ns, kind, detail = json.loads(array)
        row = Row(n, previous, at_ns, kind, canonical(detail), hashed)
    except (ValueError, TypeError, RecursionError):
        return None
    sound = type(n) is int and type(at_ns) is int and 0 < n < _ENDLESS and abs(at_ns) < _ENDLESS
    if not (sound and isinstance(previous, str) and isinstance(kind, str) and isinstance(detail, dict)):
        return None
    return row if form == _FORM and is_whole(row) else None


def file_of(n: int) -> str:
    """Name of the file of a volume's journal that holds row `n`; sorts by number."""
    return f"{(n - 1) // ROWS_PER_FILE * ROWS_PER_FILE + 1:09d}.jsonl"


class Remedy(Enum):
    """How a copy and the table come to say the same."""

    NOTHING = "nothing"
    COPY = "copy"
    """The copy gets the rows that it lacks."""
    TAKE_OVER = "take over"
    """The table gets the rows that it lacks: footage.db was lost, or is an old one."""
    SET_ASIDE = "set aside"
    """They contradict each other: the copy is kept under another name and begun anew."""


def heal(table: Head, copy: Head, table_at_copy: str | None, copy_at_table: str | None) -> Remedy:
    """What is to be done about one copy.

    `table_at_copy` is the hash of the table's row with the number at which the copy ends, `copy_at_table` that of
    the copy's row with the number at which the table ends; None when there is no such row.
    """
    if copy.n == 0:
        return Remedy.COPY if table.n else Remedy.NOTHING
    if copy.n <= table.n:
        if table_at_copy != copy.hash:
            return Remedy.SET_ASIDE
        return Remedy.COPY if copy.n < table.n else Remedy.NOTHING
    if table.n == 0 or copy_at_table == table.hash:
        return Remedy.TAKE_OVER
    return Remedy.SET_ASIDE


def merged(copies: Iterable[Row], head: Head | None = None) -> Iterator[Row]:
    """The one chain in rows of several copies that are given in the order of their numbers (`heapq.merge`), from
    `head` (the beginning) on. What is no continuation is left out; where copies differ, the first given counts.
    Ends at the first number for which no copy has the row."""
    now = head or Head()
    for row in copies:
        if follows(now, row):
            now = Head(row.n, row.hash)
            yield row
        elif row.n > now.n + 1:
            return


def _text(n: int, previous: str, at_ns: int, kind: str, detail: str) -> str:
    return f'["{_FORM}",{n},"{previous}",{at_ns},{json.dumps(kind, ensure_ascii=False)},{detail}]'


def _hash(n: int, previous: str, at_ns: int, kind: str, detail: str) -> str:
    return hashlib.sha256(_text(n, previous, at_ns, kind, detail).encode()).hexdigest()


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise ValueError(f"a float has no one way to be written: {value!r}")  # noqa: TRY004
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ValueError(f"not a key of JSON: {key!r}")  # noqa: TRY004
            _refuse_floats(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_floats(inner)
