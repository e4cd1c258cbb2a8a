"""A whole alarm panel for tests: the real alarm process, a simulated board, real brokers and platforms."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from agent.demo.board import SimulatedBoard
from agent.demo.platform import DemoPlatform
from agent.wire import Refused, WireError, call
from tests.fakes.broker import LoopbackBroker
from tests.fakes.simavr import SimavrBoard
from tests.fakes.waiting import until

PANIC = 0
DOOR = 1

ONE_BOARD = """\
facility: {{id: F0012, name: 测试园}}
paths: {{data: data, runtime: run}}
rooms:
  - {{id: R01, name: 托大一班, group: senior_toddler, capacity: 20}}
bridges:
  - {{id: B1, port: run/board0}}
zones:
  - {{id: Z01, name: 托大一班一键报警, type: panic_24h, bridge: B1, input: 0, room: R01}}
  - {{id: Z02, name: 大门门磁, type: perimeter, bridge: B1, input: 1}}
platforms:
{platforms}
"""
"""One board with a panic button and a door, both in one room."""


class Panel:
    """Everything in `folder`. The alarm process runs as a process of its own, and can be killed and started again."""

    def __init__(
        self,
        folder: Path,
        brokers: dict[str, LoopbackBroker],
        receipts: str = "required",
        settings: str = ONE_BOARD,
    ) -> None:
        """`brokers` has one broker per platform, by the platform's id; `settings` is YAML with a place for them."""
        self.folder = folder
        self.brokers = brokers
        self.sock = folder / "run" / "alarm.sock"
        self._log = folder / "alarm.log"
        for name in ("run", "data"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        platforms = "\n".join(
            f'  - {{id: {name}, role: public_security, brokers: ["{broker.url}"], receipts: {receipts}}}'
            for name, broker in brokers.items()
        )
        self.settings_file = folder / "facility.yaml"
        self.settings_file.write_text(settings.format(platforms=platforms), encoding="utf-8")
        self.board: SimulatedBoard | SimavrBoard = SimulatedBoard(folder / "run" / "board0", folder / "presses.jsonl")
        self.consumers = {
            name: DemoPlatform(broker.url, name, "tyj/v1", self.consumer_db(name), quiet=True)
            for name, broker in brokers.items()
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Panel":
        self.board.start()
        for consumer in self.consumers.values():
            consumer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(signal.SIGKILL)
        self.board.stop()
        for consumer in self.consumers.values():
            consumer.stop()
        if error is not None and self._log.exists():
            sys.stdout.write(self._log.read_text(encoding="utf-8")[-8000:])

    def start(self, wait: bool = True) -> None:
        """Start the alarm process; with `wait`, until the board is up and the platforms are connected."""
        self.launch([sys.executable, "-m", "agent.processes.alarm", str(self.settings_file)])
        if wait:
            until(self.ready, 20, "the panel is ready")

    def launch(self, command: list[str]) -> None:
        """Start the alarm process by another command."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ready(self) -> bool:
        status = self.status()
        return bool(
            status
            and all(bridge["up"] for bridge in status["bridges"])
            and all(zone["state"] != "unknown" for zone in status["zones"])
            and all(each["connected"] for each in status["platforms"])
        )

    def end(self, number: int = signal.SIGTERM) -> int | None:
        """End the alarm process by a signal; its exit status."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            os.kill(self._process.pid, number)
        code = self._process.wait(20)
        self._process = None
        return code

    def status(self) -> dict[str, Any]:
        """What the alarm process says; empty when it cannot be reached."""
        try:
            return call(self.sock, "status", timeout_s=2)
        except (WireError, Refused):
            return {}

    def ask(self, verb: str, **args: Any) -> dict[str, Any]:
        """Ask the alarm process."""
        return call(self.sock, verb, args)

    def consumer_db(self, platform: str) -> Path:
        """The consumer's database."""
        return self.folder / f"platform-{platform}.db"

    def taken(self, platform: str, type_part: str = "", state: str = "") -> list[dict[str, Any]]:
        """What the consumer has, in the order in which it came: its columns and the parsed `body`."""
        path = self.consumer_db(platform)
        if not path.exists():
            return []
        with sqlite3.connect(path, timeout=5) as db:
            db.row_factory = sqlite3.Row
            try:
                found = db.execute("SELECT * FROM events ORDER BY rowid").fetchall()
            except sqlite3.OperationalError:
                found = []  # the consumer has not made its table yet
        db.close()
        alerts = [{**dict(row), "body": json.loads(row["body"])} for row in found]
        return [
            alert for alert in alerts if type_part in alert["type"] and state in str(alert["body"]["data"].get("state"))
        ]

    def made(self, input_no: int = PANIC, state: str = "alarm") -> list[dict[str, Any]]:
        """What the board made of its inputs: events in the board's own log."""
        lines = [json.loads(line) for line in (self.folder / "presses.jsonl").read_text().splitlines()]
        return [
            line for line in lines if line["what"] == "event" and (line["input"], line["state"]) == (input_no, state)
        ]
