"""Disk and index made to agree, before recording and while it goes on, with real files and a real index."""

import os
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
from agent.footage.mending.segment_file import path_of_kept, quarantine, walk_file
from agent.footage.mending.settling import MOST_LEFT_AT_START, PIECE, Found, settle_directory
from agent.footage.naming import camera_uuid, segment_path
from agent.footage.recording.segment import Segment, create_file
from agent.footage.timeline import NS, Gap, GapReason, Sane
from tests.fakes.camera import make_clip
from tests.fakes.gap_rows import gaps_between
from tests.fakes.kept import in_memory
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
            os.close(segment.file.number)
        return str(path)

    def settle(self, directory: str, last_seq: dict[tuple[str, str], int] | None = None) -> Found:
        found = Found()
        settle_directory(self.volume, self.index, directory, found, lambda: None, last_seq)
        return found

    def states(self) -> dict[int, str]:
        self.index.submit().done.wait(5)
        with self.index.reading() as connection:
            return dict(tuple(row) for row in connection.execute("SELECT seq, state FROM segment"))

    def told(self, seq: int, column: str) -> object:
        """What the row of a segment says."""
        with self.index.reading() as connection:
            return connection.execute(f"SELECT {column} FROM segment WHERE seq = ?", (seq,)).fetchone()[0]

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
    found = Found(wait_s=0.4)
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


def test_a_film_that_was_ended_and_plays_no_more_keeps_its_row_and_its_digest(disk: Disk) -> None:
    path = disk.record(1, T0)
    disk.record(2, T0 + 4 * NS)
    disk.compare(2)
    digest = disk.told(1, "digest")
    (disk.volume.path / path).write_bytes(bytes(7000))
    found = disk.compare(2)
    assert (found.quarantined, found.damaged) == ([path], [path])
    assert disk.states() == {1: "lost", 2: "closed"}
    assert disk.told(1, "digest") == digest
    with disk.index.reading() as connection:
        (gap,) = gaps_between(connection, CAMERA, "main", 0, 2 * T0, 9)
    assert (gap.from_ns, gap.reason, gap.detail) == (T0, "file_damaged", path)


@pytest.mark.parametrize("at_start", [True, False])
def test_a_film_that_cannot_be_mended_holds_up_no_other(disk: Disk, at_start: bool) -> None:
    paths = [disk.record(n + 1, T0 + n * 4 * NS) for n in range(4)]
    disk.compare(4)
    with (disk.volume.path / paths[1]).open("r+b") as file:
        file.truncate(file.seek(0, 2) - 100)
    (disk.volume.path / "quarantine").touch()  # what it was cannot be kept: so it is not changed
    size = (disk.volume.path / paths[1]).stat().st_size
    disk.index.submit(("DELETE FROM segment WHERE seq IN (1, 4)", ())).done.wait(5)
    found = recover(disk.volume, disk.index, False, lambda: None) if at_start else disk.compare(4)
    assert list(found.left) == [paths[1]]
    assert found.damaged == [paths[1]]
    assert sorted(found.recovered) == [paths[0], paths[3]]
    assert disk.states() == dict.fromkeys(range(1, 5), "closed")
    assert (disk.volume.path / paths[1]).stat().st_size == size
    (disk.volume.path / "quarantine").unlink()
    assert disk.compare(4).left == {}
    assert disk.states()[2] == "suspect"


def test_a_disk_on_which_many_films_cannot_be_mended_is_recorded_to_all_the_same(disk: Disk) -> None:
    paths = [disk.record(n + 1, T0 + n * 4 * NS) for n in range(6)]
    disk.compare(6)
    for path in paths:
        with (disk.volume.path / path).open("r+b") as file:
            file.truncate(file.seek(0, 2) - 100)
    (disk.volume.path / "quarantine").touch()
    assert len(recover(disk.volume, disk.index, False, lambda: None).left) == MOST_LEFT_AT_START
    assert len(disk.compare(6).left) == 6


def test_what_is_no_plain_file_is_neither_read_nor_followed(disk: Disk, tmp_path: Path) -> None:
    film = disk.volume.path / disk.record(1, T0)
    outside = tmp_path / "outside.mp4"
    outside.write_bytes(film.read_bytes()[:-100])
    film.unlink()
    film.symlink_to(outside)
    os.mkfifo(film.with_name("pipe.mp4"))  # to open it would wait for ever
    before = outside.read_bytes()
    found = recover(disk.volume, disk.index, False, lambda: None)
    assert len(found.quarantined) == 2
    assert outside.read_bytes() == before
    assert disk.states() == {}


def test_nothing_in_quarantine_is_written_over(disk: Disk) -> None:
    path = disk.record(1, T0)
    kept = disk.volume.path / "quarantine" / path.replace("/", "_")
    for content in (b"first", b"second", b"third"):
        (disk.volume.path / path).write_bytes(content.ljust(7000, b"\0"))
        disk.index.submit(rows.drop_segment(disk.volume.uuid, path)).done.wait(5)
        quarantine(disk.volume.path, path)
    found = sorted(kept.parent.iterdir())
    assert [each.read_bytes().rstrip(b"\0") for each in found] == [b"first", b"second", b"third"]
    assert {path_of_kept(each.name) for each in found} == {path}


def test_a_film_under_the_name_of_another_of_its_camera_is_not_taken_for_it(disk: Disk) -> None:
    first, second = (disk.volume.path / disk.record(n + 1, T0 + n * 4 * NS) for n in range(2))
    second.write_bytes(first.read_bytes())
    found = recover(disk.volume, disk.index, True, lambda: None)
    assert len(found.quarantined) == 1
    assert disk.states() == {1: "closed"}


def test_a_row_whose_digest_is_none_stops_nothing(disk: Disk) -> None:
    path = disk.record(1, T0)
    disk.compare(1)
    disk.index.submit(("UPDATE segment SET digest = 'x', bytes = 1", ())).done.wait(5)
    assert recover(disk.volume, disk.index, False, lambda: None).recovered == [path]


def test_a_start_looks_at_the_newest_of_a_directory_however_many_there_are(disk: Disk, clip: Path) -> None:
    with in_memory() as folder:
        here = Disk(create_volume(folder / "volume", "f1"), disk.index, clip)
        film = here.record(1, T0)
        directory = (here.volume.path / film).parent
        for number in range(PIECE + 200):
            (directory / f"holiday{number}.mp4").touch()
        found = recover(here.volume, here.index, False, lambda: None)
        assert (found.recovered, len(found.quarantined)) == ([film], PIECE - 1)
        found = here.compare(1)
        assert len(found.quarantined) == 201
        assert here.states() == {1: "closed"}


def test_rows_that_came_to_be_deleted_meanwhile_are_left_to_retention(disk: Disk, clip: Path) -> None:
    """Between two pieces of a directory others may delete."""
    with in_memory() as folder:
        here = Disk(create_volume(folder / "volume", "f1"), disk.index, clip)
        film = here.record(1, T0)
        for number in range(PIECE + 5):
            (here.volume.path / film).with_name(f"holiday{number}.mp4").touch()
        here.index.submit(("UPDATE segment SET state = 'suspect'", ())).done.wait(5)
        turns = 0

        def progress() -> None:
            nonlocal turns
            turns += 1
            if turns == 1:
                here.index.submit(("UPDATE segment SET state = 'deleting'", ())).done.wait(5)

        here.compare(1)
        here.index.submit(("UPDATE segment SET bytes = 1", ())).done.wait(5)
        for number in range(PIECE + 5):
            name = segment_path(CAMERA, "main", T0, 100 + number)
            (here.volume.path / film).with_name(name.name).touch()
        settle_directory(here.volume, here.index, film.rpartition("/")[0], Found(), progress, {(CAMERA, "main"): 9999})
        assert here.states()[1] == "deleting"
        assert (here.volume.path / film).exists()


@pytest.mark.parametrize("part", [0.1, 0.6])
def test_what_plays_behind_a_hole_is_kept_when_nothing_is_known_of_its_film(disk: Disk, part: float) -> None:
    """The index was lost, and a place in the newest film is zeros: not by a power cut, for all that is known."""
    path = disk.volume.path / disk.record(1, T0)
    data = bytearray(path.read_bytes())
    at = int(len(data) * part)
    at = data.index(b"mdat", at) + 40 if b"mdat" in data[at:] else at
    data[at : at + 600] = bytes(600)
    path.write_bytes(data)
    before = len(walk_file(path).later) + walk_file(path).frames
    assert before
    recover(disk.volume, disk.index, True, lambda: None)
    (kept,) = (disk.volume.path / "quarantine").iterdir()
    assert kept.read_bytes() == bytes(data)
