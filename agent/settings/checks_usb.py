"""Rules about boards that are found by USB: that each bridge can get one board alone, and what is plugged in now."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent.facts import Text
from agent.settings.mistakes import Place
from agent.settings.sections import Section, items
from firmware_bridge.ports import PluggedIn, Wanted

Found = tuple[Place, Text]

_USB_ID: Final = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}")


def wrong_searches(values: Section) -> Iterator[Found]:
    """A search that contradicts itself, or that could find the board of another bridge."""
    searches = []
    uids: dict[str, int] = {}
    for number, bridge in items(values, "bridges"):
        port, usb, uid = bridge.get("port"), bridge.get("usb"), bridge.get("uid")
        if bridge.get("kind", "tyb") != "tyb":
            if port == "auto":
                text = Text("总线要写明串口，不能写 auto", "a bus is on a port that is named, not on auto")
                yield ("bridges", number, "port"), text
            continue
        if isinstance(usb, str) and isinstance(port, str) and port != "auto":
            text = Text("port 已写明串口，usb 用不上", "port names a port already: there is nothing to look for")
            yield ("bridges", number, "usb"), text
        elif isinstance(usb, str) or port == "auto":
            searches.append((number, usb if isinstance(usb, str) else None, uid))
        if isinstance(uid, str):
            if set(uid.lower()) in ({"0"}, {"f"}):
                text = Text("这是没有编号的板，请重新烧录", "this is a board without a uid: flash it")
                yield ("bridges", number, "uid"), text
            elif uids.setdefault(uid.lower(), number) != number:
                first = uids[uid.lower()]
                text = Text(f"与 bridges[{first}] 的 uid 相同", f"is the uid of bridges[{first}] too")
                yield ("bridges", number, "uid"), text
    for number, usb, uid in searches:
        rivals = [other for other, its, _ in searches if other != number and not _apart(usb, its)]
        if uid is None and rivals:
            zh = f"bridges[{rivals[0]}] 也按 USB 查找：请写 uid 以免认错板，见 yunjian boards"
            en = f"bridges[{rivals[0]}] is looked for by USB, too: say which board this is, see yunjian boards"
            yield ("bridges", number, "uid"), Text(zh, en)


def _apart(one: str | None, other: str | None) -> bool:
    """Two searches that can never find the same device: two serial numbers, or two products."""
    if one is None or other is None or one.lower() == other.lower():
        return False
    return (_USB_ID.fullmatch(one) is None) == (_USB_ID.fullmatch(other) is None)


def not_plugged_in(values: Section, plugged_in: PluggedIn | None = None) -> Iterator[Found]:
    """Searches that would find nothing now."""
    ports = (plugged_in or PluggedIn()).ports()
    for number, bridge in items(values, "bridges"):
        usb = bridge.get("usb")
        if bridge.get("kind", "tyb") != "tyb" or not (isinstance(usb, str) or bridge.get("port") == "auto"):
            continue
        if not any(Wanted(usb if isinstance(usb, str) else None).fits(each) for each in ports):
            key = "usb" if isinstance(usb, str) else "port"
            text = Text("此刻没有插着这样的 USB 设备", "no such USB device is plugged in at the moment")
            yield ("bridges", number, key), text


def port_path(value: object, folder: Path) -> Path | None:
    """The port that is named here; None where none is."""
    return folder / value if isinstance(value, str) and value != "auto" else None
