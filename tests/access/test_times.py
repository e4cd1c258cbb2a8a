"""Times as people type them."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.access.times import NS, BadTime, duration, iso, parse, shown

ZONE = ZoneInfo("Asia/Shanghai")
NOW = int(datetime(2026, 11, 21, 17, 45, tzinfo=ZONE).timestamp()) * NS


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("now", "2026-11-21 17:45:00"),
        ("现在", "2026-11-21 17:45:00"),
        ("2026-11-21 17:40", "2026-11-21 17:40:00"),
        ("2026-11-21 17:40:09", "2026-11-21 17:40:09"),
        ("2026/1/2 7:05", "2026-01-02 07:05:00"),
        ("2026-11-21", "2026-11-21 00:00:00"),
        ("2026-11-21T17:40+08:00", "2026-11-21 17:40:00"),
        ("2026-11-21T09:40:00Z", "2026-11-21 17:40:00"),
        ("2026-11-21 17:40 +09:00", "2026-11-21 16:40:00"),
        ("17:40", "2026-11-21 17:40:00"),
        ("17:50", "2026-11-20 17:50:00"),
        ("10m", "2026-11-21 17:35:00"),
        ("now-10m", "2026-11-21 17:35:00"),
        ("now - 2h", "2026-11-21 15:45:00"),
        ("1h30m", "2026-11-21 16:15:00"),
        ("90s ago", "2026-11-21 17:43:30"),
        ("10分钟前", "2026-11-21 17:35:00"),
        ("2小时前", "2026-11-21 15:45:00"),
        ("now+5m", "2026-11-21 17:50:00"),
        ("yesterday", "2026-11-20 00:00:00"),
        ("yesterday 17:40", "2026-11-20 17:40:00"),
        ("昨天17:40", "2026-11-20 17:40:00"),
        ("today", "2026-11-21 00:00:00"),
        ("前天 8:00", "2026-11-19 08:00:00"),
    ],
)
def test_what_is_understood(typed: str, meant: str) -> None:
    assert shown(parse(typed, NOW, ZONE), ZONE) == meant


NO_TIMES = "|x|25:00|17:40:61|2026-13-01|2026-02-30|10月|999999d|yesterday x|-|5|1969-01-01"


@pytest.mark.parametrize("typed", NO_TIMES.split("|"))
def test_what_is_not(typed: str) -> None:
    with pytest.raises(BadTime) as caught:
        parse(typed, NOW, ZONE)
    assert "2026-11-21 17:40" in caught.value.text.zh


def test_a_time_of_day_ends_a_range_after_its_beginning() -> None:
    before_midnight = parse("2026-11-20 23:50", NOW, ZONE)
    assert shown(parse("00:10", NOW, ZONE, before_midnight), ZONE) == "2026-11-21 00:10:00"
    assert shown(parse("23:55", NOW, ZONE, before_midnight), ZONE) == "2026-11-20 23:55:00"
    assert shown(parse("+90s", NOW, ZONE, before_midnight), ZONE) == "2026-11-20 23:51:30"


def test_the_same_words_mean_another_moment_in_another_zone() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert parse("2026-11-21 17:40", NOW, ZONE) - parse("2026-11-21 17:40", NOW, tokyo) == 3600 * NS


@given(st.text(max_size=30))
def test_anything_typed_is_a_time_or_told(typed: str) -> None:
    try:
        moment = parse(typed, NOW, ZONE)
    except BadTime:
        return
    assert shown(moment, UTC)


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001
def test_what_is_shown_is_understood(moment: datetime) -> None:
    at_ns = int(moment.replace(tzinfo=UTC, microsecond=0).timestamp()) * NS
    assert parse(iso(at_ns, ZONE), NOW, UTC) == at_ns
    assert parse(shown(at_ns, UTC), NOW, UTC) == at_ns


def test_durations() -> None:
    assert [duration(seconds).en for seconds in (0, 59.9, 60, 3723, 90000, -5)] == [
        "0 s", "59 s", "1 min", "1 h 2 min", "1 d 1 h", "0 s",
    ]  # fmt: skip
    assert duration(11530).zh == "3 小时 12 分"
