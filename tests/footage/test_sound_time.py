"""The wall time of sound, whatever the camera says of it."""

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.footage.recording.sound_time import SoundTime, hear
from agent.footage.timeline import NS, Raw, TimeBase

BASE = TimeBase(1, 8000)
FRAME = 1024
FRAME_NS = FRAME * NS // 8000


def heard(packets: Sequence[tuple[int | None, int]]) -> list[int]:
    """The wall times of packets (camera's count, arrival); the last ones may have none yet."""
    time = SoundTime(BASE, FRAME)
    walls: list[int] = []
    for count, arrival in packets:
        time, decided = hear(time, Raw(count, count, FRAME), arrival)
        walls += decided
    return walls


def regular(number: int, first: int = 5_000_000) -> list[tuple[int | None, int]]:
    return [(first + place * FRAME, 10**18 + place * FRAME_NS) for place in range(number)]


def test_regular_sound_is_timed_by_its_arrival() -> None:
    walls = heard(regular(100))
    assert walls == [10**18 + place * FRAME_NS for place in range(100)]


def test_jitter_of_the_network_is_no_jitter_of_the_sound() -> None:
    chance = random.Random(2)
    late = [(count, arrival + chance.randrange(200_000_000)) for count, arrival in regular(200)]
    walls = heard(late)
    assert all(abs(after - before - FRAME_NS) < FRAME_NS // 500 for before, after in itertools.pairwise(walls))
    assert abs(walls[0] - 10**18) < 100_000_000


def test_what_a_connection_had_stored_up_is_put_back() -> None:
    """A second of sound that arrives at once was not made at once."""
    burst = [(count, max(arrival, 10**18 + NS)) for count, arrival in regular(50)]
    walls = heard(burst)
    assert abs(walls[20] - (10**18 + 20 * FRAME_NS)) < 150_000_000


@pytest.mark.parametrize("jump", [-(10**9), 10**9, 8000 * 60, -8000 * 60])
def test_a_clock_that_jumps_moves_no_sound(jump: int) -> None:
    packets = [((count or 0) + (jump if place >= 60 else 0), arrival) for place, (count, arrival) in
               enumerate(regular(120))]  # fmt: skip
    walls = heard(packets)
    assert abs(walls[100] - (10**18 + 100 * FRAME_NS)) < 200_000_000


@pytest.mark.parametrize("count", [0, None, 1 << 40])
def test_a_count_that_stands_still_is_counted_by_us(count: int | None) -> None:
    walls = heard([(count, arrival) for _, arrival in regular(100)])
    assert all(abs(wall - (10**18 + place * FRAME_NS)) < 200_000_000 for place, wall in enumerate(walls))


def test_a_hole_is_a_hole() -> None:
    """Nothing for ten seconds, then on."""
    packets = [*regular(30), *((count, arrival + 0) for count, arrival in regular(130)[110:])]
    walls = heard(packets)
    assert abs(walls[35] - (10**18 + 115 * FRAME_NS)) < 200_000_000


@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.integers(-(1 << 33), 1 << 33)), st.integers(0, 3 * NS)),
        min_size=1,
        max_size=60,
    )
)
def test_whatever_comes_times_rise_and_stay_near_arrival(packets: list[tuple[int | None, int]]) -> None:
    arrivals = list(itertools.accumulate((wait for _, wait in packets), initial=10**18))[1:]
    walls = heard([(count, at) for (count, _), at in zip(packets, arrivals, strict=True)])
    assert len(walls) <= len(packets)
    assert all(before < after for before, after in itertools.pairwise(walls))
