"""PURE. Footage that was recorded by a wrong clock, brought to the right time once that is known.

A machine without a battery clock starts in 1970, or at the time of its last shutdown, and learns the time minutes
later. What it recorded until then has its monotonic clock beside the wall clock (`run`, `gap`, and the description in
each file), so that it can be moved as soon as one offset between the two is known to be right: by the machine's clock
while the boot lasts, or by any later footage of the same boot. Files keep their paths and names: they tell when the
recorder thought it was.

Invariants
1. What is moved keeps its order and its length, to the nanosecond; what one run recorded is moved by one number.
2. Nothing recorded by a trusted clock is moved, and nothing of another boot.
3. What is moved once is trusted from then on: it is not moved again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agent.facts import ClockQuality
from agent.footage.timeline import CLOCK_STEP_NS

RECTIFIED: Final = "rectified"
"""The quality of times that were moved to where they belong."""

TRUSTED: Final = frozenset({ClockQuality.NTP.value, RECTIFIED})
"""By these, footage is where it belongs."""

AGED: Final = TRUSTED | {ClockQuality.RTC.value}
"""By these, the age of footage is known well enough to count its days."""

SETTLED_NS: Final = 10_000_000_000
"""A clock that is just being set is believed when it has gone evenly for this long."""


@dataclass(frozen=True, slots=True)
class RunClock:
    """By which clock a run was recorded."""

    run: int
    boot: str
    wall_ns: int
    mono_ns: int
    quality: str

    @property
    def offset_ns(self) -> int:
        """Wall minus monotonic time."""
        return self.wall_ns - self.mono_ns


@dataclass(frozen=True, slots=True)
class Move:
    """What is to be done with one run: `by_ns` is added to all its times, which are trusted then."""

    run: int
    boot: str
    by_ns: int


def right_offsets(runs: Iterable[RunClock], told: Iterable[tuple[str, int]] = ()) -> dict[str, int]:
    """Boot -> wall minus monotonic time, for each boot of which it is known: by what was `told` of it (boot, offset),
    else by its first run that a trusted clock recorded."""
    found: dict[str, int] = {}
    for run in sorted(runs, key=lambda each: each.mono_ns):
        if run.boot and run.quality == ClockQuality.NTP:
            found.setdefault(run.boot, run.offset_ns)
    return {**found, **{boot: offset for boot, offset in told if boot}}


def moves(runs: Iterable[RunClock], offsets: dict[str, int]) -> list[Move]:
    """What is to be moved, now that these offsets are known. A run that is right to within what counts as a clock
    that was set stays where it is, and is trusted."""
    found: list[Move] = []
    for run in runs:
        offset = offsets.get(run.boot)
        if offset is None or run.quality in TRUSTED:
            continue
        by_ns = offset - run.offset_ns
        found.append(Move(run.run, run.boot, by_ns if abs(by_ns) > CLOCK_STEP_NS else 0))
    return found


@dataclass(frozen=True, slots=True)
class Settled:
    """Watches a clock until it is to be believed. `step` it with every look."""

    since_mono_ns: int | None = None
    offset_ns: int = 0

    def step(self, wall_ns: int, mono_ns: int, quality: ClockQuality) -> "Settled":
        """The next look at the clock."""
        offset = wall_ns - mono_ns
        if quality is not ClockQuality.NTP:
            return Settled()
        if self.since_mono_ns is None or abs(offset - self.offset_ns) > CLOCK_STEP_NS:
            return Settled(mono_ns, offset)
        return Settled(self.since_mono_ns, offset)

    def believed(self, mono_ns: int) -> bool:
        """Whether the clock has been right for long enough."""
        return self.since_mono_ns is not None and mono_ns - self.since_mono_ns >= SETTLED_NS
