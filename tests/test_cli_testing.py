"""`yunjian drill` and `yunjian test`: at a desk at work, as a person types them."""

import csv
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main
from agent.delivery import register
from agent.facts import InputState
from agent.processes.alarm_verbs import alarm_verbs
from agent.safety.button_path import RECEIPT_WITHIN_S
from agent.safety.due_tests import FIRST_LOOK_S
from agent.safety.incidents import Happening
from agent.wire import Server
from tests.fakes.office import Office, office
from tests.fakes.waiting import until
from tests.test_cli_arming import Typed
from tests.test_drills import FIRST, GAS, SECOND, SITE, at_rest

ALARM, NORMAL = InputState.ALARM, InputState.NORMAL


@pytest.fixture
def typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Typed]:
    with office(tmp_path / "alarm.db", site=replace(SITE, test_every_days=7)) as made:
        at_rest(made)
        server = Server(tmp_path / "alarm.sock", alarm_verbs(made.desk, made.store, {}, {}, {}, made.clock))
        server.start()
        yield Typed(made, tmp_path, capsys)
        server.stop()


class Beside:
    """A command that waits, while the test presses."""

    def __init__(self, made: Office, runtime: Path, *arguments: str) -> None:
        self.status: int | None = None
        self._made = made
        self._thread = threading.Thread(target=self._run, args=([*arguments, "--runtime", str(runtime)],))
        self._thread.start()
        until(lambda: made.desk.drills.values() is not None, 10, "the test has begun")
        made.clock.move(1)

    def _run(self, arguments: list[str]) -> None:
        self.status = main(arguments)

    def ends(self) -> int:
        def over() -> bool:
            self._made.turn()
            return not self._thread.is_alive()

        until(over, 20, "the command ends")
        assert self.status is not None
        return self.status


def press(made: Office, number: int, input_no: int) -> None:
    made.change(number, ALARM, input_no)
    made.clock.move(0.4)
    made.change(number + 1, NORMAL, input_no)


def test_drill_begun_shown_and_stopped(typed: Typed) -> None:
    status, out, _ = typed("drill", "Z01", "--who", "王芳", "--minutes", "10", "--lang", "en")
    assert (status, out.partition(".")[0]) == (0, "drill begun: Z01, for 10 min at most")
    _, out, _ = typed("status")
    assert "演练开始：Z01，最长 10 分钟" in out
    typed.made.clock.move(1)
    press(typed.made, 1, FIRST)
    assert typed("incidents", "--lang", "en")[1].rstrip().endswith("drill")
    assert "[drill] panic button pressed" in typed("events", "--lang", "en")[1]
    assert typed("drill", "Z02", "--who", "李娜")[::2] == (4, "yunjian: 已经在演练\n")
    assert typed("drill", "stop") == (0, "演练结束\n", "")
    assert typed("drill", "stop", "--lang", "en")[::2] == (4, "yunjian: there is no drill\n")
    assert typed("drill", "Z01")[::2] == (2, "yunjian: 缺少 --who\n")
    assert typed("drill", "Z03", "--who", "王芳")[2].startswith("yunjian: 防拆和电源防区没有演练：Z03 箱盖")


@pytest.mark.parametrize("arguments", [("drill", "Z01", "--who", "x", "--minutes", "31"), ("test", "button", "Z01")])
def test_half_an_hour_is_the_most_and_somebody_leads_it(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    assert left.value.code == 2


def test_a_button_is_tested_from_its_contact_to_both_receipts(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    made = typed.made
    command = Beside(made, made.path.parent, "test", "button", "Z01", "--who", "王芳", "--json")
    press(made, 1, FIRST)
    assert command.ends() == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["passed"], result["zone_id"], result["kind"], result["why"]) == (True, "Z01", "button", None)
    path = result["path"]
    assert path["board_ms"] == 35.0
    assert path["published_ms"] >= 35.0
    assert {name: leg["receipted_ms"] >= 35.0 for name, leg in path["platforms"].items()} == {
        "police": True, "cloud": True,
    }  # fmt: skip
    assert path["platforms"]["police"]["case_no"].startswith("case-")
    assert [body["data"]["drill"] for body in made.police.alerts("panic", "triggered")] == [True]
    assert made.incidents() == []
    assert made.desk.drills.values() is None
    status, out, _ = typed("test", "list", "--lang", "en")
    assert (status, "passed" in out, "Z01" in out) == (0, True, True)


def test_a_press_that_a_platform_does_not_receipt_has_failed(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    made = typed.made
    made.cloud.receipts = False
    command = Beside(made, made.path.parent, "test", "button", "--who", "王芳", "--lang", "en")
    press(made, 1, SECOND)
    made.clock.move(RECEIPT_WITHIN_S + 1)
    assert command.ends() == 1
    out = capsys.readouterr().out
    assert "receipt of cloud: none" in out
    assert "failed: a platform sent no receipt" in out
    assert "receipt of police: " in out


def test_nothing_pressed_in_time(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    made = typed.made
    assert typed("test", "button", "Z04", "--who", "王芳")[0] == 4, "a window is no button"
    command = Beside(made, made.path.parent, "test", "button", "Z02", "--who", "王芳", "--wait", "30")
    press(made, 1, 3)
    made.clock.move(31)
    assert command.ends() == 1
    assert "没有通过：没有等到按下" in capsys.readouterr().out
    made.turn()
    assert made.desk.drills.values() is None
    rows = [json.loads(line) for line in typed("test", "list", "--json")[1].splitlines()]
    assert [(each["zone_id"], each["passed"], each["why"]) for each in rows] == [("Z02", False, "not_pressed")]


def test_the_button_is_let_go_before_its_test_is_over(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    made = typed.made
    command = Beside(made, made.path.parent, "test", "button", "Z01", "--who", "王芳", "--lang", "en")
    made.change(1, ALARM, FIRST)
    made.turn()
    made.turn(1)
    assert made.desk.drills.values() is not None
    assert [each.drill for each in made.incidents()] == [True]
    made.change(2, NORMAL, FIRST)
    assert command.ends() == 0
    assert [body["data"]["drill"] for body in made.police.alerts("panic", "triggered")] == [True]
    assert "passed" in capsys.readouterr().out


def test_a_walk_ends_when_every_zone_was_activated(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    made = typed.made
    command = Beside(made, made.path.parent, "test", "walk", "--who", "王芳", "--json")
    for number, input_no in enumerate((FIRST, SECOND, 3, GAS)):
        press(made, number * 2 + 1, input_no)
    assert command.ends() == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(each["zone_id"] for each in lines[:-1]) == ["Z01", "Z02", "Z04", "Z05"]
    assert lines[-1]["missing"] == []
    assert made.incidents() == []
    assert {body["data"]["drill"] for body in made.police.alerts("alarm", "triggered")} == {True}
    made.turn()
    rows = [json.loads(line) for line in typed("test", "list", "--json")[1].splitlines()]
    assert [(each["zone_id"], each["kind"], each["passed"]) for each in rows] == [
        ("Z01", "walk", True), ("Z02", "walk", True),
    ]  # fmt: skip


def test_a_walk_waits_until_nothing_is_in_alarm(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    made, said = typed.made, io.StringIO()
    command = Beside(made, made.path.parent, "test", "walk", "--who", "王芳", "--lang", "en")
    for number, input_no in enumerate((FIRST, SECOND, 3)):
        press(made, number * 2 + 1, input_no)
    made.change(10, ALARM, GAS)

    def waits() -> bool:
        said.write(capsys.readouterr().out)
        return "still in alarm: restore it first, or it is real: Z05" in said.getvalue()

    until(waits, 10, "it says what is to be restored")
    assert made.desk.drills.values() is not None
    made.change(11, NORMAL, GAS)
    assert command.ends() == 0
    assert {body["data"]["drill"] for body in made.police.alerts("environment", "triggered")} == {True}
    assert made.incidents() == []


def test_a_walk_that_something_real_ended_says_what_is_missing(
    typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    made = typed.made
    command = Beside(made, made.path.parent, "test", "walk", "--who", "王芳", "--lang", "en")
    press(made, 1, FIRST)
    made.change(3, ALARM, 2)
    assert command.ends() == 1
    out = capsys.readouterr().out
    assert "the walk test was ended" in out
    assert "not activated: " in out


def test_the_register_as_a_table_that_no_spreadsheet_runs(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    made = typed.made
    command = Beside(made, made.path.parent, "test", "button", "Z01", "--who", "=HYPERLINK(1)")
    press(made, 1, FIRST)
    assert command.ends() == 0
    capsys.readouterr()
    status, out, _ = typed("test", "list", "--csv", "--lang", "en", "--from", "2000-01-01")
    rows = list(csv.reader(io.StringIO(out.removeprefix("\ufeff"))))
    assert (status, len(rows)) == (0, 2)
    assert rows[0][:6] == ["time", "zone", "name", "kind", "who", "result"]
    assert rows[1][1:4] == ["Z01", "托大一班一键报警", "test of a button"]
    assert rows[1][4].startswith("'=HYPERLINK(1)")
    assert rows[1][7] == "35.0"


def test_a_real_press_beside_a_drill_is_no_test(typed: Typed) -> None:
    made = typed.made
    typed("drill", "Z01", "--who", "王芳")
    made.clock.move(1)
    press(made, 1, SECOND)
    made.turn()
    assert typed("test", "list", "--lang", "en")[1] == "no tests\n"


def due(made: Office) -> list[Any]:
    return [each.subject for each in made.desk.watch.active() if each.kind == "test_due"]


def test_a_test_is_due_each_week_and_only_one_that_went_through_counts(typed: Typed) -> None:
    made = typed.made
    made.turn(FIRST_LOOK_S - 60)
    assert due(made) == [], "what is urgent is told first"
    made.turn(120)
    assert due(made) == ["zone/Z01", "zone/Z02"]
    assert [body["priority"] for body in made.police.alerts("test_due", "triggered")] == [3, 3]
    assert "报警按钮该测试了" in typed("status")[1]
    press(made, 1, FIRST)
    made.turn()
    assert due(made) == ["zone/Z01", "zone/Z02"], "a press in need is no test"
    (incident,) = [each for each in made.incidents() if each.latched]
    made.person(Happening.ACKNOWLEDGE, incident.id)
    command = Beside(made, made.path.parent, "test", "button", "Z02", "--who", "王芳")
    press(made, 5, SECOND)
    assert command.ends() == 0
    made.turn()
    assert due(made) == ["zone/Z01"]
    made.turn(7 * 86400)
    assert sorted(due(made)) == ["zone/Z01", "zone/Z02"]


def test_the_whole_register_is_listed_however_long_it_is(typed: Typed) -> None:
    made = typed.made
    for number in range(250):
        test = register.Tested(f"t{number}", number * 10**9, "Z01", "按钮", "button", "王芳", passed=True)
        made.store.submit(partial(register.put_test, test=test))
    made.store.submit(
        partial(register.put_test, test=register.Tested("t7", 1, "Z02", "按钮", "button", "王芳", passed=True))
    )
    made.settle()
    rows = [json.loads(line) for line in typed("test", "list", "--json")[1].splitlines()]
    assert [each["at_ns"] // 10**9 for each in rows] == list(range(250))
    assert {each["zone_id"] for each in rows} == {"Z01"}, "a test is entered once"
