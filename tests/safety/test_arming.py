"""Arming an area: what people and the calendar may do, and what an opening means, over time and at random."""

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.facts import InputState
from agent.safety.arming import (
    CALENDAR,
    Act,
    Alarm,
    Area,
    AreaState,
    Arm,
    Bypass,
    Cut,
    Disarm,
    Moment,
    NotNow,
    Opened,
    Phase,
    Tick,
    Unbypass,
    area_of,
    armed,
    restored,
    step,
)
from agent.safety.zones import Meaning, Zone, ZoneType

S = 1_000_000_000
DOOR, BACK, WINDOW, STORE = "D1", "D2", "W1", "W2"
ENTRIES = frozenset({DOOR, BACK})
AREA = Area("A1", "全园", 45, 30, frozenset({DOOR, BACK, WINDOW, STORE}), ENTRIES)
CLOSED = dict.fromkeys(sorted(AREA.zones), InputState.NORMAL)
FORCED, INTRUSION = Meaning.DOOR_FORCED, Meaning.INTRUSION


def at(seconds: float) -> Moment:
    return Moment(round(seconds * S), round(seconds * S))


def after(state: AreaState, fact: Act | Opened | Cut | Tick, seconds: float, **seen: InputState) -> AreaState:
    return step(AREA, state, fact, {**CLOSED, **seen}, at(seconds))[0]


def alarms(state: AreaState, fact: Act | Opened | Cut | Tick, seconds: float, **seen: InputState) -> list[Alarm]:
    return list(step(AREA, state, fact, {**CLOSED, **seen}, at(seconds))[1])


def test_leaving_in_time_and_coming_back() -> None:
    state = after(AreaState(), Arm("王芳"), 0)
    assert (state.phase, state.until_ns) == (Phase.EXIT_DELAY, 45 * S)
    state = after(state, Opened(DOOR), 20, D1=InputState.ALARM)
    assert after(state, Tick(), 44).phase is Phase.EXIT_DELAY
    state = after(state, Tick(), 45)
    assert state.phase is Phase.ARMED
    state = after(state, Opened(DOOR), 100, D1=InputState.ALARM)
    assert (state.phase, state.zone, state.until_ns) == (Phase.ENTRY_DELAY, DOOR, 130 * S)
    assert alarms(state, Tick(), 129) == []
    state = after(state, Disarm("王芳"), 129)
    assert (state.phase, state.who, state.bypassed) == (Phase.DISARMED, "王芳", frozenset())
    assert alarms(state, Tick(), 500) == []


def test_who_does_not_disarm_in_time_is_an_intruder() -> None:
    state = AreaState(Phase.ARMED, "王芳")
    state = after(state, Opened(DOOR), 0, D1=InputState.ALARM)
    assert alarms(state, Opened(WINDOW), 5, W1=InputState.ALARM) == [Alarm(WINDOW, FORCED)]
    assert alarms(state, Opened(BACK), 6, D2=InputState.ALARM) == []
    assert alarms(state, Tick(), 30) == [Alarm(DOOR, INTRUSION)]
    assert after(state, Tick(), 30).phase is Phase.ARMED


def test_a_window_is_told_at_once_even_while_people_leave() -> None:
    state = after(AreaState(), Arm("王芳"), 0)
    assert alarms(state, Opened(WINDOW), 1, W1=InputState.ALARM) == [Alarm(WINDOW, FORCED)]
    assert alarms(state, Cut(WINDOW), 1, W1=InputState.OPEN) == [Alarm(WINDOW, INTRUSION)]
    assert alarms(state, Cut(DOOR), 1, D1=InputState.OPEN) == []


def test_an_entry_left_open_is_told_when_its_time_is_over() -> None:
    state = after(AreaState(), Arm("王芳"), 0)
    waits = after(state, Tick(), 45, D1=InputState.ALARM)
    assert (waits.phase, waits.zone) == (Phase.ENTRY_DELAY, DOOR)
    assert alarms(waits, Tick(), 75, D1=InputState.ALARM) == [Alarm(DOOR, INTRUSION)]
    assert alarms(state, Tick(), 45, D2=InputState.OPEN) == [Alarm(BACK, INTRUSION)]
    unseen = after(state, Tick(), 45, D2=InputState.UNKNOWN)
    assert (unseen.phase, unseen.waiting) == (Phase.ARMED, frozenset({BACK}))


@pytest.mark.parametrize("seen", [each for each in InputState if each is not InputState.NORMAL])
def test_arming_is_refused_while_something_is_not_closed(seen: InputState) -> None:
    with pytest.raises(NotNow) as told:
        after(AreaState(), Arm("王芳"), 0, W1=seen)
    assert (told.value.code, told.value.zones) == ("not_ready", (WINDOW,))
    left_out = after(AreaState(), Arm("王芳", bypass=frozenset({WINDOW})), 0, W1=seen)
    forced = after(AreaState(), Arm("王芳", force=True), 0, W1=seen)
    assert left_out.bypassed == forced.bypassed == frozenset({WINDOW})
    assert alarms(forced, Opened(WINDOW), 100, W1=InputState.ALARM) == []


def test_the_calendar_leaves_nothing_out_and_arms_each_zone_as_it_closes() -> None:
    state = after(AreaState(), Arm(CALENDAR, at_once=True), 0, W1=InputState.ALARM, D2=InputState.UNKNOWN)
    assert (state.phase, state.bypassed, state.waiting) == (Phase.ARMED, frozenset(), frozenset({WINDOW, BACK}))
    assert alarms(state, Opened(STORE), 1, W2=InputState.ALARM) == [Alarm(STORE, FORCED)]
    state = after(state, Tick(), 2, D2=InputState.UNKNOWN)
    assert state.waiting == frozenset({BACK})
    assert alarms(state, Opened(WINDOW), 3, W1=InputState.ALARM) == [Alarm(WINDOW, FORCED)]


def test_arming_twice_and_strange_zones_are_refused() -> None:
    for phase in (Phase.EXIT_DELAY, Phase.ARMED, Phase.ENTRY_DELAY):
        with pytest.raises(NotNow, match="already_armed"):
            after(AreaState(phase, zone=DOOR), Arm("王芳"), 0)
    with pytest.raises(NotNow, match="no_such_zone Z99"):
        after(AreaState(), Arm("王芳", bypass=frozenset({"Z99"})), 0)
    with pytest.raises(NotNow, match="no_such_zone Z01"):
        after(AreaState(), Bypass("王芳", "Z01", "坏了"), 0)
    with pytest.raises(NotNow, match="not_bypassed"):
        after(AreaState(), Unbypass("王芳", DOOR), 0)


def test_a_bypass_holds_for_one_armed_period() -> None:
    state = after(AreaState(), Bypass("王芳", WINDOW, "坏了"), 0)
    state = after(state, Arm(CALENDAR), 1, W1=InputState.OPEN)
    assert (state.bypassed, state.waiting) == (frozenset({WINDOW}), frozenset())
    with pytest.raises(NotNow, match="not_ready"):
        after(state, Unbypass("王芳", WINDOW), 2, W1=InputState.OPEN)
    assert after(state, Unbypass("王芳", WINDOW), 2).bypassed == frozenset()
    state = after(after(state, Disarm(CALENDAR), 3), Arm("王芳"), 4)
    assert state.bypassed == frozenset()


def test_bypassing_the_door_does_not_stop_the_entry_delay() -> None:
    state = after(AreaState(Phase.ARMED), Opened(DOOR), 0, D1=InputState.ALARM)
    state = after(state, Bypass("王芳", DOOR, "坏了"), 1, D1=InputState.ALARM)
    assert alarms(state, Tick(), 30) == [Alarm(DOOR, INTRUSION)]


def test_a_restart_arms_no_less() -> None:
    inputs = {**CLOSED, DOOR: InputState.ALARM}
    leaving = restored(AREA, AreaState(Phase.EXIT_DELAY, until_ns=5), inputs, at(1000))
    assert (leaving.phase, leaving.waiting) == (Phase.ARMED, frozenset({DOOR}))
    entered = restored(AREA, AreaState(Phase.ENTRY_DELAY, until_ns=5, zone=DOOR), inputs, at(1000))
    assert (entered.phase, entered.until_ns) == (Phase.ENTRY_DELAY, 1030 * S)
    gone = restored(AREA, AreaState(Phase.ARMED, bypassed=frozenset({"Z99", WINDOW})), inputs, at(1000))
    assert (gone.phase, gone.bypassed) == (Phase.ARMED, frozenset({WINDOW}))


@pytest.mark.parametrize("kind", [each for each in ZoneType if each is not ZoneType.PERIMETER])
def test_an_area_takes_no_zone_that_is_never_disarmed(kind: ZoneType) -> None:
    with pytest.raises(ValueError, match="belongs to no area"):
        area_of("A1", "全园", 45, 30, [Zone("Z01", "按钮", kind, "B1", 0, area="A1")])


_ZONE = st.sampled_from(sorted(AREA.zones))
_SEEN = st.sampled_from(list(InputState))
_BYPASSED = st.frozensets(_ZONE | st.just("Z99"), max_size=2)
_WHO = st.sampled_from(["王芳", CALENDAR])


class Arming(RuleBasedStateMachine):
    """Anything in any order. The model knows which zones are left out, and which delay is under way since when."""

    def __init__(self) -> None:
        super().__init__()
        self.state, self.now_s = AreaState(), 0.0
        self.seen = dict(CLOSED)
        self.entered: tuple[str, float] | None = None

    def do(self, fact: Act | Opened | Cut | Tick) -> list[Alarm]:
        before = self.state
        self.state, found = step(AREA, before, fact, self.seen, at(self.now_s))
        disarmed = before.phase is not Phase.DISARMED and self.state.phase is Phase.DISARMED
        assert not disarmed or isinstance(fact, Disarm), f"{fact} disarmed"
        left = before.phase is Phase.ENTRY_DELAY and self.state.phase is not Phase.ENTRY_DELAY
        if left and not disarmed:
            assert Alarm(before.zone, INTRUSION) in found, "an entry delay ended without an alarm"
        return list(found)

    def guarded(self, zone: str) -> bool:
        if zone in self.state.bypassed | self.state.waiting or self.state.phase is Phase.DISARMED:
            return False
        return self.state.phase is not Phase.EXIT_DELAY or zone not in ENTRIES

    @rule(zone=_ZONE, seen=_SEEN)
    def sees(self, zone: str, seen: InputState) -> None:
        before, self.seen[zone] = self.seen[zone], seen
        guarded, delayed = self.guarded(zone), zone in ENTRIES
        if seen is InputState.ALARM and before is not seen:
            found = self.do(Opened(zone))
            assert found == ([Alarm(zone, FORCED)] if guarded and not delayed else [])
            if guarded and delayed:
                assert self.state.phase is Phase.ENTRY_DELAY
        elif seen in (InputState.OPEN, InputState.SHORT) and before is not seen:
            assert self.do(Cut(zone)) == ([Alarm(zone, INTRUSION)] if guarded else [])

    @rule(seconds=st.sampled_from([0.5, 10, 31, 46]))
    def passes(self, seconds: float) -> None:
        self.now_s += seconds
        for alarm in self.do(Tick()):
            assert alarm.zone not in self.state.waiting
        assert all(self.seen[zone] is not InputState.NORMAL for zone in self.state.waiting)

    @rule(
        who=_WHO, bypass=st.frozensets(_ZONE | st.just("Z99"), max_size=2), force=st.booleans(), at_once=st.booleans()
    )
    def arm(self, who: str, bypass: frozenset[str], force: bool, at_once: bool) -> None:
        before = self.state
        try:
            found = self.do(Arm(who, bypass, force, at_once))
        except NotNow:
            assert self.state is before
            if who == CALENDAR and not bypass:
                assert before.phase is not Phase.DISARMED, "the calendar was kept from arming"
            return
        assert found == []
        for zone in AREA.zones - self.state.bypassed - self.state.waiting:
            assert self.seen[zone] is InputState.NORMAL

    @rule(who=_WHO)
    def disarm(self, who: str) -> None:
        was_armed = self.state.phase is not Phase.DISARMED
        assert self.do(Disarm(who)) == []
        assert self.state.phase is Phase.DISARMED
        assert not was_armed or not self.state.bypassed | self.state.waiting

    @rule(zone=_ZONE, leave_out=st.booleans())
    def bypass(self, zone: str, leave_out: bool) -> None:
        before = self.state
        try:
            assert self.do(Bypass("王芳", zone, "坏了") if leave_out else Unbypass("王芳", zone)) == []
        except NotNow:
            assert self.state is before

    @rule(off_s=st.sampled_from([1, 5000]))
    def restart(self, off_s: int) -> None:
        before, self.now_s = self.state, self.now_s + off_s
        stored = {zone: InputState.NORMAL if seen is InputState.UNKNOWN else seen for zone, seen in self.seen.items()}
        self.state = restored(AREA, before, stored, at(self.now_s))
        assert (self.state.phase is Phase.DISARMED) is (before.phase is Phase.DISARMED)
        assert (self.state.phase is Phase.ENTRY_DELAY) is (before.phase is Phase.ENTRY_DELAY)

    @invariant()
    def agrees(self) -> None:
        assert all(armed(AREA, self.state, zone) is self.guarded(zone) for zone in AREA.zones)


TestArming = Arming.TestCase
TestArming.settings = hypothesis_settings(max_examples=100, stateful_step_count=40, deadline=None)
