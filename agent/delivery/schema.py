"""The shape of alarm.db, as numbered migrations: the number of the last one done is in `PRAGMA user_version`."""

import sqlite3

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE numbers (name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE events (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        seq INTEGER,
        class TEXT NOT NULL,
        type TEXT NOT NULL,
        subject TEXT NOT NULL,
        priority INTEGER NOT NULL,
        incident_id TEXT NOT NULL,
        at_ns INTEGER NOT NULL,
        pressed_ns INTEGER NOT NULL,
        summary_zh TEXT NOT NULL,
        summary_en TEXT NOT NULL,
        body TEXT NOT NULL
    );
    CREATE INDEX events_by_seq ON events (seq);
    CREATE TABLE outbox (
        event_id TEXT NOT NULL REFERENCES events (id),
        platform TEXT NOT NULL,
        state TEXT NOT NULL,
        published_ns INTEGER NOT NULL DEFAULT 0,
        receipted_ns INTEGER NOT NULL DEFAULT 0,
        case_no TEXT NOT NULL DEFAULT '',
        done INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (event_id, platform)
    ) WITHOUT ROWID;
    CREATE INDEX outbox_open ON outbox (platform) WHERE done = 0;
    CREATE TABLE incidents (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        name TEXT NOT NULL,
        room_id TEXT,
        latching INTEGER NOT NULL,
        state TEXT NOT NULL,
        count INTEGER NOT NULL,
        triggered_ns INTEGER NOT NULL,
        last_ns INTEGER NOT NULL,
        acknowledged_ns INTEGER NOT NULL,
        acknowledged_by TEXT NOT NULL,
        restored_ns INTEGER NOT NULL,
        reset_ns INTEGER NOT NULL,
        reset_by TEXT NOT NULL,
        reset_why TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX incidents_open ON incidents (state) WHERE state NOT IN ('reset', 'closed');
    CREATE TABLE zones (zone_id TEXT PRIMARY KEY, input TEXT NOT NULL, since_ns INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE seen_inputs (
        board_uid TEXT NOT NULL, boot_id INTEGER NOT NULL, event_id INTEGER NOT NULL, at_ns INTEGER NOT NULL,
        PRIMARY KEY (board_uid, boot_id, event_id)
    ) WITHOUT ROWID;
    CREATE TABLE seen_facts (
        process TEXT NOT NULL, boot TEXT NOT NULL, n INTEGER NOT NULL, at_ns INTEGER NOT NULL,
        PRIMARY KEY (process, boot, n)
    ) WITHOUT ROWID;
    CREATE TABLE seen_receipts (
        platform TEXT NOT NULL, event_id TEXT NOT NULL, status TEXT NOT NULL, case_no TEXT NOT NULL,
        at_ns INTEGER NOT NULL, PRIMARY KEY (platform, event_id, status)
    ) WITHOUT ROWID;
    CREATE TABLE audit (
        n INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL,
        subject TEXT NOT NULL, detail TEXT NOT NULL, hash TEXT NOT NULL
    );
    """,
    """
    CREATE TABLE areas (
        area_id TEXT PRIMARY KEY,
        phase TEXT NOT NULL,
        who TEXT NOT NULL,
        since_ns INTEGER NOT NULL,
        zone TEXT NOT NULL,
        bypassed TEXT NOT NULL,
        waiting TEXT NOT NULL,
        calendar_ns INTEGER NOT NULL
    ) WITHOUT ROWID;
    """,
    "ALTER TABLE areas ADD COLUMN blind INTEGER NOT NULL DEFAULT 0",
    """
    ALTER TABLE incidents ADD COLUMN drill INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE drill (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        id TEXT NOT NULL,
        kind TEXT NOT NULL,
        zones TEXT NOT NULL,
        who TEXT NOT NULL,
        began_ns INTEGER NOT NULL,
        began_mono_ns INTEGER NOT NULL,
        until_mono_ns INTEGER NOT NULL,
        machine_boot TEXT NOT NULL
    );
    CREATE TABLE tests (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        at_ns INTEGER NOT NULL,
        zone_id TEXT NOT NULL,
        zone_name TEXT NOT NULL,
        kind TEXT NOT NULL,
        who TEXT NOT NULL,
        passed INTEGER NOT NULL,
        why TEXT NOT NULL,
        path TEXT NOT NULL
    );
    CREATE INDEX tests_by_zone ON tests (zone_id, at_ns);
    """,
)


class NewerSchema(Exception):
    """The database was written by a newer version than this."""


def migrate(db: sqlite3.Connection) -> None:
    """Bring the database to the newest shape, each migration in a transaction. Raises NewerSchema, sqlite3.Error."""
    (done,) = db.execute("PRAGMA user_version").fetchone()
    if done > len(MIGRATIONS):
        raise NewerSchema(f"alarm.db has schema {done}; this version knows {len(MIGRATIONS)}")
    for number, script in enumerate(MIGRATIONS[done:], start=done + 1):
        db.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
