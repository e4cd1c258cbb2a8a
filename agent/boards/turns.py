"""PURE. Times on an RS-485 bus, and whose turn it is to be asked.

Sources: Modbus over Serial Line V1.02, 2.5.1.1: characters of 11 bits with parity (10 without, as the modules in
question have one stop bit), frames parted by 3.5 characters, above 19200 baud by 1.75 ms.

Invariants
1. Whoever has waited longest is asked next; but after a question to a doubtful module comes a sound one that is due,
   so that sound modules never wait for two answers that were known to be doubtful. (When several modules die at once,
   the first question to each of them is one too many.)
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from agent.boards.polled import CONFIRM_NS

_MS: Final = 1_000_000
_S: Final = 1_000_000_000

TYPICAL_ANSWER_MS: Final = 10
"""What modules with a dozen inputs take before they answer; used to judge whether a bus can be polled as wanted."""

_READ_BYTES: Final = 8
"""A question that reads: unit, function, address, count, CRC."""

_ANSWER_BYTES: Final = 5
"""An answer without its bits: unit, function, length, CRC."""

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Wire:
    """How the bus speaks. `answer_ms` is how long a module may take before it begins to answer."""

    baud: int = 9600
    parity: str = "none"
    answer_ms: int = 40

    def carry_ns(self, length: int) -> int:
        """How long `length` bytes take on the wire."""
        bits = 10 if self.parity == "none" else 11
        return length * bits * _S // self.baud

    @property
    def quiet_ns(self) -> int:
        """The silence that parts two frames."""
        return 1_750_000 if self.baud > 19200 else self.carry_ns(7) // 2

    def patience_ns(self, asked: int, answered: int) -> int:
        """From the first byte of a question to giving up on its answer, both lengths in bytes."""
        return self.carry_ns(asked + answered) + 2 * self.quiet_ns + self.answer_ms * _MS


def exchange_ms(wire: Wire, inputs: int, answer_ms: float) -> float:
    """How long one poll of a module with so many inputs holds the bus when it takes `answer_ms` to answer."""
    length = _READ_BYTES + _ANSWER_BYTES + math.ceil(inputs / 8)
    return (wire.carry_ns(length) + 2 * wire.quiet_ns) / _MS + answer_ms


def needed_ms(wire: Wire, inputs: Sequence[int]) -> float:
    """How long polling all modules of a bus once takes, one of which does not answer. `inputs`: how many each has."""
    typical = sum(exchange_ms(wire, each, TYPICAL_ANSWER_MS) for each in inputs)
    return typical + max(0, wire.answer_ms - TYPICAL_ANSWER_MS)


def press_ms(wire: Wire, inputs: Sequence[int], poll_ms: int) -> int:
    """A press that lasts this long is seen for certain while every module answers: it begins just after a poll, is read
    by the next one and read again `CONFIRM_NS` later, and each time the bus is busy with the others first. One
    disturbed answer adds what a module is left alone for (`polled.LATE_ANSWER_NS`)."""
    once_ms = sum(exchange_ms(wire, each, wire.answer_ms) for each in inputs)
    return math.ceil(poll_ms + CONFIRM_NS / _MS + 2 * once_ms)


@dataclass(frozen=True, slots=True)
class Due:
    """When a module is to be asked, and whether its answer may not come."""

    ask_ns: int
    doubtful: bool


def turn(due: Iterable[tuple[Key, Due]], now_ns: int, after_doubtful: bool) -> Key | None:
    """Who is asked now, None when nobody is due. `after_doubtful`: the last question was to a doubtful module."""
    ready = [(each.doubtful and after_doubtful, each.ask_ns, key) for key, each in due if each.ask_ns <= now_ns]
    return min(ready, key=lambda one: one[:2])[2] if ready else None
