"""PURE. What goes over the line: alerts as CloudEvents 1.0, topics, and receipts back.

Invariants
1. Nothing in the message of a button press depends on the database: ids follow from (board uid, boot, event id)
   alone, so that a press told again after a crash carries the same id.
2. The consumer's key is (`source`, `id`).
"""

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from agent.facts import ClockQuality, Text

CONTENT_TYPE = "application/cloudevents+json"
"""MQTT 5 content type of a structured CloudEvent."""

DURESS_TYPE = "cn.tyj.alarm.duress.v1"
"""The alert that nobody on the premises is shown."""

MAX_RECEIPT_BYTES = 4096
"""Longer than any honest receipt."""

_INPUTS = uuid.UUID("5f0c3a52-7a4e-5d0f-9d53-3c1c1f8f6b01")
"""Namespace of ids of alerts that come from an input of a board. Never changes."""

_INCIDENTS = uuid.UUID("5f0c3a52-7a4e-5d0f-9d53-3c1c1f8f6b02")
"""Namespace of ids of incidents that begin with an input of a board. Never changes."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends: the facility and this machine, as both platforms know them. `boot` names this start."""

    facility: str
    edge: str
    zone_of_time: tzinfo
    boot: str
    address: str = ""
    longitude: float = 0.0
    latitude: float = 0.0

    @property
    def source(self) -> str:
        """The CloudEvents source."""
        return f"/tyj/{self.facility}/{self.edge}"


@dataclass(frozen=True, slots=True)
class Alert:
    """One message for the platforms, as it is kept and sent.

    `type` is `cn.tyj.<class>.<name>.v1`, `at_ns` when it happened and `pressed_ns` when the button went down (UTC ns,
    0: no button). `seq` is None when no reserved number was left (the store is dead for long).
    """

    id: str
    seq: int | None
    alert_class: str
    type: str
    subject: str
    priority: int
    at_ns: int
    quality: ClockQuality
    summary: Text
    data: dict[str, Any] = field(default_factory=dict)
    incident_id: str = ""
    pressed_ns: int = 0


def input_alert_id(board_uid: str, boot_id: int, event_id: int, part: str = "") -> str:
    """The id of the alert that this event of an input makes. `part` tells apart several of one event."""
    name = f"{board_uid}/{boot_id}/{event_id}"
    return str(uuid.uuid5(_INPUTS, f"{name}/{part}" if part else name))


def input_incident_id(board_uid: str, boot_id: int, event_id: int, part: str = "") -> str:
    """The id of the incident that begins with this event of an input."""
    name = f"{board_uid}/{boot_id}/{event_id}"
    return str(uuid.uuid5(_INCIDENTS, f"{name}/{part}" if part else name))


def ordered_id(wall_ns: int, randomness: bytes) -> str:
    """A UUIDv7 (RFC 9562): milliseconds of `wall_ns` (UTC), then 10 random bytes."""
    value = (wall_ns // 1_000_000 & (1 << 48) - 1) << 80 | int.from_bytes(randomness[:10], "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))


def cloud_event(alert: Alert, identity: Identity) -> dict[str, Any]:
    """The alert as CloudEvents 1.0 in structured mode."""
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": alert.id,
        "source": identity.source,
        "type": alert.type,
        "subject": alert.subject,
        "time": local_time(alert.at_ns, identity.zone_of_time),
        "datacontenttype": "application/json",
        "dataschema": f"urn:tyj:{alert.alert_class}:1",
        "seq": alert.seq,
        "bootid": identity.boot,
        "priority": alert.priority,
        "historical": False,
        "clockquality": str(alert.quality),
        "data": alert.data,
    }
    if alert.seq is None:
        del body["seq"]  # an absent attribute, as CloudEvents has no null
    return body


def to_bytes(body: dict[str, Any], historical: bool = False) -> bytes:
    """The message as sent. `historical` marks what waited while the platform was not reached."""
    sent = {**body, "historical": True} if historical else body
    return json.dumps(sent, ensure_ascii=False, separators=(",", ":")).encode()


def local_time(wall_ns: int, zone: tzinfo) -> str:
    """RFC 3339 with milliseconds and the offset of `zone`."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=wall_ns // 1000)
    return moment.astimezone(zone).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one machine on one platform."""

    prefix: str
    facility: str
    edge: str

    def _under(self, rest: str) -> str:
        return f"{self.prefix}/{self.facility}/{self.edge}/{rest}"

    def event(self, alert_class: str) -> str:
        """Where alerts of a class go."""
        return self._under(f"evt/{alert_class}")

    @property
    def birth(self) -> str:
        return self._under("state/birth")

    @property
    def connection(self) -> str:
        return self._under("state/conn")

    @property
    def zones(self) -> str:
        return self._under("state/zones")

    @property
    def people(self) -> str:
        return self._under("tele/people")

    @property
    def receipt(self) -> str:
        return self._under("down/receipt")


class BadReceipt(ValueError):
    """A message on the receipt topic is not a receipt."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The platform's word about one alert. `status` is accepted, duplicate, rejected or busy."""

    id: str
    status: str
    case_no: str = ""
    platform: str = ""


RECEIPT_STATUSES = ("accepted", "duplicate", "rejected", "busy")


def read_receipt(message: bytes) -> Receipt:
    """The receipt in `message`. Raises BadReceipt for anything else; unknown keys are allowed."""
    if len(message) > MAX_RECEIPT_BYTES:
        raise BadReceipt(f"{len(message)} bytes are no receipt")
    try:
        values = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise BadReceipt("no JSON") from error
    if not isinstance(values, dict):
        raise BadReceipt("no JSON object")
    if values.get("status") not in RECEIPT_STATUSES:
        raise BadReceipt(f"status {str(values.get('status'))[:40]!r}")
    try:
        known = str(uuid.UUID(str(values.get("id"))))
    except ValueError as error:
        raise BadReceipt(f"id {str(values.get('id'))[:40]!r}") from error
    case_no, platform = values.get("case_no"), values.get("platform")
    return Receipt(
        known,
        values["status"],
        case_no[:128] if isinstance(case_no, str) else "",
        platform[:64] if isinstance(platform, str) else "",
    )
