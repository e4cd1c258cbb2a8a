"""The alarm desk: one thread, one inbox; facts in, alerts out. The only owner of the state of alarms.

Invariants
1. A press of a panic button is published before it is stored, and its board is acknowledged only after the commit.
   With the store dead, publishing goes on, repeats are dropped in memory, and boards are not acknowledged.
2. Every other alert is stored before it is published; while the store fails it is published at once, because an alert
   that is told and then lost is better than one that nobody hears.
3. An event of an input, named by (board uid, boot, event id), makes its alerts once; its repeats are acknowledged
   again and do nothing else.
4. What a person does takes effect after its commit; its audit row is in the same one (acts.py).
5. A sequence number is used once, ever; when no reserved one is left, alerts go out without.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from agent.acts import Acts
from agent.after_hours import AfterHours
from agent.boards.contract import Board
from agent.button_tests import ButtonTests
from agent.clock import Clock, stamp
from agent.delivery import rows
from agent.delivery.alerts import wall_of
from agent.delivery.numbers import Numbers
from agent.delivery.outgoing import Outgoing
from agent.delivery.payload import Identity, input_alert_id, input_incident_id
from agent.delivery.store import AlarmStore, Opened
from agent.drill_acts import DrillActs
from agent.facts import Condition, ConditionKind, InputState, PeopleCounted, Pulse, Stamp
from agent.inbox import (
    AreaAsk,
    Call,
    DrillAsk,
    FactReport,
    InputReport,
    Item,
    LinkReport,
    PersonAsks,
    Site,
    SnapshotReport,
)
from agent.people import People
from agent.safety import conditions, zones
from agent.safety.arming import Moment
from agent.safety.calendar import Calendars
from agent.safety.incidents import DURESS, Incident
from agent.safety.panel import Panel
from agent.safety.repeats import Repeats, Seen
from agent.safety.watch import Watch
from agent.safety.zone_change import ZoneChange
from agent.seldom import Seldom
from agent.sounding import Sounding
from agent.supply import Supply
from agent.telling import Telling

log = logging.getLogger(__name__)

TURN_S: Final = 0.5
"""The desk looks at its deadlines at least this often."""

STORE_STUCK_S: Final = 5.0
"""A commit that takes longer than this is a failing store."""

_NOTHING: Final = Call(lambda: None)
_NO_BOARDS: Final[Mapping[str, Board]] = {}


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
        shut_down: Callable[[], None] = lambda: None,
        boards: Mapping[str, Board] = _NO_BOARDS,
    ) -> None:
        """`acknowledge(bridge_id, key)` tells a board that its event is safe; `beat` is called after every turn;
        `shut_down` asks the machine to; `boards` are those with outputs, by the ids of their bridges."""
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
        self.panel = Panel(site.zones, site.areas)
        self._calendars = Calendars(site.calendars)
        self._inputs: Repeats[rows.InputKey] = Repeats(rows.REPEATS_KEPT)
        self._facts: Repeats[rows.FactKey] = Repeats(rows.REPEATS_KEPT)
        self._telling = Telling(
            self.panel, identity, site.names, self._numbers, self._out, clock, self._facts.safe, self._tell_zones
        )

        def told(change: ZoneChange, at: Stamp) -> None:
            self._telling.change(change, None, at)

        self.sounding = Sounding(site.outputs, site.sound_rules, self.panel, boards, self._out, clock)
        self._acts = Acts(
            self.panel, identity, store, self._numbers, self._out, clock, self.sounding,
            told, self._tell_zones,
        )  # fmt: skip
        self.watch = Watch(site.processes, site.bridges, clock.mono_ns())
        self.drills = DrillActs(
            self.panel, store, self._numbers, self._out, clock, site.machine_boot,
            told, self._tell_zones,
        )  # fmt: skip
        self.tests = ButtonTests(
            site.zones, self.panel.drills, self.watch, store, clock, site.test_every_days,
            lambda zone_id: self.panel.state_of(zone_id).input is InputState.ALARM, self.drills.end,
        )  # fmt: skip
        self._out.looks_on = self.tests.moved
        after_s = site.shutdown_after_battery_low_s
        self._supply = Supply(self.panel, self.watch, self._out, store, after_s, shut_down)
        self._people = People(
            identity,
            clock,
            self._numbers.new_id,
            lambda message: self.dispatch.tell(lambda topics: topics.people, message),
        )
        self.rooms = self._people.rooms
        self._after_hours = AfterHours(site, identity, self.panel, self._numbers, self._out, clock, self.rooms)
        self._seldom = Seldom(log, clock)
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
                "area": zone.area,
                "armed": "never" if (armed := self.panel.areas.armed(zone)) is None else armed,
            }
            for zone in self._site.zones
        ]

    def area_list(self) -> list[dict[str, Any]]:
        """Every area, as the verb `status` and the retained topic show it."""
        return [self._acts.area_values(area) for area in self.panel.areas.all]

    def shown_incidents(self) -> list[Incident]:
        """The open incidents that people on the premises are shown: all but those of duress."""
        return [each for each in self.panel.open_incidents() if each.kind != DURESS]

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
            self._sound()
            self._beat()

    def _sound(self) -> None:
        """After every item, whatever became of it; what goes wrong here makes no item new."""
        try:
            self.sounding.turn()
        except Exception as error:  # noqa: BLE001  # as in _run: no output may silence the buttons
            self._seldom.say(
                logging.ERROR, f"outputs {error!r}", "the outputs could not be brought to where they belong", error
            )

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
                self._acts.incident(item)
            case AreaAsk():
                self._acts.area(item)
            case DrillAsk():
                self.drills.ask(item)
            case Opened():
                self._opened(item)
            case Call():
                item.run()
            case _:
                self.dispatch.take(item)

    def turn(self) -> None:
        """Look at everything that time alone changes."""
        now = stamp(self._clock)
        self.drills.turn(now)
        for found in (self.tests.turn(now), self._supply.turn(now), self.watch.turn(now)):
            self._telling.conditions(found, None)
        for trouble in self.dispatch.troubles():
            results = self.watch.own(trouble.kind, trouble.subject, trouble.active, trouble.detail, now)
            self._telling.conditions(results, None)
        state, stuck = self._store.state(), self._store.stuck_s() > STORE_STUCK_S
        detail = {"reason": "a write to the disk does not return" if stuck else state.detail}
        failing = stuck or not state.ok
        self._telling.conditions(
            self.watch.own(ConditionKind.STORE_FAILING, "process/alarm", failing, detail, now), None
        )
        for late in self.panel.late(now.mono_ns):
            seen = zones.Seen(late.state, late.at.wall_ns)
            change = self.panel.change(late.zone, seen, self._new_id, mono_ns=now.mono_ns)
            self._telling.change(change, None, late.at, late=True)
        self._turn_areas(now)
        self._after_hours.turn()
        for subject, failed, why in self.sounding.look():
            self._telling.conditions(self.watch.own(ConditionKind.OUTPUT_FAILED, subject, failed, why, now), None)
        self._out.turn()
        if self._numbers.wants_block():
            self._store.submit(rows.reserve, lambda block: self.post(Call(lambda: self._numbers.take(block))))

    def _turn_areas(self, now: Stamp) -> None:
        """Delays that end, doors that stand open, contacts that chatter, the calendar, zones that are not closed."""
        for change in self.panel.turn(self._new_id, Moment(now.wall_ns, now.mono_ns)):
            self._telling.change(change, None, now)
        areas = self.panel.areas
        applied_ns = {area.id: areas.state_of(area.id).calendar_ns for area in areas.all}
        blind = [area.id for area in areas.all if areas.state_of(area.id).blind]
        for wanted in self._calendars.turn(applied_ns, now, blind):
            self._acts.by_calendar(wanted)
        for area in areas.all:
            waiting = areas.state_of(area.id).waiting
            detail = {"zones": ", ".join(sorted(waiting))} if waiting else {}
            kind, subject = ConditionKind.ARMING_INCOMPLETE, f"area/{area.id}"
            self._telling.conditions(self.watch.own(kind, subject, bool(waiting), detail, now), None)
        if self._acts.store_areas():
            self._tell_zones()

    def _new_id(self, _part: str) -> str:
        return self._numbers.new_id()

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
        seen = zones.Seen(fact.state, fact.at.wall_ns, fact.previous)
        change = self.panel.change(
            zone, seen, partial(input_incident_id, *key), fact.count, mono_ns=self._clock.mono_ns(),
            happened_mono_ns=None if fact.late else report.pressed_mono_ns,
        )  # fmt: skip
        pressed_ns = wall_of(report.pressed_mono_ns, fact.at)
        self._telling.change(change, fact, fact.at, pressed_ns, after=partial(self._inputs.safe, key))
        if any(told.drill and told.meaning is zones.Meaning.PANIC for told in change.told):
            alert_id, contact_ns = input_alert_id(*key), report.pressed_mono_ns
            self.tests.press(alert_id, zone, fact.at, contact_ns, self.dispatch.platforms)
        if fact.state is InputState.ALARM and self.panel.drills.chirps(zone):
            self.sounding.chirp()

    def _link(self, report: LinkReport) -> None:
        self.watch.link(report.bridge_id, report.up, report.reason)
        if not report.up:
            self.panel.link_lost(report.bridge_id)
            self._tell_zones()

    def _tell_zones(self) -> None:
        self.dispatch.tell(lambda topics: topics.zones, self._standing(), retain=True)

    def _standing(self) -> dict[str, Any]:
        return {"zones": self.zone_list(), "areas": self.area_list(), "drill": self.drills.values()}

    # Facts of other processes, and conditions.

    def _fact(self, report: FactReport) -> None:
        if self._facts.look(report.key, report.taken) is not Seen.NEW:
            return
        results: tuple[conditions.Raised | conditions.Over, ...] = ()
        match report.fact:
            case Pulse():
                self.watch.pulse(report.fact.process, self._clock.mono_ns())
            case PeopleCounted():
                self._people.take(report.fact)
            case Condition():
                results = self.watch.take(report.fact, self._clock.mono_ns())
            case _:
                text = f"process {report.key[0]} told what only boards may tell"
                self._seldom.say(logging.WARNING, "not a board", text)
        if results:
            self._telling.conditions(results, report.key)
        else:
            self._facts.drop(report.key)

    # The store.

    def _opened(self, opened: Opened) -> None:
        """Take over what earlier starts stored."""
        kept = opened.kept
        self._numbers.take(opened.block)
        for platform in self.dispatch.platforms:
            self._out.fetch(platform)  # before anything is told below: what is read back would go out twice
        now = stamp(self._clock)
        changes = self.panel.take_over(
            kept.incidents, kept.zones, kept.areas, self._new_id, Moment(now.wall_ns, now.mono_ns)
        )
        for change in changes:
            self._telling.change(change, None, now)
        self.watch.take_over(kept.incidents, now)
        self._after_hours.take_over(kept.incidents)
        self.sounding.opened()
        self.drills.take_over(kept.drill, now)
        self.tests.take_over(kept.tested_ns)
        self._inputs.take_over(kept.seen_inputs)
        self._facts.take_over(kept.seen_facts)
        if opened.anew:
            # The new database knows nothing of what lasts: without this, a restart would forget a latched alarm.
            states = tuple((zone.id, self.panel.state_of(zone.id)) for zone in self._site.zones)
            areas = tuple((area.id, self.panel.areas.state_of(area.id)) for area in self._site.areas)
            open_now = tuple(self.panel.open_incidents())
            write = rows.Write(incidents=open_now, zones=states, areas=areas, at_ns=now.wall_ns)
            self._store.submit(partial(rows.put, write=write))
