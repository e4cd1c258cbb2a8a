"""The commands of `yunjian` that drill and test.

Everything heavy is imported by the command that needs it, as in cli.py.
"""

import argparse

from agent.access.arguments import Build, Parser, json_option, runtime_of
from agent.access.console import Screen

STOP = "stop"
"""In the place of what is drilled: the drill is over. A zone of that very id is drilled with `all` alone."""


def add(build: Build) -> None:
    """Add the commands to the parser."""
    drill = build.command("drill", _drill)
    build.option(
        drill, "target", zh="防区、区域、all（全部）或 stop（结束）", en="a zone, an area, all, or stop to end it",
        metavar="ZONE|AREA|all|stop",
    )  # fmt: skip
    build.option(
        drill, "--who", zh="操作人（结束时可不写）", en="who leads it (stop needs none)", default="", metavar="NAME"
    )
    _minutes(build, drill)
    json_option(build, drill)
    build.group("test")
    walk = build.command("test walk", _walk)
    build.option(walk, "--who", zh="操作人", en="who walks", required=True, metavar="NAME")
    _minutes(build, walk)
    json_option(build, walk)
    button = build.command("test button", _button)
    build.option(
        button, "zone", zh="防区编号，不写则任何一个按钮", en="its id; any button when it is left out",
        nargs="?", default="", metavar="ZONE",
    )  # fmt: skip
    build.option(button, "--who", zh="操作人", en="who presses it", required=True, metavar="NAME")
    build.option(
        button, "--wait", zh="等多少秒（120）", en="seconds to wait (120)", type=_seconds, default=120.0, metavar="S"
    )
    json_option(build, button)
    output = build.command("test output", _output)
    build.option(output, "output", zh="输出编号", en="its id", metavar="OUTPUT")
    build.option(
        output, "--seconds", zh="几秒（3，最长 10）", en="seconds (3, 10 at most)", type=_a_few, default=3, metavar="N"
    )
    build.option(output, "--who", zh="操作人", en="who does it", required=True, metavar="NAME")
    json_option(build, output)
    listed = build.command("test list", _list)
    build.option(
        listed, "--from", zh="从何时起，如 2026-09-01 或 30d（全部）", en="since when, as 2026-09-01 or 30d (all)",
        default=None, metavar="TIME", dest="since",
    )  # fmt: skip
    build.option(listed, "--csv", zh="给检查人员的表格", en="a table for inspectors", action="store_true")
    json_option(build, listed)


def _minutes(build: Build, parser: Parser) -> None:
    build.option(
        parser, "--minutes", zh="几分钟后自行结束（30，最长 30）", en="ends by itself after so long (30, the most)",
        type=_half_an_hour, default=30.0, metavar="N",
    )  # fmt: skip


def _half_an_hour(text: str) -> float:
    number = float(text)
    if not 0 < number <= 30:
        raise ValueError(text)
    return number


_half_an_hour.__name__ = "0..30"


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number <= 600:
        raise ValueError(text)
    return number


_seconds.__name__ = "0..600"


def _a_few(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10:
        raise ValueError(text)
    return number


_a_few.__name__ = "1..10"


def _drill(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.testing import drill, stop_drill
    from agent.access.watching import who
    from agent.facts import Text

    runtime = runtime_of(options)
    if options.target == STOP:
        return stop_drill(screen, runtime, options.who or who(), options.json)
    if not options.who.strip():
        screen.problem(Text("缺少 --who", "--who is missing"))
        return 2
    return drill(screen, runtime, options.target, options.who, options.minutes, options.json)


def _walk(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.testing import walk

    return walk(screen, runtime_of(options), options.who, options.minutes, options.json)


def _button(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.testing import button

    return button(screen, runtime_of(options), options.zone, options.who, options.wait, options.json)


def _output(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.testing import output

    return output(screen, runtime_of(options), options.output, options.seconds, options.who, options.json)


def _list(options: argparse.Namespace, screen: Screen) -> int:
    import time

    from agent.access.testing import tests
    from agent.access.times import BadTime, parse
    from agent.access.watching import zone

    runtime = runtime_of(options)
    try:
        from_ns = 0 if options.since is None else parse(options.since, time.time_ns(), zone(runtime))
    except BadTime as error:
        screen.problem(error.text)
        return 2
    return tests(screen, runtime, from_ns, options.csv, options.json)
