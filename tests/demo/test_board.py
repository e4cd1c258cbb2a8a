"""The simulated board as the demonstration starts it: its control socket, its list of presses, its physics."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import wire
from agent.demo.board import SimulatedBoard, serve
from agent.demo.chip import BYTE_NS, EepromFile, Line
from firmware_bridge import eeprom
from firmware_bridge.reports import InputEvent, Report, Snapshot
from firmware_bridge.serial_port import SerialBoard
from tests.fakes.waiting import until


class Listener:
    """A host that commits everything at once."""

    def __init__(self, port: Path) -> None:
        self.events: list[InputEvent] = []
        self.snapshots: list[Snapshot] = []
        self.board = SerialBoard(port, self._take)

    def _take(self, report: Report) -> None:
        if isinstance(report, InputEvent):
            self.events.append(report)
            self.board.acknowledge(report.board_uid, report.boot_id, report.event_id)
        elif isinstance(report, Snapshot):
            self.snapshots.append(report)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(tmp_path / "run" / "board0")
    listener.board.start()
    yield listener
    listener.board.stop()


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_control_socket_presses_and_opens_doors(tmp_path: Path, listener: Listener) -> None:
    board = SimulatedBoard(tmp_path / "run" / "board0", tmp_path / "presses.jsonl", seed=5)
    board.start()
    control = tmp_path / "control.sock"
    server = serve(board, control)
    try:
        until(lambda: listener.snapshots, 5, "the board is up")
        assert wire.call(control, "press", {"hold_s": 0.05}) == {"n": 1}
        until(lambda: len(listener.events) == 2, 5, "press and release")
        wire.call(control, "door", {"open": True})
        until(lambda: len(listener.events) == 3, 5, "the door")
        wire.call(control, "set", {"input": 1, "state": "open"})
        until(lambda: len(listener.events) == 4, 5, "its line is cut")
        assert [(event.input_no, event.state) for event in listener.events] == [
            (0, "alarm"),
            (0, "normal"),
            (1, "alarm"),
            (1, "open"),
        ]
        status = until(lambda: _when(wire.call(control, "status"), "settled", ["normal", "open"]), 5, "the status")
        assert status["in_session"]
        assert status["presses"] == 1
        with pytest.raises(wire.Refused, match="inputs 0 to 1"):
            wire.call(control, "press", {"input": 7})
        with pytest.raises(wire.Refused, match="not one of"):
            wire.call(control, "set", {"input": 0, "state": "broken"})
        with pytest.raises(wire.Refused, match="bad request"):
            wire.call(control, "set", {})
    finally:
        server.stop()
        board.stop()
    _the_log_agrees(_lines(tmp_path / "presses.jsonl"), listener.events)


def _when(values: dict[str, Any], key: str, wanted: object) -> dict[str, Any] | None:
    return values if values.get(key) == wanted else None


def _the_log_agrees(lines: list[dict[str, Any]], told: list[InputEvent]) -> None:
    (press,) = [line for line in lines if line["what"] == "press"]
    events = [line for line in lines if line["what"] == "event"]
    assert [(line["boot_id"], line["event_id"]) for line in events] == [(each.boot_id, each.event_id) for each in told]
    assert 0 <= events[0]["mono_ns"] - press["mono_ns"] < 30_000_000, "the first sample after the contact closed"
    assert abs(told[0].pressed_mono_ns - events[0]["mono_ns"]) < 20_000_000, "the host's estimate of the same moment"


def test_every_press_of_a_quick_row_is_told(tmp_path: Path, listener: Listener) -> None:
    board = SimulatedBoard(tmp_path / "run" / "board0", tmp_path / "presses.jsonl", seed=6)
    board.start()
    try:
        until(lambda: listener.snapshots, 5, "the board is up")
        for number in range(1, 21):
            board.press(hold_s=0.06)
            until(lambda wanted=number: len(listener.events) == 2 * wanted, 5, f"press {number}")  # type: ignore[misc]
    finally:
        board.stop()
    pressed = [line for line in _lines(tmp_path / "presses.jsonl") if line["what"] == "press"]
    assert [line["n"] for line in pressed] == list(range(1, 21))
    assert sum(event.state == "alarm" for event in listener.events) == 20


def test_the_board_remembers_itself(tmp_path: Path) -> None:
    for boot in (1, 2):
        listener = Listener(tmp_path / "board0")
        board = SimulatedBoard(tmp_path / "board0", tmp_path / "presses.jsonl", seed=9)
        board.start()
        listener.board.start()
        try:
            (snapshot,) = until(lambda heard=listener: heard.snapshots, 5, "the board is up")  # type: ignore[misc]
            assert snapshot.boot_id == boot
        finally:
            listener.board.stop()
            board.stop()
    assert not (tmp_path / "board0").is_symlink(), "the port goes with the board"
    image = (tmp_path / "board0.eeprom").read_bytes()
    assert eeprom.next_boot(image)[0] == 3


def test_as_a_program(tmp_path: Path, listener: Listener) -> None:
    control, log_path = tmp_path / "control.sock", tmp_path / "presses.jsonl"
    program = subprocess.Popen(
        [
            sys.executable, "-m", "agent.demo.board", "--port-link", str(tmp_path / "run" / "board0"),
            "--control", str(control), "--log", str(log_path), "--seed", "4",
        ]
    )  # fmt: skip
    try:
        until(lambda: listener.snapshots, 15, "the board is up")
        until(control.exists, 5, "its control socket")
        wire.call(control, "press")
        until(lambda: listener.events, 5, "the press")
    finally:
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0
    assert [line["what"] for line in _lines(log_path)][:2] == ["press", "event"]
    assert not control.exists()


def test_a_line_takes_its_time() -> None:
    line = Line()
    line.put(bytes(64), 1000)
    assert line.take(1000 + 8 * BYTE_NS - 1) == b""
    assert len(line.take(1000 + 8 * BYTE_NS)) == 8
    assert len(line.take(1000 + 64 * BYTE_NS)) == 56
    assert line.next_ns() is None
    assert 5_500_000 < 64 * BYTE_NS < 5_600_000, "64 bytes take 5.6 ms at 115200 baud"


def test_eeprom_writes_are_done_in_order(tmp_path: Path) -> None:
    chip = EepromFile(tmp_path / "eeprom", bytes(8))
    for value in range(50):
        chip.write(eeprom.Write(100, bytes((value, value))))
    assert chip.image()[100:102] == bytes((49, 49))
    chip.close()
    assert EepromFile(tmp_path / "eeprom", b"ignored!").image()[:8] == bytes(8), "a board that has a name keeps it"
