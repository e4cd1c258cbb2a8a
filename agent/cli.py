"""The command `yunjian`: reads the command line and hands over. Everything heavy is imported by the command that
needs it, so that `status` answers at once on a small board.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from agent import cli_arming, cli_camera, cli_footage, cli_testing
from agent.access.arguments import (
    CONFIG,
    EX_CONFIG,
    RUNTIME,
    Build,
    Parser,
    config_option,
    json_option,
    runtime_of,
    wrong_settings,
)
from agent.access.console import Screen, language_wanted
from agent.facts import Text
from agent.wire import Refused, WireError

_WHERE_TO_LOOK: Final = {
    "no_such_incident": Text("；编号见 yunjian incidents --all", "; yunjian incidents --all lists the ids"),
    "ambiguous": Text("；编号见 yunjian incidents", "; yunjian incidents lists the ids"),
    "no_such_zone": Text("；编号见 yunjian status", "; yunjian status lists the ids"),
    "no_such_camera": Text("；编号见 yunjian status", "; yunjian status lists the ids"),
}
"""What to do next when the agent knows nothing by that name."""

WRONG, NOT_RUNNING, REFUSED, INTERRUPTED, PIPE_CLOSED = 1, 3, 4, 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status as `yunjian --help` tells it. argparse leaves by SystemExit(2)."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        # A terminal in a C locale must not turn a Chinese name into a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    language = language_wanted(_asked_language(given), os.environ)
    options = _parser(language).parse_args(given)
    screen = Screen(language)
    try:
        status: int = options.command(options, screen)
        screen.flush()
    except Refused as refusal:
        hint = _WHERE_TO_LOOK.get(refusal.code, Text("", ""))
        screen.problem(Text(refusal.text.zh + hint.zh, refusal.text.en + hint.en))
        return REFUSED
    except WireError as error:
        return _not_reached(options, screen, error)
    except KeyboardInterrupt:
        return 0 if getattr(options, "watch", False) or getattr(options, "follow", False) else INTERRUPTED
    except BrokenPipeError:
        # What is still buffered cannot go anywhere: keep the interpreter from trying at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return status


def _not_reached(options: argparse.Namespace, screen: Screen, error: WireError) -> int:
    from agent.access.control import PROCESSES, not_allowed, not_running

    runtime = runtime_of(options)
    if (why := not_allowed(runtime, error)) is not None:
        screen.problem(why)
        return REFUSED
    missing = [name for name in PROCESSES if not (runtime / f"{name}.sock").exists()]
    if len(missing) == len(PROCESSES):
        screen.problem(not_running(runtime))
    else:
        what = Text(str(error), str(error))
        if missing:
            what = Text(f"没有在运行的进程：{'、'.join(missing)}", f"processes that do not run: {', '.join(missing)}")
        zh, en = f"代理没有应答（{runtime}）：{what.zh}", f"the agent does not answer ({runtime}): {what.en}"
        screen.problem(Text(f"{zh}；见 yunjian status", f"{en}; see yunjian status"))
    return NOT_RUNNING


def _asked_language(given: Sequence[str]) -> str | None:
    """The language is needed before the parser, whose texts are in it."""
    for number, argument in enumerate(given):
        if argument == "--lang" and number + 1 < len(given):
            return given[number + 1]
        if argument.startswith("--lang="):
            return argument.partition("=")[2]
    return None


def _parser(language: str) -> Parser:
    build = Build(language)
    _looking(build)
    cli_arming.add(build)
    cli_testing.add(build)
    cli_footage.add(build)
    cli_camera.add(build)
    _settings(build)
    _running(build)
    _demonstration(build)
    return build.top


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1000:
        raise ValueError(text)
    return number


_positive.__name__ = "1..1000"


def _above_zero(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e12:
        raise ValueError(text)
    return number


_above_zero.__name__ = "> 0"


def _looking(build: Build) -> None:
    status = build.command("status", _status)
    json_option(build, status)
    build.option(status, "--watch", zh="一直看，Ctrl-C 结束", en="keep looking, Ctrl-C ends it", action="store_true")
    events = build.command("events", _events)
    build.option(events, "--follow", "-f", zh="一有新的就输出", en="show new ones as they come", action="store_true")
    build.option(
        events, "--limit", "-n", zh="最近几条（20）", en="how many (20)", type=_positive, default=20, metavar="N"
    )
    kinds = ("alarm", "fault", "ai")
    listed = " ".join(kinds)
    build.option(
        events, "--kind", zh=f"只看这一类：{listed}", en=f"this kind alone: {listed}", metavar="KIND", choices=kinds
    )
    json_option(build, events)
    boards = build.command("boards", _boards)
    build.option(boards, "--list", zh="只列出，不打开空闲的串口询问", en="open no free port to ask who is there",
                 action="store_true", dest="list_only")  # fmt: skip
    json_option(build, boards)
    incidents = build.group("incidents", _incidents)
    build.option(incidents, "--all", zh="包括已复位的", en="those reset too", action="store_true", dest="every")
    json_option(build, incidents)
    for name, run in (("incidents ack", _acknowledge), ("incidents reset", _reset)):
        parser = build.command(name, run)
        one = Text("警情编号，前几位即可", "its id, or the beginning of it")
        named = one if run is _reset else Text(f"{one.zh}；all 为全部", f"{one.en}; all: everything that is latched")
        build.option(parser, "incident", zh=named.zh, en=named.en, metavar="ID")
        if run is _reset:
            build.option(parser, "--why", zh="原因", en="the reason", required=True, metavar="TEXT")
        build.option(
            parser,
            "--json",
            zh="给程序用的输出",
            en="output for programs",
            action="store_true",
            default=argparse.SUPPRESS,
        )


def _settings(build: Build) -> None:
    build.group("config")
    check = build.command("config check", _config_check)
    build.option(check, "file", zh="设置文件", en="settings file", type=Path, metavar="FILE")
    build.option(
        check, "--bitrate", zh="每路码率 kbit/s（缺省：正在录的实测值，否则 4000）",
        en="kbit/s per camera (default: as measured now, else 4000)", type=_above_zero, metavar="KBIT",
    )  # fmt: skip
    json_option(build, check)
    build.command("config schema", _config_schema)


def _running(build: Build) -> None:
    run = build.command("run", _run)
    config_option(build, run)
    build.option(run, "--demo", zh="在这个目录运行演示园所", en="run the demonstration here", type=Path, metavar="DIR")
    build.option(run, "--seconds", zh="这么久以后停止", en="stop after so long", type=_above_zero, metavar="N")
    build.option(run, "--broker", zh="演示用您自己的 broker", en="a broker of your own, for --demo", metavar="URL")
    process = build.command("process", _process, hidden=True)
    process.add_argument("name", choices=("alarm", "record", "vision", "web"))
    config_option(build, process)


def _demonstration(build: Build) -> None:
    press = build.command("press", _press)
    build.option(
        press, "--input", zh="第几路输入（0）", en="which input (0)", type=int, default=0, metavar="N", dest="input_no"
    )
    build.option(press, "--hold", zh="按住几秒（0.5）", en="seconds held (0.5)", type=float, default=0.5, metavar="S")
    door = build.command("door", _door)
    build.option(door, "what", zh="开或关", en="open or close it", choices=("open", "close"), metavar="open|close")


def _status(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.watching import status, watch_status

    return (watch_status if options.watch else status)(screen, runtime_of(options), options.json)


def _boards(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.boards import boards

    return boards(screen, runtime_of(options), not options.list_only, options.json)


def _events(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.watching import events, follow_events

    show = follow_events if options.follow else events
    return show(screen, runtime_of(options), options.limit, options.kind, options.json)


def _incidents(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.watching import incidents

    return incidents(screen, runtime_of(options), options.every, options.json)


def _acknowledge(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.watching import acknowledge

    return acknowledge(screen, runtime_of(options), options.incident, options.json)


def _reset(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.watching import reset

    return reset(screen, runtime_of(options), options.incident, options.why, options.json)


def _press(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.watching import press

    return press(screen, runtime_of(options), options.input_no, options.hold)


def _door(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.watching import door

    return door(screen, runtime_of(options), options.what == "open")


def _config_check(options: argparse.Namespace, screen: Screen) -> int:
    from agent.access.control import status_of
    from agent.settings.report import check_file

    record = status_of(runtime_of(options), "record", timeout_s=0.3)
    return check_file(screen.out, screen.language, options.file, options.json, options.bitrate, record)


def _config_schema(options: argparse.Namespace, screen: Screen) -> int:
    from agent.settings.report import schema_text

    screen.out.write(schema_text())
    return 0


def _run(options: argparse.Namespace, screen: Screen) -> int:
    from datetime import UTC, datetime, tzinfo
    from zoneinfo import ZoneInfo

    from agent.main import run
    from agent.settings.models import Facility

    zone: tzinfo = ZoneInfo(Facility.model_fields["time_zone"].default)
    if options.demo is None:
        from agent.settings.load import load
        from agent.settings.mistakes import SettingsError

        try:
            settings = load(options.config or CONFIG)
        except SettingsError as error:
            return wrong_settings(error, screen)
        zone = ZoneInfo(settings.facility.time_zone)
        if not (options.lang or os.environ.get("YUNJIAN_LANG")):
            screen = Screen(settings.language)

    def say(text: Text) -> None:
        screen.line(f"{datetime.now(UTC).astimezone(zone):%H:%M:%S} {screen.say(text)}")
        screen.flush()

    if options.demo is None:
        if (wrong := _unusable(settings.paths.runtime)) is not None:
            screen.problem(
                Text(f"{wrong.zh}：见设置里的 paths.runtime", f"{wrong.en}: see paths.runtime in the settings")
            )
            return EX_CONFIG
        if (wrong := _unusable(settings.paths.data)) is not None:
            # Not a reason to leave the buttons without an agent: alerts are sent all the same.
            screen.problem(Text(f"{wrong.zh}：告警不能留存", f"{wrong.en}: alerts are not kept"))
        tool = "yunjian" if settings.paths.runtime == RUNTIME else f"yunjian --runtime {settings.paths.runtime}"
        say(Text(f"启动中；另开一个终端：{tool} status", f"starting; in another terminal: {tool} status"))
        return run(options.config or CONFIG, options.seconds, say)
    from agent.demo.facility import DemoFailed, run_demo

    def run_in(settings_file: Path, seconds: float | None, logs: Path) -> int:
        return run(settings_file, seconds, say, logs)

    def say_plain(text: Text) -> None:
        screen.line(screen.say(text))
        screen.flush()

    try:
        return run_demo(options.demo, options.seconds, run_in, screen.language, say_plain, say, options.broker)
    except DemoFailed as error:
        screen.problem(error.text)
        return WRONG


def _unusable(folder: Path) -> Text | None:
    """Why nothing can be written to `folder`, which is made when it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "无权建立" if isinstance(error, PermissionError) else error.strerror
        return Text(f"不能建立目录 {folder}（{reason}）", f"cannot make the folder {folder} ({error.strerror})")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Text(f"无权写入目录 {folder}", f"not allowed to write to the folder {folder}")
    return None


def _process(options: argparse.Namespace, screen: Screen) -> int:
    import importlib

    from agent.settings.mistakes import SettingsError

    run: Callable[[Path], int] = importlib.import_module(f"agent.processes.{options.name}").main
    try:
        return run(options.config or CONFIG)
    except SettingsError as error:
        return wrong_settings(error, screen)
