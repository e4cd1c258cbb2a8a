"""What fails in the upkeep of the footage is told as that, in words that fit it."""

from typing import Any

from agent.clock import SystemClock
from agent.facts import ConditionKind, Stamp
from agent.footage.fault import Fault
from agent.footage.upkeep.keeper import Keeper
from agent.safety.conditions import MEANINGS
from tests.fakes.waiting import until


class _Failing:
    name = "retention"
    every_s = 0.0

    def step(self, now: Stamp) -> None:
        raise ValueError("no such row")

    def faults(self) -> list[Fault]:
        return []

    def status(self) -> dict[str, Any]:
        return {}


def test_a_chore_that_fails_is_no_alert_that_cannot_be_stored() -> None:
    keeper = Keeper([_Failing()], SystemClock())
    keeper.start()
    until(lambda: bool(keeper.faults()), 10, "the chore has failed")
    keeper.stop()
    (fault,) = keeper.faults()
    assert (fault.kind, fault.subject) == (ConditionKind.FOOTAGE_UPKEEP_FAILING, "chore/retention")
    meaning = MEANINGS[fault.kind]
    assert not any(word in meaning.raised.zh + meaning.raised.en for word in ("告警", "alert"))
