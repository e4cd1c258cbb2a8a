"""What libgpiod makes of our requests: run as a program of its own, with gpio_calls.c before the C library."""

import ctypes
import logging
import sys
import time
from pathlib import Path

import pytest

from agent.boards.chip import Wiring
from agent.boards.contract import new_boot_id
from agent.boards.gpio import GpioBoard, LinesAt
from agent.boards.gpiod_chip import EVENTS_KEPT, GpiodChip
from agent.clock import SystemClock
from tests.boards.desk import Taker
from tests.fakes.waiting import until

BUTTON, HELD, SIREN = 4, 5, 6
USED, ACTIVE_LOW, INPUT, OUTPUT, RISING, FALLING, _, _, PULL_UP = (1 << bit for bit in range(9))
"""Flags of a line (linux/gpio.h)."""

calls = ctypes.CDLL(None)


def edge(active: bool, lost: bool = False) -> None:
    """The button's line settles."""
    calls.gpio_edge(BUTTON, int(active), ctypes.c_ulonglong(time.monotonic_ns()), int(lost))


def flags(line: int) -> int:
    """How the line was requested."""
    calls.gpio_flags.restype = ctypes.c_ulonglong
    return int(calls.gpio_flags(line))


def main(chip: Path) -> None:
    """Raises AssertionError."""
    logging.basicConfig(level=logging.INFO)
    calls.gpio_begin()
    calls.gpio_hold(HELD, 1)
    taker = Taker()
    at = LinesAt((BUTTON, HELD), siren=SIREN)
    board = GpioBoard(GpiodChip(chip, Wiring()), at, new_boot_id(), taker.take, SystemClock())
    board.start()
    until(taker.snapshots, 10, "the snapshot")
    assert taker.snapshots()[0].states == {0: "normal", 1: "fault"}
    assert board.status().heartbeat["held"] == {str(HELD): "w1-gpio"}
    assert flags(BUTTON) == ACTIVE_LOW | INPUT | RISING | FALLING | PULL_UP, "stamped by CLOCK_MONOTONIC, pulled up"
    assert (calls.gpio_debounce_us(BUTTON), calls.gpio_buffer(BUTTON)) == (30_000, EVENTS_KEPT)
    until(lambda: flags(SIREN) == OUTPUT, 10, "the siren's line, too")
    assert calls.gpio_level(SIREN) == 0

    edge(True)
    until(lambda: taker.events(0, "alarm"), 10, "a press")
    pressed = taker.events(0, "alarm")[0]
    assert pressed.received_mono_ns - pressed.pressed_mono_ns >= 30_000_000
    for active in (False, True, False, True):
        edge(active, lost=True)
    edge(False)
    until(lambda: len(taker.snapshots()) == 2, 10, "a snapshot after the loss")
    assert sum(event.count for event in taker.events(0, "alarm")) == 3

    board.output(True, False)
    until(lambda: calls.gpio_level(SIREN) == 1, 10, "the siren")
    calls.gpio_hold(HELD, 0)
    until(lambda: taker.events(1, "normal"), 10, "the line that is free now")

    calls.gpio_unplug(1)
    until(taker.downs, 10, "the chip is gone")
    calls.gpio_unplug(0)
    until(lambda: len(taker.ups()) == 2 and calls.gpio_level(SIREN) == 1, 10, "it is back, and the siren sounds")
    board.stop()
    assert calls.gpio_level(SIREN) == 0
    no_such_line(chip)


def no_such_line(chip: Path) -> None:
    """A line that the chip does not have is told with the number of those it has."""
    opened = GpiodChip(chip, Wiring())
    opened.open()
    with pytest.raises(OSError, match="there is no line 99, the chip has 8"):
        opened.input(99)
    opened.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
