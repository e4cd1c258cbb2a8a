"""The clocks, as an argument: nothing below the processes reads time by any other way."""

import ctypes
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

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


_AT_ONCE_NS: Final = 50_000_000
_READINGS: Final = 3
"""So often both clocks are read until they were read at once: what comes between looks like a clock that was set."""


def stamp(clock: Clock) -> Stamp:
    """This moment, by both clocks."""
    before_ns = clock.mono_ns()
    for _ in range(_READINGS):
        wall_ns, mono_ns = clock.wall_ns(), clock.mono_ns()
        if mono_ns - before_ns < _AT_ONCE_NS:
            break
        before_ns = mono_ns
    return Stamp(wall_ns, mono_ns, clock.quality())


WRITTEN_S: Final = 1_735_689_600
"""January 2025: no clock that says an earlier time is right."""

_CARRIED_OVER: Final = (Path("/var/lib/systemd/timesync/clock"), Path("/etc/fake-hwclock.data"))
"""What keeps the time of the last shutdown on boards without a battery."""


class SystemClock:
    """The clocks of the machine."""

    def __init__(self, rtc: Path = Path("/sys/class/rtc"), carried_over: Sequence[Path] = _CARRIED_OVER) -> None:
        self._unsynchronised = boot_quality(rtc, carried_over)

    def wall_ns(self) -> int:
        return time.time_ns()

    def mono_ns(self) -> int:
        return time.monotonic_ns()

    def quality(self) -> ClockQuality:
        """How far the wall clock can be trusted, by what set it.

        NTP while the kernel says that it is disciplined; RTC when the kernel took it from a battery-backed clock at
        boot; LAST_GOOD when it was carried over from the last shutdown (systemd-timesyncd and fake-hwclock do so on
        boards without a battery). A time before this program was thought of is UNKNOWN, whatever set it.
        """
        if _kernel_clock_synchronised():
            return ClockQuality.NTP
        return self._unsynchronised if time.time() >= WRITTEN_S else ClockQuality.UNKNOWN

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


def boot_quality(rtc: Path, carried_over: Sequence[Path]) -> ClockQuality:
    """What set the clock at boot, as far as the system tells: `rtc` is the kernel's list of battery-backed clocks, in
    which `hctosys` marks the one that the time was taken from."""
    for each in sorted(rtc.glob("rtc*/hctosys")):
        try:
            if each.read_text(encoding="ascii").strip() == "1":
                return ClockQuality.RTC
        except (OSError, ValueError):
            continue
    return ClockQuality.LAST_GOOD if any(each.exists() for each in carried_over) else ClockQuality.UNKNOWN


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
