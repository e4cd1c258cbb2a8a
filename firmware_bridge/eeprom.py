"""PURE. What the board keeps through power loss, and where (PROTOCOL.md, 7).

The image is 1024 bytes, as on an ATmega328P. Erased bytes are 0xFF.

    0   uid            8   64 random bits, written when the board is flashed
    8   boot counter  12   two copies of { u32 counter, u16 CRC }, written in turn
    32  panic cells  256   16 of { mark, input, boot_id u32, event_id u32, count u16, previous, CRC u16 }, 16 bytes each
    288 configuration  32 inputs of { the payload of CONFIG, 17 bytes; CRC u16 }, 20 bytes each

Invariants
1. A write torn by a power cut leaves a record whose CRC does not match: it reads as absent, never as another.
2. The boot counter never goes back: the copy not being written is whole.
"""

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from firmware_bridge.frame import BadFrame, crc16
from firmware_bridge.messages import Config, LineState

IMAGE_BYTES: Final = 1024
CELLS: Final = 16
"""One for each place of the event ring: every uncommitted press survives a power cut."""

_BOOT_AT: Final = 8
_CELLS_AT: Final = 32
_CELL_BYTES: Final = 16
_CONFIG_AT: Final = _CELLS_AT + CELLS * _CELL_BYTES
_CONFIG_BYTES: Final = 20
_PENDING: Final = 0xA5
_COMMITTED: Final = 0x5A
_CELL = struct.Struct(">BBIIHB")
_COUNTER = struct.Struct(">I")


class Write(NamedTuple):
    """These bytes are to be written there."""

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
    copies = [_counter(image, at) for at in (0, 1)]
    newest = max((each for each in copies if each is not None), default=0)
    target = 1 if copies[0] == newest else 0
    body = _COUNTER.pack((newest + 1) % (1 << 32))
    return (newest + 1) % (1 << 32), Write(_BOOT_AT + 6 * target, body + crc16(body).to_bytes(2, "big"))


def cell_write(number: int, cell: PanicCell | None) -> Write:
    """Keep `cell` in place `number`, or clear that place."""
    at = _CELLS_AT + number * _CELL_BYTES
    if cell is None:
        return Write(at, b"\xff")
    mark = _COMMITTED if cell.committed else _PENDING
    body = _CELL.pack(mark, cell.input_no, cell.boot_id, cell.event_id, cell.count, cell.previous)
    return Write(at, body + crc16(body).to_bytes(2, "big"))


def cells_of(image: bytes) -> list[PanicCell | None]:
    """What each place holds; None for a place that is empty or torn."""
    return [_cell(image[at : at + _CELL_BYTES]) for at in range(_CELLS_AT, _CONFIG_AT, _CELL_BYTES)]


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
    except BadFrame:
        return None
    return config if config.input_no == input_no else None


def written(image: bytes, write: Write) -> bytes:
    """The image after `write`."""
    return image[: write.address] + write.data + image[write.address + len(write.data) :]


def _counter(image: bytes, copy: int) -> int | None:
    at = _BOOT_AT + 6 * copy
    body, check = image[at : at + 4], image[at + 4 : at + 6]
    return int.from_bytes(body, "big") if crc16(body).to_bytes(2, "big") == check else None


def _cell(stored: bytes) -> PanicCell | None:
    body, check = stored[: _CELL.size], stored[_CELL.size : _CELL.size + 2]
    if crc16(body).to_bytes(2, "big") != check:
        return None
    mark, input_no, boot_id, event_id, count, previous = _CELL.unpack(body)
    if mark not in (_PENDING, _COMMITTED):
        return None
    try:
        return PanicCell(input_no, boot_id, event_id, count, LineState(previous), mark == _COMMITTED)
    except ValueError:
        return None
