"""PURE. What a row of the journal changes in the tables, when it was taken over from a volume's copy.

Invariants
1. A hold that a volume knows of holds again; a release of it ends it again, in the order of the journal.
2. Why there was no footage is known again.
3. What was deleted stands as a tombstone again, so that the chain bridges it and no number is given twice.
4. A row that cannot be read changes nothing.
"""

from dataclasses import fields
from typing import Any, Final

from agent.footage.custody.journal_chain import Kind, Row
from agent.footage.rows import RowClock, Statement, put_gap
from agent.footage.timeline import Gap
from agent.footage.upkeep.hold import Hold, hold_of

_HOLD: Final = tuple(each.name for each in fields(Hold))
_TOMBSTONE: Final = (
    "camera", "stream", "first_seq", "last_seq", "from_ns", "to_ns", "segments", "bytes", "before", "after", "reason",
    "deleted_ns",
)  # fmt: skip


def effects(row: Row) -> list[Statement]:
    """The statements that carry out one row."""
    try:
        found = _carry_out(row.kind, row.told())
    except (ValueError, TypeError, RecursionError):
        return []
    return found if all(_is_plain(value) for _, values in found for value in values) else []


def _is_plain(value: Any) -> bool:
    """Whether a database takes it."""
    return value is None or isinstance(value, str) or (isinstance(value, int) and abs(value) < 1 << 63)


def _carry_out(kind: str, told: dict[str, Any]) -> list[Statement]:
    match kind:
        case Kind.HOLD:
            return _hold(told)
        case Kind.RELEASE:
            values = (told.get("released_ns"), told.get("released_by"), told.get("id"))
            return [("UPDATE hold SET released_ns = ?, released_by = ? WHERE id = ?", values)]
        case Kind.TOMBSTONE:
            return _tombstone(told)
        case Kind.GAP:
            return [each for values in told.get("gaps", ()) for each in _gap(values)]
    return []


def _hold(told: dict[str, Any]) -> list[Statement]:
    try:
        hold = hold_of(told)
    except ValueError:
        return []
    values = [getattr(hold, name) for name in _HOLD]
    return [(f"INSERT OR REPLACE INTO hold ({', '.join(_HOLD)}) VALUES ({', '.join('?' for _ in _HOLD)})", values)]


def _gap(values: Any) -> list[Statement]:
    match values:
        case [
            str(camera),
            str(stream),
            int(from_ns),
            int(to_ns),
            str(reason),
            str(detail),
            str(boot),
            offset,
            str(quality),
        ]:
            clock = RowClock(boot, offset if isinstance(offset, int) else None, quality)
            known = "camera = ? AND stream = ? AND from_ns = ? AND to_ns = ?"
            reel = (camera, stream, from_ns, to_ns)
            return [
                (f"DELETE FROM gap WHERE {known}", reel),
                put_gap(camera, stream, Gap(from_ns, to_ns, reason, detail), clock),
                (f"UPDATE gap SET journaled = 1 WHERE {known}", reel),
            ]
    return []


def _tombstone(told: dict[str, Any]) -> list[Statement]:
    segments = told.get("segments")
    told = {**told, "segments": len(segments) if isinstance(segments, list) else 0}
    if any(name not in told for name in _TOMBSTONE):
        return []
    marks = ", ".join("?" for _ in _TOMBSTONE)
    sql = f"INSERT OR REPLACE INTO tombstone ({', '.join(_TOMBSTONE)}) VALUES ({marks})"
    return [(sql, [told[name] for name in _TOMBSTONE])]
