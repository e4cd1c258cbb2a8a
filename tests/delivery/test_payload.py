"""What goes over the line, and what may come back."""

import json
import uuid
from contextlib import suppress
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.delivery.payload import (
    RECEIPT_STATUSES,
    Alert,
    BadReceipt,
    Identity,
    Receipt,
    Topics,
    cloud_event,
    input_alert_id,
    input_incident_id,
    local_time,
    ordered_id,
    read_receipt,
    to_bytes,
)
from agent.facts import ClockQuality, Text

_WHO = Identity("F0012", "edge-0001", ZoneInfo("Asia/Shanghai"), "boot-1")
_ALERT = Alert(
    id="6f6c2f0e-6ad7-5b0f-a39c-2d9b3c1c9a10",
    seq=8123,
    alert_class="alarm",
    type="cn.tyj.alarm.panic.v1",
    subject="zone/Z03",
    priority=1,
    at_ns=1_795_254_079_123_456_789,
    quality=ClockQuality.NTP,
    summary=Text("一键报警", "panic"),
    data={"state": "triggered"},
)


def test_cloud_event() -> None:
    assert cloud_event(_ALERT, _WHO) == {
        "specversion": "1.0",
        "id": _ALERT.id,
        "source": "/tyj/F0012/edge-0001",
        "type": "cn.tyj.alarm.panic.v1",
        "subject": "zone/Z03",
        "time": "2026-11-21T17:41:19.123+08:00",
        "datacontenttype": "application/json",
        "dataschema": "urn:tyj:alarm:1",
        "seq": 8123,
        "bootid": "boot-1",
        "priority": 1,
        "historical": False,
        "clockquality": "ntp",
        "data": {"state": "triggered"},
    }


def test_bytes_and_the_mark_of_what_waited() -> None:
    body = cloud_event(_ALERT, _WHO)
    assert json.loads(to_bytes(body)) == body
    assert json.loads(to_bytes(body, historical=True)) == {**body, "historical": True}


def test_ids_follow_from_the_board_alone() -> None:
    first = input_alert_id("cd072cd8be6f9f62", 7, 42)
    assert first == input_alert_id("cd072cd8be6f9f62", 7, 42) == "351f38fe-4333-5ee0-937f-0498a6807f6e"
    others = {
        input_alert_id("cd072cd8be6f9f62", 7, 43),
        input_alert_id("cd072cd8be6f9f62", 8, 42),
        input_alert_id("cd072cd8be6f9f63", 7, 42),
        input_alert_id("cd072cd8be6f9f62", 7, 42, "fault_restored"),
        input_incident_id("cd072cd8be6f9f62", 7, 42),
    }
    assert first not in others
    assert len(others) == 5


@settings(deadline=None)
@given(st.integers(0, (1 << 63) - 1), st.binary(min_size=10, max_size=10))
def test_ordered_ids_are_uuid_7_in_the_order_of_time(wall_ns: int, randomness: bytes) -> None:
    made = uuid.UUID(ordered_id(wall_ns, randomness))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == wall_ns // 1_000_000


def test_local_time_keeps_milliseconds() -> None:
    assert local_time(1_999_999, ZoneInfo("Asia/Shanghai")) == "1970-01-01T08:00:00.001+08:00"


def test_topics() -> None:
    topics = Topics("tyj/v1", "F0012", "edge-0001")
    assert topics.event("alarm") == "tyj/v1/F0012/edge-0001/evt/alarm"
    assert topics.receipt == "tyj/v1/F0012/edge-0001/down/receipt"
    assert topics.birth == "tyj/v1/F0012/edge-0001/state/birth"


def test_a_receipt() -> None:
    message = {"id": _ALERT.id, "status": "accepted", "case_no": "110-7", "platform": "police", "received_at": "x"}
    assert read_receipt(json.dumps(message).encode()) == Receipt(_ALERT.id, "accepted", "110-7", "police")


@pytest.mark.parametrize(
    "message",
    [
        b"", b"[]", b"{}", b"\xff", b"null", b'{"id": "x", "status": "accepted"}',
        json.dumps({"id": _ALERT.id, "status": "delivered"}).encode(),
        json.dumps({"id": _ALERT.id, "status": ["accepted"]}).encode(),
        json.dumps({"id": _ALERT.id, "status": "accepted", "case_no": "x" * 5000}).encode(),
        b"[" * 4000,
    ],
)  # fmt: skip
def test_what_is_no_receipt(message: bytes) -> None:
    with pytest.raises(BadReceipt):
        read_receipt(message)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_receipt_or_none(message: bytes) -> None:
    with suppress(BadReceipt):
        assert read_receipt(message).status in RECEIPT_STATUSES
