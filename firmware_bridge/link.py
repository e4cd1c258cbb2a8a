"""PURE. The host's side of one TYB/1 link: eats bytes and the time, gives bytes to send and reports.

Life: closed -> (port opened) asking -> (HELLO) up -> (3 s silent, board restarted, nothing taken) asking -> ...

Invariants
1. Events are reported in the order in which the board sent them, and each key (uid, boot_id, event_id) once
   per life of this object; a repeat of a key that waits for its commit changes nothing, a repeat of a key that
   was acknowledged is acknowledged again.
2. An event is acknowledged to the board only after `acknowledge` was called for its key.
3. A Snapshot is reported after every event that the board had made before it.
4. A LinkChanged is reported when `up` or its reason changes, and at no other time.
"""

from collections import OrderedDict, deque
from dataclasses import asdict
from typing import Any, Final

from firmware_bridge import messages as say
from firmware_bridge.board_time import Estimate, better, host_ns
from firmware_bridge.frame import BadFrame, Deframer, Frame, Kind
from firmware_bridge.numbered import NAK_EVERY_MS, Numbering, Verdict
from firmware_bridge.reports import InputEvent, LinkChanged, Report, Snapshot

_MS: Final = 1_000_000

HEARTBEAT_EVERY_NS: Final = 1000 * _MS
"""Both sides show life this often (bridge design). The host asks for the time with every beat."""

SILENT_AFTER_NS: Final = 3000 * _MS
"""No valid frame for this long is a silent board (bridge design)."""

DEAF_AFTER_MS: Final = 3000
"""The board says that it has not heard the host for this long: one wire of two is cut."""

LATE_AFTER_NS: Final = 3000 * _MS
"""An event older than this when it comes in happened while the link was down."""

RESET_AFTER_MS: Final = (100, 200, 400, 800, 1000)
"""Wait for a HELLO before the next RESET; the last one stays. An answer later than that is not recognised."""

NOT_TAKEN_AFTER_NS: Final = 5000 * _MS
"""A numbered frame not received by a board that is heard for this long: the session is begun anew."""

REMEMBERED_KEYS: Final = 4096
"""Keys kept to recognise repeats: 256 times the ring of a board. Beyond that a repeat is reported again, and
whoever stores events recognises it by its key."""


Key = tuple[str, int, int]


class HostLink:
    """The link of the host to one board. All times are CLOCK_MONOTONIC in ns and never go back."""

    def __init__(self) -> None:
        self.hello: say.Hello | None = None
        self.heartbeat: dict[str, Any] = {}
        self.repeats_heard = 0
        self._deframer = Deframer()
        self._numbering = Numbering()
        self._out = bytearray()
        self._reports: list[Report] = []
        self._open = False
        self._up = False
        self._reason = ""
        self._heard_ns = 0
        self._asked_ns = 0
        self._asks = 0
        self._session = 0
        self._why = say.ResetReason.PORT_OPENED
        self._beat_ns = 0
        self._nak_ns = 0
        self._token = 0
        self._syncs: OrderedDict[int, int] = OrderedDict()
        self._time: Estimate | None = None
        self._to_do: deque[tuple[Kind, bytes]] = deque()
        self._output: say.Output | None = None
        self._waiting: OrderedDict[Key, None] = OrderedDict()
        self._committed: OrderedDict[Key, None] = OrderedDict()

    @property
    def up(self) -> bool:
        """The board answered RESET in this session and is heard."""
        return self._up

    @property
    def board_uid(self) -> str | None:
        """The uid of the board that last said HELLO, 16 hex digits."""
        return self.hello.uid.hex() if self.hello else None

    @property
    def firmware(self) -> str | None:
        """The firmware of the board that last said HELLO, as major.minor.patch."""
        return ".".join(str(part) for part in self.hello.firmware) if self.hello else None

    @property
    def frames(self) -> int:
        """Valid frames received."""
        return self._deframer.frames

    @property
    def bad_frames(self) -> int:
        """Stretches of bytes received that were no frame."""
        return self._deframer.bad_frames

    @property
    def resent(self) -> int:
        """Numbered frames that this side sent again."""
        return self._numbering.resent

    @property
    def heard_ns(self) -> int:
        """When a valid frame was last heard, or the port opened."""
        return self._heard_ns

    def open(self, now_ns: int) -> list[Report]:
        """The port is open: ask the board who it is."""
        self._deframer.forget()
        self._out.clear()
        self._open = True
        self._heard_ns = now_ns
        self._asks = 0
        self._ask(say.ResetReason.PORT_OPENED, now_ns)
        return self._take_reports()

    def close(self, reason: str, now_ns: int) -> list[Report]:
        """The port is gone, or was never there. Nothing is sent until `open`."""
        self._open = False
        self._out.clear()
        self._change(False, reason, now_ns)
        return self._take_reports()

    def receive(self, data: bytes, now_ns: int) -> list[Report]:
        """Bytes came in at `now_ns`."""
        bad = self._deframer.bad_frames
        for frame in self._deframer.feed(data):
            self._frame(frame, now_ns)
        if self._deframer.bad_frames > bad and self._up and now_ns - self._nak_ns >= NAK_EVERY_MS * _MS:
            self._nak_ns = now_ns
            self._send(say.Nak(say.NakReason.GARBAGE))
        self._next_numbered(now_ns)
        return self._take_reports()

    def tick(self, now_ns: int) -> list[Report]:
        """Time has come to `now_ns`. Call at `deadline_ns` at the latest."""
        if not self._open:
            return self._take_reports()
        if not self._up:
            if now_ns - self._heard_ns >= SILENT_AFTER_NS and self._reason not in ("silent", "deaf"):
                self._change(False, "no_answer", self._heard_ns)
            if now_ns >= self._asked_ns + self._ask_wait_ns():
                self._ask(self._why if self._asks < 2 else say.ResetReason.NO_ANSWER, now_ns)
            return self._take_reports()
        since = self._numbering.outstanding_since_ns
        if now_ns - self._heard_ns >= SILENT_AFTER_NS:
            self._down("silent", say.ResetReason.SILENT, self._heard_ns, now_ns)
        elif since is not None and now_ns - since >= NOT_TAKEN_AFTER_NS:
            self._down("not_taken", say.ResetReason.NOT_TAKEN, now_ns, now_ns)
        else:
            self._out += self._numbering.due(now_ns)
            if now_ns - self._beat_ns >= HEARTBEAT_EVERY_NS:
                self._beat(now_ns)
        return self._take_reports()

    def to_send(self) -> bytes:
        """The bytes to write to the port now; they are then the caller's."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def deadline_ns(self) -> int | None:
        """When `tick` must be called next; None while the port is closed."""
        if not self._open:
            return None
        if not self._up:
            return self._asked_ns + self._ask_wait_ns()
        times = [self._heard_ns + SILENT_AFTER_NS, self._beat_ns + HEARTBEAT_EVERY_NS]
        resend = self._numbering.deadline_ns()
        if resend is not None:
            times.append(resend)
        return min(times)

    def acknowledge(self, board_uid: str, boot_id: int, event_id: int) -> None:
        """The event with this key is committed: the board may forget it. Any number of times, in any state."""
        key = (board_uid, boot_id, event_id)
        self._waiting.pop(key, None)
        _remember(self._committed, key)
        if self._up and board_uid == self.board_uid:
            self._send(say.Ack(((boot_id, event_id),)))

    def not_taken(self, reports: list[Report]) -> None:
        """Whoever was told these reports failed: their events are reported again when the board repeats them."""
        for report in reports:
            if isinstance(report, InputEvent):
                self._waiting.pop((report.board_uid, report.boot_id, report.event_id), None)

    def output(self, siren: bool, led: bool, now_ns: int) -> None:
        """The outputs are to be so, now and after every reconnection."""
        self._output = say.Output(siren, led)
        if self._up:
            self._later(self._output)
            self._next_numbered(now_ns)

    # -- what came in --

    def _frame(self, frame: Frame, now_ns: int) -> None:
        if frame.kind is Kind.HELLO:
            self._hello(frame, now_ns)
            return
        if not self._up:
            return
        verdict, _ = self._numbering.receive(frame)
        if verdict is Verdict.OTHER_SESSION:
            return
        self._heard_ns = now_ns
        if frame.repeated:
            self.repeats_heard += 1
        if verdict is Verdict.AHEAD:
            self._send(say.Nak(say.NakReason.OUT_OF_ORDER))
            return
        if verdict is Verdict.NEW:
            try:
                self._message(say.from_board(frame), now_ns)
            except BadFrame:
                # Sound on the line and wrong in itself: a newer board. Taking its number keeps the rest moving.
                self.heartbeat["not_understood"] = self.heartbeat.get("not_understood", 0) + 1
        if frame.numbered:
            self._send(say.Ack())

    def _hello(self, frame: Frame, now_ns: int) -> None:
        try:
            hello = say.Hello.from_payload(frame.payload)
        except BadFrame:
            return
        if frame.session == 0:
            # Not an answer: the board has just started, or has lost its session.
            self._heard_ns = now_ns
            if self._up:
                self._down(f"board_restarted: {_cause(hello)}", say.ResetReason.BOARD_RESTARTED, now_ns, now_ns)
            elif now_ns - self._asked_ns >= RESET_AFTER_MS[0] * _MS:
                self._ask(self._why, now_ns)
            return
        if self._up or frame.session != self._session or hello.protocol != 1:
            return
        if self.hello is None or (self.hello.uid, self.hello.boot_id) != (hello.uid, hello.boot_id):
            self._time = None
        self.hello = hello
        self._heard_ns = now_ns
        self._time = better(self._time, self._asked_ns, now_ns, hello.t_ms)
        self._numbering.begin(frame.session)
        self._syncs.clear()
        self._to_do.clear()
        self._change(True, "heard", now_ns)
        self._later(say.Get(say.Wanted.SNAPSHOT))
        if self._output is not None:
            self._later(self._output)
        self._beat(now_ns)

    def _message(self, message: say.FromBoard, now_ns: int) -> None:
        match message:
            case say.Event():
                self._event(message, now_ns)
            case say.StateOfInputs():
                states = {number: state.name.lower() for number, state in enumerate(message.states)}
                self._reports.append(Snapshot(self.board_uid or "", message.boot_id, states, now_ns))
            case say.BoardHeartbeat():
                self.heartbeat.update(asdict(message))
                if message.host_silent_ms >= DEAF_AFTER_MS:
                    self._down("deaf", say.ResetReason.DEAF, now_ns, now_ns)
            case say.SyncReply():
                asked_ns = self._syncs.pop(message.token, None)
                if asked_ns is not None:
                    self._time = better(self._time, asked_ns, now_ns, message.t_ms)
            case say.Nak():
                self._out += self._numbering.asked_again(now_ns)
            case say.Error():
                self.heartbeat["errors"] = self.heartbeat.get("errors", 0) + 1
            case _:
                pass

    def _event(self, event: say.Event, now_ns: int) -> None:
        uid = self.board_uid or ""
        key = (uid, event.boot_id, event.event_id)
        if key in self._committed:
            self._send(say.Ack(((event.boot_id, event.event_id),)))
            return
        if key in self._waiting:
            return
        _remember(self._waiting, key)
        of_this_boot = self.hello is not None and event.boot_id == self.hello.boot_id and not event.from_latch
        pressed_ns = now_ns
        if of_this_boot and self._time is not None:
            pressed_ns = host_ns(self._time, event.t_ms, now_ns)
        self._reports.append(
            InputEvent(
                board_uid=uid,
                boot_id=event.boot_id,
                event_id=event.event_id,
                input_no=event.input_no,
                previous=event.previous.name.lower(),
                state=event.state.name.lower(),
                adc=event.adc,
                count=event.count,
                late=not of_this_boot or now_ns - pressed_ns >= LATE_AFTER_NS,
                received_mono_ns=now_ns,
                pressed_mono_ns=pressed_ns,
            )
        )

    # -- what goes out --

    def _ask(self, why: say.ResetReason, now_ns: int) -> None:
        self._why = why
        self._session = self._session % 15 + 1
        self._numbering.begin(self._session)
        self._asked_ns = now_ns
        self._asks += 1
        # A delimiter first: whatever noise the board holds ends there and does not spoil the RESET.
        self._out += b"\x00"
        self._send(say.Reset(why))

    def _ask_wait_ns(self) -> int:
        return RESET_AFTER_MS[min(self._asks, len(RESET_AFTER_MS)) - 1] * _MS

    def _beat(self, now_ns: int) -> None:
        self._beat_ns = now_ns
        self._send(say.HostHeartbeat())
        self._token = (self._token + 1) % (1 << 32)
        self._syncs[self._token] = now_ns
        while len(self._syncs) > 8:
            self._syncs.popitem(last=False)
        self._send(say.Sync(self._token))

    def _send(self, message: say.FromHost) -> None:
        self._out += self._numbering.plain(message.KIND, message.to_payload())

    def _later(self, message: say.Get | say.Output | say.Config | say.Test) -> None:
        self._to_do.append((message.KIND, message.to_payload()))

    def _next_numbered(self, now_ns: int) -> None:
        if self._up and self._to_do and self._numbering.idle:
            self._out += self._numbering.send(*self._to_do.popleft(), now_ns)

    def _down(self, reason: str, why: say.ResetReason, since_ns: int, now_ns: int) -> None:
        self._change(False, reason, since_ns)
        self._asks = 0
        self._ask(why, now_ns)

    def _change(self, up: bool, reason: str, since_ns: int) -> None:
        if (up, reason) != (self._up, self._reason):
            self._reports.append(LinkChanged(up, reason, self.board_uid, self.firmware, since_ns))
        self._up, self._reason = up, reason

    def _take_reports(self) -> list[Report]:
        reports, self._reports = self._reports, []
        return reports


def _cause(hello: say.Hello) -> str:
    try:
        return say.ResetCause(hello.reset_cause).name.lower()
    except ValueError:
        return f"cause {hello.reset_cause}"


def _remember(keys: OrderedDict[Key, None], key: Key) -> None:
    keys[key] = None
    keys.move_to_end(key)
    while len(keys) > REMEMBERED_KEYS:
        keys.popitem(last=False)
