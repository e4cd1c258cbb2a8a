"""The wall clock is set at the worst moments: no footage is lost, none is invented, every instant has its answer."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.clock import stamp
from agent.facts import ClockQuality
from agent.footage.recording.segment import create_file
from agent.footage.timeline import NS, Gap
from tests.fakes.camera import make_clip
from tests.fakes.clock import MovedClock
from tests.fakes.gap_rows import gaps_between
from tests.footage.test_track import CAMERA, FRAME_S, Rig

STEPS = [3600.0, -3600.0, 1.5, -1.5]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    make_clip(path)
    return path


@pytest.fixture
def rig(tmp_path: Path, clip: Path) -> Iterator[Rig]:
    found = Rig(tmp_path, clip)
    yield found
    found.close()


def gap_rows(rig: Rig) -> list[Gap]:
    with rig.index.reading() as connection:
        return gaps_between(connection, CAMERA, "main", 0, 1 << 62, 1000)


def while_a_file_is_opened(rig: Rig, step_s: float) -> float:
    """Between the row of the second file and its first byte."""
    rig.play(5)
    opened = itertools.count()

    def step_then_open(path: Path) -> int:
        if next(opened) == 0:
            rig.clock.step_wall(step_s)
        return create_file(path)

    rig.store.opener = step_then_open
    rig.play(25)
    return 30


def twice_within_a_second(rig: Rig, step_s: float) -> float:
    rig.play(5.2)
    rig.clock.step_wall(step_s)
    rig.play(0.5)
    rig.clock.step_wall(step_s)
    rig.play(10.3)
    return 16


def twice_while_a_new_run_settles(rig: Rig, step_s: float) -> float:
    rig.play(5)
    rig.clock.step_wall(step_s)
    while not rig.track._held:
        rig.play(FRAME_S)
    rig.clock.step_wall(step_s)
    rig.play(10)
    return (rig.clock.mono_ns() - MovedClock().mono_ns()) / NS


def back_and_forth(rig: Rig, step_s: float) -> float:
    rig.play(5.2)
    rig.clock.step_wall(step_s)
    rig.play(0.5)
    rig.clock.step_wall(-step_s)
    rig.play(10.3)
    return 16


def while_the_camera_lies_about_time(rig: Rig, step_s: float) -> float:
    """Its time stamps run too fast; just when its footage is timed anew for that, the clock is set."""
    began_ns = rig.clock.mono_ns()
    base = rig.camera._stream.time_base
    assert base is not None
    held = False
    for _ in range(600):
        rig.camera.offset_ticks += round(0.04 / base)
        rig.play(FRAME_S)
        if not held and rig.track._held and rig.track._reel.segment is not None:
            held = True
            rig.clock.step_wall(step_s)
            break
    assert held, "the camera was never found out"
    rig.play(12)
    return (rig.clock.mono_ns() - began_ns) / NS


SITUATIONS: list[Callable[[Rig, float], float]] = [
    while_a_file_is_opened, twice_within_a_second, twice_while_a_new_run_settles, back_and_forth,
    while_the_camera_lies_about_time,
]  # fmt: skip


@pytest.mark.parametrize("step_s", STEPS)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_no_footage_is_lost_and_none_is_invented(
    rig: Rig, situation: Callable[[Rig, float], float], step_s: float
) -> None:
    played_s = situation(rig, step_s)
    rig.finish()
    found = rig.rows()
    assert sum(row.frames for row in found) == round(played_s / FRAME_S)
    lengths = [((row.end_ns or 0) - row.start_ns) / NS for row in found]
    assert all(length > 0 for length in lengths)
    lies = situation is while_the_camera_lies_about_time
    assert abs(sum(lengths) - played_s) < (6 if lies else 2 * abs(step_s) if abs(step_s) < 2 else 0.3)
    assert abs((found[-1].end_ns or 0) - rig.clock.wall_ns()) < 0.6 * NS + (2 * NS if lies else 0)
    assert "unrecorded" not in {gap.reason for gap in rig.ledger().gaps}
    if step_s > 0:
        for before, after in itertools.pairwise(found):
            assert (before.end_ns or 0) <= after.start_ns, "footage overlaps only when the clock was set back"


@pytest.mark.parametrize("step_s", STEPS)
def test_a_step_during_a_stall_keeps_the_reason_of_the_stall(rig: Rig, step_s: float) -> None:
    rig.play(5)
    rig.wait(2)
    rig.clock.step_wall(step_s)
    rig.wait(6)
    rig.camera.end()
    rig.camera.open()
    rig.play(5)
    rig.finish()
    gaps = [gap for gap in gap_rows(rig) if gap.reason not in ("starting", "restart")]
    assert {gap.reason for gap in gaps} == {"camera_silent", *(["clock_step"] if step_s > 0 else [])}
    silent_s = sum(((gap.to_ns or 0) - gap.from_ns) / NS for gap in gaps if gap.reason == "camera_silent")
    assert abs(silent_s - 8) < 2, "the stall is as long as it was, whatever the clock says"
    stepped_s = sum(((gap.to_ns or 0) - gap.from_ns) / NS for gap in gaps if gap.reason == "clock_step")
    assert abs(stepped_s - max(step_s, 0)) < 0.5


def test_a_clock_that_is_set_within_a_turn_is_seen_once_by_everything(rig: Rig) -> None:
    """A gap begins in the very turn in which the clock is set: what was left out is told once."""
    rig.play(5)
    rig.camera.end()
    now = stamp(rig.clock)
    rig.clock.step_wall(3600)
    rig.track.turn(now)
    rig.wait(8)
    rig.camera.open()
    rig.play(5)
    rig.finish()
    steps = [gap for gap in gap_rows(rig) if gap.reason == "clock_step"]
    assert [round(((gap.to_ns or 0) - gap.from_ns) / NS) for gap in steps] == [3600]


class Interrupted:
    """A clock whose reader is held up for two seconds between the two readings, the first time."""

    def __init__(self) -> None:
        self._moved = MovedClock()
        self.held_up = 0

    def wall_ns(self) -> int:
        found = self._moved.wall_ns()
        if self.held_up == 0:
            self.held_up += 1
            self._moved.move(2)
        return found

    def mono_ns(self) -> int:
        return self._moved.mono_ns()

    def quality(self) -> ClockQuality:
        return ClockQuality.NTP

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return self._moved.wait(event, timeout_s)


def test_a_reader_that_is_held_up_between_two_clocks_sees_no_step() -> None:
    clock = Interrupted()
    first, second = stamp(clock), stamp(clock)
    assert clock.held_up == 1
    assert first.wall_ns - first.mono_ns == second.wall_ns - second.mono_ns
