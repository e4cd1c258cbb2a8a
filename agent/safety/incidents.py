"""PURE. The life of an incident on its local axis. Delivery, the other axis, is `delivery.outbox` and never waits here.

    latching        triggered -> acknowledged -> restored -> reset -> closed
    self-clearing   triggered -> acknowledged -> closed by its restore

Invariants
1. `LATCHING_LIFE` and `SELF_CLEARING_LIFE` are the whole life: an event that stands in no row raises `NotNow` and
   changes nothing.
2. A latching incident leaves `triggered`, `acknowledged` and `restored` only by a person's reset, and that only once
   its input is restored.
3. A new trigger of an open incident belongs to it and is counted: `count` never falls.
4. An incident that is closed stays closed.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

DURESS = "duress"
"""The kind of incident that platforms alone are told of: who is forced to disarm must not be given away."""


class Life(StrEnum):
    """Where an incident stands."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    RESTORED = "restored"
    RESET = "reset"
    CLOSED = "closed"


class Happening(StrEnum):
    """What may happen to an incident."""

    TRIGGER = "trigger"
    ACKNOWLEDGE = "acknowledge"
    RESTORE = "restore"
    RESET = "reset"
    CLOSE = "close"


LATCHING_LIFE: dict[tuple[Life, Happening], Life] = {
    (Life.TRIGGERED, Happening.TRIGGER): Life.TRIGGERED,
    (Life.TRIGGERED, Happening.ACKNOWLEDGE): Life.ACKNOWLEDGED,
    (Life.TRIGGERED, Happening.RESTORE): Life.RESTORED,
    (Life.ACKNOWLEDGED, Happening.TRIGGER): Life.TRIGGERED,  # a new trigger sounds again
    (Life.ACKNOWLEDGED, Happening.RESTORE): Life.RESTORED,
    (Life.RESTORED, Happening.TRIGGER): Life.TRIGGERED,
    (Life.RESTORED, Happening.ACKNOWLEDGE): Life.RESTORED,  # released before anybody came
    (Life.RESTORED, Happening.RESET): Life.RESET,
    (Life.RESET, Happening.CLOSE): Life.CLOSED,
}
"""Panic, tamper, environment: stays until a person resets it."""

SELF_CLEARING_LIFE: dict[tuple[Life, Happening], Life] = {
    (Life.TRIGGERED, Happening.TRIGGER): Life.TRIGGERED,
    (Life.TRIGGERED, Happening.ACKNOWLEDGE): Life.ACKNOWLEDGED,
    (Life.TRIGGERED, Happening.RESTORE): Life.CLOSED,
    (Life.ACKNOWLEDGED, Happening.TRIGGER): Life.ACKNOWLEDGED,
    (Life.ACKNOWLEDGED, Happening.RESTORE): Life.CLOSED,
}
"""Faults and what vision sees: its restore ends it."""


class NotNow(Exception):
    """The event has no place where this incident stands. Nothing was changed."""

    def __init__(self, state: Life, happening: Happening) -> None:
        super().__init__(f"{happening} of an incident that is {state}")
        self.state = state
        self.happening = happening


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that happened, from its first trigger to its end. Times are UTC nanoseconds; 0 means not yet.

    (`kind`, `subject`) names what it is about: at most one open incident has the same two. `count` is how often it
    was triggered. `drill`: it belongs to a drill, and ends with it.
    """

    id: str
    kind: str
    subject: str
    name: str
    room_id: str | None
    latching: bool
    triggered_ns: int
    last_ns: int
    state: Life = Life.TRIGGERED
    count: int = 1
    acknowledged_ns: int = 0
    acknowledged_by: str = ""
    restored_ns: int = 0
    reset_ns: int = 0
    reset_by: str = ""
    reset_why: str = ""
    drill: bool = False

    @property
    def open(self) -> bool:
        """Neither closed nor only waiting to be closed."""
        return self.state not in (Life.RESET, Life.CLOSED)

    @property
    def latched(self) -> bool:
        """Holds the alarm until a person resets it."""
        return self.latching and self.open


@dataclass(frozen=True, slots=True)
class Event:
    """One happening; `who` and `why` are a person's, and empty for what a machine reports."""

    happening: Happening
    who: str = ""
    why: str = ""


def step(incident: Incident, event: Event, now_ns: int) -> Incident:
    """The incident after the event. `now_ns` is UTC. Raises NotNow when the life has no place for the event."""
    life = LATCHING_LIFE if incident.latching else SELF_CLEARING_LIFE
    state = life.get((incident.state, event.happening))
    if state is None:
        raise NotNow(incident.state, event.happening)
    moved = replace(incident, state=state)
    match event.happening:
        case Happening.TRIGGER:
            again = replace(moved, count=incident.count + 1, last_ns=now_ns, restored_ns=0)
            # A new trigger sounds again, and that asks for a new acknowledgement, whatever the wall clock says.
            return replace(again, acknowledged_ns=0, acknowledged_by="") if state is Life.TRIGGERED else again
        case Happening.ACKNOWLEDGE:
            return replace(moved, acknowledged_ns=now_ns, acknowledged_by=event.who)
        case Happening.RESTORE:
            return replace(moved, restored_ns=now_ns)
        case Happening.RESET:
            return replace(moved, reset_ns=now_ns, reset_by=event.who, reset_why=event.why)
        case Happening.CLOSE:
            return moved


def ended(incident: Incident, who: str, why: str, now_ns: int) -> Incident:
    """The incident of a drill that is over, closed. Raises ValueError for a real one: a person alone ends that."""
    if not incident.drill:
        raise ValueError(f"{incident.id} is real")
    if not incident.restored_ns:
        incident = step(incident, Event(Happening.RESTORE), now_ns)
    if not incident.latching:
        return incident
    reset = step(incident, Event(Happening.RESET, who, why), now_ns)
    return step(reset, Event(Happening.CLOSE), now_ns)
