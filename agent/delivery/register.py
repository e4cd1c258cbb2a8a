"""The drill under way and the register of tests in alarm.db: jobs for the store thread, and readings for anybody.

As in rows.py, nothing here begins or commits a transaction, and a job gives the same rows however often it runs. The
register is kept for ever: inspectors ask for it, and a button that is tested each week makes 52 rows a year.
"""

import json
import sqlite3
from dataclasses import dataclass, field
from typing import Any

from agent.safety.drills import Drill, DrillKind


@dataclass(frozen=True, slots=True)
class Tested:
    """One test of one zone. `kind` is a drills.DrillKind, `at_ns` UTC; `why` is a code when it did not pass; `path` is
    what button_path.path_values gives."""

    id: str
    at_ns: int
    zone_id: str
    zone_name: str
    kind: str
    who: str
    passed: bool
    why: str = ""
    path: dict[str, Any] = field(default_factory=dict)


def put_drill(db: sqlite3.Connection, drill: Drill | None) -> None:
    """Store the drill that goes on; None: there is none."""
    db.execute("DELETE FROM drill")
    if drill is not None:
        zones = json.dumps(sorted(drill.zones))
        db.execute(
            "INSERT INTO drill VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                drill.id, str(drill.kind), zones, drill.who, drill.began_ns, drill.began_mono_ns, drill.until_mono_ns,
                drill.machine_boot,
            ),
        )  # fmt: skip


def read_drill(db: sqlite3.Connection) -> Drill | None:
    """The drill that was stored, whether it still goes on or not."""
    row = db.execute(
        "SELECT id, kind, zones, who, began_ns, began_mono_ns, until_mono_ns, machine_boot FROM drill"
    ).fetchone()
    if row is None:
        return None
    return Drill(row[0], DrillKind(row[1]), frozenset(json.loads(row[2])), *row[3:])


def put_test(db: sqlite3.Connection, test: Tested) -> None:
    """Enter a test, once."""
    db.execute(
        "INSERT OR IGNORE INTO tests (id, at_ns, zone_id, zone_name, kind, who, passed, why, path)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            test.id, test.at_ns, test.zone_id, test.zone_name, test.kind, test.who, int(test.passed), test.why,
            json.dumps(test.path, ensure_ascii=False),
        ),
    )  # fmt: skip


def read_tests(
    db: sqlite3.Connection, from_ns: int, before_n: int | None = None, at_most: int = 200
) -> list[tuple[int, Tested]]:
    """Tests from a time on (UTC ns) with their numbers, oldest first: the newest of them, or those before a number."""
    rows = db.execute(
        "SELECT n, id, at_ns, zone_id, zone_name, kind, who, passed, why, path FROM tests"
        " WHERE at_ns >= ? AND (? IS NULL OR n < ?) ORDER BY n DESC LIMIT ?",
        (from_ns, before_n, before_n, at_most),
    ).fetchall()
    return [
        (n, Tested(key, at_ns, zone_id, zone_name, kind, who, bool(passed), why, json.loads(path)))
        for n, key, at_ns, zone_id, zone_name, kind, who, passed, why, path in reversed(rows)
    ]


def tested_ns(db: sqlite3.Connection) -> dict[str, int]:
    """When each zone passed a test last (UTC ns)."""
    return dict(db.execute("SELECT zone_id, max(at_ns) FROM tests WHERE passed = 1 GROUP BY zone_id").fetchall())
