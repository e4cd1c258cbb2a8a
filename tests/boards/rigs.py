"""Every kind of board with hardware behind it that a test can press, pull and put back."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from agent.boards.bus import Bus
from agent.boards.contract import Board, new_boot_id
from agent.boards.gpio import GpioBoard, LinesAt
from agent.boards.modbus import ModbusBoard, ModuleAt
from agent.boards.turns import Wire
from agent.clock import SystemClock
from agent.demo.board import SimulatedBoard
from firmware_bridge.reports import Report
from firmware_bridge.serial_port import SerialBoard
from tests.boards.fake_chip import FakeChip
from tests.boards.modules import FakeBus, FakeModule


class Rig(Protocol):
    """Hardware with two inputs, 0 and 1."""

    def board(self, on_report: Callable[[Report], None]) -> Board:
        """A board that is to find this hardware."""

    def press(self, input_no: int, hold_s: float) -> None:
        """Press and release."""

    def hold(self, input_no: int, alarm: bool) -> None:
        """Move a contact and leave it there."""

    def unplug(self) -> None:
        """What the agent talks to vanishes."""

    def plug(self) -> None:
        """It is back."""

    def siren(self) -> bool:
        """The siren sounds."""

    def stop(self) -> None:
        """The end."""


class TybRig:
    """The simulated microcontroller board."""

    def __init__(self, folder: Path) -> None:
        self._port = folder / "board0"
        self._made = SimulatedBoard(self._port, folder / "presses.jsonl", seed=1)
        self._made.start()

    def board(self, on_report: Callable[[Report], None]) -> Board:
        return SerialBoard(self._port, on_report)

    def press(self, input_no: int, hold_s: float) -> None:
        self._made.press(input_no, hold_s)

    def hold(self, input_no: int, alarm: bool) -> None:
        self._made.set(input_no, "alarm" if alarm else "normal")

    def unplug(self) -> None:
        self._made.unplug()

    def plug(self) -> None:
        self._made.plug()

    def siren(self) -> bool:
        return bool(self._made.status()["siren"])

    def stop(self) -> None:
        self._made.stop()


class ModbusRig:
    """Module 7 on a bus with another one, which never answers."""

    def __init__(self, folder: Path) -> None:
        self._port = folder / "rs485"
        self.module = FakeModule()
        self.bus = FakeBus(self._port, {7: self.module})
        self._presses = FakePresses(self._move)

    def board(self, on_report: Callable[[Report], None]) -> Board:
        clock = SystemClock()
        bus = Bus(self._port, Wire(baud=115_200, answer_ms=80), clock)
        return ModbusBoard(bus, ModuleAt(7, siren=0, strobe=1), new_boot_id(), on_report, clock)

    def _move(self, input_no: int, alarm: bool) -> None:
        self.module.inputs[input_no] = alarm

    def press(self, input_no: int, hold_s: float) -> None:
        self._presses.press(input_no, hold_s)

    def hold(self, input_no: int, alarm: bool) -> None:
        self._move(input_no, alarm)

    def unplug(self) -> None:
        self.bus.unplug()

    def plug(self) -> None:
        self.bus.plug()

    def siren(self) -> bool:
        return self.module.coils[0]

    def stop(self) -> None:
        self._presses.stop()
        self.bus.stop()


class GpioRig:
    """Lines 4 and 5 of a chip in memory, a siren on line 6."""

    def __init__(self, folder: Path) -> None:
        self.chip = FakeChip(folder / "gpiochip0")

    def board(self, on_report: Callable[[Report], None]) -> Board:
        return GpioBoard(self.chip, LinesAt((4, 5), siren=6), new_boot_id(), on_report, SystemClock())

    def press(self, input_no: int, hold_s: float) -> None:
        self.chip.press(4 + input_no, hold_s)

    def hold(self, input_no: int, alarm: bool) -> None:
        self.chip.hold(4 + input_no, alarm)

    def unplug(self) -> None:
        self.chip.unplug()

    def plug(self) -> None:
        self.chip.plug()

    def siren(self) -> bool:
        return self.chip.outputs.get(6, False)

    def stop(self) -> None:
        self.chip.stop()


class FakePresses:
    """Moves contacts after a while."""

    def __init__(self, move: Callable[[int, bool], None]) -> None:
        self._move = move
        self._releases: list[threading.Timer] = []

    def press(self, input_no: int, hold_s: float) -> None:
        self._move(input_no, True)
        release = threading.Timer(hold_s, self._move, (input_no, False))
        self._releases.append(release)
        release.start()

    def stop(self) -> None:
        for release in self._releases:
            release.join(5)


RIGS: dict[str, Callable[[Path], Rig]] = {"tyb": TybRig, "modbus": ModbusRig, "gpio": GpioRig}
