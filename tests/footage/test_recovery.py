"""Disk and index made to agree, before recording and while it goes on, with real files and a real index."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from agent.clock import SystemClock
from agent.footage import rows
from agent.footage.disk.files import VOLUME_FILE, Volume, VolumeRefused, create_volume
from agent.footage.index import Index
from agent.footage.index_file import prepare
from agent.footage.mending.comparison import Comparison
from agent.footage.mending.recovery import open_gaps, recover
from agent.footage.mending.settling import Found, settle_directory
from agent.footage.naming import camera_uuid, segment_path
from agent.footage.recording.segment import Segment, create_file
from agent.footage.timeline import NS, Gap, GapReason, Sane
from tests.fakes.camera import make_clip
from tests.fakes.waiting import until

CAMERA = camera_uuid("f1", "cam1")
T0 = 1_790_000_000 * NS
HOUR = 3600 * NS


@dataclass
class Disk:
    """A volume with an index beside it."""

    volume: Volume
    index: Index
    clip: Path

    def record(self, seq: int, start_ns: int) -> str:
        """A file of four seconds as the recorder writes it, without a row."""
        path = segment_path(CAMERA, "main", start_ns, seq)
        target = self.volume.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with av.open(self.clip, "r") as container:
            stream = container.streams.video[0]
            segment = Segment(target, stream, {"camera": CAMERA, "seq": seq, "start_ns": start_ns}, create_file)
            for packet in container.demux(stream):
                if packet.dts is not None and packet.pts is not None:
                    segment.write(packet, Sane(packet.pts, packet.dts))
            segment.finish()
        return str(path)

    def settle(self, directory: str, last_seq: dict[tuple[str, str], int] | None = None) -> Found:
        found = Found()
        settle_directory(self.volume, self.index, directory, found, lambda: None, last_seq)
        return found

    def states(self) -> dict[int, str]:
        self.index.submit().done.wait(5)
        with self.index.reading() as connection:
            return dict(tuple(row) for row in connection.execute("SELECT seq, state FROM segment"))

    def compare(self, last_seq: int) -> Found:
        comparison = Comparison(self.volume, self.index, {(CAMERA, "main"): last_seq}, False, SystemClock())
        comparison.start()
        until(lambda: comparison.over, 10, "the comparison is over")
        assert comparison.whole
        return comparison.found


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    make_clip(path)
    return path


@pytest.fixture
def disk(tmp_path: Path, clip: Path) -> Iterator[Disk]:
    prepare(tmp_path / "footage.db")
    index = Index(tmp_path / "footage.db")
    index.start()
    yield Disk(create_volume(tmp_path / "volume", "f1"), index, clip)
    index.stop()


def test_a_start_looks_at_the_newest_hour_and_the_rest_is_compared_meanwhile(disk: Disk) -> None:
    paths = [disk.record(n + 1, T0 + n * HOUR) for n in range(4)]
    found = recover(disk.volume, disk.index, True, lambda: None)
    assert found.recovered == [paths[-1]]
    with disk.index.reading() as connection:
        last = rows.last_of(connection, CAMERA, "main")
    assert last.seq == 4
    assert last.end_ns is not None
    assert abs(last.end_ns - (T0 + 3 * HOUR + 4 * NS)) < NS
    new = disk.record(5, T0 + 5 * HOUR)
    assert disk.compare(4).recovered == paths[2::-1], "the newest first"
    assert disk.states() == dict.fromkeys(range(1, 5), "closed"), f"{new} is being written"


def test_a_start_waits_for_an_index_that_hangs_once(tmp_path: Path, clip: Path) -> None:
    index = Index(tmp_path / "footage.db")
    index.prepare()  # it is not started: nothing is committed
    found_on = Disk(create_volume(tmp_path / "volume", "f1"), index, clip)
    for seq in range(1, 5):
        found_on.record(seq, T0 + seq * HOUR)
    directories = sorted({str(path.parent.relative_to(found_on.volume.path))
                          for path in found_on.volume.path.rglob("*.mp4")})  # fmt: skip
    assert len(directories) == 4
    found = Found()
    for directory in directories:
        settle_directory(found_on.volume, index, directory, found, lambda: None)
        assert found.is_late
    assert len(found.recovered) == 4
    index.start()
    assert set(found_on.states()) == {1, 2, 3, 4}
    index.stop()


def test_what_was_recorded_since_is_not_looked_at(disk: Disk) -> None:
    directory = disk.record(7, T0).rpartition("/")[0]
    assert disk.settle(directory, {(CAMERA, "main"): 6}).recovered == []
    assert disk.states() == {}
    assert len(disk.settle(directory, {(CAMERA, "main"): 7}).recovered) == 1


def test_an_hour_that_was_deleted_is_lost(disk: Disk) -> None:
    first, second = (disk.record(n + 1, T0 + n * HOUR) for n in range(2))
    disk.compare(2)
    (disk.volume.path / first).unlink()
    (disk.volume.path / first).parent.rmdir()
    assert disk.compare(2).damaged == [first]
    assert disk.states() == {1: "lost", 2: "closed"}
    assert (disk.volume.path / second).exists()


def test_a_disk_that_is_unmounted_meanwhile_loses_nothing(disk: Disk) -> None:
    path = disk.record(1, T0)
    disk.compare(1)
    (disk.volume.path / path).unlink()
    (disk.volume.path / VOLUME_FILE).rename(disk.volume.path / "elsewhere")
    with pytest.raises(VolumeRefused):
        disk.settle(path.rpartition("/")[0])
    assert disk.states() == {1: "closed"}


@pytest.mark.parametrize("before_s", [10, 0])
def test_a_gap_whose_end_was_not_written_ends_where_footage_follows(disk: Disk, before_s: int) -> None:
    """The power went between the first picture of a file and the end of the gap before it."""
    disk.index.submit(rows.put_gap(CAMERA, "main", Gap(T0 - before_s * NS, None, GapReason.STARTING)))
    disk.record(1, T0)
    disk.record(2, T0 + 4 * NS)
    recover(disk.volume, disk.index, False, lambda: None)
    now_ns = T0 + 60 * NS
    open_gaps(disk.index, [(CAMERA, "main")], {(CAMERA, "main")}, False, now_ns)
    open_gaps(disk.index, [(CAMERA, "main")], set(), False, now_ns + 60 * NS)  # once more, after a second cut
    disk.index.submit().done.wait(5)
    with disk.index.reading() as connection:
        end_ns = rows.last_of(connection, CAMERA, "main").end_ns
        gaps = [
            tuple(row)
            for row in connection.execute("SELECT from_ns, to_ns, reason FROM gap ORDER BY from_ns").fetchall()
        ]
    starting = [(T0 - before_s * NS, T0, "starting")] if before_s else []
    assert gaps == [*starting, (end_ns, None, "power_loss")]
