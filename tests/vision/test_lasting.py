from agent.facts import CONDITION_REPEAT_S, Condition, ConditionKind, Fact
from agent.vision.lasting import LastingStates
from tests.fakes.clock import MovedClock


def test_a_state_is_told_at_once_then_repeated_then_once_more_when_it_is_over() -> None:
    clock, sent = MovedClock(), list[Fact]()
    states = LastingStates(clock, sent.append)

    def tell(active: bool, count: int = 0) -> None:
        states.tell(ConditionKind.OVER_CAPACITY, "room/a", active, {"count": count})

    tell(False)
    assert not sent
    for tenth in range(int(CONDITION_REPEAT_S * 10) + 1):
        tell(True, count=tenth)
        clock.move(0.1)
    tell(False)
    tell(False)
    told = [each for each in sent if isinstance(each, Condition)]
    assert [(each.active, each.detail["count"]) for each in told] == [(True, 0), (True, 50), (False, 0)]
    assert len({each.since for each in told}) == 1, "all three are about the same beginning"


def test_each_subject_has_a_life_of_its_own() -> None:
    sent = list[Fact]()
    states = LastingStates(MovedClock(), sent.append)
    for camera in ("a", "b"):
        states.tell(ConditionKind.VISION_BLIND, f"camera/{camera}", True)
    states.tell(ConditionKind.VISION_BLIND, "camera/a", False)
    told = [(each.subject, each.active) for each in sent if isinstance(each, Condition)]
    assert told == [("camera/a", True), ("camera/b", True), ("camera/a", False)]
