"""PURE. The calendar of an area: when it is open, and when the calendar arms or disarms it.

A day is open during its spans: those of `open_days` where the day stands there, none on a holiday, else those of the
day of the week. Where a span ends the calendar arms; where one begins it disarms, if the settings say so. In between a
person's word holds.

Invariants
1. A change point is applied once: one that is not newer than the newest applied never disarms, whatever the clock does.
2. Nothing disarms unless the clock was set by a time server or a battery clock in this run, or has gone on since.
3. A machine that cannot know the time arms, once, and does not disarm.
4. Whatever the clock said before, the next closing by the true time arms.
5. What was armed for want of the time alone is disarmed when the true time says open, where the calendar disarms.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from agent.facts import ClockQuality, Stamp

LOOK_DAYS: Final = 60
"""So far back and ahead a change point is looked for: no holiday is longer."""

LATE_AFTER_S: Final = 300.0
"""A closing that is applied later than this was missed: nobody is on the way out, so there is no exit delay."""

LOOK_AGAIN_S: Final = 3600.0
"""Without a change point in sight, and with nothing that changed, the calendar is read again this often."""

_SECOND: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TOLD: Final = (ClockQuality.NTP, ClockQuality.RTC)


@dataclass(frozen=True, slots=True)
class Span:
    """A time of day from `opens` to `closes`, in minutes after midnight; 1440 is midnight at the end of the day."""

    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """When an area is open. `week` has seven days from Monday on; `holidays` are first and last days."""

    zone: tzinfo
    week: tuple[tuple[Span, ...], ...]
    holidays: tuple[tuple[date, date], ...] = ()
    open_days: Mapping[date, tuple[Span, ...]] | None = None
    disarms: bool = False

    def spans(self, day: date) -> tuple[Span, ...]:
        """The spans of one day."""
        if self.open_days is not None and day in self.open_days:
            return self.open_days[day]
        if any(first <= day <= last for first, last in self.holidays):
            return ()
        return self.week[day.weekday()]


@dataclass(frozen=True, slots=True)
class Point:
    """A moment (UTC ns) at which the area opens, or closes."""

    at_ns: int
    opens: bool


def points(calendar: Calendar, first: date, days: int) -> Iterator[Point]:
    """The change points of `days` days from `first` on, in order. Spans that touch are one.

    A time of day that comes twice is the second where the area opens and the first where it closes; one that the clocks
    skip is an hour later. A span that is nothing by that is none.
    """
    spans: list[tuple[int, int]] = []
    for number in range(days):
        day = first + timedelta(number)
        for span in calendar.spans(day):
            opens, closes = _moment(calendar, day, span.opens, fold=1), _moment(calendar, day, span.closes, fold=0)
            if opens < closes:
                spans.append((opens, closes))
    joined: list[tuple[int, int]] = []
    for opens, closes in sorted(spans):
        if joined and opens <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], closes))
        else:
            joined.append((opens, closes))
    for opens, closes in joined:
        yield Point(opens, opens=True)
        yield Point(closes, opens=False)


def is_open(calendar: Calendar, now_ns: int) -> bool:
    """Whether the area is open at `now_ns` (UTC)."""
    today = _day(calendar, now_ns)
    before = [point for point in points(calendar, today - timedelta(1), 3) if point.at_ns <= now_ns]
    return bool(before) and before[-1].opens


def newest(calendar: Calendar, now_ns: int) -> Point:
    """The newest change point at or before `now_ns` that does something; where there is none, one from ever."""
    for days in (8, LOOK_DAYS):
        acting = [point for point in _acting(calendar, now_ns, days) if point.at_ns <= now_ns]
        if acting:
            return acting[-1]
    return Point(1, opens=is_open(calendar, now_ns))


def next_after(calendar: Calendar, now_ns: int) -> Point | None:
    """The first change point after `now_ns` that does something, if there is one within `LOOK_DAYS`."""
    for days in (8, LOOK_DAYS):
        coming = [point for point in _acting(calendar, now_ns, days) if point.at_ns > now_ns]
        if coming:
            return coming[0]
    return None


class Wish(StrEnum):
    """What the calendar wants."""

    ARM = "arm"
    ARM_AT_ONCE = "arm_at_once"
    DISARM = "disarm"


@dataclass(frozen=True, slots=True)
class Known:
    """The time (UTC ns) as far as it is known, and whether it is good enough to disarm by."""

    now_ns: int
    may_disarm: bool


def step(calendar: Calendar, applied_ns: int, known: Known) -> tuple[int, Wish | None]:
    """The newest change point that is applied, after `applied_ns` (0: none ever), and what it asks for.

    A stored point that lies beyond the next one was applied by a clock that was ahead: it is forgotten, and where the
    area is closed now it is armed, because nobody knows what that clock disarmed.
    """
    now_ns = known.now_ns
    point = newest(calendar, now_ns)
    if applied_ns > now_ns:
        coming = next_after(calendar, now_ns)
        if coming is not None and applied_ns <= coming.at_ns:
            return applied_ns, None
        return point.at_ns, None if is_open(calendar, now_ns) else Wish.ARM_AT_ONCE
    if applied_ns == 0 and is_open(calendar, now_ns):
        return point.at_ns, None
    if point.at_ns <= applied_ns:
        return applied_ns, None
    if point.opens:
        return (point.at_ns, Wish.DISARM) if known.may_disarm else (applied_ns, None)
    late = now_ns - point.at_ns > LATE_AFTER_S * _SECOND
    return point.at_ns, Wish.ARM_AT_ONCE if late else Wish.ARM


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the calendar of an area wants, and its newest change point that is applied by it (UTC ns). `blind`: it arms
    for want of the time, or takes that back."""

    area_id: str
    applied_ns: int
    wish: Wish | None
    blind: bool = False


class Calendars:
    """The calendars of one facility, and how far the clock is known. Used by one thread."""

    def __init__(self, calendars: Mapping[str, Calendar]) -> None:
        self._calendars = dict(calendars)
        self._anchor: Stamp | None = None
        self._blind = False
        self._quiet: dict[str, tuple[int, bool, int, int]] = {}

    def turn(self, applied_ns: Mapping[str, int], now: Stamp, blind: Collection[str] = ()) -> Sequence[Wanted]:
        """What is wanted now, of the areas whose newest applied change points are given. `blind` are the areas that
        are armed for want of the time alone."""
        known = self._known(now)
        if known is None:
            armed_blind, self._blind = self._blind, True
            if armed_blind:
                return ()
            return [Wanted(each, applied_ns.get(each, 0), Wish.ARM_AT_ONCE, blind=True) for each in self._calendars]
        self._blind = False
        found = []
        for area_id, calendar in self._calendars.items():
            before = applied_ns.get(area_id, 0)
            if area_id in blind and calendar.disarms and known.may_disarm and is_open(calendar, known.now_ns):
                applied = max(before, newest(calendar, known.now_ns).at_ns)
                found.append(Wanted(area_id, applied, Wish.DISARM, blind=True))
                continue
            if self._is_quiet(area_id, before, known):
                continue
            after, wish = step(calendar, before, known)
            coming = next_after(calendar, known.now_ns)
            until_ns = known.now_ns + round(LOOK_AGAIN_S * _SECOND)
            until_ns = until_ns if coming is None else min(until_ns, coming.at_ns)
            self._quiet[area_id] = (after, known.may_disarm, known.now_ns, until_ns)
            if wish is not None or after != before:
                found.append(Wanted(area_id, after, wish))
        return found

    def _is_quiet(self, area_id: str, applied_ns: int, known: Known) -> bool:
        """The same as was asked before, and no change point since: reading sixty days twice a second is for nothing."""
        held = self._quiet.get(area_id)
        if held is None or held[:2] != (applied_ns, known.may_disarm):
            return False
        return held[2] <= known.now_ns < held[3]

    def _known(self, now: Stamp) -> Known | None:
        """The time. Once the clock was known in this run its own pace is trusted above what it says unset."""
        if now.quality in _TOLD:
            self._anchor = now
            return Known(now.wall_ns, may_disarm=True)
        if self._anchor is not None:
            return Known(self._anchor.wall_ns + now.mono_ns - self._anchor.mono_ns, may_disarm=True)
        return Known(now.wall_ns, may_disarm=False) if now.quality is ClockQuality.LAST_GOOD else None


def _acting(calendar: Calendar, now_ns: int, days: int) -> list[Point]:
    """The change points around `now_ns` that do something. Those at the edges of what is looked at are none."""
    first = _day(calendar, now_ns) - timedelta(days)
    edges = [_moment(calendar, day, 0, fold) for day in (first, first + timedelta(2 * days + 1)) for fold in (0, 1)]
    found = (point for point in points(calendar, first, 2 * days + 1) if point.at_ns not in edges)
    return [point for point in found if calendar.disarms or not point.opens]


def _day(calendar: Calendar, now_ns: int) -> date:
    return (_EPOCH + timedelta(microseconds=now_ns // 1000)).astimezone(calendar.zone).date()


def _moment(calendar: Calendar, day: date, minutes: int, fold: int) -> int:
    midnight = datetime(day.year, day.month, day.day, tzinfo=calendar.zone)
    local = (midnight + timedelta(minutes=minutes)).replace(fold=fold)
    if fold and local.astimezone(UTC).astimezone(calendar.zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        local = local.replace(fold=0)  # a time that the clocks skip
    return (local.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1000
