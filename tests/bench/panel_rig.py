"""Three boards of eight inputs with the real firmware in simavr, the real alarm process, mosquitto and a consumer, each
a process of its own. Twenty inputs are panic buttons. Judged by the harness's log of what was done to the chips' pins
(tests/fakes/simavr/harness.c) against the consumer's database.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.delivery.payload import input_alert_id
from tests.bench.button import BOARD_NICE
from tests.fakes.broker import LoopbackBroker
from tests.fakes.panel import Panel
from tests.fakes.recording import cpu_s
from tests.fakes.simavr import SimavrBoard, built
from tests.fakes.waiting import until

PLATFORM: Final = "police"
BOARDS: Final = 3
BUTTONS: Final = tuple((board, number) for board in range(BOARDS) for number in range(7))[:20]
"""(board, input) of every panic button."""

LOOSE: Final = (0, 7)
"""The contact that chatters: a door, on the board of the first seven buttons."""

HOLD_S: Final = 0.12
"""A short press of a finger."""

_MOST_EVENTS: Final = 20_000
"""Of one boot of a board, in an hour of the fastest contact that is settled at all."""


def _settings() -> str:
    bridges = "\n".join(f"  - {{{{id: B{board}, port: run/board{board}}}}}" for board in range(BOARDS))
    zones = "\n".join(
        f"  - {{{{id: {zone(each)}, name: 一键报警, type: panic_24h, bridge: B{each[0]}, input: {each[1]}}}}}"
        for each in BUTTONS
    )
    board, number = LOOSE
    return f"""\
facility: {{{{id: F0012, name: 测试园}}}}
paths: {{{{data: data, runtime: run}}}}
bridges:
{bridges}
zones:
{zones}
  - {{{{id: {zone(LOOSE)}, name: 大门门磁, type: perimeter, bridge: B{board}, input: {number}}}}}
platforms:
{{platforms}}
"""


def zone(at: tuple[int, int]) -> str:
    """The id of the zone of an input."""
    return f"Z{at[0]}{at[1]}"


@dataclass(frozen=True)
class Told:
    """What the consumer has of one input: rows in the order of their events, and ids that come from no event."""

    rows: list[dict[str, Any]]
    strange: list[str]


class Rig:
    """The boards at their panel."""

    def __init__(self, panel: Panel, broker: LoopbackBroker, boards: list[SimavrBoard]) -> None:
        self.panel = panel
        self.broker = broker
        self.boards = boards
        self._began_s = time.monotonic()
        self._used_s = {each.pid: cpu_s(each.pid) for each in boards}

    def press(self, at: tuple[int, int], hold_s: float = HOLD_S) -> None:
        """Press a button, on the pin of its chip."""
        self.boards[at[0]].press(at[1], hold_s)

    def pressed(self, at: tuple[int, int]) -> list[int]:
        """When a button was pressed (monotonic ns), by the harness."""
        lines = [json.loads(line) for line in log_of(self.panel, at[0]).read_text(encoding="utf-8").splitlines()]
        return [line["mono_ns"] for line in lines if line["what"] == "press" and line["input"] == at[1]]

    def told(self, at: tuple[int, int], boots: int = 1) -> Told:
        """What the consumer was told of a button, over so many boots of its board."""
        uid = uid_of(at[0]).hex()
        order = {
            input_alert_id(uid, boot, event): (boot, event)
            for boot in range(1, boots + 1)
            for event in range(1, _MOST_EVENTS)
        }
        alerts = self.panel.taken(PLATFORM, "panic", "triggered")
        mine = [each for each in alerts if each["subject"] == f"zone/{zone(at)}"]
        known = sorted((each for each in mine if each["id"] in order), key=lambda each: order[each["id"]])
        return Told(known, [each["id"] for each in mine if each["id"] not in order])

    def load_of_simavr(self) -> str:
        """What the chips themselves take of the machine; of one that was started again only since then."""
        seconds = time.monotonic() - self._began_s
        used_s = sum(cpu_s(each.pid) - self._used_s.get(each.pid, 0.0) for each in self.boards)
        return f"simavr took {100 * used_s / seconds:.0f} % of a core for {len(self.boards)} boards"

    def slips(self) -> int:
        """How often a chip stood still because the machine was busy."""
        return sum(int(each.status()["slips"]) for each in self.boards)


def uid_of(board: int) -> bytes:
    """The name of a board."""
    return b"YunJian" + bytes((board + 1,))


def log_of(panel: Panel, board: int) -> Path:
    """Where the harness of a board writes."""
    return panel.folder / f"pins{board}.jsonl"


@contextmanager
def rig(boards: int = BOARDS) -> Iterator[Rig]:
    """Everything at work; with fewer boards the others are missing."""
    with tempfile.TemporaryDirectory(prefix="panel-") as name, ExitStack() as running:
        folder = Path(name)
        broker = running.enter_context(LoopbackBroker(folder / "broker"))
        panel = Panel(folder / "panel", {PLATFORM: broker}, settings=_settings())
        parts = built(folder)
        chips = []
        for number in range(boards):
            port = panel.folder / "run" / f"board{number}"
            chip = SimavrBoard(port, log_of(panel, number), parts, uid=uid_of(number))
            chip.start()
            running.callback(chip.stop)
            with suppress(PermissionError):
                os.setpriority(os.PRIO_PROCESS, chip.pid, BOARD_NICE)
            chips.append(chip)
        consumer = ["agent.demo.platform", "--broker", broker.url, "--platform", PLATFORM, "--quiet"]
        consumer += ["--db", str(panel.consumer_db(PLATFORM))]
        process = subprocess.Popen([sys.executable, "-m", *consumer])
        running.callback(process.wait, 10)
        running.callback(process.terminate)
        running.callback(panel.end)
        panel.start(wait=False)
        until(panel.ready, 60, "the panel is ready")
        yield Rig(panel, broker, chips)


def times_of(pressed_ns: list[int], told: Told) -> list[float]:
    """Milliseconds from each press to the consumer, rising: the presses of one button in their order against what came
    of it in its order. After one that is lost the rest is counted too late, never too early."""
    took_ms, left = [], iter(told.rows)
    for at_ns in pressed_ns:
        row = next((each for each in left if each["received_mono_ns"] >= at_ns), None)
        if row is not None:
            took_ms.append((row["received_mono_ns"] - at_ns) / 1e6)
    return sorted(took_ms)
