"""alarm.sock as other processes and people use it, with garbage too."""

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.clock import SystemClock, stamp
from agent.facts import ConditionKind, InputChanged, InputState, Pulse, encode
from agent.processes.alarm_verbs import alarm_verbs
from agent.wire import FactSender, Refused, Server, call, to_frame
from tests.fakes.office import SITE, Office, office
from tests.fakes.waiting import until

IDENTITY = {"facility": "F0012", "facility_name": "测试园", "time_zone": "Asia/Shanghai"}


class _Served:
    def __init__(self, made: Office, path: Path) -> None:
        self.office = made
        self.path = path

    def ask(self, verb: str, **args: Any) -> dict[str, Any]:
        return call(self.path, verb, args)

    def fact(self, fact: Any, n: int = 1) -> dict[str, Any]:
        return self.ask("fact", process="vision", boot="b", n=n, fact=fact)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Served]:
    folder = tmp_path_factory.mktemp("alarm")
    with office(folder / "alarm.db") as made:
        server = Server(folder / "alarm.sock", alarm_verbs(made.desk, made.store, {}, IDENTITY, SITE.names, made.clock))
        server.start()
        yield _Served(made, folder / "alarm.sock")
        server.stop()


def test_status(served: _Served) -> None:
    status = served.ask("status")
    assert {zone["id"] for zone in status["zones"]} == {"Z01", "Z02"}
    assert {platform["id"] for platform in status["platforms"]} == {"police", "cloud"}
    assert status["store"]["ok"] is True
    assert status["process"] == "alarm"
    assert {key: status[key] for key in IDENTITY} == IDENTITY


def test_a_fact_is_replied_to_and_shown(served: _Served) -> None:
    served.fact(encode(served.office.condition(active=True)), n=1)
    served.fact(encode(served.office.people(4)), n=2)
    status = served.ask("status")
    assert [each["kind"] for each in status["conditions"]] == ["over_capacity"]
    (room,) = status["rooms"]
    assert (room["room_id"], room["name"], room["count"]) == ("R01", "托大一班", 4)
    served.fact(encode(served.office.condition(active=False)), n=3)
    assert served.ask("status")["conditions"] == []
    events = served.ask("events", limit=5, after_seq=None, kind="ai")["events"]
    assert [event["body"]["data"]["state"] for event in events] == ["triggered", "restored"]
    later = served.ask("events", limit=5, after_seq=events[0]["seq"], kind="ai")["events"]
    assert [event["id"] for event in later] == [events[1]["id"]]


def test_a_sender_gets_rid_of_its_facts(served: _Served) -> None:
    sender = FactSender(served.path, "record", "boot-x", SystemClock())
    sender.start()
    at = served.office.clock.stamp()
    sender.send(Pulse("record", at))
    condition = served.office.condition(active=True, kind=ConditionKind.DISK_FULL)
    sender.send(condition)
    until(lambda: sender.waiting() == 0, 5, "facts are taken")
    sender.stop()


_GOOD = {"fact": "pulse", "process": "vision", "at": {"wall_ns": 1, "mono_ns": 1, "quality": "ntp"}}


@pytest.mark.parametrize(
    "fact",
    [
        None, [], {}, "pulse", {"fact": "pulse"}, {**_GOOD, "more": 1}, {**_GOOD, "process": 7},
        {**_GOOD, "at": {"wall_ns": 1, "mono_ns": 1 << 61, "quality": "ntp"}},
        {**_GOOD, "at": {"wall_ns": -1, "mono_ns": 1, "quality": "ntp"}},
        {**_GOOD, "fact": "door_blown_up"},
        encode(InputChanged("B1", "uid", 1, 1, 0, InputState.NORMAL, InputState.ALARM, stamp(SystemClock()))),
    ],
)  # fmt: skip
def test_garbage_facts_are_refused(served: _Served, fact: Any) -> None:
    with pytest.raises(Refused) as told:
        served.fact(fact)
    assert told.value.code == "bad_fact"
    assert all(told.value.text)


def test_an_endless_condition_is_refused(served: _Served) -> None:
    for ttl_s in (float("inf"), float("nan")):
        with pytest.raises(Refused):
            served.fact({**encode(served.office.condition(active=True)), "ttl_s": ttl_s})


def test_text_that_cannot_go_out_as_json_is_refused(served: _Served) -> None:
    good = encode(served.office.condition(active=True))
    frame = to_frame({"v": "1.0", "id": 1, "verb": "fact", "args": {"process": "v", "boot": "b", "n": 1, "fact": good}})
    broken = frame[4:].replace(b'"capacity"', b'"\\ud800"')
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(served.path))
        connection.sendall(len(broken).to_bytes(4, "big") + broken)
        assert b"bad_fact" in connection.recv(4096)


_PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_FLAT = _PLAIN | st.lists(_PLAIN, max_size=4) | st.dictionaries(st.text(max_size=10), _PLAIN, max_size=4)
_VALUES = _FLAT | st.lists(_FLAT, max_size=4) | st.dictionaries(st.text(max_size=10), _FLAT, max_size=4)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    verb=st.sampled_from(
        ["fact", "status", "events", "incidents", "acknowledge", "reset", "audit", "arm", "disarm", "bypass",
         "unbypass", "x"]
    ),
    args=st.dictionaries(
        st.sampled_from(
            ["process", "boot", "n", "fact", "limit", "after_seq", "kind", "incident_id", "who", "why", "action",
             "subject", "detail", "open_only", "area_id", "zone_id", "bypass", "force", "duress"]
        ),
        _VALUES,
    ),
)  # fmt: skip
def test_any_request_is_answered(served: _Served, verb: str, args: dict[str, Any]) -> None:
    with suppress(Refused):
        assert isinstance(served.ask(verb, **args), dict)


def test_a_number_that_no_column_holds_is_refused(served: _Served) -> None:
    for number in (1 << 64, -(1 << 64), True, 1.5):
        with pytest.raises(Refused) as told:
            served.ask("events", limit=1, after_seq=number)
        assert told.value.code == "bad_request"


def test_bytes_that_are_no_frame_end_their_connection_alone(served: _Served) -> None:
    for noise in (b"\xff" * 64, b"\x00\x00\x00\x05hello", b"GET / HTTP/1.1\r\n\r\n"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(served.path))
            connection.sendall(noise)
            assert connection.recv(10) == b""
    assert served.ask("status")["process"] == "alarm"


def test_many_events_are_cut_to_one_frame(served: _Served) -> None:
    for number in range(60):
        served.office.change(1000 + number, InputState.ALARM if number % 2 == 0 else InputState.NORMAL, settle=False)
    served.office.settle()
    events = served.ask("events", limit=1000)["events"]
    assert 20 < len(events) < 70
    assert len(to_frame({"events": events})) < 65536
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
    assert json.dumps(events)


def test_people(served: _Served) -> None:
    (incident,) = [each for each in served.ask("incidents", open_only=True)["incidents"] if each["kind"] == "panic"]
    with pytest.raises(Refused) as told:
        served.ask("reset", incident_id=incident["id"], who="", why="x")
    assert told.value.code == "bad_request"
    after = served.ask("reset", incident_id=incident["id"], who="王芳", why="演练")
    assert (after["latched"], after["reset_by"]) == (False, "王芳")
    row = served.ask("audit", action="footage.export", subject="camera/C01", who="李娜", detail={"from_ns": 1})
    assert row["n"] >= 2
    assert len(row["hash"]) == 64
    closed = served.ask("incidents", open_only=False)["incidents"]
    assert incident["id"] in {each["id"] for each in closed}


def test_every_incident_is_told_page_by_page(served: _Served) -> None:
    values = [(f"old-{n}", 1000 + n // 3, "n" * 100) for n in range(700)]
    with closing(sqlite3.connect(served.office.path, timeout=10)) as db, db:
        db.executemany(
            "INSERT INTO incidents (id, kind, subject, name, room_id, latching, triggered_ns, last_ns, state, count,"
            " acknowledged_ns, acknowledged_by, restored_ns, reset_ns, reset_by, reset_why)"
            " SELECT ?, 'panic', 'zone/Z01', ?, 'R01', 0, ?, 5, 'closed', 1, 0, '', 5, 5, '', ''",
            [(name, text, ns) for name, ns, text in values],
        )
    found: list[dict[str, Any]] = []
    before = None
    while True:
        page = served.ask("incidents", open_only=False, before=before)
        found = page["incidents"] + found
        before = page["next"]
        if before is None:
            break
    assert len({each["id"] for each in found}) == len(found) >= 700
    assert [each["triggered_ns"] for each in found] == sorted(each["triggered_ns"] for each in found)
    assert served.ask("incidents", open_only=True)["next"] is None
    for wrong in (5, "x", [1], ["a", "b"], [True, "b"], [1, 2], [1 << 70, "b"]):
        with pytest.raises(Refused):
            served.ask("incidents", before=wrong)
