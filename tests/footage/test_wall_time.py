"""The time of every packet, and of every hole, against the log of the camera that sent them: hours in seconds."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import pytest

from agent.footage.rows import SegmentRow
from agent.footage.timeline import NS
from tests.fakes.camera import make_clip
from tests.fakes.reel_life import ReelLife

FPS = 5
FRAME_NS = NS // FPS


@dataclass
class Shown:
    """One packet on the disk: when it was sent, by what was recorded."""

    at_ns: int
    key: bool


class LoggingCamera:
    """Sends at its own pace and logs when; its clock is off by `ppm`, and the network delays packets."""

    def __init__(self, life: ReelLife, ppm: float = 0.0, seed: int = 1) -> None:
        self.life = life
        self.log: list[int] = []
        self.error_s = 0.0
        """Of the camera's clock: added to its time stamps."""
        self._ppm = ppm
        self._random = random.Random(seed)
        self._late: list[tuple[int, int]] = []

    def send(self, seconds: float, stall_at_s: float | None = None) -> None:
        """Send for so long; the network stalls for 2.5 s at `stall_at_s`, and then delivers what waited."""
        base = self.life.camera._stream.time_base
        assert base is not None
        clock = self.life.clock
        for number in range(round(seconds * FPS)):
            clock.move(1 / FPS)
            self.log.append(self.life.true_ns())
            self.error_s += self._ppm / 1e6 / FPS
            self.life.camera.offset_ticks = round(self.error_s / base)
            delay_ns = round(self._random.triangular(0.0, 0.08, 0.01) * NS)
            if stall_at_s is not None and 0 <= number / FPS - stall_at_s < 2.5:
                delay_ns += round((2.5 - (number / FPS - stall_at_s)) * NS)
            self.life.camera.play(delay_ns)
            if number % 2:
                self.life._turn()
        self.life._turn()

    def silent(self, seconds: float) -> None:
        """Send nothing, with a clock that goes on."""
        self.life.wait(seconds)
        base = self.life.camera._stream.time_base
        assert base is not None
        self.error_s += seconds + seconds * self._ppm / 1e6


def shown(life: ReelLife) -> list[Shown]:
    """Every packet of every file, with the wall time that rows and file give it."""
    found: list[Shown] = []
    for row in life.rows():
        found += _shown(life.volume / row.path, row)
    return found


def _shown(path: Path, row: SegmentRow) -> Iterator[Shown]:
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        packets = [(packet.dts or 0, packet.is_keyframe) for packet in container.demux(stream) if packet.size]
    assert row.end_ns is not None
    length = row.end_ns - row.start_ns
    ticks = packets[-1][0] + 1 / FPS / stream.time_base
    for dts, key in packets:
        yield Shown(row.start_ns + round(dts / ticks * length), key)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    make_clip(path, seconds=20, fps=FPS, size=(64, 64))
    return path


@pytest.fixture
def life(tmp_path: Path, clip: Path) -> Iterator[ReelLife]:
    found = ReelLife(tmp_path, clip, segment_s=60)
    found.start()
    yield found
    if found.is_on:
        found.stop()


def finish(life: ReelLife) -> None:
    life.stop()
    life.start()


@pytest.mark.parametrize("ppm", [500.0, -500.0])
def test_every_packet_of_a_drifting_camera_is_where_it_was_sent(life: ReelLife, ppm: float) -> None:
    """Two hours; a quartz is off by 100 ppm, this one by five times as much: 3.6 s in the end, if nobody looked."""
    camera = LoggingCamera(life, ppm)
    for minute in range(120):
        camera.send(60, stall_at_s=30 if minute % 20 == 10 else None)
    finish(life)
    found = shown(life)
    assert len(found) == len(camera.log)
    errors = [each.at_ns - sent for each, sent in zip(found, camera.log, strict=True)]

    assert max(abs(error) for error in errors) < FRAME_NS / 2
    assert all(a.end_ns == b.start_ns for a, b in pairwise(life.rows())), "no hole and no overlap between files"


@pytest.mark.parametrize("seconds", [3.0, 7.0, 61.3])
def test_a_hole_in_the_cameras_log_is_a_gap_of_its_length(life: ReelLife, seconds: float) -> None:
    camera = LoggingCamera(life, ppm=200)
    camera.send(47.4)
    last_ns = camera.log[-1]
    camera.silent(seconds)
    camera.send(30)
    finish(life)
    keys = [each.at_ns for each in shown(life) if each.key]
    next_ns = min(at for at in keys if at > last_ns + FRAME_NS)  # a file begins with a key picture
    (gap,) = [gap for gap in life.decided().ledger.gaps if gap.reason == "camera_silent"]
    assert abs(gap.from_ns - (last_ns + FRAME_NS)) < FRAME_NS
    assert gap.to_ns is not None
    assert abs(gap.to_ns - next_ns) < FRAME_NS
    first_ns = min(sent for sent in camera.log if sent > last_ns)
    assert 0 <= gap.to_ns - first_ns + FRAME_NS < NS + 2 * FRAME_NS, "no more is lost than up to the next key picture"


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 1.7, -1.7, 2.0**26])
def test_a_camera_that_sets_its_clock_in_mid_stream_loses_nothing(life: ReelLife, jump_s: float) -> None:
    """Cameras do so with their first report, some seconds after they began to send."""
    camera = LoggingCamera(life)
    camera.send(3.6)
    camera.error_s += jump_s
    camera.send(90)
    finish(life)
    found = shown(life)
    assert len(found) == len(camera.log)
    assert max(abs(each.at_ns - sent) for each, sent in zip(found, camera.log, strict=True)) < FRAME_NS / 2 + NS // 10
    assert {gap.reason for gap in life.decided().ledger.gaps} <= {"starting", "restart"}


@pytest.mark.parametrize("rate", [0.8, 1.25])
def test_a_camera_whose_time_stamps_run_at_another_rate(life: ReelLife, rate: float) -> None:
    """A cheap one that stamps 25 pictures a second and sends 20: its footage goes on, and stays near the time."""
    camera = LoggingCamera(life, ppm=(rate - 1) * 1e6)
    camera.send(300)
    finish(life)
    found = shown(life)
    assert len(found) == len(camera.log)
    assert max(abs(each.at_ns - sent) for each, sent in zip(found, camera.log, strict=True)) < 3 * NS
    assert {gap.reason for gap in life.decided().ledger.gaps} <= {"starting", "restart"}
    for before, after in pairwise(life.rows()):
        assert before.end_ns == after.start_ns
