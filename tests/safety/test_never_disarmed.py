"""A zone for panic or tamper is armed, and a press is told: whatever people, calendars, settings, platforms and clocks
do, at the whole desk with its database and its restarts."""

import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.facts import ClockQuality, ConditionKind, InputState
from agent.inbox import DrillAsk, LinkReport, Site, SnapshotReport
from agent.processes.alarm import site_of
from agent.processes.alarm_verbs import alarm_verbs
from agent.safety.arming import CALENDAR, Act, Arm, Bypass, Disarm, Unbypass
from agent.safety.calendar import Calendar, Span
from agent.safety.drills import DrillKind
from agent.safety.incidents import Happening
from agent.settings.load import examine_bytes
from agent.wire import Refused, Server, call
from tests.fakes.office import Office
from tests.fakes.waiting import until

NEVER = ("panic_24h", "tamper_24h")
KINDS = (*NEVER, "perimeter", "environment")
_IDS = ("Z0", "Z1", "Z2", "Z3", "Z4", "A1", "A2", "", "*", "B1", "Z9")


def _settings(zones: list[dict[str, Any]], areas: list[dict[str, Any]]) -> Site | None:
    """The site of a settings file with these zones and areas; None when `config check` refuses it."""
    values = {
        "facility": {"id": "F0012", "name": "测试园"},
        "bridges": [{"id": "B1", "port": "board0"}],
        "areas": areas,
        "zones": zones,
    }
    found = examine_bytes(json.dumps(values, ensure_ascii=False).encode(), Path("/nowhere/facility.yaml"))
    return None if found.settings is None else site_of(found.settings)


_SPANS = st.lists(st.sampled_from(["00:00-24:00", "07:30-18:00", "18:00-24:00", "12:00-11:00"]), max_size=2)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CALENDAR = st.fixed_dictionaries(
    {},
    optional={
        "week": st.fixed_dictionaries({}, optional=dict.fromkeys(_DAYS, _SPANS)),
        "holidays": st.lists(st.sampled_from(["2026-11-18", "2026-11-01/2026-12-30"]), max_size=2),
        "open_days": st.dictionaries(st.sampled_from(["2026-11-18", "2026-11-19"]), _SPANS, max_size=2),
        "disarms": st.booleans(),
    },
)
_AREA = st.fixed_dictionaries(
    {"name": st.just("全园")},
    optional={
        "exit_delay_s": st.integers(0, 255),
        "entry_delay_s": st.integers(0, 255),
        "calendar": _CALENDAR,
    },
)
_ZONE = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional={
        "area": st.sampled_from(["A1", "A2"]),
        "entry": st.booleans(),
        "held_open_s": st.sampled_from([0, 1, 120]),
        "line": st.sampled_from(["end_of_line", "closes_on_alarm", "opens_on_alarm"]),
        "kind": st.sampled_from(["gas", "mains"]),
        "armed": st.booleans(),
        "bypass": st.booleans(),
    },
)


def _named(prefix: str, found: list[dict[str, Any]], start: int) -> list[dict[str, Any]]:
    return [
        {"id": f"{prefix}{number}", "name": f"{prefix}{number}", **each} for number, each in enumerate(found, start)
    ]


class NeverDisarmed(RuleBasedStateMachine):
    """Everything at a desk that has at least one zone for panic and one for tamper."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.made: Office | None = None
        self.site = Site((), {}, (), ())
        self.event_id = 0
        self.inputs: dict[int, InputState] = {}

    @initialize(zones=st.lists(_ZONE, max_size=3), areas=st.lists(_AREA, max_size=2))
    def begin(self, zones: list[dict[str, Any]], areas: list[dict[str, Any]]) -> None:
        self.given = zones, areas
        self.configure(zones, areas)
        if not self.site.zones:
            # What does not validate starts nothing: the same zones without what is wrong in them.
            self.configure([{"type": each["type"]} for each in zones], [])
        self.start()

    def configure(self, zones: list[dict[str, Any]], areas: list[dict[str, Any]]) -> None:
        always = [{"type": "panic_24h"}, {"type": "tamper_24h"}]
        listed = [{**each, "bridge": "B1", "input": n} for n, each in enumerate(_named("Z", [*always, *zones], 0))]
        site = _settings(listed, _named("A", areas, 1))
        if site is not None:
            self.site = site

    def start(self) -> None:
        self.made = Office(self.folder / "alarm.db", self.site)
        assert self.made.store.start(10)
        self.made.desk.start()
        self.made.connect()
        # One boot of the board goes on through restarts of the desk.
        for input_no in range(len(self.site.zones)):
            self.inputs.setdefault(input_no, InputState.NORMAL)
        self.told_states(dict(self.inputs))

    def stop(self) -> None:
        if self.made is not None:
            self.made.desk.stop()
            self.made.store.stop()
            self.made = None

    def told_states(self, states: dict[int, InputState]) -> None:
        assert self.made is not None
        self.made.desk.post(SnapshotReport("B1", states, self.made.clock.stamp()))
        self.made.turn(2)

    def teardown(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    @property
    def desk(self) -> Office:
        assert self.made is not None
        return self.made

    @rule(press=st.sampled_from([0, 1]), ends=st.booleans())
    def is_pressed(self, press: int, ends: bool) -> None:
        if self.inputs[press] is not InputState.NORMAL:
            self.sees(press, InputState.NORMAL)
        kind = ("panic", "tamper")[press]
        before = len(self.desk.police.alerts(kind, "triggered"))
        drill = self.desk.desk.drills.values()
        drilled = press == 0 and drill is not None and "Z0" in drill["zones"] and drill["left_s"] > 0
        updates = self.desk.desk.panel._swings
        self.sees(press, InputState.ALARM)
        (incident,) = [each for each in self.desk.incidents() if (each.kind, each.subject) == (kind, f"zone/Z{press}")]
        assert incident.latched
        told = len(self.desk.police.alerts(kind, "triggered")) - before
        for alert in self.desk.police.alerts(kind, "triggered")[before:]:
            assert not alert["data"]["drill"] or drilled, "told as a drill, and there is none"
        if kind == "panic":
            assert told == 1, "a press without an alert"
        elif not told:  # a contact that chatters: counted, and told within ten seconds
            assert any(swing.untold for swing in updates.values())
            self.desk.turn(10)
            assert len(self.desk.police.alerts(kind, "triggered")) == before + 1
        if ends:
            self.sees(press, InputState.NORMAL)

    def sees(self, input_no: int, state: InputState) -> None:
        self.event_id += 1
        self.inputs[input_no] = state
        self.desk.change(self.event_id, state, input_no=input_no)

    @rule(input_no=st.integers(0, 4), state=st.sampled_from(list(InputState)))
    def an_input_changes(self, input_no: int, state: InputState) -> None:
        if state is not InputState.UNKNOWN:
            self.sees(input_no, state)

    @rule(
        area=st.sampled_from(_IDS),
        zone=st.sampled_from(_IDS),
        who=st.sampled_from(["王芳", CALENDAR]),
        make=st.sampled_from([Arm, Disarm, Bypass, Unbypass]),
        flag=st.booleans(),
    )
    def somebody_acts(self, area: str, zone: str, who: str, make: type, flag: bool) -> None:
        acts: dict[type, Callable[[], Act]] = {
            Arm: lambda: Arm(who, frozenset({zone}) if flag else frozenset(), force=not flag),
            Disarm: lambda: Disarm(who, duress=flag),
            Bypass: lambda: Bypass(who, zone, "坏了"),
            Unbypass: lambda: Unbypass(who, zone),
        }
        answer = self.desk.act(acts[make](), area)
        if make in (Bypass, Unbypass) and zone in ("Z0", "Z1"):
            assert answer[0] == "never_bypassed"
        if make is Arm and flag and zone in ("Z0", "Z1") and not isinstance(answer, dict):
            assert answer[0] in ("no_such_zone", "no_such_area", "already_armed")

    @rule(
        kind=st.sampled_from([*DrillKind, None]),
        what=st.sampled_from([*_IDS, "all", "buttons"]),
        seconds=st.sampled_from([1.0, 60.0, 1e9]),
    )
    def somebody_drills(self, kind: DrillKind | None, what: str, seconds: float) -> None:
        real = {each.id for each in self.desk.incidents() if each.latched and not each.drill}
        answers: list[Any] = []
        self.desk.desk.post(DrillAsk(kind, what, seconds, "王芳", answers.append))
        until(lambda: answers, 10, "the person is answered", every_s=0.002)
        self.desk.settle()
        assert real <= {each.id for each in self.desk.incidents()}, "a drill ended what is real"
        found = self.desk.desk.drills.values()
        assert found is None or ("Z1" not in found["zones"] and found["left_s"] <= 1800)

    @rule()
    def somebody_presses_for_help_in_a_drill(self) -> None:
        for _ in range(3):
            self.is_pressed(0, ends=True)
            self.desk.clock.move(1)
        (last,) = self.desk.police.alerts("panic", "triggered")[-1:]
        assert last["data"]["drill"] is False, "nobody came"

    @rule(happening=st.sampled_from([Happening.ACKNOWLEDGE, Happening.RESET]), prefix=st.sampled_from(["", "0", "5"]))
    def somebody_deals_with_an_incident(self, happening: Happening, prefix: str) -> None:
        latched = {each.id for each in self.desk.incidents() if each.latched and not each.restored_ns}
        self.desk.person(happening, prefix, "误报")
        assert latched <= {each.id for each in self.desk.incidents()}, "reset while it is pressed"

    @rule(message=st.binary(max_size=40) | st.sampled_from([b'{"command": "disarm", "zone": "Z0"}', b'{"id": "x"}']))
    def a_platform_says_anything(self, message: bytes) -> None:
        self.desk.police.raw_receipt(message)
        self.desk.settle()

    @rule(seconds=st.sampled_from([0.5, 11, 46, 300, 40_000]))
    def time_passes(self, seconds: float) -> None:
        self.desk.turn(seconds)

    @rule(
        seconds=st.sampled_from([-1_700_000_000, -90_000, -3600, 3600, 90_000, 1_000_000_000]),
        quality=st.sampled_from(list(ClockQuality)),
    )
    def somebody_sets_the_clock(self, seconds: float, quality: ClockQuality) -> None:
        self.desk.clock.now_quality = quality
        if (self.desk.clock.wall_ns() + seconds * 1e9 > 0 and seconds < 1e9) or self.desk.clock.wall_ns() < 2e18:
            self.desk.clock.step_wall(seconds)
        self.desk.turn(0.5)

    @rule(up=st.booleans())
    def the_board_is_lost_or_back(self, up: bool) -> None:
        self.desk.desk.post(LinkReport("B1", up, "heard" if up else "silent"))
        if up:
            self.told_states(dict(self.inputs))
        self.desk.settle()

    @rule(active=st.booleans(), kind=st.sampled_from(list(ConditionKind)))
    def another_process_tells(self, active: bool, kind: ConditionKind) -> None:
        self.desk.tell(self.desk.condition(active, kind))

    @precondition(lambda self: self.made is not None)
    @rule(zones=st.lists(_ZONE, max_size=3), areas=st.lists(_AREA, max_size=2))
    def it_is_started_again_with_other_settings(self, zones: list[dict[str, Any]], areas: list[dict[str, Any]]) -> None:
        wall_ns, mono_ns, quality = self.desk.clock.wall_ns(), self.desk.clock.mono_ns(), self.desk.clock.now_quality
        latched = {each.id for each in self.desk.incidents() if each.latched and not each.drill}
        armed = {area["id"] for area in self.desk.desk.area_list() if area["phase"] != "disarmed"}
        self.stop()
        self.configure(zones, areas)
        self.start()
        self.desk.clock.boot(wall_ns, mono_ns)
        self.desk.clock.now_quality = quality
        assert latched <= {each.id for each in self.desk.incidents()}, "forgotten by a restart"
        for area in self.desk.desk.area_list():
            if area["id"] in armed - set(self.site.calendars):
                assert area["phase"] != "disarmed", "disarmed by a restart"

    @invariant()
    def armed(self) -> None:
        if self.made is None:
            return
        shown = {zone["id"]: zone for zone in self.made.desk.zone_list()}
        for zone in self.site.zones:
            if str(zone.type) in NEVER:
                assert self.made.desk.panel.areas.armed(zone) is True
                assert (shown[zone.id]["armed"], shown[zone.id]["area"]) == (True, None)
                assert self.made.desk.panel.areas.of_zone(zone.id) is None
        listed = self.made.desk.area_list()
        assert not {"Z0", "Z1"} & {zone for area in listed for zone in (*area["zones"], *area["bypassed"])}


TestNeverDisarmed = NeverDisarmed.TestCase
TestNeverDisarmed.settings = hypothesis_settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.parametrize("kind", NEVER)
def test_settings_that_would_disarm_it_are_refused(kind: str) -> None:
    plain = {"id": "Z0", "name": "按钮", "type": kind, "bridge": "B1", "input": 0}
    areas = [{"id": "A1", "name": "全园", "calendar": {"disarms": True}}]
    assert _settings([plain], areas) is not None
    for more in ({"area": "A1"}, {"entry": True}, {"area": "A1", "entry": True}, {"armed": False}, {"held_open_s": 1}):
        assert _settings([{**plain, **more}], areas) is None, more


_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, -1, 1 << 70, "", "Z0", "Z1", "A1", "*", ["Z0"], ["Z0", "Z1"], {}, "王芳"]
)
_KEYS = ("area_id", "zone_id", "bypass", "force", "duress", "who", "why", "incident_id", "fact", "process", "boot", "n")


class EveryVerb(RuleBasedStateMachine):
    """Every verb of alarm.sock with anything in it, at a desk that always has an armed panic zone."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        calendar = Calendar(ZoneInfo("Asia/Shanghai"), ((Span(0, 1439),),) * 7, disarms=True)
        zones = [
            {"id": f"Z{n}", "name": f"Z{n}", "type": kind, "bridge": "B1", "input": n}
            | ({"area": "A1"} if kind == "perimeter" else {})
            for n, kind in enumerate(KINDS)
        ]
        site = _settings(zones, [{"id": "A1", "name": "全园"}])
        assert site is not None
        site = Site(site.zones, site.names, site.processes, site.bridges, site.areas, {"A1": calendar})
        self.made = Office(self.folder / "alarm.db", site)
        self.verbs = alarm_verbs(self.made.desk, self.made.store, {}, {}, {}, self.made.clock)
        self.server = Server(self.folder / "alarm.sock", self.verbs)
        assert self.made.store.start(10)
        self.made.desk.start()
        self.server.start()
        self.made.connect()
        self.event_id = 0

    def teardown(self) -> None:
        self.server.stop()
        self.made.desk.stop()
        self.made.store.stop()
        shutil.rmtree(self.folder)

    @rule(data=st.data(), args=st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=6))
    def ask(self, data: st.DataObject, args: dict[str, Any]) -> None:
        verb = data.draw(st.sampled_from(sorted(self.verbs)))
        with suppress(Refused):
            call(self.folder / "alarm.sock", verb, args)

    @rule()
    def press(self) -> None:
        before = len(self.made.police.alerts("panic", "triggered"))
        for state in (InputState.ALARM, InputState.NORMAL):
            self.event_id += 1
            self.made.change(self.event_id, state)
        until(lambda: len(self.made.police.alerts("panic", "triggered")) == before + 1, 10, "the press is told")
        status = call(self.folder / "alarm.sock", "status")
        assert [zone["armed"] for zone in status["zones"] if zone["type"] in NEVER] == [True, True]


TestEveryVerb = EveryVerb.TestCase
TestEveryVerb.settings = hypothesis_settings(max_examples=10, stateful_step_count=30, deadline=None)
