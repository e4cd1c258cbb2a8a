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
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from agent.audit import Deed
from agent.clock import Clock, stamp
from agent.delivery import rows
from agent.delivery.alerts import Numbered, condition_alert, people_message, person_alert, wall_of, zone_alert
from agent.delivery.numbers import Numbers
from agent.delivery.outgoing import Outgoing
from agent.delivery.payload import Identity, input_alert_id, input_incident_id, local_time
from agent.delivery.store import AlarmStore, Opened
from agent.facts import Condition, ConditionKind, InputChanged, PeopleCounted, Pulse, Stamp, Text
from agent.inbox import Call, FactReport, InputReport, Item, LinkReport, PersonAsks, Site, SnapshotReport
from agent.safety import conditions, zones
from agent.safety.incidents import Happening, Incident, Life, NotNow
from agent.safety.panel import Panel, ZoneChange, by_person
from agent.safety.repeats import Repeats, Seen
from agent.safety.watch import Watch
from agent.seldom import Seldom

log = logging.getLogger(__name__)

TURN_S: Final = 0.5
"""The desk looks at its deadlines at least this often."""

STORE_STUCK_S: Final = 5.0
"""A commit that takes longer than this is a failing store."""

PEOPLE_EVERY_S: Final = 60.0
"""A head count that does not change is told to the platforms this often."""

_NOTHING: Final = Call(lambda: None)

_NO_SUCH = ("no_such_incident", Text("没有这样的未复位警情", "no such open incident"))
_AMBIGUOUS = ("ambiguous", Text("编号对应多个警情，请多写几位", "several incidents begin like this: write more"))
_CANNOT_STORE = ("store_failing", Text("告警存储失败，无法执行", "alerts cannot be stored: not done"))


class Desk:
    """See the top of the module. `post`, `start`, `stop` and `birth` may be called from any thread, the rest from its
    own, `desk`."""

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
        self._inbox: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._numbers = Numbers(clock)
        self._out = Outgoing(identity, store, clock, lambda run: self.post(Call(run)))
        self.dispatch = self._out.dispatch
        self.panel = Panel(site.zones)
        self.watch = Watch(site.processes, site.bridges, clock.mono_ns())
        self.rooms: dict[str, PeopleCounted] = {}
        self._seldom = Seldom(log, clock)
        self._told_people: dict[str, tuple[int, int]] = {}
        self._inputs: Repeats[rows.InputKey] = Repeats(rows.REPEATS_KEPT)
        self._facts: Repeats[rows.FactKey] = Repeats(rows.REPEATS_KEPT)
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)

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

    def birth(self) -> dict[str, Any]:
        """What the platforms are told at every connection."""
        return {
            "bootid": self._identity.boot,
            "first_seq": self._numbers.first,
            "zones": [{"id": zone.id, "name": zone.name, "type": str(zone.type)} for zone in self._site.zones],
            "bridges": list(self._site.bridges),
            "names": dict(self._site.names),
        }

    def zone_list(self) -> list[dict[str, Any]]:
        """Every zone, as the verb `status` and the retained topic show it."""
        latched = {each.subject for each in self.panel.open_incidents() if each.latched}
        return [
            {
                "id": zone.id,
                "name": zone.name,
                "type": str(zone.type),
                "room": zone.room_id,
                "state": str(self.panel.state_of(zone.id).shown),
                "latched": f"zone/{zone.id}" in latched,
                "supervised": zone.supervised,
            }
            for zone in self._site.zones
        ]

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
            except Exception as error:  # noqa: BLE001  # the top of the desk's thread: no item may silence the buttons
                what = type(item).__name__
                self._seldom.say(logging.ERROR, f"{what} {error!r}", f"the desk could not deal with {what}", error)
                self._give_up(item)
            self._beat()

    def _give_up(self, item: Item) -> None:
        """What could not be dealt with is new when it is told again: its sender keeps it, for it was not taken."""
        match item:
            case InputReport(fact):
                self._inputs.forget((fact.board_uid, fact.boot_id, fact.event_id))
            case FactReport():
                self._facts.forget(item.key)

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
                self.panel.snapshot(item.bridge_id, item.states, item.at)
                self._tell_zones()
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
        self._tell_conditions(self.watch.turn(now), None)
        for trouble in self.dispatch.troubles():
            results = self.watch.own(trouble.kind, trouble.subject, trouble.active, trouble.detail, now)
            self._tell_conditions(results, None)
        state, stuck = self._store.state(), self._store.stuck_s() > STORE_STUCK_S
        detail = {"reason": "a write to the disk does not return" if stuck else state.detail}
        failing = stuck or not state.ok
        self._tell_conditions(self.watch.own(ConditionKind.STORE_FAILING, "process/alarm", failing, detail, now), None)
        for late in self.panel.late(now.mono_ns):
            seen = zones.Seen(late.state, late.at.wall_ns)
            change = self.panel.change(late.zone, seen, lambda _part: self._numbers.new_id())
            self._tell_change(change, None, late.at, 0, after=None)
        self._out.turn()
        if self._numbers.wants_block():
            self._store.submit(rows.reserve, lambda block: self.post(Call(lambda: self._numbers.take(block))))

    # Boards.

    def _input(self, report: InputReport) -> None:
        fact = report.fact
        key = (fact.board_uid, fact.boot_id, fact.event_id)
        if self._inputs.look(key, partial(self._acknowledge, fact.bridge_id, key)) is not Seen.NEW:
            return
        zone = self.panel.zone_of(fact.bridge_id, fact.input_no)
        if zone is None:
            text = f"board {fact.bridge_id}: input {fact.input_no} belongs to no zone"
            self._seldom.say(logging.WARNING, text, text)  # a contact that nobody wired may chatter for years
            self._inputs.drop(key)
            return
        change = self.panel.change(
            zone, zones.Seen(fact.state, fact.at.wall_ns, fact.previous), partial(input_incident_id, *key), fact.count
        )
        pressed_ns = wall_of(report.pressed_mono_ns, fact.at)
        self._tell_change(change, fact, fact.at, pressed_ns, after=partial(self._inputs.safe, key))

    def _tell_change(
        self,
        change: ZoneChange,
        fact: InputChanged | None,
        at: Stamp,
        pressed_ns: int,
        after: Callable[[], None] | None,
    ) -> None:
        key = (fact.board_uid, fact.boot_id, fact.event_id) if fact is not None else None
        late = fact is None or fact.late
        alerts = []
        for told in change.told:
            alert_id = input_alert_id(*key, told.part) if key is not None else self._numbers.new_id()
            numbered = Numbered(alert_id, self._numbers.seq(), at.wall_ns, at.quality, pressed_ns)
            alerts.append(
                zone_alert(change.zone, told.meaning, str(told.cause), told.incident, numbered, self._identity, late)
            )
        # A press with an id of its own may go out before it is stored: told again, it is the same message.
        at_once = key is not None and any(told.meaning is zones.Meaning.PANIC for told in change.told)
        write = rows.Write(
            incidents=change.incidents,
            zones=((change.zone.id, change.state),),
            seen_input=key,
            at_ns=at.wall_ns,
        )
        # What was not stored is not acknowledged: the board keeps it, for the next start to take.
        self._out.bring_out(alerts, write, at_once=at_once, after=after, refused=lambda: None)
        if change.seen_by_people:
            self._tell_zones()

    def _link(self, report: LinkReport) -> None:
        self.watch.link(report.bridge_id, report.up, report.reason)
        if not report.up:
            self.panel.link_lost(report.bridge_id)
            self._tell_zones()

    def _tell_zones(self) -> None:
        self.dispatch.tell(lambda topics: topics.zones, {"zones": self.zone_list()}, retain=True)

    # Facts of other processes, and conditions.

    def _fact(self, report: FactReport) -> None:
        if self._facts.look(report.key, report.taken) is not Seen.NEW:
            return
        results: tuple[conditions.Raised | conditions.Over, ...] = ()
        match report.fact:
            case Pulse():
                self.watch.pulse(report.fact.process, self._clock.mono_ns())
            case PeopleCounted():
                self._people(report.fact)
            case Condition():
                results = self.watch.take(report.fact, self._clock.mono_ns())
            case _:
                text = f"process {report.key[0]} told what only boards may tell"
                self._seldom.say(logging.WARNING, "not a board", text)
        if results:
            self._tell_conditions(results, report.key)
        else:
            self._facts.drop(report.key)

    def _tell_conditions(
        self, results: Iterable[conditions.Raised | conditions.Over], key: rows.FactKey | None
    ) -> None:
        now = stamp(self._clock)
        for result in results:
            over = isinstance(result, conditions.Over)
            lapsed = isinstance(result, conditions.Over) and result.lapsed
            condition = result.condition
            kind, subject = str(condition.kind), condition.subject
            name = self._site.names.get(subject, subject)
            if over:
                incident = self.panel.restore(kind, subject, now.wall_ns)
            else:
                room_id = subject.removeprefix("room/") if subject.startswith("room/") else None
                new_id, began_ns = self._numbers.new_id(), condition.since.wall_ns
                incident = self.panel.trigger(
                    Incident(
                        new_id, kind, subject, name, room_id, latching=False, triggered_ns=began_ns, last_ns=began_ns
                    )
                )
            at = condition.at if over and not lapsed else now if over else condition.since
            numbered = Numbered(self._numbers.new_id(), self._numbers.seq(), at.wall_ns, at.quality)
            alert = condition_alert(condition, over, lapsed, name, incident, numbered)
            write = rows.Write(incidents=(incident,) if incident else (), seen_fact=key, at_ns=now.wall_ns)
            after = partial(self._facts.safe, key) if key is not None else None
            # That storing fails can wait for no store.
            at_once = condition.kind is ConditionKind.STORE_FAILING
            self._out.bring_out([alert], write, at_once=at_once, after=after)

    def _people(self, fact: PeopleCounted) -> None:
        before = self.rooms.get(fact.room_id)
        if before is not None and fact.at.mono_ns < before.at.mono_ns:
            return
        self.rooms[fact.room_id] = fact
        count, told_ns = self._told_people.get(fact.room_id, (-1, 0))
        now_ns = self._clock.mono_ns()
        if count != fact.count or now_ns - told_ns > PEOPLE_EVERY_S * 1e9:
            self._told_people[fact.room_id] = (fact.count, now_ns)
            time = local_time(fact.at.wall_ns, self._identity.zone_of_time)
            message = people_message(fact, self._identity, self._numbers.new_id(), time)
            self.dispatch.tell(lambda topics: topics.people, message)

    # People.

    def _person(self, ask: PersonAsks) -> None:
        found = [each for each in self.panel.open_incidents() if each.id.startswith(ask.incident_id)]
        if not ask.incident_id or not found:
            ask.answer(_NO_SUCH)
            return
        if len(found) > 1:
            ask.answer(_AMBIGUOUS)
            return
        incident, now = found[0], stamp(self._clock)
        if ask.happening is Happening.ACKNOWLEDGE and incident.acknowledged_ns:
            ask.answer(incident)
            return
        try:
            after = by_person(incident, ask.happening, ask.who, ask.why, now.wall_ns)
        except NotNow as error:
            ask.answer(_refusal(error))
            return
        if not self._store.state().ok:
            ask.answer(_CANNOT_STORE)
            return
        detail = {"why": ask.why} if ask.why else {}
        deed = Deed(now.wall_ns, ask.who, f"incident.{ask.happening}", f"incident/{incident.id}", detail)
        numbered = Numbered(self._numbers.new_id(), self._numbers.seq(), now.wall_ns, now.quality)
        alert = person_alert(after, ask.who, ask.why, numbered)
        write = rows.Write(incidents=(after,), deed=deed, at_ns=now.wall_ns)
        done = partial(self._person_done, incident, ask, now.wall_ns)
        self._out.bring_out([alert], write, at_once=False, after=done, refused=lambda: ask.answer(_CANNOT_STORE))

    def _person_done(self, before: Incident, ask: PersonAsks, now_ns: int) -> None:
        """The commit holds; what the incident did between asking and now is newer, and wins."""
        incident = self.panel.newest(before)
        if incident is None:
            ask.answer(_NO_SUCH)
            return
        try:
            after = by_person(incident, ask.happening, ask.who, ask.why, now_ns)
        except NotNow as error:
            ask.answer(_refusal(error))
            return
        self.panel.keep(after)
        if incident is not before:
            self._store.submit(partial(rows.put, write=rows.Write(incidents=(after,), at_ns=now_ns)))
        if before.latched is not after.latched:
            self._tell_zones()
        ask.answer(after)

    # The store.

    def _opened(self, opened: Opened) -> None:
        """Take over what earlier starts stored."""
        kept = opened.kept
        self._numbers.take(opened.block)
        self.panel.take_over(kept.incidents, kept.zones)
        self.watch.take_over(kept.incidents, stamp(self._clock))
        self._inputs.take_over(kept.seen_inputs)
        self._facts.take_over(kept.seen_facts)
        for platform in self.dispatch.platforms:
            self._out.fetch(platform)
        if opened.anew:
            # The new database knows nothing of what lasts: without this, a restart would forget a latched alarm.
            states = tuple((zone.id, self.panel.state_of(zone.id)) for zone in self._site.zones)
            write = rows.Write(incidents=tuple(self.panel.open_incidents()), zones=states, at_ns=self._clock.wall_ns())
            self._store.submit(partial(rows.put, write=write))


def _refusal(error: NotNow) -> tuple[str, Text]:
    if error.happening is Happening.RESET and error.state in (Life.TRIGGERED, Life.ACKNOWLEDGED):
        return "not_restored", Text("输入尚未恢复，不能复位", "the input is not restored: it cannot be reset yet")
    return "already_reset", Text("警情已复位", "the incident was reset already")
