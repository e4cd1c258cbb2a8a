"""Button to subscriber: presses on a simulated board, through the real serial code and the alarm process, to a
consumer on a real mosquitto. Judged by the board's own list of presses against the consumer's database.

The time of a press is when the contact moves, so 30 ms of debounce and up to 10 ms of sampling are in every figure.
Board, broker, alarm process and consumer are processes of their own.
"""

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.delivery.payload import input_alert_id
from agent.wire import Refused, WireError, call
from tests.bench.load import Load, Seen, resident
from tests.bench.row import Row
from tests.fakes.broker import LoopbackBroker
from tests.fakes.panel import Panel
from tests.fakes.waiting import until

PRESSES = 500
TARGET_MS = 100.0
"""p99 from press to subscriber, with 30 ms of debounce, while the machine records and counts."""

HOLD_S = 0.12
"""A short press of a finger: four times the debounce."""

BOARD_NICE = -15
"""A microcontroller shares no processor with the agent: the simulated one goes first, where that is allowed."""

_EVENT_BEFORE_NS = 15_000_000
"""The board dates its event by the sample that first saw the contact, in its own milliseconds: up to one sample
before the press. The event of a press lies between that and the next press."""

MEMORY_MB = 400.0
"""What the four processes may hold together with four cameras."""

STATUS_S = 0.3
"""How soon a console should be answered."""

PLATFORM = "police"


def rows() -> Iterator[Row]:
    """The figures of this bench, while four 1080p cameras are recorded and counted beside the panel."""
    yield from measure(PRESSES, loaded=True)


def measure(presses: int, loaded: bool = False) -> list[Row]:
    """Press `presses` times and judge; `loaded` runs the processes of a facility with four cameras beside it."""
    with tempfile.TemporaryDirectory(prefix="button-") as name:
        folder = Path(name)
        with ExitStack() as running:
            broker = running.enter_context(LoopbackBroker(folder / "broker"))
            panel = Panel(folder / "panel", {PLATFORM: broker})
            _start(running, panel)
            running.callback(panel.end)
            panel.start(wait=False)
            until(panel.ready, 60, "the panel is ready")
            load = running.enter_context(Load(panel.folder / "run", folder / "load")) if loaded else None
            if load is not None:
                load.begin()
            _press(panel, presses)
            status_s = _status_s(panel.folder / "run")
            alarm_mb = resident(panel.pid)
            seen = None if load is None else load.end()
            until(lambda: quiet(panel), 30, "everything is receipted")
        judged = _judge(panel, presses, "" if seen is None else seen.note)
        if seen is None:
            return judged
        # A figure under a load that was not there is void.
        valid = [replace(row, ok=row.ok and seen.whole) if row.ok is not None else row for row in judged]
        return [*valid, *_facility(seen, alarm_mb, status_s)]


def _facility(seen: Seen, alarm_mb: float, status_s: list[float]) -> Iterator[Row]:
    """Memory of the four processes, and how soon a console is answered beside all of this."""
    memory = {"alarm": alarm_mb, **seen.resident_mb}
    for name, megabytes in memory.items():
        yield Row(f"resident memory of {name}", megabytes, "MB", None, None, seen.note)
    total = sum(memory.values())
    yield Row("resident memory of the four processes", total, "MB", MEMORY_MB, total <= MEMORY_MB, seen.note)
    for name, used_s in seen.cpu_s.items():
        yield Row(f"CPU of {name}, four cameras", 100 * used_s / seen.window_s, "% core", None, None, seen.note)
    middle, worst = statistics.median(status_s), max(status_s)
    yield Row("yunjian status, median", middle, "s", STATUS_S, middle < STATUS_S, f"max {worst:.3f} s; {seen.note}")


def _status_s(runtime: Path) -> list[float]:
    taken = []
    for _ in range(15):
        began = time.monotonic()
        command = [sys.executable, "-m", "agent", "--runtime", str(runtime), "status"]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        taken.append(time.monotonic() - began)
    return taken


def _start(running: ExitStack, panel: Panel) -> None:
    run = panel.folder / "run"
    board = ["agent.demo.board", "--port-link", str(run / "board0"), "--control", str(run / "board.sock")]
    board += ["--log", str(panel.folder / "presses.jsonl")]
    consumer = ["agent.demo.platform", "--broker", panel.brokers[PLATFORM].url, "--platform", PLATFORM, "--quiet"]
    consumer += ["--db", str(panel.consumer_db(PLATFORM))]
    for arguments in (board, consumer):
        process = subprocess.Popen([sys.executable, "-m", *arguments])
        if "agent.demo.board" in arguments:
            with suppress(PermissionError):
                os.setpriority(os.PRIO_PROCESS, process.pid, BOARD_NICE)
        running.callback(process.wait, 10)
        running.callback(process.terminate)


def _press(panel: Panel, presses: int) -> None:
    moments = random.Random(7)
    for _ in range(presses):
        until(lambda: _pressed(panel), 30, "the board takes a press")
        # Uneven, so that presses fall everywhere in the board's sampling and the desk's turns.
        time.sleep(HOLD_S + 0.1 + moments.random() * 0.08)


def _pressed(panel: Panel) -> bool:
    try:
        call(panel.folder / "run" / "board.sock", "press", {"input": 0, "hold_s": HOLD_S}, timeout_s=5)
    except (WireError, Refused):
        return False
    return True


def quiet(panel: Panel) -> bool:
    """Whether the platform has receipted everything."""
    status = panel.status()
    return bool(status) and all(each["waiting"] == 0 for each in status["platforms"])


def _judge(panel: Panel, presses: int, note: str) -> list[Row]:
    pressed, events = read_presses(panel.folder / "presses.jsonl")
    got = {alert["id"]: alert for alert in panel.taken(PLATFORM, "panic", "triggered")}
    took_ms, unseen = press_times(pressed, events, {key: alert["received_mono_ns"] for key, alert in got.items()})
    twice = sum(1 for alert in got.values() if alert["times"] > 1)
    told = f"{len(pressed)} presses, 30 ms debounce included{'; ' + note if note else ''}"
    return figures("button to subscriber", took_ms, len(pressed), presses, twice, TARGET_MS, told, unseen)


def figures(
    name: str, took_ms: list[float], pressed: int, wanted: int, twice: int, target_ms: float, told: str, unseen: int = 0
) -> list[Row]:
    """The rows of `pressed` presses of which those in `took_ms` (rising) came; `wanted` were meant to be made, `twice`
    came more than once under one id, and `unseen` the board did not see."""
    lost = pressed - len(took_ms)
    p99 = share(took_ms, 0.99)
    return [
        Row(f"{name} p50", round(share(took_ms, 0.5), 1), "ms", None, None, told),
        Row(f"{name} p99", round(p99, 1), "ms", target_ms, p99 < target_ms, told),
        Row(f"{name} max", round(took_ms[-1] if took_ms else math.inf, 1), "ms", None, None, told),
        Row(
            f"{name}: presses lost",
            lost,
            "",
            0,
            lost == 0 and pressed == wanted,
            f"{unseen} of them not seen by the board; {told}",
        ),
        Row(f"{name}: sent more than once", twice, "", None, None, f"same id: one for the consumer; {told}"),
    ]


def read_presses(file: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """From the board's own log: the presses of the panic button, and the events that the board made of them."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    pressed = [line for line in lines if line["what"] == "press" and line["input"] == 0]
    events = [line for line in lines if line["what"] == "event" and (line["input"], line["state"]) == (0, "alarm")]
    return pressed, events


def press_times(
    pressed: list[dict[str, Any]], events: list[dict[str, Any]], received_ns: dict[str, int]
) -> tuple[list[float], int]:
    """Milliseconds from each press to the consumer, in rising order, and how many presses the board did not see.

    `received_ns` is the monotonic time at which the consumer had each alert, by id.
    """
    took_ms: list[float] = []
    unseen = 0
    ends = [*(press["mono_ns"] for press in pressed[1:]), 2**63]
    for press, next_press_ns in zip(pressed, ends, strict=True):
        mine = (each for each in events if press["mono_ns"] <= each["mono_ns"] + _EVENT_BEFORE_NS < next_press_ns)
        event = next(mine, None)
        if event is None:
            unseen += 1
            continue
        key = input_alert_id(event["board_uid"], event["boot_id"], event["event_id"])
        if key in received_ns:
            took_ms.append((received_ns[key] - press["mono_ns"]) / 1e6)
    return sorted(took_ms), unseen


def share(ordered: list[float], part: float) -> float:
    """The value that `part` of the ordered values do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * part) - 1)] if ordered else math.inf


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presses", type=int, default=PRESSES)
    for row in measure(parser.parse_args().presses):
        print(row)
