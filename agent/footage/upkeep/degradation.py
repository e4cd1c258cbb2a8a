"""PURE. What is recorded less when room is short and nothing may go: least important first, and as little as helps.

Invariants
1. The most important camera is never stopped, and none for a quota or while the ring is allowed.
2. A level is left one at a time and after a calm hour, or at once when there is room for an hour of everything.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agent.footage.upkeep.retention import Breach, Policy


@dataclass(frozen=True, slots=True)
class Recorded:
    """One camera and stream that is recorded: its rate in bytes a second, and how important the camera is."""

    camera: str
    stream: str
    rate_bytes_s: float
    importance: int = 5


Reels = frozenset[tuple[str, str]]


def rungs(recorded: Sequence[Recorded]) -> tuple[Reels, ...]:
    """What is not recorded at each level of degradation: 0 nothing; 1 the main streams of cameras whose sub stream is
    recorded; then camera after camera, the least important first. The most important one is never stopped."""
    subs = {each.camera for each in recorded if each.stream == "sub"}
    stopped = frozenset(
        (each.camera, each.stream) for each in recorded if each.stream == "main" and each.camera in subs
    )
    levels = [frozenset[tuple[str, str]]()]
    if stopped:
        levels.append(stopped)
    importance = {each.camera: each.importance for each in recorded}
    for camera in sorted(importance, key=lambda each: (importance[each], each))[:-1]:
        stopped = stopped | {(each.camera, each.stream) for each in recorded if each.camera == camera}
        levels.append(stopped)
    return tuple(levels)


CALM_NS: Final = 3600 * 10**9
"""A level is left, one at a time, after so long without need for it: recording does not flap. With room for so long of
all that is to be recorded it is left at once."""


@dataclass(frozen=True, slots=True)
class Degradation:
    """How much less is recorded, and since when (monotonic) nothing more was asked."""

    level: int = 0
    calm_since_ns: int = 0


def degrade(
    now: Degradation,
    breach: Breach | None,
    recorded: Sequence[Recorded],
    left_bytes: int,
    policy: Policy,
    mono_ns: int,
    calm_ns: int = CALM_NS,
    room_bytes: int = 0,
) -> Degradation:
    """The level now. As little is given up as lets what is left (`left_bytes` above the recorder's last ditch) last
    until the oldest footage is past the minimum. No camera is stopped for a quota, or while the ring is allowed.
    `room_bytes` is what may be written before room is short again."""
    levels = rungs(recorded)
    wanted = 0
    if breach is None and room_bytes >= sum(each.rate_bytes_s for each in recorded) * calm_ns / 1e9:
        return Degradation(0, mono_ns)
    if breach is not None:
        top = len(levels) - 1
        if policy.overwrite or breach.rule == "quota":
            top = 1 if top and any(each.stream == "sub" for each in recorded) else 0
        wanted = next((n for n in range(top + 1) if _lasts(levels[n], breach, recorded, left_bytes)), top)
    if wanted >= now.level:
        return Degradation(wanted, mono_ns)
    if mono_ns - now.calm_since_ns >= calm_ns:
        return Degradation(max(wanted, min(now.level - 1, len(levels) - 1)), mono_ns)
    return now


def _lasts(stopped: Reels, breach: Breach, recorded: Iterable[Recorded], left_bytes: int) -> bool:
    if breach.wait_ns is None or breach.rule == "quota":
        return False
    rate = sum(each.rate_bytes_s for each in recorded if (each.camera, each.stream) not in stopped)
    return rate * breach.wait_ns / 1e9 <= left_bytes
