"""PURE. On which of several volumes a new file is begun."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

STAY_SHARE: Final = 0.05
"""A reel stays on its volume until another has this much more of itself free: a camera's footage lies together, and
volumes of one size still fill at one pace."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A volume that can be written to: its name, what is free on it and its size, in bytes."""

    name: str
    free_bytes: int
    total_bytes: int

    @property
    def free_share(self) -> float:
        """How much of it is free, 0 to 1."""
        return self.free_bytes / self.total_bytes if self.total_bytes else 0.0


def choose(volumes: Sequence[Seen], current: str | None) -> str | None:
    """The volume for the next file of a reel that was last recorded to `current`: that one, unless another has more
    than `STAY_SHARE` more of itself free; the first one of those with most room; None when there is none."""
    if not volumes:
        return None
    best = max(volumes, key=lambda each: each.free_share)
    here = next((each for each in volumes if each.name == current), None)
    if here is not None and best.free_share - here.free_share <= STAY_SHARE:
        return here.name
    return best.name
