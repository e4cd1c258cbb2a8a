"""PURE. The alarm panel: the state of every zone and every open incident, and what a change of either means.

A core in the sense of the house style: facts in, changes out; no thread, clock or database. Times are UTC ns except
where a name says `mono`.

Invariants
1. At most one incident is open for one (kind, subject); a new trigger belongs to it.
2. A latching incident leaves only by `by_person`.
3. A difference found by a snapshot waits `LATE_AFTER_S` for the board's own event about it, which has an id.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from agent.facts import InputState, Stamp
from agent.safety import incidents, zones
from agent.safety.incidents import Happening, Incident
from agent.safety.zones import Meaning, Zone, ZoneState

LATE_AFTER_S: Final = 1.5
"""A board tells its waiting events within a second after its link is up (100, 200, 400 ms of repeats)."""


@dataclass(frozen=True, slots=True)
class Told:
    """One thing to be told of a zone. `cause` is the input state behind it; `part` tells apart several of one event."""

    meaning: Meaning
    cause: InputState
    incident: Incident | None
    part: str


@dataclass(frozen=True, slots=True)
class ZoneChange:
    """A zone after a report: its state, whether people see another one, and what is to be told, in order."""

    zone: Zone
    state: ZoneState
    seen_by_people: bool
    told: tuple[Told, ...]

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """The incidents that changed, each in its newest state."""
        newest = {told.incident.id: told.incident for told in self.told if told.incident is not None}
        return tuple(newest.values())


@dataclass(frozen=True, slots=True)
class Late:
    """A snapshot showed this zone in another state, and no event told of it."""

    zone: Zone
    state: InputState
    at: Stamp


class Panel:
    """Zones and incidents of one facility. Used by one thread."""

    def __init__(self, watched: Iterable[Zone]) -> None:
        self.zones = tuple(watched)
        self._by_input = {(zone.bridge_id, zone.input_no): zone for zone in self.zones}
        self._states = {zone.id: ZoneState() for zone in self.zones}
        self._late: dict[str, Late] = {}
        self._open: dict[tuple[str, str], Incident] = {}

    def zone_of(self, bridge_id: str, input_no: int) -> Zone | None:
        """The zone that this input guards."""
        return self._by_input.get((bridge_id, input_no))

    def state_of(self, zone_id: str) -> ZoneState:
        """What a zone was last seen in."""
        return self._states[zone_id]

    def take_over(self, stored: Iterable[Incident], states: Mapping[str, ZoneState]) -> None:
        """Know again what was stored before this start. What has happened since is newer and stays."""
        for incident in stored:
            self._open.setdefault((incident.kind, incident.subject), incident)
        for zone_id, state in states.items():
            if zone_id in self._states and not self._states[zone_id].since_ns:
                self._states[zone_id] = replace(state, known=self._states[zone_id].known)

    def change(self, zone: Zone, seen: zones.Seen, incident_id: Callable[[str], str], count: int = 1) -> ZoneChange:
        """A board says what a zone is in. `incident_id(part)` names an incident that begins; `count` presses."""
        self._late.pop(zone.id, None)
        before = self._states[zone.id]
        state, meanings = zones.step(zone, before, seen)
        self._states[zone.id] = state
        told: list[Told] = []
        for index, meaning in enumerate(meanings):
            # The last one is of the new state: it has the plain id of the event.
            part = "" if index == len(meanings) - 1 else str(meaning)
            ended = meaning in zones.RESTORES or meaning is Meaning.DOOR_CLOSED
            incident = self._incident(zone, meaning, seen.at_ns, partial_id(incident_id, part), count)
            told.append(Told(meaning, before.input if ended else seen.state, incident, part))
        return ZoneChange(zone, state, before.shown is not state.shown, tuple(told))

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
        """Begin `new`, or count one more trigger of the open incident of its kind and subject."""
        incident = self._open.get((new.kind, new.subject))
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

    def _incident(
        self, zone: Zone, meaning: Meaning, now_ns: int, new_id: Callable[[], str], count: int
    ) -> Incident | None:
        subject = f"zone/{zone.id}"
        if meaning in zones.TRIGGERS:
            latching = meaning is Meaning.TAMPER or (zone.type in zones.LATCHING and meaning is not Meaning.FAULT)
            new = Incident(new_id(), str(meaning), subject, zone.name, zone.room_id, latching, now_ns, now_ns)
            return self.trigger(new, count)
        begun = zones.RESTORES.get(meaning)
        return None if begun is None else self.restore(str(begun), subject, now_ns)


def partial_id(incident_id: Callable[[str], str], part: str) -> Callable[[], str]:
    """The id of an incident that begins with `part` of an event."""
    return lambda: incident_id(part)


def by_person(incident: Incident, happening: Happening, who: str, why: str, now_ns: int) -> Incident:
    """The incident after a person acknowledged or reset it; a reset closes it. Raises incidents.NotNow."""
    after = incidents.step(incident, incidents.Event(happening, who, why), now_ns)
    if happening is Happening.RESET:
        after = incidents.step(after, incidents.Event(Happening.CLOSE), now_ns)
    return after
