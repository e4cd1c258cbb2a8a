"""Situations, and properties that hold for every input."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agent.footage.timeline import (
    FAR_OFF_FOR_NS,
    NS,
    SLEW_PPM,
    Gap,
    Raw,
    RunTime,
    Sane,
    SegmentRef,
    Span,
    TimeBase,
    advance,
    begin_run,
    clock_stepped,
    first_length_ns,
    follow,
    ledger,
    merge,
    plan_export,
    sane_head,
    should_cut,
)

BASE = TimeBase(1, 90_000)
FRAME = 3600
FRAME_NS = 40_000_000
T0 = 1_790_000_000 * NS


def test_first_key_frame_without_times() -> None:
    held = [Raw(None, None, FRAME), Raw(0, 0, FRAME), Raw(FRAME, FRAME, FRAME)]
    assert sane_head(held, FRAME, BASE) == [Sane(-FRAME, -FRAME), Sane(0, 0), Sane(FRAME, FRAME)]


def test_b_frames_without_decoding_times_at_the_start() -> None:
    held = [Raw(None, None, FRAME), Raw(0, None, FRAME), Raw(3 * FRAME, None, FRAME), Raw(4 * FRAME, 0, FRAME)]
    times = sane_head(held, FRAME, BASE)
    assert [each.dts for each in times] == [-3 * FRAME, -2 * FRAME, -FRAME, 0]
    assert all(each.pts >= each.dts for each in times)


times_or_none = st.none() | st.integers(-(10**6), 10**9)


@given(st.lists(st.builds(Raw, times_or_none, times_or_none, st.just(FRAME)), min_size=1, max_size=40))
def test_head_always_rises_and_never_shows_before_it_decodes(held: list[Raw]) -> None:
    times = sane_head(held, FRAME, BASE)
    assert len(times) == len(held)
    assert all(a.dts < b.dts for a, b in itertools.pairwise(times))
    assert all(each.pts >= each.dts for each in times)


def begun(last_dts: int) -> RunTime:
    return advance(begin_run(BASE, [(last_dts - FRAME, T0 - FRAME_NS)]), last_dts, T0)


def after(last_dts: int, raw: Raw, after_ns: int = FRAME_NS) -> Sane | None:
    """The times of the packet after the one decoded at `last_dts`, which arrived `after_ns` later."""
    found = follow(begun(last_dts), raw, FRAME, T0 + after_ns)
    return found[0] if found else None


def test_a_time_that_does_not_rise_is_bumped() -> None:
    assert after(1000, Raw(1000, 1000, FRAME)) == Sane(1001, 1001)
    assert after(1000, Raw(None, None, FRAME)) == Sane(1000 + FRAME, 1000 + FRAME)


def test_packets_that_are_missing_end_the_run() -> None:
    assert after(0, Raw(270_000, 270_000, FRAME), 3 * NS) is None
    assert after(0, Raw(170_000, 170_000, FRAME), 2 * NS - NS // 10) == Sane(170_000, 170_000)
    assert after(10_000_000, Raw(0, 0, FRAME), 3 * NS) is None, "whatever the camera says of its time"


def test_a_camera_clock_that_jumps_moves_no_packet() -> None:
    for jump in (90_000 * 3600, -90_000 * 3600, 150_000, -50_000):
        found = follow(begun(10_000_000), Raw(10_003_600 + jump, 10_003_600 + jump, FRAME), FRAME, T0 + FRAME_NS)
        assert found is not None
        times, run = found
        assert times == Sane(10_003_600, 10_003_600)
        run = advance(run, times.dts, T0 + FRAME_NS)
        later = follow(run, Raw(10_010_800 + jump, 10_007_200 + jump, FRAME), FRAME, T0 + 2 * FRAME_NS)
        assert later is not None
        assert later[0] == Sane(10_010_800, 10_007_200)


def test_late_packets_are_no_jump() -> None:
    run = begun(0)
    for number in range(1, 60):  # a network that stalled for two seconds delivers at once
        found = follow(run, Raw(number * FRAME, number * FRAME, FRAME), FRAME, T0 + max(number, 50) * FRAME_NS)
        assert found is not None
        assert found[0].dts == number * FRAME
        run = advance(found[1], found[0].dts, T0 + max(number, 50) * FRAME_NS)
    assert run.shift == 0


@given(st.integers(0, 10**12), st.builds(Raw, times_or_none, times_or_none, st.just(FRAME)), st.integers(0, 5 * NS))
def test_next_rises_or_begins_a_run(last: int, raw: Raw, after_ns: int) -> None:
    times = after(last, raw, after_ns)
    if times is not None:
        assert times.dts > last
        assert times.pts >= times.dts
        assert BASE.ns(times.dts - last) <= max(after_ns, FRAME_NS) + NS, "no packet is from the future"


def test_what_was_stored_up_before_reading_does_not_shift_the_footage() -> None:
    # Ten frames come at once after 360 ms, then one every 40 ms.
    arrivals = [(n * FRAME, T0 + max(n, 9) * FRAME_NS) for n in range(20)]
    assert begin_run(BASE, arrivals).anchor_ns == T0


def test_a_run_does_not_overlap_the_footage_before_it() -> None:
    assert begin_run(BASE, [(0, T0)], not_before_ns=T0 + 5).anchor_ns == T0 + 5


def test_wall_time_follows_a_quartz_that_is_off() -> None:
    # The camera counts 200 ppm too slowly: after an hour its own clock is 0.72 s behind.
    run = begin_run(BASE, [(0, T0)])
    for n in range(1, 3600 * 5):
        arrival = T0 + n * 200_000_000
        run = advance(run, n * 18_000 - n * 18_000 // 5000, arrival)
    assert abs(run.last_ns - (T0 + (3600 * 5 - 1) * 200_000_000)) < 2_000_000
    assert not run.far_off


def test_a_stalled_network_that_catches_up_changes_little() -> None:
    run = begin_run(BASE, [(0, T0)])
    for n in range(1, 500):
        late = 3 * NS if 100 < n < 175 else 0
        run = advance(run, n * FRAME, T0 + n * FRAME_NS + late)
        assert not run.far_off
    assert abs(run.last_ns - (T0 + 499 * FRAME_NS)) < 5_000_000


def test_a_camera_clock_that_runs_away_is_found() -> None:
    run = begin_run(BASE, [(0, T0)])
    n = 0
    while not run.far_off:
        n += 1
        run = advance(run, n * FRAME, T0 + n * 2 * FRAME_NS)
        assert n * FRAME_NS < 2 * FAR_OFF_FOR_NS
    assert n * FRAME_NS > FAR_OFF_FOR_NS


@given(st.lists(st.tuples(st.integers(1, 180_000), st.integers(-5 * NS, 5 * NS)), max_size=60))
def test_wall_time_rises_and_bends_by_no_more_than_allowed(steps: list[tuple[int, int]]) -> None:
    run = begin_run(BASE, [(0, T0)])
    dts = 0
    for ticks, noise in steps:
        dts += ticks
        before = run
        run = advance(run, dts, T0 + BASE.ns(dts) + noise)
        plain = BASE.ns(dts) - BASE.ns(before.last_dts)
        assert run.last_ns > before.last_ns
        assert abs(run.last_ns - before.last_ns - plain) <= plain * SLEW_PPM // 1_000_000 + 1


def test_only_a_key_frame_cuts() -> None:
    assert should_cut(True, 60 * NS, 60 * NS, False)
    assert should_cut(True, 1, 60 * NS, True)
    assert not should_cut(False, 90 * NS, 60 * NS, True)
    assert not should_cut(True, 59 * NS, 60 * NS, False)


def test_cameras_cut_at_different_times() -> None:
    lengths = [first_length_ns(f"{n:08x}-0000-5000-8000-000000000000", 60 * NS) for n in (0, 300, 600, 1023)]
    assert lengths == sorted(set(lengths))
    assert all(30 * NS <= each < 60 * NS for each in lengths)


def test_a_set_clock_is_told_from_one_that_is_disciplined() -> None:
    assert clock_stepped(T0, T0 + NS + 1)
    assert clock_stepped(T0, T0 - 3600 * NS)
    assert not clock_stepped(T0, T0 + NS // 2)


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda t: Span(t[0], t[0] + t[1])), max_size=8)
gaps = st.lists(
    st.tuples(st.integers(0, 60), st.none() | st.integers(0, 20), st.sampled_from(["a", "b"])).map(
        lambda t: Gap(t[0], None if t[1] is None else t[0] + t[1], t[2])
    ),
    max_size=8,
)


@given(spans, gaps, st.integers(0, 50), st.integers(1, 30))
def test_every_instant_is_footage_or_gap(footage: list[Span], rows: list[Gap], start: int, length: int) -> None:
    end = start + length
    found = ledger(footage, rows, start, end)
    for instant in range(start, end):
        is_footage = any(each.from_ns <= instant < each.to_ns for each in footage)
        in_spans = sum(each.from_ns <= instant < each.to_ns for each in found.spans)
        holding = [each for each in found.gaps if each.to_ns is not None and each.from_ns <= instant < each.to_ns]
        assert in_spans == is_footage
        assert len(holding) == (not is_footage)
        claims = [r for r in rows if r.from_ns <= instant and (r.to_ns is None or instant < r.to_ns)]
        for each in holding:
            assert each.reason in ({r.reason for r in claims} or {"unrecorded"})
    edges = sorted([(s.from_ns, s.to_ns) for s in found.spans] + [(g.from_ns, g.to_ns or 0) for g in found.gaps])
    assert edges[0][0] == start
    assert edges[-1][1] == end
    assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))


@given(spans)
def test_merging_keeps_every_instant(footage: list[Span]) -> None:
    merged = merge(footage)
    assert all(a.to_ns < b.from_ns for a, b in itertools.pairwise(merged))
    for instant in range(85):
        assert any(s.from_ns <= instant < s.to_ns for s in footage) == any(
            s.from_ns <= instant < s.to_ns for s in merged
        )


def _ref(start: int, end: int, codec: str = "h264", width: int = 1920) -> SegmentRef:
    return SegmentRef(f"/v/{start}.mp4", start, end, codec, width, 1080)


def test_an_export_is_split_where_the_picture_changes() -> None:
    plan = plan_export([_ref(20, 30, width=1280), _ref(0, 10), _ref(10, 20)], 5, 28)
    assert [[each.start_ns for each in group] for group in plan.groups] == [[0, 10], [20]]


def test_an_export_is_split_at_gaps_when_asked() -> None:
    segments = [_ref(0, 10), _ref(10, 20), _ref(25, 30)]
    assert len(plan_export(segments, 0, 30).groups) == 1
    assert len(plan_export(segments, 0, 30, split_at_gaps=True).groups) == 2
    assert plan_export(segments, 0, 30).ledger.gaps == (Gap(20, 25, "unrecorded"),)


def test_nothing_to_export() -> None:
    assert plan_export([_ref(0, 10)], 10, 20).groups == ()
