"""PURE. Rules about areas and the zones in them. Whatever says nothing about arming is in checks.py."""

import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, Final

from agent.facts import Text
from agent.settings.calendars import DAYS, days_of, span_of
from agent.settings.mistakes import Place
from agent.settings.models import DAYS_PATTERN, SPAN_PATTERN
from agent.settings.sections import Section, items, section
from agent.settings.wording import show

Found = tuple[Place, Text]

_ALWAYS: Final = ("panic_24h", "tamper_24h")


def wrong_areas(values: Section) -> Iterator[Found]:
    """What stands where it means nothing, or against the law that a 24-hour zone is never disarmed."""
    yield from _zones(values)
    for number, area in items(values, "areas"):
        calendar, place = section(area, "calendar"), ("areas", number, "calendar")
        week = section(calendar, "week")
        for day in DAYS:
            yield from _spans(week.get(day), (*place, "week", day))
        holidays = calendar.get("holidays")
        for n, each in enumerate(holidays if isinstance(holidays, list) else ()):
            if isinstance(each, str) and re.fullmatch(DAYS_PATTERN, each):
                yield from _wrong(each, (*place, "holidays", n), days_of, _DAYS)
        for day, spans in section(calendar, "open_days").items():
            yield from _wrong(str(day), (*place, "open_days", day), date.fromisoformat, _DAY)
            yield from _spans(spans, (*place, "open_days", day))


def told_areas(values: Section) -> Iterator[Found]:
    """What is probably not meant."""
    named = [zone.get("area") for _, zone in items(values, "zones")]
    for number, area in items(values, "areas"):
        if isinstance(area.get("id"), str) and area["id"] not in named:
            yield ("areas", number, "id"), Text("没有防区属于这个区域", "no zone belongs to this area")


_SPAN: Final = Text("应为先后有序的时段，如 07:30-18:00", "must end after it begins, as in 07:30-18:00")
_DAYS: Final = Text(
    "应为日期或先后有序的起止日期，如 2026-10-01/2026-10-07",
    "must be a day, or days in order as in 2026-10-01/2026-10-07",
)
_DAY: Final = Text("应为日期，如 2026-10-10", "must be a day, as in 2026-10-10")


def _zones(values: Section) -> Iterator[Found]:
    for number, zone in items(values, "zones"):
        place, kind = ("zones", number), zone.get("type")
        if not isinstance(kind, str):
            continue
        if "area" in zone and kind in _ALWAYS:
            zh, en = "24 小时防区永远布防，不属于任何区域", "a 24-hour zone is always armed and belongs to no area"
            yield (*place, "area"), Text(zh, en)
        elif "area" in zone and kind != "perimeter":
            yield (*place, "area"), Text("只有 perimeter 防区可以布防、撤防", "only a perimeter zone is armed")
        if zone.get("entry") is True and (kind != "perimeter" or "area" not in zone):
            text = Text("只用于有 area 的 perimeter 防区", "is for a perimeter zone with an area")
            yield (*place, "entry"), text
        if "held_open_s" in zone and kind != "perimeter":
            yield (*place, "held_open_s"), Text("只用于 perimeter 防区", "is for a perimeter zone")
        if "kind" in zone and kind != "environment":
            yield (*place, "kind"), Text("只用于 environment 防区", "is for an environment zone")


def _spans(spans: Any, place: Place) -> Iterator[Found]:
    for number, span in enumerate(spans if isinstance(spans, list) else ()):
        if isinstance(span, str) and re.fullmatch(SPAN_PATTERN, span):
            yield from _wrong(span, (*place, number), span_of, _SPAN)


def _wrong(given: str, place: Place, read: Callable[[str], Any], text: Text) -> Iterator[Found]:
    """The mistake at `place` when `read` refuses what is given there."""
    try:
        read(given)
    except ValueError:
        yield place, Text(f"{text.zh}（{show(given)}）", f"{text.en} (got {show(given)})")
