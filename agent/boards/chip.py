"""What a GPIO board needs of a chip. `gpiod_chip` is the real one; tests have one that obeys the same physics."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from agent.boards.lines import Edge

DEBOUNCE_MS: Final = 30
"""The same as a panic input of a microcontroller board (bridge design)."""


class LineBusy(OSError):
    """Another program, or a driver, holds the line."""

    def __init__(self, line: int, holder: str) -> None:
        super().__init__(f"line {line} is held by {holder or 'somebody'}")
        self.line = line
        self.holder = holder


@dataclass(frozen=True, slots=True)
class Wiring:
    """How inputs are wired: `bias` is pull_up, pull_down, none or as_is; `active_low` when a closed contact pulls the
    line to ground. Outputs are active high unless `outputs_active_low`."""

    bias: str = "pull_up"
    active_low: bool = True
    outputs_active_low: bool = False


class InputLine(Protocol):
    """One requested input line, debounced by the kernel. Any method raises OSError once the chip is gone."""

    @property
    def fd(self) -> int:
        """Readable while edges wait."""

    def active(self) -> bool:
        """The debounced level."""

    def edges(self) -> Sequence[Edge]:
        """The edges that wait, oldest first. Never waits."""

    def close(self) -> None:
        """Let go of it."""


class OutputLine(Protocol):
    """One requested output line."""

    def set(self, active: bool) -> None:
        """Drive it. Raises OSError once the chip is gone."""

    def close(self) -> None:
        """Let go of it: the kernel decides what becomes of its level."""


class Chip(Protocol):
    """One GPIO chip."""

    path: Path

    def open(self) -> None:
        """Raises FileNotFoundError when it is not there, OSError when it is no chip or not ours to open."""

    def input(self, line: int) -> InputLine:
        """Request an input. Raises LineBusy, OSError."""

    def output(self, line: int, active: bool) -> OutputLine:
        """Request an output that is driven so from the first moment. Raises LineBusy, OSError."""

    def close(self) -> None:
        """Let go of the chip; its lines are closed one by one."""
