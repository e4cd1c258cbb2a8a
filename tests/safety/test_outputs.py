"""Sirens and strobes: the table of sounds, both halves, and what a person, the time and triggers make of it."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.safety import outputs
from agent.safety.incidents import DURESS, LATCHING_LIFE, Event, Incident, NotNow
from agent.safety.incidents import Happening as Of
from agent.safety.incidents import step as of_incident
from agent.safety.outputs import (
    DEFAULT_LEVELS,
    LIFE,
    SOUNDS_AGAIN,
    Call,
    Doubt,
    Happening,
    Level,
    Output,
    OutputKind,
    Pin,
    Rules,
    Sound,
    Stand,
)  # fmt: skip
from agent.safety.zones import Meaning, Zone, ZoneType

S = 1_000_000_000
RULES = Rules(siren_s=180, resound_s=30)
PANIC = Zone("Z01", "一键报警", ZoneType.PANIC_24H, "B1", 0)
SILENT = Zone("Z02", "一键报警", ZoneType.PANIC_24H, "B1", 1, silent=True)
GAS = Zone("Z03", "燃气", ZoneType.ENVIRONMENT, "B1", 2, kind="gas")
WATER = Zone("Z04", "水浸", ZoneType.ENVIRONMENT, "B1", 3, kind="water")
SIREN = Output("S1", "警号", OutputKind.SIREN, "B1", Pin.SIREN)
SPARE = Output("S2", "备用警号", OutputKind.SIREN, "B2", Pin.SIREN, standby=True)
STROBE = Output("L1", "警灯", OutputKind.STROBE, "B1", Pin.STROBE)
LAMP = Output("L2", "灯", OutputKind.LED, "B2", Pin.STROBE)
ALL = (SIREN, SPARE, STROBE, LAMP)


def incident(kind: str = "panic", subject: str = "zone/Z01", latching: bool = True) -> Incident:
    return Incident("i", kind, subject, "", None, latching, 1, 1)


def call(acknowledged: bool = False, restored: bool = False, count: int = 1, level: Level = Level.SIREN) -> Call:
    return Call("i", level, acknowledged, restored, count)


def sounds(stand: Stand, acknowledged: bool = False) -> dict[str, Sound]:
    return {"i": Sound(stand, 0, 1, acknowledged)}


MOVED = {
    (Stand.SOUNDING, Happening.TRIGGER): Stand.SOUNDING,
    (Stand.SOUNDING, Happening.SILENCE): Stand.SILENCED,
    (Stand.SOUNDING, Happening.SETTLED): Stand.SILENCED,
    (Stand.SOUNDING, Happening.TOO_LONG): Stand.PAUSED,
    (Stand.PAUSED, Happening.TRIGGER): Stand.SOUNDING,
    (Stand.PAUSED, Happening.SILENCE): Stand.SILENCED,
    (Stand.PAUSED, Happening.AGAIN): Stand.SOUNDING,
    (Stand.SILENCED, Happening.TRIGGER): Stand.SOUNDING,
    (Stand.SILENCED, Happening.SILENCE): Stand.SILENCED,
    (Stand.SILENCED, Happening.AGAIN): Stand.SOUNDING,
}


def done(stand: Stand, happening: Happening) -> tuple[Stand, int]:
    """Where a sound stands after it, and since when; the sound began at 0."""
    known, silenced, now_s = sounds(stand), frozenset[str](), 1
    match happening:
        case Happening.TRIGGER:
            asked = call(count=2)
        case Happening.SILENCE:
            asked, silenced = call(acknowledged=True), frozenset({"i"})
        case Happening.SETTLED:
            known, asked = sounds(stand, acknowledged=True), call(acknowledged=True, restored=True)
        case Happening.TOO_LONG:
            asked, now_s = call(), 180
            if stand is not Stand.SOUNDING:
                known, asked = sounds(stand, acknowledged=True), call(acknowledged=True, restored=True)
        case Happening.AGAIN:
            asked, now_s = call(), 30
    after = outputs.step(known, [asked], silenced, RULES, now_s * S)["i"]
    return after.stand, after.since_ns // S


@pytest.mark.parametrize(("stand", "happening"), list(itertools.product(Stand, Happening)))
def test_every_row_of_the_life_of_a_sound_and_every_one_that_is_none(stand: Stand, happening: Happening) -> None:
    expected = MOVED.get((stand, happening))
    assert LIFE.get((stand, happening)) == expected
    if expected is None:
        assert done(stand, happening) == (stand, 0), "what stands in no row changes nothing"
    else:
        assert done(stand, happening)[0] is expected
        assert done(stand, happening)[1] > 0


@pytest.mark.parametrize("stand", [Stand.PAUSED, Stand.SILENCED])
@pytest.mark.parametrize(("acknowledged", "restored"), list(itertools.product((False, True), repeat=2)))
def test_what_is_not_reset_sounds_again_unless_somebody_knows_and_it_is_over(
    stand: Stand, acknowledged: bool, restored: bool
) -> None:
    again = not (acknowledged and restored)
    assert SOUNDS_AGAIN[acknowledged, restored] is again
    known = {"i": Sound(stand, 0, 1, acknowledged)}
    asked = [call(acknowledged, restored)]
    before = outputs.step(known, asked, frozenset(), RULES, 30 * S - 1)
    assert before["i"].stand is stand
    after = outputs.step(known, asked, frozenset(), RULES, 30 * S)
    assert (after["i"].stand is Stand.SOUNDING) is again
    for_ever = outputs.step(known, asked, frozenset(), RULES, 10_000_000 * S)
    assert (for_ever["i"].stand is Stand.SOUNDING) is again


def test_a_press_that_nobody_answers_sounds_three_minutes_and_again_after_half_a_minute() -> None:
    known: outputs.Sounds = {}
    loud = []
    for second in range(700):
        known = outputs.step(known, [call(restored=second > 1)], frozenset(), RULES, second * S)
        loud.append(known["i"].stand is Stand.SOUNDING)
    changes = [second for second in range(1, 700) if loud[second] != loud[second - 1]]
    assert loud[0]
    assert changes == [180, 210, 390, 420, 600, 630]


def test_after_a_restart_what_nobody_acknowledged_sounds_and_what_somebody_did_waits() -> None:
    assert outputs.step({}, [call()], frozenset(), RULES, 5 * S)["i"].stand is Stand.SOUNDING
    known = outputs.step({}, [call(acknowledged=True)], frozenset(), RULES, 5 * S)
    assert known["i"].stand is Stand.SILENCED
    assert outputs.step(known, [call(acknowledged=True)], frozenset(), RULES, 35 * S)["i"].stand is Stand.SOUNDING


def test_a_press_and_its_silencing_between_two_looks_end_silent_the_other_way_round_loud() -> None:
    known = sounds(Stand.SILENCED, acknowledged=True)
    silent = outputs.step(known, [call(acknowledged=True, count=2)], frozenset(), RULES, S)
    assert silent["i"].stand is Stand.SILENCED
    loud = outputs.step(known, [call(count=2)], frozenset({"i"}), RULES, S)
    assert loud["i"].stand is Stand.SOUNDING, "the press came after the silence"


def test_what_each_incident_asks_for() -> None:
    level = outputs.level_of
    assert level(incident(), PANIC, RULES) is Level.SIREN
    assert level(incident(), SILENT, RULES) is Level.NONE, "a silent button sounds"
    assert level(incident("tamper"), SILENT, RULES) is Level.SIREN, "tampering with it does"
    assert level(incident(DURESS, "area/A1"), None, RULES) is Level.NONE
    assert level(incident("fault", latching=False), PANIC, RULES) is Level.NONE
    assert level(incident("door_held_open", latching=False), None, RULES) is Level.NONE
    assert level(incident("environment"), GAS, RULES) is Level.SIREN
    assert level(incident("environment"), WATER, RULES) is Level.STROBE
    assert level(incident("environment"), Zone("Z", "", ZoneType.ENVIRONMENT, "B1", 9), RULES) is Level.SIREN
    assert level(incident("after_hours_presence", "room/R01"), None, RULES) is Level.SIREN
    quiet = Rules(levels={**DEFAULT_LEVELS, "panic": Level.STROBE})
    assert level(incident(), PANIC, quiet) is Level.STROBE


def test_every_incident_that_latches_has_a_level_by_default() -> None:
    latching = {"panic", "tamper", "intrusion", "door_forced", "after_hours_presence", "other"}
    assert latching <= DEFAULT_LEVELS.keys()
    assert {str(each) for each in (Meaning.PANIC, Meaning.TAMPER, Meaning.INTRUSION, Meaning.DOOR_FORCED)} <= latching


def on(calls: list[Call], known: outputs.Sounds, delayed: bool = False, failed: frozenset[str] = frozenset()) -> str:
    return " ".join(sorted(outputs.wanted(ALL, calls, known, delayed, failed)))


def test_what_is_on() -> None:
    assert on([], {}) == ""
    assert on([], {}, delayed=True) == "L2"
    assert on([call()], sounds(Stand.SOUNDING)) == "L1 L2 S1"
    assert on([call()], sounds(Stand.SILENCED)) == "L1 L2", "the light stays until the reset"
    assert on([call(level=Level.STROBE)], sounds(Stand.SOUNDING)) == "L1 L2"
    assert on([call(level=Level.NONE)], sounds(Stand.SOUNDING)) == "", "what is silent shows nothing"


def test_a_siren_that_fails_raises_the_one_on_standby() -> None:
    assert on([call()], sounds(Stand.SOUNDING), failed=frozenset({"S1"})) == "L1 L2 S1 S2"
    assert on([call()], sounds(Stand.SOUNDING), failed=frozenset({"L1"})) == "L1 L2 S1"
    assert on([call()], sounds(Stand.SILENCED), failed=frozenset({"S1"})) == "L1 L2"


def test_an_output_is_failed_after_a_while_and_right_again_at_once() -> None:
    start = Doubt("not heard yet", 0)
    assert outputs.failed(start, 9 * S) is None
    assert outputs.failed(start, 10 * S) is True
    good = outputs.doubted(start, "", 3 * S)
    assert outputs.failed(good, 3 * S) is False
    bad = outputs.doubted(outputs.doubted(good, "refused", 20 * S), "refused", 21 * S)
    assert (outputs.failed(bad, 21 * S), outputs.failed(bad, 22 * S)) == (False, True)
    assert outputs.failed(outputs.doubted(bad, "", 23 * S), 23 * S) is False


class AnyLife(RuleBasedStateMachine):
    """Two incidents through their lives, seen by outputs twice a second; whatever people and buttons do, nothing that
    has to be heard is silent for longer than it may be."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.open: dict[str, Incident] = {}
        self.known: outputs.Sounds = {}
        self.silenced: set[str] = set()
        self.loud_ns: dict[str, int] = {}

    def happen(self, name: str, happening: Of) -> None:
        if name not in self.open:
            return
        try:
            after = of_incident(self.open[name], Event(happening, "王芳"), self.now_ns + 1)
        except NotNow:
            assert (self.open[name].state, happening) not in LATCHING_LIFE
            return
        self.open[name] = after

    @rule(name=st.sampled_from("ab"))
    def press(self, name: str) -> None:
        if name in self.open:
            self.happen(name, Of.TRIGGER)
        else:
            self.open[name] = Incident(name, "panic", "zone/Z01", "", None, True, 1, 1)
            self.known = {key: value for key, value in self.known.items() if key != name}
        self.loud_ns[name] = self.now_ns
        self.look()
        assert self.is_loud(name), "a press sounds at once"

    @rule(name=st.sampled_from("ab"))
    def release(self, name: str) -> None:
        self.happen(name, Of.RESTORE)
        self.look()

    @rule(name=st.sampled_from("ab"))
    def silence(self, name: str) -> None:
        self.happen(name, Of.ACKNOWLEDGE)
        if name in self.open and self.open[name].acknowledged_ns:
            self.silenced.add(name)
            self.loud_ns[name] = self.now_ns
        self.look()
        assert name not in self.open or not self.is_loud(name), "silenced, and it sounds"

    @rule(name=st.sampled_from("ab"))
    def reset(self, name: str) -> None:
        self.happen(name, Of.RESET)
        if name in self.open and not self.open[name].open:
            del self.open[name]
        self.look()

    @rule(half_seconds=st.integers(1, 500))
    def wait(self, half_seconds: int) -> None:
        for _ in range(half_seconds):
            self.now_ns += S // 2
            self.look()
            self.nothing_that_must_be_heard_is_silent_for_too_long()

    @precondition(lambda self: self.open)
    @rule()
    def restart(self) -> None:
        self.known = {}
        self.loud_ns = dict.fromkeys(self.open, self.now_ns)
        self.look()

    def is_loud(self, name: str) -> bool:
        return self.known[name].stand is Stand.SOUNDING

    def look(self) -> None:
        calls = [outputs.call_of(each, PANIC, RULES) for each in self.open.values()]
        self.known = outputs.step(self.known, calls, frozenset(self.silenced), RULES, self.now_ns)
        self.silenced.clear()
        for name in self.open:
            if self.is_loud(name):
                self.loud_ns[name] = self.now_ns
        lit = outputs.wanted(ALL, calls, self.known, False, frozenset())
        assert ("S1" in lit) is any(self.is_loud(name) for name in self.open)
        assert ("L1" in lit) is bool(self.open), "the light is on until the last reset, and off after it"

    @invariant()
    def nothing_that_must_be_heard_is_silent_for_too_long(self) -> None:
        for name, each in self.open.items():
            if not (each.acknowledged_ns and each.restored_ns):
                assert self.now_ns - self.loud_ns[name] <= RULES.resound_s * S


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
