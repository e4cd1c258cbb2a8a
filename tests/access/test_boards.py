"""`yunjian boards`: what is plugged in, what the running agent says of its own, and who answers on free ports."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.access.board_words import trouble_words
from agent.access.boards import boards
from agent.access.console import Screen
from agent.demo.board import SimulatedBoard
from agent.wire import Reply, Request, Server
from firmware_bridge import eeprom
from firmware_bridge.reports import Trouble
from tests.fakes.usb_tree import UsbTree


@pytest.fixture
def tree(tmp_path: Path) -> UsbTree:
    return UsbTree(tmp_path / "kernel")


@pytest.fixture
def nameless(tmp_path: Path) -> Iterator[SimulatedBoard]:
    (tmp_path / "board0.eeprom").write_bytes(eeprom.blank(b"\xff" * 8))
    board = SimulatedBoard(tmp_path / "board0", tmp_path / "presses.jsonl")
    board.start()
    yield board
    board.stop()


def _shown(runtime: Path, tree: UsbTree, language: str = "en") -> tuple[int, str]:
    out = io.StringIO()
    return boards(Screen(language, out), runtime, True, False, tree.plugged_in), out.getvalue()


def _told(runtime: Path, tree: UsbTree, *, ask: bool = True) -> list[dict[str, Any]]:
    out = io.StringIO()
    boards(Screen("en", out), runtime, ask, True, tree.plugged_in)
    listed: list[dict[str, Any]] = json.loads(out.getvalue())["boards"]
    return listed


def test_nothing_plugged_in(tmp_path: Path, tree: UsbTree) -> None:
    assert _shown(tmp_path, tree) == (0, "no USB serial device is plugged in\n")
    assert _shown(tmp_path, tree, "zh") == (0, "没有插着 USB 串口设备\n")


@pytest.mark.usefixtures("nameless")
def test_a_free_port_is_asked_and_a_board_without_a_uid_is_wrong(tmp_path: Path, tree: UsbTree) -> None:
    tree.plug("ttyACM0", tmp_path / "board0", "AAA")
    tree.plug("ttyUSB7", tmp_path / "modem", usb_id="12d1:1506")
    (tmp_path / "modem").touch()
    status, out = _shown(tmp_path, tree)
    assert status == 1
    assert "ffffffffffffffff" in out
    assert "ttyACM0: no uid of its own: make flash" in out
    board, modem = _told(tmp_path, tree)
    assert (board["serial"], board["usb"], board["up"], board["firmware"]) == ("AAA", "2341:0043", True, "0.1.0")
    assert (modem["up"], modem["uid"]) == (None, None), "it is not asked whether it is a board"
    assert [each["up"] for each in _told(tmp_path, tree, ask=False)] == [None, None]


def test_what_the_running_agent_has_is_not_touched(tmp_path: Path, tree: UsbTree) -> None:
    (tmp_path / "port").touch()
    tree.plug("ttyACM0", tmp_path / "port", "AAA")
    bridges = [
        {"id": "B1", "port": str(tree.dev / "serial" / "by-id" / "usb-Maker_Board_AAA-if00"), "up": True,
         "uid": "0123456789abcdef", "firmware": "0.1.0", "troubles": ["uid_twice"]},
        {"id": "M1", "port": "/dev/ttyS4#1", "up": False, "uid": "m", "firmware": None},
    ]  # fmt: skip

    def status(_request: Request, reply: Reply) -> None:
        reply.done({"bridges": bridges})

    server = Server(tmp_path / "alarm.sock", {"status": status})
    server.start()
    try:
        first, second = _told(tmp_path, tree)
        assert (first["bridge"], first["uid"], first["troubles"]) == ("B1", "0123456789abcdef", ["uid_twice"])
        assert (second["bridge"], second["port"], second["usb"]) == ("M1", "/dev/ttyS4#1", None)
        assert _shown(tmp_path, tree, "zh")[0] == 1
    finally:
        server.stop()


def test_every_trouble_has_words_in_both_languages() -> None:
    for trouble in Trouble:
        words = trouble_words(str(trouble))
        assert words is not None
        assert words.zh
        assert words.en
    assert trouble_words("silent") is None
    assert trouble_words(None) is None
