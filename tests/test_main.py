"""The supervisor's decisions, and the real supervisor with real processes."""

from dataclasses import replace

from agent.health import WATCHDOG_S
from agent.main import START_S, STEADY_S, Child, died, notified, restart_delay_s, wants


def test_a_process_starts_becomes_ready_and_is_left_alone() -> None:
    child = Child("alarm")
    assert wants(child, 0.0) == "start"
    child = replace(child, state="starting", since_s=0.0)
    assert wants(child, 1.0) == "nothing"
    child = notified(child, "READY=1\nSTATUS=up", 2.0)
    assert child.state == "ready"
    assert wants(child, 2.0 + WATCHDOG_S) == "nothing"


def test_a_process_that_never_gets_ready_is_killed() -> None:
    child = Child("vision", state="starting", since_s=10.0)
    assert wants(child, 10.0 + START_S) == "nothing"
    assert wants(child, 10.1 + START_S) == "kill"


def test_a_loop_that_hangs_is_killed_and_one_that_beats_is_not() -> None:
    child = notified(Child("record", state="starting"), "READY=1", 0.0)
    beating = notified(child, "WATCHDOG=1", 20.0)
    assert wants(child, WATCHDOG_S + 0.1) == "kill"
    assert wants(beating, WATCHDOG_S + 0.1) == "nothing"


def test_restarts_come_soon_and_then_slower() -> None:
    assert [restart_delay_s(n) for n in range(1, 9)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_failures_are_forgotten_after_steady_service() -> None:
    child = Child("record", state="ready", since_s=0.0, failures=5)
    assert died(child, STEADY_S - 1).failures == 6
    after = died(child, STEADY_S + 1)
    assert after.failures == 1
    assert wants(after, STEADY_S + 1.1) == "nothing"
    assert wants(after, STEADY_S + 1.3) == "start"
