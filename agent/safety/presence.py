"""PURE. People in a room whose area is armed: when nobody is meant to be there, and somebody is.

An area that is being left or entered, or is disarmed, allows people; a room with doors of several areas is watched only
while all of them are armed.

Invariants
1. Presence is raised only by people who are seen for `after_s` while the room is watched, and ended only by
   `CLEAR_AFTER_S` without anybody, or by whoever disarms: one bad count changes nothing, either way.
2. While nothing is known of a room, nothing is raised and nothing ends but by disarming.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from agent.safety.areas import Areas
from agent.safety.arming import Phase
from agent.safety.zones import Zone

KIND: Final = "after_hours_presence"
"""The kind of the incident, whose subject is the room."""

AFTER_S: Final = 20
"""People are told after so long: a lamp that flares, or one wrong count, is gone by then."""

CLEAR_AFTER_S: Final = 10.0
"""An empty room is believed after so long."""

KNOWN_FOR_S: Final = 25.0
"""A count is repeated every 10 s while it stays the same (processes/vision.py); twice missed, it is not known."""


@dataclass(frozen=True, slots=True)
class Presence:
    """One room. `active`: it was told. `since_ns` is since when it has been otherwise (monotonic)."""

    active: bool = False
    since_ns: int | None = None


class Change(Enum):
    """What a look at the room brought."""

    RAISED = "raised"
    CLEARED = "cleared"


def step(
    state: Presence, people: int | None, watched: bool, after_s: float, now_ns: int
) -> tuple[Presence, Change | None]:
    """After a look at a room with so many `people`; None: nobody knows."""
    if not watched:
        return Presence(), Change.CLEARED if state.active else None
    if people is None or (people > 0) is state.active:
        return Presence(state.active), None
    since_ns = now_ns if state.since_ns is None else state.since_ns
    needed_s = CLEAR_AFTER_S if state.active else after_s
    if now_ns - since_ns < needed_s * 1e9:
        return Presence(state.active, since_ns), None
    return Presence(not state.active), Change.CLEARED if state.active else Change.RAISED


def areas_of_rooms(named: Mapping[str, tuple[str, ...] | None], zones: Iterable[Zone]) -> dict[str, frozenset[str]]:
    """The areas of each room. `named` are the rooms that the settings give each area; None: those of its zones."""
    found: dict[str, set[str]] = {}
    of_zones = [(zone.area, zone.room_id) for zone in zones if zone.area and zone.room_id]
    for area_id, rooms in named.items():
        for room in rooms if rooms is not None else [room for area, room in of_zones if area == area_id]:
            found.setdefault(room, set()).add(area_id)
    return {room: frozenset(areas) for room, areas in found.items()}


def is_watched(areas: frozenset[str], known: Areas) -> bool:
    """Whether nobody is meant to be in a room of these areas."""
    return bool(areas) and all(known.state_of(each).phase is Phase.ARMED for each in areas)
