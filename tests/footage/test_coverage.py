"""Days of 23, 24 and 25 hours, and what is counted of them."""

import zoneinfo
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from agent.footage.coverage import Missing, by_day, day_of, days, midnight_ns, shares
from agent.footage.timeline import NS, Gap, Ledger, Span, ledger

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600 * NS


def at(text: str, zone: ZoneInfo) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * NS


def test_a_day_in_shanghai() -> None:
    (day,) = days(at("2026-11-21T00:00", SHANGHAI), at("2026-11-22T00:00", SHANGHAI), SHANGHAI)
    assert day.day == date(2026, 11, 21)
    assert day.to_ns - day.from_ns == 24 * HOUR


def test_the_days_on_which_the_clocks_change() -> None:
    autumn = list(days(at("2026-10-24T12:00", BERLIN), at("2026-10-27T00:00", BERLIN), BERLIN))
    assert [(each.to_ns - each.from_ns) // HOUR for each in autumn] == [12, 25, 24]
    spring = list(days(at("2026-03-29T00:00", BERLIN), at("2026-03-31T00:00", BERLIN), BERLIN))
    assert [(each.to_ns - each.from_ns) // HOUR for each in spring] == [23, 24]


def test_a_day_whose_midnight_is_left_out() -> None:
    # In Beirut the clocks went from 24:00 on to 01:00.
    beirut = ZoneInfo("Asia/Beirut")
    found = list(days(at("2024-03-30T12:00", beirut), at("2024-04-01T12:00", beirut), beirut))
    assert [(each.to_ns - each.from_ns) // HOUR for each in found] == [12, 23, 12]


def test_a_day_that_a_zone_left_out() -> None:
    apia = ZoneInfo("Pacific/Apia")
    found = list(days(at("2011-12-29T00:00", apia), at("2012-01-01T00:00", apia), apia))
    assert [each.day.day for each in found] == [29, 31]


zones = st.sampled_from(sorted(zoneinfo.available_timezones() - {"localtime"})).map(ZoneInfo)
moments = st.integers(0, 4_000_000_000)


@given(zones, moments, st.integers(1, 10 * 86400))
def test_days_cover_a_range_in_every_zone(zone: ZoneInfo, start_s: int, length_s: int) -> None:
    from_ns, to_ns = start_s * NS, (start_s + length_s) * NS
    found = list(days(from_ns, to_ns, zone))
    assert (found[0].from_ns, found[-1].to_ns) == (from_ns, to_ns)
    for before, after in pairwise(found):
        assert before.to_ns == after.from_ns
        assert before.day < after.day
    for day in found:
        assert day.from_ns < day.to_ns
        assert day_of(day.from_ns, zone) == day_of(day.to_ns - 1, zone) == day.day


@given(st.integers(-26, 26), moments)
def test_a_day_in_a_zone_without_rules_has_24_hours(quarters: int, start_s: int) -> None:
    zone = timezone(timedelta(minutes=quarters * 30))
    day = day_of(start_s * NS, zone)
    assert midnight_ns(day + timedelta(days=1), zone) - midnight_ns(day, zone) == 24 * HOUR


def test_what_is_counted_of_a_day_of_25_hours() -> None:
    from_ns, to_ns = at("2026-10-25T00:00", BERLIN), at("2026-10-26T00:00", BERLIN)
    rows = [
        Gap(from_ns + 2 * HOUR, from_ns + 3 * HOUR, "camera_silent"),
        Gap(from_ns + 5 * HOUR, from_ns + 5 * HOUR + 1, "restart"),
        Gap(from_ns + 9 * HOUR, from_ns + 11 * HOUR, "camera_silent"),
    ]
    footage = [Span(from_ns, from_ns + 2 * HOUR), Span(from_ns + 3 * HOUR, from_ns + 5 * HOUR),
               Span(from_ns + 5 * HOUR + 1, from_ns + 9 * HOUR), Span(from_ns + 11 * HOUR, to_ns)]  # fmt: skip
    (day,) = by_day(ledger(footage, rows, from_ns, to_ns), from_ns, to_ns, BERLIN)
    assert day.length_ns == 25 * HOUR
    assert day.footage_ns == 22 * HOUR - 1
    assert day.missing == (Missing("camera_silent", 2, 3 * HOUR), Missing("restart", 1, 1))
    assert day.missing_ns == 3 * HOUR + 1


def test_shares_say_nothing_of_what_is_not_known() -> None:
    found = Ledger((Span(0, 50),), (Gap(50, 100, "restart"),))
    assert shares(found, 0, 200, 4) == [1.0, 0.0, None, None]
    assert shares(found, 25, 125, 2) == [0.5, 0.0]


pieces = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), max_size=12)


@given(pieces, pieces, st.integers(0, 100), st.integers(1, 200), zones)
def test_of_every_day_nothing_is_left_over(
    footage: list[tuple[int, int]], rows: list[tuple[int, int]], start: int, length: int, zone: ZoneInfo
) -> None:
    hours = [Span(a * HOUR, (a + b) * HOUR) for a, b in footage]
    gaps = [Gap(a * HOUR, (a + b) * HOUR, "x") for a, b in rows]
    from_ns, to_ns = start * HOUR, (start + length) * HOUR
    found = ledger(hours, gaps, from_ns, to_ns)
    counted = by_day(found, from_ns, to_ns, zone)
    assert sum(day.length_ns for day in counted) == to_ns - from_ns
    assert sum(day.footage_ns for day in counted) == sum(each.to_ns - each.from_ns for each in found.spans)
    for day in counted:
        assert 0.0 <= day.share <= 1.0
        assert day.footage_ns + sum(each.length_ns for each in day.missing) == day.length_ns
