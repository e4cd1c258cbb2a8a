"""The alarm desk: one thread, one inbox; facts in, alerts out. The only owner of the state of alarms.

Invariants
1. A press of a panic button is published before it is stored, and its board is acknowledged only after the commit.
   With the store dead, publishing goes on, repeats are dropped in memory, and boards are not acknowledged.
2. Every other alert is stored before it is published; while the store fails it is published at once, because an alert
   that is told and then lost is better than one that nobody hears.
3. An event of an input, named by (board uid, boot, event id), makes its alerts once; its repeats are acknowledged
   again and do nothing else.
4. What a person does takes effect after its commit; its audit row is in the same one.
5. A sequence number is used once, ever; when no reserved one is left, alerts go out without.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from agent.audit import Deed
from agent.clock import Clock, stamp
from agent.delivery import mqtt, rows
from agent.delivery.alerts import Numbered, condition_alert, people_message, person_alert, wall_of, zone_alert
from agent.delivery.dispatch import Dispatch
from agent.delivery.numbers import Numbers
from agent.delivery.payload import (
    Alert,
    Identity,
    Topics,
    cloud_event,
    input_alert_id,
    input_incident_id,
    local_time,
)
from agent.delivery.store import WAITING_AT_MOST, AlarmStore, JobFailed, Opened
from agent.facts import (
    ClockQuality,
    Condition,
    ConditionKind,
    Fact,
    InputChanged,
    InputState,
    PeopleCounted,
    Pulse,
    Stamp,
    Text,
)
from agent.safety import conditions, incidents, silence, zones
from agent.safety.incidents import Happening, Incident

log = logging.getLogger(__name__)

TURN_S: Final = 0.5
"""The desk looks at its deadlines at least this often."""

LATE_AFTER_S: Final = 1.5
"""A difference found by a snapshot waits this long for the board's own event about it, which has an id."""

STORE_STUCK_S: Final = 5.0
"""A commit that takes longer than this is a failing store."""

CLOCK_UNKNOWN_AFTER_S: Final = 60.0
"""A clock not synchronised for this long is a fault."""

START_GRACE_S: Final = 15.0
"""Processes that start with this one may be silent for this much longer: models take time to load."""

PEOPLE_EVERY_S: Final = 60.0
"""A head count that does not change is told to the platforms this often."""

CONDITION_KINDS: Final = frozenset(str(kind) for kind in ConditionKind)

_REMEMBERED: Final = 20_000
"""Repeats recognised in memory."""


@dataclass(frozen=True, slots=True)
class Site:
    """What is watched: zones, names of subjects for people, and which processes and boards are expected."""

    zones: tuple[zones.Zone, ...]
    names: Mapping[str, str]
    processes: tuple[str, ...]
    bridges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InputReport:
    """An event of a board. `pressed_mono_ns` is when the contact changed, as far as the board can tell."""

    fact: InputChanged
    pressed_mono_ns: int


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """What every input of a board is now, told after the link came up."""

    bridge_id: str
    states: dict[int, InputState]
    at: Stamp


@dataclass(frozen=True, slots=True)
class LinkReport:
    """The link to a board came up or went silent."""

    bridge_id: str
    up: bool
    reason: str


@dataclass(frozen=True, slots=True)
class FactReport:
    """A fact of another process; `taken` is called once it is safe."""

    key: rows.FactKey
    fact: Fact
    taken: Callable[[], None]


@dataclass(frozen=True, slots=True)
class PersonAsks:
    """A person acknowledges (`why` empty) or resets an incident; `answer` gets the incident, or (code, text)."""

    happening: Happening
    incident_id: str
    who: str
    why: str
    answer: Callable[[Incident | tuple[str, Text]], None]


@dataclass(frozen=True, slots=True)
class Call:
    """Something to be run on the desk's thread."""

    run: Callable[[], None]


Item = InputReport | SnapshotReport | LinkReport | FactReport | PersonAsks | Call | Opened | mqtt.Report

_NOTHING: Final = Call(lambda: None)

_CANNOT_STORE = ("store_failing", Text("告警存储失败，无法执行", "alerts cannot be stored: not done"))


class Desk:
    """See the top of the module. Everything but `post`, `start` and `stop` belongs to its thread `desk`."""

    def __init__(
        self,
        site: Site,
        identity: Identity,
        store: AlarmStore,
        clock: Clock,
        acknowledge: Callable[[str, rows.InputKey], None],
        beat: Callable[[], None],
    ) -> None:
        """`acknowledge(bridge_id, key)` tells a board that its event is safe; `beat` is called after every turn."""
        self._site = site
        self._identity = identity
        self._store = store
        self._clock = clock
        self._acknowledge = acknowledge
        self._beat = beat
        self.dispatch = Dispatch(clock, self._delivery_moved, self._receipt_came)
        self._inbox: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._zones = {zone.id: zone for zone in site.zones}
        self._by_input = {(zone.bridge_id, zone.input_no): zone for zone in site.zones}
        self._zone_states = {zone.id: zones.ZoneState() for zone in site.zones}
        self._late: dict[str, tuple[InputState, Stamp]] = {}
        self._links_up: set[str] = set()
        self._link_reasons: dict[str, str] = {}
        self._open: dict[tuple[str, str], Incident] = {}
        self._known = conditions.NOTHING
        now_ns = clock.mono_ns()
        self._voices: silence.Voices = {
            **silence.expected({f"bridge/{name}": silence.BRIDGE_FAULT_AFTER_S for name in site.bridges}, now_ns),
            **silence.expected(
                {f"process/{name}": silence.PROCESS_SILENT_AFTER_S for name in site.processes},
                now_ns + round(START_GRACE_S * 1e9),
            ),
        }
        self._heard_once: set[str] = set()
        self._rooms: dict[str, PeopleCounted] = {}
        self._told_people: dict[str, tuple[int, int]] = {}
        self._done_inputs: dict[rows.InputKey, None] = {}
        self._doing_inputs: set[rows.InputKey] = set()
        self._done_facts: dict[rows.FactKey, None] = {}
        self._doing_facts: dict[rows.FactKey, list[Callable[[], None]]] = {}
        self._numbers = Numbers(clock)
        self._clock_unknown_ns = now_ns
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)

    # What other threads may call.

    def post(self, item: Item) -> None:
        """Put something into the inbox. Never waits."""
        self._inbox.put(item)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Finish what is in the inbox, then stop. Raises RuntimeError when the thread hangs."""
        self._inbox.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise RuntimeError("the alarm desk did not stop")

    # The loop.

    def _run(self) -> None:
        turned_ns = self._clock.mono_ns()
        while True:
            try:
                item = self._inbox.get(timeout=self._pause_s())
            except queue.Empty:
                item = _NOTHING
            if item is None:
                return
            try:
                self.take(item)
                if item is _NOTHING or self._clock.mono_ns() - turned_ns >= TURN_S * 1e9:
                    self.turn()
                    turned_ns = self._clock.mono_ns()
            except Exception:  # the top of the desk's thread: one bad item must not silence the buttons
                log.exception("the desk could not deal with %r", item)
            self._beat()

    def _pause_s(self) -> float:
        due_ns = self.dispatch.next_due_ns()
        if due_ns is None:
            return TURN_S
        return min(TURN_S, max(0.0, (due_ns - self._clock.mono_ns()) / 1e9))

    def take(self, item: Item) -> None:
        """Deal with one item of the inbox."""
        match item:
            case InputReport():
                self._input(item)
            case SnapshotReport():
                self._snapshot(item)
            case LinkReport():
                self._link(item)
            case FactReport():
                self._fact(item)
            case PersonAsks():
                self._person(item)
            case Opened():
                self._opened(item)
            case Call():
                item.run()
            case _:
                self.dispatch.take(item)

    def turn(self) -> None:
        """Look at everything that time alone changes."""
        now = stamp(self._clock)
        for bridge_id in self._links_up:
            self._heard(f"bridge/{bridge_id}")
        self._voices, changes = silence.step(self._voices, silence.Tick(), now.mono_ns)
        self._tell_voices(changes)
        self._known, results = conditions.step(self._known, conditions.Tick(), now.mono_ns)
        self._tell_conditions(results, None, None)
        self._own_conditions(now)
        for zone_id, (state, at) in list(self._late.items()):
            if now.mono_ns - at.mono_ns > LATE_AFTER_S * 1e9:
                del self._late[zone_id]
                self._change(self._zones[zone_id], zones.Seen(state, at.wall_ns), at, None, late=True, pressed_ns=0)
        self.dispatch.turn()
        if self._numbers.wants_block():
            self._store.submit(rows.reserve, lambda block: self.post(Call(lambda: self._numbers.take(block))))
        if self.dispatch.wants_more():
            self._store.submit(
                lambda db: rows.read_waiting(db, WAITING_AT_MOST),
                lambda waiting: self.post(Call(lambda: self.dispatch.restore(waiting))),
            )

    # Boards.

    def _input(self, report: InputReport) -> None:
        fact = report.fact
        key = (fact.board_uid, fact.boot_id, fact.event_id)
        if key in self._done_inputs:
            self._acknowledge(fact.bridge_id, key)
            return
        if key in self._doing_inputs:
            return
        zone = self._by_input.get((fact.bridge_id, fact.input_no))
        if zone is None:
            log.warning("board %s: input %d belongs to no zone", fact.bridge_id, fact.input_no)
            self._acknowledge(fact.bridge_id, key)
            return
        self._late.pop(zone.id, None)
        self._doing_inputs.add(key)
        pressed_ns = wall_of(report.pressed_mono_ns, fact.at)
        seen = zones.Seen(fact.state, fact.at.wall_ns, fact.previous)
        self._change(zone, seen, fact.at, fact, late=fact.late, pressed_ns=pressed_ns)

    def _change(
        self, zone: zones.Zone, seen: zones.Seen, at: Stamp, fact: InputChanged | None, *, late: bool, pressed_ns: int
    ) -> None:
        before = self._zone_states[zone.id]
        state, meanings = zones.step(zone, before, seen)
        self._zone_states[zone.id] = state
        alerts: list[Alert] = []
        changed: dict[str, Incident] = {}
        for index, meaning in enumerate(meanings):
            # The last meaning is the one of the new state: it has the plain id.
            part = "" if index == len(meanings) - 1 else str(meaning)
            incident = self._incident_of_zone(zone, meaning, at.wall_ns, fact, part)
            if incident is not None:
                changed[incident.id] = incident
            restored = meaning in zones.RESTORES or meaning is zones.Meaning.DOOR_CLOSED
            cause = before.input if restored else seen.state
            numbered = self._numbered(self._input_id(fact, part), at, pressed_ns)
            alerts.append(zone_alert(zone, meaning, str(cause), incident, numbered, self._identity, late))
        key = (fact.board_uid, fact.boot_id, fact.event_id) if fact else None
        at_once = zones.Meaning.PANIC in meanings
        write = rows.Write(
            incidents=tuple(changed.values()), zones=((zone.id, state),), seen_input=key, at_ns=at.wall_ns
        )
        after = partial(self._input_safe, fact.bridge_id, key) if fact is not None and key is not None else None
        self._bring_out(alerts, write, at_once=at_once, after=after)
        if before.shown is not state.shown:
            self._tell_zones()

    def _input_id(self, fact: InputChanged | None, part: str) -> str:
        if fact is None:
            return self._numbers.new_id()
        return input_alert_id(fact.board_uid, fact.boot_id, fact.event_id, part)

    def _incident_of_zone(
        self, zone: zones.Zone, meaning: zones.Meaning, now_ns: int, fact: InputChanged | None, part: str
    ) -> Incident | None:
        subject = f"zone/{zone.id}"
        if meaning in zones.TRIGGERS:
            if fact is None:
                new_id = self._numbers.new_id()
            else:
                new_id = input_incident_id(fact.board_uid, fact.boot_id, fact.event_id, part)
            latching = zone.type in zones.LATCHING and meaning is not zones.Meaning.FAULT
            return self._trigger(str(meaning), subject, zone.name, zone.room_id, new_id, now_ns, latching)
        begun = zones.RESTORES.get(meaning)
        return None if begun is None else self._restore(str(begun), subject, now_ns)

    def _input_safe(self, bridge_id: str, key: rows.InputKey) -> None:
        self._doing_inputs.discard(key)
        _remember(self._done_inputs, key)
        self._acknowledge(bridge_id, key)

    def _snapshot(self, report: SnapshotReport) -> None:
        for input_no, state in report.states.items():
            zone = self._by_input.get((report.bridge_id, input_no))
            if zone is None:
                continue
            if state is self._zone_states[zone.id].input:
                self._zone_states[zone.id] = replace(self._zone_states[zone.id], known=True)
            elif state is not InputState.UNKNOWN:
                self._late[zone.id] = (state, report.at)
        self._tell_zones()

    def _link(self, report: LinkReport) -> None:
        if report.up:
            self._links_up.add(report.bridge_id)
            return
        self._links_up.discard(report.bridge_id)
        self._link_reasons[report.bridge_id] = report.reason
        for zone in self._site.zones:
            if zone.bridge_id == report.bridge_id:
                self._zone_states[zone.id], _ = zones.step(zone, self._zone_states[zone.id], zones.LinkLost())
        self._tell_zones()

    # Facts of other processes, and conditions of our own.

    def _fact(self, report: FactReport) -> None:
        if report.key in self._done_facts:
            report.taken()
            return
        if report.key in self._doing_facts:
            self._doing_facts[report.key].append(report.taken)
            return
        match report.fact:
            case Pulse():
                self._heard(f"process/{report.fact.process}")
                report.taken()
            case PeopleCounted():
                self._people(report.fact)
                report.taken()
            case Condition():
                self._known, results = conditions.step(self._known, report.fact, self._clock.mono_ns())
                if results:
                    self._tell_conditions(results, report.key, report.taken)
                else:
                    report.taken()
            case _:
                report.taken()

    def _tell_conditions(
        self,
        results: tuple[conditions.Raised | conditions.Over, ...],
        key: rows.FactKey | None,
        taken: Callable[[], None] | None,
    ) -> None:
        for result in results:
            over = isinstance(result, conditions.Over)
            condition = result.condition
            now = stamp(self._clock)
            kind, subject = str(condition.kind), condition.subject
            name = self._site.names.get(subject, subject)
            if over:
                incident = self._restore(kind, subject, now.wall_ns)
            else:
                room_id = subject.removeprefix("room/") if subject.startswith("room/") else None
                incident = self._trigger(
                    kind, subject, name, room_id, self._numbers.new_id(), now.wall_ns, latching=False
                )
            at = condition.at if over else condition.since
            numbered = self._numbered(self._numbers.new_id(), at, 0)
            lapsed = isinstance(result, conditions.Over) and result.lapsed
            alert = condition_alert(condition, over, lapsed, name, incident, numbered)
            write = rows.Write(incidents=(incident,) if incident else (), seen_fact=key, at_ns=now.wall_ns)
            if key is not None and taken is not None:
                self._doing_facts[key] = [taken]
            after = partial(self._fact_safe, key) if key is not None else None
            # That storing fails can wait for no store.
            at_once = condition.kind is ConditionKind.STORE_FAILING
            self._bring_out([alert], write, at_once=at_once, after=after)

    def _fact_safe(self, key: rows.FactKey) -> None:
        _remember(self._done_facts, key)
        for taken in self._doing_facts.pop(key, []):
            taken()

    def _heard(self, name: str) -> None:
        self._heard_once.add(name)
        self._voices, changes = silence.step(self._voices, silence.Heard(name), self._clock.mono_ns())
        self._tell_voices(changes)

    def _tell_voices(self, changes: tuple[silence.Silent | silence.Back, ...]) -> None:
        for change in changes:
            log.warning("%s is %s", change.name, "silent" if isinstance(change, silence.Silent) else "back")

    def _own_conditions(self, now: Stamp) -> None:
        for name, voice in self._voices.items():
            what, _, short = name.partition("/")
            kind = ConditionKind.BRIDGE_SILENT if what == "bridge" else ConditionKind.PROCESS_SILENT
            reason = self._link_reasons.get(short, "") if what == "bridge" else ""
            active = True if voice.silent else False if name in self._heard_once else None
            self._own(kind, name, active, now, {"reason": reason} if reason else {})
        for trouble in self.dispatch.troubles():
            self._own(trouble.kind, trouble.subject, trouble.active, now, trouble.detail)
        state = self._store.state()
        stuck = self._store.stuck_s() > STORE_STUCK_S
        detail = "a write to the disk does not return" if stuck else state.detail
        self._own(ConditionKind.STORE_FAILING, "process/alarm", stuck or not state.ok, now, {"reason": detail})
        if self._clock.quality() is not ClockQuality.UNKNOWN:
            self._clock_unknown_ns = now.mono_ns
        unknown_s = (now.mono_ns - self._clock_unknown_ns) / 1e9
        unknown = True if unknown_s > CLOCK_UNKNOWN_AFTER_S else None if unknown_s > 0 else False
        self._own(ConditionKind.CLOCK_UNKNOWN, "process/alarm", unknown, now, {})

    def _own(
        self,
        kind: ConditionKind,
        subject: str,
        active: bool | None,
        now: Stamp,
        detail: dict[str, str | int | float | bool],
    ) -> None:
        """Tell a condition of our own. `active` None: not known yet after the start, so it stays as it was stored."""
        held = self._known.active.get((kind, subject))
        if active is None:
            active = held is not None
        if not active and held is None:
            return
        since = held.last.since if held else now
        condition = Condition(kind, subject, active, since, now, detail)
        self._known, results = conditions.step(self._known, condition, now.mono_ns)
        self._tell_conditions(results, None, None)

    def _people(self, fact: PeopleCounted) -> None:
        before = self._rooms.get(fact.room_id)
        if before is not None and fact.at.mono_ns < before.at.mono_ns:
            return
        self._rooms[fact.room_id] = fact
        told = self._told_people.get(fact.room_id)
        now_ns = self._clock.mono_ns()
        if told is None or told[0] != fact.count or now_ns - told[1] > PEOPLE_EVERY_S * 1e9:
            self._told_people[fact.room_id] = (fact.count, now_ns)
            time = local_time(fact.at.wall_ns, self._identity.zone_of_time)
            message = people_message(fact, self._identity, self._numbers.new_id(), time)
            self.dispatch.tell(lambda topics: topics.people, message)

    # People.

    def _person(self, ask: PersonAsks) -> None:
        found = [each for each in self._open.values() if each.id.startswith(ask.incident_id)]
        if not ask.incident_id or not found:
            ask.answer(("no_such_incident", Text("没有这样的未复位警情", "no such open incident")))
            return
        if len(found) > 1:
            ask.answer(
                ("ambiguous", Text("编号对应多个警情，请多写几位", "several incidents begin like this: write more"))
            )
            return
        incident = found[0]
        now = stamp(self._clock)
        if (
            ask.happening is Happening.ACKNOWLEDGE
            and incident.acknowledged_ns
            and incident.last_ns < (incident.acknowledged_ns)
        ):
            ask.answer(incident)
            return
        try:
            after = self._by_person(incident, ask, now.wall_ns)
        except incidents.NotNow as error:
            ask.answer(_refusal(error))
            return
        if not self._store.state().ok:
            ask.answer(_CANNOT_STORE)
            return
        detail = {"why": ask.why} if ask.why else {}
        deed = Deed(now.wall_ns, ask.who, f"incident.{ask.happening}", f"incident/{incident.id}", detail)
        alert = person_alert(after, ask.who, ask.why, self._numbered(self._numbers.new_id(), now, 0))
        write = rows.Write(incidents=(after,), deed=deed, at_ns=now.wall_ns)
        self._bring_out([alert], write, at_once=False, after=partial(self._person_done, incident, ask, now.wall_ns))

    def _by_person(self, incident: Incident, ask: PersonAsks, now_ns: int) -> Incident:
        after = incidents.step(incident, incidents.Event(ask.happening, ask.who, ask.why), now_ns)
        if ask.happening is Happening.RESET:
            after = incidents.step(after, incidents.Event(Happening.CLOSE), now_ns)
        return after

    def _person_done(self, before: Incident, ask: PersonAsks, now_ns: int) -> None:
        """The commit holds; between asking and now the incident may have moved, and what is newer wins."""
        incident = self._open.get((before.kind, before.subject))
        if incident is None or incident.id != before.id:
            ask.answer(("no_such_incident", Text("警情已结束", "the incident has ended")))
            return
        try:
            after = self._by_person(incident, ask, now_ns)
        except incidents.NotNow as error:
            ask.answer(_refusal(error))
            return
        self._keep(after)
        if incident is not before:
            self._store.submit(partial(rows.put, write=rows.Write(incidents=(after,), at_ns=now_ns)))
        ask.answer(after)

    # Incidents, numbers, storing and sending.

    def _trigger(
        self, kind: str, subject: str, name: str, room_id: str | None, new_id: str, now_ns: int, latching: bool
    ) -> Incident:
        incident = self._open.get((kind, subject))
        if incident is None:
            incident = Incident(new_id, kind, subject, name, room_id, latching, now_ns, now_ns)
        else:
            incident = incidents.step(incident, incidents.Event(Happening.TRIGGER), now_ns)
        return self._keep(incident)

    def _restore(self, kind: str, subject: str, now_ns: int) -> Incident | None:
        incident = self._open.get((kind, subject))
        if incident is None or (incident.latching and incident.restored_ns):
            return incident
        return self._keep(incidents.step(incident, incidents.Event(Happening.RESTORE), now_ns))

    def _keep(self, incident: Incident) -> Incident:
        if incident.open:
            self._open[(incident.kind, incident.subject)] = incident
        else:
            self._open.pop((incident.kind, incident.subject), None)
        return incident

    def _bring_out(
        self, alerts: list[Alert], write: rows.Write, *, at_once: bool, after: Callable[[], None] | None
    ) -> None:
        bodies = [(alert, cloud_event(alert, self._identity)) for alert in alerts]
        at_once = at_once or not self._store.state().ok
        if at_once:
            for alert, body in bodies:
                self.dispatch.offer(alert, body)
        complete = replace(write, alerts=tuple(bodies), platforms=self.dispatch.platforms)

        def stored() -> None:
            if not at_once:
                for alert, body in bodies:
                    self.dispatch.offer(alert, body)
            if after is not None:
                after()

        def committed(result: Any) -> None:
            if isinstance(result, JobFailed):
                log.error("a change could not be stored: %s", result)
                return
            self.post(Call(stored))

        self._store.submit(partial(rows.put, write=complete), committed)

    def _numbered(self, alert_id: str, at: Stamp, pressed_ns: int) -> Numbered:
        return Numbered(alert_id, self._numbers.seq(), at.wall_ns, at.quality, pressed_ns)

    def _opened(self, opened: Opened) -> None:
        """Take over what earlier starts stored. What has happened since the start is newer and stays."""
        kept = opened.kept
        self._numbers.take(opened.block)
        now = stamp(self._clock)
        for incident in kept.incidents:
            self._open.setdefault((incident.kind, incident.subject), incident)
            if incident.kind in CONDITION_KINDS:
                since = Stamp(incident.triggered_ns, now.mono_ns)
                key = (ConditionKind(incident.kind), incident.subject)
                condition = Condition(*key, True, since, Stamp(now.wall_ns, 0))
                if key not in self._known.active:
                    self._known, _ = conditions.step(self._known, condition, now.mono_ns)
        for zone_id, state in kept.zones.items():
            if zone_id in self._zones and not self._zone_states[zone_id].since_ns:
                self._zone_states[zone_id] = state
        self._done_inputs.update(dict.fromkeys(kept.seen_inputs))
        self._done_facts.update(dict.fromkeys(kept.seen_facts))
        self.dispatch.restore(kept.waiting)

    def _delivery_moved(self, delivery: rows.Delivery) -> None:
        self._store.submit(partial(rows.put_delivery, delivery=delivery))

    def _receipt_came(self, platform: str, receipt: Any, wall_ns: int) -> None:
        self._store.submit(
            lambda db: rows.put_receipt(db, platform, receipt.id, receipt.status, receipt.case_no, wall_ns)
        )

    def _tell_zones(self) -> None:
        self.dispatch.tell(_zones_topic, {"zones": self.zone_list()}, retain=True)

    # What is shown. On the desk's thread; other threads ask by posting a Call.

    def birth(self) -> dict[str, Any]:
        """What the platforms are told at every connection. May be called from any thread."""
        return {
            "bootid": self._identity.boot,
            "first_seq": self._numbers.first,
            "zones": [{"id": zone.id, "name": zone.name, "type": str(zone.type)} for zone in self._site.zones],
            "bridges": list(self._site.bridges),
            "names": dict(self._site.names),
        }

    def zone_list(self) -> list[dict[str, Any]]:
        """Every zone as the verb `status` shows it."""
        latched = {each.subject for each in self._open.values() if each.latched}
        return [
            {
                "id": zone.id,
                "name": zone.name,
                "type": str(zone.type),
                "room": zone.room_id,
                "state": str(self._zone_states[zone.id].shown),
                "latched": f"zone/{zone.id}" in latched,
                "supervised": zone.supervised,
            }
            for zone in self._site.zones
        ]

    def condition_list(self) -> list[Condition]:
        """Every lasting state, oldest first."""
        return sorted((each.last for each in self._known.active.values()), key=lambda each: each.since.wall_ns)

    def room_list(self) -> list[PeopleCounted]:
        """The newest count of every room."""
        return list(self._rooms.values())

    def open_incidents(self) -> list[Incident]:
        """Every open incident, oldest first."""
        return sorted(self._open.values(), key=lambda each: each.triggered_ns)


def _refusal(error: incidents.NotNow) -> tuple[str, Text]:
    if error.happening is Happening.RESET and error.state in (incidents.Life.TRIGGERED, incidents.Life.ACKNOWLEDGED):
        return "not_restored", Text("输入尚未恢复，不能复位", "the input is not restored: it cannot be reset yet")
    return "already_reset", Text("警情已复位", "the incident was reset already")


def _remember(done: dict[Any, None], key: Any) -> None:
    done[key] = None
    while len(done) > _REMEMBERED:
        del done[next(iter(done))]


def _zones_topic(topics: Topics) -> str:
    return topics.zones
