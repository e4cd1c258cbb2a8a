"""PURE. How much of each day there is footage of, and for what reasons there is none.

Days are those of the facility's time zone: where the clocks change, a day has 23 or 25 hours, and its share is of
those. What lies before the first recording, and what is yet to come, is no part of any day.

Invariants
1. The days of a range follow one another without a gap and without an overlap, and cover it.
2. Of every day, footage and gaps together are as long as the part of it that was asked for.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import islice
from typing import Final, TypeVar

from agent.footage.timeline import NS, Gap, Ledger, Span

_Piece = TypeVar("_Piece", Span, Gap)

_NEVER: Final = 1 << 63

_LAST_DAY: Final = date(9999, 12, 30)


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day, or the part of it that is asked for, from `from_ns` up to `to_ns`; never empty."""

    day: date
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class Missing:
    """What one reason took of a day: in how many gaps, and for how long together."""

    reason: str
    gaps: int
    length_ns: int


@dataclass(frozen=True, slots=True)
class DayCoverage:
    """One day of one camera. `missing` has the longest first."""

    day: Day
    footage_ns: int
    missing: tuple[Missing, ...]

    @property
    def length_ns(self) -> int:
        """How much time of the day is asked for."""
        return self.day.to_ns - self.day.from_ns

    @property
    def share(self) -> float:
        """Footage of the time asked for, 0 to 1."""
        return self.footage_ns / self.length_ns

    @property
    def missing_ns(self) -> int:
        """Time without footage."""
        return self.length_ns - self.footage_ns


def midnight_ns(day: date, zone: tzinfo) -> int:
    """When a day begins, in UTC nanoseconds; where its midnight is left out, the moment the clocks changed."""
    begins = datetime.combine(day, time(), zone).astimezone(UTC)
    since = begins - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * NS


def day_of(at_ns: int, zone: tzinfo) -> date:
    """The calendar day of a moment."""
    day = datetime.fromtimestamp(at_ns // NS, UTC).astimezone(zone).date()
    # A day whose midnight is left out, or passed twice, begins where `midnight_ns` says that it does.
    while midnight_ns(day, zone) > at_ns:
        day -= timedelta(days=1)
    while day < _LAST_DAY and midnight_ns(day + timedelta(days=1), zone) <= at_ns:
        day += timedelta(days=1)
    return day


def days(from_ns: int, to_ns: int, zone: tzinfo) -> Iterator[Day]:
    """The days of a range; the first and the last one may be cut. A day that a zone left out is left out."""
    if to_ns <= from_ns:
        return
    day = day_of(from_ns, zone)
    while (begins := midnight_ns(day, zone)) < to_ns:
        after = day + timedelta(days=1)
        start, end = max(begins, from_ns), min(midnight_ns(after, zone), to_ns)
        if start < end:
            yield Day(day, start, end)
        day = after


def by_day(found: Ledger, from_ns: int, to_ns: int, zone: tzinfo) -> list[DayCoverage]:
    """The coverage of each day of a range that `found` decides."""
    counted: list[DayCoverage] = []
    for day in days(from_ns, to_ns, zone):
        footage = _total(found.spans, day.from_ns, day.to_ns)
        counted.append(DayCoverage(day, footage, _missing(found.gaps, day)))
    return counted


def shares(found: Ledger, from_ns: int, to_ns: int, parts: int) -> list[float | None]:
    """The share of footage, 0 to 1, in each of so many equal parts of a range; None where `found` says nothing."""
    told: list[float | None] = []
    for n in range(parts):
        start, end = from_ns + (to_ns - from_ns) * n // parts, from_ns + (to_ns - from_ns) * (n + 1) // parts
        footage, gaps = _total(found.spans, start, end), _total(found.gaps, start, end)
        told.append(footage / (footage + gaps) if footage + gaps else None)
    return told


def _missing(gaps: Sequence[Gap], day: Day) -> tuple[Missing, ...]:
    found: dict[str, tuple[int, int]] = {}
    for gap in _touching(gaps, day.from_ns, day.to_ns):
        count, total = found.get(gap.reason, (0, 0))
        found[gap.reason] = (count + 1, total + _inside(gap, day.from_ns, day.to_ns))
    told = (Missing(reason, count, total) for reason, (count, total) in found.items())
    return tuple(sorted(told, key=lambda each: (-each.length_ns, each.reason)))


def _total(pieces: Sequence[_Piece], from_ns: int, to_ns: int) -> int:
    return sum(_inside(each, from_ns, to_ns) for each in _touching(pieces, from_ns, to_ns))


def _touching(pieces: Sequence[_Piece], from_ns: int, to_ns: int) -> Iterator[_Piece]:
    """Those of pieces in order, none overlapping another, that reach into a range."""
    for each in islice(pieces, bisect_right(pieces, from_ns, key=_end), None):
        if each.from_ns >= to_ns:
            return
        yield each


def _end(piece: Span | Gap) -> int:
    return _NEVER if piece.to_ns is None else piece.to_ns


def _inside(piece: Span | Gap, from_ns: int, to_ns: int) -> int:
    return max(0, min(_end(piece), to_ns) - max(piece.from_ns, from_ns))
