"""Drills and walk tests: begun and ended by people, ended by time. Used by the alarm desk's thread alone.

Invariants
1. A drill begins after its commit, and its audit row is in the same one.
2. A drill ends at once, whoever or whatever ends it, and whatever the store does: nobody in need waits for a disk.
   A person does not end it while what was drilled is still in alarm: that would be told as real.
3. Both are told to the platforms.
"""

import uuid
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from agent.audit import Deed
from agent.clock import Clock, stamp
from agent.delivery import rows
from agent.delivery.alerts import Numbered, drill_alert, person_alert
from agent.delivery.numbers import Numbers
from agent.delivery.outgoing import Outgoing
from agent.delivery.store import AlarmStore
from agent.facts import Stamp, Text
from agent.inbox import DrillAsk
from agent.safety.arming import Moment
from agent.safety.drills import LONGEST_S, Drill, DrillKind, NoDrill, buttons, chosen, survives, unseen
from agent.safety.panel import Panel
from agent.safety.zone_change import ZoneChange

_CANNOT_STORE: Final = ("store_failing", Text("告警存储失败，无法执行", "alerts cannot be stored: not done"))
_RUNNING: Final = ("drill_running", Text("已经在演练", "there is a drill already"))
_NONE: Final = ("no_drill", Text("没有在演练", "there is no drill"))

_REFUSALS: Final = {
    "no_such_zone": Text("没有这样的防区或区域", "no such zone or area"),
    "never_drilled": Text("防拆和电源防区没有演练", "tamper and power are never drilled"),
    "still_in_alarm": Text(
        "还在报警，先恢复；到演练结束时还在报警的是真实警情", "still in alarm: restore it first, or it is real"
    ),
    "alarm_open": Text("有真实警情，先确认、复位", "there is a real alarm: acknowledge and reset it first"),
}


class DrillActs:
    """Carries out drills."""

    def __init__(
        self,
        panel: Panel,
        store: AlarmStore,
        numbers: Numbers,
        out: Outgoing,
        clock: Clock,
        machine_boot: str,
        tell: Callable[[ZoneChange, Stamp], None],
        tell_zones: Callable[[], None],
    ) -> None:
        """`machine_boot` names the boot of this machine; empty where nobody knows it: no drill survives a restart."""
        self._panel = panel
        self._store = store
        self._numbers = numbers
        self._out = out
        self._clock = clock
        self._machine_boot = machine_boot
        self._tell = tell
        self._tell_zones = tell_zones
        self._pending = False

    def ask(self, ask: DrillAsk) -> None:
        """A person begins or ends a drill."""
        running = self._panel.drills.running
        if ask.kind is None:
            if running is None:
                ask.answer(_NONE)
                return
            lasting = [each for each in self._panel.open_incidents() if each.drill and not each.restored_ns]
            if lasting:
                zones_of = (each.subject.removeprefix("zone/") for each in lasting)
                ask.answer(self._refusal(NoDrill("still_in_alarm", zones_of)))
                return
            self.end(ask.who, "stopped")
            ask.answer({"id": running.id})
            return
        if running is not None or self._pending:
            ask.answer(_RUNNING)
            return
        panel, now = self._panel, stamp(self._clock)
        states = {zone.id: panel.state_of(zone.id) for zone in panel.zones}
        asked = panel.zones if ask.kind is not DrillKind.BUTTON else buttons(panel.zones)
        try:
            zones = chosen(ask.target, asked, states, panel.open_incidents())
        except NoDrill as error:
            ask.answer(self._refusal(error))
            return
        if not self._store.state().ok:
            ask.answer(_CANNOT_STORE)
            return
        until_ns = now.mono_ns + round(min(ask.seconds, LONGEST_S) * 1e9)
        drill = Drill(
            str(uuid.uuid4()), ask.kind, zones, ask.who, now.wall_ns, now.mono_ns, until_ns, self._machine_boot
        )
        deed = Deed(now.wall_ns, ask.who, "drill.begin", f"drill/{drill.id}", {"kind": str(ask.kind), **_of(drill)})
        write = rows.Write(drill=drill, deed=deed, at_ns=now.wall_ns)
        self._pending = True
        self._out.bring_out(
            [drill_alert(drill, "begun", ask.who, "", self._numbered(now))],
            write,
            at_once=False,
            after=partial(self._begun, drill, ask),
            refused=partial(self._refused, ask),
        )

    def _begun(self, drill: Drill, ask: DrillAsk) -> None:
        self._pending = False
        drills = self._panel.drills
        drills.begin(drill)
        if unseen(self._panel.open_incidents()):
            drills.real_began()  # while it was being stored
        self._tell_zones()
        ask.answer(self.values() or {})

    def _refused(self, ask: DrillAsk) -> None:
        self._pending = False
        ask.answer(_CANNOT_STORE)

    def end(self, who: str, why: str) -> None:
        """The drill is over. `why` is stopped, time, real_alarm, restart or tested."""
        drill = self._panel.drills.running
        if drill is not None:
            self._end(drill, who, why)

    def _end(self, drill: Drill, who: str, why: str) -> None:
        now = stamp(self._clock)
        moment = Moment(now.wall_ns, now.mono_ns)
        changes, closed = self._panel.end_drill(who, why, lambda _part: self._numbers.new_id(), moment)
        for change in changes:
            self._tell(change, now)
        detail = {"why": why, **_of(drill), "incidents": [each.id for each in closed]}
        deed = Deed(now.wall_ns, who, "drill.end", f"drill/{drill.id}", detail)
        alerts = [person_alert(each, who, why, self._numbered(now)) for each in closed]
        alerts.append(drill_alert(drill, "ended", who, why, self._numbered(now)))
        write = rows.Write(incidents=closed, drill_over=True, deed=deed, at_ns=now.wall_ns)
        self._out.bring_out(alerts, write, at_once=False, after=None)
        self._tell_zones()

    def turn(self, now: Stamp) -> None:
        """What time brings, and whatever real began."""
        why = self._panel.drills.over(now.mono_ns)
        drill = self._panel.drills.running
        if why and drill is not None:
            self._end(drill, drill.who, why)

    def take_over(self, stored: Drill | None, now: Stamp) -> None:
        """Go on with the drill that was stored before this start, where that is certain; else it is over. A test of one
        button is over: who waits for it waits no more."""
        open_now, drills = self._panel.open_incidents(), self._panel.drills
        taken = [each.subject.removeprefix("zone/") for each in open_now if each.drill]
        if stored is None and not taken:
            return
        if stored is None:
            stored = Drill("", DrillKind.DRILL, frozenset(taken), "", now.wall_ns, now.mono_ns, now.mono_ns, "")
        goes_on = stored.kind is not DrillKind.BUTTON and survives(stored, self._machine_boot, now.mono_ns)
        if not goes_on:
            self._end(stored, stored.who, "restart")
            return
        drills.begin(stored, taken)
        if unseen(open_now):
            drills.real_began()
        self._tell_zones()

    def values(self) -> dict[str, Any] | None:
        """The drill under way as `status` and the retained topic show it."""
        drills = self._panel.drills
        drill = drills.running
        if drill is None:
            return None
        left_ns = drill.until_mono_ns - self._clock.mono_ns()
        return {
            "id": drill.id,
            "kind": str(drill.kind),
            "who": drill.who,
            "began_ns": drill.began_ns,
            "left_s": round(max(0, left_ns) / 1e9, 1),
            "zones": sorted(drill.zones),
            "seen": dict(sorted(drills.seen.items())),
        }

    def _refusal(self, error: NoDrill) -> tuple[str, Text]:
        text, listed = _REFUSALS[error.code], ", ".join(_named(self._panel, error.zones))
        return error.code, Text(f"{text.zh}：{listed}", f"{text.en}: {listed}")

    def _numbered(self, now: Stamp) -> Numbered:
        return Numbered(self._numbers.new_id(), self._numbers.seq(), now.wall_ns, now.quality)


def _of(drill: Drill) -> dict[str, Any]:
    return {"zones": sorted(drill.zones)}


def _named(panel: Panel, zone_ids: Iterable[str]) -> list[str]:
    """The zones with their names, as far as they have one."""
    return [f"{each} {zone.name}" if (zone := panel.zone_named(each)) else each for each in zone_ids]
