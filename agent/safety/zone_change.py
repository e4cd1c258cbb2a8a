"""PURE. What a change of a zone is to be told as."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.facts import InputState, Stamp
from agent.safety.arming import AreaState
from agent.safety.incidents import Incident
from agent.safety.zones import Meaning, Zone, ZoneState


@dataclass(frozen=True, slots=True)
class Told:
    """One thing to be told of a zone. `cause` is the input state behind it; `part` tells apart several of one event;
    `held_back` counts what a door that chatters did before, untold; `drill` says that it is one."""

    meaning: Meaning
    cause: InputState
    incident: Incident | None
    part: str
    held_back: int = 0
    drill: bool = False


@dataclass(frozen=True, slots=True)
class ZoneChange:
    """A zone after a report: its state, whether people see another one, and what is to be told, in order.

    `incidents` are those that changed, each in its newest state; `areas` likewise; `armed` is whether opening the zone
    is an alarm now (None: it is never armed).
    """

    zone: Zone
    state: ZoneState
    seen_by_people: bool
    told: tuple[Told, ...]
    incidents: tuple[Incident, ...] = ()
    areas: tuple[tuple[str, AreaState], ...] = ()
    armed: bool | None = None


@dataclass(frozen=True, slots=True)
class Late:
    """A snapshot showed this zone in another state, and no event told of it."""

    zone: Zone
    state: InputState
    at: Stamp


NewId = Callable[[str], str]
"""The id of an incident that begins with `part` of an event."""


def told_of(meaning: Meaning, cause: InputState, incident: Incident, part: str) -> Told:
    """What is told of an incident: as real, or as much of a drill, as it is."""
    return Told(meaning, cause, incident, part, drill=incident.drill)
