"""A contact that chatters is told once for many, and its end is told."""

from agent.safety.swinger import SWINGS, UPDATE_EVERY_S, Due, Swing, restored, tick, triggered

S = 1_000_000_000


def _chatter(times: int) -> tuple[Swing, list[bool]]:
    swing, told = Swing(), []
    for number in range(times):
        swing, now = triggered(swing, "one", number * S // 10)
        told.append(now)
    return swing, told


def test_the_first_ones_are_told_and_the_rest_counted() -> None:
    swing, told = _chatter(50)
    assert told == [True] * SWINGS + [False] * (50 - SWINGS)
    later_ns = swing.told_ns + round(UPDATE_EVERY_S * S)
    assert tick(swing, later_ns - 1)[1] == Due()
    swing, due = tick(swing, later_ns)
    assert due == Due(update=True, untold=50 - SWINGS)
    assert tick(swing, later_ns + 1)[1] == Due()


def test_another_incident_is_told_at_once() -> None:
    swing, _ = _chatter(50)
    assert triggered(swing, "two", swing.triggers_ns[-1] + 1)[1]


def test_the_end_is_told_once_it_keeps_quiet() -> None:
    swing, over = restored(Swing(triggers_ns=(0,)), 1)
    assert over, "a contact that does not chatter is restored at once"
    swing, _ = _chatter(10)
    end_ns = swing.triggers_ns[-1] + 1
    swing, over = restored(swing, end_ns)
    assert not over
    again, _ = triggered(swing, "one", end_ns + S)
    assert again.restored_ns is None
    assert not tick(swing, end_ns + round(UPDATE_EVERY_S * S) - 1)[1].restore
    assert tick(swing, end_ns + round(UPDATE_EVERY_S * S))[1] == Due(restore=True, untold=10 - SWINGS)


def test_a_door_that_is_used_now_and_then_does_not_chatter() -> None:
    swing = Swing()
    for number in range(20):
        swing, told = triggered(swing, "one", number * 21 * S)
        assert told
        assert restored(swing, number * 21 * S + S)[1]
