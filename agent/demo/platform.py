"""A small demonstration platform: takes alerts from a broker, keeps each once, and sends receipts.

Its database is the judge of tests and benches: one row per (source, id), and how often each came.
"""

import argparse
import json
import logging
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import sqlite_utils
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.facts import Text

log = logging.getLogger(__name__)

_NAMES: Final = {"police": Text("公安平台", "police"), "cloud": Text("智慧托育云", "smart cloud")}
_PRIORITIES: Final = {
    1: Text("紧急", "urgent"),
    2: Text("重要", "important"),
    3: Text("一般", "note"),
    4: Text("记录", "for the record"),
}
_KINDS: Final = {
    "alarm.panic": Text("一键报警", "panic button"),
    "alarm.tamper": Text("防拆", "tamper"),
    "alarm.environment": Text("环境报警", "environment"),
    "alarm.door": Text("门", "door"),
    "ai.over_capacity": Text("超员", "over capacity"),
    "fault.zone": Text("防区线路", "line of a zone"),
    "alarm.arming": Text("布防", "arming"),
    "alarm.drill": Text("演练", "drill"),
    "alarm.intrusion": Text("入侵", "intrusion"),
    "alarm.door_forced": Text("强行开门", "door forced"),
    "alarm.door_held_open": Text("门未关", "door held open"),
    "alarm.duress": Text("胁迫", "duress"),
    "alarm.after_hours_presence": Text("非开放时间有人", "people after hours"),
    "fault.camera_silent": Text("摄像机无画面", "camera silent"),
    "fault.bridge_silent": Text("报警板失联", "board silent"),
    "fault.clock_unknown": Text("时钟未同步", "clock not set"),
    "fault.recording_gap": Text("录像中断", "recording gap"),
}
"""The rest of what an agent tells is read off its message: the vocabulary is open to a platform."""

_STATES: Final = {
    "triggered": Text("触发", "triggered"),
    "restored": Text("恢复", "restored"),
    "opened": Text("打开", "opened"),
    "closed": Text("关闭", "closed"),
    "acknowledged": Text("已确认", "acknowledged"),
    "reset": Text("已复位", "reset"),
    "armed": Text("已布防", "armed"),
    "disarmed": Text("已撤防", "disarmed"),
    "bypassed": Text("已旁路", "bypassed"),
    "unbypassed": Text("旁路解除", "bypass ended"),
}


class DemoPlatform:
    """One consumer of alerts. Its thread `platform-<name>` owns the database."""

    def __init__(self, broker: str, name: str, prefix: str, db_file: Path, quiet: bool, language: str = "zh") -> None:
        """`broker` is mqtt://host:port. `quiet`: alerts are not printed. `language`: `zh` or `en`."""
        self._name = name
        self._prefix = prefix
        self._db_file = db_file
        self._quiet = quiet
        self._language = language
        parts = urlsplit(broker)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 1883
        self._messages: queue.SimpleQueue[tuple[str, bytes, int, int] | None] = queue.SimpleQueue()
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=f"platform-{name}", protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_socket_open = _without_delay
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._thread = threading.Thread(target=self._run, name=f"platform-{name}", daemon=True)

    def start(self) -> None:
        """Connect, now or as soon as the broker is there, and begin."""
        self._thread.start()
        self._client.connect_async(self._host, self._port, keepalive=10)
        self._client.loop_start()

    def stop(self) -> None:
        """Finish what has come, then stop."""
        self._client.disconnect()
        self._client.loop_stop()
        self._messages.put(None)
        self._thread.join(10)
        if self._thread.is_alive():
            raise RuntimeError("the demonstration platform did not stop")

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if code.is_failure:
            log.error("broker refused: %s", code)
        else:
            client.subscribe(f"{self._prefix}/+/+/evt/+", qos=1)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._messages.put((message.topic, bytes(message.payload), time.time_ns(), time.monotonic_ns()))

    def _run(self) -> None:
        db = sqlite_utils.Database(str(self._db_file))
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        _make_tables(db)
        while True:
            batch = [self._messages.get()]
            while len(batch) < 256 and not self._messages.empty():
                batch.append(self._messages.get())
            answers = []
            with db.atomic():
                for message in batch:
                    if message is not None and (answer := self._keep(db, *message)) is not None:
                        answers.append(answer)
            # The receipt says that the alert is safe here, so it leaves after the commit.
            for topic, receipt in answers:
                self._client.publish(topic, json.dumps(receipt, ensure_ascii=False), qos=1)
            if None in batch:
                db.close()
                return

    def _keep(
        self, db: Any, topic: str, payload: bytes, wall_ns: int, mono_ns: int
    ) -> tuple[str, dict[str, Any]] | None:
        try:
            event = json.loads(payload)
            source, event_id = event["source"], event["id"]
            row = {
                "source": source,
                "id": event_id,
                "topic": topic,
                "type": event["type"],
                "subject": event["subject"],
                "seq": event.get("seq"),
                "time": event["time"],
                "body": payload.decode(),
                "received_ns": wall_ns,
                "received_mono_ns": mono_ns,
                "times": 1,
            }
        except (ValueError, KeyError, TypeError) as error:
            log.warning("%s: no CloudEvent: %s", topic, error)
            return None
        known = list(db.query("SELECT rowid FROM events WHERE source = ? AND id = ?", [source, event_id]))
        if known:
            number = known[0]["rowid"]
            db.execute("UPDATE events SET times = times + 1 WHERE source = ? AND id = ?", [source, event_id])
        else:
            number = db.table("events").insert(row).last_rowid
        case_no = f"{self._name.upper()}-{number:06d}"
        if not known and not self._quiet:
            self._show(event, case_no)
        receipt = {
            "id": event_id,
            "status": "duplicate" if known else "accepted",
            "case_no": case_no,
            "platform": self._name,
            "received_at": datetime.fromtimestamp(wall_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        }
        return topic.rsplit("/evt/", 1)[0] + "/down/receipt", receipt

    def _show(self, event: dict[str, Any], case_no: str) -> None:
        # One write a line: two platforms share the console.
        sys.stdout.write(alert_line(event, self._name, case_no).in_language(self._language) + "\n")
        sys.stdout.flush()


def alert_line(event: Mapping[str, Any], platform: str, case_no: str) -> Text:
    """One line for people about an alert that came: `04:47:28 公安平台收到：紧急 一键报警 触发 托大一班 POLICE-000002`.

    PURE. A field of another type than agreed is shown as it came.
    """
    given = event.get("data")
    data: Mapping[str, Any] = given if isinstance(given, dict) else {}
    zone = data.get("zone")
    where = str((zone.get("name") if isinstance(zone, dict) else data.get("name")) or event.get("subject", ""))
    kind = str(event.get("type", "")).removeprefix("cn.tyj.").removesuffix(".v1")
    state, priority = str(data.get("state", "")), event.get("priority")
    plain = kind.partition(".")[2].replace("_", " ") or kind
    words = (
        _PRIORITIES.get(priority, _PRIORITIES[3]) if isinstance(priority, int) else _PRIORITIES[3],
        _KINDS.get(kind, Text(plain, plain)),
        _STATES.get(state, Text(state, state)),
    )
    late = Text("（补报）", " (late)") if event.get("historical") else Text("", "")
    name = _NAMES.get(platform, Text(platform, platform))
    at = str(event.get("time", ""))[11:19]
    return Text(
        f"{at} {name.zh}收到：{' '.join(each.zh for each in words if each.zh)} {where} {case_no}{late.zh}",
        f"{at} {name.en} got: {' '.join(each.en for each in words if each.en)} {where} {case_no}{late.en}",
    )


def _without_delay(_client: Client, _data: Any, opened: Any) -> None:
    """Receipts leave at once, not after the peer's delayed ACK of 40 ms."""
    if isinstance(opened, socket.socket):
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _make_tables(db: Any) -> None:
    if "events" not in db.table_names():
        columns = {
            "source": str, "id": str, "topic": str, "type": str, "subject": str, "seq": int, "time": str, "body": str,
            "received_ns": int, "received_mono_ns": int, "times": int,
        }  # fmt: skip
        db.table("events").create(columns)
        db.table("events").create_index(["source", "id"], unique=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m agent.demo.platform", description=__doc__)
    parser.add_argument("--broker", required=True, help="mqtt://host:port")
    parser.add_argument("--platform", required=True, help="name in receipts and lines")
    parser.add_argument("--prefix", default="tyj/v1", help="topic prefix")
    parser.add_argument("--db", type=Path, required=True, help="SQLite file of what came")
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    parser.add_argument("--lang", choices=("zh", "en"), default="zh", help="language of the lines (zh)")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    platform = DemoPlatform(given.broker, given.platform, given.prefix, given.db, given.quiet, given.lang)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    platform.start()
    stopping.wait()
    platform.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
