"""The commands of `yunjian` that arm, disarm and bypass.

Everything heavy is imported by the command that needs it, as in cli.py.
"""

import argparse

from agent.access.arguments import Build, Parser, json_option, runtime_of
from agent.access.console import Screen


def add(build: Build) -> None:
    """Add the commands to the parser."""
    arm = build.command("arm", _arm)
    _area(build, arm)
    build.option(arm, "--bypass", zh="留出这个防区，可重复", en="leave this zone out; may be repeated",
                 action="append", default=[], metavar="ZONE")  # fmt: skip
    build.option(arm, "--force", zh="留出所有未关好的防区", en="leave out whatever is not closed", action="store_true")
    _who(build, arm)
    json_option(build, arm)
    disarm = build.command("disarm", _disarm)
    _area(build, disarm)
    _who(build, disarm)
    build.option(
        disarm, "--duress", zh="被胁迫：照常撤防，并悄悄报警", en="forced to: disarms as ever, and tells it in silence",
        action="store_true",
    )  # fmt: skip
    json_option(build, disarm)
    bypass = build.command("bypass", _bypass)
    build.option(bypass, "zone", zh="防区编号", en="its id", metavar="ZONE")
    _who(build, bypass)
    build.option(bypass, "--why", zh="原因", en="the reason", required=True, metavar="TEXT")
    json_option(build, bypass)
    unbypass = build.command("unbypass", _unbypass)
    build.option(unbypass, "zone", zh="防区编号", en="its id", metavar="ZONE")
    json_option(build, unbypass)


def _area(build: Build, parser: Parser) -> None:
    build.option(
        parser, "area", zh="布防区域编号，只有一个时可不写", en="its id; not needed where there is one alone",
        nargs="?", default="", metavar="AREA",
    )  # fmt: skip


def _who(build: Build, parser: Parser) -> None:
    build.option(parser, "--who", zh="操作人", en="who does it", required=True, metavar="NAME")


def _arm(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.arming import arm

    runtime, zones = runtime_of(options), options.bypass
    return arm(screen, runtime, options.area, options.who, zones, force=options.force, as_json=options.json)


def _disarm(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.arming import disarm

    return disarm(screen, runtime_of(options), options.area, options.who, options.duress, options.json)


def _bypass(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.arming import bypass

    return bypass(screen, runtime_of(options), options.zone, options.who, options.why, options.json)


def _unbypass(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.arming import unbypass

    return unbypass(screen, runtime_of(options), options.zone, options.json)
