"""PURE. How many people a room holds and may hold.

Thresholds, each with its source, stand here together.

Invariants
1. `over_capacity` is raised only by a count above the capacity that lasts `RAISE_AFTER_S`, and cleared only by
   one at or below it that lasts `CLEAR_AFTER_S`: one bad count changes nothing, either way.
2. While nothing is known of a room, nothing is raised and nothing is cleared.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

PRESET_CAPACITY: Final[Mapping[str, int]] = {"infant": 10, "toddler": 15, "senior_toddler": 20, "mixed": 18}
"""Children in one class group at most: 托育机构设置标准 (乳儿班, 托小班, 托大班, 混合编班)."""

RAISE_AFTER_S: Final = 5.0
"""Somebody who brings or fetches a child passes through faster than a room stays over full."""

CLEAR_AFTER_S: Final = 10.0
"""Longer than to raise, so that a room at its limit does not flap."""

STALE_AFTER_S: Final = 10.0
"""A camera's older count is not known any more; also when its blindness is told (REQUIREMENTS, faults)."""


@dataclass(frozen=True, slots=True)
class CameraCount:
    """What one camera says of its room, at `at_s` monotonic seconds."""

    camera_id: str
    count: int
    low: int
    high: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Occupancy:
    """The over-capacity rule of one room. `since_s` is when the count last crossed the capacity."""

    active: bool = False
    since_s: float | None = None
    known_s: float | None = None


class Change(Enum):
    """What a count did to the rule."""

    RAISED = "raised"
    CLEARED = "cleared"


def capacity_of(group: str, own: int | None) -> int | None:
    """How many a room may hold: its own figure, else the preset of its class group, else None (no limit)."""
    return own if own is not None else PRESET_CAPACITY.get(group)


def room_count(cameras: Iterable[CameraCount], now_s: float) -> CameraCount | None:
    """The count of a room that several cameras see, or None while none of them knows.

    Their pictures overlap and are not calibrated, so the camera that sees most speaks for the room: adding them
    up would count people twice.
    """
    known = [each for each in cameras if now_s - each.at_s <= STALE_AFTER_S]
    return max(known, key=lambda each: (each.count, each.high, each.at_s), default=None)


def step(state: Occupancy, count: int | None, capacity: int | None, now_s: float) -> tuple[Occupancy, Change | None]:
    """After a look at the room: the rule's new state, and what changed.

    `count` is None while it is not known; then the time until raising or clearing starts again.
    """
    if capacity is None:
        return Occupancy(), Change.CLEARED if state.active else None
    if count is None:
        return Occupancy(state.active), None
    if (count > capacity) == state.active:
        return Occupancy(state.active, None, now_s), None
    # A hole in the knowledge is not a time of being over: it starts anew.
    fresh = state.known_s is None or now_s - state.known_s > STALE_AFTER_S
    since_s = now_s if state.since_s is None or fresh else state.since_s
    needed_s = CLEAR_AFTER_S if state.active else RAISE_AFTER_S
    if now_s - since_s < needed_s:
        return Occupancy(state.active, since_s, now_s), None
    return Occupancy(not state.active, None, now_s), Change.CLEARED if state.active else Change.RAISED
