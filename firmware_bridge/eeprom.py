"""PURE. What the board keeps through power loss, and where (PROTOCOL.md, 7).

The image is 1024 bytes, as on an ATmega328P. Erased bytes are 0xFF.

    0   uid            8   64 random bits, written when the board is flashed
    8   boot counter  12   two copies of { u32 counter, u16 CRC }, written in turn
    20  watchdog       8   two copies of { u16 resets by the watchdog, u16 CRC }, written in turn
    32  panic cells  256   16 of { mark, input, boot_id u32, event_id u32, count u16, previous, CRC u16, committed }, 16
                           bytes each
    288 configuration 640  32 inputs of { the payload of CONFIG, 17 bytes; CRC u16 }, 20 bytes each
    928 panic cell    16   the seventeenth

A record is written from its last byte to its first. The mark of a cell therefore comes last: clearing a cell writes
its mark alone, and a new record written over the rest of the old one must not be taken for the old one meanwhile. That
the host has committed it is a byte behind the CRC, and written alone: 60 ms of writing the record anew would be 60 ms
without it, in which a reset made a second press of a button that is held.

Invariants
1. A write torn by a power cut leaves a record that reads as the old one, the new one, or as absent. Written over a
   cleared cell it reads as absent until it is whole; over a committed one that one may read as not committed, which
   tells it again under its own key. What is not committed is never written over by what is, but by itself.
2. The boot counter never goes back: the copy not being written is whole.
"""

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from firmware_bridge.frame import BadFrame, crc16
from firmware_bridge.messages import MAX_INPUTS, Config, InputKind, InputMode, LineState

IMAGE_BYTES: Final = 1024

PLACES: Final = 16
"""Events in the ring of a board."""

CELLS: Final = PLACES + 1
"""One for each place of the ring, so that every uncommitted press survives a power cut, and one more: a press that
takes the place of another is whole in EEPROM before the other is cleared."""

_BOOT_AT: Final = 8
_WATCHDOG_AT: Final = 20
_CELLS_AT: Final = 32
_CELL_BYTES: Final = 16
_CONFIG_AT: Final = 288
_CONFIG_BYTES: Final = 20
_LAST_CELL_AT: Final = 928
_PENDING: Final = 0xA5
_COMMITTED: Final = 0x5A
_CELL = struct.Struct(">BBIIHB")


class Write(NamedTuple):
    """These bytes are to be written there, the last one first."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class PanicCell:
    """A panic alarm kept through power loss.

    Not `committed`: it is sent again after a reset under the same key. `committed`: the host has it, and the
    button is still held, so that a reset does not make a second alarm of it.
    """

    input_no: int
    boot_id: int
    event_id: int
    count: int
    previous: LineState
    committed: bool = False


def blank(uid: bytes) -> bytes:
    """The image of a board that was just flashed. `uid` is 8 bytes."""
    if len(uid) != 8:
        raise ValueError("a uid is 8 bytes")
    return uid + b"\xff" * (IMAGE_BYTES - 8)


def uid_of(image: bytes) -> bytes:
    """The 8 bytes that name the board."""
    return image[:8]


def next_boot(image: bytes) -> tuple[int, Write]:
    """The number of the boot that begins now, and the write that must be done before any event is numbered."""
    newest, target = _newest(image, _BOOT_AT, 4)
    boot_id = (newest + 1) % (1 << 32)
    return boot_id, _counter_write(target, boot_id, 4)


def watchdog_resets(image: bytes, one_more: bool) -> tuple[int, list[Write]]:
    """Resets by the watchdog since the board was flashed (stops at 65535), and what is to be written when that is
    one more than before."""
    newest, target = _newest(image, _WATCHDOG_AT, 2)
    if not one_more or newest == 0xFFFF:
        return newest, []
    return newest + 1, [_counter_write(target, newest + 1, 2)]


def cell_write(number: int, cell: PanicCell | None) -> Write:
    """Keep `cell` in place `number`, or clear that place."""
    at = _cell_at(number)
    if cell is None:
        return Write(at, b"\xff")
    body = _CELL.pack(_PENDING, cell.input_no, cell.boot_id, cell.event_id, cell.count, cell.previous)
    committed = _COMMITTED if cell.committed else 0xFF
    return Write(at, body + crc16(body).to_bytes(2, "big") + bytes((committed,)))


def cells_of(image: bytes) -> list[PanicCell | None]:
    """What each place holds; None for a place that is empty or torn."""
    return [_cell(image[_cell_at(number) : _cell_at(number) + _CELL_BYTES]) for number in range(CELLS)]


def config_write(config: Config) -> Write:
    """Keep the configuration of one input."""
    body = config.to_payload()
    return Write(_CONFIG_AT + config.input_no * _CONFIG_BYTES, body + crc16(body).to_bytes(2, "big"))


def config_of(image: bytes, input_no: int) -> Config | None:
    """The kept configuration of one input, None when there is none."""
    at = _CONFIG_AT + input_no * _CONFIG_BYTES
    body, check = image[at : at + 17], image[at + 17 : at + 19]
    if crc16(body).to_bytes(2, "big") != check:
        return None
    try:
        config = Config.from_payload(body)
        InputKind(config.kind)
        InputMode(config.mode)
    except (BadFrame, ValueError):
        return None
    return config if config.input_no == input_no else None


def written(image: bytes, write: Write) -> bytes:
    """The image after `write`."""
    return image[: write.address] + write.data + image[write.address + len(write.data) :]


def _newest(image: bytes, at: int, width: int) -> tuple[int, int]:
    """The newest of two copies of a counter of `width` bytes, 0 for none, and where the next value goes."""
    first, second = (_counter(image, copy_at, width) for copy_at in (at, at + width + 2))
    newest = max((each for each in (first, second) if each is not None), default=0)
    return newest, at + width + 2 if first == newest else at


def _counter(image: bytes, at: int, width: int) -> int | None:
    body, check = image[at : at + width], image[at + width : at + width + 2]
    return int.from_bytes(body, "big") if crc16(body).to_bytes(2, "big") == check else None


def _counter_write(at: int, value: int, width: int) -> Write:
    body = value.to_bytes(width, "big")
    return Write(at, body + crc16(body).to_bytes(2, "big"))


def _cell_at(number: int) -> int:
    return _CELLS_AT + number * _CELL_BYTES if number < PLACES else _LAST_CELL_AT


def _cell(stored: bytes) -> PanicCell | None:
    body, check = stored[: _CELL.size], stored[_CELL.size : _CELL.size + 2]
    if crc16(body).to_bytes(2, "big") != check:
        return None
    mark, input_no, boot_id, event_id, count, previous = _CELL.unpack(body)
    if mark != _PENDING or input_no >= MAX_INPUTS:
        return None
    try:
        return PanicCell(input_no, boot_id, event_id, count, LineState(previous), stored[-1] == _COMMITTED)
    except ValueError:
        return None
