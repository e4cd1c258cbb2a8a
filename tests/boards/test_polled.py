"""When an answer is believed, and what no answer means. Simulated time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.boards.polled import (
    CONFIRM_NS,
    DOWN_EVERY_NS,
    LATE_ANSWER_NS,
    Answer,
    Lost,
    Miss,
    Missed,
    Module,
    Stray,
    module,
    step,
)
from agent.boards.telling import Change, Down, Result, Up, Whole
from agent.facts import InputState
from tests.boards.polling import MS, Polled

NORMAL, ALARM = InputState.NORMAL, InputState.ALARM


def answered(state: Module, *alarms: bool, after_ms: int = 10) -> tuple[Module, tuple[Result, ...]]:
    """It is asked when it wants to be, and answers `after_ms` later."""
    return step(state, Answer(alarms, state.ask_ns, state.ask_ns + after_ms * MS))


def missed(state: Module, why: Miss = Miss.SILENT) -> tuple[Module, tuple[Result, ...]]:
    return step(state, Missed(why, state.ask_ns + 50 * MS))


def up(*alarms: bool) -> Module:
    """A module that has come up so."""
    state = module(len(alarms), 100, 0)
    for _ in range(2):
        state, _ = answered(state, *alarms)
    assert state.up
    return state


def test_it_comes_up_with_the_second_answer_in_a_row() -> None:
    state, results = answered(module(2, 100, 0), False, True)
    assert (state.up, results) == (False, ())
    assert state.ask_ns - state.heard_ns == CONFIRM_NS, "the second question does not wait for the next poll"
    state, results = answered(state, False, True)
    assert results == (Up(), Whole(((0, NORMAL), (1, ALARM))))


def test_a_contact_that_chatters_keeps_no_module_down() -> None:
    state = module(1, 100, 0)
    results: tuple[Result, ...] = ()
    for at in range(5):
        assert not state.up
        state, results = answered(state, at % 2 == 0)
    assert state.up
    assert results[0] == Up()


def test_a_change_is_told_by_two_readings_and_as_of_the_first() -> None:
    state = up(False)
    state, results = answered(state, True)
    first_ns = state.heard_ns
    assert results == ()
    assert state.ask_ns == first_ns + CONFIRM_NS
    state, results = answered(state, True)
    assert results == (Change(0, NORMAL, ALARM, first_ns),)
    state, results = answered(state, True)
    assert results == ()


def test_a_reading_that_is_not_confirmed_is_none() -> None:
    state = up(False)
    for reading in (True, False, True, False):
        state, results = answered(state, reading)
        assert results == ()


def test_a_contact_that_chatters_is_not_asked_after_without_end() -> None:
    state, quick = up(False), 0
    for at in range(40):
        state, _ = answered(state, at % 2 == 0)
        quick += state.ask_ns - state.heard_ns == CONFIRM_NS
    assert quick <= 20, "between two polls, one quick look at most on the average"


def test_three_misses_put_it_down_and_nothing_is_told_as_normal() -> None:
    told: list[Result] = []
    state = up(True)
    for _ in range(3):
        state, results = missed(state)
        told += results
    assert [type(each) for each in told] == [Down]
    assert isinstance(told[0], Down)
    assert told[0].reason == "silent"
    assert not state.up
    for _ in range(3):
        state, results = missed(state, Miss.GARBLED)
        assert results == ()


def test_a_module_that_is_down_is_asked_once_a_second() -> None:
    state = up(True)
    for _ in range(5):
        state, _ = missed(state)
    before_ns = state.ask_ns
    state, _ = missed(state)
    assert state.ask_ns - before_ns >= DOWN_EVERY_NS


def test_an_answer_now_and_then_does_not_keep_it_up() -> None:
    """One that answers to the question before the last does so: every second answer seems to be in time."""
    told: list[Result] = []
    state = up(False)
    for _ in range(3):
        state, results = missed(state)
        told += results
        state, results = answered(state, False)
        told += results
    assert [each for each in told if isinstance(each, Down)]


def test_after_a_miss_it_is_left_alone_longer_than_any_answer_is_late() -> None:
    state = up(False)
    asked_ns = state.ask_ns
    state, _ = missed(state)
    assert state.ask_ns - asked_ns >= LATE_ANSWER_NS


def test_in_doubt_an_alarm_counts_and_its_end_does_not() -> None:
    state, _ = missed(up(False))
    state, _ = answered(state, True)
    state, _ = missed(state)
    state, results = answered(state, True)
    assert next(each for each in results if isinstance(each, Change)).state is ALARM
    state, _ = missed(up(True))
    state, results = answered(state, False)
    assert results == ()
    state, _ = missed(state)
    state, results = answered(state, False)
    assert results == (), "what was read in doubt confirms nothing"


def test_the_first_answer_after_a_miss_is_no_half_of_an_end() -> None:
    """It may be the answer to the question that was missed."""
    state, _ = answered(up(True), False)
    state, _ = missed(state)
    told: list[Result] = []
    for count in range(1, 4):
        state, results = answered(state, False)
        told += results
        assert bool(told) == (count == 3)


def test_readings_too_close_to_each_other_confirm_nothing() -> None:
    state = up(False)
    state, _ = answered(state, True)
    state, results = step(state, Answer((True,), state.heard_ns, state.heard_ns + CONFIRM_NS // 2))
    assert results == ()
    state, results = answered(state, True)
    assert [type(each) for each in results] == [Change]


def test_a_stray_answer_makes_the_one_before_it_doubtful() -> None:
    state, _ = missed(up(True))
    state, _ = answered(state, True)
    state, _ = step(state, Stray(state.heard_ns + 5 * MS))
    assert (state.misses, state.clean) == (2, 0), "what was taken for the answer was the one to the question before"


def test_the_late_answer_to_a_question_that_was_missed_is_no_further_miss() -> None:
    state, _ = missed(up(True))
    state, _ = step(state, Stray(state.ask_ns - 100 * MS))
    assert state.misses == 1
    assert state.ask_ns - (state.heard_ns + LATE_ANSWER_NS) > 0


def test_who_speaks_in_its_name_does_it_no_harm() -> None:
    state = up(True)
    for _ in range(20):
        state, _ = answered(state, True)
        state, results = step(state, Stray(state.heard_ns + 5 * MS))
        assert results == ()
    assert (state.up, state.misses) == (True, 0)


def test_what_moved_while_it_was_down_is_told_late_and_before_the_snapshot() -> None:
    state = up(False, True)
    state, results = step(state, Lost("port_missing: x", state.ask_ns))
    assert results == (Down("port_missing: x", state.heard_ns),)
    state, _ = answered(state, True, True)
    state, results = answered(state, True, True)
    assert results == (Up(), Change(0, NORMAL, ALARM, state.heard_ns, late=True), Whole(((0, ALARM), (1, ALARM))))


def test_a_refusal_is_no_silence() -> None:
    state = up(False)
    for _ in range(3):
        state, results = step(state, Missed(Miss.REFUSED, state.ask_ns + 5 * MS, "exception 2 (illegal address)"))
    assert results[0] == Down("refused: exception 2 (illegal address)", state.heard_ns)


def test_an_answer_of_another_size_is_a_fault_of_this_program() -> None:
    with pytest.raises(ValueError, match="1 inputs answered"):
        step(up(False, False), Answer((True,), 0, 0))


@settings(deadline=None, max_examples=60)
@given(phase_ms=st.integers(0, 200), poll_ms=st.sampled_from([20, 50, 100, 200]), answer_ms=st.integers(1, 40))
def test_a_press_as_long_as_promised_is_always_told(phase_ms: int, poll_ms: int, answer_ms: int) -> None:
    world = Polled(poll_ms=poll_ms, answer_ms=answer_ms)
    world.run(500 + phase_ms)
    begun_ns = world.now_ns
    world.alarm = True
    world.run(world.press_ms)
    world.alarm = False
    world.run(1000)
    changes = [each for each in world.told if isinstance(each, Change)]
    assert [each.state for each in changes] == [ALARM, NORMAL]
    assert changes[0].first_ns >= begun_ns


@settings(deadline=None, max_examples=40)
@given(late_ms=st.integers(50, 230), seed=st.integers(0, 1000))
def test_a_module_that_is_always_late_never_comes_up(late_ms: int, seed: int) -> None:
    """Its answers come after the end of patience, 49 ms here, and within the time it is left alone."""
    world = Polled(poll_ms=100, answer_ms=late_ms, seed=seed)
    world.run(10_000)
    assert not [each for each in world.told if isinstance(each, Up | Whole)]
    assert [each for each in world.told if isinstance(each, Down)]


@given(seed=st.integers(0, 10_000), loss=st.sampled_from([0.1, 0.3, 0.6]), late=st.sampled_from([0.0, 0.2, 0.5]))
@settings(deadline=None, max_examples=60)
def test_a_pressed_button_is_never_told_as_normal(seed: int, loss: float, late: float) -> None:
    """Answers that are late say that it is not pressed yet."""
    world = Polled(poll_ms=100, answer_ms=10, seed=seed, loss=loss, late=late)
    world.run(3_000 + seed % 100)
    world.alarm = True
    world.run(15_000)
    states = []
    for each in world.told:
        match each:
            case Change(state=state):
                states.append(state)
            case Whole(inputs):
                states.append(dict(inputs)[0])
    pressed = states.index(ALARM) if ALARM in states else len(states)
    assert NORMAL not in states[pressed:]
