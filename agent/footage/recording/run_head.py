"""The first packets of a run, held until the one with the least delay can set its wall time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from av.packet import Packet

from agent.footage.recording.arrivals import Opened
from agent.footage.timeline import NS, Raw, RunTime, Sane, TimeBase, begin_run, sane_head

SETTLE_NS: Final = 1 * NS
"""For how long they are held."""

MAX_HELD: Final = 600


@dataclass(slots=True)
class Held:
    """One packet, its times as the camera gave them, and when it was read (monotonic)."""

    packet: "Packet[Any]"
    raw: Raw
    mono_ns: int


@dataclass(frozen=True, slots=True)
class RunHead:
    """The packets held, with times that make sense, of a stream whose times are in units of `base`."""

    base: TimeBase
    held: Sequence[Held]
    times: Sequence[Sane]

    def begin(self, offset_ns: int, not_before_ns: int | None) -> RunTime:
        """The run that begins with them, by a wall clock that is `offset_ns` ahead of the monotonic one
        (timeline.begin_run)."""
        arrivals = [(each.dts, one.mono_ns + offset_ns) for each, one in zip(self.times, self.held, strict=True)]
        return begin_run(self.base, arrivals, not_before_ns)


def head_of(held: Sequence[Held], opened: Opened) -> RunHead:
    """What begins with these packets of a connection."""
    base = TimeBase(opened.time_base.numerator, opened.time_base.denominator)
    return RunHead(base, held, sane_head([each.raw for each in held], opened.nominal_ticks, base))


def is_settled(held: Sequence[Held], now_ns: int) -> bool:
    """Whether they were held for long enough at this monotonic time."""
    return bool(held) and now_ns - held[0].mono_ns >= SETTLE_NS
