"""A clock that the test moves. Waiting on it ends when the event is set or when the test has moved it far enough."""

import threading
import time

from agent.facts import ClockQuality, Stamp

START_WALL_NS = 1_795_000_000_000_000_000
"""Some moment in November 2026."""

START_MONO_NS = 1_000_000_000_000


class MovedClock:
    """Both clocks stand still until `move` or `step_wall`."""

    def __init__(self) -> None:
        self._wall_ns = START_WALL_NS
        self._mono_ns = START_MONO_NS
        self.now_quality = ClockQuality.NTP

    def move(self, seconds: float) -> None:
        """Time passes."""
        self._wall_ns += round(seconds * 1e9)
        self._mono_ns += round(seconds * 1e9)

    def step_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._wall_ns += round(seconds * 1e9)

    def boot(self, wall_ns: int, mono_ns: int) -> None:
        """The machine was off, and is on again."""
        self._wall_ns, self._mono_ns = wall_ns, mono_ns

    def wall_ns(self) -> int:
        return self._wall_ns

    def mono_ns(self) -> int:
        return self._mono_ns

    def quality(self) -> ClockQuality:
        return self.now_quality

    def stamp(self) -> Stamp:
        """This moment."""
        return Stamp(self._wall_ns, self._mono_ns, self.now_quality)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        end_ns = self._mono_ns + round(timeout_s * 1e9)
        while not event.is_set() and self._mono_ns < end_ns:
            time.sleep(0.002)
        return event.is_set()
