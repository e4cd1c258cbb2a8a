"""Tests of buttons: the way of each press in a drill, the register of tests, and which tests are due. Used by the alarm
desk's thread alone.

Invariants
1. A test enters the register once, as passed only when its press reached every platform; real presses never enter it.
2. Nothing here holds up an alert: it looks at what went out.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from agent.clock import Clock
from agent.delivery import register, rows
from agent.delivery.register import Tested
from agent.delivery.store import AlarmStore
from agent.facts import ConditionKind, Stamp
from agent.safety import button_path
from agent.safety.button_path import Leg, Way
from agent.safety.drills import Drill, DrillKind, Drills
from agent.safety.due_tests import due_tests
from agent.safety.watch import Result, Watch
from agent.safety.zones import Zone

RECEIPTS_S: Final = 90.0
"""What a test of a button takes at most after its press: `button_path.RECEIPT_WITHIN_S`, and time to let go."""

_WAYS_MOST: Final = 500
"""Presses whose way is looked at, at once."""

_RESULTS_KEPT: Final = 20


class ButtonTests:
    """What becomes of the presses of drills."""

    def __init__(
        self,
        zones: Iterable[Zone],
        drills: Drills,
        watch: Watch,
        store: AlarmStore,
        clock: Clock,
        every_days: int,
        pressed: Callable[[str], bool],
        end: Callable[[str, str], None],
    ) -> None:
        """`pressed(zone_id)` is whether it is pressed now; `end(who, why)` ends the drill under way."""
        self._zones = tuple(zones)
        self._drills = drills
        self._watch = watch
        self._store = store
        self._clock = clock
        self._every_days = every_days
        self._pressed = pressed
        self._end = end
        self._ways: dict[str, tuple[Way, str]] = {}
        self._results: dict[str, Tested] = {}
        self._test: Drill | None = None
        self._tested_ns: dict[str, int] | None = None
        self._started_ns = clock.mono_ns()

    def take_over(self, tested_ns: dict[str, int]) -> None:
        """Know again when each zone was tested last (UTC ns)."""
        self._tested_ns = {**tested_ns, **(self._tested_ns or {})}

    def press(self, alert_id: str, zone: Zone, at: Stamp, contact_ns: int, platforms: Iterable[str]) -> None:
        """A press of a drill was published just now. `contact_ns` is monotonic."""
        drill = self._drills.running
        if drill is None or len(self._ways) >= _WAYS_MOST:
            return
        now_ns = self._clock.mono_ns()
        legs = dict.fromkeys(platforms, Leg())
        way = Way(
            alert_id, zone.id, zone.name, str(drill.kind), drill.who, at.wall_ns, contact_ns, at.mono_ns, now_ns, legs
        )
        self._ways[alert_id] = (way, drill.id)

    def moved(self, delivery: rows.Delivery) -> None:
        """A broker or a platform answered."""
        found = self._ways.get(delivery.event_id)
        if found is not None:
            way, drill_id = found
            after = button_path.moved(
                way, delivery.platform, delivery.state, delivery.done, delivery.case_no, self._clock.mono_ns()
            )
            self._ways[delivery.event_id] = (after, drill_id)

    def turn(self, now: Stamp) -> list[Result]:
        """Enter what is decided, end the test of a button that is over; which tests are due."""
        for key, (way, drill_id) in list(self._ways.items()):
            why = button_path.verdict(way, now.mono_ns)
            if why is not None:
                del self._ways[key]
                path = button_path.path_values(way)
                tested = Tested(
                    way.id, way.at_ns, way.zone_id, way.zone_name, way.kind, way.who, not why, why, path
                )  # fmt: skip
                self._enter(tested, drill_id)
        self._end_test(now)
        results: list[Result] = []
        if self._every_days and self._tested_ns is not None:
            for zone, due in due_tests(self._zones, self._tested_ns, self._every_days, now, self._started_ns):
                results += self._watch.own(ConditionKind.TEST_DUE, f"zone/{zone.id}", due, {}, now)
        return results

    def state_of(self, drill_id: str) -> dict[str, Any]:
        """How the test of a button stands: `state` is waiting, pressed, release, done or unknown; `result` once it is
        known."""
        result = self._results.get(drill_id)
        running = self._drills.running is not None and self._drills.running.id == drill_id
        if result is not None:
            return {"state": "release" if running else "done", "result": tested_values(result)}
        if any(each == drill_id for _, each in self._ways.values()):
            return {"state": "pressed", "result": None}
        return {"state": "waiting" if running else "unknown", "result": None}

    def _end_test(self, now: Stamp) -> None:
        """A test of one button ends with its result, once the button is let go; without a press when its time is over;
        and when something real ended its drill."""
        running = self._drills.running
        test = self._test
        over = test is not None and test.id not in self._results and (running is None or running.id != test.id)
        if test is not None and over and not any(each == test.id for _, each in self._ways.values()):
            self._enter(self._missed(test, "stopped", now), test.id)
        self._test = running if running is not None and running.kind is DrillKind.BUTTON else None
        if self._test is None:
            return
        if self._test.id in self._results:
            if not any(self._pressed(zone_id) for zone_id in self._test.zones):
                self._end(self._test.who, "tested")
        elif now.mono_ns >= self._test.until_mono_ns - round(RECEIPTS_S * 1e9) and not (
            self._test.zones & self._drills.seen.keys()
        ):
            self._enter(self._missed(self._test, "not_pressed", now), self._test.id)

    def _missed(self, drill: Drill, why: str, now: Stamp) -> Tested:
        zone_ids = sorted(drill.zones)
        names = {zone.id: zone.name for zone in self._zones}
        named = ", ".join(names.get(each, each) for each in zone_ids)
        return Tested(drill.id, now.wall_ns, ", ".join(zone_ids), named, str(drill.kind), drill.who, False, why)

    def _enter(self, tested: Tested, drill_id: str) -> None:
        self._store.submit(partial(register.put_test, test=tested))
        self._results.setdefault(drill_id, tested)
        while len(self._results) > _RESULTS_KEPT:
            del self._results[next(iter(self._results))]
        if tested.passed:
            self._tested_ns = {**(self._tested_ns or {}), tested.zone_id: tested.at_ns}


def tested_values(tested: Tested) -> dict[str, Any]:
    """A test as the verbs give it."""
    values = {name: getattr(tested, name) for name in ("at_ns", "zone_id", "zone_name", "kind", "who", "passed")}
    return {**values, "why": tested.why or None, "path": tested.path or None}


def numbered_values(n: int, tested: Tested) -> dict[str, Any]:
    """A test of the register, with its number."""
    return {"n": n, **tested_values(tested)}
