"""Who went quiet, and who came back."""

from agent.safety.silence import Back, Heard, Silent, Tick, expected, step

_S = 1_000_000_000


def test_silent_once_and_back_once() -> None:
    voices = expected({"process/record": 15.0, "bridge/B1": 2.0}, 0)
    voices, told = step(voices, Tick(), 2 * _S)
    assert told == ()
    voices, told = step(voices, Tick(), 3 * _S)
    assert told == (Silent("bridge/B1", 0),)
    voices, told = step(voices, Tick(), 4 * _S)
    assert told == ()
    voices, told = step(voices, Heard("bridge/B1"), 5 * _S)
    assert told == (Back("bridge/B1"),)
    voices, told = step(voices, Heard("bridge/B1"), 6 * _S)
    assert told == ()
    voices, told = step(voices, Tick(), 16 * _S)
    assert {each.name for each in told} == {"process/record", "bridge/B1"}


def test_what_is_not_expected_is_never_missed() -> None:
    voices, told = step(expected({}, 0), Heard("process/other"), 1)
    assert (dict(voices), told) == ({}, ())
    assert step(voices, Tick(), 100 * _S)[1] == ()
