"""What is written into footage.db and what is read from it, as statements and rows."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.footage.gaps import set_forward
from agent.footage.timeline import FAR_OFF_NS, Gap, GapReason, SegmentRef

Statement = tuple[str, Sequence[Any]]
"""SQL with question marks, and the values for them."""


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One row of the table `segment`; `path` is below its volume. Times in wall nanoseconds.

    `digest` is the file's hash ("sm3:" before one of that kind), `previous` that of the file before it in the reel,
    `chain` the head of the reel's chain after this segment (chain.py).
    """

    camera: str
    volume: str
    stream: str
    run: int | None
    seq: int
    start_ns: int
    end_ns: int | None
    frames: int
    bytes: int
    path: str
    codec: str
    width: int
    height: int
    digest: str | None
    previous: str | None
    chain: str | None
    state: str


_SEGMENT_COLUMNS: Final = ", ".join(SegmentRow.__dataclass_fields__)


# What is written.


def put_volume(uuid: str, path: Path, agent: str, created_ns: int) -> Statement:
    """The row of a volume."""
    return ("INSERT OR REPLACE INTO volume VALUES (?, ?, ?, ?)", (uuid, str(path), agent, created_ns))


def put_stranger(uuid: str, camera_id: str) -> Statement:
    """The row of a camera that only a file knows: one that is not configured any more."""
    return ("INSERT OR IGNORE INTO camera VALUES (?, ?, ?)", (uuid, camera_id, camera_id))


def put_camera(uuid: str, camera_id: str, name: str) -> Statement:
    """The row of a camera; its name may change, its uuid never does."""
    return ("INSERT OR REPLACE INTO camera VALUES (?, ?, ?)", (uuid, camera_id, name))


def put_run(number: int, camera: str, stream: str, boot: str, wall_ns: int, mono_ns: int, quality: str) -> Statement:
    """The row of a run: one unbroken sequence of packets of one camera."""
    return ("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?)", (number, camera, stream, boot, wall_ns, mono_ns, quality))


def put_known_run(
    number: int, camera: str, stream: str, boot: str, wall_ns: int, mono_ns: int, quality: str
) -> Statement:
    """The row of a run that files tell of; several files tell of the same."""
    return (
        "INSERT OR IGNORE INTO run (id, camera, stream, boot, wall_ns, mono_ns, quality) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (number, camera, stream, boot, wall_ns, mono_ns, quality),
    )


def put_segment(row: SegmentRow) -> Statement:
    """A segment, new or known anew by its path."""
    marks = ", ".join("?" for _ in SegmentRow.__dataclass_fields__)
    values = [getattr(row, name) for name in SegmentRow.__dataclass_fields__]
    return (f"INSERT OR REPLACE INTO segment ({_SEGMENT_COLUMNS}) VALUES ({marks})", values)


@dataclass(frozen=True, slots=True)
class End:
    """What is known of a segment once it is written to its end."""

    state: str
    end_ns: int
    frames: int
    bytes: int
    digest: str | None
    chain: str | None


def end_segment(volume: str, path: str, end: End) -> Statement:
    """A segment is written to its end."""
    return (
        """UPDATE segment SET state = ?, end_ns = ?, frames = ?, bytes = ?, digest = ?, chain = ?
        WHERE volume = ? AND path = ?""",
        (end.state, end.end_ns, end.frames, end.bytes, end.digest, end.chain, volume, path),
    )


def lose_segment(volume: str, path: str) -> Statement:
    """The file of a segment is not there; the row stays, with the digest and the chain that it had."""
    return ("UPDATE segment SET state = 'lost' WHERE volume = ? AND path = ?", (volume, path))


def drop_segment(volume: str, path: str) -> Statement:
    """A segment never held anything that plays."""
    return ("DELETE FROM segment WHERE volume = ? AND path = ?", (volume, path))


def drop_run(number: int) -> Statement:
    """A run of which no file was kept."""
    return ("DELETE FROM run WHERE id = ?", (number,))


@dataclass(frozen=True, slots=True)
class RowClock:
    """By which clock the times of a row were told: `offset_ns` is wall minus monotonic time, None when it is not
    known. What a wrong clock told is moved by it once the right time is known (rectify.py)."""

    boot: str = ""
    offset_ns: int | None = None
    quality: str = "ntp"


GAP_COLUMNS: Final = "camera, stream, from_ns, to_ns, reason, detail, boot, offset_ns, quality"
"""What is told of a gap; the table has its id, and whether it is in the journal, as well."""

NO_CLOCK: Final = RowClock()
"""Times that are not moved."""


def put_gap(camera: str, stream: str, gap: Gap, clock: RowClock = NO_CLOCK) -> Statement:
    """A gap with both its ends, or one that lasts. Of two that last, the older stays."""
    return (
        f"INSERT OR IGNORE INTO gap ({GAP_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (camera, stream, gap.from_ns, gap.to_ns, gap.reason, gap.detail, clock.boot, clock.offset_ns, clock.quality),
    )


def mark_gap(
    camera: str, stream: str, from_ns: int, now_ns: int, reason: str, detail: str, clock: RowClock = NO_CLOCK
) -> list[Statement]:
    """No footage from `from_ns` on, for this reason. A gap that lasts already and was not yet explained takes
    the reason; one with another reason ends now, and this one begins. None begins after now: the clock was set back
    since."""
    reel = (camera, stream)
    told = (clock.boot, clock.offset_ns, clock.quality)
    return [
        (
            f"UPDATE gap SET from_ns = ?, boot = ?, offset_ns = ?, quality = ? WHERE {_LASTS} AND from_ns > ?",
            (now_ns, *told, *reel, now_ns + FAR_OFF_NS),
        ),
        (
            f"UPDATE gap SET reason = ?, detail = ? WHERE {_LASTS} AND reason IN (?, ?)",
            (reason, detail, *reel, GapReason.STARTING, GapReason.CONNECTION_LOST),
        ),
        (f"DELETE FROM gap WHERE {_LASTS} AND reason != ? AND from_ns >= ?", (*reel, reason, now_ns)),
        (f"UPDATE gap SET to_ns = ? WHERE {_LASTS} AND reason != ?", (now_ns, *reel, reason)),
        (_BEGIN_GAP, (*reel, from_ns, *reel, now_ns, reason, detail, *told)),
    ]


_LASTS: Final = "camera = ? AND stream = ? AND to_ns IS NULL"

_BEGIN_GAP: Final = f"""
    INSERT OR IGNORE INTO gap ({GAP_COLUMNS}) SELECT ?, ?,
    MAX(?, COALESCE((SELECT MAX(to_ns) FROM gap WHERE camera = ? AND stream = ? AND to_ns <= ?), 0)), NULL, ?, ?,
    ?, ?, ?"""
"""A gap begins where the footage ended, or where the gap row after that footage did."""


def end_gap(camera: str, stream: str, to_ns: int) -> list[Statement]:
    """The gap that lasts ends; one that would be empty, because the clock was set back, is none."""
    return [
        (f"DELETE FROM gap WHERE {_LASTS} AND from_ns >= ?", (camera, stream, to_ns)),
        (f"UPDATE gap SET to_ns = ? WHERE {_LASTS}", (to_ns, camera, stream)),
    ]


def split_gap(camera: str, stream: str, before_ns: int, now_ns: int, clock: RowClock) -> list[Statement]:
    """The clock was set from `before_ns` to `now_ns` while a gap lasts: it ends by the old clock, and goes on by
    `clock`, so that the times of a row are all of one clock. What was left out by setting it forward is a gap, too."""
    reel = (camera, stream)
    step = Gap(before_ns, now_ns, GapReason.CLOCK_STEP, set_forward(now_ns - before_ns))
    return [
        (
            f"""INSERT INTO gap ({GAP_COLUMNS})
            SELECT camera, stream, ?, ?, ?, ?, boot, offset_ns, quality FROM gap WHERE {_LASTS} AND ? < ?""",
            (step.from_ns, step.to_ns, step.reason, step.detail, *reel, before_ns, now_ns),
        ),
        (
            f"""INSERT INTO gap ({GAP_COLUMNS})
            SELECT camera, stream, from_ns, ?, reason, detail, boot, offset_ns, quality FROM gap
            WHERE {_LASTS} AND from_ns < ?""",
            (before_ns, *reel, before_ns),
        ),
        (
            f"UPDATE gap SET from_ns = ?, boot = ?, offset_ns = ?, quality = ? WHERE {_LASTS}",
            (now_ns, clock.boot, clock.offset_ns, clock.quality, *reel),
        ),
    ]


def put_rebuilding() -> Statement:
    """The index is new and knows nothing of the files that there are."""
    return ("INSERT OR REPLACE INTO note VALUES ('rebuilding', '')", ())


def put_rebuilt(volume: str) -> Statement:
    """Every file of a volume has its row again."""
    return ("INSERT OR REPLACE INTO note VALUES (?, '')", (f"rebuilt/{volume}",))


# What is read.


def is_rebuilding(connection: sqlite3.Connection, volume: str) -> bool:
    """Whether the index was begun anew and has not gone through all files of this volume since."""
    names = {
        row[0]
        for row in connection.execute("SELECT name FROM note WHERE name IN ('rebuilding', ?)", (f"rebuilt/{volume}",))
    }
    return names == {"rebuilding"}


def volumes_gone_through(connection: sqlite3.Connection) -> int:
    """How many volumes have all their files in the index, since it was made."""
    (number,) = connection.execute("SELECT COUNT(*) FROM note WHERE name LIKE 'rebuilt/%'").fetchone()
    return int(number)


def open_segments(connection: sqlite3.Connection, volume: str) -> list[SegmentRow]:
    """Segments of a volume whose end was never written."""
    found = connection.execute(f"SELECT {_SEGMENT_COLUMNS} FROM segment WHERE volume = ? AND state = 'open'", (volume,))
    return [SegmentRow(*row) for row in found]


def segments_in(connection: sqlite3.Connection, volume: str, directory: str) -> list[SegmentRow]:
    """Segments in a directory of a volume, or below it."""
    found = connection.execute(
        f"SELECT {_SEGMENT_COLUMNS} FROM segment WHERE volume = ? AND path > ? AND path < ?",
        (volume, f"{directory}/", f"{directory}0"),  # 0 follows / in ASCII
    )
    return [SegmentRow(*row) for row in found]


def segments_at(connection: sqlite3.Connection, volume: str, paths: Sequence[str]) -> dict[str, SegmentRow]:
    """The segments of a volume that have these paths, by path."""
    found: dict[str, SegmentRow] = {}
    for path in paths:
        row = connection.execute(
            f"SELECT {_SEGMENT_COLUMNS} FROM segment WHERE volume = ? AND path = ?", (volume, path)
        ).fetchone()
        if row is not None:
            found[path] = SegmentRow(*row)
    return found


def directories_of(connection: sqlite3.Connection, volume: str) -> Iterator[str]:
    """Every directory of a volume that has segments, by the index alone."""
    path = ""
    while True:
        row = connection.execute(
            "SELECT path FROM segment WHERE volume = ? AND path > ? ORDER BY path LIMIT 1", (volume, path)
        ).fetchone()
        if row is None:
            return
        directory = str(row[0]).rpartition("/")[0]
        yield directory
        path = f"{directory}0"


def next_of(connection: sqlite3.Connection, camera: str, stream: str, seq: int) -> tuple[int, int, str | None] | None:
    """Number, start and hash of the previous file, of the segment that follows number `seq` of a reel."""
    row = connection.execute(
        "SELECT seq, start_ns, previous FROM segment WHERE camera = ? AND stream = ? AND seq > ? ORDER BY seq LIMIT 1",
        (camera, stream, seq),
    ).fetchone()
    return (row[0], row[1], row[2]) if row else None


def is_buried(connection: sqlite3.Connection, camera: str, stream: str, first_seq: int, last_seq: int) -> bool:
    """Whether all these segments of a reel were deleted by a rule."""
    at = first_seq
    for first, last in connection.execute(
        "SELECT first_seq, last_seq FROM tombstone WHERE camera = ? AND stream = ? AND last_seq >= ? AND first_seq <= ?"
        " ORDER BY first_seq",
        (camera, stream, first_seq, last_seq),
    ):
        if first > at:
            return False
        at = last + 1
    return at > last_seq


def segments_between(
    connection: sqlite3.Connection, camera: str, stream: str, from_ns: int, to_ns: int, limit: int, longest_ns: int
) -> list[SegmentRow]:
    """At most `limit` segments of a reel that may touch the range, by start; none is longer than `longest_ns`."""
    rows = connection.execute(
        f"SELECT {_SEGMENT_COLUMNS} FROM segment WHERE camera = ? AND stream = ? AND start_ns >= ? AND start_ns < ?"
        " AND (end_ns IS NULL OR end_ns > ?) AND state NOT IN ('lost', 'deleting') ORDER BY start_ns LIMIT ?",
        (camera, stream, from_ns - longest_ns, to_ns, from_ns, limit),
    )
    return [SegmentRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Last:
    """Where a reel goes on: highest number (0: none), end of its newest footage, digest of its last file, and the
    head of its chain."""

    seq: int = 0
    end_ns: int | None = None
    digest: str | None = None
    chain: str | None = None
    clock: RowClock = NO_CLOCK
    """By which clock `end_ns` was told."""


def last_of(connection: sqlite3.Connection, camera: str, stream: str) -> Last:
    """Where a reel goes on. Newest is what was recorded last: the clock may have been set back. What was deleted
    since counts: no number is given twice, and the chain does not begin anew."""
    reel = (camera, stream)
    seq = connection.execute(
        "SELECT COALESCE(MAX(seq), 0) FROM segment WHERE camera = ? AND stream = ?", reel
    ).fetchone()[0]
    buried = connection.execute(
        "SELECT last_seq, to_ns, after FROM tombstone WHERE camera = ? AND stream = ? ORDER BY first_seq DESC LIMIT 1",
        reel,
    ).fetchone()
    ended, digest, chain = (
        connection.execute(
            f"SELECT {column} FROM segment WHERE camera = ? AND stream = ? AND {column} IS NOT NULL"
            " ORDER BY seq DESC LIMIT 1",
            reel,
        ).fetchone()
        for column in ("end_ns", "digest", "chain")
    )
    if buried is not None and buried[0] > seq:
        return Last(buried[0], buried[1], None, buried[2])
    clock = connection.execute(
        "SELECT boot, wall_ns - mono_ns, quality FROM run WHERE id = (SELECT run FROM segment"
        " WHERE camera = ? AND stream = ? AND end_ns IS NOT NULL ORDER BY seq DESC LIMIT 1)",
        reel,
    ).fetchone()
    told = RowClock(*clock) if clock else NO_CLOCK
    end_ns, last_digest, head = (found[0] if found else None for found in (ended, digest, chain))
    return Last(seq, end_ns, last_digest, head, told)


def camera_named(connection: sqlite3.Connection, camera_id: str) -> str | None:
    """The uuid of the camera that has this id, or had it."""
    row = connection.execute("SELECT uuid FROM camera WHERE id = ? LIMIT 1", (camera_id,)).fetchone()
    return str(row[0]) if row else None


def last_run(connection: sqlite3.Connection) -> int:
    """The highest run number, 0 when there is none."""
    return int(connection.execute("SELECT COALESCE(MAX(id), 0) FROM run").fetchone()[0])


def as_reference(row: SegmentRow, volume: Path, end_ns: int) -> SegmentRef:
    """A row as what exports take."""
    return SegmentRef(
        str(volume / row.path), row.start_ns, end_ns, row.codec, row.width, row.height, row.bytes, row.state
    )
