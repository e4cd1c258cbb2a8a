"""PURE. Why there is no footage where no row says so.

A recorder that is off writes no rows, and one whose clock is set back writes them into the past. What it leaves
behind instead are its stretches: from when to when it ran by a clock that nobody set, how each of them ended, and
which cameras it was to record. Together with the footage on both sides they explain every piece.

Invariants
1. `explain` covers the piece that it was given, in order, without a gap and without an overlap.
2. No reason is guessed: where nothing tells why, it is `index_lost` (the row that told it is no longer there).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final

from agent.camera_words import Why, detail
from agent.footage.timeline import CLOCK_STEP_NS, NS, Gap, GapReason

ENDED_STOPPED: Final = "stopped"
ENDED_STEP: Final = "step"
ENDED_UNTOLD: Final = ""
"""Nobody could say that it ends: a power cut, or a crash."""

ROUNDING_NS: Final = 2_000_000_000
"""A piece shorter than this beside a known gap belongs to it: clocks are read one after the other."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which the recorder ran and nobody set the clock. Wall and monotonic nanoseconds; `quality` is a
    ClockQuality, or `rectified`; `reels` are those that were to be recorded, each `<camera uuid>/<stream>`."""

    number: int
    boot: str
    from_ns: int
    to_ns: int
    from_mono_ns: int
    to_mono_ns: int
    quality: str
    reels: tuple[str, ...]
    ended: str = ENDED_UNTOLD

    def to_text(self) -> str:
        """As a note of the index keeps it."""
        return json.dumps(asdict(self), separators=(",", ":"))


def stretch_from(text: str) -> Stretch | None:
    """What `to_text` wrote, or None."""
    try:
        values: dict[str, Any] = json.loads(text)
        return Stretch(**{**values, "reels": tuple(values["reels"])})
    except (ValueError, TypeError, KeyError):
        return None


@dataclass(frozen=True, slots=True)
class Edge:
    """Where footage ends or begins: the moment, and by which clock it was told. `offset_ns` is wall minus monotonic
    time of its run."""

    at_ns: int
    boot: str
    offset_ns: int
    quality: str


def explain(
    from_ns: int,
    to_ns: int,
    reel: str,
    before: Edge | None,
    after: Edge | None,
    stretches: Sequence[Stretch],
    beside: Sequence[Gap] = (),
) -> list[Gap]:
    """Why `from_ns` to `to_ns` has no footage of `reel` and no row. `before` and `after` are the footage on both
    sides, `beside` the gap rows that touch it, `stretches` what is known of the recorder, by number."""
    if to_ns - from_ns < ROUNDING_NS:
        for gap in beside:
            if from_ns in (gap.from_ns, gap.to_ns) or to_ns in (gap.from_ns, gap.to_ns):
                return [Gap(from_ns, to_ns, gap.reason, gap.detail)]
    claims = list(_claims(reel, stretches))
    stepped = _stepped(before, after)
    if stepped is not None and not any(each.from_ns < to_ns and _end(each) > from_ns for each in claims):
        return [Gap(from_ns, to_ns, GapReason.CLOCK_STEP, stepped)]
    edges = {from_ns, to_ns}
    for each in claims:
        edges.update(at for at in (each.from_ns, _end(each)) if from_ns < at < to_ns)
    pieces: list[Gap] = []
    for start, end in pairwise(sorted(edges)):
        claim = _claim(claims, start, end) or _cut_short(claims, end)
        reason, why = (claim.reason, claim.detail) if claim else (GapReason.INDEX_LOST.value, "")
        if claim is None and stepped is not None:
            reason, why = GapReason.CLOCK_STEP.value, stepped
        if pieces and (pieces[-1].reason, pieces[-1].detail) == (reason, why):
            pieces[-1] = Gap(pieces[-1].from_ns, end, reason, why)
        else:
            pieces.append(Gap(start, end, reason, why))
    return pieces


def _claim(claims: Sequence[Gap], from_ns: int, to_ns: int) -> Gap | None:
    return next((each for each in reversed(claims) if each.from_ns <= from_ns and _end(each) >= to_ns), None)


def _cut_short(claims: Sequence[Gap], at_ns: int) -> Gap | None:
    """What was lost of the last seconds before the recorder was known to run no more: they were not on the disk."""
    return next((each for each in claims if each.from_ns == at_ns and each.reason == GapReason.POWER_LOSS), None)


def between(before: Stretch, after: Stretch) -> list[Gap]:
    """Why nothing was recorded between two stretches that follow one another; nothing where the clock was set back
    to before the end of the first."""
    reason, why = _away(before, after)
    away_ns = after.from_mono_ns - before.to_mono_ns if before.boot == after.boot else None
    if away_ns is None or after.from_ns - before.to_ns - away_ns <= CLOCK_STEP_NS:
        return [Gap(before.to_ns, after.from_ns, reason, why)] if after.from_ns > before.to_ns else []
    # Both began to count at the same boot: what wall time passed beyond that, the clock was set forward.
    back = before.to_ns + max(away_ns, 0)
    by = set_forward(after.from_ns - back)
    pieces = [Gap(before.to_ns, back, reason, why), Gap(back, after.from_ns, GapReason.CLOCK_STEP, by)]
    return [each for each in pieces if _end(each) > each.from_ns]


def _away(before: Stretch, after: Stretch) -> tuple[str, str]:
    if before.ended == ENDED_STOPPED:
        return GapReason.RESTART, ""
    if before.ended == ENDED_STEP:
        return GapReason.CLOCK_STEP, ""
    same = before.boot == after.boot
    return GapReason.POWER_LOSS, detail(Why.RECORDER_KILLED if same else Why.MACHINE_OFF)


def _claims(reel: str, stretches: Sequence[Stretch]) -> Iterator[Gap]:
    for number, stretch in enumerate(stretches):
        if number:
            yield from between(stretches[number - 1], stretch)
        if reel not in stretch.reels and stretch.to_ns > stretch.from_ns:
            yield Gap(stretch.from_ns, stretch.to_ns, GapReason.CONFIGURATION)


def _stepped(before: Edge | None, after: Edge | None) -> str | None:
    """By how much the clock was set between two pieces of footage, when it was set forward."""
    if before is None or after is None or before.boot != after.boot or not before.boot:
        return None
    step_ns = after.offset_ns - before.offset_ns
    return set_forward(step_ns) if step_ns > CLOCK_STEP_NS else None


def set_forward(by_ns: int) -> str:
    """The detail of a clock that was set forward."""
    return detail(Why.CLOCK_SET, f"{by_ns / NS:.1f}")


def _end(gap: Gap) -> int:
    assert gap.to_ns is not None
    return gap.to_ns
