"""The commands of `yunjian` that concern footage: what they take, and which module does them.

Everything heavy is imported by the command that needs it, as in cli.py.
"""

import argparse
from pathlib import Path

from agent.access.arguments import Build, config_option, json_option, runtime_of, wrong_settings
from agent.access.console import Screen


def add(build: Build) -> None:
    """Add the commands to the parser."""
    build.group("footage")
    find = build.command("footage find", _find)
    build.option(find, "--camera", "-c", zh="摄像机（全部）", en="camera (all)", metavar="ID")
    build.option(
        find, "--from", zh="起（今天 0 点）", en="beginning (midnight)", dest="start", metavar="T", default="today"
    )
    build.option(find, "--to", zh="止（现在）", en="end (now)", dest="end", metavar="T", default="now")
    json_option(build, find)
    export = build.command("footage export", _export)
    build.option(export, "--camera", "-c", zh="摄像机", en="camera", metavar="ID", required=True)
    build.option(export, "--from", zh="起", en="beginning", dest="start", metavar="T", required=True)
    build.option(export, "--to", zh="止", en="end", dest="end", metavar="T", required=True)
    build.option(
        export, "-o", "--output", zh="写到哪个文件", en="file to write", metavar="FILE", required=True, type=Path
    )
    build.option(export, "--why", zh="用途，记入审计", en="what for; goes into the audit", metavar="TEXT", default="")
    json_option(build, export)
    check = build.command("footage check", _check)
    build.option(check, "--deep", zh="读每个文件的结构", en="read the structure of every file", action="store_true")
    config_option(build, check)
    json_option(build, check)
    build.group("footage volume")
    create = build.command("footage volume create", _volume_create)
    build.option(create, "path", zh="目录", en="folder", type=Path, metavar="PATH")
    build.option(create, "--luks", zh="加密这个块设备，挂载到 PATH", en="encrypt this block device and mount it there",
                 metavar="DEVICE")  # fmt: skip
    build.option(create, "--key", zh="开机用的钥匙：tpm、usb:/路径/文件、passphrase", metavar="KEY", default="",
                 en="what opens it at a start: tpm, usb:/PATH/FILE or passphrase")  # fmt: skip
    build.option(create, "--erase", zh="设备上有内容时，再写一遍设备名以确认清除",
                 en="the device's name once more, to wipe what it holds", metavar="DEVICE")  # fmt: skip
    build.option(create, "--install", zh="写入 /etc/crypttab 和挂载单元", en="write /etc/crypttab and a mount unit",
                 action="store_true")  # fmt: skip
    config_option(build, create)
    json_option(build, create)


def _find(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.evidence import find

    return find(screen, runtime_of(options), options.camera, options.start, options.end, options.json)


def _export(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.export import Wish, export

    wish = Wish(options.camera, options.start, options.end, options.output, options.why)
    return export(screen, runtime_of(options), wish, options.json)


def _check(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.checking import check
    from agent.footage.naming import camera_uuid
    from agent.footage.survey import Wanted
    from agent.settings.load import load
    from agent.settings.mistakes import SettingsError

    try:
        settings = load(options.config)
    except SettingsError as error:
        return wrong_settings(error, screen)
    facility = settings.facility.id
    recorded = {(camera_uuid(facility, camera.id), "main") for camera in settings.cameras if camera.record}
    recorded |= {(camera_uuid(facility, camera.id), "sub") for camera in settings.cameras if camera.record_sub}
    index = settings.paths.data / "footage.db"
    return check(screen, Wanted(index, settings.footage.volumes, facility, recorded, options.deep), options.json)


def _volume_create(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.volume_setup import VolumeWish, create
    from agent.settings.load import load
    from agent.settings.mistakes import SettingsError

    try:
        settings = load(options.config)
    except SettingsError as error:
        return wrong_settings(error, screen)
    wish = VolumeWish(options.path, options.luks, options.key, options.erase, options.install)
    return create(screen, wish, settings.facility.id, settings.paths.data, options.json)
