"""PURE. The host's side of one TYB/1 link: eats bytes and the time, gives bytes to send and reports.

Life: closed -> (port opened) asking -> (HELLO) up -> (3 s silent, board restarted, nothing taken) asking -> ...
In between, untold: up -> (configured) asking -> up, to see by its HELLO whether the board keeps what it was told.

Invariants
1. Events are reported in the order in which the board sent them, and each key (name, boot_id, event_id) once
   per life of this object; a repeat of a key that waits for its commit changes nothing, a repeat of a key that
   was acknowledged is acknowledged again. The name is the uid, unless another boot may have had it (names.py).
2. An event is acknowledged to the board only after `acknowledge` was called for its key.
3. A Snapshot is reported after every event that the board had made before it.
4. A LinkChanged is reported when `up` or its reason changes, and at no other time.
5. Nothing but its HELLO is taken from a board with another uid than the one that is wanted.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from firmware_bridge import messages as say
from firmware_bridge.board_time import Estimate, Questions, better, host_ns
from firmware_bridge.configuration import NEEDED_FIRMWARE, Configuring, Wired
from firmware_bridge.frame import BadFrame, Deframer, Frame, Kind
from firmware_bridge.keys import Keys
from firmware_bridge.names import Named, plain
from firmware_bridge.numbered import NAK_EVERY_MS, Numbering, Verdict
from firmware_bridge.reports import InputEvent, LinkChanged, Report, Snapshot, Trouble

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


class HostLink:
    """The link of the host to one board. All times are CLOCK_MONOTONIC in ns and never go back."""

    def __init__(
        self,
        wired: Mapping[int, Wired] | None = None,
        wanted_uid: str | None = None,
        name_of: Callable[[say.Hello, int, int], Named] = plain,
    ) -> None:
        """`wired` is what hangs on which input; None leaves the board as it is configured. `wanted_uid` (16 hex digits)
        is the only board to be taken; None takes any. `name_of(hello, asked_ns, now_ns)` names the board in keys."""
        self._wanted_uid = wanted_uid
        self._name_of = name_of
        self._named = Named("")
        self._configuring = Configuring(wired)
        self._told = (False, "")
        self.wrong_board: str | None = None
        """The uid of a board that answered since the port was opened and is not the one that is wanted."""
        self.hello: say.Hello | None = None
        self.heartbeat: dict[str, Any] = {}
        self.repeats_heard = 0
        self._deframer = Deframer()
        self._numbering = Numbering()
        self._out = bytearray()
        self._reports: list[Report] = []
        self._open = False
        self._up = False
        self._heard_ns = 0
        self._asked_ns = 0
        self._asks = 0
        self._session = 0
        self._why = say.ResetReason.PORT_OPENED
        self._beat_ns = 0
        self._nak_ns = 0
        self._questions = Questions()
        self._time: Estimate | None = None
        self._to_do: deque[tuple[Kind, bytes]] = deque()
        self._output: say.Output | None = None
        self._keys = Keys()

    @property
    def up(self) -> bool:
        """The board answered RESET in this session and is heard."""
        return self._up

    @property
    def board_uid(self) -> str | None:
        """The uid of the board that last said HELLO, 16 hex digits."""
        return self.hello.uid.hex() if self.hello else None

    @property
    def name(self) -> str | None:
        """The name of that board in keys: its uid, unless that may be another's."""
        return self._named.name if self.hello else None

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What is wrong with that board."""
        old = Trouble.FIRMWARE_OLD if self.hello is not None and self.hello.firmware < NEEDED_FIRMWARE else None
        refused = Trouble.CONFIG_REFUSED if self._configuring.refused else None
        return tuple(each for each in (self._named.trouble, old, refused) if each is not None)

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
        self.wrong_board = None
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
            known_why = self._told[1] in ("silent", "deaf") or self.wrong_board is not None
            if now_ns - self._heard_ns >= SILENT_AFTER_NS and not known_why:
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
            self._next_numbered(now_ns)  # a commit may have made room for a CONFIG
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
        self._keys.commit((board_uid, boot_id, event_id))
        if self._up and board_uid == self.name:
            self._send(say.Ack(((boot_id, event_id),)))

    def not_taken(self, reports: list[Report]) -> None:
        """Whoever was told these reports failed: their events are reported again when the board repeats them."""
        for report in reports:
            if isinstance(report, InputEvent):
                self._keys.forget((report.board_uid, report.boot_id, report.event_id))

    def output(self, siren: bool, led: bool, now_ns: int) -> None:
        """The outputs are to be so, now and after every reconnection."""
        self._output = say.Output(siren, led)
        if self._up:
            self._later(self._output)
            self._next_numbered(now_ns)

    def try_output(self, siren: bool, led: bool, seconds: int, now_ns: int) -> bool:
        """Drive these beside what `output` says, for so many seconds (1-255); False while the board is not heard.
        Forgotten when the session ends."""
        if self._up:
            self._later(say.Test(siren, led, min(max(seconds, 1), 255)))
            self._next_numbered(now_ns)
        return self._up

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
                causes = {int(each): each.name.lower() for each in say.ResetCause}
                cause = causes.get(hello.reset_cause, f"cause {hello.reset_cause}")
                self._down(f"board_restarted: {cause}", say.ResetReason.BOARD_RESTARTED, now_ns, now_ns)
            elif now_ns - self._asked_ns >= RESET_AFTER_MS[0] * _MS:
                self._ask(self._why, now_ns)
            return
        if self._up or frame.session != self._session or hello.protocol != 1:
            return
        if self._wanted_uid not in (None, hello.uid.hex()):
            self.wrong_board = hello.uid.hex()
            self._change(False, f"wrong_board: {self.wrong_board}, not {self._wanted_uid}", now_ns)
            return
        if self.hello is None or (self.hello.uid, self.hello.boot_id) != (hello.uid, hello.boot_id):
            self._time = None
        self.hello = hello
        self._named = self._name_of(hello, self._asked_ns, now_ns)
        self._configuring.hello(hello)
        self._heard_ns = now_ns
        self._time = better(self._time, self._asked_ns, now_ns, hello.t_ms)
        self._numbering.begin(frame.session)
        self._questions.forget()
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
                self._reports.append(Snapshot(self._named.name, message.boot_id, states, now_ns))
                self._configuring.snapshot()
            case say.BoardHeartbeat():
                self.heartbeat.update(asdict(message))
                if message.host_silent_ms >= DEAF_AFTER_MS:
                    self._down("deaf", say.ResetReason.DEAF, now_ns, now_ns)
            case say.SyncReply():
                asked_ns = self._questions.asked_ns(message.token)
                if asked_ns is not None:
                    self._time = better(self._time, asked_ns, now_ns, message.t_ms)
            case say.Nak():
                self._out += self._numbering.asked_again(now_ns)
            case say.Error():
                self.heartbeat["errors"] = self.heartbeat.get("errors", 0) + 1
            case _:
                pass

    def _event(self, event: say.Event, now_ns: int) -> None:
        key = (self._named.name, event.boot_id, event.event_id)
        if self._keys.committed(key):
            self._send(say.Ack(((event.boot_id, event.event_id),)))
            return
        if self._keys.waits(key):
            return
        self._keys.reported(key, event.input_no if event.state is say.LineState.ALARM else None)
        of_this_boot = self.hello is not None and event.boot_id == self.hello.boot_id and not event.from_latch
        pressed_ns = now_ns
        if of_this_boot and self._time is not None:
            pressed_ns = host_ns(self._time, event.t_ms, now_ns)
        self._reports.append(
            InputEvent(
                board_uid=self._named.name,
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
        self._send(say.Sync(self._questions.token(now_ns)))

    def _send(self, message: say.FromHost) -> None:
        self._out += self._numbering.plain(message.KIND, message.to_payload())

    def _later(self, message: say.Get | say.Output | say.Config | say.Test) -> None:
        self._to_do.append((message.KIND, message.to_payload()))

    def _next_numbered(self, now_ns: int) -> None:
        if not self._up or not self._numbering.idle:
            return
        if not self._to_do:
            config = self._configuring.next(lambda: self._keys.in_alarm(self._named.name))
            if config is not None:
                self._later(config)
            elif self._configuring.all_sent():
                self._up = False
                self._asks = 0
                self._ask(say.ResetReason.CONFIGURED, now_ns)
                return
        if self._to_do:
            self._out += self._numbering.send(*self._to_do.popleft(), now_ns)

    def _down(self, reason: str, why: say.ResetReason, since_ns: int, now_ns: int) -> None:
        self._change(False, reason, since_ns)
        self._asks = 0
        self._ask(why, now_ns)

    def _change(self, up: bool, reason: str, since_ns: int) -> None:
        if (up, reason) != self._told:
            self._reports.append(LinkChanged(up, reason, self.name, self.firmware, since_ns))
        self._up, self._told = up, (up, reason)

    def _take_reports(self) -> list[Report]:
        reports, self._reports = self._reports, []
        return reports
