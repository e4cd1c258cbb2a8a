"""PURE. What the frames of TYB/1 say: one dataclass per message (PROTOCOL.md, 8 has every field as a table).

All integers are big-endian. `from_payload` raises BadFrame for a payload of another length or with a value that
the table does not allow; a longer payload than known is taken from a newer peer and its tail is ignored.
"""

import struct
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import ClassVar, Final, Self

from firmware_bridge.frame import MAX_PAYLOAD_BYTES, BadFrame, Frame, Kind

MAX_INPUTS: Final = 32
"""As many inputs as one board may have: a SNAPSHOT of 32 fits one frame."""

MAX_ACKED_KEYS: Final = MAX_PAYLOAD_BYTES // 8
"""As many event keys as one ACK can hold: 7."""


class LineState(IntEnum):
    """The state of one input on the wire; the names in lower case are those of the agent's vocabulary."""

    UNKNOWN = 0
    NORMAL = 1
    ALARM = 2
    OPEN = 3
    SHORT = 4
    FAULT = 5
    TAMPER = 6


class ResetCause(IntEnum):
    """Why the board started."""

    UNKNOWN = 0
    POWER_ON = 1
    EXTERNAL = 2
    BROWN_OUT = 3
    WATCHDOG = 4


class ResetReason(IntEnum):
    """Why the host begins a session anew."""

    PORT_OPENED = 1
    NO_ANSWER = 2
    BOARD_RESTARTED = 3
    SILENT = 4
    NOT_TAKEN = 5
    DEAF = 6
    CONFIGURED = 7


class NakReason(IntEnum):
    """Why a receiver asks for the outstanding numbered frame again."""

    GARBAGE = 1
    OUT_OF_ORDER = 2


class Wanted(IntEnum):
    """What a GET asks for."""

    SNAPSHOT = 1
    HEARTBEAT = 2


class ErrorCode(IntEnum):
    """Why the board did not do what a message said."""

    BAD_MESSAGE = 1
    UNSUPPORTED = 2
    BAD_INPUT = 3


class InputKind(IntEnum):
    """What hangs on an input; decides its debounce time and whether its alarms are kept through power loss."""

    PANIC = 1
    CONTACT = 2


class InputMode(IntEnum):
    """How an input is wired."""

    END_OF_LINE = 1
    CLOSES_ON_ALARM = 2
    OPENS_ON_ALARM = 3


def _unpack(layout: struct.Struct, payload: bytes) -> tuple[int, ...]:
    if len(payload) < layout.size:
        raise BadFrame(f"a payload of {len(payload)} bytes instead of {layout.size}")
    return layout.unpack_from(payload)


def _state(value: int) -> LineState:
    try:
        return LineState(value)
    except ValueError as error:
        raise BadFrame(f"state {value}") from error


class _Integers:
    """A message whose fields are the integers of its layout, in order."""

    __slots__ = ()
    _LAYOUT: ClassVar[struct.Struct]

    def to_payload(self) -> bytes:
        """The payload of the frame that says this. Raises struct.error for a value that does not fit."""
        return self._LAYOUT.pack(*(getattr(self, each.name) for each in fields(self)))  # type: ignore[arg-type]

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """What a payload says. Raises BadFrame."""
        return cls(*_unpack(cls._LAYOUT, payload))


@dataclass(frozen=True, slots=True)
class Hello:
    """Board: who I am. In answer to RESET, and unasked (session 0) every second while there is no session."""

    KIND: ClassVar = Kind.HELLO
    protocol: int
    firmware: tuple[int, int, int]
    uid: bytes
    boot_id: int
    reset_cause: int
    inputs: int
    config_crc: int
    t_ms: int
    _LAYOUT: ClassVar = struct.Struct(">BBBB8sIBBHI")

    def to_payload(self) -> bytes:
        return self._LAYOUT.pack(
            self.protocol, *self.firmware, self.uid, self.boot_id, self.reset_cause, self.inputs, self.config_crc,
            self.t_ms,
        )  # fmt: skip

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        if len(payload) < cls._LAYOUT.size:
            raise BadFrame("a short HELLO")
        protocol, major, minor, patch, uid, boot_id, cause, inputs, crc, t_ms = cls._LAYOUT.unpack_from(payload)
        if inputs > MAX_INPUTS:
            raise BadFrame(f"{inputs} inputs")
        return cls(protocol, (major, minor, patch), uid, boot_id, cause, inputs, crc, t_ms)


@dataclass(frozen=True, slots=True)
class Event:
    """Board: one input changed. (uid of the HELLO, `boot_id`, `event_id`) names it for ever."""

    KIND: ClassVar = Kind.EVENT
    boot_id: int
    event_id: int
    t_ms: int
    input_no: int
    previous: LineState
    state: LineState
    adc: int
    count: int
    from_latch: bool = False
    lost_before: bool = False
    _LAYOUT: ClassVar = struct.Struct(">IIIBBHHB")

    def to_payload(self) -> bytes:
        bits = (1 if self.from_latch else 0) | (2 if self.lost_before else 0)
        return self._LAYOUT.pack(
            self.boot_id, self.event_id, self.t_ms, self.input_no, self.previous << 4 | self.state, self.adc,
            self.count, bits,
        )  # fmt: skip

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        boot_id, event_id, t_ms, input_no, states, adc, count, bits = _unpack(cls._LAYOUT, payload)
        if input_no >= MAX_INPUTS:
            raise BadFrame(f"input {input_no}")
        return cls(
            boot_id, event_id, t_ms, input_no, _state(states >> 4), _state(states & 0x0F), adc, count,
            bool(bits & 1), bool(bits & 2),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class StateOfInputs:
    """Board (SNAPSHOT): the debounced state of every input, once every event so far has been taken by the host."""

    KIND: ClassVar = Kind.SNAPSHOT
    boot_id: int
    t_ms: int
    last_event_id: int
    lost_events: bool
    states: tuple[LineState, ...]
    _LAYOUT: ClassVar = struct.Struct(">IIIBB")

    def to_payload(self) -> bytes:
        padded = (*self.states, LineState.UNKNOWN) if len(self.states) % 2 else self.states
        packed = bytes(padded[at] << 4 | padded[at + 1] for at in range(0, len(padded), 2))
        head = self._LAYOUT.pack(
            self.boot_id, self.t_ms, self.last_event_id, 1 if self.lost_events else 0, len(self.states)
        )
        return head + packed

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        boot_id, t_ms, last_event_id, bits, inputs = _unpack(cls._LAYOUT, payload)
        packed = payload[cls._LAYOUT.size :]
        if inputs > MAX_INPUTS or len(packed) < (inputs + 1) // 2:
            raise BadFrame(f"a snapshot of {inputs} inputs in {len(packed)} bytes")
        nibbles = [half for byte in packed for half in (byte >> 4, byte & 0x0F)]
        return cls(boot_id, t_ms, last_event_id, bool(bits & 1), tuple(_state(each) for each in nibbles[:inputs]))


@dataclass(frozen=True, slots=True)
class BoardHeartbeat(_Integers):
    """Board, every second of a session: I live, and how well. Counters stop at 65535; `t_ms` wraps."""

    KIND: ClassVar = Kind.HEARTBEAT
    t_ms: int
    free_ram_bytes: int
    supply_mv: int
    queue_depth: int
    queue_age_ms: int
    bad_frames: int
    resent: int
    watchdog_resets: int
    host_silent_ms: int
    _LAYOUT: ClassVar = struct.Struct(">IHHBHHHHH")


@dataclass(frozen=True, slots=True)
class HostHeartbeat:
    """Host, every second of a session: I live."""

    KIND: ClassVar = Kind.HEARTBEAT

    def to_payload(self) -> bytes:
        return b""


@dataclass(frozen=True, slots=True)
class Ack:
    """Empty: the header alone acknowledges a numbered frame (received). From the host with keys: committed."""

    KIND: ClassVar = Kind.ACK
    committed: tuple[tuple[int, int], ...] = ()
    _LAYOUT: ClassVar = struct.Struct(">II")

    def to_payload(self) -> bytes:
        return b"".join(self._LAYOUT.pack(boot_id, event_id) for boot_id, event_id in self.committed)

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        whole = len(payload) - len(payload) % cls._LAYOUT.size  # a delimiter turned into 0x01 adds a byte to the end
        return cls(tuple((boot_id, event_id) for boot_id, event_id in cls._LAYOUT.iter_unpack(payload[:whole])))


@dataclass(frozen=True, slots=True)
class Nak(_Integers):
    """Either side: send the outstanding numbered frame again, now."""

    KIND: ClassVar = Kind.NAK
    reason: int
    _LAYOUT: ClassVar = struct.Struct(">B")


@dataclass(frozen=True, slots=True)
class Reset(_Integers):
    """Host: begin the session whose number this frame carries. Both sides number from 0 again."""

    KIND: ClassVar = Kind.RESET
    reason: int
    _LAYOUT: ClassVar = struct.Struct(">B")


@dataclass(frozen=True, slots=True)
class Config(_Integers):
    """Host: how one input is wired and judged. Thresholds are ADC counts of 1023, ratiometric to the supply."""

    KIND: ClassVar = Kind.CONFIG
    input_no: int
    kind: int
    mode: int
    debounce_ms: int
    short_below: int
    normal_from: int
    normal_to: int
    alarm_from: int
    alarm_to: int
    open_above: int
    _LAYOUT: ClassVar = struct.Struct(">BBBHHHHHHH")


@dataclass(frozen=True, slots=True)
class Get(_Integers):
    """Host: tell me something (`Wanted`)."""

    KIND: ClassVar = Kind.GET
    wanted: int
    _LAYOUT: ClassVar = struct.Struct(">B")


@dataclass(frozen=True, slots=True)
class Output:
    """Host: the outputs are to be so from now on."""

    KIND: ClassVar = Kind.OUTPUT
    siren: bool
    led: bool
    _LAYOUT: ClassVar = struct.Struct(">B")

    def to_payload(self) -> bytes:
        return self._LAYOUT.pack((1 if self.siren else 0) | (2 if self.led else 0))

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        (bits,) = _unpack(cls._LAYOUT, payload)
        return cls(bool(bits & 1), bool(bits & 2))


@dataclass(frozen=True, slots=True)
class Sync(_Integers):
    """Host: what time have you? `token` comes back in the reply."""

    KIND: ClassVar = Kind.SYNC
    token: int
    _LAYOUT: ClassVar = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class SyncReply(_Integers):
    """Board: the time when the SYNC with this token had arrived."""

    KIND: ClassVar = Kind.SYNC_REPLY
    token: int
    t_ms: int
    _LAYOUT: ClassVar = struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class Error(_Integers):
    """Board: a message of type `about` was understood as a frame and not carried out."""

    KIND: ClassVar = Kind.ERROR
    code: int
    about: int
    _LAYOUT: ClassVar = struct.Struct(">BB")


@dataclass(frozen=True, slots=True)
class Test:
    """Host: light the LED and sound the siren for `seconds`, so that a person can check them."""

    __test__: ClassVar = False  # not a test case, whatever a test runner thinks of the name
    KIND: ClassVar = Kind.TEST
    siren: bool
    led: bool
    seconds: int
    _LAYOUT: ClassVar = struct.Struct(">BB")

    def to_payload(self) -> bytes:
        return self._LAYOUT.pack((1 if self.siren else 0) | (2 if self.led else 0), self.seconds)

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        bits, seconds = _unpack(cls._LAYOUT, payload)
        return cls(bool(bits & 1), bool(bits & 2), seconds)


FromBoard = Hello | Event | StateOfInputs | BoardHeartbeat | Ack | Nak | SyncReply | Error
FromHost = HostHeartbeat | Ack | Nak | Reset | Config | Get | Output | Sync | Test

NUMBERED: Final = frozenset({Kind.EVENT, Kind.SNAPSHOT, Kind.ERROR, Kind.CONFIG, Kind.GET, Kind.OUTPUT, Kind.TEST})
"""Kinds that are numbered and repeated until received. The rest may be lost: something repeats it anyway."""


def from_board(frame: Frame) -> FromBoard:
    """What a board says with this frame. Raises BadFrame."""
    kinds: dict[Kind, type[FromBoard]] = {
        each.KIND: each for each in (Hello, Event, StateOfInputs, BoardHeartbeat, Ack, Nak, SyncReply, Error)
    }
    if (kind := kinds.get(frame.kind)) is None:
        raise BadFrame(f"{frame.kind.name} is for the board, not from it")
    return kind.from_payload(frame.payload)


def from_host(frame: Frame) -> FromHost:
    """What a host says with this frame. Raises BadFrame."""
    if frame.kind is Kind.HEARTBEAT:
        return HostHeartbeat()
    kinds: dict[Kind, type[Ack | Nak | Reset | Config | Get | Output | Sync | Test]] = {
        each.KIND: each for each in (Ack, Nak, Reset, Config, Get, Output, Sync, Test)
    }
    if (kind := kinds.get(frame.kind)) is None:
        raise BadFrame(f"{frame.kind.name} is for the host, not from it")
    return kind.from_payload(frame.payload)
