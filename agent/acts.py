"""What people do: acknowledge and reset incidents, arm, disarm and bypass. Used by the alarm desk's thread alone.

Invariants
1. What a person does takes effect after its commit; its audit row is in the same one.
2. An alarm of duress goes out first and at once, whatever becomes of the disarming; who asks for it is answered as for
   any other disarming, and nothing on the premises shows it.
3. What the calendar does takes effect at once, and is audited.
4. Nothing here names a zone of 24 hours but to refuse.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from agent.audit import Deed
from agent.clock import Clock, stamp
from agent.delivery import rows
from agent.delivery.alerts import Numbered, area_alert, duress_alert, person_alert
from agent.delivery.numbers import Numbers
from agent.delivery.outgoing import Outgoing
from agent.delivery.payload import Identity
from agent.delivery.store import AlarmStore
from agent.facts import Stamp, Text
from agent.inbox import AreaAsk, PersonAsks
from agent.safety import arming
from agent.safety.arming import CALENDAR, Act, Area, AreaState, Arm, Bypass, Disarm, Moment, Phase, Unbypass
from agent.safety.calendar import Wanted, Wish
from agent.safety.incidents import DURESS, Happening, Incident, Life, NotNow
from agent.safety.panel import Panel, by_person
from agent.safety.zone_change import ZoneChange
from agent.safety.zones import ALWAYS_ARMED
from agent.sounding import Sounding

_NO_SUCH: Final = ("no_such_incident", Text("没有这样的未复位警情", "no such open incident"))
_AMBIGUOUS: Final = ("ambiguous", Text("编号对应多个警情，请多写几位", "several incidents begin like this: write more"))
_CANNOT_STORE: Final = ("store_failing", Text("告警存储失败，无法执行", "alerts cannot be stored: not done"))
_BUSY: Final = ("busy", Text("上一个布撤防操作还没有完成", "what was asked of this area before is still under way"))
_NEVER: Final = ("never_bypassed", Text("24 小时防区不能旁路", "a 24-hour zone is never bypassed"))
_NO_AREA: Final = ("no_area", Text("这个防区不属于任何布防区域", "this zone belongs to no area: it is never armed"))

_REFUSALS: Final = {
    "not_ready": Text("未关好、故障或未知的防区", "open, faulted or not seen"),
    "already_armed": Text("已经布防", "it is armed already"),
    "no_such_zone": Text("不是这个区域的防区", "no zone of this area"),
    "not_bypassed": Text("没有旁路", "not bypassed"),
}

_WHAT: Final[dict[type[Act], tuple[str, str]]] = {
    Arm: ("armed", "area.arm"),
    Disarm: ("disarmed", "area.disarm"),
    Bypass: ("bypassed", "zone.bypass"),
    Unbypass: ("unbypassed", "zone.unbypass"),
}
"""The state in the alert, and the action in the audit."""

_BLIND: Final[dict[type[Act], str]] = {Arm: "clock unknown", Disarm: "clock known again, and open by the calendar"}
"""Why the calendar did what no change point of it asks for."""


class Acts:
    """Carries out what people and the calendar want."""

    def __init__(
        self,
        panel: Panel,
        identity: Identity,
        store: AlarmStore,
        numbers: Numbers,
        out: Outgoing,
        clock: Clock,
        sounding: Sounding,
        tell: Callable[[ZoneChange, Stamp], None],
        tell_zones: Callable[[], None],
    ) -> None:
        """`tell` brings out what a zone is told of; `tell_zones` shows the platforms how zones and areas stand."""
        self._panel = panel
        self._identity = identity
        self._store = store
        self._numbers = numbers
        self._out = out
        self._clock = clock
        self._sounding = sounding
        self._tell = tell
        self._tell_zones = tell_zones
        self._pending: set[str] = set()

    def incident(self, ask: PersonAsks) -> None:
        """A person acknowledges or resets an incident."""
        found = [each for each in self._panel.open_incidents() if _named(each, ask.incident_id)]
        if not ask.incident_id or not found:
            ask.answer(_NO_SUCH)
            return
        if len(found) > 1:
            ask.answer(_AMBIGUOUS)
            return
        incident, now = found[0], stamp(self._clock)
        if ask.happening is Happening.ACKNOWLEDGE and incident.acknowledged_ns:
            self._silence(incident, ask, now)
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
        alert = person_alert(after, ask.who, ask.why, self._numbered(now))
        write = rows.Write(incidents=(after,), deed=deed, at_ns=now.wall_ns)
        done = partial(self._incident_done, incident, ask, now.wall_ns)
        self._out.bring_out([alert], write, at_once=False, after=done, refused=lambda: ask.answer(_CANNOT_STORE))

    def _incident_done(self, before: Incident, ask: PersonAsks, now_ns: int) -> None:
        """The commit holds; what the incident did between asking and now is newer, and wins."""
        incident = self._panel.newest(before)
        if incident is None:
            ask.answer(_NO_SUCH)
            return
        try:
            after = by_person(incident, ask.happening, ask.who, ask.why, now_ns)
        except NotNow as error:
            ask.answer(_refusal(error))
            return
        self._panel.keep(after)
        if incident is not before:
            self._store.submit(partial(rows.put, write=rows.Write(incidents=(after,), at_ns=now_ns)))
        if before.latched is not after.latched:
            self._tell_zones()
        if ask.happening is Happening.ACKNOWLEDGE:
            self._sounding.silence(after.id)
        ask.answer(after)

    def _silence(self, incident: Incident, ask: PersonAsks, now: Stamp) -> None:
        """A person acknowledges what is acknowledged: it sounds again, because its input is still in alarm."""
        if not self._sounding.sounds(incident.id):
            ask.answer(incident)
            return
        if not self._store.state().ok:
            ask.answer(_CANNOT_STORE)
            return

        def done() -> None:
            self._sounding.silence(incident.id)
            ask.answer(self._panel.newest(incident) or incident)

        deed = Deed(now.wall_ns, ask.who, "incident.silence", f"incident/{incident.id}", {})
        write = rows.Write(deed=deed, at_ns=now.wall_ns)
        self._out.bring_out([], write, at_once=False, after=done, refused=lambda: ask.answer(_CANNOT_STORE))

    def area(self, ask: AreaAsk) -> None:
        """A person arms, disarms or bypasses."""
        now, area = stamp(self._clock), self._area_of(ask)
        if isinstance(ask.act, Disarm) and ask.act.duress:
            self._duress(area if isinstance(area, Area) else None, ask.act.who, now)
        if not isinstance(area, Area):
            ask.answer(area)
            return
        if area.id in self._pending:
            ask.answer(_BUSY)
            return
        before = self._panel.areas.state_of(area.id)
        try:
            decided = self._panel.areas.decide(area.id, ask.act, _moment(now))
        except arming.NotNow as error:
            ask.answer(self._not_now(error))
            return
        if decided == before:
            ask.answer(self.area_values(area))
            return
        if not self._store.state().ok:
            ask.answer(_CANNOT_STORE)
            return
        self._pending.add(area.id)
        self._bring_out(
            area,
            ask.act,
            decided,
            ((area.id, decided),),
            now,
            after=partial(self._area_done, area, ask, before, decided),
            refused=partial(self._area_refused, area, ask),
        )

    def _area_done(self, area: Area, ask: AreaAsk, before: AreaState, decided: AreaState) -> None:
        self._pending.discard(area.id)
        now = stamp(self._clock)
        alarms = self._panel.areas.settle(area.id, ask.act, before, decided, _moment(now))
        for change in self._panel.alarms(alarms, lambda _part: self._numbers.new_id(), _moment(now)):
            self._tell(change, now)
        self.store_areas()
        self._tell_zones()
        ask.answer(self.area_values(area))

    def _area_refused(self, area: Area, ask: AreaAsk) -> None:
        self._pending.discard(area.id)
        ask.answer(_CANNOT_STORE)

    def by_calendar(self, wanted: Wanted) -> None:
        """The calendar arms or disarms an area, or has nothing to do at a change point."""
        areas, now = self._panel.areas, stamp(self._clock)
        area, state = areas.find(wanted.area_id), areas.state_of(wanted.area_id)
        act: Act = (
            Disarm(CALENDAR) if wanted.wish is Wish.DISARM else Arm(CALENDAR, at_once=wanted.wish is not Wish.ARM)
        )
        stands = isinstance(act, Disarm) is (state.phase is Phase.DISARMED)
        if area is None or wanted.wish is None or stands:
            # What it wants by the true time is more than what was done for want of it.
            blind = state.blind and (wanted.blind or wanted.wish is None)
            areas.put(wanted.area_id, replace(state, calendar_ns=wanted.applied_ns, blind=blind))
            self.store_areas()
            return
        decided = areas.decide(area.id, act, _moment(now))
        blind = wanted.blind and isinstance(act, Arm)
        areas.put(area.id, replace(decided, calendar_ns=wanted.applied_ns, blind=blind))
        why = _BLIND[type(act)] if wanted.blind else ""
        self._bring_out(
            area, act, areas.state_of(area.id), areas.take_changed(), now, after=None, refused=None, why=why
        )
        self._tell_zones()

    def store_areas(self) -> bool:
        """Store what changed of areas without anything to tell; whether there was anything."""
        changed = self._panel.areas.take_changed()
        if changed:
            write = rows.Write(areas=changed, at_ns=self._clock.wall_ns())
            self._store.submit(partial(rows.put, write=write))
        return bool(changed)

    def area_values(self, area: Area) -> dict[str, Any]:
        """The area as the verb `status` and the retained topic show it."""
        state = self._panel.areas.state_of(area.id)
        left_ns = state.until_ns - self._clock.mono_ns() if state.until_ns else 0
        return {
            "id": area.id,
            "name": area.name,
            "phase": str(state.phase),
            "who": state.who or None,
            "since_ns": state.since_ns or None,
            "left_s": round(max(0, left_ns) / 1e9, 1),
            "entered_by": state.zone or None,
            "zones": sorted(area.zones),
            "bypassed": sorted(state.bypassed),
            "waiting": sorted(state.waiting),
            "blind": state.blind,
        }

    def _bring_out(
        self,
        area: Area,
        act: Act,
        state: AreaState,
        changed: tuple[tuple[str, AreaState], ...],
        now: Stamp,
        after: Callable[[], None] | None,
        refused: Callable[[], None] | None,
        why: str = "",
    ) -> None:
        what, action = _WHAT[type(act)]
        zone = self._panel.zone_named(act.zone) if isinstance(act, Bypass | Unbypass) else None
        why = act.why if isinstance(act, Bypass) else why
        subject = f"area/{area.id}" if zone is None else f"zone/{zone.id}"
        detail: dict[str, Any] = {"bypassed": sorted(state.bypassed)} if isinstance(act, Arm) else {}
        if why:
            detail["why"] = why
        deed = Deed(now.wall_ns, act.who, action, subject, detail)
        alert = area_alert(area, state, what, act.who, zone, why, self._numbered(now))
        write = rows.Write(areas=changed, deed=deed, at_ns=now.wall_ns)
        self._out.bring_out([alert], write, at_once=False, after=after, refused=refused)

    def _duress(self, area: Area | None, who: str, now: Stamp) -> None:
        """Nothing ends it but the platform's people: its id is shown to nobody here, and its input is no input."""
        subject, name = (f"area/{area.id}", area.name) if area else ("facility", self._identity.facility)
        new_id = self._numbers.new_id()
        self._panel.trigger(Incident(new_id, DURESS, subject, name, None, True, now.wall_ns, now.wall_ns))
        incident = self._panel.restore(DURESS, subject, now.wall_ns)
        assert incident is not None  # it was triggered in the line above
        alert = duress_alert(incident, who, self._numbered(now), self._identity)
        write = rows.Write(incidents=(incident,), at_ns=now.wall_ns)
        self._out.bring_out([alert], write, at_once=True, after=None)

    def _area_of(self, ask: AreaAsk) -> Area | tuple[str, Text]:
        if isinstance(ask.act, Bypass | Unbypass):
            zone = self._panel.zone_named(ask.act.zone)
            if zone is None:
                return "no_such_zone", Text(f"没有防区 {ask.act.zone}", f"no zone {ask.act.zone}")
            if zone.type in ALWAYS_ARMED:
                return _NEVER
            return self._panel.areas.of_zone(zone.id) or _NO_AREA
        found = self._panel.areas.find(ask.area_id)
        if found is not None:
            return found
        known = ", ".join(area.id for area in self._panel.areas.all)
        return "no_such_area", Text(
            f"请写明布防区域：{known or '设置里没有'}", f"which area? {known or 'there is none'}"
        )

    def _not_now(self, error: arming.NotNow) -> tuple[str, Text]:
        names = [zone.name if (zone := self._panel.zone_named(each)) else each for each in error.zones]
        listed = [f"{each} {name}" for each, name in zip(error.zones, names, strict=True)]
        text = _REFUSALS[error.code]
        if not listed:
            return error.code, text
        return error.code, Text(f"{text.zh}：{'、'.join(listed)}", f"{text.en}: {', '.join(listed)}")

    def _numbered(self, now: Stamp) -> Numbered:
        return Numbered(self._numbers.new_id(), self._numbers.seq(), now.wall_ns, now.quality)


def _named(incident: Incident, given: str) -> bool:
    """Whether a person means this incident. That of a duress is known by its whole id to whom a platform told it."""
    return incident.id == given if incident.kind == DURESS else incident.id.startswith(given)


def _moment(now: Stamp) -> Moment:
    return Moment(now.wall_ns, now.mono_ns)


def _refusal(error: NotNow) -> tuple[str, Text]:
    if error.happening is Happening.RESET and error.state in (Life.TRIGGERED, Life.ACKNOWLEDGED):
        return "not_restored", Text("输入尚未恢复，不能复位", "the input is not restored: it cannot be reset yet")
    return "already_reset", Text("警情已复位", "the incident was reset already")
