"""What the index says, page by page, for `survey`: beside a recorder that may be writing it.

Invariants
1. No reader's transaction lasts longer than one page of rows.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from agent.footage.inspection.soundness import Row, Run, Tombstone
from agent.footage.naming import parse_name
from agent.footage.rows import directories_of
from agent.footage.timeline import Gap
from agent.footage.upkeep.ledger import read

PAGE: Final = 5000

Reel = tuple[str, str]
"""Camera uuid and stream."""


@dataclass(frozen=True, slots=True)
class ReelRows:
    """What the index says of a reel beside its segments. `buried` are the times that were deleted by a rule."""

    name: str
    gaps: list[Gap]
    runs: dict[int, Run]
    tombstones: list[Tombstone]
    buried: list[Gap]


class RecordedRows:
    """The rows of one footage.db. Every method raises sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def problems(self) -> list[str]:
        """What SQLite finds wrong with the database, at most five."""
        with self._reading() as connection:
            answers = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
        return [text for text in answers if text != "ok"]

    def version(self) -> int:
        """How many migrations it has seen."""
        with self._reading() as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def directories(self, volume: str) -> list[str]:
        """Every directory of a volume that has segments."""
        with self._reading() as connection:
            return list(directories_of(connection, volume))

    def inside(self, volume: str, directory: str) -> list[Row]:
        """The segments in one directory of a volume."""
        found = self._rows("volume = ? AND path > ? AND path < ?", (volume, f"{directory}/", f"{directory}0"))
        return [row for row in found if row.path.rpartition("/")[0] == directory]

    def reels(self) -> list[Reel]:
        """Every reel that has segments or gaps."""
        with self._reading() as connection:
            return sorted({(camera, stream) for camera, stream in connection.execute(_REELS)})

    def of(self, reel: Reel) -> ReelRows:
        """What there is of a reel beside its segments."""
        with self._reading() as connection:
            gaps = [Gap(*row) for row in connection.execute(_GAPS, reel)]
            runs = {number: Run(*rest) for number, *rest in connection.execute(_RUNS, reel)}
            stones = [Tombstone(*row) for row in connection.execute(_STONES, reel)]
            buried = [Gap(*row) for row in connection.execute(_BURIED, reel)]
            (name,) = connection.execute(
                "SELECT COALESCE(MAX(id), ?) FROM camera WHERE uuid = ?", (reel[0], reel[0])
            ).fetchone()
        return ReelRows(f"{name}/{reel[1]}", gaps, runs, stones, buried)

    def by_seq(self, reel: Reel) -> Iterator[Row]:
        """Every segment of a reel, by its number."""
        after = (-1, 0)
        while True:
            with self._reading() as connection:
                page = list(connection.execute(_PAGE, (*reel, *after, PAGE)))
            yield from (_row(each) for each in page)
            if len(page) < PAGE:
                return
            after = (page[-1]["seq"], page[-1]["id"])

    def under(self, reel: Reel, stones: Sequence[Tombstone]) -> Iterator[Row]:
        """Segments of a reel whose numbers a tombstone has."""
        for stone in stones:
            yield from self._rows(
                "camera = ? AND stream = ? AND seq BETWEEN ? AND ?", (*reel, stone.first_seq, stone.last_seq)
            )

    def concluded(self, reel: Reel, from_ns: int, to_ns: int, now_ns: int) -> list[Gap]:
        """What is told of a range by when the recorder ran, where no row tells it."""
        with self._reading() as connection:
            return list(read(connection, reel, from_ns, to_ns, {}, now_ns).concluded)

    def cameras(self) -> frozenset[str]:
        """The uuid of every camera that is known."""
        with self._reading() as connection:
            return frozenset(row[0] for row in connection.execute("SELECT uuid FROM camera"))

    def holds(self) -> list[tuple[str, str | None]]:
        """Id and camera of every hold that was not released."""
        with self._reading() as connection:
            return [(name, camera) for name, camera in connection.execute(_HOLDS)]

    def away(self, here: Sequence[str]) -> list[tuple[str, int]]:
        """Volumes that are none of `here` (uuids): where each was last, or its uuid, and how many segments it has."""
        with self._reading() as connection:
            found = connection.execute(_AWAY.format(", ".join("?" for _ in here)), here)
            return [(path or uuid, number) for path, uuid, number in found]

    def _rows(self, where: str, values: Sequence[Any]) -> list[Row]:
        with self._reading() as connection:
            return [_row(each) for each in connection.execute(f"SELECT {_COLUMNS} FROM segment WHERE {where}", values)]

    def _reading(self) -> "closing[sqlite3.Connection]":
        connection = sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True, timeout=5.0)
        connection.row_factory = sqlite3.Row
        return closing(connection)


_COLUMNS: Final = (
    "volume, path, camera, stream, run, seq, start_ns, end_ns, frames, bytes, state, digest, previous, chain"
)
_REELS: Final = "SELECT DISTINCT camera, stream FROM segment UNION SELECT DISTINCT camera, stream FROM gap"
_HOLDS: Final = "SELECT id, camera FROM hold WHERE released_ns IS NULL"
_GAPS: Final = "SELECT from_ns, to_ns, reason, detail FROM gap WHERE camera = ? AND stream = ? ORDER BY from_ns"
_RUNS: Final = "SELECT id, boot, wall_ns, mono_ns, quality FROM run WHERE camera = ? AND stream = ?"
_STONES: Final = "SELECT first_seq, last_seq FROM tombstone WHERE camera = ? AND stream = ? ORDER BY first_seq"
_BURIED: Final = "SELECT from_ns, to_ns, reason FROM tombstone WHERE camera = ? AND stream = ?"
_PAGE: Final = (
    f"SELECT id, {_COLUMNS} FROM segment WHERE camera = ? AND stream = ? AND (seq, id) > (?, ?)"
    " ORDER BY seq, id LIMIT ?"
)
_AWAY: Final = """
    SELECT volume.path, segment.volume, COUNT(*) FROM segment LEFT JOIN volume ON volume.uuid = segment.volume
    WHERE segment.volume NOT IN ({}) GROUP BY segment.volume"""


def _row(found: Mapping[str, Any]) -> Row:
    values = {name: found[name] for name in _COLUMNS.split(", ")}
    return Row(**values, named=parse_name(PurePosixPath(values["path"])))
