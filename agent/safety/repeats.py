"""PURE. Repeats: what is being dealt with, and what is safe, each named by a key."""

from collections.abc import Callable, Hashable, Iterable
from enum import Enum
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Seen(Enum):
    """Whether a key is known."""

    NEW = "new"
    UNDER_WAY = "under_way"
    SAFE = "safe"


class Repeats(Generic[Key]):
    """Recognises what is told again. Remembers at most `room` keys that are safe, the newest."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._safe: dict[Key, None] = {}
        self._under_way: dict[Key, Callable[[], None]] = {}

    def take_over(self, keys: Iterable[Key]) -> None:
        """These were made safe before this start."""
        self._safe.update(dict.fromkeys(keys))

    def look(self, key: Key, when_safe: Callable[[], None]) -> Seen:
        """Whether `key` is known. `when_safe` is called now when it is safe already, else once `safe` is told.

        Of several who wait for one key only the newest is told: the way back to the others is gone.
        """
        if key in self._safe:
            when_safe()
            return Seen.SAFE
        if key in self._under_way:
            self._under_way[key] = when_safe
            return Seen.UNDER_WAY
        self._under_way[key] = when_safe
        return Seen.NEW

    def safe(self, key: Key) -> None:
        """What `key` names is stored."""
        self._safe[key] = None
        while len(self._safe) > self._room:
            del self._safe[next(iter(self._safe))]
        self.drop(key)

    def drop(self, key: Key) -> None:
        """What `key` names needs no storing: who waits is told, and it is not remembered."""
        when_safe = self._under_way.pop(key, None)
        if when_safe is not None:
            when_safe()

    def forget(self, key: Key) -> None:
        """What `key` names could not be dealt with: nobody is told, and it is new when it comes again."""
        self._under_way.pop(key, None)
