"""What a range of time of a reel holds: read from the index, and decided for every instant.

Rows say most of it. What was deleted on purpose is read from the tombstones, what is lost from the rows of its files,
and what no row explains from what the recorder left behind of itself (gaps.py).

Invariants
1. From the first recording of a reel on, every instant is footage or a gap with a reason; `unrecorded` is none.
2. A query reads what touches its range, and not what lies before it: a day costs the same after a year.
3. An answer is of one moment: a file that begins and the gap that it ends are told both, or none of them.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from agent.footage.gaps import ENDED_UNTOLD, Edge, Stretch, explain, stretch_from
from agent.footage.timeline import NS, Gap, GapReason, Ledger, Span, ledger, merge
from agent.footage.upkeep.rectify import TRUSTED

LONGEST_SEGMENT_NS: Final = 3600 * NS
"""No segment is longer: 600 s is the most that may be set, plus a camera's longest distance of key frames."""

LONG_GAP_NS: Final = 3600 * NS
"""Longer gaps have an index of their own (`gap_long`)."""

MOST_ROWS: Final = 5000
"""Of each kind, for one answer: half a day of the shortest segments."""

STRETCH: Final = "stretch/"
"""Notes of this name keep the stretches, by number."""

MOST_DOUBTFUL: Final = 200
"""Runs looked at for one answer."""

_REASONS: Final = frozenset(GapReason)


@dataclass(frozen=True, slots=True)
class Decided:
    """What was found, from `from_ns` up to `to_ns`: less than was asked for when the reel begins later, or when
    there is more than one answer takes."""

    ledger: Ledger
    from_ns: int
    to_ns: int
    concluded: tuple[Gap, ...] = ()
    """Those of the gaps that no row explains."""


def read(
    connection: sqlite3.Connection,
    reel: tuple[str, str],
    from_ns: int,
    to_ns: int,
    live: Mapping[str, int],
    now_ns: int,
    most_rows: int = MOST_ROWS,
) -> Decided:
    """Decide a range of a reel (camera uuid, stream). `live` tells where files end whose row does not say it yet, by
    path below the volume; it was asked for before. Raises sqlite3.Error."""
    with _one_moment(connection):
        return _read(connection, reel, from_ns, to_ns, live, now_ns, most_rows)


@contextmanager
def _one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.rollback()


def _read(
    connection: sqlite3.Connection,
    reel: tuple[str, str],
    from_ns: int,
    to_ns: int,
    live: Mapping[str, int],
    now_ns: int,
    most_rows: int,
) -> Decided:
    first = first_ns(connection, reel)
    from_ns = to_ns if first is None else max(from_ns, first)
    if from_ns >= to_ns:
        return Decided(Ledger((), ()), to_ns, to_ns)
    files = _files(connection, reel, from_ns, to_ns, most_rows)
    if len(files) == most_rows:
        to_ns = max(from_ns + 1, files[-1][0])
    spans, claims = _footage(files, live)
    rows = gap_rows(connection, reel, from_ns, to_ns, most_rows)
    if len(rows) == most_rows:
        to_ns = min(to_ns, max(from_ns + 1, rows[-1].from_ns))
    # A row that says that the reason is not known says no more than none.
    known = [row for row in rows if row.reason != GapReason.INDEX_LOST]
    claims += [*known, *_buried(connection, reel, from_ns, to_ns)]
    found = ledger(spans, claims, from_ns, to_ns)
    if all(gap.reason != GapReason.UNRECORDED for gap in found.gaps):
        return Decided(found, from_ns, to_ns)
    gaps, concluded = _explained(connection, reel, found, now_ns)
    return Decided(replace(found, gaps=_joined(gaps)), from_ns, to_ns, concluded)


def first_ns(connection: sqlite3.Connection, reel: tuple[str, str]) -> int | None:
    """When a reel begins: its first recording, or the first time that one was missing. None when it is not known."""
    found = [
        connection.execute(f"SELECT MIN({column}) FROM {table} WHERE camera = ? AND stream = ?", reel).fetchone()[0]
        for table, column in (("segment", "start_ns"), ("gap", "from_ns"), ("tombstone", "from_ns"))
    ]
    return min((each for each in found if each is not None), default=None)


def gap_rows(connection: sqlite3.Connection, reel: tuple[str, str], from_ns: int, to_ns: int, limit: int) -> list[Gap]:
    """Gap rows of a reel that touch the range, by start: at most `limit` short ones, and every long one."""
    columns = "SELECT from_ns, to_ns, reason, detail FROM gap"
    short = connection.execute(
        f"{columns} INDEXED BY gap_reel_from WHERE camera = ? AND stream = ? AND from_ns >= ? AND from_ns < ?"
        " AND to_ns > ? AND to_ns - from_ns <= 3600000000000 ORDER BY from_ns LIMIT ?",
        (*reel, from_ns - LONG_GAP_NS, to_ns, from_ns, limit),
    ).fetchall()
    last_ns = short[-1][0] if len(short) == limit else to_ns
    long = connection.execute(
        f"{columns} INDEXED BY gap_long WHERE camera = ? AND stream = ? AND from_ns < ?"
        " AND (to_ns IS NULL OR to_ns - from_ns > 3600000000000) AND (to_ns IS NULL OR to_ns > ?)",
        (*reel, last_ns, from_ns),
    ).fetchall()
    found = sorted((Gap(*row) for row in [*long, *short]), key=lambda gap: gap.from_ns)
    return found if len(short) < limit else [gap for gap in found if gap.from_ns <= last_ns][-limit:]


def doubtful_spans(connection: sqlite3.Connection, reel: tuple[str, str], from_ns: int, to_ns: int) -> list[Span]:
    """Footage in a range that was told by a clock which nobody corrected: it may be of another time."""
    found: list[Span] = []
    runs = connection.execute(
        "SELECT id, wall_ns FROM run WHERE camera = ? AND stream = ? AND quality NOT IN ('ntp', 'rectified')"
        " AND quality != 'rtc' AND wall_ns < ?",
        (*reel, to_ns),
    ).fetchall()
    for run, wall_ns in runs[-MOST_DOUBTFUL:]:
        row = connection.execute(
            "SELECT MIN(start_ns), MAX(end_ns) FROM segment WHERE camera = ? AND stream = ? AND start_ns >= ?"
            " AND start_ns < ? AND run = ? AND end_ns > ?",
            (*reel, max(wall_ns, from_ns - LONGEST_SEGMENT_NS), to_ns, run, from_ns),
        ).fetchone()
        if row[0] is not None:
            found.append(Span(max(row[0], from_ns), min(row[1], to_ns)))
    return merge(found)


def is_doubtful(connection: sqlite3.Connection, boot: str) -> bool:
    """Whether something of this boot was told by a clock that may yet be corrected."""
    found = connection.execute(
        "SELECT 1 FROM run WHERE boot = ? AND quality NOT IN ('ntp', 'rectified') LIMIT 1", (boot,)
    ).fetchone()
    return found is not None or any(each.boot == boot and each.quality not in TRUSTED for each in stretches(connection))


def stretches(connection: sqlite3.Connection, now_ns: int | None = None) -> list[Stretch]:
    """What is known of when the recorder ran, by number; the one under way goes on until `now_ns`."""
    rows = connection.execute(
        "SELECT value FROM note WHERE name >= ? AND name < ? ORDER BY name", (STRETCH, STRETCH[:-1] + "0")
    )
    found = [each for each in (stretch_from(str(row[0])) for row in rows) if each is not None]
    if found and now_ns is not None and found[-1].ended == ENDED_UNTOLD and now_ns > found[-1].to_ns:
        found[-1] = replace(found[-1], to_ns=now_ns)
    return found


def edge_before(connection: sqlite3.Connection, reel: tuple[str, str], at_ns: int) -> Edge | None:
    """The footage that ends at this moment or before."""
    return _edge(connection, "start_ns < ?", "start_ns DESC", "end_ns", reel, at_ns)


def edge_after(connection: sqlite3.Connection, reel: tuple[str, str], at_ns: int) -> Edge | None:
    """The footage that begins at this moment or later."""
    return _edge(connection, "start_ns >= ?", "start_ns", "start_ns", reel, at_ns)


def _explained(
    connection: sqlite3.Connection, reel: tuple[str, str], found: Ledger, now_ns: int
) -> tuple[tuple[Gap, ...], tuple[Gap, ...]]:
    """All gaps, and those that were concluded."""
    known = stretches(connection, now_ns)
    gaps: list[Gap] = []
    concluded: list[Gap] = []
    for number, gap in enumerate(found.gaps):
        if gap.reason != GapReason.UNRECORDED or gap.to_ns is None:
            gaps.append(gap)
            continue
        beside = [each for each in found.gaps[max(0, number - 1) : number + 2] if each.reason != gap.reason]
        before, after = edge_before(connection, reel, gap.from_ns + 1), edge_after(connection, reel, gap.to_ns)
        why = explain(gap.from_ns, gap.to_ns, "/".join(reel), before, after, known, beside)
        gaps += why
        concluded += why
    return tuple(gaps), tuple(concluded)


def _joined(gaps: Sequence[Gap]) -> tuple[Gap, ...]:
    """The same gaps, where one goes on for the same reason as one."""
    joined: list[Gap] = []
    for gap in gaps:
        last = joined[-1] if joined else None
        if last and (last.to_ns, last.reason, last.detail) == (gap.from_ns, gap.reason, gap.detail):
            joined[-1] = replace(last, to_ns=gap.to_ns)
        else:
            joined.append(gap)
    return tuple(joined)


def _footage(
    files: Iterable[tuple[int, int | None, str, str]], live: Mapping[str, int]
) -> tuple[list[Span], list[Gap]]:
    """Footage in as few spans as there are, and what is told by rows whose files are gone."""
    spans: list[Span] = []
    claims: list[Gap] = []
    begin, until = -1, -1
    for start, end, path, state in files:  # by start: a day has 1440, so this is kept short
        end_ns = live.get(path, start) if end is None else end
        if state == "deleting":
            claims.append(Gap(start, end_ns, GapReason.EXPIRED))
        elif state == "lost":
            claims.append(Gap(start, end_ns, GapReason.FILE_MISSING, path))
        elif start <= until:
            until = max(until, end_ns)
        else:
            if begin >= 0:
                spans.append(Span(begin, until))
            begin, until = start, end_ns
    return [*spans, Span(begin, until)] if begin >= 0 else [], claims


def _files(
    connection: sqlite3.Connection, reel: tuple[str, str], from_ns: int, to_ns: int, limit: int
) -> list[tuple[int, int | None, str, str]]:
    # Only a path that is needed is read: all else is in the index.
    return connection.execute(
        "SELECT start_ns, end_ns, CASE WHEN end_ns IS NULL OR state = 'lost' THEN path ELSE '' END, state"
        " FROM segment WHERE camera = ? AND stream = ? AND start_ns >= ?"
        " AND start_ns < ? AND (end_ns IS NULL OR end_ns > ?) ORDER BY start_ns LIMIT ?",
        (*reel, from_ns - LONGEST_SEGMENT_NS, to_ns, from_ns, limit),
    ).fetchall()


def _buried(connection: sqlite3.Connection, reel: tuple[str, str], from_ns: int, to_ns: int) -> list[Gap]:
    rows = connection.execute(
        "SELECT from_ns, to_ns, reason FROM tombstone WHERE camera = ? AND stream = ? AND from_ns < ? AND to_ns > ?",
        (*reel, to_ns, from_ns),
    )
    return [Gap(begin, end, reason if reason in _REASONS else GapReason.EXPIRED.value) for begin, end, reason in rows]


def _edge(
    connection: sqlite3.Connection, where: str, order: str, column: str, reel: tuple[str, str], at_ns: int
) -> Edge | None:
    row = connection.execute(
        f"SELECT {column}, run FROM segment WHERE camera = ? AND stream = ? AND {where} AND end_ns IS NOT NULL"
        f" ORDER BY {order} LIMIT 1",
        (*reel, at_ns),
    ).fetchone()
    if row is None:
        return None
    clock = connection.execute("SELECT boot, wall_ns - mono_ns, quality FROM run WHERE id = ?", (row[1],)).fetchone()
    return Edge(row[0], *clock) if clock else None
