"""PURE. The areas of one facility and where each stands. `arming` decides; this remembers.

Invariants
1. What a person does is decided first and holds once it is stored (`settle`); what happened in between is not undone.
2. Every state that changed is given out by `take_changed`, to be stored with what changed it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from agent.facts import InputState
from agent.safety import arming
from agent.safety.arming import Act, Alarm, Area, AreaState, Arm, Bypass, Cut, Disarm, Moment, Opened, Phase, Tick
from agent.safety.zones import ALWAYS_ARMED, Zone

CUT = frozenset({InputState.OPEN, InputState.SHORT, InputState.FAULT})
"""What the line of a zone reads as when somebody cut or bridged it."""


class Areas:
    """Areas and their states. Used by one thread."""

    def __init__(self, areas: Iterable[Area], shown: Callable[[str], InputState]) -> None:
        """`shown(zone_id)` is what a zone is seen in now, UNKNOWN while nobody sees it."""
        self.all = tuple(areas)
        self._shown = shown
        self._areas = {area.id: area for area in self.all}
        self._of_zone = {zone: area for area in self.all for zone in area.zones}
        self._states = {area.id: AreaState() for area in self.all}
        self._changed: dict[str, None] = {}

    def find(self, area_id: str) -> Area | None:
        """The area of this id; of no id, the only one."""
        return self.all[0] if not area_id and len(self.all) == 1 else self._areas.get(area_id)

    def of_zone(self, zone_id: str) -> Area | None:
        """The area that the zone belongs to."""
        return self._of_zone.get(zone_id)

    def state_of(self, area_id: str) -> AreaState:
        """Where an area stands."""
        return self._states[area_id]

    def armed(self, zone: Zone) -> bool | None:
        """Whether opening this zone is an alarm now; None for one that is never armed. True of every 24-hour zone."""
        if zone.type in ALWAYS_ARMED:
            return True
        area = self._of_zone.get(zone.id)
        return None if area is None else arming.armed(area, self._states[area.id], zone.id)

    def unready(self, area_id: str) -> frozenset[str]:
        """The zones of an area that are open, faulted or not seen."""
        area = self._areas[area_id]
        return arming.unready(area, self._picture(area))

    def decide(self, area_id: str, act: Act, now: Moment) -> AreaState:
        """What an act would lead to; nothing changes yet. Raises arming.NotNow."""
        area = self._areas[area_id]
        after, _ = arming.step(area, self._states[area_id], act, self._picture(area), now)
        return after

    def settle(self, area_id: str, act: Act, before: AreaState, decided: AreaState, now: Moment) -> tuple[Alarm, ...]:
        """A person's act, decided when the area stood at `before`, is stored: it holds now.

        A zone that was opened in between, and is armed by it, is an alarm. When the calendar armed in between, that
        came later, and stays.
        """
        area, current = self._areas[area_id], self._states[area_id]
        if current is not before:
            self._changed[area_id] = None  # what was stored is not where it stands
        if current.acts != before.acts and isinstance(act, Arm | Disarm):
            return ()
        was_armed = {zone for zone in area.zones if arming.armed(area, current, zone)}
        match act:
            case Arm():
                delay_ns = area.exit_delay_s * 1_000_000_000
                until_ns = now.mono_ns + delay_ns if decided.phase is Phase.EXIT_DELAY else 0
                after = replace(decided, until_ns=until_ns, calendar_ns=current.calendar_ns)
            case Disarm():
                after = replace(decided, calendar_ns=current.calendar_ns)
            case Bypass():
                bypassed, waiting = current.bypassed | {act.zone}, current.waiting - {act.zone}
                after = replace(current, bypassed=bypassed, waiting=waiting)
            case _:
                after = replace(current, bypassed=current.bypassed - {act.zone})
        self._states[area_id] = after
        alarms: list[Alarm] = []
        for zone in sorted(area.zones - was_armed):
            if self._shown(zone) is InputState.ALARM:
                alarms += self._fact(area, Opened(zone), now)
            elif self._shown(zone) in CUT:
                alarms += self._fact(area, Cut(zone), now)
        return tuple(alarms)

    def put(self, area_id: str, state: AreaState) -> None:
        """The area stands here now."""
        if state != self._states[area_id]:
            self._states[area_id] = state
            self._changed[area_id] = None

    def opened(self, zone_id: str, now: Moment) -> tuple[Alarm, ...]:
        """A zone was opened: what it is an alarm of."""
        return self._of(zone_id, Opened(zone_id), now)

    def cut(self, zone_id: str, now: Moment) -> tuple[Alarm, ...]:
        """The line of a zone was cut or shorted: what it is an alarm of."""
        return self._of(zone_id, Cut(zone_id), now)

    def turn(self, now: Moment) -> list[Alarm]:
        """What time alone brings."""
        return [alarm for area in self.all for alarm in self._fact(area, Tick(), now)]

    def take_over(self, stored: Mapping[str, AreaState], inputs: Mapping[str, InputState], now: Moment) -> list[Alarm]:
        """Know again what was stored before this start; `inputs` are the states that zones were stored in.

        An area that was armed since this start stays so. A zone that this start has seen opened, and that was not open
        before, was opened in an armed area.
        """
        alarms: list[Alarm] = []
        for area in self.all:
            if area.id not in stored:
                continue
            current = self._states[area.id]
            known = arming.restored(area, stored[area.id], inputs, now)
            if current.phase is Phase.DISARMED:
                self.put(area.id, replace(known, acts=current.acts))
            else:
                bypassed = current.bypassed if known.phase is Phase.DISARMED else known.bypassed
                calendar_ns = max(current.calendar_ns, known.calendar_ns)
                self.put(area.id, replace(current, bypassed=bypassed, calendar_ns=calendar_ns))
            for zone in sorted(area.zones):
                if self._shown(zone) is InputState.ALARM and inputs.get(zone) is not InputState.ALARM:
                    alarms += self._fact(area, Opened(zone), now)
        return alarms

    def take_changed(self) -> tuple[tuple[str, AreaState], ...]:
        """The areas that changed since this was asked last."""
        changed = tuple((area_id, self._states[area_id]) for area_id in self._changed)
        self._changed = {}
        return changed

    def _of(self, zone_id: str, fact: Opened | Cut, now: Moment) -> tuple[Alarm, ...]:
        area = self._of_zone.get(zone_id)
        return () if area is None else self._fact(area, fact, now)

    def _fact(self, area: Area, fact: Opened | Cut | Tick, now: Moment) -> tuple[Alarm, ...]:
        after, alarms = arming.step(area, self._states[area.id], fact, self._picture(area), now)
        self.put(area.id, after)
        return alarms

    def _picture(self, area: Area) -> dict[str, InputState]:
        return {zone: self._shown(zone) for zone in area.zones}
