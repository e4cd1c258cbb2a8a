"""PURE. The plain values of a settings file, whatever stands in it."""

from collections.abc import Iterator
from typing import Any

Section = dict[str, Any]


def section(values: Section, key: str) -> Section:
    """The section at `key`; an empty one when there is none."""
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def items(values: Section, key: str) -> Iterator[tuple[int, Section]]:
    """The sections in the list at `key`, each with its place in the list."""
    found = values.get(key)
    if isinstance(found, list):
        for number, item in enumerate(found):
            if isinstance(item, dict):
                yield number, item
