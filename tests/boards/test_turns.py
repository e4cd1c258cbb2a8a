"""Whose turn it is on the bus, and how long things take."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.boards.polled import Answer, Miss, Missed, module, step
from agent.boards.turns import Due, Wire, exchange_ms, needed_ms, press_ms, turn

MS = 1_000_000


def test_frames_are_parted_as_the_specification_says() -> None:
    assert Wire(9600).quiet_ns == 3_645_833
    assert Wire(115_200).quiet_ns == 1_750_000
    assert Wire(9600).carry_ns(96) == 100 * MS
    assert Wire(9600, "even").carry_ns(96) == 110 * MS


def test_how_long_a_poll_takes_and_a_press_must_last() -> None:
    assert 21 < exchange_ms(Wire(9600), 8, 0) < 22
    assert press_ms(Wire(9600), [8], 100) < 250
    assert needed_ms(Wire(9600), [8, 8]) < 100 < needed_ms(Wire(9600), [8, 8, 8])


def test_who_waited_longest_is_asked_and_after_a_doubtful_one_a_sound_one() -> None:
    due = [("sound", Due(5, False)), ("dead", Due(3, True)), ("later", Due(90, False))]
    assert turn(due, 10, after_doubtful=False) == "dead"
    assert turn(due, 10, after_doubtful=True) == "sound"
    assert turn(due, 4, after_doubtful=True) == "dead"
    assert turn(due, 2, after_doubtful=False) is None


@given(dead=st.sets(st.integers(0, 5), max_size=5), slow=st.integers(1, 20))
@settings(deadline=None, max_examples=25)
def test_modules_that_say_nothing_cost_the_others_one_answer_at_most(dead: set[int], slow: int) -> None:
    """Six modules at 115200 baud, of which some die at once after 5 s. Nobody can know of the first answers that do not
    come; later a sound module waits for its poll, the other sound ones, and one answer that does not come."""
    wire, now_ns, doubtful = Wire(115_200, answer_ms=40), 0, False
    modules = {number: module(8, 200, 0) for number in range(6)}
    asked: dict[int, list[int]] = {number: [] for number in modules}
    while now_ns < 12_000 * MS:
        due = [(number, Due(each.ask_ns, each.doubtful)) for number, each in modules.items()]
        whose = turn(due, now_ns, doubtful)
        if whose is None:
            now_ns += MS
            continue
        doubtful = modules[whose].doubtful
        asked[whose].append(now_ns)
        if whose in dead and now_ns > 5_000 * MS:
            asked_ns, now_ns = now_ns, now_ns + wire.patience_ns(8, 6)
            modules[whose], _ = step(modules[whose], Missed(Miss.SILENT, now_ns))
        else:
            asked_ns, now_ns = now_ns, now_ns + round(exchange_ms(wire, 8, slow) * MS)
            modules[whose], _ = step(modules[whose], Answer((False,) * 8, asked_ns, now_ns))
    sound = [number for number in modules if number not in dead]
    patience_ns = wire.patience_ns(8, 6)
    for number in sound:
        assert modules[number].up
        for earlier, later in zip(asked[number], asked[number][1:], strict=False):
            unforeseen = len(dead) if earlier < 5_500 * MS else 0
            others_ns = round(6 * exchange_ms(wire, 8, slow) * MS)
            assert later - earlier <= 200 * MS + others_ns + (1 + unforeseen) * patience_ns
    assert not any(modules[number].up for number in dead)
