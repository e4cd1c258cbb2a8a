"""What is due: only real time and announced changes make it more, whatever clocks and settings say."""

import json
from dataclasses import dataclass, replace

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from agent.facts import ClockQuality, Stamp
from agent.footage.upkeep.due import DAY_NS, Dues, Line, advance_due, after_change, announced, clock_believed, dues_of

START_NS = 1_795_000_000 * 10**9
HOUR_NS = DAY_NS // 24


@dataclass
class Machine:
    """A clock, and what is due on it."""

    wall_ns: int = START_NS
    mono_ns: int = 10**12
    boot: str = "a"
    quality: ClockQuality = ClockQuality.NTP
    term_ns: int = 90 * DAY_NS
    newest_ns: int | None = None
    dues: Dues | None = None

    @property
    def now(self) -> Stamp:
        return Stamp(self.wall_ns, self.mono_ns, self.quality)

    @property
    def known(self) -> Dues:
        assert self.dues is not None
        return self.dues

    @property
    def due_ns(self) -> int:
        return self.known.due_ns("main", self.now)

    def announced(self) -> int | None:
        return announced(self.known, self.now)

    def run(self, passed_ns: int, step_ns: int = 60 * 10**9) -> None:
        while passed_ns > 0:
            step = min(step_ns, passed_ns)
            passed_ns -= step
            self.wall_ns += step
            self.mono_ns += step
            self.look()

    def look(self) -> None:
        self.dues = advance_due(self.dues, self.now, self.boot, {"main": self.term_ns}, self.newest_ns)

    def reboot(self, off_ns: int, quality: ClockQuality) -> None:
        self.boot, self.mono_ns, self.quality = self.boot + "'", 10**9, quality
        self.wall_ns += off_ns
        self.look()

    def settled(self) -> "Machine":
        self.run(DAY_NS + HOUR_NS)
        assert self.due_ns == self.wall_ns - self.term_ns
        return self


def test_a_beginning_of_which_nothing_is_known_waits_for_a_day() -> None:
    machine = Machine()
    machine.run(23 * HOUR_NS)
    assert machine.due_ns < 0
    machine.run(2 * HOUR_NS)
    assert machine.due_ns == machine.wall_ns - machine.term_ns


def test_a_clock_in_2099_for_an_hour_makes_nothing_due() -> None:
    machine = Machine().settled()
    right = machine.due_ns
    machine.wall_ns += 73 * 365 * DAY_NS
    machine.run(HOUR_NS)
    assert machine.due_ns <= right + 2 * HOUR_NS
    assert machine.announced() is not None
    assert after_change(machine.known, machine.now, "main") == machine.wall_ns - machine.term_ns
    machine.wall_ns -= 73 * 365 * DAY_NS
    machine.look()
    assert machine.announced() is None
    assert machine.due_ns == machine.wall_ns - machine.term_ns


def test_fewer_days_in_the_settings_are_told_for_a_day_and_then_followed() -> None:
    machine = Machine().settled()
    machine.term_ns = 30 * DAY_NS
    machine.look()
    assert machine.due_ns == machine.wall_ns - 90 * DAY_NS
    assert machine.announced() == DAY_NS
    assert after_change(machine.known, machine.now, "main") == machine.wall_ns - 30 * DAY_NS
    machine.run(DAY_NS - HOUR_NS)
    assert machine.due_ns == machine.wall_ns - 90 * DAY_NS
    machine.run(HOUR_NS)
    assert machine.due_ns == machine.wall_ns - 30 * DAY_NS
    assert machine.announced() is None


def test_a_slip_that_is_put_right_in_time_deletes_nothing_and_the_next_one_waits_anew() -> None:
    machine = Machine().settled()
    machine.term_ns = 30 * DAY_NS
    machine.run(20 * HOUR_NS)
    machine.term_ns = 90 * DAY_NS
    machine.look()
    assert machine.announced() is None
    machine.term_ns = 30 * DAY_NS
    machine.run(6 * HOUR_NS)
    assert machine.due_ns == machine.wall_ns - 90 * DAY_NS


def test_what_was_announced_as_60_days_does_not_become_30_without_a_wait() -> None:
    machine = Machine().settled()
    machine.term_ns = 60 * DAY_NS
    machine.run(23 * HOUR_NS)
    machine.term_ns = 30 * DAY_NS
    machine.run(2 * HOUR_NS)
    assert machine.due_ns == machine.wall_ns - 90 * DAY_NS


def test_more_days_count_at_once() -> None:
    machine = Machine().settled()
    machine.term_ns = 180 * DAY_NS
    machine.look()
    assert machine.due_ns == machine.wall_ns - 180 * DAY_NS


def test_a_night_without_power_is_lent_for_a_day_once_the_clock_is_synchronised() -> None:
    machine = Machine().settled()
    machine.reboot(10 * HOUR_NS, ClockQuality.UNKNOWN)
    machine.run(HOUR_NS)
    assert machine.due_ns < machine.wall_ns - machine.term_ns - 8 * HOUR_NS
    machine.quality = ClockQuality.NTP
    machine.look()
    assert machine.known.line.at_ns == machine.wall_ns, "labels up to now are believed"
    assert machine.due_ns < machine.wall_ns - machine.term_ns - 8 * HOUR_NS
    assert machine.announced() is None, "and nobody is told each morning"
    machine.run(DAY_NS - HOUR_NS)
    assert machine.due_ns < machine.wall_ns - machine.term_ns - 8 * HOUR_NS
    machine.run(HOUR_NS)
    assert machine.due_ns == machine.wall_ns - machine.term_ns


@pytest.mark.parametrize("quality", [ClockQuality.NTP, ClockQuality.RTC])
def test_a_clock_that_is_two_days_ahead_at_a_start_makes_nothing_due_before_it_is_put_right(
    quality: ClockQuality,
) -> None:
    """It says that it is synchronised: so it does after a night without power, and it is wrong."""
    machine = Machine().settled()
    right = machine.due_ns
    machine.reboot(2 * DAY_NS, quality)
    machine.run(20 * HOUR_NS)
    assert machine.due_ns <= right + 22 * HOUR_NS
    machine.wall_ns -= 2 * DAY_NS
    machine.run(HOUR_NS)
    assert machine.due_ns <= right + 23 * HOUR_NS
    machine.wall_ns += 2 * DAY_NS  # and once more
    machine.run(20 * HOUR_NS)
    assert machine.due_ns <= right + 43 * HOUR_NS
    machine.wall_ns -= 2 * DAY_NS
    machine.run(2 * DAY_NS)
    assert machine.due_ns == machine.wall_ns - machine.term_ns, "what was wrong is forgotten"


def test_a_machine_that_is_off_every_night_and_weekend_lags_by_days_and_no_more() -> None:
    machine = Machine().settled()
    for day in range(180):
        machine.run(9 * HOUR_NS)
        machine.reboot((15 if day % 5 else 63) * HOUR_NS, ClockQuality.NTP)
    lag_ns = machine.wall_ns - machine.term_ns - machine.due_ns
    assert 0 < lag_ns <= 5 * DAY_NS
    machine.run(DAY_NS + HOUR_NS)
    assert machine.due_ns == machine.wall_ns - machine.term_ns


def test_loans_survive_a_restart_and_those_of_an_earlier_version_lent_nothing() -> None:
    machine = Machine().settled()
    machine.reboot(10 * HOUR_NS, ClockQuality.NTP)
    assert machine.known.line.lent
    values = json.loads(json.dumps(machine.known.values()))
    assert dues_of(values) == replace(machine.known, believed=False)
    del values["line"]["lent"]
    earlier = dues_of(values)
    assert earlier is not None
    assert earlier.line.lent == ()
    values["line"]["lent"] = [[1]]
    assert dues_of(values) is None


def test_a_clock_that_is_years_ahead_after_a_start_waits_even_when_it_says_that_it_is_synchronised() -> None:
    machine = Machine().settled()
    machine.reboot(400 * DAY_NS, ClockQuality.NTP)
    machine.run(23 * HOUR_NS)
    assert machine.due_ns < machine.wall_ns - machine.term_ns - 398 * DAY_NS
    machine.run(2 * HOUR_NS)
    assert machine.due_ns == machine.wall_ns - machine.term_ns


def test_after_a_start_in_1970_without_network_time_goes_on_from_where_it_was() -> None:
    machine = Machine().settled()
    before = machine.due_ns
    machine.newest_ns = machine.wall_ns
    machine.reboot(10**9 - machine.wall_ns, ClockQuality.UNKNOWN)
    machine.run(2 * DAY_NS)
    assert not machine.known.believed
    assert machine.due_ns == before + 2 * DAY_NS
    machine.wall_ns, machine.quality = machine.newest_ns + 3 * DAY_NS, ClockQuality.NTP
    machine.look()
    machine.run(DAY_NS)
    assert machine.due_ns == machine.wall_ns - machine.term_ns


def test_a_pause_is_no_wait() -> None:
    machine = Machine().settled()
    machine.term_ns = 30 * DAY_NS
    machine.look()
    machine.run(5 * DAY_NS, step_ns=5 * DAY_NS)
    assert machine.due_ns == machine.wall_ns - 90 * DAY_NS


def test_an_unsynchronised_clock_before_the_newest_footage_is_not_believed() -> None:
    assert not clock_believed(Stamp(5, 0, ClockQuality.UNKNOWN), 6)
    assert clock_believed(Stamp(6, 0, ClockQuality.UNKNOWN), 6)
    assert clock_believed(Stamp(5, 0, ClockQuality.NTP), 6)
    assert clock_believed(Stamp(5, 0, ClockQuality.UNKNOWN), None)


def test_the_state_survives_as_a_note_and_damage_to_the_note_is_no_state() -> None:
    machine = Machine().settled()
    machine.term_ns = 30 * DAY_NS
    machine.look()
    kept = dues_of(json.loads(json.dumps(machine.known.values())))
    assert kept is not None
    assert (kept.line, kept.terms) == (machine.known.line, machine.known.terms)
    whole = machine.known.values()
    damaged: list[object] = [None, [], {}, {"line": {}}, {**whole, "line": {**whole["line"], "at_ns": "soon"}}]
    for each in damaged:
        assert dues_of(each) is None


MOVES = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 4 * HOUR_NS)),
    st.tuples(st.just("step"), st.integers(-400 * DAY_NS, 400 * DAY_NS)),
    st.tuples(st.just("step"), st.integers(-HOUR_NS, HOUR_NS)),
    st.tuples(st.just("term"), st.integers(30 * DAY_NS, 200 * DAY_NS)),
    st.tuples(st.just("quality"), st.sampled_from([0, 1])),
    st.tuples(st.just("newest"), st.integers(-DAY_NS, DAY_NS)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(MOVES, max_size=40))
def test_in_one_boot_nothing_outruns_real_time_without_a_whole_wait(moves: list[tuple[str, int]]) -> None:
    machine = Machine().settled()
    began_at, began_mono = machine.known.line.at_ns, machine.mono_ns
    longest = machine.term_ns
    for what, value in moves:
        if what == "step":
            machine.wall_ns = max(0, machine.wall_ns + value)
        elif what == "term":
            machine.term_ns = value
        elif what == "quality":
            machine.quality = ClockQuality.NTP if value else ClockQuality.UNKNOWN
        elif what == "newest":
            machine.newest_ns = machine.wall_ns + value
        machine.look()
        longest = max(longest, machine.term_ns)
        if what == "run":
            machine.run(value, step_ns=max(value // 5, 1))
        passed = machine.mono_ns - began_mono
        if machine.known.believed:
            assert machine.due_ns <= machine.wall_ns - machine.term_ns
        if passed < DAY_NS:  # nothing can have been told for a whole day
            assert machine.known.line.at_ns - began_at <= passed + HOUR_NS + passed // 24 + len(moves)
            assert machine.known.terms["main"].ns == longest


@given(st.one_of(st.none(), st.integers(), st.dictionaries(st.text(), st.integers())))
def test_no_note_is_taken_for_a_state(values: object) -> None:
    assert dues_of(values) is None


def test_a_line_that_was_never_moved_trusts_nothing() -> None:
    assert Dues(Line(), {}).trusted_ns(Stamp(START_NS, 0)) == 0
