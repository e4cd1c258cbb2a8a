"""The firmware in real time behind a pseudo-terminal, with the thread that serves a port, and the alarm process."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.messages import ResetCause
from firmware_bridge.reports import InputEvent, LinkChanged, Report, Snapshot
from firmware_bridge.serial_port import SerialBoard
from tests.fakes.broker import LoopbackBroker
from tests.fakes.panel import Panel
from tests.fakes.simavr import NEEDS_SIMAVR, Built, SimavrBoard
from tests.fakes.waiting import until

pytestmark = NEEDS_SIMAVR


class Host:
    """Whoever takes the reports; commits at once unless told otherwise."""

    def __init__(self, port: Path) -> None:
        self.reports: list[Report] = []
        self.commits = True
        self.board = SerialBoard(port, self._take)

    def _take(self, report: Report) -> None:
        self.reports.append(report)
        if self.commits and isinstance(report, InputEvent):
            self.board.acknowledge(report.board_uid, report.boot_id, report.event_id)

    def events(self, state: str) -> list[InputEvent]:
        return [each for each in self.reports if isinstance(each, InputEvent) and each.state == state]

    def snapshots(self) -> list[Snapshot]:
        return [each for each in self.reports if isinstance(each, Snapshot)]

    def downs(self) -> list[str]:
        return [each.reason.partition(":")[0] for each in self.reports if isinstance(each, LinkChanged) and not each.up]


@pytest.fixture
def simavr(tmp_path: Path, parts: Built) -> Iterator[SimavrBoard]:
    board = SimavrBoard(tmp_path / "board0", tmp_path / "presses.jsonl", parts)
    board.start()
    yield board
    board.stop()


@contextlib.contextmanager
def hosting(port: Path) -> Iterator[Host]:
    host = Host(port)
    host.board.start()
    try:
        yield host
    finally:
        host.board.stop()


def test_press_release_unplug_and_back(tmp_path: Path, simavr: SimavrBoard) -> None:
    with hosting(tmp_path / "board0") as host:
        until(host.snapshots, 10, "the first snapshot")
        simavr.press(hold_s=0.1)
        until(lambda: host.events("normal"), 10, "press and release")
        status = host.board.status()
        assert (status.uid, status.firmware, status.boot_id) == (simavr.status()["uid"], "0.1.0", 1)
        simavr.unplug()
        until(lambda: host.downs() == ["port_lost", "port_missing"], 10, "the loss is told")
        simavr.plug()
        until(lambda: len(host.snapshots()) == 2, 10, "the board is back, on another terminal")
        simavr.press(input_no=7, hold_s=0.1)
        until(lambda: len(host.events("normal")) == 2, 10, "a press after the return")
        assert [(each.boot_id, each.input_no) for each in host.events("alarm")] == [(1, 0), (2, 7)]
        simavr.restart(ResetCause.WATCHDOG)
        until(lambda: "board_restarted" in host.downs(), 10, "the watchdog's reset is told")
        until(lambda: len(host.snapshots()) == 3, 10, "and the return")
        assert simavr.status()["boot_id"] == 3


def test_the_power_fails_under_an_uncommitted_press(tmp_path: Path, simavr: SimavrBoard) -> None:
    with hosting(tmp_path / "board0") as host:
        host.commits = False
        until(host.snapshots, 10, "the first snapshot")
        simavr.press(hold_s=0.3)
        until(lambda: host.events("normal"), 10, "press and release")
        simavr.kill()
        until(lambda: "port_missing" in host.downs(), 10, "the loss is told")
        simavr.start()
        until(lambda: len(host.snapshots()) == 2, 10, "the board is back")
        (press,) = host.events("alarm")
    with hosting(tmp_path / "board0") as another:
        until(lambda: another.events("alarm"), 10, "a host that knows nothing is told again")
        (again,) = another.events("alarm")
        assert (again.board_uid, again.boot_id, again.event_id) == (press.board_uid, press.boot_id, press.event_id)


def test_opening_the_port_of_an_uno_resets_it_and_its_boot_loader_eats_what_comes(tmp_path: Path, parts: Built) -> None:
    board = SimavrBoard(tmp_path / "board0", tmp_path / "presses.jsonl", parts, boot_ms=1600)
    board.start()
    try:
        with hosting(tmp_path / "board0") as host:
            until(host.snapshots, 15, "the first snapshot, after the boot loader")
            assert board.status()["resets"] >= 1
            board.press(hold_s=0.1)
            until(lambda: host.events("normal"), 10, "press and release")
    finally:
        board.stop()


def test_noise_on_the_line(tmp_path: Path, simavr: SimavrBoard) -> None:
    with hosting(tmp_path / "board0") as host:
        until(host.snapshots, 10, "the first snapshot")
        for number in range(20):
            simavr.inject(os.urandom(100) + (b"\x00" if number % 2 else b""))
        simavr.press(hold_s=0.2)
        until(lambda: host.events("normal"), 15, "a press through the noise")
        assert len(host.events("alarm")) == 1
        assert host.board.status().crc_errors > 0


@pytest.mark.needs_debian("mosquitto")
def test_from_the_pin_of_the_chip_to_the_platform(tmp_path: Path, parts: Built) -> None:
    with LoopbackBroker(tmp_path / "broker") as broker:
        panel = Panel(tmp_path / "panel", {"police": broker})
        board = SimavrBoard(panel.folder / "run" / "board0", panel.folder / "presses.jsonl", parts)
        panel.board = board
        with panel:
            panel.start()
            board.press(hold_s=0.2)
            until(lambda: panel.taken("police", "panic", "restored"), 15, "press and release at the platform")
            (alert,) = panel.taken("police", "panic", "triggered")
            assert alert["body"]["subject"] == "zone/Z01"
            board.door(True)
            until(lambda: panel.taken("police", ".door.", "opened"), 15, "the door")
            board.kill()
            until(lambda: not panel.status()["bridges"][0]["up"], 15, "the board without power is noticed")
            board.start()
            until(panel.ready, 15, "the board is back")
            board.press(hold_s=0.2)
            until(lambda: len(panel.taken("police", "panic", "triggered")) == 2, 15, "the second press")
