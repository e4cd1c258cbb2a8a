"""Lines of a chip that keeps the kernel's rules, and what libgpiod itself says where there is no chip."""

import inspect
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import gpiod
import pytest

from agent.boards.chip import Wiring
from agent.boards.contract import new_boot_id
from agent.boards.gpio import GpioBoard, LinesAt
from agent.boards.gpiod_chip import CONSUMER, EVENTS_KEPT, GpiodChip, input_settings, output_settings
from agent.clock import SystemClock
from firmware_bridge.reports import Report
from tests.boards.desk import Taker
from tests.boards.fake_chip import FakeChip
from tests.fakes.waiting import until


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[FakeChip]:
    made = FakeChip(tmp_path / "gpiochip7", fifo_size=4)
    yield made
    made.stop()


@pytest.fixture
def taker() -> Taker:
    return Taker()


def begun(chip: FakeChip, taker: Taker, at: LinesAt) -> GpioBoard:
    board = GpioBoard(chip, at, new_boot_id(), taker.take, SystemClock())
    board.start()
    until(taker.links, 10, "the first word on the link")
    return board


def test_a_line_that_somebody_holds_takes_no_other_with_it(
    chip: FakeChip, taker: Taker, caplog: pytest.LogCaptureFixture
) -> None:
    chip.held[3] = "w1-gpio"
    board = begun(chip, taker, LinesAt((2, 3)))
    try:
        until(taker.up_now, 10, "the other line is watched")
        assert taker.snapshots()[0].states == {0: "normal", 1: "fault"}
        assert board.status().heartbeat["held"] == {"3": "w1-gpio"}
        assert "line 3 is held by w1-gpio" in caplog.text
        chip.press(2)
        until(lambda: taker.events(0, "normal"), 10, "a press beside it")
        chip.held.clear()
        until(lambda: taker.events(1, "normal"), 10, "it is asked for again")
        assert (taker.events(1)[0].previous, taker.events(1)[0].late) == ("fault", True)
        assert board.status().heartbeat["held"] == {}
        chip.press(3)
        until(lambda: taker.events(1, "alarm"), 10, "and watched")
    finally:
        board.stop()
    assert chip.requested == {}


def test_when_every_line_is_held_the_link_is_down_and_says_by_whom(chip: FakeChip, taker: Taker) -> None:
    chip.held = {2: "spi0", 3: "spi0"}
    board = begun(chip, taker, LinesAt((2, 3)))
    try:
        assert [link.reason for link in taker.links()] == ["line_busy: line 3 is held by spi0"]
        chip.held.clear()
        until(taker.up_now, 10, "both are free")
    finally:
        board.stop()


def test_edges_that_nobody_fetched_in_time_are_counted_and_a_snapshot_follows(
    chip: FakeChip, taker: Taker, caplog: pytest.LogCaptureFixture
) -> None:
    waits = threading.Event()

    def take(report: Report) -> None:
        if taker.events():
            waits.wait(20)
        taker.take(report)

    board = GpioBoard(chip, LinesAt((0,)), new_boot_id(), take, SystemClock())
    board.start()
    try:
        until(taker.snapshots, 10, "it is watched")
        chip.press(0, 0.05)
        until(lambda: taker.events() and chip.requested[0].seqno == 2, 10, "the first edge is told, the second hangs")
        for at in range(1, 6):
            chip.press(0, 0.05)
            until(lambda: chip.requested[0].seqno == 2 * (at + 1), 10, "pressed and released")  # noqa: B023
        waits.set()
        until(lambda: len(taker.snapshots()) == 2, 10, "a snapshot follows the loss")
        assert sum(event.count for event in taker.events(0, "alarm")) == 6
        assert taker.snapshots()[1].states == {0: "normal"}
        assert board.status().heartbeat["edges_lost"] > 0
        assert "edges were lost" in caplog.text
    finally:
        waits.set()
        board.stop()


def test_a_driver_that_loses_interrupts_is_looked_after(chip: FakeChip, taker: Taker) -> None:
    board = begun(chip, taker, LinesAt((0,)))
    try:
        until(taker.up_now, 10, "it is watched")
        chip.interrupts_lost = True
        chip.hold(0, True)
        until(lambda: taker.events(0, "alarm"), 10, "found by looking")
        assert not taker.events(0, "alarm")[0].late
    finally:
        board.stop()


def test_a_contact_that_moves_shorter_than_the_debounce_is_none(chip: FakeChip, taker: Taker) -> None:
    board = begun(chip, taker, LinesAt((0, 1)))
    try:
        until(taker.up_now, 10, "it is watched")
        chip.press(0, 0.012)
        chip.press(1, 0.2)
        until(lambda: taker.events(1, "normal"), 10, "a real press on the other line")
        assert taker.events(0) == []
    finally:
        board.stop()


def test_outputs_are_off_until_told_and_off_when_it_stops(chip: FakeChip, taker: Taker) -> None:
    board = begun(chip, taker, LinesAt((0,), siren=4, strobe=5))
    try:
        until(lambda: chip.outputs == {4: False, 5: False}, 10, "requested as off")
        board.output(True, False)
        until(lambda: chip.outputs == {4: True, 5: False}, 10, "driven")
    finally:
        board.stop()
    assert chip.outputs == {}


def test_a_chip_that_is_none(tmp_path: Path, taker: Taker, caplog: pytest.LogCaptureFixture) -> None:
    """libgpiod itself, with a file that is no chip and with none at all."""
    caplog.set_level(logging.INFO)
    (tmp_path / "gpiochip0").write_text("no chip")
    for path, said in ((tmp_path / "gpiochip0", "port_missing"), (tmp_path / "none", "port_missing")):
        there = Taker()
        board = GpioBoard(GpiodChip(path, Wiring()), LinesAt((0,)), new_boot_id(), there.take, SystemClock())
        board.start()
        until(there.downs, 10, "it is told")
        board.stop()
        assert there.downs() == [said, "stopped"]
        assert str(path) in caplog.text


def test_the_library_takes_what_it_is_given() -> None:
    """The settings are made by libgpiod v2 itself, and the request has the arguments that are used."""
    settings = input_settings(Wiring(bias="pull_down", active_low=False))
    assert settings.debounce_period.total_seconds() == 0.03
    assert (settings.edge_detection, settings.event_clock) == (gpiod.line.Edge.BOTH, gpiod.line.Clock.MONOTONIC)
    assert (settings.bias, settings.active_low) == (gpiod.line.Bias.PULL_DOWN, False)
    output = output_settings(Wiring(outputs_active_low=True), active=True)
    assert (output.direction, output.output_value) == (gpiod.line.Direction.OUTPUT, gpiod.line.Value.ACTIVE)
    inspect.signature(gpiod.Chip.request_lines).bind(None, {1: settings}, CONSUMER, EVENTS_KEPT)
