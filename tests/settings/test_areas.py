"""Areas in the settings: what is refused, where, and what a calendar means."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.safety.calendar import Span
from agent.settings.calendars import calendar_of, days_of, span_of
from agent.settings.load import Findings, examine_bytes

HEAD = "facility: {id: F1, name: 园}\nbridges: [{id: B1, port: p}]\n"


def found(text: str) -> Findings:
    return examine_bytes((HEAD + text).encode(), Path("/nowhere/facility.yaml"))


def zone(more: str, kind: str = "perimeter") -> str:
    return (
        f"areas: [{{id: A1, name: 全园}}]\nzones: [{{id: Z1, name: 门, type: {kind}, bridge: B1, input: 0, {more}}}]\n"
    )


def area(calendar: str) -> str:
    return f"areas: [{{id: A1, name: 全园, calendar: {calendar}}}]\n"


def test_a_shutdown_that_no_battery_asks_for_is_told() -> None:
    power = "power: {shutdown_after_battery_low_s: 60}\n"
    (warning,) = [each for each in found(power).warnings if each.key.startswith("power")]
    assert "no zone is of kind battery" in warning.in_language("f", "en")
    battery = "zones: [{id: Z1, name: 电池, type: environment, bridge: B1, input: 0, kind: battery}]\n"
    assert not [each for each in found(battery + power).warnings if each.key.startswith("power")]


@pytest.mark.parametrize(
    ("text", "key", "en"),
    [
        (zone("area: A1", "panic_24h"), "zones[0].area", "always armed and belongs to no area"),
        (zone("area: A1", "tamper_24h"), "zones[0].area", "always armed and belongs to no area"),
        (zone("area: A1", "environment"), "zones[0].area", "only a perimeter zone is armed"),
        (zone("area: A9"), "zones[0].area", "no such area (got 'A9'); known: A1"),
        (zone("entry: true"), "zones[0].entry", "a perimeter zone with an area"),
        (zone("held_open_s: 9", "panic_24h"), "zones[0].held_open_s", "is for a perimeter zone"),
        (zone("kind: gas"), "zones[0].kind", "is for an environment zone"),
        (zone("line: straight"), "zones[0].line", "must be end_of_line or closes_on_alarm or opens_on_alarm"),
        ("areas: [{id: A1, name: x, exit_delay_s: 256}]\n", "areas[0].exit_delay_s", "an integer from 0 to 255"),
        ("areas: [{id: A1, name: x}, {id: A1, name: y}]\n", "areas[1].id", "is the id of areas[0] too"),
        (area("{week: {monday: ['18:00-07:30']}}"), "areas[0].calendar.week.monday[0]", "must end after it begins"),
        (area("{week: {monday: ['25:00-26:00']}}"), "areas[0].calendar.week.monday[0]", "a time of day"),
        (area("{week: {mon: []}}"), "areas[0].calendar.week.mon", "unknown key"),
        (area("{holidays: ['2026-02-30']}"), "areas[0].calendar.holidays[0]", "must be a day"),
        (area("{holidays: ['2026-10-07/2026-10-01']}"), "areas[0].calendar.holidays[0]", "in order"),
        (area("{open_days: {'2026-13-01': []}}"), "areas[0].calendar.open_days.2026-13-01", "must be a day"),
        (area("{open_days: {'2026-10-10': ['8-9']}}"), "areas[0].calendar.open_days.2026-10-10[0]", "a time of day"),
    ],
)
def test_each_mistake_is_told_where_it_stands(text: str, key: str, en: str) -> None:
    findings = found(text)
    told = [(each.key, each.text.en) for each in findings.mistakes]
    assert findings.settings is None
    assert [name for name, _ in told] == [key], told
    assert en in told[0][1]


def test_an_area_without_zones_is_told_and_lived_with() -> None:
    findings = found("areas: [{id: A1, name: 全园}]\n")
    assert findings.settings is not None
    assert "areas[0].id" in [each.key for each in findings.warnings]


def test_a_calendar_in_full() -> None:
    text = area(
        "{week: {monday: ['07:30-12:00', '13:00-24:00']}, holidays: ['2026-10-01/2026-10-07', '2026-12-31'],"
        " open_days: {'2026-10-10': ['08:00-09:00']}, disarms: true}"
    )
    settings = found(text).settings
    assert settings is not None
    given = settings.areas[0].calendar
    assert given is not None
    made = calendar_of(given, ZoneInfo("Asia/Shanghai"))
    assert made.week[0] == (Span(450, 720), Span(780, 1440))
    assert made.week[1:] == ((),) * 6
    assert made.holidays[1] == (date(2026, 12, 31), date(2026, 12, 31))
    assert made.spans(date(2026, 10, 10)) == (Span(480, 540),)
    assert made.spans(date(2026, 10, 5)) == ()
    assert made.disarms


@pytest.mark.parametrize(
    "text", ["", "07:30", "7:30-18:00", "07:30-07:30", "00:00-24:01", "07:30-18:00 ", "٠٧:٣٠-١٨:٠٠"]
)
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(ValueError):
        span_of(text)


@pytest.mark.parametrize("text", ["", "2026", "2026-10-02/2026-10-01", "x/2026-10-01"])
def test_what_are_no_days(text: str) -> None:
    with pytest.raises(ValueError):
        days_of(text)
