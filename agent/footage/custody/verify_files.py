"""The files of footage as `verify` finds them: rows of the index, what lies on the disk of each, and what no row has.

Read-only.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from agent.footage.chain import SHA256, UnknownHash, algorithm_of
from agent.footage.custody.evidence import Recorded, Seen
from agent.footage.custody.seen import read_file
from agent.footage.disk.files import list_directory, segment_directories
from agent.footage.naming import parse_name


@dataclass(frozen=True, slots=True)
class Indexed:
    """A row of the index as far as it is judged."""

    recorded: Recorded
    volume: str
    state: str


def indexed_after(
    connection: sqlite3.Connection, reel: tuple[str, str], from_seq: int, last: int, limit: int
) -> list[Indexed]:
    """At most `limit` segments of a camera and stream that have ended, by their numbers."""
    return [
        _row(each)
        for each in connection.execute(
            "SELECT segment.seq, path, start_ns, bytes, digest, previous, chain, volume, state, quality"
            " FROM segment LEFT JOIN run ON run.id = segment.run WHERE segment.camera = ?"
            " AND segment.stream = ? AND seq >= ? AND seq <= ? AND state != 'open' ORDER BY seq LIMIT ?",
            (*reel, from_seq, last, limit),
        )
    ]


def look(row: Indexed, volumes: Mapping[str, Path], quick: bool) -> tuple[Seen | None, str]:
    """What is on the disk of a segment, and why it could not be read if it could not. `volumes` by uuid; `quick`
    looks at its size alone."""
    volume = volumes.get(row.volume)
    if volume is None:
        return None, f"volume {row.volume} is not there"
    path = volume / row.recorded.path
    try:
        if quick or not row.recorded.digest:
            return Seen(path.lstat().st_size), ""
        return read_file(path, _algorithm(row.recorded.digest)), ""
    except FileNotFoundError:
        return None, ""
    except ValueError:  # a path that none can be
        return None, ""
    except OSError as error:
        return None, error.strerror or type(error).__name__


def is_going(connection: sqlite3.Connection, row: Indexed) -> bool:
    """Whether record is deleting this file, or has deleted it since the row was read."""
    now = connection.execute(
        "SELECT state FROM segment WHERE volume = ? AND path = ?", (row.volume, row.recorded.path)
    ).fetchone()
    return now is None or now[0] == "deleting"


def unindexed(connection: sqlite3.Connection, uuid: str, volume: Path) -> Iterator[str]:
    """Paths of files on a volume that the index does not know."""
    for directory in segment_directories(volume):
        files = list_directory(volume, directory)
        known = {
            str(row[0])
            for row in connection.execute(
                "SELECT path FROM segment WHERE volume = ? AND path > ? AND path < ?",
                (uuid, f"{directory}/", f"{directory}0"),
            )
        }
        yield from (path for path in sorted(files.keys() - known) if (volume / path).exists())


def _row(values: tuple[Any, ...]) -> Indexed:
    seq, path, start_ns, size, digest, previous, chain, volume, state, quality = values
    # A column may hold anything: what is no text or number is none.
    seq, start_ns, size = (each if type(each) is int else 0 for each in (seq, start_ns, size))
    path, digest, previous, chain, volume, state = (
        each if isinstance(each, str) else "" for each in (path, digest, previous, chain, volume, state)
    )
    name = parse_name(PurePosixPath(path))
    recorded = Recorded(
        seq, name.start_ns if name else start_ns, start_ns, quality == "rectified", size, digest,
        previous, chain, path, name.seq if name else 0, None, state, volume,
    )  # fmt: skip
    return Indexed(recorded, volume, state)


def _algorithm(digest: str) -> str:
    try:
        return algorithm_of(digest)
    except UnknownHash:
        return SHA256
