"""Repeats are recognised, and memory stays bounded."""

from agent.safety.repeats import Repeats, Seen


def test_new_then_under_way_then_safe() -> None:
    repeats: Repeats[int] = Repeats(10)
    told: list[str] = []
    assert repeats.look(1, lambda: told.append("first")) is Seen.NEW
    assert repeats.look(1, lambda: told.append("second")) is Seen.UNDER_WAY
    assert told == []
    repeats.safe(1)
    assert told == ["second"], "only the newest way back is open"
    assert repeats.look(1, lambda: told.append("third")) is Seen.SAFE
    assert told == ["second", "third"]


def test_dropped_is_not_remembered() -> None:
    repeats: Repeats[int] = Repeats(10)
    told: list[int] = []
    repeats.look(1, lambda: told.append(1))
    repeats.drop(1)
    assert told == [1]
    assert repeats.look(1, lambda: told.append(2)) is Seen.NEW


def test_the_oldest_is_forgotten() -> None:
    repeats: Repeats[int] = Repeats(2)
    repeats.take_over([1])
    for key in (2, 3):
        repeats.look(key, lambda: None)
        repeats.safe(key)
    assert repeats.look(1, lambda: None) is Seen.NEW
    assert repeats.look(3, lambda: None) is Seen.SAFE


def test_forgotten_is_new_again_and_nobody_is_told() -> None:
    repeats: Repeats[int] = Repeats(10)
    told: list[int] = []
    repeats.look(1, lambda: told.append(1))
    repeats.forget(1)
    repeats.forget(2)
    assert repeats.look(1, lambda: told.append(2)) is Seen.NEW
    repeats.safe(1)
    assert told == [2]
