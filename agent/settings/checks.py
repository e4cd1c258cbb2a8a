"""Rules that span several keys, and what only the machine can answer: is there such a zone, such a file.

They look at the plain values of the file, so that they speak even while another key is wrong, and say nothing
about a value that `models.py` refuses already. A mistake stops the start; a warning is told and lived with.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

from agent.facts import Text
from agent.footage.chain import available
from agent.settings.checks_areas import Found, told_areas, wrong_areas
from agent.settings.checks_bridges import wrong_bridges
from agent.settings.checks_outputs import wrong_outputs
from agent.settings.checks_usb import not_plugged_in, port_path
from agent.settings.mistakes import Place
from agent.settings.secrets import look_at_file, look_at_secret
from agent.settings.sections import Section as _Section
from agent.settings.sections import items as _items
from agent.settings.sections import section as _section
from agent.settings.wording import show

LONGEST_SOCKET_PATH: Final = 107
"""sun_path of unix(7) holds 108 bytes, the last of which is zero."""

_LONGEST_SOCKET_NAME: Final = "record.sock"
_LISTS: Final = ("rooms", "cameras", "bridges", "areas", "zones", "outputs", "platforms")
_THINGS: Final = {
    "rooms": Text("房间", "room"),
    "cameras": Text("摄像机", "camera"),
    "bridges": Text("报警板", "bridge"),
    "areas": Text("布防区域", "area"),
    "zones": Text("防区", "zone"),
    "outputs": Text("输出", "output"),
    "platforms": Text("平台", "platform"),
}
_REFERENCES: Final = (
    ("cameras", "room", "rooms"),
    ("zones", "room", "rooms"),
    ("zones", "bridge", "bridges"),
    ("zones", "area", "areas"),
    ("zones", "cameras", "cameras"),
    ("areas", "rooms", "rooms"),
    ("outputs", "bridge", "bridges"),
)
_HOST_AND_PORT: Final = re.compile(r"^[a-z]+://(\[[^\]]*\]|[^/:@?#\[]*)(?::(\d+))?(?:[/?#]|$)")


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found. `missing` are files that settings name and that are not there or not as they must be: for the
    console a mistake, for a running box no reason to silence the buttons; the device concerned reports its fault."""

    mistakes: list[Found]
    missing: list[Found]
    warnings: list[Found]


def check(values: _Section, folder: Path) -> Checked:
    """Check `values` across keys and against this machine; relative paths in it start at `folder`."""
    mistakes = [
        *_twice(values),
        *_unknown_names(values),
        *_ports(values),
        *_days(values),
        *_hash(values),
        *_time_zone(values),
        *_runtime(values, folder),
        *_homes(values),
        *_pairs(values),
        *_volume_twice(values),
        *_sub_without_address(values),
        *_web(values),
        *wrong_areas(values),
        *wrong_bridges(values),
        *wrong_outputs(values),
    ]
    warnings = [
        *_nothing_watches(values),
        *_half_done(values),
        *_in_the_open(values),
        *_overwritten(values),
        *told_areas(values),
        *_no_battery(values),
        *_not_there(values, folder),
        *not_plugged_in(values),
    ]
    return Checked(mistakes, list(_files(values, folder)), warnings)


def _first_places(values: _Section, key: str, *parts: str) -> Iterator[tuple[int, Any, int]]:
    """(number, value, number of the first item that had the same value) for each repeat."""
    seen: dict[Any, int] = {}
    for number, item in _items(values, key):
        value = tuple(item.get(part) for part in parts)
        if any(not isinstance(each, str | int) for each in value):
            continue
        if value in seen:
            yield number, value, seen[value]
        else:
            seen[value] = number


def _twice(values: _Section) -> Iterator[Found]:
    for key in _LISTS:
        for number, _, first in _first_places(values, key, "id"):
            yield (key, number, "id"), Text(f"与 {key}[{first}] 的 id 相同", f"is the id of {key}[{first}] too")
    for number, _, first in _first_places(values, "zones", "bridge", "input"):
        text = Text(f"与 zones[{first}] 用了同一块板的同一路输入", f"zones[{first}] is on this input of this bridge")
        yield ("zones", number, "input"), text


def _unknown_names(values: _Section) -> Iterator[Found]:
    for owner, key, owned in _REFERENCES:
        known = [item["id"] for _, item in _items(values, owned) if isinstance(item.get("id"), str)]
        for number, item in _items(values, owner):
            given = item.get(key)
            names: list[tuple[Place, Any]] = (
                [((owner, number, key, place), each) for place, each in enumerate(given)]
                if isinstance(given, list)
                else [((owner, number, key), given)]
            )
            for place, name in names:
                if isinstance(name, str) and name not in known:
                    thing, there = _THINGS[owned], ", ".join(known)
                    zh = f"没有这个{thing.zh}（{show(name)}）；已有：{there or '无'}"
                    yield place, Text(zh, f"no such {thing.en} (got {show(name)}); known: {there or 'none'}")


def _addresses(values: _Section) -> Iterator[tuple[Place, str]]:
    for number, camera in _items(values, "cameras"):
        for key in ("main", "sub"):
            if isinstance(camera.get(key), str):
                yield ("cameras", number, key), camera[key]
    for number, platform in _items(values, "platforms"):
        brokers = platform.get("brokers")
        for place, broker in enumerate(brokers if isinstance(brokers, list) else ()):
            if isinstance(broker, str):
                yield ("platforms", number, "brokers", place), broker


def _ports(values: _Section) -> Iterator[Found]:
    for place, address in _addresses(values):
        match = _HOST_AND_PORT.match(address)
        port = match.group(2) if match else None
        if port is not None and not 1 <= int(port[:9]) <= 65535:
            yield (
                place,
                Text(f"端口应为 1 到 65535 的整数（{port[:9]}）", f"port must be from 1 to 65535 (got {port[:9]})"),
            )


def _hash(values: _Section) -> Iterator[Found]:
    if _section(values, "footage").get("hash") == "sm3" and not available("sm3"):
        yield ("footage", "hash"), Text("本机的 OpenSSL 没有 sm3", "the OpenSSL of this machine has no sm3")


def _days(values: _Section) -> Iterator[Found]:
    footage = _section(values, "footage")
    least, target = footage.get("minimum_days", 30), footage.get("target_days", 90)
    wanted = (
        (target, "target_days" if "target_days" in footage else "minimum_days"),
        (footage.get("sub_target_days"), "sub_target_days"),
    )
    for days, key in wanted:
        if type(least) is int and type(days) is int and days < least:
            text = Text(
                f"应不小于 minimum_days（{least}）（{days}）",
                f"must not be less than minimum_days, {least} (got {days})",
            )
            yield ("footage", key), text


def _time_zone(values: _Section) -> Iterator[Found]:
    name = _section(values, "facility").get("time_zone", "Asia/Shanghai")
    if not isinstance(name, str):
        return
    try:
        ZoneInfo(name)
    except (ValueError, LookupError, OSError):
        zh = f"没有这个时区，应如 Asia/Shanghai（{show(name)}）"
        yield ("facility", "time_zone"), Text(zh, f"no such time zone, write as in Asia/Shanghai (got {show(name)})")


def _no_battery(values: _Section) -> Iterator[Found]:
    asked = _section(values, "power").get("shutdown_after_battery_low_s") is not None
    if asked and not any(zone.get("kind") == "battery" for _, zone in _items(values, "zones")):
        text = Text("没有 kind 为 battery 的防区，不会关机", "no zone is of kind battery: it is never shut down")
        yield ("power", "shutdown_after_battery_low_s"), text


def _runtime(values: _Section, folder: Path) -> Iterator[Found]:
    runtime = _section(values, "paths").get("runtime")
    if isinstance(runtime, str):
        length = len(bytes(folder / runtime / _LONGEST_SOCKET_NAME))
        if length > LONGEST_SOCKET_PATH:
            most = LONGEST_SOCKET_PATH - len(_LONGEST_SOCKET_NAME) - 1
            here = length - len(_LONGEST_SOCKET_NAME) - 1
            zh = f"路径太长，套接字放不下：最多 {most} 字节（{here}）"
            yield ("paths", "runtime"), Text(zh, f"too long for a socket: at most {most} bytes (got {here})")


def _files(values: _Section, folder: Path) -> Iterator[Found]:
    for place, item in _with_credentials(values):
        given = item.get("password_file")
        if isinstance(given, str):
            yield from (((*place, "password_file"), text) for text in look_at_secret(folder / given))
    for number, platform in _items(values, "platforms"):
        tls = _section(platform, "tls")
        for key in ("ca_file", "certificate_file", "key_file"):
            if isinstance(tls.get(key), str):
                look = look_at_secret if key == "key_file" else look_at_file
                yield from ((("platforms", number, "tls", key), text) for text in look(folder / tls[key]))


def _homes(values: _Section) -> Iterator[Found]:
    """`~` means the home of whoever starts the agent, which is another one under systemd."""
    paths: list[tuple[Place, Any]] = [
        *((("paths", key), given) for key, given in _section(values, "paths").items()),
        *((("footage", "volumes", number), path) for number, path in _volumes(values)),
        *(((*place, "password_file"), item.get("password_file")) for place, item in _with_credentials(values)),
    ]
    for place, given in paths:
        if isinstance(given, str) and given.startswith("~"):
            yield (
                place,
                Text(f"不能用 ~，请写完整路径（{show(given)}）", f"write the whole path, not ~ (got {show(given)})"),
            )


def _volumes(values: _Section) -> list[tuple[int, Any]]:
    given = _section(values, "footage").get("volumes", ["/var/lib/yunjian/footage"])
    return list(enumerate(given)) if isinstance(given, list | tuple) else []


def _volume_twice(values: _Section) -> Iterator[Found]:
    seen: dict[Any, int] = {}
    for number, volume in _volumes(values):
        if isinstance(volume, str) and seen.setdefault(volume, number) != number:
            yield ("footage", "volumes", number), Text("这个录像盘写了两遍", "this volume stands there twice")


def _sub_without_address(values: _Section) -> Iterator[Found]:
    for number, camera in _items(values, "cameras"):
        if camera.get("record_sub") is True and camera.get("sub") is None:
            yield ("cameras", number, "record_sub"), Text("还需要 sub（子码流地址）", "sub is needed too")


def _with_credentials(values: _Section) -> Iterator[tuple[Place, _Section]]:
    for key in ("cameras", "platforms"):
        for number, item in _items(values, key):
            yield (key, number), item


def _pairs(values: _Section) -> Iterator[Found]:
    for place, item in _with_credentials(values):
        if item.get("password_file") is not None and item.get("username") is None:
            text = Text("有 password_file 却没有 username", "there is a password_file but no username")
            yield (*place, "password_file"), text
    for number, platform in _items(values, "platforms"):
        tls = _section(platform, "tls")
        for key, other in (("certificate_file", "key_file"), ("key_file", "certificate_file")):
            if tls.get(key) is not None and tls.get(other) is None:
                yield ("platforms", number, "tls", key), Text(f"还需要 {other}", f"{other} is needed too")


def _web(values: _Section) -> Iterator[Found]:
    host = _section(values, "web").get("host", "127.0.0.1")
    if isinstance(host, str) and host not in ("localhost", "::1") and not re.fullmatch(r"127(\.\d{1,3}){3}", host):
        zh = f"页面还没有登录，只能在本机监听：127.0.0.1、::1 或 localhost（{show(host)}）"
        en = f"the pages have no login yet, so this machine only: 127.0.0.1, ::1 or localhost (got {show(host)})"
        yield ("web", "host"), Text(zh, en)


def _nothing_watches(values: _Section) -> Iterator[Found]:
    if not any(zone.get("type") == "panic_24h" for _, zone in _items(values, "zones")):
        yield ("zones",), Text("没有一键报警防区（panic_24h）", "there is no panic zone (panic_24h)")
    roles = [platform.get("role") for _, platform in _items(values, "platforms")]
    if not roles:
        yield ("platforms",), Text("没有平台：告警送不出去", "there is no platform: alerts reach nobody outside")
    elif "public_security" not in roles:
        yield ("platforms",), Text("没有公安平台（public_security）", "there is no police platform (public_security)")
    if not any(True for _ in _items(values, "cameras")):
        yield ("cameras",), Text("没有摄像机", "there are no cameras")
    used = [zone.get("bridge") for _, zone in _items(values, "zones")]
    for number, bridge in _items(values, "bridges"):
        if isinstance(bridge.get("id"), str) and bridge["id"] not in used:
            yield ("bridges", number, "id"), Text("没有防区用这块板", "no zone uses this bridge")


def _half_done(values: _Section) -> Iterator[Found]:
    counted: list[Any] = []
    for number, camera in _items(values, "cameras"):
        room = camera.get("room")
        if camera.get("count_people", True) is not True:
            continue
        if room is None:
            text = Text("没有 room，不会计数", "has no room, so nobody is counted")
            yield ("cameras", number), text
        else:
            counted.append(room)
    for number, room in _items(values, "rooms"):
        if room.get("id") in counted and room.get("capacity") is None:
            yield ("rooms", number), Text("没有 capacity，不报超员", "has no capacity, so no over-capacity alert")
    for place, item in _with_credentials(values):
        if item.get("username") is not None and item.get("password_file") is None:
            yield (*place, "username"), Text("没有 password_file", "there is no password_file")
    for number, _, first in _first_places(values, "cameras", "main"):
        text = Text(f"与 cameras[{first}] 同一地址", f"is the address of cameras[{first}] too")
        yield ("cameras", number, "main"), text
    location = _section(_section(values, "facility"), "location")
    if not location.get("longitude") and not location.get("latitude"):
        text = Text("没有经纬度：告警里没有位置", "no longitude and latitude: alerts carry no place")
        yield ("facility",), text


def _in_the_open(values: _Section) -> Iterator[Found]:
    """Secrets and alarms that travel readable for others."""
    for place, address in _addresses(values):
        if place[0] == "cameras":
            try:
                query = parse_qsl(urlsplit(address).query, max_num_fields=50)
            except ValueError:
                continue
            if any(word in name.lower() for name, _ in query for word in ("pass", "pwd")):
                text = Text("地址参数里有密码，别人能读到", "a password stands in the address, readable for others")
                yield place, text
        elif address.startswith("mqtt://") and not _is_loopback(address):
            yield place, Text("未加密，建议 mqtts://", "not encrypted, better mqtts://")


def _overwritten(values: _Section) -> Iterator[Found]:
    footage = _section(values, "footage")
    if footage.get("overwrite") == "oldest":
        text = Text(
            "盘满时会删除不到最少天数的录像（记入日志）",
            "a full disk deletes footage younger than the minimum (it is recorded that it did)",
        )
        yield ("footage", "overwrite"), text


def _not_there(values: _Section, folder: Path) -> Iterator[Found]:
    for number, bridge in _items(values, "bridges"):
        if (port := port_path(bridge.get("port"), folder)) is not None and not _exists(port):
            yield ("bridges", number, "port"), Text("此刻没有这个串口", "there is no such port at the moment")
        if isinstance(bridge.get("chip"), str) and not _exists(folder / bridge["chip"]):
            yield ("bridges", number, "chip"), Text("此刻没有这个芯片", "there is no such chip at the moment")
    for number, volume in _volumes(values):
        if isinstance(volume, str) and not _exists(folder / volume):
            yield (
                ("footage", "volumes", number),
                Text("此刻没有这个目录：不会往这里录像", "there is no such folder now: nothing is recorded there"),
            )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # not ours to see, so nothing to say


def _is_loopback(address: str) -> bool:
    match = _HOST_AND_PORT.match(address)
    host = match.group(1) if match else ""
    return host in ("localhost", "[::1]") or host.startswith("127.")
