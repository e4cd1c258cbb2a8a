"""Lasting states: told once each way, lapsing without repeats, deaf to older words."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.facts import Condition, ConditionKind, Stamp
from agent.safety.conditions import LONGEST_TTL_S, MEANINGS, NOTHING, Known, Over, Raised, Tick, step

_S = 1_000_000_000


def _condition(active: bool, at_s: float, ttl_s: float = 15.0, subject: str = "camera/C01") -> Condition:
    at = Stamp(round(at_s * _S), round(at_s * _S))
    return Condition(ConditionKind.CAMERA_SILENT, subject, active, at, at, {}, ttl_s)


def test_every_kind_has_a_meaning_in_both_languages() -> None:
    assert set(MEANINGS) == set(ConditionKind)
    for meaning in MEANINGS.values():
        assert all([*meaning.raised, *meaning.over])
        assert meaning.raised != meaning.over
        assert meaning.priority in (1, 2, 3)


def test_told_once_however_often_repeated() -> None:
    known, told = step(NOTHING, _condition(True, 1), 1 * _S)
    assert [type(each) for each in told] == [Raised]
    for second in range(2, 60, 5):
        known, told = step(known, _condition(True, second), second * _S)
        assert told == ()
    known, told = step(known, _condition(False, 60), 60 * _S)
    assert [type(each) for each in told] == [Over]
    known, told = step(known, _condition(False, 61), 61 * _S)
    assert told == ()


def test_lapses_when_nobody_repeats_it() -> None:
    known, _ = step(NOTHING, _condition(True, 1), 1 * _S)
    known, told = step(known, Tick(), 15 * _S)
    assert told == ()
    known, told = step(known, Tick(), 17 * _S)
    assert [isinstance(each, Over) and each.lapsed for each in told] == [True]


def test_an_older_word_changes_nothing() -> None:
    known, _ = step(NOTHING, _condition(True, 1), 1 * _S)
    known, _ = step(known, _condition(False, 9), 9 * _S)
    known, told = step(known, _condition(True, 5), 10 * _S)
    assert told == ()


@pytest.mark.parametrize("ttl_s", [math.inf, math.nan, -1.0, 1e300])
def test_no_time_to_live_lasts_for_ever(ttl_s: float) -> None:
    known, _ = step(NOTHING, _condition(True, 1, ttl_s), 1 * _S)
    _, told = step(known, Tick(), round((LONGEST_TTL_S + 2) * _S))
    assert [type(each) for each in told] == [Over]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["tick", "on", "off"]), st.sampled_from("ab"), st.floats(0.1, 20)), max_size=40)
)
def test_raised_and_over_take_turns(words: list[tuple[str, str, float]]) -> None:
    known: Known = NOTHING
    now_s, lasting = 0.0, set()
    for word, subject, passed_s in words:
        now_s += passed_s
        fact = Tick() if word == "tick" else _condition(word == "on", now_s, subject=subject)
        known, told = step(known, fact, round(now_s * _S))
        for each in told:
            if isinstance(each, Raised):
                assert each.condition.subject not in lasting
                lasting.add(each.condition.subject)
            else:
                lasting.remove(each.condition.subject)
    assert lasting == {subject for _, subject in known.active}
