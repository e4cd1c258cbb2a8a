"""The real alarm process, a broker and a consumer that keys on id: no press is taken for another's, and the board whose
numbers cannot be trusted is told as a fault."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.demo.board import SimulatedBoard
from firmware_bridge import eeprom
from firmware_bridge.configuration import Wired, configs
from firmware_bridge.messages import InputKind, InputMode
from tests.fakes.broker import LoopbackBroker
from tests.fakes.panel import Panel
from tests.fakes.waiting import until

pytestmark = pytest.mark.needs_debian("mosquitto")


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[Panel]:
    with LoopbackBroker(tmp_path / "broker") as broker, Panel(tmp_path / "panel", {"police": broker}) as panel:
        yield panel


def _pressed(panel: Panel, presses: int) -> None:
    """Press and wait for the consumer to hold so many panic alerts, and for the store to hold them, too."""
    panel.board.press(hold_s=0.2)
    until(lambda: len(panel.taken("police", "panic", "triggered")) >= presses, 15, f"press {presses}")
    until(lambda: len(panel.made(state="normal")) >= presses, 5, "let go")
    until(lambda: panel.board.status()["uncommitted"] == 0, 10, "committed")


def _another_board(panel: Panel, image: bytes) -> None:
    """The board is taken off, and a second later one with this EEPROM is in its place: no hand is faster."""
    panel.board.stop()
    again_s = time.monotonic() + 1.0
    until(lambda: time.monotonic() > again_s, 5, "hands")
    file = panel.folder / "run" / "board0.eeprom"
    file.write_bytes(image)
    panel.board = SimulatedBoard(panel.folder / "run" / "board0", panel.folder / "presses.jsonl")
    panel.board.start()


@pytest.mark.parametrize("while_the_host_is_dead", [False, True], ids=["at once", "while the host is dead"])
def test_a_press_after_the_eeprom_was_erased_reaches_the_consumer(panel: Panel, while_the_host_is_dead: bool) -> None:
    panel.start()
    uid = panel.status()["bridges"][0]["uid"]
    _pressed(panel, 1)
    if while_the_host_is_dead:
        panel.end(signal.SIGKILL)
    _another_board(panel, eeprom.blank(bytes.fromhex(uid)))
    if while_the_host_is_dead:
        panel.start()
    until(lambda: panel.status()["bridges"][0]["troubles"] == ["boot_went_back"], 15, "its counter is seen")
    _pressed(panel, 2)
    _pressed(panel, 3)
    until(lambda: panel.taken("police", "board_not_unique", "triggered"), 15, "the fault")
    assert len({alert["id"] for alert in panel.taken("police", "panic", "triggered")}) == 3
    assert len(panel.made()) == 3
    _another_board(panel, eeprom.blank(bytes.fromhex("00112233445566ee")))
    until(lambda: panel.taken("police", "board_not_unique", "restored"), 15, "a board with a uid of its own")
    _pressed(panel, 4)
    assert len(panel.taken("police", "panic", "triggered")) == 4


def test_every_press_of_boards_without_a_uid_reaches_the_consumer(panel: Panel) -> None:
    _another_board(panel, eeprom.blank(b"\xff" * 8))
    panel.start()
    _pressed(panel, 1)
    _another_board(panel, eeprom.blank(b"\xff" * 8))
    until(panel.ready, 15, "the next one")
    _pressed(panel, 2)
    panel.end(signal.SIGKILL)
    _another_board(panel, eeprom.blank(b"\xff" * 8))
    panel.start()
    _pressed(panel, 3)
    assert len({alert["id"] for alert in panel.taken("police", "panic", "triggered")}) == 3
    assert panel.status()["bridges"][0]["troubles"] == ["uid_none"]


def test_a_board_gets_its_inputs_from_the_settings_and_a_wrong_zone_is_a_fault(panel: Panel) -> None:
    file = panel.settings_file
    settings = file.read_text(encoding="utf-8")
    bare = settings.replace("bridge: B1, input: 1}", "bridge: B1, input: 1, line: opens_on_alarm}")
    file.write_text(bare.replace("input: 0, room", "input: 6, room"), encoding="utf-8")
    panel.start(wait=False)
    until(lambda: panel.taken("police", "board_misconfigured", "triggered"), 20, "a zone on an input that is not there")
    panel.end()
    file.write_text(bare, encoding="utf-8")
    panel.start(wait=False)
    until(panel.ready, 20, "the panel is ready")
    until(lambda: panel.status()["bridges"][0]["troubles"] == [], 10, "the board has its inputs as set")
    panel.end()
    panel.board.stop()
    image = (panel.folder / "run" / "board0.eeprom").read_bytes()
    wanted = configs(2, {0: Wired(InputKind.PANIC), 1: Wired(InputKind.CONTACT, InputMode.OPENS_ON_ALARM)})
    assert [eeprom.config_of(image, number) for number in range(2)] == list(wanted)
    panel.board = SimulatedBoard(panel.folder / "run" / "board0", panel.folder / "presses.jsonl")
    panel.board.start()
