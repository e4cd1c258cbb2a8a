"""The tables of footage.db, by numbered migrations."""

from typing import Final

MIGRATIONS: Final = (
    """
    CREATE TABLE volume (uuid TEXT PRIMARY KEY, path TEXT NOT NULL, agent TEXT NOT NULL, created_ns INTEGER NOT NULL);
    CREATE TABLE camera (uuid TEXT PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL);
    CREATE TABLE run (
        id INTEGER PRIMARY KEY, camera TEXT NOT NULL, stream TEXT NOT NULL, boot TEXT NOT NULL,
        wall_ns INTEGER NOT NULL, mono_ns INTEGER NOT NULL, quality TEXT NOT NULL);
    CREATE TABLE segment (
        id INTEGER PRIMARY KEY, camera TEXT NOT NULL, volume TEXT NOT NULL, stream TEXT NOT NULL, run INTEGER,
        seq INTEGER NOT NULL, start_ns INTEGER NOT NULL, end_ns INTEGER, frames INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0, path TEXT NOT NULL, codec TEXT NOT NULL, width INTEGER NOT NULL,
        height INTEGER NOT NULL, sha256 TEXT, previous TEXT, chain TEXT, state TEXT NOT NULL,
        UNIQUE (volume, path));
    CREATE INDEX segment_camera_start ON segment (camera, start_ns);
    CREATE INDEX segment_start ON segment (start_ns);
    CREATE TABLE gap (
        id INTEGER PRIMARY KEY, camera TEXT NOT NULL, from_ns INTEGER NOT NULL, to_ns INTEGER,
        reason TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '');
    CREATE INDEX gap_camera_from ON gap (camera, from_ns);
    CREATE UNIQUE INDEX gap_open ON gap (camera) WHERE to_ns IS NULL;
    """,
    # What a start asks for, before anything is recorded: no table of a million rows is read through for it.
    """
    CREATE INDEX segment_camera_seq ON segment (camera, seq);
    CREATE INDEX segment_open ON segment (volume) WHERE state = 'open';
    """,
    # Streams of a camera stand side by side; what is deleted, held and signed has rows of its own.
    """
    ALTER TABLE segment RENAME COLUMN sha256 TO digest;
    ALTER TABLE gap ADD COLUMN stream TEXT NOT NULL DEFAULT 'main';
    DROP INDEX segment_camera_start;
    DROP INDEX segment_camera_seq;
    DROP INDEX gap_camera_from;
    DROP INDEX gap_open;
    CREATE INDEX segment_reel_start ON segment (camera, stream, start_ns);
    CREATE INDEX segment_reel_seq ON segment (camera, stream, seq);
    CREATE INDEX segment_deleting ON segment (volume) WHERE state = 'deleting';
    CREATE INDEX gap_reel_from ON gap (camera, stream, from_ns);
    CREATE UNIQUE INDEX gap_open ON gap (camera, stream) WHERE to_ns IS NULL;
    CREATE TABLE hold (
        id TEXT PRIMARY KEY, camera TEXT, from_ns INTEGER NOT NULL, to_ns INTEGER, who TEXT NOT NULL,
        why TEXT NOT NULL, incident TEXT, made_ns INTEGER NOT NULL, until_ns INTEGER, released_ns INTEGER,
        released_by TEXT);
    CREATE TABLE tombstone (
        camera TEXT NOT NULL, stream TEXT NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
        from_ns INTEGER NOT NULL, to_ns INTEGER NOT NULL, segments INTEGER NOT NULL, bytes INTEGER NOT NULL,
        before TEXT NOT NULL, after TEXT NOT NULL, reason TEXT NOT NULL, deleted_ns INTEGER NOT NULL,
        PRIMARY KEY (camera, stream, first_seq));
    CREATE TABLE journal (
        n INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL, hash TEXT NOT NULL);
    CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    """,
    # By which clock a gap was told, so that it can be moved with the footage around it; and what the ledger asks for.
    """
    ALTER TABLE gap ADD COLUMN boot TEXT NOT NULL DEFAULT '';
    ALTER TABLE gap ADD COLUMN offset_ns INTEGER;
    ALTER TABLE gap ADD COLUMN quality TEXT NOT NULL DEFAULT 'ntp';
    ALTER TABLE gap ADD COLUMN journaled INTEGER NOT NULL DEFAULT 0;
    UPDATE gap SET reason = 'restart' WHERE reason = 'stopped';
    CREATE INDEX gap_long ON gap (camera, stream, from_ns) WHERE to_ns IS NULL OR to_ns - from_ns > 3600000000000;
    CREATE INDEX gap_unwritten ON gap (id) WHERE journaled = 0 AND to_ns IS NOT NULL;
    CREATE INDEX run_untrusted ON run (boot) WHERE quality NOT IN ('ntp', 'rectified');
    CREATE INDEX run_clock ON run (camera, stream, boot);
    """,
    # The journal is asked for its newest checkpoint, and for what was deleted of one camera and stream.
    """
    CREATE INDEX journal_kind ON journal (kind, n);
    CREATE INDEX journal_buried ON journal (
        json_extract(detail, '$.camera'), json_extract(detail, '$.stream'), json_extract(detail, '$.last_seq'))
        WHERE kind = 'tombstone';
    """,
    # A day of a camera is read from one index, without a look at rows that lie all over the file.
    """
    DROP INDEX segment_reel_start;
    CREATE INDEX segment_reel_start ON segment (camera, stream, start_ns, end_ns, state);
    """,
    # Old rows of the journal stand in packs; see agent/footage/custody/journal_rows.py.
    """
    CREATE TABLE journal_pack (
        first_n INTEGER PRIMARY KEY, last_n INTEGER NOT NULL UNIQUE, before TEXT NOT NULL, after TEXT NOT NULL,
        bytes INTEGER NOT NULL);
    CREATE TABLE journal_part (
        camera TEXT NOT NULL, stream TEXT NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
        first_n INTEGER NOT NULL, data BLOB, PRIMARY KEY (camera, stream, first_n));
    CREATE INDEX journal_part_pack ON journal_part (first_n);
    CREATE TABLE journal_before (n INTEGER PRIMARY KEY, previous TEXT NOT NULL);
    """,
)
"""Number n brings user_version from n to n + 1. Never changed once released; tests keep old databases."""
