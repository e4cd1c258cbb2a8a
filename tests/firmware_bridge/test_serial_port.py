"""The thread on a real terminal device: a pseudo-terminal with the simulated board, or with nobody, behind it."""

import logging
import os
import pty
import queue
import statistics
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.demo.board import SimulatedBoard
from firmware_bridge import messages as say
from firmware_bridge.frame import Deframer, Frame, Kind
from firmware_bridge.messages import LineState
from firmware_bridge.numbered import Numbering
from firmware_bridge.reports import InputEvent, LinkChanged, Report, Snapshot
from firmware_bridge.serial_port import SerialBoard
from tests.fakes.waiting import until


class Desk:
    """Whoever takes the reports; commits at once unless told otherwise."""

    def __init__(self, port: Path) -> None:
        self.reports: list[Report] = []
        self.commits = True
        self.fails = 0
        self.came: queue.SimpleQueue[InputEvent] = queue.SimpleQueue()
        self.board = SerialBoard(port, self.take)

    def take(self, report: Report) -> None:
        if self.fails and isinstance(report, InputEvent):
            self.fails -= 1
            raise LookupError("the desk is not well")
        self.reports.append(report)
        if isinstance(report, InputEvent):
            self.came.put(report)
            if self.commits:
                self.board.acknowledge(report.board_uid, report.boot_id, report.event_id)

    def events(self, state: str = "alarm") -> list[InputEvent]:
        return [each for each in self.reports if isinstance(each, InputEvent) and each.state == state]

    def ups(self) -> list[str]:
        return [each.reason for each in self.reports if isinstance(each, LinkChanged) and each.up]

    def downs(self) -> list[str]:
        return [each.reason.partition(":")[0] for each in self.reports if isinstance(each, LinkChanged) and not each.up]

    def snapshots(self) -> list[Snapshot]:
        return [each for each in self.reports if isinstance(each, Snapshot)]


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[SimulatedBoard]:
    board = SimulatedBoard(tmp_path / "board0", tmp_path / "presses.jsonl", seed=1)
    board.start()
    yield board
    board.stop()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "board0")
    desk.board.start()
    yield desk
    desk.board.stop()


def test_a_press_comes_through_and_is_forgotten_after_its_commit(simulated: SimulatedBoard, desk: Desk) -> None:
    until(desk.snapshots, 5, "the first snapshot")
    desk.commits = False
    simulated.press(hold_s=0.2)
    until(lambda: desk.events("normal"), 5, "press and release")
    (alarm,) = desk.events()
    assert (alarm.input_no, alarm.previous, alarm.late) == (0, "normal", False)
    assert 0 < alarm.received_mono_ns - alarm.pressed_mono_ns < 200_000_000
    until(lambda: simulated.status()["uncommitted"] == 2, 5, "both are held by the board")
    for event in [alarm, *desk.events("normal")]:
        desk.board.acknowledge(event.board_uid, event.boot_id, event.event_id)
        desk.board.acknowledge(event.board_uid, event.boot_id, event.event_id)
    until(lambda: simulated.status()["uncommitted"] == 0, 5, "both are forgotten")
    status = desk.board.status()
    assert status.up
    assert status.uid == simulated.status()["uid"]
    assert (status.firmware, status.boot_id) == ("0.1.0", 1)
    assert status.crc_errors <= 1, "the port may be opened in the middle of a frame, and then the line is clean"
    assert status.silent_s < 3


def test_unplugged_and_back(simulated: SimulatedBoard, desk: Desk) -> None:
    until(desk.snapshots, 5, "the first snapshot")
    simulated.unplug()
    until(lambda: desk.downs() == ["port_lost", "port_missing"], 5, "the loss is told")
    simulated.plug()
    until(lambda: len(desk.snapshots()) == 2, 5, "the board is back, on another terminal")
    simulated.press(hold_s=0.2)
    until(desk.events, 5, "a press after the return")
    assert [event.boot_id for event in desk.events()] == [2]


def test_a_port_that_is_not_there_yet(tmp_path: Path, desk: Desk) -> None:
    until(lambda: desk.downs() == ["port_missing"], 5, "a missing port is told")
    board = SimulatedBoard(tmp_path / "board0", tmp_path / "presses.jsonl")
    board.start()
    try:
        until(desk.ups, 5, "it is found when it comes")
    finally:
        board.stop()


def test_garbage_on_the_line(simulated: SimulatedBoard, desk: Desk) -> None:
    until(desk.snapshots, 5, "the first snapshot")
    for number in range(20):
        simulated.inject(os.urandom(100) + (b"\x00" if number % 2 else b""))
    simulated.press(hold_s=0.2)
    until(lambda: desk.events("normal"), 10, "a press through the noise")
    assert len(desk.events()) == 1
    assert desk.board.status().crc_errors > 0


def test_a_loose_plug_makes_no_flood_of_lines(
    simulated: SimulatedBoard, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    until(desk.snapshots, 5, "the first snapshot")
    for number in range(1, 5):
        simulated.unplug()
        until(lambda: len(desk.downs()) >= number, 5, "the loss is told")  # noqa: B023
        simulated.plug()
        until(lambda: len(desk.snapshots()) > number, 5, "the board is back")  # noqa: B023
    lines = [line for line in caplog.messages if line.startswith("board")]
    assert len(lines) == len(set(lines)), "the same line again"


def test_half_a_frame_and_then_nothing(simulated: SimulatedBoard, desk: Desk) -> None:
    until(desk.snapshots, 5, "the first snapshot")
    whole = Frame(Kind.EVENT, 1, 0, 0, b"\x01" * 19, numbered=True).to_bytes()
    simulated.inject(whole[:11])
    simulated.press(hold_s=0.2)
    until(lambda: desk.events("normal"), 5, "a press after half a frame")
    assert len(desk.events()) == 1


def test_the_microcontroller_resets(simulated: SimulatedBoard, desk: Desk) -> None:
    until(desk.snapshots, 5, "the first snapshot")
    desk.commits = False
    simulated.press(hold_s=0.2)
    until(lambda: desk.events("normal"), 5, "the press")
    simulated.restart()
    until(lambda: desk.downs() == ["board_restarted"], 5, "the restart is told")
    until(lambda: len(desk.snapshots()) == 2, 5, "and the return")
    assert len(desk.events()) == 1, "resent under its old key, it is no second press"
    until(lambda: len(desk.events("normal")) == 2, 5, "the release, told anew: only presses survive a reset")
    for event in desk.events() + desk.events("normal"):
        desk.board.acknowledge(event.board_uid, event.boot_id, event.event_id)
    until(lambda: simulated.status()["uncommitted"] == 0, 5, "committed under its old key")


def test_a_report_that_was_not_taken_is_told_again(
    simulated: SimulatedBoard, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    until(desk.snapshots, 5, "the first snapshot")
    desk.fails = 1
    simulated.press(hold_s=0.2)
    until(lambda: desk.events("normal"), 10, "press and release, after a new session")
    assert len(desk.events()) == 1
    assert "the desk is not well" in caplog.text


def test_a_second_owner_is_kept_out(tmp_path: Path, simulated: SimulatedBoard, desk: Desk) -> None:
    until(desk.snapshots, 5, "the first snapshot")
    other = Desk(tmp_path / "board0")
    other.board.start()
    try:
        until(lambda: other.downs() == ["port_missing"], 5, "the port is locked")
    finally:
        other.board.stop()
    assert not other.ups()
    assert desk.downs() == []


def test_stop_ends_the_thread_and_may_be_called_twice(tmp_path: Path) -> None:
    never_started = Desk(tmp_path / "none")
    never_started.board.stop()
    desk = Desk(tmp_path / "none")
    desk.board.start()
    assert any(thread.name == "board-none" for thread in threading.enumerate())
    desk.board.stop()
    desk.board.stop()
    desk.board.acknowledge("00", 1, 1)
    assert not any(thread.name == "board-none" for thread in threading.enumerate())
    assert desk.downs()[-1] == "stopped"


def test_a_terminal_with_nobody_behind_it(tmp_path: Path, desk: Desk) -> None:
    board_end, host_end = pty.openpty()
    tty.setraw(host_end)
    (tmp_path / "board0").symlink_to(os.ttyname(host_end))
    try:
        until(lambda: "no_answer" in desk.downs(), 8, "no answer is told after 3 s")
        resets = Deframer().feed(os.read(board_end, 4096))
        assert {frame.kind for frame in resets} == {Kind.RESET}
        assert len(resets) < 12
    finally:
        os.close(board_end)
        os.close(host_end)


def test_from_the_last_byte_to_the_report_in_under_5_ms(tmp_path: Path, desk: Desk) -> None:
    """200 events written whole to a terminal; the median is far lower, the bound is for a busy machine."""
    board_end, host_end = pty.openpty()
    tty.setraw(host_end)
    (tmp_path / "board0").symlink_to(os.ttyname(host_end))
    deframer, numbering, waits = Deframer(), Numbering(), []
    hello = say.Hello(1, (0, 0, 1), bytes(8), 1, 1, 2, 0, 0).to_payload()
    try:
        while not desk.ups():
            for frame in deframer.feed(os.read(board_end, 4096)):
                if frame.kind is Kind.RESET:
                    numbering.begin(frame.session)
                    os.write(board_end, numbering.plain(Kind.HELLO, hello))
        for event_id in range(1, 201):
            event = say.Event(1, event_id, 0, 0, LineState.NORMAL, LineState.ALARM, 700, 1)
            written_ns = time.monotonic_ns()
            os.write(board_end, numbering.send(Kind.EVENT, event.to_payload(), 0))
            came = desk.came.get(timeout=5)
            waits.append(time.monotonic_ns() - written_ns)
            assert came.event_id == event_id
            while not numbering.idle:
                for frame in deframer.feed(os.read(board_end, 4096)):
                    numbering.receive(frame)
    finally:
        os.close(board_end)
        os.close(host_end)
    assert statistics.median(waits) < 5_000_000, f"median {statistics.median(waits) / 1e6:.2f} ms"
