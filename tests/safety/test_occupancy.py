"""Rooms over time: full, over full, unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.safety.occupancy import (
    CLEAR_AFTER_S,
    RAISE_AFTER_S,
    STALE_AFTER_S,
    CameraCount,
    Change,
    Occupancy,
    capacity_of,
    room_count,
    step,
)


def play(counts: list[tuple[float, int | None]], capacity: int | None = 10) -> list[tuple[float, Change]]:
    """What changed, and when, over looks of (seconds, count)."""
    state, changes = Occupancy(), []
    for at_s, count in counts:
        state, change = step(state, count, capacity, at_s)
        if change is not None:
            changes.append((at_s, change))
    return changes


def every_half_second(*spans: tuple[float, int | None]) -> list[tuple[float, int | None]]:
    """Looks at 2 per second: each span is (how long, count)."""
    looks: list[tuple[float, int | None]] = []
    for lasts_s, count in spans:
        looks += [(len(looks) / 2 + number / 2, count) for number in range(int(lasts_s * 2))]
    return [(number / 2, count) for number, (_, count) in enumerate(looks)]


@pytest.mark.parametrize(
    ("group", "own", "expected"),
    [
        ("infant", None, 10),
        ("toddler", None, 15),
        ("senior_toddler", None, 20),
        ("mixed", None, 18),
        ("other", None, None),
        ("other", 7, 7),
        ("infant", 8, 8),
    ],
)
def test_a_room_has_its_own_capacity_or_that_of_its_class_group(
    group: str, own: int | None, expected: int | None
) -> None:
    assert capacity_of(group, own) == expected


def test_a_room_over_full_is_raised_after_a_while_and_cleared_after_a_longer_one() -> None:
    changes = play(every_half_second((10, 9), (20, 11), (30, 10)))
    assert changes == [(10 + RAISE_AFTER_S, Change.RAISED), (30 + CLEAR_AFTER_S, Change.CLEARED)]


def test_somebody_who_comes_through_raises_nothing() -> None:
    assert not play(every_half_second(*[(RAISE_AFTER_S - 0.5, 11), (2, 10)] * 5))


def test_a_room_at_its_limit_does_not_flap() -> None:
    looks = every_half_second((10, 11), *[(CLEAR_AFTER_S - 1, 10), (1, 11)] * 5)
    assert [change for _, change in play(looks)] == [Change.RAISED]


def test_a_full_room_is_not_over_full() -> None:
    assert not play(every_half_second((60, 10)))


def test_while_nothing_is_known_nothing_changes() -> None:
    assert [change for _, change in play(every_half_second((10, 11), (60, None)))] == [Change.RAISED]
    assert not play(every_half_second(*[(RAISE_AFTER_S - 0.5, 11), (1, None)] * 5))


def test_a_hole_in_the_knowledge_is_no_time_of_being_over() -> None:
    assert not play([(0, 11), (STALE_AFTER_S + 1, 11)])


def test_a_room_without_limit_raises_nothing_and_lifts_what_was_raised() -> None:
    assert not play(every_half_second((60, 99)), capacity=None)
    state, change = step(Occupancy(active=True), 99, None, 1)
    assert (state.active, change) == (False, Change.CLEARED)


def test_the_camera_that_sees_most_speaks_for_the_room() -> None:
    cameras = [CameraCount("a", 3, 2, 4, 100), CameraCount("b", 5, 5, 6, 99), CameraCount("old", 9, 9, 9, 80)]
    best = room_count(cameras, 100)
    assert best is not None
    assert best.camera_id == "b"
    assert room_count(cameras, 200) is None


@given(st.lists(st.tuples(st.floats(0.05, 12), st.one_of(st.none(), st.integers(0, 20))), max_size=60))
def test_changes_alternate_and_each_rests_on_what_persisted(looks: list[tuple[float, int | None]]) -> None:
    now_s, history = 0.0, []
    for wait_s, count in looks:
        now_s += wait_s
        history.append((now_s, count))
    changes = play(history)
    kinds = [change for _, change in changes]
    assert kinds == [Change.RAISED if number % 2 == 0 else Change.CLEARED for number in range(len(kinds))]
    for at_s, change in changes:
        needed_s = RAISE_AFTER_S if change is Change.RAISED else CLEAR_AFTER_S
        over = change is Change.RAISED
        since_s = max((s for s, count in history if s <= at_s and (count is None or (count > 10) != over)), default=0)
        persisted = [s for s, _ in history if since_s < s <= at_s]
        assert persisted[-1] - persisted[0] >= needed_s - 1e-6
