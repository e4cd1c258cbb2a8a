"""PURE. Questions and answers of Modbus-RTU: frames by pymodbus, and what makes a frame the answer to a question.

pymodbus makes the frames, knows their checksum and reads their bits. Its serial client is not used: it measures how
long it waits by the wall clock, which people and time servers set, it takes any frame of the right unit for the answer,
and it waits by short sleeps.

Invariants
1. An answer has the unit, the function and the length that were asked for and a right checksum; a written coil also the
   address and the value. Nothing else is one.
2. Two frames that could both be the answer are none: one of them is late, and which one cannot be told.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pymodbus.framer.rtu import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)

from agent.boards.polled import Miss

_READ_COILS: Final = 1
_READ_INPUTS: Final = 2
_WRITE_COIL: Final = 5
_WRITE_COILS: Final = 15
_REFUSED: Final = 0x80
_CRC_BYTES: Final = 2

_FRAMER: Final = FramerRTU(DecodePDU(False))

_EXCEPTIONS: Final = {1: "illegal function", 2: "illegal address", 3: "illegal value", 4: "device failure", 6: "busy"}
"""Modbus Application Protocol V1.1b3, 7."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one unit is asked. `answer_bytes` is the length of a good answer."""

    unit: int
    function: int
    frame: bytes
    answer_bytes: int
    bits: int = 0


@dataclass(frozen=True, slots=True)
class Bits:
    """The inputs or coils that were read."""

    values: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """The coils were taken."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The module answered that it cannot."""

    code: int

    def __str__(self) -> str:
        return f"exception {self.code} ({_EXCEPTIONS.get(self.code, 'unknown')})"


def read_inputs(unit: int, address: int, count: int) -> Question:
    """FC02: discrete inputs `address` to `address + count - 1`."""
    return _reading(ReadDiscreteInputsRequest(dev_id=unit, address=address, count=count))


def read_coils(unit: int, address: int, count: int) -> Question:
    """FC01: coils."""
    return _reading(ReadCoilsRequest(dev_id=unit, address=address, count=count))


def write_coils(unit: int, address: int, values: tuple[bool, ...]) -> Question:
    """FC05 for one coil, FC15 for several that follow each other."""
    pdu: ModbusPDU
    if len(values) == 1:
        pdu = WriteSingleCoilRequest(dev_id=unit, address=address, bits=list(values))
    else:
        pdu = WriteMultipleCoilsRequest(dev_id=unit, address=address, bits=list(values))
    return Question(unit, pdu.function_code, _FRAMER.buildFrame(pdu), 8)


def _reading(pdu: ModbusPDU) -> Question:
    return Question(pdu.dev_id, pdu.function_code, _FRAMER.buildFrame(pdu), 5 + -(-pdu.count // 8), pdu.count)


class Hearing:
    """Collects what comes after a question. `echoes`: the adapter hears itself, so our own words come first."""

    def __init__(self, question: Question, echoes: bool) -> None:
        self._question = question
        self._echoes = echoes
        self._heard = bytearray()

    @property
    def echoed(self) -> bool:
        """What was heard begins with the question itself."""
        return self._heard.startswith(self._question.frame)

    def feed(self, data: bytes) -> Bits | Written | Refused | None:
        """More was heard. The answer, or None when there is none yet, or none that can be told from another."""
        self._heard += data
        found = list(self._answers())
        return found[0] if len(found) == 1 else None

    def miss(self) -> tuple[Miss, str]:
        """No answer came in time: what it was that came, if anything."""
        rest = self._rest()
        if len(list(self._answers())) > 1:
            return Miss.LATE, "two answers to one question"
        if not rest:
            return Miss.SILENT, ""
        for unit, function, _ in frames(rest):
            if unit == self._question.unit and function == self._question.function:
                return Miss.WRONG, "an answer of another length"
            if unit == self._question.unit:
                return Miss.WRONG, f"answered to function {function & ~_REFUSED}, asked was {self._question.function}"
            return Miss.WRONG, f"unit {unit} answered"
        return Miss.GARBLED, ""

    def units_heard(self) -> tuple[int, ...]:
        """Units of which a whole frame was heard that is not the answer, in order."""
        answered = 1 if len(list(self._answers())) == 1 else 0
        units = [unit for unit, _, _ in frames(self._rest())]
        if answered and self._question.unit in units:
            units.remove(self._question.unit)
        return tuple(units)

    def _rest(self) -> bytes:
        """What was heard, without the echo of the question."""
        frame = self._question.frame
        if self._heard.startswith(frame) and (self._echoes or self._question.bits):
            return bytes(self._heard[len(frame) :])
        return bytes(self._heard)

    def _answers(self) -> Iterator[Bits | Written | Refused]:
        question = self._question
        for unit, function, frame in frames(self._rest()):
            if unit != question.unit or function & ~_REFUSED != question.function:
                continue
            if function & _REFUSED:
                yield Refused(frame[2])
            elif len(frame) == question.answer_bytes:
                if question.bits:
                    yield _bits(frame, question.bits)
                elif frame[2:6] == question.frame[2:6]:
                    yield Written()


def frames(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Every whole answer in `data` as (unit, function, frame), also behind noise: a line that is switched from sending
    to hearing often invents a byte. Six bytes of noise pass for a frame once in a million."""
    at = 0
    while at + 5 <= len(data):
        length = _length(data, at)
        end = at + length
        if length and end <= len(data) and _sound(data[at:end]):
            yield data[at], data[at + 1], data[at:end]
            at = end
        else:
            at += 1


def known(units: Iterable[int], data: bytes) -> tuple[int, ...]:
    """Which of `units` spoke in `data`, each as often as it did."""
    return tuple(unit for unit, _, _ in frames(data) if unit in units)


def _length(data: bytes, at: int) -> int:
    function = data[at + 1]
    if function & _REFUSED:
        return 5 if function & ~_REFUSED in (_READ_COILS, _READ_INPUTS, _WRITE_COIL, _WRITE_COILS) else 0
    if function in (_READ_COILS, _READ_INPUTS):
        return 5 + data[at + 2]
    return 8 if function in (_WRITE_COIL, _WRITE_COILS) else 0


def _sound(frame: bytes) -> bool:
    crc = int.from_bytes(frame[-_CRC_BYTES:], "big")
    return FramerRTU.check_CRC(frame[:-_CRC_BYTES], crc)


def _bits(frame: bytes, count: int) -> Bits:
    answer = _FRAMER.decoder.decode(frame[1:-_CRC_BYTES])
    assert answer is not None  # function, length and checksum are right
    return Bits(tuple(answer.bits[:count]))
