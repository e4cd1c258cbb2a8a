"""PURE. The wall time of a camera's sound.

Sound is timed like pictures: by the camera's own count, drawn to its arrival, each kind by itself. A camera's clocks
for the two seldom agree and its reports of them are seldom right, while both arrive when they were made. The two are
then apart by what the camera needs longer to encode one than the other, a tenth of a second or so.

Invariants
1. Wall times rise within a connection, whatever the camera's times do, unless the clock was set back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from agent.footage.timeline import NS, Raw, RunTime, TimeBase, advance, begin_run, follow, sane_head

SETTLE_NS: Final = 1 * NS
"""The first packets wait this long, so that the one with the least delay can set their wall time."""

MAX_WAITING: Final = 200


@dataclass(frozen=True, slots=True)
class SoundTime:
    """The sound of one connection. `waiting` are (times, arrival) of packets whose wall time is not decided."""

    base: TimeBase
    frame_ticks: int
    run: RunTime | None = None
    waiting: tuple[tuple[Raw, int], ...] = ()


def hear(time: SoundTime, raw: Raw, arrival_ns: int) -> tuple[SoundTime, tuple[int, ...]]:
    """The next packet, which arrived at this wall time; the wall times that are decided now, of the oldest packets
    that had none, in their order."""
    if time.run is not None:
        if _stands_still(time.run, raw, time.frame_ticks, arrival_ns):
            raw = Raw(None, None, raw.duration)
        if (found := follow(time.run, raw, time.frame_ticks, arrival_ns)) is not None:
            run = advance(found[1], found[0].dts, arrival_ns)
            if not run.far_off:
                return replace(time, run=run), (run.last_ns,)
        # Anchored anew at once: what waited would belong into a file that may be closed by then.
        end_ns = time.run.last_ns + time.base.ns(time.frame_ticks)
        dts = time.run.last_dts if raw.dts is None else raw.dts
        run = begin_run(time.base, [(dts, arrival_ns)], end_ns)
        return replace(time, run=run), (run.last_ns,)
    waiting = (*time.waiting, (raw, arrival_ns))
    if arrival_ns - waiting[0][1] < SETTLE_NS and len(waiting) < MAX_WAITING:
        return replace(time, waiting=waiting), ()
    head = sane_head(_counted([each for each, _ in waiting], time.frame_ticks), time.frame_ticks, time.base)
    arrivals = [(each.dts, came) for each, (_, came) in zip(head, waiting, strict=True)]
    run = begin_run(time.base, arrivals)
    decided = []
    for dts, came in arrivals:
        run = advance(run, dts, came)
        decided.append(run.last_ns)
    return SoundTime(time.base, time.frame_ticks, run), tuple(decided)


def _counted(raws: Sequence[Raw], frame_ticks: int) -> list[Raw]:
    """The same without times that stand still: such packets are counted."""
    counted = list(raws[:1])
    for before, raw in pairwise(raws):
        still = raw.dts is not None and before.dts is not None and 0 <= raw.dts - before.dts < frame_ticks // 2
        counted.append(Raw(None, None, raw.duration) if still else raw)
    return counted


def _stands_still(run: RunTime, raw: Raw, frame_ticks: int, arrival_ns: int) -> bool:
    """Whether the camera's count of its sound stays behind, while time has gone on: then packets are counted."""
    if raw.dts is None or raw.dts + run.shift - run.last_dts >= frame_ticks // 2:
        return False
    return arrival_ns - run.last_ns >= run.base.ns(frame_ticks)
