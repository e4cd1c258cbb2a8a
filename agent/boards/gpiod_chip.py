"""A GPIO chip by libgpiod v2 (`gpiod`): the character device of the kernel, with its debounce and its clock."""

import errno
import select
from datetime import timedelta
from pathlib import Path
from typing import Final

import gpiod
from gpiod.line import Bias, Clock, Direction, Value
from gpiod.line import Edge as Edges

from agent.boards.chip import DEBOUNCE_MS, LineBusy, Wiring
from agent.boards.lines import Edge

CONSUMER: Final = "yunjian"
"""What `gpioinfo` shows as the holder of our lines."""

EVENTS_KEPT: Final = 1024
"""Edges that wait in the kernel for us, the most it takes; its default of 16 a line is full after half a second of
chatter at one edge per debounce period. Each line is requested by itself, so that none pushes out another's."""

_BIASES: Final = {
    "pull_up": Bias.PULL_UP,
    "pull_down": Bias.PULL_DOWN,
    "none": Bias.DISABLED,
    "as_is": Bias.AS_IS,
}


class GpiodInput:
    """One input line."""

    def __init__(self, request: gpiod.LineRequest, line: int) -> None:
        self._request = request
        self._line = line

    @property
    def fd(self) -> int:
        return self._request.fd

    def active(self) -> bool:
        return bool(self._request.get_value(self._line) is Value.ACTIVE)

    def edges(self) -> list[Edge]:
        # Not by `wait_edge_events`: select(2) beneath it knows no descriptor above 1023.
        waiter = select.poll()
        waiter.register(self._request.fd, select.POLLIN)
        found: list[Edge] = []
        while any(happened & select.POLLIN for _, happened in waiter.poll(0)):
            for event in self._request.read_edge_events():
                rising = event.event_type is gpiod.EdgeEvent.Type.RISING_EDGE
                found.append(Edge(rising, event.timestamp_ns, event.line_seqno))
        return found

    def close(self) -> None:
        self._request.release()


class GpiodOutput:
    """One output line."""

    def __init__(self, request: gpiod.LineRequest, line: int) -> None:
        self._request = request
        self._line = line

    def set(self, active: bool) -> None:
        self._request.set_value(self._line, _value(active))

    def close(self) -> None:
        self._request.release()


class GpiodChip:
    """A chip at `/dev/gpiochip*`."""

    def __init__(self, path: Path, wiring: Wiring) -> None:
        self.path = path
        self._wiring = wiring
        self._chip: gpiod.Chip | None = None

    def open(self) -> None:
        self._chip = gpiod.Chip(str(self.path))

    def input(self, line: int) -> GpiodInput:
        return GpiodInput(self._request(line, input_settings(self._wiring), EVENTS_KEPT), line)

    def output(self, line: int, active: bool) -> GpiodOutput:
        return GpiodOutput(self._request(line, output_settings(self._wiring, active), None), line)

    def close(self) -> None:
        chip, self._chip = self._chip, None
        if chip is not None:
            chip.close()

    def _request(self, line: int, settings: gpiod.LineSettings, kept: int | None) -> gpiod.LineRequest:
        assert self._chip is not None  # opened first
        count = self._chip.get_info().num_lines
        if line >= count:
            raise OSError(errno.EINVAL, f"there is no line {line}, the chip has {count}")
        try:
            return self._chip.request_lines({line: settings}, CONSUMER, kept)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise LineBusy(line, self._chip.get_line_info(line).consumer) from None
            raise OSError(error.errno, f"line {line}: {error.strerror}") from None


def input_settings(wiring: Wiring) -> gpiod.LineSettings:
    """Both edges, debounced by the kernel and stamped by CLOCK_MONOTONIC."""
    return gpiod.LineSettings(
        direction=Direction.INPUT,
        edge_detection=Edges.BOTH,
        bias=_BIASES[wiring.bias],
        active_low=wiring.active_low,
        debounce_period=timedelta(milliseconds=DEBOUNCE_MS),
        event_clock=Clock.MONOTONIC,
    )


def output_settings(wiring: Wiring, active: bool) -> gpiod.LineSettings:
    """Driven so from the moment it is requested."""
    return gpiod.LineSettings(
        direction=Direction.OUTPUT, active_low=wiring.outputs_active_low, output_value=_value(active)
    )


def _value(active: bool) -> Value:
    return Value.ACTIVE if active else Value.INACTIVE
