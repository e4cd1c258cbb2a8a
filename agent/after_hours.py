"""People in rooms where nobody is meant to be. Used by the alarm desk's thread alone.

Invariant: what is presence is decided in safety/presence.py; its incident latches, and is stored before it is told.
"""

from collections.abc import Iterable, Mapping

from agent.clock import Clock, stamp
from agent.delivery import rows
from agent.delivery.alerts import Numbered, presence_alert, wall_of
from agent.delivery.numbers import Numbers
from agent.delivery.outgoing import Outgoing
from agent.delivery.payload import Identity
from agent.facts import PeopleCounted, Stamp
from agent.inbox import Site
from agent.safety import presence
from agent.safety.incidents import Incident
from agent.safety.panel import Panel
from agent.safety.presence import Change, Presence


class AfterHours:
    """The rooms of one facility that are watched while their areas are armed."""

    def __init__(
        self,
        site: Site,
        identity: Identity,
        panel: Panel,
        numbers: Numbers,
        out: Outgoing,
        clock: Clock,
        counted: Mapping[str, PeopleCounted],
    ) -> None:
        """`counted` is the newest head count of each room, as it changes."""
        self._site = site
        self._identity = identity
        self._panel = panel
        self._numbers = numbers
        self._out = out
        self._clock = clock
        self._counted = counted
        self._present: dict[str, Presence] = {}

    def take_over(self, stored: Iterable[Incident]) -> None:
        """Know again who was present before this start."""
        for incident in stored:
            if incident.kind == presence.KIND and not incident.restored_ns:
                self._present.setdefault(incident.subject.removeprefix("room/"), Presence(active=True))

    def turn(self) -> None:
        """Look at every room."""
        now = stamp(self._clock)
        for room_id in sorted({*self._site.room_areas, *self._present}):
            areas = self._site.room_areas.get(room_id, frozenset())
            watched = self._site.presence_s > 0 and presence.is_watched(areas, self._panel.areas)
            fact = self._counted.get(room_id)
            fresh = fact is not None and now.mono_ns - fact.at.mono_ns <= presence.KNOWN_FOR_S * 1e9
            people = fact.count if fact is not None and fresh else None
            state = self._present.get(room_id, Presence())
            after, change = presence.step(state, people, watched, self._site.presence_s, now.mono_ns)
            self._present[room_id] = after
            if change is not None:
                seen_ns = now.mono_ns if state.since_ns is None else state.since_ns
                self._tell(room_id, change, fact, now, seen_ns)

    def _tell(self, room_id: str, change: Change, fact: PeopleCounted | None, now: Stamp, seen_ns: int) -> None:
        """`seen_ns` (monotonic): since when people are seen. Their footage is held from then on, not from now."""
        subject, began_ns = f"room/{room_id}", wall_of(seen_ns, now)
        if change is Change.RAISED:
            name, new_id = self._site.names.get(subject, room_id), self._numbers.new_id()
            new = Incident(new_id, presence.KIND, subject, name, room_id, True, began_ns, now.wall_ns)
            incident: Incident | None = self._panel.trigger(new)
        else:
            incident = self._panel.restore(presence.KIND, subject, now.wall_ns)
        if incident is None:
            return
        numbered = Numbered(self._numbers.new_id(), self._numbers.seq(), now.wall_ns, now.quality)
        areas = sorted(self._site.room_areas.get(room_id, ()))
        alert = presence_alert(incident, change is Change.CLEARED, fact, areas, numbered, self._identity)
        self._out.bring_out([alert], rows.Write(incidents=(incident,), at_ns=now.wall_ns), at_once=False, after=None)
