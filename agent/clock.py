"""The clocks, as an argument: nothing below the processes reads time by any other way."""

import ctypes
import threading
import time
from typing import Protocol

from agent.facts import ClockQuality, Stamp


class Clock(Protocol):
    """Wall time, monotonic time and waiting. Tests pass one that they move themselves (tests/fakes)."""

    def wall_ns(self) -> int:
        """UTC in nanoseconds since 1970."""

    def mono_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds."""

    def quality(self) -> ClockQuality:
        """How far `wall_ns` can be trusted."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until `event` is set or the time is over; True when it is set."""


def stamp(clock: Clock) -> Stamp:
    """This moment, by both clocks."""
    return Stamp(clock.wall_ns(), clock.mono_ns(), clock.quality())


class SystemClock:
    """The clocks of the machine."""

    def wall_ns(self) -> int:
        return time.time_ns()

    def mono_ns(self) -> int:
        return time.monotonic_ns()

    def quality(self) -> ClockQuality:
        """NTP while the kernel says that its clock is disciplined, else UNKNOWN.

        A battery-backed clock and a last known good time are told apart once the installer knows them.
        """
        return ClockQuality.NTP if _kernel_clock_synchronised() else ClockQuality.UNKNOWN

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


_STA_UNSYNC = 0x0040
"""adjtimex(2): the bit of `status` that says the clock is not synchronised."""


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as `status`; the rest is room for the kernel to write into."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("_rest", ctypes.c_byte * 256),
    )


_LIBC = ctypes.CDLL(None, use_errno=True)


def _kernel_clock_synchronised() -> bool:
    timex = _Timex()
    try:
        answer = int(_LIBC.adjtimex(ctypes.byref(timex)))
    except (OSError, AttributeError):
        return False
    return answer >= 0 and not timex.status & _STA_UNSYNC
