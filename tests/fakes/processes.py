"""The sockets of a running agent, answering what the contract says, without the processes behind them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.facts import Text
from agent.wire import Reply, Request, Server, Verb

NOON_NS = 1_795_060_800_000_000_000
"""2026-11-19 12:00 in Asia/Shanghai."""

ALARM = {
    "process": "alarm", "pid": 101, "started_ns": NOON_NS - 3_723_000_000_000, "rss_kib": 30_000,
    "facility": "TYJ01", "facility_name": "阳光托育园", "time_zone": "Asia/Shanghai", "clock_quality": "ntp",
    "zones": [
        {"id": "Z01", "name": "托大一班一键报警", "type": "panic_24h", "room": "R01", "state": "alarm", "latched": True,
         "supervised": True},
        {"id": "Z02", "name": "大门", "type": "perimeter", "room": None, "state": "alarm", "latched": False,
         "supervised": True},
    ],
    "conditions": [
        {"kind": "camera_silent", "subject": "camera/C02", "since_ns": NOON_NS, "detail": {"detail": "timed out"},
         "text_zh": "摄像机无画面", "text_en": "the camera sends nothing"},
    ],
    "rooms": [
        {"room_id": "R01", "name": "托大一班活动室", "camera_id": "C01", "count": 12, "low": 11, "high": 13,
         "at_ns": NOON_NS},
    ],
    "platforms": [
        {"id": "police", "role": "public_security", "connected": True, "broker": "mqtts://police.example", "waiting": 0,
         "unreceipted": 1, "receipted": 41, "oldest_waiting_ns": None},
    ],
    "bridges": [{"id": "B1", "port": "/dev/ttyACM0", "up": True, "uid": "0011", "firmware": "1.0.0", "silent_s": 0.1}],
    "incidents_open": 1, "store": {"ok": True, "detail": ""},
}  # fmt: skip

RECORD = {
    "process": "record", "pid": 102, "started_ns": NOON_NS - 59_000_000_000, "rss_kib": 80_000,
    "cameras": [
        {"id": "C01", "name": "东北角", "state": "recording", "since_ns": NOON_NS, "packets": 1, "bytes": 1,
         "last_packet_ns": NOON_NS, "kbit_s": 3900.5, "codec": "h264", "path": "a.mp4"},
        {"id": "C02", "name": "走廊 B", "state": "silent", "since_ns": NOON_NS, "packets": 1, "bytes": 1,
         "last_packet_ns": NOON_NS - 90_000_000_000, "kbit_s": 0.0, "codec": "h264", "path": ""},
    ],
    "volumes": [{"path": "/srv/footage", "ok": True, "free_bytes": 512_000_000_000, "detail": "",
                 "encrypted": "no"}],
}  # fmt: skip

VISION = {
    "process": "vision", "pid": 103, "started_ns": NOON_NS - 86_400_000_000_000, "rss_kib": 120_000,
    "model": {"name": "nanodet-int8", "sha256": "0", "ok": True, "detail": ""}, "cameras": [],
}  # fmt: skip

WEB = {"process": "web", "pid": 104, "started_ns": NOON_NS, "rss_kib": 35_000}

EVENTS: list[dict[str, Any]] = [
    {"seq": 7, "id": "e7", "type": "cn.tyj.alert.door_opened.v1", "subject": "zone/Z02",
     "time": "2026-11-19T11:58:03+08:00", "priority": 3,
     "incident_id": None, "summary_zh": "大门打开", "summary_en": "main door opened", "pressed_ns": None,
     "body": {},
     "delivery": {"police": {"state": "pending", "published_ns": None, "receipted_ns": None, "case_no": None}}},
    {"seq": 8, "id": "e8", "type": "cn.tyj.alert.panic.v1", "subject": "zone/Z01", "time": "2026-11-19T12:00:00+08:00",
     "priority": 1, "incident_id": "3f2a0000-aaaa", "summary_zh": "一键报警：托大一班",
     "summary_en": "panic button: class 1", "pressed_ns": NOON_NS, "body": {},
     "delivery": {"police": {"state": "receipted", "published_ns": NOON_NS,
     "receipted_ns": NOON_NS + 180_000_000, "case_no": "JJ-17"}}},
]  # fmt: skip

INCIDENTS: list[dict[str, Any]] = [
    {"id": "3f2a0000-aaaa", "kind": "panic", "subject": "zone/Z01", "name": "一键报警", "room": "R01",
     "state": "triggered", "latched": True, "triggered_ns": NOON_NS, "last_ns": NOON_NS, "count": 2,
     "acknowledged_ns": None, "acknowledged_by": None, "restored_ns": None, "reset_ns": None, "reset_by": None,
     "reset_why": None},
    {"id": "3f2a0000-bbbb", "kind": "camera_silent", "subject": "camera/C02", "name": "走廊 B", "room": None,
     "state": "closed", "latched": False, "triggered_ns": NOON_NS - 3600_000_000_000, "last_ns": NOON_NS, "count": 1,
     "acknowledged_ns": None, "acknowledged_by": None, "restored_ns": None, "reset_ns": None, "reset_by": None,
     "reset_why": None},
]  # fmt: skip

STATUSES: dict[str, dict[str, Any] | None] = {"alarm": ALARM, "record": RECORD, "vision": VISION, "web": WEB}


class Sockets:
    """Servers in a runtime folder; `asked` is every request but `status`, in order."""

    def __init__(self, runtime: Path) -> None:
        self.runtime = runtime
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.events = list(EVENTS)
        self._running: dict[str, Server] = {}

    def start(self, name: str, **verbs: Verb) -> None:
        """Serve `name`.sock with the verbs of the contract, `verbs` instead of some."""
        own: dict[str, dict[str, Verb]] = {
            "alarm": {
                "events": self._events,
                "incidents": self._incidents,
                "acknowledge": self._act,
                "reset": self._act,
                "audit": self.answer({"n": 5, "hash": "ab12"}),
            },
            "board": {"press": self.answer({}), "door": self.answer({})},
        }
        status = STATUSES.get(name) or {}
        all_verbs: dict[str, Verb] = {"status": lambda _, reply: reply.done(status), **own.get(name, {}), **verbs}
        self._running[name] = Server(self.runtime / f"{name}.sock", all_verbs)
        self._running[name].start()

    def stop(self, name: str) -> None:
        """Stop serving `name`.sock."""
        self._running.pop(name).stop()

    def stop_all(self) -> None:
        """Stop serving."""
        for name in list(self._running):
            self.stop(name)

    def answer(self, result: dict[str, Any]) -> Verb:
        """A verb that notes the request and gives `result`."""

        def verb(request: Request, reply: Reply) -> None:
            self.asked.append((request.verb, request.args))
            reply.done(result)

        return verb

    def _events(self, request: Request, reply: Reply) -> None:
        self.asked.append((request.verb, request.args))
        after = request.args.get("after_seq") or 0
        kind = request.args.get("kind")
        found = [event for event in self.events if event["seq"] > after and kind in (None, event["type"])]
        reply.done({"events": found[-request.args["limit"] :]})

    def _incidents(self, request: Request, reply: Reply) -> None:
        self.asked.append((request.verb, request.args))
        found = [each for each in INCIDENTS if each["state"] == "triggered" or not request.args["open_only"]]
        reply.done({"incidents": found})

    def _act(self, request: Request, reply: Reply) -> None:
        self.asked.append((request.verb, request.args))
        found = [each for each in INCIDENTS if str(each["id"]).startswith(request.args["incident_id"])]
        if not found:
            reply.refuse("no_such_incident", Text("没有这个警情", "no such incident"))
        elif len(found) > 1:
            reply.refuse("ambiguous", Text("编号不够长", "the id is too short"))
        else:
            reply.done(found[0])


@contextmanager
def sockets(*names: str) -> Iterator[Sockets]:
    """Sockets of the processes `names` in a runtime folder whose path is short."""
    folder = Path(tempfile.mkdtemp(prefix="yj-"))
    agent = Sockets(folder)
    try:
        for name in names:
            agent.start(name)
        yield agent
    finally:
        agent.stop_all()
        shutil.rmtree(folder, ignore_errors=True)
