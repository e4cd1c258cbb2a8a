"""PURE. The outbox of one platform: what to publish next, and when again.

A core in the sense of the house style: it eats facts and returns results, and knows no socket, thread or clock.
Times are monotonic nanoseconds.

    waiting -> sent -> published -> receipted
                \\-> waiting (refused, unanswered, connection lost)    \\-> failed (rejected by the platform)

Invariants
1. An alert leaves only as receipted, as rejected by the platform, or, where a platform sends no receipts, as
   acknowledged by its broker with a reason code that is a success.
2. What is sent is always the waiting alert with the lowest (priority, order).
3. Nothing is sent while the platform is not connected, and what was on its way when the connection broke is sent again.
4. At most `window` alerts are unanswered by the broker at once; priority 1 never waits for the window.
5. One id is in the outbox at most once.
"""

import heapq
from dataclasses import dataclass
from enum import StrEnum

NO_PUBACK_S = (2.0, 4.0, 8.0, 16.0, 30.0)
"""Waits for the broker's acknowledgement, by attempt (design of delivery: 2 s)."""

NO_RECEIPT_S = (10.0, 20.0, 40.0, 60.0)
"""Waits for the platform's receipt, by attempt (design of delivery: 10 s)."""

REFUSED_S = (2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Waits after a refusal by the broker, by attempt: rights and quotas are mended by people."""

REDIAL_AFTER_S = 6.0
"""A broker that acknowledges nothing for this long while asked is given up: three times the first wait."""

RECEIPT_MISSING_AFTER_S = 30.0
"""Published for this long without a receipt is a fault (design of delivery: 30 s)."""

WINDOW = 20
"""Unanswered publishes at once: what mosquitto allows a client by default (max_inflight_messages)."""

NO_SUBSCRIBER = 0x10
"""MQTT 5 reason code: accepted, and nobody was there to get it. Not delivery."""

FIRST_ERROR = 0x80
"""MQTT 5 reason codes from here on are refusals."""


class State(StrEnum):
    """Where an alert stands with one platform."""

    WAITING = "pending"
    SENT = "sent"
    PUBLISHED = "published"
    RECEIPTED = "receipted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Add:
    """An alert is to be delivered. `order` decides among equals of `priority` (1 is highest)."""

    id: str
    priority: int
    order: int


@dataclass(frozen=True, slots=True)
class Connected:
    """The platform can be published to."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection broke: what the broker had not passed on is to be taken as gone."""


@dataclass(frozen=True, slots=True)
class Acked:
    """The broker answered the publish of `id` with an MQTT 5 reason code."""

    id: str
    code: int


@dataclass(frozen=True, slots=True)
class Receipted:
    """The platform answered. `status` as in payload.Receipt."""

    id: str
    status: str
    case_no: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Fact = Add | Connected | Lost | Acked | Receipted | Tick


@dataclass(frozen=True, slots=True)
class Send:
    """Publish `id` now. `attempt` counts from 1."""

    id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Moved:
    """`id` stands here now. RECEIPTED and FAILED, and PUBLISHED without receipts, are its last."""

    id: str
    state: State
    last: bool
    case_no: str = ""


@dataclass(frozen=True, slots=True)
class Redial:
    """The broker answers nothing: give the connection up and make another."""


Result = Send | Moved | Redial


@dataclass(slots=True)
class _Entry:
    priority: int
    order: int
    state: State = State.WAITING
    attempts: int = 0
    due_ns: int = 0
    code: int = 0

    @property
    def refused(self) -> bool:
        """The broker refused it and its wait is not over."""
        return self.code >= FIRST_ERROR and self.state is State.PUBLISHED


class Outbox:
    """The alerts that one platform has yet to receipt."""

    def __init__(self, receipts_required: bool, window: int = WINDOW) -> None:
        """`receipts_required`: a broker's acknowledgement is not delivery, only a receipt is."""
        self._receipts = receipts_required
        self._window = window
        self._connected = False
        self._entries: dict[str, _Entry] = {}
        self._ready: list[tuple[int, int, str]] = []
        self._later: list[tuple[int, str]] = []
        self._unanswered: dict[str, int] = {}
        self._unreceipted: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, alert_id: str) -> bool:
        return alert_id in self._entries

    @property
    def connected(self) -> bool:
        """Whether alerts can be sent now."""
        return self._connected

    @property
    def unreceipted(self) -> int:
        """How many the broker has taken and the platform has not receipted."""
        return len(self._unreceipted)

    def refusals(self) -> dict[int, int]:
        """How many wait because the broker answered with which reason code."""
        codes: dict[int, int] = {}
        for entry in self._entries.values():
            if entry.code:
                codes[entry.code] = codes.get(entry.code, 0) + 1
        return codes

    def receipt_missing_s(self, now_ns: int) -> float:
        """For how long the oldest published alert has had no receipt; 0 when none waits for one."""
        oldest = next(iter(self._unreceipted.values()), now_ns)
        return (now_ns - oldest) / 1e9

    def next_due_ns(self) -> int | None:
        """When `step` with a Tick will have something to say, at the latest; None when nothing is to come."""
        return self._later[0][0] if self._later and self._connected else None

    def step(self, fact: Fact, now_ns: int) -> list[Result]:
        """Take the fact in; what follows from it, in order."""
        results: list[Result] = []
        match fact:
            case Add():
                self._add(fact)
            case Connected():
                self._connected = True
            case Lost():
                self._lost()
            case Acked():
                self._acked(fact, now_ns, results)
            case Receipted():
                self._receipted(fact, now_ns, results)
            case Tick():
                pass
        self._wake(now_ns)
        if self._connected:
            oldest_ns = next(iter(self._unanswered.values()), now_ns)
            if now_ns - oldest_ns > REDIAL_AFTER_S * 1e9:
                results.append(Redial())
                self._lost()
            else:
                self._send(now_ns, results)
        return results

    def _add(self, fact: Add) -> None:
        if fact.id not in self._entries:
            self._entries[fact.id] = _Entry(fact.priority, fact.order)
            heapq.heappush(self._ready, (fact.priority, fact.order, fact.id))

    def _lost(self) -> None:
        self._connected = False
        self._unanswered.clear()
        # A broker may end the connection over an alert that it refuses: that one keeps its wait.
        refused = {name for name, entry in self._entries.items() if entry.refused}
        self._later = [each for each in self._later if each[1] in refused]
        heapq.heapify(self._later)
        self._ready = []
        for name, entry in self._entries.items():
            if name not in refused:
                entry.state = State.WAITING
                heapq.heappush(self._ready, (entry.priority, entry.order, name))

    def _acked(self, fact: Acked, now_ns: int, results: list[Result]) -> None:
        self._unanswered.pop(fact.id, None)
        entry = self._entries.get(fact.id)
        if entry is None or entry.state is State.PUBLISHED:
            return
        entry.code = fact.code
        if fact.code >= FIRST_ERROR:
            self._later_again(fact.id, entry, now_ns, REFUSED_S)
        elif self._receipts:
            self._unreceipted.setdefault(fact.id, now_ns)
            self._later_again(fact.id, entry, now_ns, NO_RECEIPT_S)
            results.append(Moved(fact.id, State.PUBLISHED, last=False))
        elif fact.code == NO_SUBSCRIBER:
            self._later_again(fact.id, entry, now_ns, NO_RECEIPT_S)
        else:
            self._forget(fact.id)
            results.append(Moved(fact.id, State.PUBLISHED, last=True))

    def _receipted(self, fact: Receipted, now_ns: int, results: list[Result]) -> None:
        entry = self._entries.get(fact.id)
        if entry is None:
            return
        if fact.status == "busy":
            self._unanswered.pop(fact.id, None)
            self._later_again(fact.id, entry, now_ns, NO_RECEIPT_S)
            return
        self._forget(fact.id)
        state = State.FAILED if fact.status == "rejected" else State.RECEIPTED
        results.append(Moved(fact.id, state, last=True, case_no=fact.case_no))

    def _forget(self, alert_id: str) -> None:
        self._entries.pop(alert_id, None)
        self._unanswered.pop(alert_id, None)
        self._unreceipted.pop(alert_id, None)

    def _later_again(self, alert_id: str, entry: _Entry, now_ns: int, waits_s: tuple[float, ...]) -> None:
        """Answered by the broker, or told to come later: sent again after its wait unless something ends it."""
        entry.state = State.PUBLISHED
        self._due(alert_id, entry, now_ns, waits_s)

    def _due(self, alert_id: str, entry: _Entry, now_ns: int, waits_s: tuple[float, ...]) -> None:
        wait_s = waits_s[min(max(entry.attempts, 1), len(waits_s)) - 1]
        entry.due_ns = now_ns + round(wait_s * 1e9)
        heapq.heappush(self._later, (entry.due_ns, alert_id))

    def _wake(self, now_ns: int) -> None:
        while self._later and self._later[0][0] <= now_ns:
            due_ns, alert_id = heapq.heappop(self._later)
            entry = self._entries.get(alert_id)
            if entry is not None and entry.due_ns == due_ns and entry.state is not State.WAITING:
                entry.state = State.WAITING
                heapq.heappush(self._ready, (entry.priority, entry.order, alert_id))

    def _send(self, now_ns: int, results: list[Result]) -> None:
        while self._ready:
            priority, _, alert_id = self._ready[0]
            entry = self._entries.get(alert_id)
            if entry is None or entry.state is not State.WAITING:
                heapq.heappop(self._ready)
                continue
            if priority > 1 and len(self._unanswered) >= self._window:
                return
            heapq.heappop(self._ready)
            entry.state = State.SENT
            entry.attempts += 1
            self._unanswered.setdefault(alert_id, now_ns)
            self._due(alert_id, entry, now_ns, NO_PUBACK_S)
            results.append(Send(alert_id, entry.attempts))
