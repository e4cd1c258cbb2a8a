from hypothesis import given
from hypothesis import strategies as st

from agent.vision.count import FEWEST, MAX_AGE_S, SAMPLES, Count, Sample, add, settle


def after(*looks: tuple[int, int], every_s: float = 0.5) -> Count | None:
    """The count after looks of (tracked, seen)."""
    samples: tuple[Sample, ...] = ()
    for number, (tracked, seen) in enumerate(looks):
        samples = add(samples, Sample(number * every_s, tracked, seen))
    return settle(samples)


def test_too_few_looks_say_nothing() -> None:
    assert after(*[(3, 3)] * (SAMPLES - 1)) is None
    assert after(*[(3, 3)] * SAMPLES) == Count(3, 3, 3)


def test_a_full_room_is_never_empty_at_first() -> None:
    """The tracker believes nobody at the first two looks."""
    looks = [(0, 5), (0, 5), *[(5, 5)] * 4]
    counts = [after(*looks[:number]) for number in range(1, len(looks) + 1)]
    assert [count.count for count in counts if count is not None] == [5, 5]


def test_looks_that_come_seldom_are_enough_when_they_are_few() -> None:
    """The key frames of a main stream, one every six seconds."""
    assert after(*[(3, 3)] * (FEWEST - 1), every_s=6) is None
    assert after(*[(3, 3)] * FEWEST, every_s=6) == Count(3, 3, 3)


def test_one_bad_look_changes_nothing() -> None:
    assert after((3, 3), (3, 3), (9, 9), (3, 3), (3, 3)) == Count(3, 3, 3)
    assert after((3, 3), (3, 3), (0, 0), (3, 3), (3, 3)) == Count(3, 3, 3)


def test_people_who_are_seen_and_not_yet_believed_widen_the_interval() -> None:
    assert after(*[(3, 5)] * 5) == Count(3, 3, 5)
    assert after(*[(3, 1)] * 5) == Count(3, 1, 3)


def test_old_looks_are_forgotten() -> None:
    assert after((9, 9), (9, 9), (9, 9), every_s=MAX_AGE_S + 1) is None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=SAMPLES, max_size=12))
def test_the_interval_holds_the_count_and_the_count_was_seen(looks: list[tuple[int, int]]) -> None:
    count = after(*looks)
    assert count is not None
    assert 0 <= count.low <= count.count <= count.high
    assert count.count in [tracked for tracked, _ in looks[-SAMPLES:]]
