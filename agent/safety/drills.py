"""PURE. Drills and walk tests: what of a zone is a drill now, and when it is real after all.

Invariants
1. A drill ends by itself: `LONGEST_S` at most after it began, by the monotonic clock, which nobody sets; and with the
   boot of the machine that it began in, because nobody knows how much of it had passed.
2. Real in any drill: tampering and faults, zones that are not drilled, and what happened before the drill began or at a
   time that nobody knows.
3. Whoever is in need at a drilled button is heard: its third press within `AGAIN_WITHIN_S`, or holding it for `HELD_S`,
   is real.
4. Whatever real latches ends the drill, and from that moment nothing is a drill any more.
5. Nothing here ends a real incident, or makes one a drill.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agent.facts import InputState
from agent.safety.incidents import DURESS, Incident
from agent.safety.zones import POWER_KINDS, Meaning, Zone, ZoneState, ZoneType

LONGEST_S: Final = 1800.0
"""Half an hour (design of alarms)."""

PRESSES: Final = 3
"""So many presses of one button are no drill: a test takes one, and one more by mistake."""

AGAIN_WITHIN_S: Final = 10.0

HELD_S: Final = 60.0
"""A drilled button that is held for so long is real. One that stays in is put back by who leads the drill, in less."""

REAL_ALARM: Final = "real_alarm"
"""Why a drill ended: something real began."""

_REAL: Final = frozenset({Meaning.TAMPER, Meaning.TAMPER_RESTORED, Meaning.FAULT, Meaning.FAULT_RESTORED})


class DrillKind(StrEnum):
    """What it is for. All of them are drills to the platforms."""

    DRILL = "drill"
    WALK = "walk"
    BUTTON = "button"


@dataclass(frozen=True, slots=True)
class Drill:
    """A drill of `zones`, led by `who`. `began_ns` is UTC; the others are monotonic, of the boot `machine_boot`."""

    id: str
    kind: DrillKind
    zones: frozenset[str]
    who: str
    began_ns: int
    began_mono_ns: int
    until_mono_ns: int
    machine_boot: str


def may_be_drilled(zone: Zone) -> bool:
    """Whether a drill of this zone means anything: tampering is always real, and power that fails is a fault."""
    return zone.type is not ZoneType.TAMPER_24H and zone.kind not in POWER_KINDS


def survives(drill: Drill, machine_boot: str, now_mono_ns: int) -> bool:
    """Whether the stored drill still goes on after a restart of this process."""
    left_ns = drill.until_mono_ns - now_mono_ns
    here = bool(machine_boot) and drill.machine_boot == machine_boot
    return here and 0 < left_ns <= LONGEST_S * 1e9 and drill.began_mono_ns <= now_mono_ns


class Drills:
    """The drill under way, if any, and what was seen in it. Used by one thread. Times are monotonic ns."""

    def __init__(self) -> None:
        self.running: Drill | None = None
        self.seen: dict[str, int] = {}
        """When each zone was first activated in it (UTC ns): what a walk test lists."""
        self._taken: set[str] = set()
        self._presses: dict[str, tuple[int, ...]] = {}
        self._pressed: dict[str, int] = {}
        self._stopped = ""

    def begin(self, drill: Drill, taken: Iterable[str] = ()) -> None:
        """From now on these zones are drilled. `taken` have an incident of it already (after a restart)."""
        self.clear()
        self.running = drill
        self._taken = set(taken)

    def clear(self) -> None:
        """There is no drill."""
        self.running, self.seen, self._stopped = None, {}, ""
        self._taken, self._presses, self._pressed = set(), {}, {}

    def activated(
        self, zone: Zone, happened_ns: int | None, count: int, now_ns: int, wall_ns: int, *, forced: bool
    ) -> None:
        """A zone went into alarm, `count` times, at `happened_ns` (None: nobody knows). Decides whether that is a
        drill. `forced`: somebody acts under duress here, and nothing is a drill."""
        drill = self.running
        if drill is None:
            return
        self.seen.setdefault(zone.id, wall_ns)
        self._taken.discard(zone.id)
        if forced or happened_ns is None or happened_ns < drill.began_mono_ns:
            return
        if zone.id not in drill.zones or self.over(now_ns):
            return
        since_ns = happened_ns - round(AGAIN_WITHIN_S * 1e9)
        presses = (*(each for each in self._presses.get(zone.id, ()) if each > since_ns), *([happened_ns] * count))
        self._presses[zone.id] = presses[-PRESSES:]
        if zone.type is ZoneType.PANIC_24H and len(presses) >= PRESSES:
            return
        self._pressed[zone.id] = now_ns
        self._taken.add(zone.id)

    def covers(self, zone: Zone, meaning: Meaning, cause: InputState) -> bool:
        """Whether what a zone means now is a drill: it was activated in one that goes on."""
        if self.running is None or self._stopped or meaning in _REAL or zone.id not in self._taken:
            return False
        return cause in (InputState.ALARM, InputState.NORMAL)

    def chirps(self, zone: Zone) -> bool:
        """Whether the zone was activated in a walk test: whoever walks is to hear it."""
        walks = self.running is not None and self.running.kind is DrillKind.WALK
        return walks and not self._stopped and zone.id in self._taken

    def real_began(self) -> None:
        """Something real latches: there is no drill any more."""
        if self.running is not None:
            self._stopped = REAL_ALARM

    def over(self, now_ns: int) -> str:
        """Why the drill is over; an empty text while it goes on, and when there is none."""
        if self.running is None:
            return ""
        return self._stopped or ("time" if now_ns >= self.running.until_mono_ns else "")

    def held(self, zones: Iterable[Zone], states: Mapping[str, ZoneState], now_ns: int) -> list[Zone]:
        """The drilled buttons that are held for longer than any drill does. Each is given once, and is real."""
        found = []
        for zone in zones:
            if zone.type is not ZoneType.PANIC_24H or zone.id not in self._taken:
                continue
            if states[zone.id].input is not InputState.ALARM:
                self._pressed.pop(zone.id, None)
            elif now_ns - self._pressed.setdefault(zone.id, now_ns) >= HELD_S * 1e9:
                self._taken.discard(zone.id)
                found.append(zone)
        return found


class NoDrill(Exception):
    """There can be no drill now. `code` is no_such_zone, never_drilled or alarm_open; `zones` are why."""

    def __init__(self, code: str, zones: Iterable[str] = ()) -> None:
        self.code = code
        self.zones = tuple(sorted(zones))
        super().__init__(f"{code} {' '.join(self.zones)}".strip())


def chosen(
    target: str, zones: Iterable[Zone], states: Mapping[str, ZoneState], open_now: Iterable[Incident]
) -> frozenset[str]:
    """The zones that a drill of `target` (a zone, an area, `all`, or `buttons`) is of. Raises NoDrill.

    A zone that is in alarm already, or whose alarm nobody has reset, stays real. While an alarm that nobody has
    acknowledged is open there is no drill at all; that of a duress hinders none, for it must not be given away.
    """
    zones, real = list(zones), _real(open_now)
    if found := unseen(real):
        raise NoDrill("alarm_open", (each.subject.removeprefix("zone/") for each in found))
    meant = [zone for zone in zones if _meant(zone, target)]
    if not meant:
        raise NoDrill("no_such_zone", [target])
    drilled = [zone for zone in meant if may_be_drilled(zone)]
    if not drilled:
        raise NoDrill("never_drilled", (zone.id for zone in meant))
    subjects = {each.subject for each in real}
    ready = [
        zone.id
        for zone in drilled
        if f"zone/{zone.id}" not in subjects and states[zone.id].input is not InputState.ALARM
    ]
    if not ready:
        raise NoDrill("alarm_open", (zone.id for zone in drilled))
    return frozenset(ready)


def unseen(open_now: Iterable[Incident]) -> list[Incident]:
    """The real alarms that nobody has acknowledged; but for those of duress, which must not be given away."""
    return [each for each in _real(open_now) if not each.acknowledged_ns]


def _real(open_now: Iterable[Incident]) -> list[Incident]:
    return [each for each in open_now if each.latched and not each.drill and each.kind != DURESS]


def buttons(zones: Iterable[Zone]) -> tuple[Zone, ...]:
    """Those that people press."""
    return tuple(zone for zone in zones if zone.type is ZoneType.PANIC_24H)


def _meant(zone: Zone, target: str) -> bool:
    if target == "buttons":
        return zone.type is ZoneType.PANIC_24H
    return target in ("all", zone.id) or (zone.area is not None and zone.area == target)
