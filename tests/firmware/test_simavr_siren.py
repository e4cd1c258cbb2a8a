"""From the pin of a button to the pin of the siren: the firmware in simavr, the alarm process and a real broker."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.wire import Refused
from firmware_bridge.messages import ResetCause
from tests.fakes.broker import LoopbackBroker
from tests.fakes.panel import PANIC, Panel
from tests.fakes.simavr import NEEDS_SIMAVR, Built, SimavrBoard
from tests.fakes.waiting import until

pytestmark = [NEEDS_SIMAVR, pytest.mark.needs_debian("mosquitto")]

OUTPUTS = """\
outputs:
  - {id: S1, name: 走廊警号, kind: siren, bridge: B1, output: siren}
  - {id: L1, name: 走廊警灯, kind: strobe, bridge: B1, output: strobe}
platforms:
"""


class Siren:
    """A panel with a siren and a strobe on its board."""

    def __init__(self, panel: Panel, board: SimavrBoard, log: Path) -> None:
        self.panel = panel
        self.board = board
        self._log = log

    def shows(self) -> tuple[bool, bool]:
        """What the pins of siren and strobe are."""
        found = self.board.status()
        return found["siren"], found["strobe"]

    def becomes(self, siren: bool, strobe: bool, what: str) -> None:
        until(lambda: self.shows() == (siren, strobe), 10, what)

    def changes(self) -> list[Any]:
        """Every change of the pins, as the chip's own log has it."""
        lines = [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line["what"] == "outputs"]

    def incident(self) -> dict[str, Any]:
        (found,) = [each for each in self.panel.ask("incidents")["incidents"] if each["latched"]]
        return found  # type: ignore[no-any-return]


@pytest.fixture
def siren(tmp_path: Path, parts: Built) -> Iterator[Siren]:
    with LoopbackBroker(tmp_path / "broker") as broker:
        panel = Panel(tmp_path / "panel", {"police": broker})
        text = panel.settings_file.read_text(encoding="utf-8")
        panel.settings_file.write_text(text.replace("platforms:\n", OUTPUTS), encoding="utf-8")
        log = panel.folder / "presses.jsonl"
        board = panel.board = SimavrBoard(panel.folder / "run" / "board0", log, parts)
        with panel:
            panel.start()
            yield Siren(panel, board, log)


def test_a_press_sounds_an_acknowledgement_silences_and_a_reset_darkens(siren: Siren) -> None:
    panel, board = siren.panel, siren.board
    assert siren.shows() == (False, False)
    board.set(PANIC, "alarm")
    siren.becomes(True, True, "siren and strobe")
    until(lambda: panel.taken("police", "panic", "triggered"), 10, "the platform has it")
    incident = siren.incident()
    panel.ask("acknowledge", incident_id=incident["id"], who="王芳")
    siren.becomes(False, True, "silent, and lit")
    with pytest.raises(Refused):
        panel.ask("reset", incident_id=incident["id"], who="王芳", why="误报")
    board.set(PANIC, "normal")
    until(lambda: siren.incident()["restored_ns"], 10, "the button is out")
    assert siren.shows() == (False, True), "it latches"
    panel.ask("reset", incident_id=incident["id"], who="王芳", why="误报")
    siren.becomes(False, False, "all is dark")
    until(lambda: panel.taken("police", "panic", "reset"), 10, "the platform has that, too")
    assert [each["on"] for each in panel.status()["outputs"]] == [False, False]
    assert panel.end() == 0


def test_a_siren_sounds_on_through_a_killed_process_and_again_after_a_reset_of_the_board(siren: Siren) -> None:
    panel, board = siren.panel, siren.board
    board.press(PANIC)
    siren.becomes(True, True, "siren and strobe")
    until(lambda: panel.status()["incidents_open"] == 1 and not panel.status()["store"]["waiting"], 10, "stored")
    changes = siren.changes()
    panel.end(signal.SIGKILL)
    assert siren.shows() == (True, True)
    panel.start()
    until(lambda: all(each["on"] for each in panel.status()["outputs"]), 10, "the new process wants it, too")
    assert siren.changes() == changes, "it was silent for a moment"
    board.restart(ResetCause.WATCHDOG)
    until(lambda: len(siren.changes()) > len(changes), 10, "the reset switched it off")
    siren.becomes(True, True, "on again once the board is heard")
    assert panel.end() == 0


def test_the_board_ends_a_test_by_itself(siren: Siren) -> None:
    begun = siren.panel.ask("test_output", output_id="S1", seconds=2, who="王芳")
    assert begun["tested_s"] > 0
    siren.becomes(True, False, "the siren is tested")
    siren.panel.end(signal.SIGKILL)
    siren.becomes(False, False, "it ends without the process that asked for it")
