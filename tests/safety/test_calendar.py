"""The calendar: holidays, two clock changes a year, clocks that are wrong, and a box that was off."""

from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.facts import ClockQuality, Stamp
from agent.safety.calendar import (
    Calendar,
    Calendars,
    Known,
    Span,
    Wanted,
    Wish,
    is_open,
    newest,
    next_after,
    points,
    step,
)

S = 1_000_000_000
SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
DAY = Span(7 * 60 + 30, 18 * 60)
WORKDAYS = (*((DAY,),) * 5, (), ())


def ns(zone: ZoneInfo, text: str, fold: int = 0) -> int:
    local = datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)
    return round(local.astimezone(UTC).timestamp()) * S


def at(text: str, fold: int = 0) -> int:
    return ns(SHANGHAI, text, fold)


def calendar(disarms: bool = True, **more: object) -> Calendar:
    known = {"zone": SHANGHAI, "week": WORKDAYS, "disarms": disarms, **more}
    return Calendar(**known)  # type: ignore[arg-type]


MONDAY, FRIDAY = "2026-11-23", "2026-11-27"


def test_a_week() -> None:
    plain = calendar()
    assert is_open(plain, at(f"{MONDAY} 07:30"))
    assert not is_open(plain, at(f"{MONDAY} 07:29"))
    assert not is_open(plain, at(f"{MONDAY} 18:00"))
    assert not is_open(plain, at("2026-11-28 12:00"))
    assert newest(plain, at("2026-11-29 12:00")).at_ns == at(f"{FRIDAY} 18:00")
    coming = next_after(plain, at(f"{FRIDAY} 19:00"))
    assert coming is not None
    assert (coming.at_ns, coming.opens) == (at("2026-11-30 07:30"), True)


def test_holidays_are_closed_and_days_of_their_own_win() -> None:
    week = (date(2026, 10, 1), date(2026, 10, 7))
    days = {date(2026, 10, 10): (DAY,), date(2026, 10, 3): (Span(600, 660),), date(2026, 10, 12): ()}
    made = calendar(holidays=(week,), open_days=days)
    for closed in ("2026-10-01 12:00", "2026-10-07 12:00", "2026-10-03 12:00", "2026-10-12 12:00"):
        assert not is_open(made, at(closed)), closed
    for opened in ("2026-10-08 12:00", "2026-10-10 12:00", "2026-10-03 10:30"):
        assert is_open(made, at(opened)), opened


def test_spans_that_touch_are_one_even_over_midnight() -> None:
    night = (Span(0, 6 * 60), Span(18 * 60, 21 * 60), Span(20 * 60, 1440))
    made = calendar(week=(night,) * 7)
    found = list(points(made, date(2026, 11, 23), 2))
    assert [(each.at_ns, each.opens) for each in found[1:4]] == [
        (at("2026-11-23 06:00"), False), (at("2026-11-23 18:00"), True), (at("2026-11-24 06:00"), False),
    ]  # fmt: skip


def test_always_open_and_always_closed() -> None:
    closed = calendar(week=((),) * 7)
    assert step(closed, 0, Known(at(f"{MONDAY} 12:00"), True)) == (1, Wish.ARM_AT_ONCE)
    assert step(closed, 1, Known(at(f"{MONDAY} 12:00"), True)) == (1, None)
    always = calendar(week=((Span(0, 1440),),) * 7)
    applied, wish = step(always, 0, Known(at(f"{MONDAY} 12:00"), True))
    assert wish is None
    for day in range(1, 100):
        assert step(always, applied, Known(at(f"{MONDAY} 12:00") + day * 86_400 * S, True)) == (applied, None)


def test_hours_that_the_clocks_skip_or_repeat() -> None:
    """2026-03-29 02:00 -> 03:00 and 2026-10-25 03:00 -> 02:00 in Berlin."""
    early = Calendar(BERLIN, ((Span(150, 600),),) * 7, disarms=True)
    spring = list(points(early, date(2026, 3, 29), 1))
    assert [each.at_ns for each in spring] == [ns(BERLIN, "2026-03-29 03:30"), ns(BERLIN, "2026-03-29 10:00")]
    autumn = list(points(early, date(2026, 10, 25), 1))
    assert autumn[0].at_ns == ns(BERLIN, "2026-10-25 02:30", fold=1), "opens at the second of the two"
    late = Calendar(BERLIN, ((Span(60, 150),),) * 7)
    assert list(points(late, date(2026, 10, 25), 1))[1].at_ns == ns(BERLIN, "2026-10-25 02:30"), "closes at the first"
    short = Calendar(BERLIN, ((Span(130, 150),),) * 7)
    assert list(points(short, date(2026, 10, 25), 1)) == [], "a span that is nothing opens nothing"


def test_the_end_of_the_day_arms_once_and_a_person_holds_until_the_next() -> None:
    made = calendar()
    applied, wish = step(made, at(f"{MONDAY} 07:30"), Known(at(f"{MONDAY} 18:00"), True))
    assert wish is Wish.ARM
    for later in ("18:01", "23:59"):
        assert step(made, applied, Known(at(f"{MONDAY} {later}"), True)) == (applied, None)
    assert step(made, applied, Known(at("2026-11-24 07:30"), True))[1] is Wish.DISARM
    assert step(calendar(disarms=False), applied, Known(at("2026-11-24 12:00"), True)) == (applied, None)


def test_a_closing_that_was_missed_is_applied_at_the_start() -> None:
    made = calendar(disarms=False)
    friday = at(f"{FRIDAY} 18:00")
    found = step(made, at("2026-11-26 18:00"), Known(at("2026-11-28 03:00"), True))
    assert found == (friday, Wish.ARM_AT_ONCE)


def test_a_first_start_during_the_day_arms_nothing() -> None:
    assert step(calendar(disarms=False), 0, Known(at(f"{MONDAY} 12:00"), True))[1] is None
    assert step(calendar(), 0, Known(at(f"{MONDAY} 20:00"), True))[1] is Wish.ARM_AT_ONCE


def test_a_clock_that_goes_back_over_a_change_point_applies_it_once() -> None:
    made = calendar()
    applied, wish = step(made, at("2026-11-22 18:00"), Known(at(f"{MONDAY} 07:30") + S, True))
    assert wish is Wish.DISARM
    for seconds in range(-600, 600, 60):
        assert step(made, applied, Known(at(f"{MONDAY} 07:30") + seconds * S, True)) == (applied, None)


def test_a_clock_that_was_years_ahead_does_not_end_the_calendar() -> None:
    made = calendar()
    ahead, wish = step(made, at("2026-11-20 18:00"), Known(at("2030-11-20 12:00"), True))
    assert wish is Wish.DISARM
    applied, wish = step(made, ahead, Known(at("2026-11-22 03:00"), True))
    assert wish is Wish.ARM_AT_ONCE, "closed: who knows what the wrong clock disarmed"
    assert step(made, applied, Known(at(f"{MONDAY} 07:30"), True))[1] is Wish.DISARM
    applied, wish = step(made, ahead, Known(at(f"{MONDAY} 12:00"), True))
    assert wish is None
    assert step(made, applied, Known(at(f"{MONDAY} 18:00"), True))[1] is Wish.ARM


def stamp(text: str, mono_s: float, quality: ClockQuality) -> Stamp:
    return Stamp(at(text), round(mono_s * S), quality)


def test_a_machine_that_knows_no_time_arms_once_and_never_disarms() -> None:
    both = Calendars({"A1": calendar()})
    unknown = stamp("1970-01-02 00:00", 1, ClockQuality.UNKNOWN)
    assert both.turn({}, unknown) == [Wanted("A1", 0, Wish.ARM_AT_ONCE, blind=True)]
    for seconds in range(2, 1000, 100):
        later = stamp("2026-11-23 12:00", seconds, ClockQuality.UNKNOWN)
        assert list(both.turn({}, later)) == []
    lagging = stamp(f"{MONDAY} 12:00", 2000, ClockQuality.LAST_GOOD)
    assert list(both.turn({"A1": at("2026-11-20 18:00")}, lagging)) == [], "carried over from a shutdown: no disarming"
    known = stamp(f"{MONDAY} 12:00", 2001, ClockQuality.NTP)
    assert [each.wish for each in both.turn({"A1": at("2026-11-20 18:00")}, known)] == [Wish.DISARM]


def test_a_clock_that_was_known_goes_on_at_its_own_pace() -> None:
    made = Calendars({"A1": calendar()})
    applied = {"A1": at(f"{MONDAY} 07:30")}
    assert list(made.turn(applied, stamp(f"{MONDAY} 17:00", 0, ClockQuality.NTP))) == []
    assert list(made.turn(applied, stamp("2030-01-01 12:00", 1800, ClockQuality.UNKNOWN))) == [], "nobody set it"
    (found,) = made.turn(applied, stamp("2000-01-01 12:00", 3601, ClockQuality.LAST_GOOD))
    assert (found.wish, found.applied_ns) == (Wish.ARM, at(f"{MONDAY} 18:00"))


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"])
def test_points_alternate_in_every_zone_through_a_year(zone: str) -> None:
    made = Calendar(ZoneInfo(zone), ((Span(0, 90), Span(120, 150), Span(1380, 1440)),) * 7)
    found = list(points(made, date(2026, 1, 1), 365))
    assert [each.opens for each in found[:2]] == [True, False]
    assert all(a.at_ns < b.at_ns and a.opens is not b.opens for a, b in pairwise(found))


_SPANS = st.lists(
    st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda each: each[0] < each[1]), max_size=3
).map(lambda pairs: tuple(Span(*each) for each in pairs))
_CALENDARS = st.builds(
    Calendar,
    zone=st.sampled_from([SHANGHAI, BERLIN, ZoneInfo("Australia/Lord_Howe")]),
    week=st.tuples(*[_SPANS] * 7),
    holidays=st.just(((date(2026, 10, 1), date(2026, 10, 7)),)),
    open_days=st.dictionaries(st.dates(date(2026, 9, 20), date(2026, 11, 20)), _SPANS, max_size=4),
    disarms=st.booleans(),
)
_MOVES = st.lists(
    st.tuples(
        st.sampled_from([60, 3600, 20_000, 86_400, -60, -3600, -90_000, 100_000_000, -100_000_000]),
        st.sampled_from(list(ClockQuality)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(made=_CALENDARS, moves=_MOVES)
def test_no_clock_disarms_where_it_is_closed_or_by_an_old_point(
    made: Calendar, moves: list[tuple[int, ClockQuality]]
) -> None:
    calendars = Calendars({"A1": made})
    wall_ns, mono_ns, applied_ns = at("2026-10-20 12:00"), S, 0
    disarmed_ns: list[int] = []
    trusted: tuple[int, int] | None = None
    for seconds, quality in moves:
        wall_ns, mono_ns = wall_ns + seconds * S, mono_ns + abs(seconds) * S
        if quality in (ClockQuality.NTP, ClockQuality.RTC):
            trusted = wall_ns, mono_ns
        for wanted in calendars.turn({"A1": applied_ns}, Stamp(wall_ns, mono_ns, quality)):
            if wanted.wish is Wish.DISARM:
                assert made.disarms
                assert trusted is not None, "disarmed by a clock that nobody set"
                assert is_open(made, trusted[0] + mono_ns - trusted[1])
                assert wanted.applied_ns > applied_ns, "an old change point disarmed"
                disarmed_ns.append(wanted.applied_ns)
            applied_ns = wanted.applied_ns


@settings(max_examples=25, deadline=None)
@given(made=_CALENDARS, first=st.integers(0, 60))
def test_every_closing_arms_while_the_clock_is_right(made: Calendar, first: int) -> None:
    """Looked at every quarter of an hour for two days: where it has become closed since, it was armed."""
    calendars = Calendars({"A1": made})
    start_ns, applied_ns = at("2026-09-01 12:34") + first * 86_400 * S, 0
    was_open = is_open(made, start_ns)
    for quarter in range(2 * 96):
        now_ns = start_ns + quarter * 900 * S
        wishes = []
        for wanted in calendars.turn({"A1": applied_ns}, Stamp(now_ns, quarter * 900 * S, ClockQuality.NTP)):
            applied_ns = wanted.applied_ns
            wishes.append(wanted.wish)
        opens = is_open(made, now_ns)
        if was_open and not opens:
            assert wishes in ([Wish.ARM], [Wish.ARM_AT_ONCE])
        was_open = opens


def test_what_was_armed_blind_is_taken_back_in_open_hours_alone() -> None:
    wanted = Calendars({"A1": calendar(disarms=True)})
    applied = {"A1": at("2026-11-20 18:00")}
    night = wanted.turn(applied, stamp("2026-11-23 03:00", 10, ClockQuality.NTP), blind=["A1"])
    assert [each for each in night if each.wish is Wish.DISARM] == []
    (found,) = wanted.turn(applied, stamp("2026-11-23 12:00", 20, ClockQuality.NTP), blind=["A1"])
    assert (found.wish, found.blind, found.applied_ns) == (Wish.DISARM, True, at("2026-11-23 07:30"))
    kept = Calendars({"A1": calendar(disarms=False)})
    held = kept.turn(applied, stamp("2026-11-23 12:00", 20, ClockQuality.NTP), blind=["A1"])
    assert [each.wish for each in held if each.wish is Wish.DISARM] == []
