"""The journal in footage.db: its newest rows in the table `journal`, old ones in packs (see `journal_pack`).

Invariants
1. Packs stand for the rows from the first one on without a hole; what follows them stands in the table.
2. A row is found by its number, as it was written, wherever it stands. Only what the packs gave up to the volumes
   needs their copies: `volumes` says where they are.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from agent.footage.custody import journal_copy
from agent.footage.custody.journal_chain import Head, Kind, Row
from agent.footage.custody.journal_pack import ONLY_PACKED, Pack, rows_of, to_parts
from agent.footage.rows import Statement

NOWHERE: Final[tuple[Path, ...]] = ()


def put_row(row: Row) -> Statement:
    """A row of the table `journal`; refused, with all that is committed with it, unless it follows what is there."""
    return (_PUT_ROW, (row.n, row.n, row.n - 1, row.n - 1, row.previous, row.at_ns, row.kind, row.detail, row.hash))


_PUT_ROW: Final = """
    INSERT INTO journal (n, at_ns, kind, detail, hash) SELECT
    ?, CASE WHEN ? = 1 OR COALESCE((SELECT hash FROM journal WHERE n = ?),
    (SELECT after FROM journal_pack WHERE last_n = ?)) = ? THEN ? END, ?, ?, ?"""
"""`at_ns` may not be null: a row that follows nothing breaks that rule. It may have been submitted just before a broken
footage.db was set aside and a new one begun."""


def put_pack(rows: Sequence[Row]) -> list[Statement]:
    """These rows, which follow the last pack, as a pack; in the table they are no more, but for those that are asked
    for by their kind. Refused unless it follows what is packed already."""
    first, last = rows[0], rows[-1]
    parts = to_parts(rows)
    size = sum(len(each.data) for each in parts)
    kept = [row for row in rows if row.kind not in ONLY_PACKED]
    return [
        (_PUT_PACK, (first.n, first.n, first.n - 1, first.previous, last.n, first.previous, last.hash, size)),
        *((_PUT_PART, (p.camera, p.stream, p.first_seq, p.last_seq, first.n, p.data)) for p in parts),
        (f"DELETE FROM journal WHERE n BETWEEN ? AND ? AND kind IN ({_ONLY_PACKED})", (first.n, last.n)),
        *((_KEEP_ROW, (row.n, row.at_ns, row.kind, row.detail, row.hash)) for row in kept),
        *((_PUT_BEFORE, (row.n, row.previous)) for row in kept),
        (_PUT_BEFORE, (last.n + 1, last.hash)),
    ]


_ONLY_PACKED: Final = ", ".join(f"'{kind}'" for kind in sorted(ONLY_PACKED))
_PUT_PACK: Final = """
    INSERT INTO journal_pack (first_n, last_n, before, after, bytes) SELECT
    ?, CASE WHEN ? = 1 OR (SELECT after FROM journal_pack WHERE last_n = ?) = ? THEN ? END, ?, ?, ?"""
_PUT_PART: Final = "INSERT INTO journal_part VALUES (?, ?, ?, ?, ?, ?)"
_KEEP_ROW: Final = "INSERT OR IGNORE INTO journal (n, at_ns, kind, detail, hash) VALUES (?, ?, ?, ?, ?)"
_PUT_BEFORE: Final = "INSERT OR REPLACE INTO journal_before VALUES (?, ?)"


def give_up(pack: Pack) -> list[Statement]:
    """The rows of this pack stand on the volumes alone from now on."""
    return [
        ("UPDATE journal_part SET data = NULL WHERE first_n = ?", (pack.first_n,)),
        ("UPDATE journal_pack SET bytes = 0 WHERE first_n = ?", (pack.first_n,)),
    ]


def head_of(connection: sqlite3.Connection) -> Head:
    """Where the journal ends."""
    row = connection.execute("SELECT n, hash FROM journal ORDER BY n DESC LIMIT 1").fetchone()
    pack = newest_pack(connection)
    if pack is not None and (row is None or row[0] < pack.last_n):
        return Head(pack.last_n, pack.after)
    return Head(row[0], row[1]) if row else Head()


def hash_at(connection: sqlite3.Connection, n: int, volumes: Iterable[Path] = NOWHERE) -> str | None:
    """The hash of one row; None when there is none, or it cannot be read."""
    row = connection.execute(
        "SELECT hash FROM journal WHERE n = ? UNION ALL SELECT after FROM journal_pack WHERE last_n = ?", (n, n)
    ).fetchone()
    if row is not None:
        return str(row[0])
    pack = pack_with(connection, n)
    found = pack_rows(connection, pack, volumes) if pack is not None else []
    return next((each.hash for each in found if each.n == n), None)


def rows_after(
    connection: sqlite3.Connection,
    after_n: int,
    limit: int,
    kind: str | None = None,
    volumes: Iterable[Path] = NOWHERE,
) -> list[Row]:
    """At most `limit` rows with higher numbers, of all kinds or of one that stays in the table; fewer at the end of a
    pack, none only at the end of the journal. Rows that are nowhere are passed over."""
    if kind is not None:
        return [_row(each) for each in connection.execute(
            f"SELECT {_COLUMNS} WHERE n > ? AND kind = ? ORDER BY n LIMIT ?", (after_n, kind, limit)
        )]  # fmt: skip
    while (pack := pack_with(connection, after_n + 1)) is not None:
        some = [row for row in pack_rows(connection, pack, volumes) if row.n > after_n]
        if some:
            return some[:limit]
        after_n = pack.last_n
    return [_row(each) for each in connection.execute(
        f"SELECT {_COLUMNS} WHERE n > ? ORDER BY n LIMIT ?", (after_n, limit)
    )]  # fmt: skip


def table_rows(connection: sqlite3.Connection, first_n: int, last_n: int) -> list[Row]:
    """What stands in the table of these rows."""
    found = connection.execute(f"SELECT {_COLUMNS} WHERE n BETWEEN ? AND ? ORDER BY n", (first_n, last_n))
    return [_row(each) for each in found]


def newest(connection: sqlite3.Connection, kind: str, before_n: int | None = None) -> Row | None:
    """The newest row of a kind that stays in the table, of all or of those before row `before_n`."""
    found = connection.execute(
        "SELECT MAX(n) FROM journal WHERE kind = ? AND n < ?", (kind, (1 << 62) if before_n is None else before_n)
    ).fetchone()[0]
    return table_rows(connection, found, found)[0] if found else None


def buried(
    connection: sqlite3.Connection,
    camera: str,
    stream: str,
    from_seq: int,
    limit: int,
    volumes: Iterable[Path] = NOWHERE,
) -> list[Row]:
    """At most `limit` tombstones of a camera and stream, by their numbers, from the one on that holds or follows
    `from_seq`."""
    found = [(_last_seq(row), row) for row in
             (_row(each) for each in connection.execute(_BURIED, (camera, stream, from_seq, limit)))]  # fmt: skip
    parts = connection.execute(
        "SELECT first_n, first_seq FROM journal_part WHERE camera = ? AND stream = ? AND last_seq >= ?"
        " ORDER BY first_seq",
        (camera, stream, from_seq),
    ).fetchall()
    for first_n, first_seq in parts:
        if len(found) >= limit and sorted(last for last, _ in found)[limit - 1] < first_seq:
            break  # Whatever follows buries later ones.
        data = connection.execute(
            "SELECT data FROM journal_part WHERE camera = ? AND stream = ? AND first_n = ?", (camera, stream, first_n)
        ).fetchone()[0]
        inside = rows_of([data]) if data is not None else _on_volumes(connection, first_n, volumes, camera)
        found += [(last, row) for last, row in ((_last_seq(row), row) for row in inside) if last >= from_seq
                  and row.kind == Kind.TOMBSTONE and _is_of(row, camera, stream)]  # fmt: skip
    found.sort(key=lambda each: each[0])
    return [row for _, row in found[:limit]]


def newest_pack(connection: sqlite3.Connection) -> Pack | None:
    """The pack of the highest numbers."""
    row = connection.execute(f"SELECT {_PACK} ORDER BY first_n DESC LIMIT 1").fetchone()
    return Pack(*row) if row else None


def pack_with(connection: sqlite3.Connection, n: int) -> Pack | None:
    """The pack that row `n` is in; None when it is in none."""
    row = connection.execute(f"SELECT {_PACK} WHERE last_n >= ? ORDER BY last_n LIMIT 1", (n,)).fetchone()
    return Pack(*row) if row else None


def pack_before(connection: sqlite3.Connection, n: int) -> Pack | None:
    """The newest pack that ends with row `n` or before."""
    row = connection.execute(f"SELECT {_PACK} WHERE last_n <= ? ORDER BY last_n DESC LIMIT 1", (n,)).fetchone()
    return Pack(*row) if row else None


def oldest_packed(connection: sqlite3.Connection) -> tuple[int, Pack | None]:
    """Bytes of all packs, and the oldest one of those that have their rows."""
    size = connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM journal_pack").fetchone()[0]
    row = connection.execute(f"SELECT {_PACK} WHERE bytes > 0 ORDER BY first_n LIMIT 1").fetchone()
    return size, Pack(*row) if row else None


def pack_rows(connection: sqlite3.Connection, pack: Pack, volumes: Iterable[Path] = NOWHERE) -> list[Row]:
    """The rows of a pack as they stand there, altered or not; those that it gave up from the first volume that has
    all of them as they were."""
    if not pack.size_bytes:
        return next((rows for rows in (copied_rows(each, pack) for each in volumes) if pack.is_whole(rows)), [])
    return rows_of(each[0] for each in connection.execute(
        "SELECT data FROM journal_part WHERE first_n = ? AND data IS NOT NULL", (pack.first_n,)
    ))  # fmt: skip


def copied_rows(volume: Path, pack: Pack) -> list[Row]:
    """What a volume's copy has of the rows of a pack."""
    try:
        return journal_copy.rows_beside(volume, pack.first_n)
    except OSError:
        return []


def _on_volumes(connection: sqlite3.Connection, first_n: int, volumes: Iterable[Path], camera: str) -> list[Row]:
    pack = pack_with(connection, first_n)
    return [] if pack is None else [row for row in pack_rows(connection, pack, volumes) if camera in row.detail]


def _last_seq(row: Row) -> int:
    told = _told(row).get("last_seq")
    return told if type(told) is int else -1


def _is_of(row: Row, camera: str, stream: str) -> bool:
    told = _told(row)
    return (told.get("camera"), told.get("stream")) == (camera, stream)


def _told(row: Row) -> dict[str, Any]:
    try:
        return row.told()
    except (ValueError, TypeError, RecursionError):
        return {}


_PACK: Final = "first_n, last_n, before, after, bytes FROM journal_pack"

_COLUMNS: Final = """
    n, COALESCE((SELECT previous FROM journal_before AS before WHERE before.n = journal.n),
    (SELECT hash FROM journal AS before WHERE before.n = journal.n - 1)), at_ns, kind, detail, hash FROM journal"""

_BURIED: Final = f"""
    SELECT {_COLUMNS} WHERE kind = 'tombstone' AND json_extract(detail, '$.camera') = ?
    AND json_extract(detail, '$.stream') = ? AND json_extract(detail, '$.last_seq') >= ?
    ORDER BY json_extract(detail, '$.last_seq') LIMIT ?"""


def _row(values: Sequence[Any]) -> Row:
    n, previous, at_ns, kind, detail, hashed = values
    return Row(n, previous or Head().hash, at_ns, kind, detail, hashed)
