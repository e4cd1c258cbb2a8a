"""The command line itself: argparse in two languages, put together command by command."""

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from agent.access.console import Screen
from agent.access.manual import PAGES, epilog
from agent.facts import Text

USAGE: Final = 2

EX_CONFIG: Final = 78
"""sysexits.h: wrong settings; the supervisor and systemd do not try again."""

RUNTIME: Final = Path("/run/yunjian")
"""Where an installation has its sockets."""

Command = Callable[[argparse.Namespace, Screen], int]


_COMPLAINTS: Final = (
    (re.compile(r"the following arguments are required: (.*)"), Text(r"缺少 \1", r"\1 is missing")),
    (re.compile(r"unrecognized arguments: (.*)"), Text(r"不认识的参数：\1", r"unknown: \1")),
    (
        re.compile(r"argument (.*?): invalid float value: (.*)"),
        Text(r"\1 应为数（\2）", r"\1 must be a number (got \2)"),
    ),
    (re.compile(r"argument (.*?): invalid int value: (.*)"), Text(r"\1 应为整数（\2）", r"\1 must be whole (got \2)")),
    (re.compile(r"argument (.*?): invalid (.*) value: (.*)"), Text(r"\1 应为 \2（\3）", r"\1 must be \2 (got \3)")),
    (re.compile(r"argument (.*?): expected one argument"), Text(r"\1 后面要有一个值", r"\1 needs a value after it")),
    (
        re.compile(r"argument (.*?): ignored explicit argument (.*)"),
        Text(r"\1 不带值（\2）", r"\1 takes no value (\2)"),
    ),
)
"""What argparse says in its own English, and what we say. The sentences are the same from Python 3.11 to 3.13."""

_TITLES: Final = ("命令", "command", "a command")
"""What stands for a command in usage and complaints; `command` itself is taken: what to run is kept there."""

_CHOICE: Final = re.compile(r"argument (.*?): invalid choice: '?(.*?)'? \(choose from (.*)\)", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """argparse with headings and complaints in the wanted language."""

    language = "zh"

    def box(self, is_option: bool) -> Any:
        """The group of the options, or that of the arguments."""
        if is_option not in self._boxes:
            names = ("选项", "options") if is_option else ("参数", "arguments")
            self._boxes[is_option] = self.add_argument_group(names[self.language != "zh"])
        return self._boxes[is_option]

    def __init__(self, *arguments: Any, **rest: Any) -> None:
        super().__init__(*arguments, **rest)
        self._boxes: dict[bool, Any] = {}
        self.commands: list[str] = []
        """The commands below this one that help shows."""

    def error(self, message: str) -> Any:
        text = (
            f"命令写法有误：{self._said(message)}" if self.language == "zh" else f"wrong usage: {self._said(message)}"
        )
        hint = f"{'用法见' if self.language == 'zh' else 'see'} {self.prog} --help"
        self.exit(USAGE, f"yunjian: {text}\n{hint}\n")

    def _said(self, message: str) -> str:
        """argparse's complaint in the language of this parser; one that is not known stays as it is."""
        chinese = self.language == "zh"
        commands = self.commands
        if (match := _CHOICE.fullmatch(message)) is not None:
            name, given, allowed = match[1], match[2], match[3].replace("'", "").split(", ")
            if not name.startswith("-") and commands:
                known = ("、" if chinese else ", ").join(commands)
                return f"没有命令 {given}，可用：{known}" if chinese else f"no command {given}, there are: {known}"
            known = (" 或 " if chinese else " or ").join(allowed)
            return f"{name} 应为 {known}（{given}）" if chinese else f"{name} must be {known} (got {given})"
        for pattern, words in _COMPLAINTS:
            if (match := pattern.fullmatch(message)) is not None:
                told = match.expand(words.in_language(self.language))
                if commands and match[1] in _TITLES:
                    told += f"（{'、'.join(commands)}）" if chinese else f" ({', '.join(commands)})"
                return told
        return message


class _Chinese(argparse.RawDescriptionHelpFormatter):
    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, "用法：" if prefix is None else prefix)


class Build:
    """The parser of one language, put together command by command."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._chinese = language == "zh"
        self.top = self._parser_of("yunjian", "")
        self._common(self.top)
        self._parsers: dict[str, Parser] = {"": self.top}
        self._groups: dict[str, Any] = {"": self._commands_of(self.top, "")}

    def command(self, name: str, run: Command | None, *, hidden: bool = False) -> Parser:
        """Add the command `name`, as in `footage find`; without `run` it only groups others."""
        group, _, last = name.rpartition(" ")
        listed: dict[str, Any] = {} if hidden else {"help": self.t(PAGES[name].summary)}
        parser: Parser = self._groups[group].add_parser(last, **listed, **self._look(name))
        parser.language = self._language
        if not hidden:
            self._parsers[group].commands.append(last)
        self._parsers[name] = parser
        self._common(parser, argparse.SUPPRESS)
        if run is not None:
            parser.set_defaults(command=run)
        return parser

    def group(self, name: str, run: Command | None = None) -> Parser:
        """Add a command that has commands below it; `run` is what it does without one."""
        parser = self.command(name, run)
        self._groups[name] = self._commands_of(parser, name, required=run is None)
        return parser

    def t(self, text: Text) -> str:
        """`text` in the language of this parser; argparse takes % for its own."""
        return text.in_language(self._language).replace("%", "%%")

    def option(self, parser: Parser, *names: str, zh: str, en: str, **rest: Any) -> None:
        """Add an option or an argument with its help in both languages."""
        parser.box(names[0].startswith("-")).add_argument(*names, help=self.t(Text(zh, en)), **rest)

    def _parser_of(self, prog: str, name: str) -> Parser:
        parser = Parser(prog=prog, **self._look(name))
        parser.language = self._language
        return parser

    def _look(self, name: str) -> dict[str, Any]:
        shape = _Chinese if self._chinese else argparse.RawDescriptionHelpFormatter
        return {
            "description": self.t(PAGES[name].summary),
            "epilog": epilog(name, self._language).replace("%", "%%"),
            "formatter_class": shape,
            "add_help": False,
            "allow_abbrev": False,
        }

    def _common(self, parser: Parser, default: Any = None) -> None:
        self.option(parser, "-h", "--help", zh="显示这段说明", en="show this help", action="help")
        self.option(
            parser, "--runtime", zh="套接字所在目录", en="folder of the sockets", metavar="DIR", default=default
        )
        self.option(parser, "--lang", zh="语言", en="language", choices=("zh", "en"), default=default)

    def _commands_of(self, parser: Parser, name: str, required: bool = True) -> Any:
        title, place, kept = ("命令", "命令", "命令") if self._chinese else ("commands", "command", "a command")
        return parser.add_subparsers(
            title=title, metavar=place if name == "" else None, dest=kept, required=required,
            parser_class=Parser,
        )  # fmt: skip


def json_option(build: Build, parser: Parser) -> None:
    """--json, the same for every command."""
    build.option(parser, "--json", zh="给程序用的输出", en="output for programs", action="store_true")


CONFIG: Final = Path("/etc/yunjian/facility.yaml")
"""The settings file of an installation."""


def config_option(build: Build, parser: Parser) -> None:
    """--config, the settings file; `config_of` says which one is meant when it is left out."""
    build.option(
        parser, "--config", zh=f"设置文件（{CONFIG}，演示时用演示的）",
        en=f"settings file ({CONFIG}, or the demonstration's)", type=Path, metavar="FILE",
    )  # fmt: skip


def config_of(options: argparse.Namespace) -> Path:
    """The settings file that was asked for, else that of a demonstration whose sockets are used, else the installed."""
    if options.config is not None:
        return Path(options.config)
    beside = runtime_of(options).parent / CONFIG.name
    return beside if runtime_of(options) != RUNTIME and beside.is_file() else CONFIG


def runtime_of(options: argparse.Namespace) -> Path:
    """Where the sockets are: as asked, else those of a demonstration here, else those of the installation."""
    asked = getattr(options, "runtime", None) or os.environ.get("YUNJIAN_RUNTIME")
    if asked:
        return Path(asked)
    here = Path("var/run")
    return here if any((here / name).exists() for name in ("alarm.sock", "board.sock")) else RUNTIME


def wrong_settings(error: Any, screen: Screen) -> int:
    """Print a SettingsError line by line; the exit status for it."""
    for line in error.lines(screen.language):
        screen.errors.write(f"{line}\n")
    return EX_CONFIG
