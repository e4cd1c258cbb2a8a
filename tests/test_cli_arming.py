"""`yunjian arm`, `disarm`, `bypass` and `unbypass`: at a desk at work, as a person types them."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli import main
from agent.delivery import rows
from agent.processes.alarm_verbs import alarm_verbs
from agent.wire import Server
from tests.fakes.office import Office, office
from tests.test_acts import SITE, closed


class Typed:
    """The commands, and the desk behind them."""

    def __init__(self, made: Office, runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.made = made
        self._runtime = runtime
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        status = main([*arguments, "--runtime", str(self._runtime)])
        ran = self._capsys.readouterr()
        return status, ran.out, ran.err


@pytest.fixture
def typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Typed]:
    with office(tmp_path / "alarm.db", site=SITE) as made:
        closed(made)
        server = Server(tmp_path / "alarm.sock", alarm_verbs(made.desk, made.store, {}, {}, {}, made.clock))
        server.start()
        yield Typed(made, tmp_path, capsys)
        server.stop()


def test_armed_shown_and_disarmed(typed: Typed) -> None:
    assert typed("arm", "--who", "王芳") == (0, "A1  全园  布防中，请离开（45 秒）\n", "")
    status, out, errors = typed("arm", "A1", "--who", "李娜", "--lang", "en")
    assert (status, out, errors) == (4, "", "yunjian: it is armed already\n")
    _, out, _ = typed("status", "--lang", "en")
    assert "arming, leave now (45 s)" in out
    status, out, _ = typed("disarm", "--who", "王芳", "--json")
    answer = json.loads(out)
    assert (status, answer["phase"]) == (0, "disarmed")
    login = f"/{os.environ.get('SUDO_UID', os.getuid())})"
    assert answer["who"].startswith("王芳 (")
    assert answer["who"].endswith(login)


def test_bypassed_and_taken_back(typed: Typed) -> None:
    assert typed("bypass", "Z03", "--who", "王芳", "--why", "窗坏了") == (0, "A1  全园  未布防  旁路 Z03\n", "")
    assert typed("unbypass", "Z03", "--lang", "en") == (0, "A1  全园  disarmed\n", "")
    status, _, errors = typed("bypass", "Z01", "--who", "王芳", "--why", "吵")
    assert (status, errors) == (4, "yunjian: 24 小时防区不能旁路\n")
    status, _, errors = typed("bypass", "Z77", "--who", "王芳", "--why", "吵")
    assert (status, errors) == (4, "yunjian: 没有防区 Z77；编号见 yunjian status\n")
    with typed.made.store.reading() as db:
        assert [row.deed.action for row in rows.read_audit(db)] == ["zone.bypass", "zone.unbypass"]


def test_nothing_gives_away_who_is_forced_to_it(typed: Typed) -> None:
    typed("arm", "--who", "王芳")
    plain = typed("disarm", "--who", "王芳")
    typed("arm", "--who", "王芳")
    assert typed("disarm", "--who", "王芳", "--duress") == plain
    assert len(typed.made.police.alerts("duress")) == 1
    seen = io.StringIO()
    for command in ("status", "status --json", "events", "events --json", "incidents --all", "incidents --json"):
        for language in ("zh", "en"):
            seen.write("".join(map(str, typed(*command.split(), "--lang", language))))
    assert "duress" not in seen.getvalue()
    assert "胁迫" not in seen.getvalue()


@pytest.mark.parametrize(
    "arguments", [["arm"], ["disarm"], ["bypass", "Z03", "--who", "王芳"], ["bypass", "--who", "x", "--why", "y"]]
)
def test_who_and_why_are_asked_for(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "缺少" in capsys.readouterr().err
