"""PURE. What a board without a memory found out, as reports with names of their own.

Invariants
1. Reports leave in the order in which they were put, and stay first in line until they were taken.
2. An event id is used once in the life of this object; with a boot id that is new at every start it names the event
   for ever. Such a board cannot repeat an event after a crash of the host: what is left of it then is the state of the
   input, in the Snapshot of the next start.
3. LinkChanged is told when `up` or its reason changes, and at no other time.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from agent.facts import InputState
from firmware_bridge.reports import InputEvent, LinkChanged, Report, Snapshot


@dataclass(frozen=True, slots=True)
class Change:
    """One input moved. `first_ns` is when it was first seen so; `count` is how many presses this stands for; `late`:
    it happened while nothing was heard."""

    input_no: int
    previous: InputState
    state: InputState
    first_ns: int
    count: int = 1
    late: bool = False


@dataclass(frozen=True, slots=True)
class Up:
    """The hardware is heard."""


@dataclass(frozen=True, slots=True)
class Down:
    """The hardware is not heard. `reason` begins with a word for programs; `since_ns` is when it was last heard."""

    reason: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class Whole:
    """Every input as it is now."""

    states: tuple[tuple[int, InputState], ...]


Result = Change | Up | Down | Whole


class Teller:
    """Gives results their names and keeps them until they were taken. Used by one thread."""

    def __init__(self, uid: str, boot_id: int) -> None:
        self.uid = uid
        self.boot_id = boot_id
        self.up = False
        self._reason = ""
        self._events = 0
        self._waiting: deque[Report] = deque()

    def put(self, results: Iterable[Result], now_ns: int) -> None:
        """These were found out at `now_ns` (CLOCK_MONOTONIC)."""
        for result in results:
            match result:
                case Change():
                    self._waiting.append(self._event(result, now_ns))
                case Whole(states):
                    named = {number: str(state) for number, state in states}
                    self._waiting.append(Snapshot(self.uid, self.boot_id, named, now_ns))
                case Up():
                    self._link(True, "heard", now_ns)
                case Down(reason, since_ns):
                    self._link(False, reason, since_ns)

    def first(self) -> Report | None:
        """The report to tell next."""
        return self._waiting[0] if self._waiting else None

    def taken(self) -> None:
        """The first report was taken."""
        self._waiting.popleft()

    def _event(self, change: Change, now_ns: int) -> InputEvent:
        self._events += 1
        return InputEvent(
            board_uid=self.uid,
            boot_id=self.boot_id,
            event_id=self._events,
            input_no=change.input_no,
            previous=str(change.previous),
            state=str(change.state),
            adc=0,
            count=change.count,
            late=change.late,
            received_mono_ns=now_ns,
            pressed_mono_ns=min(change.first_ns, now_ns),
        )

    def _link(self, up: bool, reason: str, since_ns: int) -> None:
        if (up, reason) != (self.up, self._reason):
            self._waiting.append(LinkChanged(up, reason, self.uid, None, since_ns))
        self.up, self._reason = up, reason
