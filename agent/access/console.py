"""What people read on a terminal: aligned columns with Chinese in them, colour only where there is a terminal.

`Screen` is the only thing that writes; what to write is made by the modules beside it.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TextIO
from unicodedata import combining, east_asian_width

from agent.facts import Text

RED: Final = "31;1"
YELLOW: Final = "33"
GREEN: Final = "32"
FAINT: Final = "2"


def language_wanted(asked: str | None, environment: Mapping[str, str]) -> str:
    """`zh` or `en`: as asked, else YUNJIAN_LANG, else Chinese unless the locale is an English one."""
    for choice in (asked, environment.get("YUNJIAN_LANG")):
        if choice in ("zh", "en"):
            return choice
    locale = next((environment[key] for key in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(key)), "")
    return "en" if locale.startswith("en") else "zh"


def width(text: str) -> int:
    """How many columns `text` takes: two for a Chinese character, none for a combining mark."""
    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


def padded(text: str, columns: int) -> str:
    """`text` with spaces behind it up to `columns`."""
    return text + " " * (columns - width(text))


def clean(text: Any) -> str:
    """`text` on one line, without control characters: names and reasons come from elsewhere."""
    return "".join(each if each.isprintable() else " " for each in str(text))


def counted(number: int, one: str, many: str) -> str:
    """`1 person`, `2 people`."""
    return f"{number} {one if number == 1 else many}"


class Screen:
    """One run of a command: its language, and where it writes."""

    def __init__(
        self, language: str, out: TextIO | None = None, errors: TextIO | None = None, painted: bool | None = None
    ) -> None:
        """`language` is `zh` or `en`; `out` and `errors` are the standard streams unless given.

        `painted` is whether to use colour; None means on a terminal, unless NO_COLOR or TERM=dumb says no.
        """
        self.language = language
        self.out = out if out is not None else sys.stdout
        self.errors = errors if errors is not None else sys.stderr
        self.is_terminal = self.out.isatty()
        wanted = self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.is_painted = wanted if painted is None else painted

    def say(self, text: Text) -> str:
        """`text` in the language of this run."""
        return text.in_language(self.language)

    def t(self, zh: str, en: str) -> str:
        """The one of the two that is wanted."""
        return zh if self.language == "zh" else en

    def line(self, text: str = "", colour: str = "") -> None:
        """Write one line."""
        self.out.write(self.painted(text, colour) + "\n")

    def painted(self, text: str, colour: str) -> str:
        """`text` in `colour`, where there is a terminal to show it."""
        return f"\x1b[{colour}m{text}\x1b[0m" if colour and self.is_painted and text else text

    def table(self, rows: Iterable[Sequence[str]], indent: int = 0, colours: Sequence[str] = ()) -> None:
        """Write rows in columns; `colours` has one entry per row."""
        cells = [[clean(cell) for cell in row] for row in rows]
        widths = [max((width(row[n]) for row in cells if n < len(row)), default=0) for n in range(_longest(cells))]
        for number, row in enumerate(cells):
            text = "  ".join(padded(cell, widths[n]) for n, cell in enumerate(row)).rstrip()
            self.line(" " * indent + text, colours[number] if number < len(colours) else "")

    def problem(self, text: Text) -> None:
        """Write one line to the error stream."""
        self.errors.write(f"yunjian: {self.say(text)}\n")

    def json(self, value: Any) -> None:
        """Write `value` for programs, on one line."""
        self.out.write(json.dumps(value, ensure_ascii=False) + "\n")

    def flush(self) -> None:
        """Bring out what was written."""
        self.out.flush()


def _longest(rows: list[list[str]]) -> int:
    return max((len(row) for row in rows), default=0)
