"""What an export needs so that others can check it: the links of its segments, up to a head that was signed.

Read-only; for one short transaction on footage.db.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from agent.facts import Text
from agent.footage.custody.checkpoint import NoCheckpoint, read_checkpoint
from agent.footage.custody.journal_chain import Kind, Row
from agent.footage.custody.journal_rows import NOWHERE, buried, newest, rows_after
from agent.footage.index import Index
from agent.footage.naming import parse_name
from agent.wire import Refused

MOST_LINKS: Final = 150
"""Of one answer: they take 26 KB of its 64 KiB, and a checkpoint of 32 streams that a power cut stopped three times
within its hour 16 KB, twice."""


def prove(
    connection: sqlite3.Connection,
    camera: str,
    stream: str,
    first_seq: int,
    last_seq: int,
    volumes: Sequence[Path] = NOWHERE,
) -> dict[str, Any]:
    """The links of one camera (uuid) and stream from `first_seq` to the first signed head at or after `last_seq`, or
    to the last link that there is:

    {before, links: [[seq, start_ns, size_bytes, digest, head], ...], next_seq, deleted: [seq, ...], tombstones:
    [{n, first_seq, last_seq, reason, deleted_ns}, ...], checkpoint: journal row or null, checkpoint_text: the signed
    text or null, key: journal row or null}

    `before` is the head before the first link ("" for the first of all), which comes earlier than `first_seq` when that
    is one of several in a tombstone. `next_seq` is where to go on when there are
    more than `MOST_LINKS`. Heads of links of deleted segments are null but at the end of a tombstone: they are to be
    computed. Times of segments are those that were hashed. `volumes` have the oldest rows of the journal. Raises
    sqlite3.Error.
    """
    found = _covering(connection, camera, stream, last_seq)
    until = found[1] if found else None
    stones = _tombstones(connection, camera, stream, first_seq, until, volumes)
    if stones:
        # Inside a tombstone there are no heads: the links begin with it.
        first_seq = min(first_seq, int(stones[0][1]["first_seq"]))
    links: list[list[Any]] = [
        [seq, start_ns, size, digest, after if seq == last else None]
        for _, _, after, last, segments in stones
        for seq, start_ns, _, size, digest in segments
        if seq >= first_seq
    ]
    deleted = sorted(each[0] for each in links)
    links += _recorded(connection, camera, stream, first_seq, until)
    links.sort(key=lambda each: int(each[0]))
    page = links[:MOST_LINKS]
    key = newest(connection, Kind.KEY, found[0].n) if found else None
    return {
        "before": head_before(connection, camera, stream, first_seq),
        "links": page,
        "next_seq": links[MOST_LINKS][0] if len(links) > MOST_LINKS else None,
        "deleted": [seq for seq in deleted if page and seq <= page[-1][0]],
        "tombstones": [
            {"n": row.n, **{name: told[name] for name in ("first_seq", "last_seq", "reason", "deleted_ns")}}
            for row, told, _, _, _ in stones
        ],
        "checkpoint": _as_told(found[0]) if found else None,
        "checkpoint_text": read_checkpoint(found[0]).text.decode() if found else None,
        "key": _as_told(key) if key else None,
    }


def vouch(connection: sqlite3.Connection, camera: str, stream: str, seq: int) -> dict[str, Any]:
    """The checkpoint that says what is left of a segment that was not closed as it was recorded (`loose`), as
    {checkpoint, checkpoint_text}: the first that signed beyond it; where that has no head of it yet, the first after it
    that has, as long as all between name it. Null when none names it. Raises sqlite3.Error."""
    found, spoken = _covering(connection, camera, stream, seq), None
    row = found[0] if found else None
    while row is not None:
        loose = read_checkpoint(row).loose
        named = [each.head for each in loose if (each.camera, each.stream, each.seq) == (camera, stream, seq)]
        if not named:
            break
        spoken = row
        row = None if named[0] else _next_checkpoint(connection, row.n)
    if spoken is None:
        return {"checkpoint": None, "checkpoint_text": None}
    told = _as_told(spoken)
    # All but the signature stands in the text; many power cuts within an hour make that long.
    signature = {"signature": told["detail"].get("signature")}
    return {"checkpoint": {**told, "detail": signature}, "checkpoint_text": read_checkpoint(spoken).text.decode()}


def answer_proof(index: Index, args: Mapping[str, Any], volumes: Sequence[Path] = NOWHERE) -> dict[str, Any]:
    """The verb `proof` {camera, stream, first_seq, last_seq}; with `loose` what `vouch` says of `last_seq`. Raises
    Refused and sqlite3.Error."""
    camera, stream, first_seq, last_seq = (args.get(name) for name in ("camera", "stream", "first_seq", "last_seq"))
    if (
        not isinstance(camera, str)
        or not isinstance(stream, str)
        or type(first_seq) is not int
        or type(last_seq) is not int
        or not 0 < first_seq <= last_seq < 1 << 62
    ):
        raise Refused("bad_request", Text("证明请求有误", "a proof needs camera, stream, first_seq and last_seq"))
    with index.reading() as connection:
        connection.execute("BEGIN")
        if args.get("loose") is True:
            return vouch(connection, camera, stream, last_seq)
        return prove(connection, camera, stream, first_seq, last_seq, volumes)


def _covering(connection: sqlite3.Connection, camera: str, stream: str, last_seq: int) -> tuple[Row, int] | None:
    """The first checkpoint that signed this number or a later one, and the number that it signed."""
    low, high = 0, _newest_n(connection)
    # Numbers signed never fall: the first one that is high enough is found by halving.
    best: tuple[Row, int] | None = None
    while low < high:
        middle = (low + high) // 2
        row, seq = _signed_at(connection, middle, camera, stream)
        if row is None:
            high = middle
        elif seq >= last_seq:
            best, high = (row, seq), middle
        else:
            low = max(row.n, middle + 1)
    return best


def _newest_n(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT COALESCE(MAX(n), 0) FROM journal").fetchone()[0]) + 1


def _next_checkpoint(connection: sqlite3.Connection, n: int) -> Row | None:
    """The first checkpoint after row `n` that can be read."""
    while row := next(iter(rows_after(connection, n, 1, Kind.CHECKPOINT)), None):
        try:
            read_checkpoint(row)
            return row
        except NoCheckpoint:
            n = row.n
    return None


def _signed_at(connection: sqlite3.Connection, n: int, camera: str, stream: str) -> tuple[Row | None, int]:
    """The first checkpoint at or after row `n`, and the number of this camera and stream in it (0: none)."""
    for row in rows_after(connection, n - 1, 1, Kind.CHECKPOINT):
        try:
            heads = read_checkpoint(row).heads
        except NoCheckpoint:
            continue
        return row, next((each.seq for each in heads if (each.camera, each.stream) == (camera, stream)), 0)
    return None, 0


_Stone = tuple[Row, dict[str, Any], str, int, list[list[Any]]]


def _tombstones(
    connection: sqlite3.Connection,
    camera: str,
    stream: str,
    first_seq: int,
    until: int | None,
    volumes: Sequence[Path],
) -> list[_Stone]:
    """Tombstones of the journal that touch the range, by their numbers: row, detail, head after, last number, and
    segments."""
    found: list[_Stone] = []
    for row in buried(connection, camera, stream, first_seq, MOST_LINKS + 1, volumes):
        told = row.told()
        if until is None or int(told["first_seq"]) <= until:
            found.append((row, told, str(told["after"]), int(told["last_seq"]), list(told["segments"])))
    return found


def _recorded(
    connection: sqlite3.Connection, camera: str, stream: str, first_seq: int, until: int | None
) -> list[list[Any]]:
    rows = connection.execute(
        "SELECT seq, path, bytes, digest, chain FROM segment WHERE camera = ? AND stream = ? AND seq >= ?"
        " AND (? IS NULL OR seq <= ?) AND chain IS NOT NULL ORDER BY seq LIMIT ?",
        (camera, stream, first_seq, until, until, MOST_LINKS + 1),
    )
    links: list[list[Any]] = []
    for seq, path, size, digest, chain in rows:
        name = parse_name(PurePosixPath(path))
        if name is not None:
            links.append([seq, name.start_ns, size, digest, chain])
    return links


def head_before(connection: sqlite3.Connection, camera: str, stream: str, first_seq: int) -> str:
    """The head before number `first_seq`; "" when there is none."""
    row = connection.execute(
        "SELECT seq, chain FROM segment WHERE camera = ? AND stream = ? AND seq < ? AND chain IS NOT NULL"
        " UNION ALL SELECT last_seq, after FROM tombstone WHERE camera = ? AND stream = ? AND last_seq < ?"
        " AND after != '' ORDER BY 1 DESC LIMIT 1",
        (camera, stream, first_seq, camera, stream, first_seq),
    ).fetchone()
    return str(row[1]) if row else ""


def _as_told(row: Row) -> dict[str, Any]:
    return {
        "n": row.n, "previous": row.previous, "at_ns": row.at_ns, "kind": row.kind, "detail": row.told(),
        "hash": row.hash,
    }  # fmt: skip
