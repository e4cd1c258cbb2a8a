"""One RS-485 bus: the thread that owns its port and asks every module on it in turn.

Invariants
1. The port is touched by the thread `modbus-<port>` alone, and one question is on the wire at a time.
2. The thread never waits without a deadline; a module that says nothing holds the bus for `Wire.patience_ns` and no
   longer, one that babbles for `_BABBLE_NS` more.
3. What is heard while nobody was asked, or beside an answer, goes to the unit that said it, as a stray.
4. A port that vanishes is asked for again until the last board has left.
"""

import contextlib
import logging
import os
import select
import threading
from pathlib import Path
from typing import Final, Protocol

import serial

from agent.boards.polled import Miss
from agent.boards.rtu import Bits, Hearing, Question, Refused, Written, known
from agent.boards.turns import Due, Wire, turn
from agent.boards.wakeable import Wakeable
from agent.clock import Clock
from agent.seldom import Seldom

log = logging.getLogger(__name__)

REOPEN_AFTER_S: Final = 0.25
"""A missing port is looked for this often, like that of a microcontroller board."""

_BABBLE_NS: Final = 50_000_000
"""A line that does not fall silent is spoken on after this all the same."""

_IDLE_S: Final = 1.0
_READ_BYTES: Final = 4096
_PARITIES: Final = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}
_BROKEN: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Member(Protocol):
    """One module on the bus. All calls come from the thread of the bus."""

    unit: int

    def due(self) -> Due:
        """When it is to be asked."""

    def question(self, now_ns: int) -> Question:
        """What it is to be asked now."""

    def answered(self, answer: Bits | Written | Refused, asked_ns: int, now_ns: int) -> None:
        """The answer to the question came in time."""

    def missed(self, why: Miss, detail: str, now_ns: int) -> None:
        """No good answer came."""

    def stray(self, now_ns: int) -> None:
        """It said something that nobody waited for."""

    def lost(self, reason: str, now_ns: int) -> None:
        """The port is gone."""

    def tell(self) -> None:
        """Tell what was found out."""


class Bus:
    """A serial port with modules on it. Boards join and leave it; it works while there is one."""

    def __init__(self, port: Path, wire: Wire, clock: Clock) -> None:
        """Nothing is opened until the first `join`."""
        self.port = port
        self.wire = wire
        self._clock = clock
        self._seldom = Seldom(log, clock)
        self._guard = threading.Lock()
        self._members: tuple[Member, ...] = ()
        self._leaving: tuple[tuple[Member, threading.Event], ...] = ()
        self._wakeable = Wakeable()
        self._echoes = False
        self._after_doubtful = False
        self._loose = bytearray()
        self._thread: threading.Thread | None = None

    def join(self, member: Member) -> None:
        """Ask this module from now on."""
        with self._guard:
            self._members = (*self._members, member)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"modbus-{self.port.name}", daemon=True)
                self._thread.start()
        self._wakeable.wake()

    def leave(self, member: Member, timeout_s: float) -> None:
        """Ask it no more. Raises RuntimeError when the thread hangs. The last one to leave has the port closed."""
        gone = threading.Event()
        with self._guard:
            self._leaving = (*self._leaving, (member, gone))
            thread = self._thread
        self._wakeable.wake()
        if not gone.wait(timeout_s):
            raise RuntimeError(f"the thread modbus-{self.port.name} did not stop in {timeout_s} s")
        if thread is not None and not self._members:
            thread.join(timeout_s)

    def wake(self) -> None:
        """Something is to be asked sooner than it was."""
        self._wakeable.wake()

    # -- the thread --

    def _run(self) -> None:
        was_open = False
        while self._wanted():
            try:
                self._farewells()
                self._tell()
                with contextlib.closing(self._opened()) as port:
                    was_open = True
                    self._seldom.say(logging.INFO, "open", f"bus: port {self.port} is open")
                    self._serve(port.fileno())
                continue
            except FileNotFoundError:
                reason = f"port_missing: {self.port}"
            except (OSError, serial.SerialException) as error:
                reason = f"port_lost: {error}" if was_open else f"port_missing: {error}"
            except Exception as error:  # noqa: BLE001  # the top of the bus's thread: logged, and begun anew
                reason = f"port_lost: a fault of this program, see the log: {type(error).__name__}"
                text = f"bus: on {self.port}: {type(error).__name__}: {error}"
                self._seldom.say(logging.ERROR, text, text, error)
            was_open = False
            self._seldom.say(logging.WARNING, reason, f"bus: {reason}")
            self._loose.clear()
            for member in self._members:
                member.lost(reason, self._clock.mono_ns())
            self._wakeable.wait({}, REOPEN_AFTER_S)

    def _wanted(self) -> bool:
        """Whether there is anybody; if not, the next one to join starts another thread."""
        with self._guard:
            if not self._members and not self._leaving:
                self._thread = None
                return False
            return True

    def _farewells(self) -> None:
        """Those who leave are told that it has stopped, here where all else was told."""
        while self._leaving:
            member, gone = self._leaving[0]
            member.lost("stopped", self._clock.mono_ns())
            member.tell()
            with self._guard:
                self._members = tuple(each for each in self._members if each is not member)
                self._leaving = self._leaving[1:]
            gone.set()

    def _tell(self) -> None:
        for member in self._members:
            member.tell()

    def _opened(self) -> serial.Serial:
        if not self.port.exists():
            raise FileNotFoundError(self.port)
        parity = _PARITIES[self.wire.parity]
        port = serial.Serial(str(self.port), self.wire.baud, parity=parity, timeout=0, exclusive=True)
        # Some USB adapters gather bytes for 16 ms; others, and pseudo-terminals, have nothing to set.
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            port.set_low_latency_mode(True)
        return port

    def _serve(self, fd: int) -> None:
        """Ask in turn until nobody is left. Raises OSError when the port is gone."""
        while members := self._members:
            if self._leaving:
                self._farewells()
                continue
            self._tell()
            now_ns = self._clock.mono_ns()
            due = [(member, member.due()) for member in members]
            whose = turn(due, now_ns, self._after_doubtful)
            if whose is None:
                until_ns = min(each.ask_ns for _, each in due)
                self._idle(fd, min(_IDLE_S, (until_ns - now_ns) / 1e9))
                continue
            self._after_doubtful = whose.due().doubtful
            self._exchange(fd, whose)

    def _idle(self, fd: int, timeout_s: float) -> None:
        happened = self._wakeable.wait({fd: select.POLLIN}, timeout_s).get(fd, 0)
        if happened:
            self._loose += _read(fd, happened)
            self._strays()

    def _strays(self) -> None:
        """Whoever spoke out of turn; half a frame waits for its other half."""
        members = {member.unit: member for member in self._members}
        for unit in known(members, bytes(self._loose)):
            members[unit].stray(self._clock.mono_ns())
            self._loose.clear()
        del self._loose[:-64]

    def _exchange(self, fd: int, member: Member) -> None:
        self._fall_silent(fd)
        asked_ns = self._clock.mono_ns()
        question = member.question(asked_ns)
        if os.write(fd, question.frame) != len(question.frame):
            raise OSError("the port takes no bytes")
        hearing = Hearing(question, self._echoes)
        deadline_ns = asked_ns + self._patience_ns(question)
        answer, left_ns = None, 1
        # What has come by the end of patience is read, however late this thread is: a busy machine is no silent module.
        while answer is None and left_ns > 0:
            left_ns = max(0, deadline_ns - self._clock.mono_ns())
            happened = self._wakeable.wait({fd: select.POLLIN}, left_ns / 1e9).get(fd, 0)
            if happened:
                answer = hearing.feed(_read(fd, happened))
        now_ns = self._clock.mono_ns()
        if question.bits and (answer is not None or hearing.echoed):
            self._echoes = hearing.echoed
        if answer is not None:
            member.answered(answer, asked_ns, now_ns)
        else:
            member.missed(*hearing.miss(), now_ns)
        members = {each.unit: each for each in self._members}
        for unit in hearing.units_heard():
            # What the module itself said wrongly was its answer to this question.
            if unit in members and members[unit] is not member:
                members[unit].stray(now_ns)

    def _patience_ns(self, question: Question) -> int:
        echo = len(question.frame) if self._echoes else 0
        return self.wire.patience_ns(len(question.frame), question.answer_bytes + echo)

    def _fall_silent(self, fd: int) -> None:
        """Wait for the silence that parts two frames; what comes meanwhile is nobody's answer."""
        end_ns = self._clock.mono_ns() + _BABBLE_NS
        while happened := self._wakeable.wait({fd: select.POLLIN}, self.wire.quiet_ns / 1e9).get(fd, 0):
            self._loose += _read(fd, happened)
            self._strays()
            if self._clock.mono_ns() > end_ns:
                break
        self._loose.clear()


def _read(fd: int, happened: int) -> bytes:
    try:
        data = os.read(fd, _READ_BYTES)
    except BlockingIOError:
        if not happened & _BROKEN:
            return b""
        data = b""
    if not data:
        raise OSError("the port was unplugged")
    return data
