"""What retention asks the index: the oldest footage of each reel, what all takes, and what is half deleted.

Every question is answered from an index in a few milliseconds, however many rows there are; the sum of all sizes,
which none answers, is kept up slice by slice.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.footage.custody.journal_chain import Kind
from agent.footage.mending.reconcile import DELETING
from agent.footage.upkeep.due import Dues, dues_of
from agent.footage.upkeep.hold import ENDLESS_NS, Protection
from agent.footage.upkeep.retention import Lines, Policy, Space, Step, Stored, dated, plan

_MORE: Final = 16
"""Rows read beyond those wanted: a label that is not believed is dated by the next one."""

_WINDOWS: Final = 32
"""At most so many pieces of a reel are read for one answer; what lies behind them is found when they are gone."""

MOST_AT_ONCE: Final = 64
"""Segments of one batch: its row in the journal stays a few kilobytes."""

SLICE_ROWS: Final = 4096

DUES: Final = "retention.dues"
"""The note with the state of due times."""

_COLUMNS: Final = "seq, start_ns, end_ns, bytes, volume, path, digest, chain, state"


def reels(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Every (camera, stream) that has segments."""
    found: list[tuple[str, str]] = []
    camera = ""
    while row := connection.execute(
        "SELECT camera FROM segment WHERE camera > ? ORDER BY camera LIMIT 1", (camera,)
    ).fetchone():
        camera, stream = str(row[0]), ""
        while row := connection.execute(
            "SELECT stream FROM segment WHERE camera = ? AND stream > ? ORDER BY stream LIMIT 1", (camera, stream)
        ).fetchone():
            stream = str(row[0])
            found.append((camera, stream))
    return found


def oldest(
    connection: sqlite3.Connection,
    reel: tuple[str, str],
    volumes: Iterable[str],
    protection: Protection,
    now_ns: int,
    most: int,
) -> list[Stored]:
    """At most `most` of the oldest segments of a reel that ended, that no hold protects and whose volume is one of
    these, in the order of their recording. `now_ns` is a time that can be trusted."""
    there = sorted(set(volumes))
    found: list[Stored] = []
    after_seq = -1
    newest_ns: int | None = None
    for _ in range(_WINDOWS):
        rows = _window(connection, reel, there, after_seq, most + _MORE)
        if not rows:
            break
        labels = [(row["start_ns"], row["end_ns"]) for row in rows]
        # What was passed over as held may have been followed by what is gone: its end counts, too.
        known = (newest_ns, _buried_end(connection, reel, rows[0]["seq"], now_ns))
        before_ns = max((each for each in known if each is not None), default=None)
        dates = dated(labels, now_ns, before_ns)
        newest_ns = next((date for date in reversed(dates) if date is not None), before_ns)
        if dates[-1] is None:
            next_ns = _next_believed(connection, reel, rows[-1]["seq"], newest_ns or 0)
            dates = dated(labels, now_ns, before_ns, next_ns)
        last: tuple[int, int] | None = None
        for row, date in zip(rows, dates, strict=True):
            last = protection.of(reel[0], row["start_ns"], row["end_ns"])
            if last is None and date is not None and row["state"] != DELETING:
                found.append(_stored(reel, row, date))
        if len(rows) < most + _MORE or len(found) >= most:
            break
        after_seq = rows[-1]["seq"]
        if last is not None:
            beyond = _first_after(connection, reel, last[1])
            if beyond is None:
                break
            after_seq = max(after_seq, beyond - 1)
    return found[:most]


def _window(
    connection: sqlite3.Connection, reel: tuple[str, str], volumes: Sequence[str], after_seq: int, limit: int
) -> list[sqlite3.Row]:
    marks = ", ".join("?" for _ in volumes)
    return connection.execute(
        f"SELECT {_COLUMNS} FROM segment WHERE camera = ? AND stream = ? AND seq > ? AND end_ns IS NOT NULL"
        f" AND state != 'open' AND volume IN ({marks}) ORDER BY seq LIMIT ?",
        (*reel, after_seq, *volumes, limit),
    ).fetchall()


def _buried_end(connection: sqlite3.Connection, reel: tuple[str, str], seq: int, now_ns: int) -> int | None:
    """Where the footage ended, by labels that can be true, that was deleted before this segment."""
    row = connection.execute(
        "SELECT MAX(to_ns) FROM tombstone WHERE camera = ? AND stream = ? AND first_seq < ? AND to_ns <= ?",
        (*reel, seq, now_ns),
    ).fetchone()
    return None if row[0] is None else int(row[0])


def _next_believed(connection: sqlite3.Connection, reel: tuple[str, str], seq: int, newest_ns: int) -> int | None:
    """The end of the next segment whose label is no earlier than what was recorded before it."""
    row = connection.execute(
        "SELECT end_ns FROM segment WHERE camera = ? AND stream = ? AND start_ns >= ? AND seq > ?"
        " AND end_ns IS NOT NULL ORDER BY start_ns LIMIT 1",
        (*reel, newest_ns, seq),
    ).fetchone()
    return int(row[0]) if row else None


def _first_after(connection: sqlite3.Connection, reel: tuple[str, str], from_ns: int) -> int | None:
    """The number of the first segment that starts at or after a time: what lies before it is held."""
    if from_ns >= ENDLESS_NS:
        return None
    row = connection.execute(
        "SELECT seq FROM segment WHERE camera = ? AND stream = ? AND start_ns >= ? ORDER BY start_ns LIMIT 1",
        (*reel, from_ns),
    ).fetchone()
    return int(row[0]) if row else None


def _stored(reel: tuple[str, str], row: sqlite3.Row, dated_ns: int) -> Stored:
    return Stored(
        *reel, row["seq"], row["start_ns"], row["end_ns"], row["bytes"], row["volume"], row["path"], row["digest"],
        row["chain"], row["state"], dated_ns,
    )  # fmt: skip


def deleting(connection: sqlite3.Connection, volumes: Iterable[str]) -> list[Stored]:
    """Segments of these volumes that are half deleted."""
    found: list[Stored] = []
    for volume in volumes:
        rows = connection.execute(
            f"SELECT camera, stream, {_COLUMNS} FROM segment WHERE volume = ? AND state = 'deleting' LIMIT 1000",
            (volume,),
        )
        found += [_stored((row["camera"], row["stream"]), row, row["end_ns"] or row["start_ns"]) for row in rows]
    return found


def first_start(connection: sqlite3.Connection, reel: tuple[str, str]) -> int | None:
    """Where the footage of a reel begins, by what was recorded first."""
    row = connection.execute(
        "SELECT start_ns FROM segment WHERE camera = ? AND stream = ? AND state != 'deleting' ORDER BY seq LIMIT 1",
        reel,
    ).fetchone()
    return int(row[0]) if row else None


def newest_end(connection: sqlite3.Connection, of: Iterable[tuple[str, str]]) -> int | None:
    """Where the footage of these reels ends: the latest end of what each recorded last."""
    found: list[int] = []
    for reel in of:
        row = connection.execute(
            "SELECT end_ns FROM segment WHERE camera = ? AND stream = ? AND end_ns IS NOT NULL"
            " ORDER BY seq DESC LIMIT 1",
            reel,
        ).fetchone()
        found += [int(row[0])] if row else []
    return max(found, default=None)


def bytes_between(connection: sqlite3.Connection, reel: tuple[str, str], from_ns: int, to_ns: int) -> int:
    """What the segments of a reel that start in a range take."""
    row = connection.execute(
        "SELECT SUM(bytes) FROM segment WHERE camera = ? AND stream = ? AND start_ns >= ? AND start_ns < ?",
        (*reel, from_ns, to_ns),
    ).fetchone()
    return int(row[0] or 0)


def note(connection: sqlite3.Connection, name: str) -> str | None:
    """A note that a chore left."""
    row = connection.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else None


def known_dues(connection: sqlite3.Connection) -> Dues | None:
    """The state of due times (`due`) as it was noted last; after the index was lost, what the journal says of it."""
    noted = note(connection, DUES)
    if noted is not None:
        return dues_of(_plain(noted))
    rows = connection.execute("SELECT detail FROM journal WHERE kind = ? ORDER BY n DESC LIMIT 100", (Kind.POLICY,))
    for row in rows:
        values = _plain(row[0])
        if isinstance(values, dict) and values.get("what") == "dues":
            return dues_of({"line": values.get("line"), "terms": values.get("terms")})
    return None


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What stands before a segment in its reel: the head of the chain there, and the number."""

    seq: int
    chain: str


def before(connection: sqlite3.Connection, reel: tuple[str, str], seq: int) -> Neighbour:
    """The segment or the end of the tombstone that stands before number `seq`; number 0 when nothing does."""
    living = connection.execute(
        "SELECT seq, chain FROM segment WHERE camera = ? AND stream = ? AND seq < ? ORDER BY seq DESC LIMIT 1",
        (*reel, seq),
    ).fetchone()
    buried = connection.execute(
        "SELECT last_seq, after FROM tombstone WHERE camera = ? AND stream = ? AND first_seq < ?"
        " ORDER BY first_seq DESC LIMIT 1",
        (*reel, seq),
    ).fetchone()
    both = [Neighbour(int(row[0]), str(row[1] or "")) for row in (living, buried) if row is not None]
    return max(both, key=lambda each: each.seq, default=Neighbour(0, ""))


def next_step(
    connection: sqlite3.Connection,
    policy: Policy,
    lines: Lines,
    reels: Sequence[tuple[str, str]],
    protection: Protection,
    spaces: Sequence[Space],
    used_bytes: int,
    most: int = MOST_AT_ONCE,
) -> Step:
    """One plan, from the index: what a bench measures."""
    there = [space.volume for space in spaces]
    candidates: list[list[Stored]] = [oldest(connection, reel, there, protection, lines.now_ns, most) for reel in reels]
    return plan(policy, lines, candidates, protection, spaces, used_bytes, most)


class Usage:
    """What all footage takes, in bytes, and what each reel takes: exact but for what changed since its slice of the
    table was last summed. `known` once every slice was. What lies on a volume that is away is not counted: it can not
    be deleted, and what is here need not go for it."""

    def __init__(self) -> None:
        self.known = False
        self._slices: dict[int, dict[tuple[str, str, str], int]] = {}
        self._next = 0
        self._there: frozenset[str] | None = None

    def refresh(self, connection: sqlite3.Connection, slices: int = 2, there: Iterable[str] | None = None) -> None:
        """Sum the newest slice anew, and the next `slices` in turn. `there` are the volumes that count, None all."""
        self._there = None if there is None else frozenset(there)
        last = (connection.execute("SELECT COALESCE(MAX(id), 0) FROM segment").fetchone()[0]) // SLICE_ROWS
        for number in [number for number in self._slices if number > last]:
            del self._slices[number]
        for _ in range(slices):
            self._sum(connection, self._next)
            self._next += 1
            if self._next > last:
                self._next, self.known = 0, True
        self._sum(connection, last)

    def less(self, stored: Iterable[Stored]) -> None:
        """These are gone; the next sums say so too."""
        for each in stored:
            key = (each.camera, each.stream, each.volume)
            for slice_ in self._slices.values():
                if slice_.get(key, 0) >= each.bytes:
                    slice_[key] -= each.bytes
                    break

    @property
    def total_bytes(self) -> int:
        """What all reels take."""
        return sum(size for each in self._slices.values() for key, size in each.items() if self._counts(key[2]))

    def of(self, reel: tuple[str, str]) -> int:
        """What one reel takes."""
        return sum(
            size
            for each in self._slices.values()
            for key, size in each.items()
            if key[:2] == reel and self._counts(key[2])
        )

    def _counts(self, volume: str) -> bool:
        return self._there is None or volume in self._there

    def _sum(self, connection: sqlite3.Connection, number: int) -> None:
        rows = connection.execute(
            "SELECT camera, stream, volume, SUM(bytes) FROM segment WHERE id >= ? AND id < ?"
            " AND state NOT IN ('lost', 'deleting') GROUP BY camera, stream, volume",
            (number * SLICE_ROWS, (number + 1) * SLICE_ROWS),
        )
        self._slices[number] = {(row[0], row[1], row[2]): int(row[3]) for row in rows}
