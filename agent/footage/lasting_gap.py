"""What becomes of the gap that lasts, as statements: when footage follows it, the machine was off, the clock was set
back, or its reason changes. `rows` begins and ends it.
"""

from typing import Final

from agent.footage.rows import GAP_COLUMNS, RowClock, Statement
from agent.footage.timeline import GapReason

_LASTS: Final = "camera = ? AND stream = ? AND to_ns IS NULL"


def end_by_footage(camera: str, stream: str, boot: str = "") -> list[Statement]:
    """A gap that lasts although footage follows it, because the power went before its end was written, ends where that
    footage begins. Footage of an earlier `boot`, or earlier in this one, does not follow it, whatever its wall time."""
    footage = """FROM segment WHERE segment.camera = gap.camera AND segment.stream = gap.stream AND end_ns > start_ns
        AND NOT EXISTS (SELECT 1 FROM run WHERE run.id = segment.run AND CASE WHEN run.boot = gap.boot
            THEN start_ns - run.wall_ns + run.mono_ns < gap.from_ns - gap.offset_ns ELSE gap.boot = ? END)"""
    return [
        (
            f"DELETE FROM gap WHERE {_LASTS} AND EXISTS (SELECT 1 {footage} AND start_ns = gap.from_ns)",
            (camera, stream, boot or None),
        ),
        (
            f"""UPDATE gap SET to_ns = (SELECT start_ns {footage} AND start_ns > gap.from_ns ORDER BY start_ns LIMIT 1)
            WHERE {_LASTS}""",
            (boot or None, camera, stream),
        ),
    ]


def begin_anew(camera: str, stream: str, until_ns: int, now_ns: int, clock: RowClock) -> list[Statement]:
    """The machine was off: a gap that lasts is known until `until_ns` by the clock of then, and goes on from `now_ns`
    by `clock`. What lies between is told by when the recorder ran."""
    reel = (camera, stream)
    return [
        (
            f"""INSERT INTO gap ({GAP_COLUMNS})
            SELECT camera, stream, from_ns, ?, reason, detail, boot, offset_ns, quality FROM gap
            WHERE {_LASTS} AND from_ns < ?""",
            (until_ns, *reel, until_ns),
        ),
        (
            f"""UPDATE gap SET from_ns = ?, reason = ?, detail = '', boot = ?, offset_ns = ?, quality = ?
            WHERE {_LASTS}""",
            (now_ns, GapReason.STARTING, clock.boot, clock.offset_ns, clock.quality, *reel),
        ),
    ]


def turn(camera: str, stream: str, at_ns: int, reason: str, clock: RowClock, detail: str = "") -> list[Statement]:
    """From `at_ns` on, the gap that lasts has another reason; one that began later, or has it already, stays."""
    reel = (camera, stream)
    return [
        (
            f"""INSERT INTO gap ({GAP_COLUMNS})
            SELECT camera, stream, from_ns, ?, reason, detail, boot, offset_ns, quality FROM gap
            WHERE {_LASTS} AND from_ns < ? AND reason != ?""",
            (at_ns, *reel, at_ns, reason),
        ),
        (
            f"""UPDATE gap SET from_ns = ?, reason = ?, detail = ?, boot = ?, offset_ns = ?, quality = ?
            WHERE {_LASTS} AND from_ns < ? AND reason != ?""",
            (at_ns, reason, detail, clock.boot, clock.offset_ns, clock.quality, *reel, at_ns, reason),
        ),
    ]


def pull(camera: str, stream: str, now_ns: int, clock: RowClock) -> Statement:
    """The gap that lasts began by a clock that was set back since: it begins now."""
    return (
        f"UPDATE gap SET from_ns = ?, boot = ?, offset_ns = ?, quality = ? WHERE {_LASTS} AND from_ns > ?",
        (now_ns, clock.boot, clock.offset_ns, clock.quality, camera, stream, now_ns),
    )
