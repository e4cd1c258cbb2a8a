"""PURE. Zones: what a change of one input means for the place that it guards.

Invariants
1. Nothing here knows of arming: every zone always means what its input says. What an opening means beyond that in an
   armed area is decided in arming.py, for perimeter zones alone.
2. A zone that is not known (its link is silent) keeps the last state it was seen in; only a report changes it.
3. What a zone was last seen in, and what the board now says, decide alone: the same two give the same result.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from agent.facts import InputState


class ZoneType(StrEnum):
    """The four kinds of zone (design of alarms, table of zones)."""

    PANIC_24H = "panic_24h"
    TAMPER_24H = "tamper_24h"
    PERIMETER = "perimeter"
    ENVIRONMENT = "environment"


LATCHING = frozenset({ZoneType.PANIC_24H, ZoneType.TAMPER_24H, ZoneType.ENVIRONMENT})
"""Zones whose incident stays until a person resets it. Of a perimeter zone those that arming makes latch."""

ALWAYS_ARMED = frozenset({ZoneType.PANIC_24H, ZoneType.TAMPER_24H, ZoneType.ENVIRONMENT})
"""Zones that belong to no area: nobody and nothing disarms or bypasses them."""

POWER_KINDS = frozenset({"mains", "battery"})
"""Kinds of environment zone that are told as conditions of the power (power.py), and begin no incident of their own."""


@dataclass(frozen=True, slots=True)
class Zone:
    """One input and what it guards. `supervised` says that the input can tell a cut line from a pressed button.

    Of perimeter zones alone: `area` is what it is armed with (None: never armed), `entry` that its opening begins the
    entry delay, `held_open_s` how long it may stand open untold (0: for ever). `kind` is what an environment zone
    watches. `silent`, of a panic zone: its presses are told to the platforms alone, and nothing here sounds or lights.
    """

    id: str
    name: str
    type: ZoneType
    bridge_id: str
    input_no: int
    room_id: str | None = None
    cameras: tuple[str, ...] = ()
    supervised: bool = False
    area: str | None = None
    entry: bool = False
    held_open_s: int = 0
    kind: str = ""
    silent: bool = False


@dataclass(frozen=True, slots=True)
class ZoneState:
    """The state a zone was last seen in, since when (UTC ns), and whether that is still known."""

    input: InputState = InputState.NORMAL
    since_ns: int = 0
    known: bool = False

    @property
    def shown(self) -> InputState:
        """The state for people: UNKNOWN while the link to the board is silent."""
        return self.input if self.known else InputState.UNKNOWN


class Meaning(StrEnum):
    """What a change of state means."""

    PANIC = "panic"
    PANIC_RESTORED = "panic_restored"
    TAMPER = "tamper"
    TAMPER_RESTORED = "tamper_restored"
    ENVIRONMENT = "environment"
    ENVIRONMENT_RESTORED = "environment_restored"
    DOOR_OPENED = "door_opened"
    DOOR_CLOSED = "door_closed"
    DOOR_FORCED = "door_forced"
    DOOR_FORCED_RESTORED = "door_forced_restored"
    INTRUSION = "intrusion"
    INTRUSION_RESTORED = "intrusion_restored"
    DOOR_HELD_OPEN = "door_held_open"
    DOOR_HELD_OPEN_RESTORED = "door_held_open_restored"
    FAULT = "fault"
    FAULT_RESTORED = "fault_restored"


RESTORES: dict[Meaning, Meaning] = {
    Meaning.PANIC_RESTORED: Meaning.PANIC,
    Meaning.TAMPER_RESTORED: Meaning.TAMPER,
    Meaning.ENVIRONMENT_RESTORED: Meaning.ENVIRONMENT,
    Meaning.DOOR_FORCED_RESTORED: Meaning.DOOR_FORCED,
    Meaning.INTRUSION_RESTORED: Meaning.INTRUSION,
    Meaning.DOOR_HELD_OPEN_RESTORED: Meaning.DOOR_HELD_OPEN,
    Meaning.FAULT_RESTORED: Meaning.FAULT,
}
"""Which incident each restore belongs to."""

TRIGGERS = frozenset(RESTORES.values())
"""Meanings that begin an incident, or add to one that is open."""


def latches(zone: Zone, meaning: Meaning) -> bool:
    """Whether the incident that `meaning` begins stays until a person resets it."""
    if meaning in (Meaning.TAMPER, Meaning.DOOR_FORCED, Meaning.INTRUSION):
        return True
    return zone.type in LATCHING and meaning not in (Meaning.FAULT, Meaning.DOOR_HELD_OPEN)


_ALARM = {
    ZoneType.PANIC_24H: (Meaning.PANIC, Meaning.PANIC_RESTORED),
    ZoneType.TAMPER_24H: (Meaning.TAMPER, Meaning.TAMPER_RESTORED),
    ZoneType.PERIMETER: (Meaning.DOOR_OPENED, Meaning.DOOR_CLOSED),
    ZoneType.ENVIRONMENT: (Meaning.ENVIRONMENT, Meaning.ENVIRONMENT_RESTORED),
}
_TAMPER = (Meaning.TAMPER, Meaning.TAMPER_RESTORED)
_FAULT = (Meaning.FAULT, Meaning.FAULT_RESTORED)


@dataclass(frozen=True, slots=True)
class Seen:
    """The board says that the input is in `state`, since `at_ns` (UTC).

    `previous` is what the board says it was before: a press and its release shorter than one report show there.
    """

    state: InputState
    at_ns: int
    previous: InputState | None = None


@dataclass(frozen=True, slots=True)
class LinkLost:
    """Nothing is heard from the board: its zones are not known."""


def step(zone: Zone, state: ZoneState, fact: Seen | LinkLost) -> tuple[ZoneState, tuple[Meaning, ...]]:
    """The next state of the zone, and what that means, in the order in which it is to be told.

    A restore of what was comes before the trigger of what is. Seeing the same state again means nothing, except
    for a new ALARM whose `previous` says that the input had left it: that is a new press.
    """
    if isinstance(fact, LinkLost):
        return replace(state, known=False), ()
    seen = ZoneState(fact.state, fact.at_ns, known=True)
    if fact.state is InputState.UNKNOWN:
        return replace(state, known=False), ()
    if fact.state is state.input:
        again = fact.previous is not None and fact.previous is not fact.state
        if again and fact.state is InputState.ALARM:
            return seen, tuple(pair[0] for pair in _pairs(zone, fact.state))
        return replace(state, known=True), ()
    ended = [pair[1] for pair in _pairs(zone, state.input)]
    return seen, (*ended, *(pair[0] for pair in _pairs(zone, fact.state)))


def _pairs(zone: Zone, state: InputState) -> tuple[tuple[Meaning, Meaning], ...]:
    """What a state means when it begins and when it ends: NORMAL nothing, and mains and battery what power.py says."""
    if state is InputState.NORMAL:
        return ()
    if state is InputState.ALARM:
        return () if zone.kind in POWER_KINDS else (_ALARM[zone.type],)
    if state is InputState.TAMPER:
        return (_TAMPER,)
    # A cut or shorted line of a tamper zone is the tampering itself.
    return (_TAMPER if zone.type is ZoneType.TAMPER_24H else _FAULT,)
