"""PURE. One page of the manual."""

from dataclasses import dataclass

from agent.facts import Text


@dataclass(frozen=True, slots=True)
class Page:
    """The help of one command; `examples` are (what to type, what it does)."""

    summary: Text
    examples: tuple[tuple[str | Text, Text], ...]
