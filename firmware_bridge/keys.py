"""PURE. Which events of boards wait for their commit, and which were committed, by key."""

from collections import OrderedDict
from typing import Final, TypeVar

Key = tuple[str, int, int]
"""(name of the board, boot_id, event_id)."""

Value = TypeVar("Value")

REMEMBERED_KEYS: Final = 4096
"""Keys kept to recognise repeats: 256 times the ring of a board. Beyond that a repeat is reported again, and
whoever stores events recognises it by its key."""


class Keys:
    """The keys that one link has reported."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Key, int | None] = OrderedDict()
        self._committed: OrderedDict[Key, None] = OrderedDict()

    def reported(self, key: Key, alarm_of: int | None) -> None:
        """An event was reported; `alarm_of` is the input that went into alarm by it, None for another change."""
        _remember(self._waiting, key, alarm_of)

    def commit(self, key: Key) -> None:
        """The event with this key is safe."""
        self._waiting.pop(key, None)
        _remember(self._committed, key, None)

    def forget(self, key: Key) -> None:
        """Nobody took the report: the event is new when it comes again."""
        self._waiting.pop(key, None)

    def waits(self, key: Key) -> bool:
        """It was reported, and is not committed."""
        return key in self._waiting

    def committed(self, key: Key) -> bool:
        """It is committed."""
        return key in self._committed

    def in_alarm(self, name: str) -> set[int]:
        """The inputs of this board with an alarm that is not committed."""
        return {number for key, number in self._waiting.items() if number is not None and key[0] == name}


def _remember(keys: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    keys[key] = value
    keys.move_to_end(key)
    while len(keys) > REMEMBERED_KEYS:
        keys.popitem(last=False)
