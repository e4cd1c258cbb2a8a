"""PURE. The alarm panel: the state of every zone, area and open incident, and what a change of one of them means.

A core in the sense of the house style: facts in, changes out; no thread, clock or database. Times are UTC ns except
where a name says `mono`.

Invariants
1. At most one incident is open for one (kind, subject); a new trigger belongs to it.
2. A latching incident leaves only by `by_person`.
3. A difference found by a snapshot waits `LATE_AFTER_S` for the board's own event about it, which has an id.
4. A press of a panic zone is told, whatever areas, bypasses, drills and the chatter of contacts say.
5. An incident of a drill never becomes a real one, or the other way round: what is real begins one of its own.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from agent.facts import InputState, Stamp
from agent.safety import incidents, swinger, zones
from agent.safety.areas import Areas
from agent.safety.arming import Alarm, Area, AreaState, Moment
from agent.safety.drills import Drills
from agent.safety.incidents import DURESS, Happening, Incident
from agent.safety.swinger import Swing
from agent.safety.zone_change import Late, NewId, Told, ZoneChange, told_of
from agent.safety.zones import Meaning, Zone, ZoneState, ZoneType

LATE_AFTER_S: Final = 1.5
"""A board tells its waiting events within a second after its link is up (100, 200, 400 ms of repeats)."""

_BY_DOOR: Final = (Meaning.DOOR_FORCED_RESTORED, Meaning.INTRUSION_RESTORED, Meaning.DOOR_HELD_OPEN_RESTORED)
"""What closing a door, or mending its line, restores."""

_HELD_BACK: Final = frozenset(zones.TRIGGERS - {Meaning.PANIC})
"""What a contact that chatters is told once for many of."""

_WAS_REAL: Final = "real_alarm"
"""Why the incident of a drill was closed when its zone turned out to be in real alarm."""

_RESTORED_BY: Final = {begun: restored for restored, begun in zones.RESTORES.items()}


class Panel:
    """Zones, areas and incidents of one facility. Used by one thread."""

    def __init__(self, watched: Iterable[Zone], areas: Iterable[Area] = ()) -> None:
        self.zones = tuple(watched)
        self.areas = Areas(areas, lambda zone_id: self._states[zone_id].shown)
        self._zones = {zone.id: zone for zone in self.zones}
        self._by_input = {(zone.bridge_id, zone.input_no): zone for zone in self.zones}
        self._states = {zone.id: ZoneState() for zone in self.zones}
        self._late: dict[str, Late] = {}
        self._open: dict[tuple[str, str], Incident] = {}
        self._swings: dict[tuple[str, Meaning], Swing] = {}
        self._opened_mono_ns: dict[str, int] = {}
        self._moved: dict[str, Incident] = {}
        self.drills = Drills()

    def zone_of(self, bridge_id: str, input_no: int) -> Zone | None:
        """The zone that this input guards."""
        return self._by_input.get((bridge_id, input_no))

    def zone_named(self, zone_id: str) -> Zone | None:
        """The zone of this id."""
        return self._zones.get(zone_id)

    def state_of(self, zone_id: str) -> ZoneState:
        """What a zone was last seen in."""
        return self._states[zone_id]

    def take_over(
        self,
        stored: Iterable[Incident],
        states: Mapping[str, ZoneState],
        areas: Mapping[str, AreaState],
        new_id: NewId,
        now: Moment,
    ) -> list[ZoneChange]:
        """Know again what was stored before this start. What has happened since is newer and stays; what it means in an
        area that was armed is told now."""
        for incident in stored:
            self._open.setdefault((incident.kind, incident.subject), incident)
            self._owe_restore(incident, states, now)
        for zone_id, state in states.items():
            if zone_id in self._states and not self._states[zone_id].since_ns:
                self._states[zone_id] = replace(state, known=self._states[zone_id].known)
                if state.input is InputState.ALARM and self._zones[zone_id].type is ZoneType.PERIMETER:
                    self._opened_mono_ns.setdefault(zone_id, now.mono_ns)
        inputs = {zone_id: state.input for zone_id, state in states.items()}
        return self.alarms(self.areas.take_over(areas, inputs, now), new_id, now)

    def change(
        self,
        zone: Zone,
        seen: zones.Seen,
        incident_id: NewId,
        count: int = 1,
        *,
        mono_ns: int,
        happened_mono_ns: int | None = None,
    ) -> ZoneChange:
        """A board says what a zone is in. `incident_id(part)` names an incident that begins; `count` presses;
        `happened_mono_ns` is when, None where nobody knows."""
        self._late.pop(zone.id, None)
        if seen.state is InputState.ALARM:
            forced = any(each.kind == DURESS for each in self._open.values())
            self.drills.activated(zone, happened_mono_ns, count, mono_ns, seen.at_ns, forced=forced)
        before, now = self._states[zone.id], Moment(seen.at_ns, mono_ns)
        state, meanings = zones.step(zone, before, seen)
        self._states[zone.id] = state
        told: list[Told] = []
        for index, meaning in enumerate(meanings):
            # The last one is of the new state: it has the plain id of the event.
            plain = "" if index == len(meanings) - 1 else str(meaning)
            ended = meaning in zones.RESTORES or meaning is Meaning.DOOR_CLOSED
            cause = before.input if ended else seen.state
            for each, part in self._in_its_area(zone, meaning, plain, state, now):
                told += self._tell(zone, each, cause, part, incident_id, count, now)
        return self._changed(zone, before.shown is not state.shown, told)

    def turn(self, new_id: NewId, now: Moment) -> list[ZoneChange]:
        """What time alone brings: delays that end, doors that stand open, contacts that chatter or keep quiet again."""
        changes = self.alarms(self.areas.turn(now), new_id, now)
        for zone in self.drills.held(self.zones, self._states, now.mono_ns):
            told = self._tell(zone, Meaning.PANIC, self._states[zone.id].input, "", new_id, 1, now)
            changes.append(self._changed(zone, False, told))
        for zone_id, opened_ns in list(self._opened_mono_ns.items()):
            zone, state = self._zones[zone_id], self._states[zone_id]
            if zone.held_open_s and state.known and now.mono_ns - opened_ns >= zone.held_open_s * 1e9:
                del self._opened_mono_ns[zone_id]
                if (str(Meaning.DOOR_HELD_OPEN), f"zone/{zone_id}") not in self._open:
                    told = self._tell(zone, Meaning.DOOR_HELD_OPEN, state.input, "", new_id, 1, now)
                    changes.append(self._changed(zone, False, told))
        for (zone_id, meaning), swing in list(self._swings.items()):
            after, due = swinger.tick(swing, now.mono_ns)
            self._swings[zone_id, meaning] = after
            zone, state = self._zones[zone_id], self._states[zone_id]
            incident = self._open.get((str(meaning), f"zone/{zone_id}"))
            if meaning is Meaning.DOOR_OPENED and (due.update or due.restore):
                stands = Meaning.DOOR_OPENED if state.input is InputState.ALARM else Meaning.DOOR_CLOSED
                drill = self.drills.covers(zone, stands, state.input)
                changes.append(self._changed(zone, False, [Told(stands, state.input, None, "", due.untold, drill)]))
            elif incident is None:
                if swinger.is_over(after, now.mono_ns):
                    del self._swings[zone_id, meaning]
            elif due.restore:
                ended = self.restore(str(meaning), incident.subject, now.wall_ns) or incident
                self._moved[ended.id] = ended
                changes.append(self._changed(zone, False, [told_of(_RESTORED_BY[meaning], state.input, ended, "")]))
            elif due.update:
                changes.append(self._changed(zone, False, [told_of(meaning, state.input, incident, "")]))
        return changes

    def end_drill(
        self, who: str, why: str, new_id: NewId, now: Moment
    ) -> tuple[list[ZoneChange], tuple[Incident, ...]]:
        """The drill is over: what is still in alarm is real from now on, and the other incidents of it are closed."""
        self.drills.clear()
        changes, closed = [], []
        for incident in self.open_incidents():
            zone = self._zones.get(incident.subject.removeprefix("zone/"))
            if not incident.drill:
                continue
            if zone is None or not self._still_alarms(incident, zone):
                closed.append(self.keep(incidents.ended(incident, who, why, now.wall_ns)))
            else:
                told = self._tell(zone, Meaning(incident.kind), self._states[zone.id].input, "", new_id, 1, now)
                changes.append(self._changed(zone, False, told))
        return changes, tuple(closed)

    def _still_alarms(self, incident: Incident, zone: Zone) -> bool:
        if incident.restored_ns or self._states[zone.id].input is not InputState.ALARM:
            return False
        armed = zone.type is not ZoneType.PERIMETER or self.areas.armed(zone) is True
        return armed or incident.kind == Meaning.DOOR_HELD_OPEN

    def alarms(self, found: Iterable[Alarm], new_id: NewId, now: Moment) -> list[ZoneChange]:
        """What areas are alarmed about, to be told."""
        changes = []
        for alarm in found:
            zone, state = self._zones[alarm.zone], self._states[alarm.zone]
            told = self._tell(zone, alarm.meaning, state.input, str(alarm.meaning), new_id, 1, now)
            if state.input is InputState.NORMAL:  # closed again behind whoever came in
                told += self._tell(zone, _RESTORED_BY[alarm.meaning], state.input, "", new_id, 1, now)
            changes.append(self._changed(zone, False, told))
        return changes

    def snapshot(self, bridge_id: str, states: Mapping[int, InputState], at: Stamp) -> None:
        """A board says what all its inputs are in, after all events that it has told."""
        for input_no, state in states.items():
            zone = self.zone_of(bridge_id, input_no)
            if zone is None or state is InputState.UNKNOWN:
                continue
            if state is self._states[zone.id].input:
                self._states[zone.id] = replace(self._states[zone.id], known=True)
            else:
                self._late[zone.id] = Late(zone, state, at)

    def late(self, now_mono_ns: int) -> list[Late]:
        """Differences that no event explained in time. Each is given once."""
        due = [each for each in self._late.values() if now_mono_ns - each.at.mono_ns > LATE_AFTER_S * 1e9]
        for each in due:
            del self._late[each.zone.id]
        return due

    def link_lost(self, bridge_id: str) -> None:
        """Nothing is heard from a board: its zones are not known."""
        for zone in self.zones:
            if zone.bridge_id == bridge_id:
                self._states[zone.id], _ = zones.step(zone, self._states[zone.id], zones.LinkLost())

    def trigger(self, new: Incident, count: int = 1) -> Incident:
        """Begin `new`, or count one more trigger of the open incident of its kind and subject. What is real closes that
        of a drill, and ends the drill."""
        incident = self._open.get((new.kind, new.subject))
        if incident is not None and incident.drill and not new.drill:
            closed = self.keep(incidents.ended(incident, "", _WAS_REAL, new.triggered_ns))
            self._moved[closed.id] = closed
            incident = None
        if new.latching and not new.drill and new.kind != DURESS:
            self.drills.real_began()
        if incident is None:
            return self.keep(replace(new, count=count))
        again = incidents.step(incident, incidents.Event(Happening.TRIGGER), new.triggered_ns)
        return self.keep(replace(again, count=incident.count + count))

    def restore(self, kind: str, subject: str, now_ns: int) -> Incident | None:
        """The cause of an incident is over."""
        incident = self._open.get((kind, subject))
        if incident is None or incident.restored_ns:
            return incident
        return self.keep(incidents.step(incident, incidents.Event(Happening.RESTORE), now_ns))

    def keep(self, incident: Incident) -> Incident:
        """The newest state of an incident: held while it is open."""
        if incident.open:
            self._open[(incident.kind, incident.subject)] = incident
        else:
            self._open.pop((incident.kind, incident.subject), None)
        return incident

    def open_incidents(self) -> list[Incident]:
        """Every open incident, oldest first."""
        return sorted(self._open.values(), key=lambda each: each.triggered_ns)

    def newest(self, incident: Incident) -> Incident | None:
        """The incident as it is now; None when it is closed."""
        found = self._open.get((incident.kind, incident.subject))
        return found if found is not None and found.id == incident.id else None

    def _in_its_area(
        self, zone: Zone, meaning: Meaning, plain: str, state: ZoneState, now: Moment
    ) -> list[tuple[Meaning, str]]:
        """What a change of a zone means where it stands, each with its part of the event."""
        told = [(meaning, plain)]
        if zone.type is not ZoneType.PERIMETER:
            return told
        if meaning is Meaning.DOOR_OPENED:
            self._opened_mono_ns[zone.id] = now.mono_ns
            alarms = [alarm.meaning for alarm in self.areas.opened(zone.id, now)]
            forced = Meaning.DOOR_FORCED in alarms
            return [*([] if forced else told), *((each, str(each)) for each in alarms)]
        if meaning is Meaning.FAULT:
            return [*told, *((alarm.meaning, str(alarm.meaning)) for alarm in self.areas.cut(zone.id, now))]
        if meaning is Meaning.DOOR_CLOSED:
            self._opened_mono_ns.pop(zone.id, None)
        if meaning not in (Meaning.DOOR_CLOSED, Meaning.FAULT_RESTORED):
            return told
        lasting = [
            each
            for each in _BY_DOOR
            if self._lasts(zones.RESTORES[each], zone)
            and (state.input is InputState.NORMAL or each is Meaning.DOOR_HELD_OPEN_RESTORED)
        ]
        if meaning is Meaning.DOOR_CLOSED and Meaning.DOOR_FORCED_RESTORED in lasting:
            told = []  # it was told forced, not opened
        return [*((each, str(each)) for each in lasting), *told]

    def _lasts(self, meaning: Meaning, zone: Zone) -> bool:
        incident = self._open.get((str(meaning), f"zone/{zone.id}"))
        return incident is not None and not incident.restored_ns

    def _tell(
        self, zone: Zone, meaning: Meaning, cause: InputState, part: str, new_id: NewId, count: int, now: Moment
    ) -> list[Told]:
        """What is told of it now: nothing while a contact that chatters is told once for many."""
        subject, drill = f"zone/{zone.id}", self.drills.covers(zone, meaning, cause)
        key = (zone.id, zones.RESTORES.get(meaning, meaning))
        swing = self._swings.get(key, Swing())
        if meaning in zones.TRIGGERS:
            latching = zones.latches(zone, meaning)
            name = partial_id(new_id, part)()
            new = Incident(
                name, str(meaning), subject, zone.name, zone.room_id, latching, now.wall_ns, now.wall_ns, drill=drill
            )
            incident = self.trigger(new, count)
            self._moved[incident.id] = incident
            if meaning is Meaning.PANIC:
                return [told_of(meaning, cause, incident, part)]
            self._swings[key], now_told = swinger.triggered(swing, incident.id, now.mono_ns)
            return [told_of(meaning, cause, incident, part)] if now_told else []
        begun = zones.RESTORES.get(meaning)
        if begun is None:
            key, most = (zone.id, Meaning.DOOR_OPENED), swinger.DOOR_SWINGS
            swing = self._swings.get(key, Swing())
            if meaning is Meaning.DOOR_OPENED:
                self._swings[key], told_now = swinger.triggered(swing, "", now.mono_ns, most)
            else:
                self._swings[key], told_now = swinger.restored(swing, now.mono_ns, most)
            return [Told(meaning, cause, None, part, drill=drill)] if told_now else []
        if begun is not Meaning.PANIC:
            self._swings[key], over = swinger.restored(swing, now.mono_ns)
            if not over:
                return []
        ended = self.restore(str(begun), subject, now.wall_ns)
        if ended is not None:
            self._moved[ended.id] = ended
        return [told_of(meaning, cause, ended, part) if ended else Told(meaning, cause, None, part, drill=drill)]

    def _changed(self, zone: Zone, seen_by_people: bool, told: Iterable[Told]) -> ZoneChange:
        moved = tuple(self._moved.values())
        self._moved = {}
        return ZoneChange(
            zone,
            self._states[zone.id],
            seen_by_people,
            tuple(told),
            moved,
            self.areas.take_changed(),
            self.areas.armed(zone),
        )

    def _owe_restore(self, incident: Incident, states: Mapping[str, ZoneState], now: Moment) -> None:
        """The restore that this incident was still to be told when its contact had kept quiet, before this start."""
        zone_id = incident.subject.removeprefix("zone/")
        state = states.get(zone_id)
        if incident.restored_ns or incident.kind not in _HELD_BACK or zone_id not in self._zones or state is None:
            return
        if state.input is InputState.NORMAL:
            self._swings[zone_id, Meaning(incident.kind)] = Swing(restored_ns=now.mono_ns)


def partial_id(incident_id: NewId, part: str) -> Callable[[], str]:
    """The id of an incident that begins with `part` of an event."""
    return lambda: incident_id(part)


def by_person(incident: Incident, happening: Happening, who: str, why: str, now_ns: int) -> Incident:
    """The incident after a person acknowledged or reset it; a reset closes it. Raises incidents.NotNow."""
    after = incidents.step(incident, incidents.Event(happening, who, why), now_ns)
    if happening is Happening.RESET:
        after = incidents.step(after, incidents.Event(Happening.CLOSE), now_ns)
    return after
