"""When it happened, by the clock of the host."""

import random

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.board_time import DRIFT, WRAP_MS, Estimate, better, host_ns

MS = 1_000_000
S = 1000 * MS


def test_a_quick_answer_beats_a_slow_one() -> None:
    quick = better(None, 10 * S, 10 * S + 4 * MS, 1000)
    after_slow = better(quick, 10 * S + 100 * MS, 10 * S + 300 * MS, 1200)
    assert after_slow is quick
    assert better(quick, 11 * S, 11 * S + 4 * MS, 2000) is not quick, "as quick and newer"


def test_an_old_estimate_gives_way_even_to_a_slow_answer() -> None:
    quick = better(None, 10 * S, 10 * S + 4 * MS, 1000)
    assert better(quick, 60 * S, 60 * S + 100 * MS, 51_000) is not quick


@given(
    offset_ms=st.integers(0, 10 * WRAP_MS),
    age_ms=st.integers(0, WRAP_MS - 10_000_000),
    since_sync_ms=st.integers(0, 10_000),
)
def test_events_up_to_49_days_old_are_dated_through_wraps(offset_ms: int, age_ms: int, since_sync_ms: int) -> None:
    now_ns = (offset_ms + age_ms + since_sync_ms) * MS + 5 * S
    sync_board_ms = (now_ns // MS - since_sync_ms) % WRAP_MS
    known = Estimate(now_ns - since_sync_ms * MS, sync_board_ms, 2 * MS)
    happened_ns = now_ns - age_ms * MS
    t_ms = happened_ns // MS % WRAP_MS
    assert abs(host_ns(known, t_ms, now_ns) - happened_ns) <= MS


def test_never_in_the_future() -> None:
    known = Estimate(10 * S, 1000, 5 * MS)
    assert host_ns(known, 1003, 10 * S + 1 * MS) == 10 * S + 1 * MS


def test_a_drifting_board_over_a_jittery_line_stays_within_its_error() -> None:
    """A resonator 0.4 % fast, round trips of 3 to 200 ms, a SYNC every second for an hour."""
    chance = random.Random(11)
    known: Estimate | None = None
    for second in range(1, 3600):
        sent_ns = second * S
        there, back = chance.randrange(1, 100) * MS, chance.randrange(1, 100) * MS
        board_ms = int((sent_ns + there) * 1.004 / MS)
        known = better(known, sent_ns, sent_ns + there + back, board_ms % WRAP_MS)
        now_ns = sent_ns + 500 * MS
        happened_ns = now_ns - 40 * MS
        found_ns = host_ns(known, int(happened_ns * 1.004 / MS) % WRAP_MS, now_ns)
        assert abs(found_ns - happened_ns) <= known.error_ns(now_ns) + 2 * MS
        assert abs(found_ns - happened_ns) <= 55 * MS
    assert DRIFT == 0.005
