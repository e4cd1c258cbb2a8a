"""The gap rows of an index, as they stand: what people are shown is made of them and of more (ledger.py)."""

import sqlite3

from agent.footage.timeline import Gap


def gaps_between(
    connection: sqlite3.Connection, camera: str, stream: str, from_ns: int, to_ns: int, limit: int
) -> list[Gap]:
    """At most `limit` gap rows of a reel (camera uuid, stream) that touch the range, by start."""
    rows = connection.execute(
        "SELECT from_ns, to_ns, reason, detail FROM gap WHERE camera = ? AND stream = ? AND from_ns < ?"
        " AND (to_ns IS NULL OR to_ns > ?) ORDER BY from_ns LIMIT ?",
        (camera, stream, to_ns, from_ns, limit),
    )
    return [Gap(*row) for row in rows]
