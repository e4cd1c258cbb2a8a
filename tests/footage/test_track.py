"""One camera on its way to a real disk and a real index, by a clock that the test moves."""

import errno
import hashlib
import itertools
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import av
import pytest

from agent.camera_address import Address
from agent.clock import stamp
from agent.footage import rows
from agent.footage.disk.files import create_volume
from agent.footage.index import Index
from agent.footage.index_file import prepare
from agent.footage.naming import camera_uuid
from agent.footage.recording.arrivals import Overflowed, Trouble
from agent.footage.recording.plan import CameraPlan
from agent.footage.recording.segment import create_file
from agent.footage.recording.store import Store
from agent.footage.recording.sync import SyncThread
from agent.footage.recording.track import Track
from agent.footage.recording.volumes import Disk, Volumes
from agent.footage.rows import SegmentRow
from agent.footage.timeline import NS, Gap, GapReason, Ledger, Span, ledger
from tests.fakes.camera import make_clip
from tests.fakes.clock import MovedClock
from tests.fakes.gap_rows import gaps_between
from tests.fakes.played import PlayedCamera
from tests.fakes.waiting import until

CAMERA = camera_uuid("f1", "cam1")
FRAME_S = 0.1


class Rig:
    """A track with everything below it real but the camera and the clock."""

    def __init__(self, folder: Path, clip: Path, sync: SyncThread | None = None) -> None:
        self.clock = MovedClock()
        self.began_ns = self.clock.wall_ns()
        self.camera = PlayedCamera(clip, self.clock)
        self.index = Index(folder / "footage.db")
        prepare(self.index.path)
        self.index.start()
        self.sync = sync or SyncThread(1.0, self.clock)
        self.sync.start()
        self.path = folder / "volume"
        create_volume(self.path, "f1")
        self.volumes = Volumes([self.path], "f1", self.index, self.clock, lambda: self.sync, 1)
        self.volumes.look(stamp(self.clock), False, lambda: None)
        self.disk = self.volumes.disks[0]
        self.store = Store(self.index, self.volumes, self.clock, "boot", 10 * NS)
        plan = CameraPlan("cam1", CAMERA, "one", Address("rtsp://127.0.0.1/none"))
        self.track = Track(plan, self.camera, self.store, 5 * NS)
        self.index.submit(rows.put_gap(CAMERA, "main", Gap(self.began_ns, None, "starting")))

    def play(self, seconds: float) -> None:
        """The camera sends in real time, the track turns four times a second."""
        for number in range(round(seconds / FRAME_S)):
            self.clock.move(FRAME_S)
            self.camera.play()
            if number % 3 == 2:
                self.turn()
        self.turn()

    def wait(self, seconds: float) -> None:
        """Time passes and no packet comes."""
        for _ in range(round(seconds * 4)):
            self.clock.move(0.25)
            self.turn()

    def turn(self) -> None:
        self.track.turn(stamp(self.clock))

    def finish(self) -> None:
        """Stop as the recorder does, and wait for disk and index."""
        self.turn()
        self.track.stop()
        until(lambda: not self.track.live, 5, "every file is closed")
        self.index.submit().done.wait(5)

    def rows(self) -> list[SegmentRow]:
        self.index.submit().done.wait(5)
        with self.index.reading() as connection:
            found = connection.execute("SELECT * FROM segment ORDER BY seq")
            return [SegmentRow(*(row[name] for name in SegmentRow.__dataclass_fields__)) for row in found]

    def ledger(self) -> Ledger:
        """What the index says of the time from the beginning to the end of the last row."""
        found = self.rows()
        with self.index.reading() as connection:
            gaps = gaps_between(connection, CAMERA, "main", 0, 1 << 62, 1000)
        to_ns = max([self.clock.wall_ns(), *(row.end_ns or 0 for row in found)])
        return ledger((Span(row.start_ns, row.end_ns or 0) for row in found), gaps, self.began_ns, to_ns)

    def reasons(self) -> list[str]:
        """The reasons of the gaps after the first footage, in order."""
        found = self.ledger()
        return [gap.reason for gap in found.gaps if gap.from_ns >= found.spans[0].from_ns and gap.reason != "restart"]

    def close(self) -> None:
        self.sync.stop()
        self.index.stop()


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


def frames_of(path: Path) -> int:
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


def test_segments_of_a_run_touch_and_agree_with_their_files(rig: Rig) -> None:
    rig.play(35)
    rig.finish()
    found = rig.rows()
    assert [row.state for row in found] == ["closed"] * 4
    for before, after in itertools.pairwise(found):
        assert before.end_ns == after.start_ns
        assert after.previous == before.digest
    for row in found:
        data = (rig.path / row.path).read_bytes()
        assert row.digest == hashlib.sha256(data).hexdigest()
        assert row.bytes == len(data)
        assert row.frames == frames_of(rig.path / row.path)
    assert sum(row.frames for row in found) == 350
    (span,) = rig.ledger().spans
    assert abs((span.to_ns - span.from_ns) / NS - 35.0) < 0.05
    assert rig.reasons() == []


def test_the_first_segment_is_shorter_so_that_cameras_take_turns(rig: Rig) -> None:
    rig.play(25)
    rig.finish()
    lengths = [((row.end_ns or 0) - row.start_ns) / NS for row in rig.rows()]
    assert 5 <= lengths[0] < 11
    assert 10 <= lengths[1] < 11.2


def test_the_row_is_there_before_the_file(rig: Rig, tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def look_then_open(path: Path) -> int:
        with rig.index.reading() as connection:
            seen.append([row[0] for row in connection.execute("SELECT state FROM segment")])
        return create_file(path)

    rig.store.opener = look_then_open
    rig.play(3)
    assert seen == [["open"]]
    rig.finish()


def test_silence_is_a_gap_and_ends(rig: Rig) -> None:
    rig.play(5)
    rig.wait(6)
    assert (rig.track.state, rig.track.trouble) == ("silent", Trouble.SILENT)
    rig.camera.end()
    rig.camera.open()
    rig.play(5)
    assert (rig.track.state, rig.track.trouble) == ("recording", None)
    rig.finish()
    assert rig.reasons() == ["camera_silent"]
    gap = next(each for each in rig.ledger().gaps if each.reason == "camera_silent")
    assert abs(((gap.to_ns or 0) - gap.from_ns) / NS - 6.0) < 0.3


def test_a_short_interruption_is_a_short_gap_and_no_fault(rig: Rig) -> None:
    rig.play(5)
    rig.camera.end(detail="Connection reset by peer")
    rig.wait(1)
    rig.camera.open()
    rig.play(5)
    assert rig.track.trouble is None
    rig.finish()
    assert rig.reasons() == ["connection_lost"]


def test_a_camera_whose_time_jumps_loses_nothing(rig: Rig) -> None:
    """Its packets came without a break: so is its footage, by the time of their arrival."""
    rig.play(5.4)
    rig.camera.offset_ticks = -10_000_000
    rig.play(5.4)
    rig.camera.offset_ticks = 50_000_000
    rig.play(5.4)
    rig.finish()
    assert rig.reasons() == []
    assert sum(row.frames for row in rig.rows()) == 162
    (span,) = rig.ledger().spans
    assert abs((span.to_ns - span.from_ns) / NS - 16.2) < 0.1
    for row in rig.rows():
        assert row.frames == frames_of(rig.path / row.path)


def test_the_wall_clock_is_set_forward(rig: Rig) -> None:
    rig.play(5)
    rig.clock.step_wall(3600)
    rig.play(5)
    rig.finish()
    assert rig.reasons() == ["clock_step"]
    gap = next(each for each in rig.ledger().gaps if each.reason == "clock_step")
    assert abs(((gap.to_ns or 0) - gap.from_ns) / NS - 3600) < 0.3
    assert sum(row.frames for row in rig.rows()) == 100, "no frame is lost to a clock that is set"


def test_the_wall_clock_is_set_back(rig: Rig) -> None:
    rig.play(5)
    rig.clock.step_wall(-3600)
    rig.play(5)
    rig.finish()
    found = rig.rows()
    assert sum(row.frames for row in found) == 100
    assert len({row.run for row in found}) == 2
    assert found[1].start_ns < found[0].start_ns


def test_a_full_disk_is_a_gap_and_over_when_there_is_room(rig: Rig) -> None:
    rig.play(5)
    full = {"is": True}

    def opener(path: Path) -> int:
        return os.open("/dev/full", os.O_WRONLY) if full["is"] else create_file(path)

    rig.store.opener = opener
    rig.camera.end()
    rig.camera.open()
    rig.play(5)  # the kernel says ENOSPC to every write
    assert getattr(rig.disk.refused, "errno", None) == errno.ENOSPC
    full["is"] = False
    rig.play(10)
    assert rig.track.state == "recording"
    assert rig.disk.refused is None
    rig.finish()
    assert "disk_full" in rig.reasons()
    found = rig.rows()
    assert all(frames_of(rig.path / row.path) == row.frames for row in found)


def test_an_index_that_hangs_is_waited_for_once(rig: Rig) -> None:
    rig.play(2)
    assert rig.index.submit().done.wait(10)
    with closing(sqlite3.connect(rig.index.path, isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")  # nothing is committed from now on
        rows_of = [rig.index.submit() for _ in range(3)]
        waited = [rig.store.waits_for(each) for each in rows_of]
        assert not any(each.done.is_set() for each in rows_of), "the index failed too early for this test"
        another.rollback()
    assert waited == [False, True, True]
    until(rows_of[0].done.is_set, 20, "the index is there again")
    assert rig.store.waits_for(rig.index.submit())
    rig.play(20)
    rig.finish()
    assert [row.state for row in rig.rows()] == ["closed"] * len(rig.rows())


def _is_full(disk: Disk) -> bool:
    return getattr(disk.refused, "errno", None) == errno.ENOSPC


def test_a_file_of_before_does_not_tell_that_a_full_disk_has_room(tmp_path: Path, clip: Path) -> None:
    waits = threading.Event()

    def fsync(number: int) -> None:
        waits.wait(10)
        os.fsync(number)

    rig = Rig(tmp_path, clip, SyncThread(1.0, _Running(), fsync=fsync))
    try:
        rig.play(5)
        rig.store.opener = lambda path: os.open("/dev/full", os.O_WRONLY)
        rig.camera.end()
        rig.camera.open()
        rig.play(4)
        assert _is_full(rig.disk)
        waits.set()  # only now the disk has taken what was written before it was full
        until(lambda: not rig.track.live, 5, "the file of before is closed")
        assert _is_full(rig.disk)
        rig.store.opener = create_file
        rig.play(16)
        assert not _is_full(rig.disk)
        rig.finish()
    finally:
        waits.set()
        rig.close()


def test_what_waits_in_memory_does_not_tell_that_a_full_disk_has_room(rig: Rig) -> None:
    rig.play(5.3)
    segment = rig.track._reel.segment
    assert segment is not None
    before = segment.file.size_bytes
    assert before > 10_000
    rig.disk.refuses(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), rig.clock.mono_ns())  # another camera's file
    while segment.file.size_bytes == before:
        assert _is_full(rig.disk)
        rig.play(FRAME_S)
    assert not _is_full(rig.disk)


def test_a_disk_that_fills_in_mid_file_keeps_what_plays(rig: Rig) -> None:
    rig.play(5)
    (row,) = rig.rows()
    segment = rig.track._reel.segment
    assert segment is not None
    whole = segment.file.number
    segment.file.number = os.open("/dev/full", os.O_WRONLY)
    rig.play(3)
    os.close(whole)
    rig.play(8)
    rig.finish()
    found = rig.rows()
    assert found[0].state == "recovered"
    assert found[0].frames == frames_of(rig.path / row.path) > 20
    assert found[0].digest == hashlib.sha256((rig.path / row.path).read_bytes()).hexdigest()
    assert rig.reasons() == ["disk_full"]


def test_a_failed_sync_abandons_the_file_and_says_so(tmp_path: Path, clip: Path) -> None:
    failing = {"is": False}

    def fdatasync(number: int) -> None:
        if failing["is"]:
            failing["is"] = False
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fdatasync(number)

    rig = Rig(tmp_path, clip, SyncThread(0.05, _Running(), fdatasync))
    try:
        rig.play(3)
        segment = rig.track._reel.segment
        assert segment is not None
        failing["is"] = True
        for _ in range(30):
            rig.play(1)
            if segment.file.failed:
                break
            until(lambda: not segment.file.dirty, 5, "a sync")
        rig.play(2)
        rig.play(6)
        assert rig.store.damaged is not None
        rig.finish()
        states = [row.state for row in rig.rows()]
        assert states[0] == "suspect"
        assert set(states[1:]) == {"closed"}
        assert rig.reasons() == ["disk_failed"]
    finally:
        rig.close()


class _Running(MovedClock):
    """For the sync thread: a clock that always moves."""

    def mono_ns(self) -> int:
        self.move(0.02)
        return super().mono_ns()


def test_packets_that_had_to_be_dropped_are_a_gap(rig: Rig) -> None:
    rig.play(5)
    rig.camera.give(Overflowed())
    rig.clock.move(2)
    rig.play(5)
    rig.finish()
    assert rig.reasons() == ["disk_slow"]


def test_no_volume_no_recording(rig: Rig) -> None:
    rig.disk.open, rig.disk.closed_for, rig.disk.detail = False, GapReason.VOLUME_MISSING, "not there"
    rig.track.stopped_by_volume()
    rig.play(5)
    assert rig.track.state == "stopped"
    assert rig.rows() == []
    rig.disk.open = True
    rig.play(5)
    assert rig.track.state == "recording"
    rig.finish()
    assert next(gap.reason for gap in rig.ledger().gaps) == "volume_missing"


def test_packets_without_a_key_frame_are_told(rig: Rig) -> None:
    for _ in range(3):
        rig.camera.play()
        rig.camera.take()
    rig.camera.open()
    opened = rig.camera.take()[-1]
    rig.camera.give(opened)
    rig.camera._packets = [packet for packet in rig.camera._packets if not packet.is_keyframe]
    rig.play(3)
    assert rig.track.state == "starting"
    assert not rig.track.unrecorded(rig.clock.mono_ns())
    for _ in range(60):
        rig.camera._place = 0
        rig.play(0.3)
    assert rig.track.unrecorded(rig.clock.mono_ns())
    rig.finish()


def test_the_wall_time_is_the_cameras_own(rig: Rig) -> None:
    """Against the sender's own log: each packet was sent when the ledger says that it was, within one frame."""
    rig.play(20)
    rig.finish()
    first = rig.rows()[0]
    assert abs(first.start_ns - (rig.began_ns + int(FRAME_S * NS))) < FRAME_S * NS
    last = rig.rows()[-1]
    assert last.end_ns is not None
    assert abs(last.end_ns - (rig.clock.wall_ns() + int(FRAME_S * NS))) < FRAME_S * NS


def test_the_wall_clock_is_set_back_while_nothing_is_recorded(rig: Rig) -> None:
    """A machine without a battery clock that was a day ahead when it last recorded: now is now, at once."""
    rig.play(5)
    rig.camera.end()
    rig.wait(1)
    rig.clock.step_wall(-86400)
    rig.camera.open()
    rig.play(30)
    rig.finish()
    last = rig.rows()[-1]
    assert last.end_ns is not None
    assert abs(last.end_ns - rig.clock.wall_ns()) < NS
    assert len({row.run for row in rig.rows()}) == 2, "and it is one run"


def test_a_gap_that_begins_after_the_clock_was_set_back_begins_now(rig: Rig) -> None:
    rig.play(5)
    rig.camera.end()
    rig.clock.step_wall(-86400)
    rig.wait(6)
    with rig.index.reading() as connection:
        rig.index.submit().done.wait(5)
        gaps = gaps_between(connection, CAMERA, "main", rig.clock.wall_ns() - NS, rig.clock.wall_ns(), 10)
    assert [gap.reason for gap in gaps] == ["camera_silent"]
    rig.finish()


def test_a_camera_whose_time_jumps_in_its_first_second(rig: Rig) -> None:
    """Many cameras do so with their first sender report: no hour of footage comes of it."""
    rig.play(5)
    for hours in (1, -2):
        rig.camera.end()
        rig.wait(3)
        rig.camera.open()
        rig.play(0.4)
        assert rig.camera._stream.time_base is not None
        rig.camera.offset_ticks += int(hours * 3600 / rig.camera._stream.time_base)
        rig.play(5)
    rig.finish()
    assert rig.reasons() == ["connection_lost", "connection_lost"]
    footage_s = sum(((row.end_ns or 0) - row.start_ns) / NS for row in rig.rows())
    assert abs(footage_s - 15.8) < 0.5
    assert abs((rig.rows()[-1].end_ns or 0) - rig.clock.wall_ns()) < NS
    for row in rig.rows():
        assert row.frames == frames_of(rig.path / row.path)
