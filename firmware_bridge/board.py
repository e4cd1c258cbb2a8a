"""PURE. The board's side of TYB/1, byte for byte what the firmware does (PROTOCOL.md).

The simulated board runs it, and the firmware is written after it: nothing here needs more than 2 KB of RAM.

Invariants
1. A press of a panic button is in the ring until the host has committed it; the ring tells the rest.
2. No event is numbered before the boot counter of this boot was given out to be written.
3. Nothing but HELLO is sent outside a session.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from firmware_bridge import debounce, eeprom
from firmware_bridge import messages as say
from firmware_bridge.board_time import WRAP_MS
from firmware_bridge.configuration import Wired, config_of
from firmware_bridge.frame import BadFrame, Deframer, Frame, Kind, crc16
from firmware_bridge.messages import LineState
from firmware_bridge.numbered import NAK_EVERY_MS, Numbering, Verdict
from firmware_bridge.ring import Ring

PROTOCOL: Final = 1
FIRMWARE: Final = (0, 1, 0)

_MS: Final = 1_000_000
HELLO_EVERY_NS: Final = 1000 * _MS
HEARTBEAT_EVERY_NS: Final = 1000 * _MS

HOST_SILENT_NS: Final = 10_000 * _MS
"""No valid frame from the host for this long: the fault LED blinks and a press sounds the siren here."""

SETTLED_AFTER_NS: Final = 500 * _MS
"""A snapshot waits this long after the start for every input to settle; one that chatters on stays UNKNOWN."""

ERRORS_MAX: Final = 4
"""Answers ERROR that wait to be sent; what comes on top is dropped (PROTOCOL.md, 6)."""

_TOP16: Final = 0xFFFF
_BLINK_MS: Final = 500


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the board drives now."""

    siren: bool
    led: bool
    fault_led: bool
    """Blinks while the host is silent; lit while the board has no uid."""


def _t_ms(now_ns: int) -> int:
    return now_ns // _MS % WRAP_MS


def default_config(input_no: int, kind: say.InputKind) -> say.Config:
    """An end-of-line input with a 4k7/4k7 pair."""
    return config_of(input_no, Wired(kind))


class Board:
    """One board from reset to reset. `now_ns` counts from its start and never goes back."""

    def __init__(self, image: bytes, defaults: Sequence[say.Config], cause: say.ResetCause) -> None:
        """Start with the EEPROM `image`; `defaults` are the inputs, numbered from 0, unless EEPROM knows better."""
        self.uid = eeprom.uid_of(image)
        self.boot_id, counted = eeprom.next_boot(image)
        self.made: list[say.Event] = []
        self._cause = cause
        self._configs = [eeprom.config_of(image, each.input_no) or each for each in defaults]
        self._ring = Ring(eeprom.cells_of(image), self._in_alarm)
        self._watchdog_resets, noted = eeprom.watchdog_resets(image, cause is say.ResetCause.WATCHDOG)
        self._ring.writes[:0] = [counted, *noted]
        self._inputs = [self._first(config.input_no) for config in self._configs]
        self._deframer = Deframer()
        self._numbering = Numbering()
        self._under_way: say.Event | say.StateOfInputs | None = None
        self._errors: list[say.Error] = []
        self._out = bytearray()
        self._event_id = 0
        self._want_snapshot = False
        self._heard_ns = 0
        self._nak_ns = 0
        self._beat_ns = -HEARTBEAT_EVERY_NS
        self._output = say.Output(False, False)
        self._test: tuple[say.Test, int] | None = None
        self._repeats_ns = 0

    @property
    def in_session(self) -> bool:
        """The host has begun a session since this board started."""
        return self._numbering.session != 0

    @property
    def held(self) -> list[say.Event]:
        """Events that the host has not committed, oldest first."""
        return self._ring.events

    @property
    def states(self) -> list[LineState]:
        """The settled state of each input."""
        return [each.state for each in self._inputs]

    def take_writes(self) -> list[eeprom.Write]:
        """EEPROM writes in the order in which they must be done; they are then the caller's."""
        writes, self._ring.writes = self._ring.writes, []
        return writes

    def to_send(self) -> bytes:
        """The bytes for the line; they are then the caller's."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def outputs(self, now_ns: int) -> Outputs:
        """What is driven at `now_ns`: the host's word, or the board's own while the host is silent."""
        alone = now_ns - self._heard_ns >= HOST_SILENT_NS
        siren = self._output.siren or (alone and self._ring.presses > 0)
        led = self._output.led
        if self._test is not None and now_ns < self._test[1]:
            siren, led = siren or self._test[0].siren, led or self._test[0].led
        unnamed = self.uid in (b"\x00" * 8, b"\xff" * 8)
        return Outputs(siren, led, unnamed or (alone and _t_ms(now_ns) // _BLINK_MS % 2 == 0))

    def sample(self, adcs: Sequence[int], now_ns: int) -> None:
        """The ADC counts (0-1023) of all inputs; every `debounce.SAMPLE_EVERY_MS`."""
        now_ms = now_ns // _MS
        for config, adc in zip(self._configs, adcs, strict=True):
            known = self._inputs[config.input_no]
            bands = debounce.Bands(
                config.short_below, config.normal_from, config.normal_to, config.alarm_from, config.alarm_to,
                config.open_above,
            )  # fmt: skip
            before = known.pending if known.pending is not LineState.UNKNOWN else known.state
            seen = debounce.classify(adc, say.InputMode(config.mode), bands, before)
            settled, change = debounce.step(known, seen, adc, now_ms, config.debounce_ms)
            self._inputs[config.input_no] = settled
            if change is not None:
                self._changed(config, change)
        self._pump(now_ns)

    def receive(self, data: bytes, now_ns: int) -> None:
        """Bytes came in."""
        bad = self._deframer.bad_frames
        for frame in self._deframer.feed(data):
            self._frame(frame, now_ns)
        if self._deframer.bad_frames > bad and self.in_session and now_ns - self._nak_ns >= NAK_EVERY_MS * _MS:
            self._nak_ns = now_ns
            self._send(say.Nak(say.NakReason.GARBAGE))
        self._pump(now_ns)

    def tick(self, now_ns: int) -> None:
        """Time has come to `now_ns`."""
        if now_ns - self._beat_ns >= HEARTBEAT_EVERY_NS:
            self._beat_ns = now_ns
            self._send(self._heartbeat(now_ns) if self.in_session else self._hello(now_ns))
        self._out += self._numbering.due(now_ns)
        self._pump(now_ns)

    def deadline_ns(self) -> int:
        """When `tick` must be called next."""
        times = [self._beat_ns + HEARTBEAT_EVERY_NS]
        for each in (self._numbering.deadline_ns(), self._ring.deadline_ns() if self._numbering.idle else None):
            if each is not None:
                times.append(each)
        return min(times)

    # -- inputs --

    def _first(self, input_no: int) -> debounce.Settled:
        # A press that EEPROM knows of is not made into a second one by a reset while the button is held.
        state = LineState.ALARM if self._ring.known_in_alarm(input_no) else LineState.UNKNOWN
        return debounce.Settled(state=state, pending=state)

    def _in_alarm(self, input_no: int) -> bool:
        return input_no < len(self._inputs) and self._inputs[input_no].state is LineState.ALARM

    def _changed(self, config: say.Config, change: debounce.Change) -> None:
        if change.previous is LineState.ALARM:
            self._ring.restored(config.input_no)
        is_panic = config.kind == say.InputKind.PANIC
        is_press = is_panic and change.state is LineState.ALARM
        if change.previous is LineState.UNKNOWN and not is_press:
            return  # how things stood at the start is for the snapshot to tell
        self._event_id += 1
        event = say.Event(
            self.boot_id, self._event_id, change.at_ms % WRAP_MS, config.input_no, change.previous, change.state,
            change.adc, 1,
        )  # fmt: skip
        self.made.append(event)
        self._ring.add(event, is_press)
        if self._ring.lost:
            self._want_snapshot = True

    # -- the line --

    def _frame(self, frame: Frame, now_ns: int) -> None:
        try:
            message = say.from_host(frame)
        except BadFrame:
            message = None
        if isinstance(message, say.Reset):
            if frame.session:
                self._begin(frame.session, now_ns)
            return
        if not self.in_session:
            return
        verdict, acknowledged = self._numbering.receive(frame)
        if verdict is Verdict.OTHER_SESSION:
            return
        self._heard_ns = now_ns
        if acknowledged:
            self._received(now_ns)
        if verdict is Verdict.AHEAD:
            self._send(say.Nak(say.NakReason.OUT_OF_ORDER))
            return
        if verdict is Verdict.NEW:
            if message is not None:
                self._message(message, now_ns)
            elif frame.numbered:
                self._error(say.ErrorCode.BAD_MESSAGE, frame.kind)
        if frame.numbered:
            self._send(say.Ack())

    def _message(self, message: say.FromHost, now_ns: int) -> None:
        match message:
            case say.Ack():
                for boot_id, event_id in message.committed:
                    self._ring.forget(boot_id, event_id)
            case say.Nak():
                self._out += self._numbering.asked_again(now_ns)
            case say.Sync():
                self._send(say.SyncReply(message.token, _t_ms(now_ns)))
            case say.Get(wanted=say.Wanted.SNAPSHOT):
                self._want_snapshot = True
            case say.Get(wanted=say.Wanted.HEARTBEAT):
                self._send(self._heartbeat(now_ns))
            case say.Get():
                self._error(say.ErrorCode.UNSUPPORTED, Kind.GET)
            case say.Output():
                self._output = message
            case say.Test():
                self._test = (message, now_ns + message.seconds * 1000 * _MS)
            case say.Config():
                self._configure(message)
            case _:
                pass

    def _configure(self, config: say.Config) -> None:
        if config.input_no >= len(self._configs):
            self._error(say.ErrorCode.BAD_INPUT, Kind.CONFIG)
            return
        try:
            say.InputKind(config.kind)
            say.InputMode(config.mode)
        except ValueError:
            self._error(say.ErrorCode.UNSUPPORTED, Kind.CONFIG)
            return
        self._configs[config.input_no] = config
        self._ring.writes.append(eeprom.config_write(config))

    def _error(self, code: say.ErrorCode, about: Kind) -> None:
        if len(self._errors) < ERRORS_MAX:
            self._errors.append(say.Error(code, about))

    def _begin(self, session: int, now_ns: int) -> None:
        if isinstance(self._under_way, say.StateOfInputs) and self._under_way.lost_events:
            self._ring.lost = True  # whether that snapshot came, nobody knows
        self._heard_ns = now_ns
        self._numbering.begin(session)
        self._under_way = None
        self._errors.clear()
        self._want_snapshot = False
        self._ring.session_began()
        self._beat_ns = now_ns
        self._send(self._hello(now_ns))

    def _received(self, now_ns: int) -> None:
        done, self._under_way = self._under_way, None
        if isinstance(done, say.Event):
            self._ring.received(done.boot_id, done.event_id, now_ns)

    def _pump(self, now_ns: int) -> None:
        """Send the next numbered frame, if the line is free for one: events first, then what was asked."""
        self._ring.grow_old(_t_ms(now_ns))
        if not self.in_session or not self._numbering.idle:
            return
        event = self._ring.next_due(now_ns)
        if event is not None:
            self._under_way = event
            self._out += self._numbering.send(Kind.EVENT, event.to_payload(), now_ns)
        elif self._errors:
            self._out += self._numbering.send(Kind.ERROR, self._errors.pop(0).to_payload(), now_ns)
        elif self._want_snapshot and self._ring.all_received() and self._settled(now_ns):
            snapshot = say.StateOfInputs(
                self.boot_id, _t_ms(now_ns), self._event_id, self._ring.lost, tuple(self.states)
            )
            self._want_snapshot = self._ring.lost = False
            self._under_way = snapshot
            self._out += self._numbering.send(Kind.SNAPSHOT, snapshot.to_payload(), now_ns)

    def _settled(self, now_ns: int) -> bool:
        return LineState.UNKNOWN not in self.states or now_ns >= SETTLED_AFTER_NS

    def _send(self, message: say.FromBoard) -> None:
        self._out += self._numbering.plain(message.KIND, message.to_payload())

    def _hello(self, now_ns: int) -> say.Hello:
        crc = crc16(b"".join(each.to_payload() for each in self._configs))
        return say.Hello(
            PROTOCOL, FIRMWARE, self.uid, self.boot_id, self._cause, len(self._configs), crc, _t_ms(now_ns)
        )

    def _heartbeat(self, now_ns: int) -> say.BoardHeartbeat:
        return say.BoardHeartbeat(
            t_ms=_t_ms(now_ns),
            free_ram_bytes=0,
            supply_mv=5000,
            queue_depth=len(self._ring),
            queue_age_ms=self._ring.age_ms(_t_ms(now_ns)),
            bad_frames=min(_TOP16, self._deframer.bad_frames),
            resent=min(_TOP16, self._numbering.resent),
            watchdog_resets=self._watchdog_resets,
            host_silent_ms=min(_TOP16, (now_ns - self._heard_ns) // _MS),
        )
