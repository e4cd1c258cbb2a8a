"""The rows of alarm.db: each function is one job for the store thread, or one reading for anybody.

Nothing here begins or commits a transaction. A job may run again after a failed commit, so each gives the same rows
however often it runs.
"""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agent import audit
from agent.delivery import register
from agent.delivery.payload import DURESS_TYPE, Alert
from agent.facts import InputState
from agent.safety.arming import AreaState, Phase
from agent.safety.drills import Drill
from agent.safety.incidents import DURESS, Incident, Life
from agent.safety.zones import ZoneState

SEQ_BLOCK = 10_000
"""Sequence numbers reserved at once: with the store dead, this many alerts still go out numbered."""

REPEATS_KEPT = 20_000
"""Events of boards, facts and receipts remembered to recognise a repeat: a board's ring holds 16."""

EVENTS_KEPT = 20_000
"""Alerts below priority 1 kept for `events`: two months at 300 a day, about 50 MB. Alarms are kept for ever."""

INCIDENTS_KEPT = 10_000
"""Closed incidents that no person had to reset; those that one had to are kept for ever."""

PRUNED_AT_ONCE = 500
"""Bounds how long the store is busy with it."""

InputKey = tuple[str, int, int]
"""(board uid, boot, event id)."""

FactKey = tuple[str, str, int]
"""(process, boot, n)."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An alert that a platform has not receipted."""

    event_id: str
    priority: int
    order: int
    alert_class: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Block:
    """Sequence numbers from `first` to before `end`, reserved by a commit: never given again."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Write:
    """What one fact changes, in one transaction. Alerts are numbered in the order of `alerts`."""

    alerts: tuple[tuple[Alert, dict[str, Any]], ...] = ()
    platforms: tuple[str, ...] = ()
    incidents: tuple[Incident, ...] = ()
    zones: tuple[tuple[str, ZoneState], ...] = ()
    areas: tuple[tuple[str, AreaState], ...] = ()
    drill: Drill | None = None
    drill_over: bool = False
    seen_input: InputKey | None = None
    seen_fact: FactKey | None = None
    deed: audit.Deed | None = None
    at_ns: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where an alert stands with a platform; times are UTC ns, 0 leaves the time as it is."""

    event_id: str
    platform: str
    state: str
    done: bool
    published_ns: int = 0
    receipted_ns: int = 0
    case_no: str = ""


def put(db: sqlite3.Connection, write: Write) -> audit.Row | None:
    """Store what a fact changed; the audit row when there is one."""
    for alert, body in write.alerts:
        _put_alert(db, alert, body, write.platforms)
    for incident in write.incidents:
        _put_incident(db, incident)
    for zone_id, state in write.zones:
        db.execute("INSERT OR REPLACE INTO zones VALUES (?, ?, ?)", (zone_id, str(state.input), state.since_ns))
    for area_id, area in write.areas:
        _put_area(db, area_id, area)
    if write.drill_over or write.drill is not None:
        register.put_drill(db, write.drill)
    if write.seen_input is not None:
        db.execute("INSERT OR IGNORE INTO seen_inputs VALUES (?, ?, ?, ?)", (*write.seen_input, write.at_ns))
    if write.seen_fact is not None:
        db.execute("INSERT OR IGNORE INTO seen_facts VALUES (?, ?, ?, ?)", (*write.seen_fact, write.at_ns))
    return None if write.deed is None else _put_deed(db, write.deed)


def _put_alert(db: sqlite3.Connection, alert: Alert, body: dict[str, Any], platforms: Iterable[str]) -> None:
    db.execute(
        "INSERT OR IGNORE INTO events (id, seq, class, type, subject, priority, incident_id, at_ns, pressed_ns,"
        " summary_zh, summary_en, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            alert.id, alert.seq, alert.alert_class, alert.type, alert.subject, alert.priority, alert.incident_id,
            alert.at_ns, alert.pressed_ns, alert.summary.zh, alert.summary.en, json.dumps(body, ensure_ascii=False),
        ),
    )  # fmt: skip
    db.executemany(
        "INSERT OR IGNORE INTO outbox (event_id, platform, state) VALUES (?, ?, 'pending')",
        [(alert.id, platform) for platform in platforms],
    )


def _put_incident(db: sqlite3.Connection, incident: Incident) -> None:
    db.execute(
        "INSERT OR REPLACE INTO incidents (id, kind, subject, name, room_id, latching, state, count, triggered_ns,"
        " last_ns, acknowledged_ns, acknowledged_by, restored_ns, reset_ns, reset_by, reset_why, drill)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            incident.id, incident.kind, incident.subject, incident.name, incident.room_id, int(incident.latching),
            str(incident.state), incident.count, incident.triggered_ns, incident.last_ns, incident.acknowledged_ns,
            incident.acknowledged_by, incident.restored_ns, incident.reset_ns, incident.reset_by, incident.reset_why,
            int(incident.drill),
        ),
    )  # fmt: skip


def _put_area(db: sqlite3.Connection, area_id: str, area: AreaState) -> None:
    bypassed, waiting = (json.dumps(sorted(each)) for each in (area.bypassed, area.waiting))
    db.execute(
        "INSERT OR REPLACE INTO areas (area_id, phase, who, since_ns, zone, bypassed, waiting, calendar_ns, blind)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            area_id, str(area.phase), area.who, area.since_ns, area.zone, bypassed, waiting, area.calendar_ns,
            int(area.blind),
        ),
    )  # fmt: skip


def _put_deed(db: sqlite3.Connection, deed: audit.Deed) -> audit.Row:
    n, previous = db.execute("SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1").fetchone() or (0, audit.BEGINNING)
    row = audit.link(n + 1, previous, deed)
    detail = json.dumps(deed.detail, ensure_ascii=False)
    db.execute(
        "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)",
        (row.n, deed.at_ns, deed.who, deed.action, deed.subject, detail, row.hash),
    )
    return row


def put_delivery(db: sqlite3.Connection, delivery: Delivery) -> None:
    """Store where an alert stands with a platform. What is done stays done."""
    db.execute(
        "UPDATE outbox SET state = ?, done = ?, published_ns = CASE WHEN published_ns = 0 THEN ? ELSE published_ns END,"
        " receipted_ns = ?, case_no = ? WHERE event_id = ? AND platform = ? AND done = 0",
        (
            delivery.state, int(delivery.done), delivery.published_ns, delivery.receipted_ns, delivery.case_no,
            delivery.event_id, delivery.platform,
        ),
    )  # fmt: skip


def put_receipt(db: sqlite3.Connection, platform: str, event_id: str, status: str, case_no: str, at_ns: int) -> None:
    """Remember a receipt, once per status."""
    db.execute(
        "INSERT OR IGNORE INTO seen_receipts VALUES (?, ?, ?, ?, ?)", (platform, event_id, status, case_no, at_ns)
    )


def reserve(db: sqlite3.Connection, at_least: int = 1) -> Block:
    """Reserve the next block of sequence numbers, none of them below `at_least`."""
    row = db.execute("SELECT next FROM numbers WHERE name = 'seq'").fetchone()
    first = max(row[0] if row else 1, at_least)
    db.execute("INSERT OR REPLACE INTO numbers VALUES ('seq', ?)", (first + SEQ_BLOCK,))
    return Block(first, first + SEQ_BLOCK)


def prune(db: sqlite3.Connection, platforms: Iterable[str]) -> None:
    """Forget the oldest of what is only history, at most `PRUNED_AT_ONCE` rows of a kind.

    By number and not by age, so that a wall clock that jumps years ahead takes nothing with it. What one of
    `platforms` has still to receipt stays; a platform that is no longer in the settings is not waited for.
    """
    asked = list(platforms)
    waits = ",".join("?" * len(asked))
    old = [
        row[0]
        for row in db.execute(
            "SELECT id FROM events AS e WHERE n <= (SELECT max(n) FROM events) - ? AND priority > 1 AND NOT EXISTS"
            f" (SELECT 1 FROM outbox AS o WHERE o.event_id = e.id AND o.done = 0 AND o.platform IN ({waits}))"
            " ORDER BY n LIMIT ?",
            (EVENTS_KEPT, *asked, PRUNED_AT_ONCE),
        )
    ]
    for event_id in old:
        db.execute("DELETE FROM outbox WHERE event_id = ?", (event_id,))
        db.execute("DELETE FROM events WHERE id = ?", (event_id,))
    for table, key, order, which, kept in _HISTORY:
        db.execute(
            f"DELETE FROM {table} WHERE ({key}) IN"
            f" (SELECT {key} FROM {table} WHERE {which} ORDER BY {order} DESC LIMIT ? OFFSET ?)",
            (PRUNED_AT_ONCE, kept),
        )


_HISTORY = (
    ("seen_inputs", "board_uid, boot_id, event_id", "at_ns", "true", REPEATS_KEPT),
    ("seen_facts", "process, boot, n", "at_ns", "true", REPEATS_KEPT),
    ("seen_receipts", "platform, event_id, status", "at_ns", "true", REPEATS_KEPT),
    ("incidents", "id", "last_ns", "state IN ('reset', 'closed') AND latching = 0", INCIDENTS_KEPT),
)
"""Table, key, order, which rows, and how many of them are kept."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was stored before this start."""

    incidents: tuple[Incident, ...]
    zones: dict[str, ZoneState]
    areas: dict[str, AreaState]
    seen_inputs: tuple[InputKey, ...]
    seen_facts: tuple[FactKey, ...]
    drill: Drill | None = None
    tested_ns: dict[str, int] = field(default_factory=dict)


def read_kept(db: sqlite3.Connection) -> Kept:
    """What a start needs before it can decide anything; repeats oldest first."""
    return Kept(
        incidents=tuple(read_incidents(db, open_only=True)),
        zones={
            zone_id: ZoneState(InputState(state), since_ns)
            for zone_id, state, since_ns in db.execute("SELECT zone_id, input, since_ns FROM zones")
        },
        areas=_areas(db),
        seen_inputs=_newest(db, "board_uid, boot_id, event_id", "seen_inputs"),
        seen_facts=_newest(db, "process, boot, n", "seen_facts"),
        drill=register.read_drill(db),
        tested_ns=register.tested_ns(db),
    )


def _areas(db: sqlite3.Connection) -> dict[str, AreaState]:
    rows = db.execute("SELECT area_id, phase, who, since_ns, zone, bypassed, waiting, calendar_ns, blind FROM areas")
    return {
        area_id: AreaState(
            Phase(phase), who, since_ns, zone=zone, bypassed=frozenset(json.loads(bypassed)),
            waiting=frozenset(json.loads(waiting)), calendar_ns=calendar_ns, blind=bool(blind),
        )
        for area_id, phase, who, since_ns, zone, bypassed, waiting, calendar_ns, blind in rows
    }  # fmt: skip


def _newest(db: sqlite3.Connection, columns: str, table: str) -> tuple[Any, ...]:
    rows = db.execute(f"SELECT {columns} FROM {table} ORDER BY at_ns DESC LIMIT ?", (REPEATS_KEPT,))
    return tuple(reversed(rows.fetchall()))


def read_waiting(db: sqlite3.Connection, platform: str, at_most: int) -> list[Waiting]:
    """What a platform has not receipted, most urgent and oldest first."""
    rows = db.execute(
        "SELECT o.event_id, e.priority, e.n, e.class, e.body FROM outbox o JOIN events e ON e.id = o.event_id"
        " WHERE o.platform = ? AND o.done = 0 ORDER BY e.priority, e.n LIMIT ?",
        (platform, at_most),
    )
    return [
        Waiting(event_id, priority, n, alert_class, json.loads(body))
        for event_id, priority, n, alert_class, body in rows
    ]


def read_incidents(db: sqlite3.Connection, open_only: bool, at_most: int = 500) -> list[Incident]:
    """Incidents, oldest first; the newest `at_most` of them."""
    return _incidents(db, "state NOT IN ('reset', 'closed')" if open_only else "true", (), at_most)


def read_closed(db: sqlite3.Connection, before: tuple[int, str] | None = None, at_most: int = 500) -> list[Incident]:
    """Incidents that are over, oldest first; the newest `at_most` of those before a place (begin and id) among them.
    None of duress: that is for the platforms alone."""
    where = f"state IN ('reset', 'closed') AND kind <> '{DURESS}'"
    if before is None:
        return _incidents(db, where, (), at_most)
    return _incidents(db, f"{where} AND (triggered_ns, id) < (?, ?)", before, at_most)


def _incidents(db: sqlite3.Connection, where: str, values: tuple[Any, ...], at_most: int) -> list[Incident]:
    rows = db.execute(
        "SELECT id, kind, subject, name, room_id, latching, triggered_ns, last_ns, state, count, acknowledged_ns,"
        " acknowledged_by, restored_ns, reset_ns, reset_by, reset_why, drill FROM incidents"
        f" WHERE {where} ORDER BY triggered_ns DESC, id DESC LIMIT ?",
        (*values, at_most),
    ).fetchall()
    return [_incident(*row) for row in reversed(rows)]


def _incident(*row: Any) -> Incident:
    incident_id, kind, subject, name, room_id, latching, triggered_ns, last_ns, state, count = row[:10]
    acknowledged_ns, acknowledged_by, restored_ns, reset_ns, reset_by, reset_why, drill = row[10:]
    return Incident(
        incident_id, kind, subject, name, room_id, bool(latching), triggered_ns, last_ns, Life(state), count,
        acknowledged_ns, acknowledged_by, restored_ns, reset_ns, reset_by, reset_why, bool(drill),
    )  # fmt: skip


def read_events(
    db: sqlite3.Connection, limit: int, after_seq: int | None, alert_class: str | None
) -> list[dict[str, Any]]:
    """The newest `limit` alerts as the verb `events` gives them, oldest first; a duress is for the platforms alone."""
    rows = db.execute(
        "SELECT n, seq, id, type, subject, priority, incident_id, at_ns, pressed_ns, summary_zh, summary_en, body"
        " FROM events WHERE (? IS NULL OR seq > ?) AND (? IS NULL OR class = ?) AND type <> ? ORDER BY n DESC LIMIT ?",
        (after_seq, after_seq, alert_class, alert_class, DURESS_TYPE, limit),
    ).fetchall()
    events = []
    for _, seq, event_id, kind, subject, priority, incident_id, at_ns, pressed_ns, zh, en, body in reversed(rows):
        delivery = {
            platform: {
                "state": state,
                "published_ns": published_ns or None,
                "receipted_ns": receipted_ns or None,
                "case_no": case_no,
            }
            for platform, state, published_ns, receipted_ns, case_no in db.execute(
                "SELECT platform, state, published_ns, receipted_ns, case_no FROM outbox WHERE event_id = ?",
                (event_id,),
            )
        }
        event: dict[str, Any] = {
            "seq": seq, "id": event_id, "type": kind, "subject": subject, "time": json.loads(body)["time"],
            "priority": priority, "incident_id": incident_id or None, "summary_zh": zh, "summary_en": en,
            "at_ns": at_ns, "pressed_ns": pressed_ns or None, "body": json.loads(body), "delivery": delivery,
        }  # fmt: skip
        events.append(event)
    return events


def read_audit(db: sqlite3.Connection) -> list[audit.Row]:
    """The whole chain."""
    return [
        audit.Row(n, audit.Deed(at_ns, who, action, subject, json.loads(detail)), known)
        for n, at_ns, who, action, subject, detail, known in db.execute("SELECT * FROM audit ORDER BY n")
    ]
