"""The commands of `yunjian` that concern footage: what they take, and which module does them.

Everything heavy is imported by the command that needs it, as in cli.py.
"""

import argparse
import time
from pathlib import Path
from typing import Final

from agent.access.arguments import Build, config_option, json_option, runtime_of, wrong_settings
from agent.access.console import Screen
from agent.facts import Text

WRONG: Final = 1


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
    build.group("volume")
    create = build.command("volume create", _volume_create)
    build.option(create, "path", zh="目录", en="folder", type=Path, metavar="PATH")
    config_option(build, create)


def _find(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.evidence import find

    return find(screen, runtime_of(options), options.camera, options.start, options.end, options.json)


def _export(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.export import Wish, export

    wish = Wish(options.camera, options.start, options.end, options.output, options.why)
    return export(screen, runtime_of(options), wish, options.json)


def _volume_create(options: argparse.Namespace, screen: Screen) -> int:
    from agent.footage.files import VolumeRefused, create_volume
    from agent.settings.load import load
    from agent.settings.mistakes import SettingsError

    try:
        create_volume(options.path, load(options.config).facility.id, time.time_ns())
    except SettingsError as error:
        return wrong_settings(error, screen)
    except (OSError, VolumeRefused) as error:
        screen.problem(Text(f"建立录像盘失败：{error}", f"the volume was not made: {error}"))
        return WRONG
    screen.line(screen.t(f"录像盘已建立：{options.path}", f"volume made: {options.path}"))
    return 0
