"""Conditions of others and of the desk itself, from start to restart."""

from agent.facts import Condition, ConditionKind, Stamp
from agent.safety.conditions import Over, Raised
from agent.safety.incidents import Incident
from agent.safety.watch import Result, Watch
from tests.fakes.clock import MovedClock


def _kinds(results: list[Result]) -> list[tuple[str, str, bool]]:
    return [(str(each.condition.kind), each.condition.subject, isinstance(each, Raised)) for each in results]


def test_a_silent_process_is_a_fault_and_comes_back() -> None:
    clock = MovedClock()
    watch = Watch(["record"], [], clock.mono_ns())
    clock.move(29)
    assert watch.turn(clock.stamp()) == []
    clock.move(2)
    assert _kinds(watch.turn(clock.stamp())) == [("process_silent", "process/record", True)]
    watch.pulse("record", clock.mono_ns())
    assert _kinds(watch.turn(clock.stamp())) == [("process_silent", "process/record", False)]


def test_a_board_that_was_never_heard_and_one_that_goes_silent() -> None:
    clock = MovedClock()
    watch = Watch([], ["B1"], clock.mono_ns())
    clock.move(2.5)
    assert _kinds(watch.turn(clock.stamp())) == [("bridge_silent", "bridge/B1", True)]
    watch.link("B1", True, "heard")
    assert _kinds(watch.turn(clock.stamp())) == [("bridge_silent", "bridge/B1", False)]
    watch.link("B1", False, "port_lost")
    clock.move(1)
    assert watch.turn(clock.stamp()) == []
    clock.move(1.5)
    (raised,) = watch.turn(clock.stamp())
    assert raised.condition.detail == {"reason": "port_lost"}


def test_clock_that_nobody_sets() -> None:
    clock = MovedClock()
    watch = Watch([], [], clock.mono_ns())
    for _ in range(130):
        clock.move(0.5)
        assert watch.turn(clock.stamp()) == []
    clock.now_quality = clock.now_quality.UNKNOWN
    told: list[Result] = []
    for _ in range(130):
        clock.move(0.5)
        told += watch.turn(clock.stamp())
    assert _kinds(told) == [("clock_unknown", "process/alarm", True)]
    clock.now_quality = clock.now_quality.NTP
    assert _kinds(watch.turn(clock.stamp())) == [("clock_unknown", "process/alarm", False)]


def test_a_stored_condition_stays_until_told_or_lapsed() -> None:
    clock = MovedClock()
    watch = Watch(["vision"], [], clock.mono_ns())
    stored = [
        Incident("a", "process_silent", "process/vision", "vision", None, False, 1, 1),
        Incident("b", "over_capacity", "room/R01", "托大一班", "R01", False, 1, 1),
        Incident("c", "panic", "zone/Z01", "一键报警", None, True, 1, 1),
    ]
    watch.take_over(stored, clock.stamp())
    assert {str(each.kind) for each in watch.active()} == {"process_silent", "over_capacity"}
    clock.move(5)
    assert watch.turn(clock.stamp()) == [], "nothing is known yet"
    at = clock.stamp()
    assert watch.take(Condition(ConditionKind.OVER_CAPACITY, "room/R01", True, at, at), at.mono_ns) == ()
    watch.pulse("vision", clock.mono_ns())
    assert _kinds(watch.turn(clock.stamp())) == [("process_silent", "process/vision", False)]
    clock.move(16)
    (lapsed,) = (each for each in watch.turn(clock.stamp()) if isinstance(each, Over))
    assert (lapsed.condition.subject, lapsed.lapsed) == ("room/R01", True)


def test_own_conditions_are_told_once() -> None:
    clock = MovedClock()
    watch = Watch([], [], clock.mono_ns())

    def own(active: bool | None) -> list[tuple[str, str, bool]]:
        clock.move(0.5)
        now: Stamp = clock.stamp()
        return _kinds(list(watch.own(ConditionKind.UPLINK_DOWN, "platform/police", active, {}, now)))

    assert own(None) == own(False) == []
    assert own(True) == [("uplink_down", "platform/police", True)]
    assert own(True) == own(None) == []
    assert own(False) == [("uplink_down", "platform/police", False)]
