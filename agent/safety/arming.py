"""PURE. Arming: the phases of an area of perimeter zones, and what an opening means in each of them.

    disarmed -> exit_delay -> armed -> entry_delay -> armed, with an intrusion
    a person's or the calendar's disarming leads from each of them to disarmed

Invariants
1. Perimeter zones alone belong to an area: `area_of` refuses any other, so nothing said to an area reaches a zone for
   panic, tamper or the environment.
2. An area becomes DISARMED by `Disarm` alone: no time, opening, fault or restart leads there.
3. An entry delay ends by a disarming or by an intrusion; arming, bypassing and restarting do not cancel it.
4. What is refused raises `NotNow` and changes nothing.
5. A bypass holds for one armed period: the one under way, or the next one; disarming after it clears it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from agent.facts import InputState
from agent.safety.zones import Meaning, Zone, ZoneType

CALENDAR = "calendar"
"""Who arms and disarms when it is the calendar."""


class Phase(StrEnum):
    """Where an area stands."""

    DISARMED = "disarmed"
    EXIT_DELAY = "exit_delay"
    ARMED = "armed"
    ENTRY_DELAY = "entry_delay"


@dataclass(frozen=True, slots=True)
class Area:
    """Zones that are armed and disarmed together. `entries` are those whose opening begins the entry delay."""

    id: str
    name: str
    exit_delay_s: int
    entry_delay_s: int
    zones: frozenset[str]
    entries: frozenset[str]


def area_of(area_id: str, name: str, exit_delay_s: int, entry_delay_s: int, zones: Iterable[Zone]) -> Area:
    """The area with those of `zones` that name it. Raises ValueError for one that may never be disarmed."""
    own = [zone for zone in zones if zone.area == area_id]
    for zone in own:
        if zone.type is not ZoneType.PERIMETER:
            raise ValueError(f"zone {zone.id} is {zone.type}: it belongs to no area")
    entries = frozenset(zone.id for zone in own if zone.entry)
    return Area(area_id, name, exit_delay_s, entry_delay_s, frozenset(zone.id for zone in own), entries)


@dataclass(frozen=True, slots=True)
class AreaState:
    """One area now: `who` brought it there and `since_ns` when (UTC).

    `until_ns` is when the delay under way ends (monotonic), `zone` what began the entry delay. `bypassed` zones are
    left out by a person, `waiting` ones were not closed when the calendar armed: each is armed as it closes.
    `calendar_ns` is the newest change point of the calendar that was applied (UTC; 0: none). `blind`: the calendar
    armed it because nobody knew the time, and for no other reason. `acts` counts armings and disarmings of this start:
    whoever decided before the last of them decided about something else.
    """

    phase: Phase = Phase.DISARMED
    who: str = ""
    since_ns: int = 0
    until_ns: int = 0
    zone: str = ""
    bypassed: frozenset[str] = frozenset()
    waiting: frozenset[str] = frozenset()
    calendar_ns: int = 0
    blind: bool = False
    acts: int = 0

    @property
    def by_calendar(self) -> bool:
        """The calendar brought it there."""
        return self.who == CALENDAR


@dataclass(frozen=True, slots=True)
class Arm:
    """Arm. `bypass` are zones to leave out, `force` leaves out all that are not closed; `at_once` knows no exit delay.

    The calendar (`who` is CALENDAR) leaves nothing out: what is not closed waits.
    """

    who: str
    bypass: frozenset[str] = frozenset()
    force: bool = False
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Disarm:
    """Disarm. Under duress it is the same here, and an alarm beside it (agent/acts.py)."""

    who: str
    duress: bool = False


@dataclass(frozen=True, slots=True)
class Bypass:
    """Leave one zone out, for one armed period."""

    who: str
    zone: str
    why: str


@dataclass(frozen=True, slots=True)
class Unbypass:
    """Leave it out no longer."""

    who: str
    zone: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A zone was opened."""

    zone: str


@dataclass(frozen=True, slots=True)
class Cut:
    """The line of a zone was cut or shorted, or reads as nothing that it may be."""

    zone: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Act = Arm | Disarm | Bypass | Unbypass
"""What a person (or the calendar) does with an area."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Now: UTC ns for people, monotonic ns for delays."""

    wall_ns: int
    mono_ns: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """What a zone is an alarm of: Meaning.DOOR_FORCED or Meaning.INTRUSION."""

    zone: str
    meaning: Meaning


class NotNow(Exception):
    """The act has no place here. `code` is not_ready, already_armed, no_such_zone or not_bypassed; `zones` are why."""

    def __init__(self, code: str, zones: Iterable[str] = ()) -> None:
        self.code = code
        self.zones = tuple(sorted(zones))
        super().__init__(f"{code} {' '.join(self.zones)}".strip())


Picture = Mapping[str, InputState]
"""What each zone of an area is seen in; UNKNOWN while nobody sees it."""


def armed(area: Area, state: AreaState, zone: str) -> bool:
    """Whether opening this zone is more than an opening."""
    if zone not in area.zones or zone in state.bypassed or zone in state.waiting:
        return False
    if state.phase is Phase.EXIT_DELAY:
        return zone not in area.entries
    return state.phase is not Phase.DISARMED


def step(
    area: Area, state: AreaState, fact: Act | Opened | Cut | Tick, seen: Picture, now: Moment
) -> tuple[AreaState, tuple[Alarm, ...]]:
    """The area after the fact, and what it is an alarm of. Raises NotNow for an act that has no place."""
    match fact:
        case Arm():
            return _arm(area, state, fact, seen, now), ()
        case Disarm():
            if state.phase is Phase.DISARMED:
                return state, ()
            return (
                AreaState(who=fact.who, since_ns=now.wall_ns, calendar_ns=state.calendar_ns, acts=state.acts + 1),
                (),
            )
        case Bypass() | Unbypass():
            return _bypass(area, state, fact, seen), ()
        case Opened():
            return _opened(area, state, fact.zone, now)
        case Cut():
            return state, ((Alarm(fact.zone, Meaning.INTRUSION),) if armed(area, state, fact.zone) else ())
        case Tick():
            return _tick(area, state, seen, now)


def unready(area: Area, seen: Picture) -> frozenset[str]:
    """The zones that are open, faulted or not seen."""
    return frozenset(zone for zone in area.zones if seen.get(zone, InputState.UNKNOWN) is not InputState.NORMAL)


def _arm(area: Area, state: AreaState, fact: Arm, seen: Picture, now: Moment) -> AreaState:
    if state.phase is not Phase.DISARMED:
        raise NotNow("already_armed")
    if strange := fact.bypass - area.zones:
        raise NotNow("no_such_zone", strange)
    left_out = (state.bypassed | fact.bypass) & area.zones
    hindering = unready(area, seen) - left_out
    waiting: frozenset[str] = frozenset()
    if fact.who == CALENDAR:
        waiting = hindering
    elif fact.force:
        left_out |= hindering
    elif hindering:
        raise NotNow("not_ready", hindering)
    delayed = area.exit_delay_s > 0 and not fact.at_once
    return AreaState(
        phase=Phase.EXIT_DELAY if delayed else Phase.ARMED,
        who=fact.who,
        since_ns=now.wall_ns,
        until_ns=_after(now, area.exit_delay_s) if delayed else 0,
        bypassed=left_out,
        waiting=waiting,
        calendar_ns=state.calendar_ns,
        acts=state.acts + 1,
    )


def _bypass(area: Area, state: AreaState, fact: Bypass | Unbypass, seen: Picture) -> AreaState:
    if fact.zone not in area.zones:
        raise NotNow("no_such_zone", [fact.zone])
    if isinstance(fact, Bypass):
        return replace(state, bypassed=state.bypassed | {fact.zone}, waiting=state.waiting - {fact.zone})
    if fact.zone not in state.bypassed:
        raise NotNow("not_bypassed", [fact.zone])
    if state.phase is not Phase.DISARMED and fact.zone in unready(area, seen):
        raise NotNow("not_ready", [fact.zone])
    return replace(state, bypassed=state.bypassed - {fact.zone})


def _opened(area: Area, state: AreaState, zone: str, now: Moment) -> tuple[AreaState, tuple[Alarm, ...]]:
    if not armed(area, state, zone):
        return state, ()
    if zone not in area.entries:
        return state, (Alarm(zone, Meaning.DOOR_FORCED),)
    if not area.entry_delay_s:
        return state, (Alarm(zone, Meaning.INTRUSION),)
    if state.phase is Phase.ENTRY_DELAY:
        return state, ()
    return _entered(area, state, zone, now), ()


def _entered(area: Area, state: AreaState, zone: str, now: Moment) -> AreaState:
    return replace(state, phase=Phase.ENTRY_DELAY, until_ns=_after(now, area.entry_delay_s), zone=zone)


def _tick(area: Area, state: AreaState, seen: Picture, now: Moment) -> tuple[AreaState, tuple[Alarm, ...]]:
    if state.waiting:
        state = replace(state, waiting=state.waiting & unready(area, seen))
    if state.phase is Phase.ENTRY_DELAY and now.mono_ns >= state.until_ns:
        after = replace(state, phase=Phase.ARMED, until_ns=0, zone="")
        return after, (Alarm(state.zone, Meaning.INTRUSION),)
    if state.phase is Phase.EXIT_DELAY and now.mono_ns >= state.until_ns:
        return _left(area, state, seen, now)
    return state, ()


def _left(area: Area, state: AreaState, seen: Picture, now: Moment) -> tuple[AreaState, tuple[Alarm, ...]]:
    """The exit delay is over. An entry that a person left open begins the entry delay: it is told, and in time."""
    state = replace(state, phase=Phase.ARMED, until_ns=0)
    left = sorted((unready(area, seen) & area.entries) - state.bypassed - state.waiting)
    unseen = frozenset(zone for zone in left if seen.get(zone, InputState.UNKNOWN) is InputState.UNKNOWN)
    if state.by_calendar:
        unseen = frozenset(left)
    state = replace(state, waiting=state.waiting | unseen)
    alarms: list[Alarm] = []
    for zone in left:
        if zone in unseen:
            continue
        fact = Opened(zone) if seen[zone] is InputState.ALARM else Cut(zone)
        state, more = step(area, state, fact, seen, now)
        alarms += more
    return state, tuple(alarms)


def restored(area: Area, stored: AreaState, inputs: Picture, now: Moment) -> AreaState:
    """The area after a restart: never less armed than it was stored. `inputs` are the states its zones were stored in.

    An exit delay is over; an entry delay begins again, whole, because nobody knows how much of it had passed.
    """
    bypassed, waiting = stored.bypassed & area.zones, stored.waiting & area.zones
    state = replace(stored, bypassed=bypassed, waiting=waiting, until_ns=0, acts=0)
    if stored.phase is Phase.EXIT_DELAY:
        opened = frozenset(zone for zone in area.entries if inputs.get(zone) not in (None, InputState.NORMAL))
        return replace(state, phase=Phase.ARMED, waiting=waiting | (opened - bypassed))
    if stored.phase is Phase.ENTRY_DELAY:
        return replace(state, until_ns=_after(now, area.entry_delay_s))
    return state


def _after(now: Moment, seconds: int) -> int:
    return now.mono_ns + seconds * 1_000_000_000
