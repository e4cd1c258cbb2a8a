"""PURE. TYB/1 frames: COBS, CRC, the header, and finding frames in a stream of bytes (PROTOCOL.md, 2 and 3).

Invariants
1. No bytes make anything here raise, except `Frame.from_bytes`, which raises BadFrame only.
2. A frame on the wire is at most `MAX_FRAME_BYTES` long with its delimiter; the Deframer never holds more.
3. A frame whose CRC does not match is never given out.
"""

import binascii
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

VERSION: Final = 1
"""The upper half of the first header byte. Another version is another protocol and is dropped."""

MAX_FRAME_BYTES: Final = 64
"""The longest frame on the wire, with COBS overhead and delimiter: one buffer of a small microcontroller."""

HEADER_BYTES: Final = 4
CRC_BYTES: Final = 2

MAX_PAYLOAD_BYTES: Final = MAX_FRAME_BYTES - 2 - HEADER_BYTES - CRC_BYTES
"""What is left for the payload beside one COBS byte, the delimiter, the header and the CRC: 56."""

DELIMITER: Final = 0x00

_NUMBERED: Final = 0x01
_REPEATED: Final = 0x02


class BadFrame(ValueError):
    """These bytes are no TYB/1 frame, or not a message that this version knows. The peer's fault or the line's."""


class Kind(IntEnum):
    """The lower half of the first header byte."""

    HELLO = 1
    EVENT = 2
    SNAPSHOT = 3
    HEARTBEAT = 4
    ACK = 5
    NAK = 6
    RESET = 7
    CONFIG = 8
    GET = 9
    OUTPUT = 10
    SYNC = 11
    SYNC_REPLY = 12
    ERROR = 13
    TEST = 14


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, without its coat of COBS and CRC.

    `session` (0-15) is which RESET this frame belongs to, 0 for none. `tx_seq` (0-255) is the number of a
    numbered frame, and of an unnumbered one the number that the next numbered frame will have. `ack_seq`
    (0-255) is the number that the sender expects next: everything before it has been received in order.
    """

    kind: Kind
    session: int
    tx_seq: int
    ack_seq: int
    payload: bytes = b""
    numbered: bool = False
    repeated: bool = False

    def to_bytes(self) -> bytes:
        """The frame as it goes on the wire, delimiter included. Raises ValueError for a payload too long."""
        if len(self.payload) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"a payload of {len(self.payload)} bytes is longer than {MAX_PAYLOAD_BYTES}")
        flags = (_NUMBERED if self.numbered else 0) | (_REPEATED if self.repeated else 0) | self.session << 4
        body = bytes((VERSION << 4 | self.kind, flags, self.tx_seq, self.ack_seq)) + self.payload
        return cobs_encode(body + crc16(body).to_bytes(CRC_BYTES, "big")) + bytes((DELIMITER,))

    @classmethod
    def from_bytes(cls, encoded: bytes) -> "Frame":
        """The frame in these bytes, which are given without the delimiter. Raises BadFrame."""
        body = cobs_decode(encoded)
        if not HEADER_BYTES + CRC_BYTES <= len(body) <= HEADER_BYTES + CRC_BYTES + MAX_PAYLOAD_BYTES:
            raise BadFrame(f"{len(body)} bytes are no frame")
        if crc16(body[:-CRC_BYTES]) != int.from_bytes(body[-CRC_BYTES:], "big"):
            raise BadFrame("the CRC does not match")
        version, number = body[0] >> 4, body[0] & 0x0F
        if version != VERSION:
            raise BadFrame(f"protocol version {version}")
        try:
            kind = Kind(number)
        except ValueError as error:
            raise BadFrame(f"frame type {number} is not known") from error
        flags = body[1]
        return cls(
            kind=kind,
            session=flags >> 4,
            tx_seq=body[2],
            ack_seq=body[3],
            payload=body[HEADER_BYTES:-CRC_BYTES],
            numbered=bool(flags & _NUMBERED),
            repeated=bool(flags & _REPEATED),
        )


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, not reflected, no final XOR. b"123456789" -> 0x29B1."""
    return binascii.crc_hqx(data, 0xFFFF)


def cobs_encode(data: bytes) -> bytes:
    """`data` (at most 253 bytes here) without any zero byte, one byte longer per started 254 bytes."""
    encoded = bytearray()
    for part in data.split(b"\x00"):
        while len(part) >= 0xFE:
            encoded += b"\xff" + part[:0xFE]
            part = part[0xFE:]
        encoded.append(len(part) + 1)
        encoded += part
    return bytes(encoded)


def cobs_decode(encoded: bytes) -> bytes:
    """What `cobs_encode` was given. Raises BadFrame for bytes that it cannot have made."""
    data = bytearray()
    at = 0
    while at < len(encoded):
        code = encoded[at]
        end = at + code
        if code == 0 or end > len(encoded):
            raise BadFrame("broken COBS")
        part = encoded[at + 1 : end]
        if 0 in part:
            raise BadFrame("a zero inside a frame")
        data += part
        at = end
        if code != 0xFF and at < len(encoded):
            data.append(0)
    return bytes(data)


class Deframer:
    """Eats bytes as they come, gives whole good frames, and counts the rest.

    `bad_frames` counts stretches between delimiters that were no frame (noise, a wrong CRC, too long, an unknown
    type); `garbage_bytes` how many bytes those were.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.bad_frames = 0
        self.garbage_bytes = 0
        self._held = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete, in order."""
        found: list[Frame] = []
        for byte in data:
            if byte != DELIMITER:
                self._hold(byte)
                continue
            if self._skipping:
                self._skipping = False
                self.bad_frames += 1
            elif self._held:
                self._judge(found)
            self._held.clear()
        return found

    def forget(self) -> None:
        """Drop a half-received frame: the line was cut."""
        self.garbage_bytes += len(self._held)
        self._held.clear()
        self._skipping = False

    def _hold(self, byte: int) -> None:
        if self._skipping:
            self.garbage_bytes += 1
            return
        self._held.append(byte)
        if len(self._held) >= MAX_FRAME_BYTES:
            # Too long for any frame: the rest, up to the next delimiter, is noise as well.
            self.garbage_bytes += len(self._held)
            self._held.clear()
            self._skipping = True

    def _judge(self, found: list[Frame]) -> None:
        try:
            found.append(Frame.from_bytes(bytes(self._held)))
            self.frames += 1
        except BadFrame:
            self.bad_frames += 1
            self.garbage_bytes += len(self._held)
