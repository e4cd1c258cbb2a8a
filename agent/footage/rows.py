"""What is written into footage.db and what is read from it, as statements and rows."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.footage.timeline import Gap, GapReason, SegmentRef

Statement = tuple[str, Sequence[Any]]
"""SQL with question marks, and the values for them."""


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One row of the table `segment`; `path` is below its volume. Times in wall nanoseconds."""

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
    sha256: str | None
    previous: str | None
    state: str


_SEGMENT_COLUMNS: Final = ", ".join(SegmentRow.__dataclass_fields__)


# What is written.


def put_volume(uuid: str, path: Path, agent: str, created_ns: int) -> Statement:
    """The row of a volume."""
    return ("INSERT OR REPLACE INTO volume VALUES (?, ?, ?, ?)", (uuid, str(path), agent, created_ns))


def put_camera(uuid: str, camera_id: str, name: str) -> Statement:
    """The row of a camera; its name may change, its uuid never does."""
    return ("INSERT OR REPLACE INTO camera VALUES (?, ?, ?)", (uuid, camera_id, name))


def put_run(number: int, camera: str, stream: str, boot: str, wall_ns: int, mono_ns: int, quality: str) -> Statement:
    """The row of a run: one unbroken sequence of packets of one camera."""
    return ("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?)", (number, camera, stream, boot, wall_ns, mono_ns, quality))


def put_segment(row: SegmentRow) -> Statement:
    """A segment, new or known anew by its path."""
    marks = ", ".join("?" for _ in SegmentRow.__dataclass_fields__)
    values = [getattr(row, name) for name in SegmentRow.__dataclass_fields__]
    return (f"INSERT OR REPLACE INTO segment ({_SEGMENT_COLUMNS}) VALUES ({marks})", values)


def end_segment(
    volume: str, path: str, state: str, end_ns: int, frames: int, size_bytes: int, sha256: str | None
) -> Statement:
    """A segment is written to its end."""
    return (
        "UPDATE segment SET state = ?, end_ns = ?, frames = ?, bytes = ?, sha256 = ? WHERE volume = ? AND path = ?",
        (state, end_ns, frames, size_bytes, sha256, volume, path),
    )


def drop_segment(volume: str, path: str) -> Statement:
    """A segment never held anything that plays."""
    return ("DELETE FROM segment WHERE volume = ? AND path = ?", (volume, path))


def put_gap(camera: str, gap: Gap) -> Statement:
    """A gap with both its ends, or one that lasts. Of two that last, the older stays."""
    return (
        "INSERT OR IGNORE INTO gap (camera, from_ns, to_ns, reason, detail) VALUES (?, ?, ?, ?, ?)",
        (camera, gap.from_ns, gap.to_ns, gap.reason, gap.detail),
    )


def mark_gap(camera: str, from_ns: int, now_ns: int, reason: str, detail: str) -> list[Statement]:
    """No footage from `from_ns` on, for this reason. A gap that lasts already and was not yet explained takes
    the reason; one with another reason ends now, and this one begins."""
    return [
        (
            "UPDATE gap SET reason = ?, detail = ? WHERE camera = ? AND to_ns IS NULL AND reason IN (?, ?)",
            (reason, detail, camera, GapReason.STARTING, GapReason.CONNECTION_LOST),
        ),
        (
            "DELETE FROM gap WHERE camera = ? AND to_ns IS NULL AND reason != ? AND from_ns >= ?",
            (camera, reason, now_ns),
        ),
        ("UPDATE gap SET to_ns = ? WHERE camera = ? AND to_ns IS NULL AND reason != ?", (now_ns, camera, reason)),
        (_BEGIN_GAP, (camera, from_ns, camera, now_ns, reason, detail)),
    ]


_BEGIN_GAP: Final = """
    INSERT OR IGNORE INTO gap (camera, from_ns, to_ns, reason, detail) SELECT
    ?, MAX(?, COALESCE((SELECT MAX(to_ns) FROM gap WHERE camera = ? AND to_ns <= ?), 0)), NULL, ?, ?"""
"""A gap begins where the footage ended, or where the gap row after that footage did."""


def end_gap(camera: str, to_ns: int) -> list[Statement]:
    """The gap that lasts ends; one that would be empty, because the clock was set back, is none."""
    return [
        ("DELETE FROM gap WHERE camera = ? AND to_ns IS NULL AND from_ns >= ?", (camera, to_ns)),
        ("UPDATE gap SET to_ns = ? WHERE camera = ? AND to_ns IS NULL", (to_ns, camera)),
    ]


# What is read.


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


def next_of(connection: sqlite3.Connection, camera: str, seq: int) -> tuple[int, int, str | None] | None:
    """Number, start and hash of the previous file, of the segment that follows number `seq` of a camera."""
    row = connection.execute(
        "SELECT seq, start_ns, previous FROM segment WHERE camera = ? AND seq > ? ORDER BY seq LIMIT 1", (camera, seq)
    ).fetchone()
    return (row[0], row[1], row[2]) if row else None


def segments_between(
    connection: sqlite3.Connection, camera: str, from_ns: int, to_ns: int, limit: int, longest_ns: int
) -> list[SegmentRow]:
    """At most `limit` segments of a camera that may touch the range, by start; none is longer than `longest_ns`."""
    rows = connection.execute(
        f"SELECT {_SEGMENT_COLUMNS} FROM segment WHERE camera = ? AND start_ns >= ? AND start_ns < ?"
        " AND (end_ns IS NULL OR end_ns > ?) AND state != 'lost' ORDER BY start_ns LIMIT ?",
        (camera, from_ns - longest_ns, to_ns, from_ns, limit),
    )
    return [SegmentRow(*row) for row in rows]


def gaps_between(connection: sqlite3.Connection, camera: str, from_ns: int, to_ns: int, limit: int) -> list[Gap]:
    """At most `limit` gap rows of a camera that touch the range, by start."""
    rows = connection.execute(
        "SELECT from_ns, to_ns, reason, detail FROM gap WHERE camera = ? AND from_ns < ?"
        " AND (to_ns IS NULL OR to_ns > ?) ORDER BY from_ns LIMIT ?",
        (camera, to_ns, from_ns, limit),
    )
    return [Gap(*row) for row in rows]


def last_of(connection: sqlite3.Connection, camera: str) -> tuple[int, int | None, str | None]:
    """Highest sequence number of a camera (0: none), when its newest footage ends, and the hash of its last closed
    file. Newest is what was recorded last: the clock may have been set back."""
    seq = connection.execute("SELECT COALESCE(MAX(seq), 0) FROM segment WHERE camera = ?", (camera,)).fetchone()[0]
    ended, hashed = (
        connection.execute(
            f"SELECT {column} FROM segment WHERE camera = ? AND {column} IS NOT NULL ORDER BY seq DESC LIMIT 1",
            (camera,),
        ).fetchone()
        for column in ("end_ns", "sha256")
    )
    return seq, ended[0] if ended else None, hashed[0] if hashed else None


def last_run(connection: sqlite3.Connection) -> int:
    """The highest run number, 0 when there is none."""
    return int(connection.execute("SELECT COALESCE(MAX(id), 0) FROM run").fetchone()[0])


def as_reference(row: SegmentRow, volume: Path, end_ns: int) -> SegmentRef:
    """A row as what exports take."""
    return SegmentRef(
        str(volume / row.path), row.start_ns, end_ns, row.codec, row.width, row.height, row.bytes, row.state
    )
