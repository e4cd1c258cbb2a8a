"""An armed area through kill -9 of the alarm process: as armed as before, and a forced door is told."""

import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.wire import Refused, WireError
from tests.fakes.broker import LoopbackBroker
from tests.fakes.panel import Panel
from tests.fakes.waiting import until

pytestmark = pytest.mark.needs_debian("mosquitto")

_AREA = "areas: [{id: A1, name: 全园, exit_delay_s: 0, entry_delay_s: 60}]\n"


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[Panel]:
    with LoopbackBroker(tmp_path / "broker") as broker, Panel(tmp_path / "panel", {"police": broker}) as panel:
        text = panel.settings_file.read_text(encoding="utf-8")
        text = text.replace("zones:\n", f"{_AREA}zones:\n").replace("input: 1}", "input: 1, area: A1}")
        panel.settings_file.write_text(text, encoding="utf-8")
        yield panel


def _phase(panel: Panel) -> str:
    return str(panel.status()["areas"][0]["phase"])


def test_armed_killed_and_still_armed(panel: Panel) -> None:
    panel.start()
    found = panel.ask("arm", who="王芳")
    assert (found["phase"], found["who"]) == ("armed", "王芳")
    panel.end(signal.SIGKILL)
    panel.start()
    assert _phase(panel) == "armed"
    panel.board.door(True)
    until(lambda: panel.taken("police", "door_forced", "triggered"), 10, "the forced door is told")
    (forced,) = panel.taken("police", "door_forced", "triggered")
    assert forced["body"]["data"]["armed"] is True
    panel.end(signal.SIGKILL)
    panel.start()
    assert _phase(panel) == "armed"
    (incident,) = panel.ask("incidents", open_only=True)["incidents"]
    assert (incident["kind"], incident["latched"]) == ("door_forced", True)
    panel.board.door(False)
    until(lambda: panel.taken("police", "door_forced", "restored"), 10, "and that it was closed")
    assert panel.ask("disarm", who="王芳")["phase"] == "disarmed"
    panel.end(signal.SIGKILL)
    panel.start()
    assert _phase(panel) == "disarmed"


def test_what_was_opened_while_the_process_was_dead_is_told(panel: Panel) -> None:
    panel.start()
    panel.ask("arm", who="王芳")
    panel.end(signal.SIGKILL)
    panel.board.door(True)
    panel.start(wait=False)
    until(lambda: panel.taken("police", "door_forced", "triggered"), 20, "the forced door is told")


def test_killed_at_random_moments_it_is_never_other_than_it_answered(panel: Panel) -> None:
    moments = random.Random(5)
    panel.start()
    phase = "disarmed"
    for _ in range(10):
        verb, wanted = ("arm", "armed") if phase == "disarmed" else ("disarm", "disarmed")
        answers: list[str] = []

        def ask(verb: str = verb, answers: list[str] = answers) -> None:
            with suppress(WireError):
                answers.append(str(panel.ask(verb, who="王芳")["phase"]))

        person = threading.Thread(target=ask, name="person")
        person.start()
        time.sleep(moments.random() * 0.02)
        panel.end(signal.SIGKILL)
        person.join(20)
        panel.start()
        now = _phase(panel)
        assert now in ([wanted] if answers else [phase, wanted]), f"{verb} answered {answers}"
        phase = now


def test_no_verb_takes_the_button_out(panel: Panel) -> None:
    panel.start()
    for verb, args in (
        ("bypass", {"zone_id": "Z01", "who": "王芳", "why": "坏了"}),
        ("unbypass", {"zone_id": "Z01", "who": "王芳"}),
        ("arm", {"who": "王芳", "bypass": ["Z01"]}),
        ("disarm", {"who": "王芳", "area_id": "Z01"}),
    ):
        with pytest.raises(Refused):
            panel.ask(verb, **args)
    panel.ask("disarm", who="王芳")
    panel.board.press(hold_s=0.1)
    until(lambda: panel.taken("police", "panic", "triggered"), 5, "the press is told")
    assert [zone["armed"] for zone in panel.status()["zones"]] == [True, False]
