from agent.facts import CONDITION_REPEAT_S, Condition, ConditionKind, Fact
from agent.lasting import LastingStates
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


def test_what_no_longer_stands_among_all_that_lasts_is_over_with_the_detail_last_told() -> None:
    clock, sent = MovedClock(), list[Fact]()
    states = LastingStates(clock, sent.append)
    full, slow = (ConditionKind.DISK_FULL, "volume/a"), (ConditionKind.DISK_SLOW, "volume/a")
    states.tell_all({full: {"free": 1}, slow: {}})
    clock.move(1)
    states.tell_all({slow: {}})
    states.tell_all({})
    told = [(each.kind, each.active, each.detail) for each in sent if isinstance(each, Condition)]
    assert told == [
        (full[0], True, {"free": 1}),
        (slow[0], True, {}),
        (full[0], False, {"free": 1}),
        (slow[0], False, {}),
    ]


def test_repeats_wait_for_room_but_beginnings_and_ends_do_not() -> None:
    clock, sent, room = MovedClock(), list[Fact](), [False]
    states = LastingStates(clock, sent.append, lambda: room[0])
    states.tell(ConditionKind.DISK_FULL, "volume/a", True)
    clock.move(CONDITION_REPEAT_S + 1)
    states.tell(ConditionKind.DISK_FULL, "volume/a", True)
    assert len(sent) == 1
    room[0] = True
    states.tell(ConditionKind.DISK_FULL, "volume/a", True)
    room[0] = False
    states.tell(ConditionKind.DISK_FULL, "volume/a", False)
    assert [each.active for each in sent if isinstance(each, Condition)] == [True, True, False]


def test_what_an_earlier_run_may_have_left_is_ended_unless_it_lasts() -> None:
    sent = list[Fact]()
    states = LastingStates(MovedClock(), sent.append)
    states.tell(ConditionKind.DISK_FULL, "volume/a", True)
    sent.clear()
    states.end([(ConditionKind.DISK_FULL, "volume/a"), (ConditionKind.DISK_FULL, "volume/b")])
    assert [(each.subject, each.active) for each in sent if isinstance(each, Condition)] == [("volume/b", False)]
