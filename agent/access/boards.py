"""`yunjian boards`: what is plugged in behind USB, whose it is, and which board answers there.

A port of the running agent is not touched: the agent says who is there. Another one is opened and asked, if the maker
of its USB chip makes boards; that resets most boards.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agent.access.board_words import trouble_words
from agent.access.console import FAINT, YELLOW, Screen
from agent.access.watching import OK
from agent.wire import WireError, call
from firmware_bridge.ports import PluggedIn, UsbPort, Wanted
from firmware_bridge.serial_port import SerialBoard

ANSWER_S: Final = 6.0
"""A boot loader takes two seconds, and the next RESET after it comes within one."""

SOMETHING_WRONG: Final = 1


_NOBODY: Final[dict[str, Any]] = {"bridge": None, "up": None, "uid": None, "firmware": None, "troubles": []}


def boards(screen: Screen, runtime: Path, ask: bool, as_json: bool, plugged_in: PluggedIn | None = None) -> int:
    """List them. 0; 1 when something is wrong with a board. Raises wire.Refused."""
    ports = (plugged_in or PluggedIn()).ports()
    of_bridges = {_real(str(each["port"]).partition("#")[0]): each for each in _bridges(runtime)}
    free = [each.path for each in ports if _real(each.path) not in of_bridges and Wanted().fits(each)]
    answers = _answers(free if ask else [])
    found = []
    for port in ports:
        bridge = of_bridges.pop(_real(port.path), None)
        who = answers.get(port.path, _NOBODY) if bridge is None else _of_bridge(bridge)
        found.append({**_of_port(port), **who})
    # Bridges whose port is no USB device, or is not there.
    found += [{**_NO_USB, "port": each["port"], **_of_bridge(each)} for each in of_bridges.values()]
    if as_json:
        screen.json({"boards": found})
    else:
        _show(screen, found)
    return SOMETHING_WRONG if any(each["troubles"] for each in found) else OK


def _real(path: Path | str) -> str:
    return os.path.realpath(path)


def _bridges(runtime: Path) -> list[dict[str, Any]]:
    """The bridges of the running agent; none while it does not run."""
    try:
        told = call(runtime / "alarm.sock", "status", timeout_s=5.0).get("bridges")
    except WireError:
        return []
    return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []


_NO_USB: Final[dict[str, Any]] = {"usb": None, "serial": None, "product": None, "by_id": None}


def _of_port(port: UsbPort) -> dict[str, Any]:
    return {
        "port": str(port.path),
        "usb": port.usb_id,
        "serial": port.serial or None,
        "product": port.product or None,
        "by_id": str(port.by_id) if port.by_id else None,
    }


def _of_bridge(bridge: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: bridge.get(key) for key in ("up", "uid", "firmware")}
    return {"bridge": bridge.get("id"), **told, "troubles": list(bridge.get("troubles") or [])}


def _answers(ports: list[Path]) -> dict[Path, dict[str, Any]]:
    """Who answers on these ports, which are opened all at once."""
    asked = {path: SerialBoard(path, lambda _report: None, bridge=str(path)) for path in ports}
    for board in asked.values():
        board.start()
    end_s = time.monotonic() + ANSWER_S
    try:
        while time.monotonic() < end_s and not all(board.status().up for board in asked.values()):
            time.sleep(0.05)
        statuses = {path: board.status() for path, board in asked.items()}
    finally:
        for board in asked.values():
            board.stop()
    return {
        path: {
            "bridge": None,
            "up": status.up,
            "uid": status.uid if status.up else None,
            "firmware": status.firmware if status.up else None,
            "troubles": [str(each) for each in status.troubles] if status.up else [],
        }
        for path, status in statuses.items()
    }


def _show(screen: Screen, found: list[dict[str, Any]]) -> None:
    if not found:
        screen.line(screen.t("没有插着 USB 串口设备", "no USB serial device is plugged in"))
        return
    heads = screen.t("串口|报警板|编号 uid|固件|状态|USB|序列号", "port|bridge|uid|firmware|state|USB|serial number")
    rows = [heads.split("|")]
    colours = [FAINT]
    for each in found:
        state = {
            True: screen.t("正常", "up"),
            False: screen.t("没有应答", "no answer"),
            None: screen.t("未询问", "not asked"),
        }[each["up"]]
        cells = (each["port"], each["bridge"], each["uid"], each["firmware"], state, each["usb"], each["serial"])
        rows.append(["-" if cell is None else str(cell) for cell in cells])
        colours.append(YELLOW if each["troubles"] or each["up"] is False else "")
    screen.table(rows, colours=colours)
    for each in found:
        for code in each["troubles"]:
            words = trouble_words(code)
            screen.line(f"{each['port']}: {screen.say(words) if words else code}", YELLOW)
