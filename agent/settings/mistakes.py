"""What is wrong with a settings file, and where: one `Mistake` per thing to put right."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.facts import Text

Place = tuple[str | int, ...]
"""Where a value stands: keys and list places from the top, as in ("cameras", 1, "main")."""


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing to put right.

    `line` and `column` count from 1; 0 when the whole file is meant. `key` is written as in
    `cameras[1].main`, empty when no key is meant.
    """

    line: int
    column: int
    key: str
    text: Text

    def in_language(self, file: Path | str, language: str) -> str:
        """`facility.yaml:10:10: cameras[1].fps: 应为整数（'十五'）`, on one line."""
        where = f"{file}:{self.line}:{self.column}" if self.line else str(file)
        key = f"{self.key}: " if self.key else ""
        return f"{where}: {key}{self.text.in_language(language)}"


class SettingsError(Exception):
    """The settings cannot be used. `mistakes` is all of them, in the order of the file."""

    def __init__(self, mistakes: Sequence[Mistake], file: Path | str = "facility.yaml") -> None:
        self.mistakes = list(mistakes)
        self.file = file
        super().__init__("\n".join(self.lines("zh") + self.lines("en")))

    def lines(self, language: str) -> list[str]:
        """One line per mistake in `language` (`zh` or `en`)."""
        return [mistake.in_language(self.file, language) for mistake in self.mistakes]
