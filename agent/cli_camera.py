"""The commands of `yunjian` that ask cameras themselves, by ONVIF.

Everything heavy is imported by the command that needs it, as in cli.py.
"""

import argparse
from pathlib import Path
from typing import Final

from agent.access.arguments import Build, config_of, config_option, json_option, wrong_settings
from agent.access.console import Screen
from agent.facts import Text

USAGE: Final = 2


def add(build: Build) -> None:
    """Add the commands to the parser."""
    build.group("camera")
    found = build.command("camera discover", _discover)
    build.option(found, "--interface", zh="从哪个本机地址找（由系统选）", en="ask from this address of ours (any)",
                 metavar="IP", default="")  # fmt: skip
    build.option(
        found, "--seconds", zh="等多久（3）", en="how long to wait (3)", type=_seconds, default=3.0, metavar="N"
    )
    json_option(build, found)
    probe = build.command("camera probe", _probe)
    build.option(probe, "address", zh="onvif://主机[:端口]，或设置里的摄像机",
                 en="onvif://host[:port], or a camera of the settings", metavar="ADDRESS")  # fmt: skip
    build.option(probe, "--username", zh="用户名（写 onvif:// 时）", en="user, with onvif://", metavar="NAME")
    build.option(probe, "--password-file", zh="密码文件（写 onvif:// 时）", en="file with the password, with onvif://",
                 type=Path, metavar="FILE")  # fmt: skip
    config_option(build, probe)
    json_option(build, probe)


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number <= 60:
        raise ValueError(text)
    return number


_seconds.__name__ = "0..60"


def _discover(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.cameras import discover
    from agent.clock import SystemClock

    return discover(screen, SystemClock(), options.seconds, options.interface, options.json)


def _probe(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.cameras import probe
    from agent.camera_address import Address
    from agent.clock import SystemClock
    from agent.settings.load import load
    from agent.settings.mistakes import SettingsError

    if options.address.startswith("onvif://"):
        address = Address(options.address, "tcp", options.username, options.password_file)
        return probe(screen, SystemClock(), address, options.json)
    try:
        settings = load(config_of(options))
    except SettingsError as error:
        return wrong_settings(error, screen)
    camera = next((each for each in settings.cameras if each.id == options.address), None)
    if camera is None:
        screen.problem(
            Text(
                f"设置里没有摄像机 {options.address}，也不是 onvif:// 地址",
                f"{options.address} is no camera of the settings and no onvif:// address",
            )
        )
        return USAGE
    url = next((url for url in (camera.main, camera.sub) if url and url.startswith("onvif://")), None)
    if url is None:
        screen.problem(
            Text(
                f"摄像机 {camera.id} 的地址不是 onvif://；请写 yunjian camera probe onvif://主机",
                f"the address of camera {camera.id} is not onvif://; use yunjian camera probe onvif://host",
            )
        )
        return USAGE
    address = Address(url, camera.transport, camera.username, camera.password_file)
    return probe(screen, SystemClock(), address, options.json)
