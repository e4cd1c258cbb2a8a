"""The parts of retention one by one: the reserve, the forecast, whom room is taken from, and what is spared."""

from dataclasses import replace

import pytest

from agent.footage.upkeep.degradation import CALM_NS, Degradation, Recorded, degrade, rungs
from agent.footage.upkeep.hold import Hold, Protection
from agent.footage.upkeep.retention import (
    GB,
    Breach,
    Lines,
    Policy,
    Reason,
    Space,
    Stored,
    forecast,
    plan,
    reserve_bytes,
)

DAY = 86_400 * 10**9
T = 1_795_000_000 * 10**9
POLICY = Policy(30 * DAY, {"main": 90 * DAY, "sub": 180 * DAY})
LINES = Lines(T, T - 30 * DAY, {"main": T - 90 * DAY, "sub": T - 180 * DAY})
FREE = Protection([], T)
MIB = 1 << 20


def stored(seq: int, days: float, camera: str = "a", stream: str = "main", volume: str = "v", size: int = 10) -> Stored:
    end_ns = T - round(days * DAY)
    start_ns = end_ns - 60 * 10**9
    return Stored(camera, stream, seq, start_ns, end_ns, size, volume, f"{camera}{seq}", None, None, "closed", end_ns)


def full(free: int, volume: str = "v", total: int = 1000, reserve: int = 100) -> Space:
    return Space(volume, total, free, reserve)


def went(policy: Policy, reels: list[list[Stored]], spaces: list[Space], used: int = 0,
         protection: Protection = FREE, lines: Lines = LINES) -> list[tuple[str, int, str]]:  # fmt: skip
    step = plan(policy, lines, reels, protection, spaces, used, 100)
    return [(each.camera, each.seq, str(reason)) for each, reason in step.delete]


def test_what_is_past_its_target_goes_first_whatever_room_there_is() -> None:
    reels = [[stored(1, 91), stored(2, 89)], [stored(1, 179, "b", "sub")]]
    assert went(POLICY, reels, [full(500)]) == [("a", 1, "expired")]
    assert went(POLICY, reels, [full(0)]) == [("a", 1, "expired")]
    assert went(POLICY, reels, [full(500)], lines=replace(LINES, by_age=False)) == []


def test_room_is_made_from_what_is_past_the_minimum_and_no_more_than_is_needed() -> None:
    reels = [[stored(seq, 80 - seq) for seq in range(1, 60)]]
    assert went(POLICY, reels, [full(75)]) == [("a", 1, "quota"), ("a", 2, "quota"), ("a", 3, "quota")]
    assert went(POLICY, [[stored(1, 29.9)]], [full(75)]) == []
    assert went(POLICY, reels, [full(100)]) == []


def test_a_camera_gives_by_the_share_of_its_own_target() -> None:
    reels = [[stored(1, 60), stored(2, 59)], [stored(1, 100, "b", "sub"), stored(2, 99, "b", "sub")]]
    assert went(POLICY, reels, [full(85)]) == [("a", 1, "quota"), ("a", 2, "quota")], "60 of 90 before 100 of 180"


def test_only_footage_on_the_disk_that_is_short_helps_it() -> None:
    reels = [[stored(1, 80, volume="w"), stored(2, 79)]]
    assert went(POLICY, reels, [full(95), full(100, "w")]) == [("a", 2, "quota")]
    assert went(POLICY, reels, [full(95), full(900, "w")]) == [], "new files go to the other one"
    assert went(POLICY, reels, [full(95)]) == [("a", 2, "quota")], "what is not there cannot be deleted"


def test_a_quota_counts_all_footage() -> None:
    policy = replace(POLICY, quota_bytes=100)
    reels = [[stored(1, 80), stored(2, 79)]]
    assert went(policy, reels, [full(900)], used=105) == [("a", 1, "quota")]
    assert went(policy, reels, [full(900)], used=100) == []


def test_what_is_held_is_in_no_step() -> None:
    holds = Protection([Hold("h", "a", T - 200 * DAY, T - 70 * DAY, "", "", None, 0, None)], T)
    reels = [[stored(1, 95), stored(2, 80), stored(3, 60)]]
    assert went(replace(POLICY, overwrite=True), reels, [full(0)], protection=holds) == [("a", 3, "quota")]


def test_with_nothing_that_may_go_it_is_a_breach_and_the_ring_is_asked_for() -> None:
    reels = [[stored(1, 20), stored(2, 19)]]
    step = plan(POLICY, LINES, reels, FREE, [full(95)], 0, 10)
    assert (step.delete, step.breach) == ((), Breach("reserve", 5, 10 * DAY))
    step = plan(replace(POLICY, overwrite=True), LINES, reels, FREE, [full(95)], 0, 10)
    assert [(each.seq, reason) for each, reason in step.delete] == [(1, Reason.OVERWRITTEN)]
    assert step.breach is not None
    fresh = [[stored(1, 0.01)]]
    assert plan(replace(POLICY, overwrite=True), LINES, fresh, FREE, [full(0)], 0, 10).delete == ()
    assert plan(POLICY, LINES, [[]], FREE, [full(0)], 0, 10).breach == Breach("reserve", 100, None)


@pytest.mark.parametrize(
    ("total", "rate", "asked", "expected"),
    [
        (1000 * GB, 0, None, 50 * GB),
        (30 * GB, 0, None, 2 * GB),
        (1000 * GB, 20e6, None, 72 * GB),
        (1000 * GB, 200e6, None, 100 * GB),
        (1000 * GB, 0, 7 * GB, 7 * GB),
        (10 * GB, 0, None, 1 * GB),
        (GB, 0, None, 192 * MIB),
        (1000 * GB, 0, MIB, 192 * MIB),
    ],
)
def test_the_reserve_is_never_all_of_a_small_disk_nor_less_than_the_recorder_needs(
    total: int, rate: float, asked: int | None, expected: int
) -> None:
    assert reserve_bytes(total, rate, asked, 64 * MIB) == expected


def test_the_forecast_says_when_the_disk_is_full_or_that_it_never_is() -> None:
    rate = 1e9 / 86_400  # a gigabyte a day
    assert forecast(POLICY, 50 * GB, 20 * GB, 30 * GB, 20 * DAY, rate).steady_days == pytest.approx(50)
    assert forecast(POLICY, 50 * GB, 20 * GB, 30 * GB, 20 * DAY, rate).full_days == pytest.approx(30)
    roomy = forecast(POLICY, 200 * GB, 20 * GB, 180 * GB, 20 * DAY, rate)
    assert (roomy.steady_days, roomy.full_days) == (90, None)
    assert forecast(POLICY, 50 * GB, 0, 50 * GB, 0, 0.0).steady_days is None


RECORDED = [
    Recorded("a", "main", 100.0, 9), Recorded("a", "sub", 10.0, 9), Recorded("b", "main", 100.0, 5),
    Recorded("c", "main", 100.0, 2), Recorded("c", "sub", 10.0, 2),
]  # fmt: skip


def test_less_is_recorded_step_by_step_and_the_most_important_camera_never_stops() -> None:
    found = rungs(RECORDED)
    mains = {("a", "main"), ("c", "main")}
    assert found[0] == frozenset()
    assert found[1] == mains
    assert found[2] == mains | {("c", "sub")}
    assert found[3] == found[2] | {("b", "main")}
    assert len(found) == 4
    assert rungs([]) == (frozenset(),)
    assert rungs([Recorded("a", "main", 1.0)]) == (frozenset(),)


@pytest.mark.parametrize(("left", "level"), [(320, 0), (319, 1), (120, 1), (119, 2), (110, 2), (109, 3), (0, 3)])
def test_as_little_is_given_up_as_lasts_until_something_may_go(left: int, level: int) -> None:
    breach = Breach("reserve", 1, 10**9)
    assert degrade(Degradation(), breach, RECORDED, left, POLICY, 5).level == level


def test_no_camera_stops_for_a_quota_or_while_the_ring_is_allowed() -> None:
    for breach, policy in (
        (Breach("quota", 1, None), POLICY),
        (Breach("reserve", 1, None), replace(POLICY, overwrite=True)),
    ):
        assert degrade(Degradation(), breach, RECORDED, 0, policy, 5).level == 1
        assert (
            degrade(Degradation(), breach, [Recorded("a", "main", 1.0), Recorded("b", "main", 1.0)], 0, policy, 5).level
            == 0
        )


def test_a_level_is_left_one_at_a_time_after_an_hour_of_calm() -> None:
    now = degrade(Degradation(), Breach("reserve", 1, None), RECORDED, 0, POLICY, 0)
    assert now.level == 3
    assert degrade(now, None, RECORDED, 0, POLICY, CALM_NS - 1).level == 3
    now = degrade(now, None, RECORDED, 0, POLICY, CALM_NS)
    assert now.level == 2
    assert degrade(now, None, RECORDED, 0, POLICY, CALM_NS + 5).level == 2


def test_with_no_breach_and_an_hour_of_room_all_is_recorded_again_at_once() -> None:
    now = degrade(Degradation(), Breach("reserve", 1, None), RECORDED, 0, POLICY, 0)
    hour = 320 * 3600
    assert degrade(now, None, RECORDED, hour, POLICY, 1, room_bytes=hour - 1).level == 3
    assert degrade(now, None, RECORDED, hour, POLICY, 1, room_bytes=hour).level == 0
    assert degrade(now, Breach("reserve", 1, None), RECORDED, 0, POLICY, 1, room_bytes=hour).level == 3
