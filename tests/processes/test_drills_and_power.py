"""The real alarm process with real brokers: a drill through kill -9, a test of a button from its contact to the
receipts, and the orderly end before the battery is empty."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent.demo.board import SimulatedBoard
from agent.safety.power import LOST_AFTER_S
from firmware_bridge.board import default_config
from firmware_bridge.messages import InputKind
from tests.fakes.broker import LoopbackBroker
from tests.fakes.panel import Panel
from tests.fakes.waiting import until

pytestmark = pytest.mark.needs_debian("mosquitto")

SETTINGS = """\
facility: {{id: F0012, name: 测试园}}
paths: {{data: data, runtime: run}}
bridges:
  - {{id: B1, port: run/board0}}
zones:
  - {{id: Z01, name: 托大一班一键报警, type: panic_24h, bridge: B1, input: 0}}
  - {{id: Z02, name: 保健室一键报警, type: panic_24h, bridge: B1, input: 1}}
  - {{id: Z03, name: 市电, type: environment, kind: mains, bridge: B1, input: 2}}
  - {{id: Z04, name: 电池, type: environment, kind: battery, bridge: B1, input: 3}}
power: {{shutdown_after_battery_low_s: 10, command: {command}}}
platforms:
{platforms}
web: {{port: 0}}
"""

SHUT_DOWN = """\
import os, signal, sqlite3, sys
db_file, out_file = sys.argv[1:]
with sqlite3.connect(f"file:{db_file}?mode=ro", uri=True) as db:
    told = db.execute("SELECT count(*) FROM events WHERE type LIKE '%shutting_down%'").fetchone()[0]
    waiting = db.execute("SELECT count(*) FROM outbox WHERE done = 0").fetchone()[0]
with open(out_file, "a") as out:
    out.write(f"told {told} waiting {waiting}\\n")
os.kill(os.getppid(), signal.SIGTERM)
"""
"""What stands for `systemctl poweroff`: it looks whether all was told and stored, and ends the process as systemd
does."""

BUTTON, OTHER, MAINS, BATTERY = range(4)


class Box(Panel):
    """A panel with two buttons and a supply."""

    def __init__(self, folder: Path, brokers: dict[str, LoopbackBroker]) -> None:
        super().__init__(folder, brokers)
        kinds = (InputKind.PANIC, InputKind.PANIC, InputKind.CONTACT, InputKind.CONTACT)
        inputs = tuple(default_config(number, kind) for number, kind in enumerate(kinds))
        self.simulated = SimulatedBoard(folder / "run" / "board0", folder / "presses.jsonl", inputs=inputs)
        self.board = self.simulated
        script, self.asked = folder / "shut_down.py", folder / "asked.txt"
        script.write_text(SHUT_DOWN, encoding="utf-8")
        command = [sys.executable, str(script), str(folder / "data" / "alarm.db"), str(self.asked)]
        platforms = "\n".join(
            f'  - {{id: {name}, role: public_security, brokers: ["{broker.url}"]}}' for name, broker in brokers.items()
        )
        text = SETTINGS.format(command=json.dumps(command), platforms=platforms)
        self.settings_file.write_text(text, encoding="utf-8")

    def drills(self, platform: str = "police") -> list[bool]:
        """Of each press that the platform has: whether it was told as a drill."""
        return [alert["body"]["data"]["drill"] for alert in self.taken(platform, "panic", "triggered")]

    def yunjian(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "agent", "--runtime", str(self.folder / "run"), "--lang", "en", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def rows(self, question: str) -> list[Any]:
        """What alarm.db answers."""
        with closing(sqlite3.connect(self.folder / "data" / "alarm.db")) as db:
            return db.execute(question).fetchall()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with LoopbackBroker(tmp_path / "b1") as police, LoopbackBroker(tmp_path / "b2") as cloud:
        made = Box(tmp_path / "panel", {"police": police, "cloud": cloud})
        with made:
            yield made


def test_a_drill_goes_on_after_kill_9_and_the_button_beside_it_is_real(box: Box) -> None:
    box.start()
    began = box.ask("drill", target="Z01", minutes=30, who="王芳")
    box.board.press(BUTTON, 0.1)
    until(lambda: box.drills() == [True] and box.drills("cloud") == [True], 10, "told as a drill")
    until(lambda: box.rows("SELECT drill FROM incidents WHERE kind = 'panic'") == [(1,)], 10, "stored as one")
    box.end(signal.SIGKILL)
    box.start()
    drill = until(lambda: box.status()["drill"], 10, "the drill goes on")
    assert drill["id"] == began["id"]
    assert drill["left_s"] < began["left_s"]
    box.board.press(BUTTON, 0.1)
    until(lambda: box.drills() == [True, True], 10, "still a drill")
    box.board.press(OTHER, 0.1)
    until(lambda: box.drills() == [True, True, False], 10, "the other button is real")
    until(lambda: box.status()["drill"] is None, 10, "and ends the drill")
    until(lambda: box.status()["incidents_open"] == 1, 10, "the real incident alone is open")
    ended = until(lambda: box.taken("police", "alarm.drill", "ended"), 10, "told")
    assert ended[0]["body"]["data"]["why"] == "real_alarm"
    assert box.end() == 0


def test_a_button_is_tested_through_two_brokers_to_their_receipts(box: Box) -> None:
    box.start()
    command = box.yunjian("test", "button", "Z02", "--who", "王芳", "--wait", "60")
    until(lambda: box.status()["drill"], 20, "the test has begun")
    box.board.press(OTHER, 0.1)
    out, _ = command.communicate(timeout=60)
    assert command.returncode == 0, out
    for line in ("contact Z02", "board -> host: ", "published: ", "receipt of police: ", "receipt of cloud: "):
        assert line in out
    assert ": none" not in out
    assert box.rows("SELECT zone_id, kind, passed, why FROM tests") == [("Z02", "button", 1, "")]
    assert box.drills() == [True]
    until(lambda: box.status()["incidents_open"] == 0, 10, "its incident is closed")
    command = box.yunjian("test", "button", "Z02", "--who", "王芳", "--wait", "1", "--json")
    out, _ = command.communicate(timeout=60)
    assert (command.returncode, json.loads(out)["why"]) == (1, "not_pressed")


def test_the_end_of_the_battery_is_told_and_stored_before_the_machine_is_asked(box: Box) -> None:
    box.start()
    box.simulated.set(MAINS, "alarm")
    box.simulated.set(BATTERY, "alarm")
    until(lambda: box.taken("police", "battery_low", "triggered"), LOST_AFTER_S + 10, "the battery is low")
    box.board.press(BUTTON, 0.1)
    until(box.asked.exists, 30, "the machine is asked to shut down")
    until(lambda: box.asked.read_text() == "told 1 waiting 0\n", 5, "everything was told and stored before")
    assert box.end(0) == 0, "ended by who was asked to, in order"
    for platform in ("police", "cloud"):
        kinds = [alert["type"].split(".")[3] for alert in box.taken(platform, state="triggered")]
        assert sorted(kinds) == ["battery_low", "mains_lost", "panic", "shutting_down"]
        assert kinds[-1] == "shutting_down"
    assert box.rows("PRAGMA integrity_check") == [("ok",)]
    box.simulated.set(MAINS, "normal")
    box.simulated.set(BATTERY, "normal")
    box.start()
    until(lambda: box.taken("police", "shutting_down", "restored"), 20, "it works again")
    assert len(box.taken("police", "panic", "triggered")) == 1
    assert box.end() == 0
