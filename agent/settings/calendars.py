"""The calendar of an area, from its words in the settings."""

import re
from datetime import date, tzinfo
from typing import Final

from agent.safety.calendar import Calendar, Span
from agent.settings.models import AreaCalendar

DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_SPAN: Final = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)


def calendar_of(given: AreaCalendar, zone: tzinfo) -> Calendar:
    """The calendar in the time of `zone`. `given` was checked (checks_areas.py)."""
    return Calendar(
        zone=zone,
        week=tuple(tuple(span_of(each) for each in getattr(given.week, day)) for day in DAYS),
        holidays=tuple(days_of(each) for each in given.holidays),
        open_days={date.fromisoformat(day): tuple(map(span_of, spans)) for day, spans in given.open_days.items()},
        disarms=given.disarms,
    )


def span_of(text: str) -> Span:
    """07:30-18:00 in minutes after midnight. Raises ValueError for what is no span, or ends before it begins."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(text)
    opens, closes = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if not opens < closes <= 1440:
        raise ValueError(text)
    return Span(opens, closes)


def days_of(text: str) -> tuple[date, date]:
    """First and last day. Raises ValueError for what is no day, or ends before it begins."""
    first, _, last = text.partition("/")
    days = date.fromisoformat(first), date.fromisoformat(last or first)
    if days[0] > days[1]:
        raise ValueError(text)
    return days
