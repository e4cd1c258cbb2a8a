"""The commands of `yunjian` that concern footage: what they take, and which module does them.

Everything heavy is imported by the command that needs it, as in cli.py.
"""

import argparse
from pathlib import Path
from typing import Final

from agent.access.arguments import Build, Parser, config_of, config_option, json_option, runtime_of, wrong_settings
from agent.access.console import Screen
from agent.facts import Text

USAGE: Final = 2


def add(build: Build) -> None:
    """Add the commands to the parser."""
    build.group("footage")
    _add_looking(build)
    _add_handing_out(build)
    _add_holding(build)
    _add_checking(build)
    _add_verifying(build)
    _add_volumes(build)


def _add_looking(build: Build) -> None:
    """What there is, and what is missing."""
    find = build.command("footage find", _find)
    build.option(find, "--camera", "-c", zh="摄像机（全部）", en="camera (all)", metavar="ID")
    build.option(
        find, "--from", zh="起（今天 0 点）", en="beginning (midnight)", dest="start", metavar="T", default="today"
    )
    build.option(find, "--to", zh="止（现在）", en="end (now)", dest="end", metavar="T", default="now")
    json_option(build, find)
    gaps = build.command("footage gaps", _gaps)
    _ledger_options(build, gaps)
    build.option(
        gaps, "--from", zh="起（今天 0 点）", en="beginning (midnight)", dest="start", metavar="T", default="today"
    )
    build.option(gaps, "--to", zh="止（现在）", en="end (now)", dest="end", metavar="T", default="now")
    build.option(gaps, "--min", zh="只列不短于此的（0s）", en="leave out shorter ones (0s)", dest="shortest",
                 metavar="LENGTH", default="0s")  # fmt: skip
    json_option(build, gaps)
    coverage = build.command("footage coverage", _coverage)
    _ledger_options(build, coverage)
    build.option(
        coverage, "--days", zh="天数（7，含今天）", en="days (7, with today)", metavar="N", type=int, default=7
    )
    json_option(build, coverage)


def _add_handing_out(build: Build) -> None:
    """Footage for others, and how they check it."""
    export = build.command("footage export", _export)
    build.option(export, "--camera", "-c", zh="摄像机（可多次）", en="camera (may be repeated)", metavar="ID",
                 action="append", required=True)  # fmt: skip
    build.option(export, "--from", zh="起", en="beginning", dest="start", metavar="T", required=True)
    build.option(export, "--to", zh="止", en="end", dest="end", metavar="T", required=True)
    build.option(export, "-o", "--output", zh="x.mp4：合成的视频；x.zip 或目录：证据包", metavar="FILE", required=True,
                 en="x.mp4: joined video; x.zip or a folder: a package of evidence", type=Path)  # fmt: skip
    build.option(export, "--stream", zh="码流：main（默认）、sub，可多次", en="main (default) or sub; may be repeated",
                 choices=("main", "sub"), action="append")  # fmt: skip
    build.option(export, "--joined", zh="包里另附合成的视频", en="joined video in the package as well",
                 action="store_true")  # fmt: skip
    build.option(export, "--no-sound", zh="合成的视频不带声音", en="no sound in the joined video",
                 action="store_true")  # fmt: skip
    build.option(export, "--resume", zh="继续中断的导出", en="go on with an interrupted export", action="store_true")
    _password_options(build, export)
    build.option(export, "--why", zh="用途，记入审计", en="what for; goes into the audit", metavar="TEXT", default="")
    json_option(build, export)
    verify = build.command("footage verify-package", _verify_package)
    build.option(verify, "path", zh="导出包：目录或 zip", en="package: a folder or a zip", type=Path, metavar="PATH")
    build.option(verify, "--fingerprint", zh="设备指纹（40 位数字），由托育机构提供", metavar="DIGITS",
                 en="the device's fingerprint (40 digits), from the facility")  # fmt: skip
    _password_options(build, verify)
    json_option(build, verify)


def _add_holding(build: Build) -> None:
    """What must not be deleted."""
    hold = build.command("footage hold", _hold)
    build.option(hold, "--camera", "-c", zh="摄像机，可多次（全部）", en="camera, may be repeated (all)",
                 metavar="ID", action="append", default=[])  # fmt: skip
    build.option(hold, "--from", zh="起", en="beginning", dest="start", metavar="T", required=True)
    build.option(hold, "--to", zh="止", en="end", dest="end", metavar="T", required=True)
    build.option(hold, "--why", zh="原因，记入审计", en="why; goes into the audit", metavar="TEXT", required=True)
    build.option(hold, "--days", zh="封存多少天（直到解除）", en="for so many days (until released)", type=int,
                 metavar="N")  # fmt: skip
    json_option(build, hold)
    holds = build.command("footage holds", _holds)
    build.option(holds, "--all", zh="包括已解除和到期的", en="those that are over, too", action="store_true")
    json_option(build, holds)
    release = build.command("footage release", _release)
    build.option(release, "id", zh="封存编号（前几位即可）", en="hold (the beginning of its id)", metavar="ID")
    build.option(release, "--why", zh="原因，记入审计", en="why; goes into the audit", metavar="TEXT", required=True)
    json_option(build, release)


def _add_checking(build: Build) -> None:
    """Whether disks and index agree, and how they are made to."""
    check = build.command("footage check", _check)
    build.option(check, "--deep", zh="读每个文件的结构", en="read the structure of every file", action="store_true")
    config_option(build, check)
    json_option(build, check)
    reindex = build.command("footage reindex", _reindex)
    config_option(build, reindex)
    json_option(build, reindex)


def _add_verifying(build: Build) -> None:
    """The chain of evidence."""
    verify = build.command("footage verify", _verify)
    build.option(
        verify, "--camera", "-c", zh="摄像机，可多次（全部）", en="camera, also more than one (all)",
        metavar="ID", action="append", default=[],
    )  # fmt: skip
    build.option(verify, "--from", zh="起（最早）", en="beginning (the oldest)", dest="start", metavar="T")
    build.option(verify, "--to", zh="止（现在）", en="end (now)", dest="end", metavar="T")
    build.option(
        verify, "--fingerprint", zh="安装时抄下的设备指纹，换过密钥则可多次", metavar="DIGITS", action="append",
        default=[], en="the fingerprint noted at installation; also more than one, if the key was replaced",
    )  # fmt: skip
    build.option(
        verify, "--checkpoint", zh="机外留存的检查点", en="a checkpoint that was kept elsewhere",
        metavar="N:HASH", action="append", default=[],
    )  # fmt: skip
    build.option(
        verify, "--volume", zh="设置之外的录像盘目录", en="where a volume is mounted that the settings do not name",
        metavar="PATH", type=Path, action="append", default=[],
    )  # fmt: skip
    build.option(
        verify, "--quick", zh="不读文件内容，只核对大小和证据链", en="read no file: sizes and the chain only",
        action="store_true",
    )  # fmt: skip
    config_option(build, verify)
    json_option(build, verify)
    named = build.command("footage fingerprint", _fingerprint)
    config_option(build, named)
    json_option(build, named)


def _add_volumes(build: Build) -> None:
    """Where footage lies."""
    volumes = build.command("footage volumes", _volumes)
    config_option(build, volumes)
    json_option(build, volumes)
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


def _hold(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.holding import hold

    wish = (options.camera, options.start, options.end, options.why, options.days)
    return hold(screen, runtime_of(options), *wish, options.json)


def _holds(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.holding import holds

    return holds(screen, runtime_of(options), options.all, options.json)


def _release(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.holding import release

    return release(screen, runtime_of(options), options.id, options.why, options.json)


def _find(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.evidence import find

    return find(screen, runtime_of(options), options.camera, options.start, options.end, options.json)


def _password_options(build: Build, parser: Parser) -> None:
    build.option(parser, "--password", zh="zip 的密码，在终端上输入", en="password of the zip, asked on the terminal",
                 action="store_true")  # fmt: skip
    build.option(parser, "--password-file", zh="zip 的密码，文件的第一行", en="password of the zip: first line of FILE",
                 type=Path, metavar="FILE")  # fmt: skip


def _ledger_options(build: Build, command: Parser) -> None:
    build.option(command, "--camera", "-c", zh="摄像机（全部）", en="camera (all)", metavar="ID")
    build.option(command, "--stream", zh="主码流 main 或子码流 sub", en="main or sub", choices=("main", "sub"),
                 default="main")  # fmt: skip


def _gaps(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.ledger_view import Wish, gaps

    wish = Wish(options.camera, options.stream, options.start, options.end)
    return gaps(screen, runtime_of(options), wish, options.shortest, options.json)


def _coverage(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.ledger_view import Wish, coverage

    wish = Wish(options.camera, options.stream, "", "now")
    return coverage(screen, runtime_of(options), wish, options.days, options.json)


def _export(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.export import Wish, export

    streams = tuple(options.stream or ("main",))
    if options.output.suffix.lower() == ".mp4":
        if len(options.camera) > 1 or len(streams) > 1 or options.password or options.password_file:
            screen.problem(
                Text(
                    "多台摄像机、多路码流或加密码时，-o 应为目录或 .zip",
                    "for several cameras or streams, or with a password, -o must be a folder or a .zip",
                )
            )
            return USAGE
        wish = Wish(
            options.camera[0], options.start, options.end, options.output, options.why, streams[0], not options.no_sound
        )
        return export(screen, runtime_of(options), wish, options.json)
    from agent.access.packing import PackageWish, export_package
    from agent.access.password import NoPassword, password_of

    try:
        password = password_of(screen, options.password_file, options.password, new=True)
    except NoPassword as error:
        screen.problem(error.text)
        return USAGE
    package = PackageWish(
        tuple(options.camera), streams, options.start, options.end, options.output, options.why, options.joined,
        options.resume, password, not options.no_sound,
    )  # fmt: skip
    return export_package(screen, runtime_of(options), package, options.json)


def _verify_package(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.package_checking import verify_package
    from agent.access.password import NoPassword, password_of

    try:
        password = password_of(screen, options.password_file, options.password, new=False)
    except NoPassword as error:
        screen.problem(error.text)
        return USAGE
    return verify_package(screen, options.path, options.fingerprint, password, options.json)


def _check(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.checking import check
    from agent.footage.inspection.survey import Wanted
    from agent.footage.naming import camera_uuid
    from agent.settings.load import load
    from agent.settings.mistakes import SettingsError

    try:
        settings = load(config_of(options))
    except SettingsError as error:
        return wrong_settings(error, screen)
    facility = settings.facility.id
    recorded = {(camera_uuid(facility, camera.id), "main") for camera in settings.cameras if camera.record}
    recorded |= {(camera_uuid(facility, camera.id), "sub") for camera in settings.cameras if camera.record_sub}
    index = settings.paths.data / "footage.db"
    return check(screen, Wanted(index, settings.footage.volumes, facility, recorded, options.deep), options.json)


def _reindex(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.reindexing import reindex_footage
    from agent.footage.inspection.reindex import Wanted
    from agent.footage.naming import camera_uuid
    from agent.settings.load import load
    from agent.settings.mistakes import SettingsError

    try:
        settings = load(config_of(options))
    except SettingsError as error:
        return wrong_settings(error, screen)
    facility, cameras = settings.facility.id, settings.cameras
    named = {camera_uuid(facility, each.id): (each.id, each.name) for each in cameras}
    wanted = Wanted(settings.paths.data / "footage.db", tuple(settings.footage.volumes), facility, named)
    return reindex_footage(screen, settings.paths.runtime, wanted, options.json)


def _verify(options: argparse.Namespace, screen: Screen) -> int:
    from zoneinfo import ZoneInfo

    from agent.access.verifying import Asked, Place, run
    from agent.settings.load import load
    from agent.settings.mistakes import SettingsError

    try:
        settings = load(config_of(options))
    except SettingsError as error:
        return wrong_settings(error, screen)
    volumes = [*settings.footage.volumes, *options.volume]
    where = ZoneInfo(settings.facility.time_zone)
    place = Place(settings.paths.data / "footage.db", volumes, settings.facility.id, where)
    asked = Asked(options.camera, options.start, options.end, options.quick, options.fingerprint, options.checkpoint)
    return run(screen, place, asked, options.json)


def _fingerprint(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.verifying import tell_fingerprint
    from agent.settings.load import load
    from agent.settings.mistakes import SettingsError

    try:
        settings = load(config_of(options))
    except SettingsError as error:
        return wrong_settings(error, screen)
    return tell_fingerprint(screen, settings.paths.data, options.json)


def _volumes(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.volumes_view import volumes
    from agent.settings.load import load
    from agent.settings.mistakes import SettingsError

    try:
        settings = load(config_of(options))
    except SettingsError as error:
        return wrong_settings(error, screen)
    index, listed = settings.paths.data / "footage.db", settings.footage.volumes
    return volumes(screen, settings.paths.runtime, index, listed, settings.facility.id, options.json)


def _volume_create(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.volume_setup import VolumeWish, create
    from agent.settings.load import load
    from agent.settings.mistakes import SettingsError

    try:
        settings = load(config_of(options))
    except SettingsError as error:
        return wrong_settings(error, screen)
    wish = VolumeWish(options.path, options.luks, options.key, options.erase, options.install)
    return create(screen, wish, settings.facility.id, settings.paths.data, options.json)
