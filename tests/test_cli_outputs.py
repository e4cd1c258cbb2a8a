"""`yunjian test output`, and outputs in `yunjian status`: at a desk at work, as a person types them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.delivery import rows
from agent.facts import InputState
from agent.processes.alarm_verbs import alarm_verbs
from agent.wire import Server
from tests.fakes.office import office
from tests.test_acts import closed
from tests.test_cli_arming import Typed
from tests.test_sounding import SITE, main, shows


@pytest.fixture
def typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Typed]:
    with office(tmp_path / "alarm.db", site=SITE) as made:
        closed(made)
        server = Server(tmp_path / "alarm.sock", alarm_verbs(made.desk, made.store, {}, {}, {}, made.clock))
        server.start()
        yield Typed(made, tmp_path, capsys)
        server.stop()


def test_a_siren_is_tested_by_a_name_that_stands_in_the_audit(typed: Typed) -> None:
    status, out, _ = typed("test", "output", "S1", "--who", "王芳", "--lang", "en")
    assert (status, out) == (0, "S1  走廊警号  being tested (3 s)\n")
    typed.made.settle()
    assert shows(typed.made) == (True, False)
    typed.made.turn(3)
    assert shows(typed.made) == (False, False)
    with typed.made.store.reading() as db:
        (row,) = rows.read_audit(db)
    assert row.deed.who.startswith("王芳 (")
    status, out, _ = typed("test", "output", "L1", "--seconds", "10", "--who", "王芳", "--json")
    assert (status, json.loads(out)["tested_s"]) == (0, 10.0)


def test_an_output_that_is_none_is_refused_and_the_others_are_named(typed: Typed) -> None:
    status, _, err = typed("test", "output", "S9", "--who", "王芳", "--lang", "en")
    assert (status, "no such output; there are: S1, L1, S2" in err) == (4, True)


@pytest.mark.parametrize("given", [["S1"], ["S1", "--who", "王芳", "--seconds", "11"], ["--who", "王芳"]])
def test_what_is_wrong_usage_reaches_no_output(typed: Typed, given: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        typed("test", "output", *given)
    assert shows(typed.made) == (False, False)


def test_status_shows_what_each_output_does(typed: Typed) -> None:
    def lines(language: str) -> list[str]:
        out = typed("status", "--lang", language)[1].splitlines()
        return [" ".join(line.split()) for line in out if line.startswith(("  S", "  L", "! "))]

    typed.made.turn()
    assert "S1 走廊警号 siren off B1/siren" in lines("en")
    assert "S2 备用警号 siren on standby B2/siren" in lines("en")
    typed.made.change(1, InputState.ALARM)
    assert "S1 走廊警号 警号 鸣响 B1/siren" in lines("zh")
    assert "L1 走廊警灯 strobe on B1/strobe" in lines("en")
    main(typed.made).trouble = "refused"
    typed.made.turn(1)
    typed.made.turn(3)
    assert "S1 走廊警号 警号 不可用（refused） B1/siren" in lines("zh")
    assert "S2 备用警号 siren sounding B2/siren" in lines("en")
    assert "! 走廊警号: a siren, strobe or other output does not work (refused)" in lines("en")


def test_one_word_silences_everything(typed: Typed) -> None:
    typed.made.change(1, InputState.ALARM)
    typed.made.change(2, InputState.ALARM, input_no=4)
    assert shows(typed.made) == (True, True)
    status, out, _ = typed("incidents", "ack", "all", "--lang", "en")
    assert (status, len(out.splitlines())) == (0, 2), out
    typed.made.settle()
    assert shows(typed.made) == (False, True)
    assert all(each.acknowledged_by for each in typed.made.incidents())
    typed.made.turn(31)
    assert shows(typed.made) == (True, True), "both are still in alarm"
    assert typed("incidents", "ack", "all")[0] == 0
    typed.made.settle()
    assert shows(typed.made) == (False, True)


def test_with_nothing_to_silence_one_word_says_so(typed: Typed) -> None:
    status, out, _ = typed("incidents", "ack", "all", "--lang", "en")
    assert (status, out) == (0, "no incident waits for a reset\n")
