"""The whole index built again from real files, after it was deleted or made garbage, and what that may not lose."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest

from agent.clock import SystemClock
from agent.footage import rows
from agent.footage.custody.journal import Journal
from agent.footage.custody.journal_chain import Kind
from agent.footage.disk.files import create_volume
from agent.footage.index import Index
from agent.footage.index_file import IndexBusy, prepare
from agent.footage.inspection.effects import effects
from agent.footage.inspection.reindex import NothingToRead, Told, Wanted, reindex
from agent.footage.mending.comparison import Comparison
from agent.footage.mending.segment_file import walk_file
from agent.footage.mending.settling import Found, settle_directory
from agent.footage.naming import camera_uuid
from agent.footage.rows import SegmentRow
from agent.footage.timeline import NS
from agent.footage.upkeep.hold import Hold
from tests.fakes.camera import make_clip
from tests.fakes.filmed import FIRST_SEQ, Film, film, write_reel
from tests.fakes.gap_rows import gaps_between
from tests.fakes.waiting import until

FACILITY = "f1"
CAMERAS = {camera_uuid(FACILITY, name): (name, name) for name in ("one", "two")}
FORMER = camera_uuid(FACILITY, "former")
"""A camera that is configured no more."""
T0 = 1_790_000_000 * NS
LINES = "camera, stream, seq, start_ns, end_ns, frames, bytes, path, codec, digest, previous, chain, state"


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Film:
    clip = tmp_path_factory.mktemp("clip") / "a.mp4"
    make_clip(clip, seconds=4)
    return film(clip)


class Place:
    """Two volumes of one facility, with an index that says what was recorded."""

    def __init__(self, folder: Path, filmed: Film) -> None:
        self.index = folder / "data" / "footage.db"
        self.volumes = [create_volume(folder / name, FACILITY) for name in ("a", "b")]
        self.rows: list[SegmentRow] = []
        for number, camera in enumerate([*CAMERAS, FORMER]):
            volume = self.volumes[number % 2]
            self.rows += write_reel(filmed, volume.path, volume.uuid, camera, T0 + number * NS, 6)
        index = self.open()
        for row in self.rows:
            index.submit(rows.put_segment(row), rows.put_stranger(row.camera, row.camera[:4]))
        index.submit(*(rows.put_rebuilt(volume.uuid) for volume in self.volumes)).done.wait(10)
        index.stop()
        self.wanted = Wanted(self.index, tuple(each.path for each in self.volumes), FACILITY, CAMERAS)

    def open(self) -> Index:
        prepare(self.index)
        index = Index(self.index)
        index.start()
        return index

    def lines(self) -> list[tuple[object, ...]]:
        with Index(self.index).reading() as connection:
            return [tuple(row) for row in connection.execute(f"SELECT {LINES} FROM segment ORDER BY camera, seq")]

    def file(self, camera: str, number: int) -> Path:
        row = next(row for row in self.rows if row.camera == camera and row.seq == FIRST_SEQ + number)
        return next(each.path for each in self.volumes if each.uuid == row.volume) / row.path

    def copies(self) -> list[int]:
        """The sizes of what is in quarantine."""
        return [each.stat().st_size for volume in self.volumes for each in volume.path.glob("quarantine/*")]

    def reindex(self, taken: Callable[[], bool] = lambda: False) -> Told:
        return reindex(self.wanted, SystemClock(), lambda told: None, taken)


@pytest.fixture
def place(tmp_path: Path, filmed: Film) -> Place:
    return Place(tmp_path, filmed)


@pytest.mark.parametrize("how", ["deleted", "garbage", "sound"])
def test_every_row_is_what_it_was(place: Place, how: str) -> None:
    before = place.lines()
    if how != "sound":
        for part in place.index.parent.glob("footage.db*"):
            part.unlink()
    if how == "garbage":
        place.index.write_bytes(b"garbage " * 5000)
    told = place.reindex()
    assert told.whole
    assert (told.files, told.of, told.written) == (18, 18, 18)
    assert place.lines() == before
    aside = list(place.index.parent.glob("footage.db.before-reindex-*"))
    assert bool(aside) is (how != "deleted"), "what was there is set aside"
    with Index(place.index).reading() as connection:
        assert not any(rows.is_rebuilding(connection, volume.uuid) for volume in place.volumes)
        named = dict(connection.execute("SELECT uuid, id FROM camera").fetchall())
        clocks = {tuple(row) for row in connection.execute(
            "SELECT run.camera, boot, quality, wall_ns - mono_ns FROM segment JOIN run ON run.id = run")}  # fmt: skip
    assert named[FORMER] == "cam-000", "by what its files say"
    assert {named[uuid] for uuid in CAMERAS} == {"one", "two"}
    assert len(clocks) == 3, "each camera has the run that its files name"


def test_holds_and_what_was_deleted_come_back_from_the_volumes(place: Place) -> None:
    index, camera = place.open(), next(iter(CAMERAS))
    journal = Journal(index, lambda: [volume.path for volume in place.volumes], SystemClock(), effects)
    hold = Hold("h1", camera, T0, T0 + NS, "principal", "fell", None, T0, None, None, None)
    told = {
        name: getattr(hold, name)
        for name in ("id", "camera", "from_ns", "to_ns", "who", "why", "incident", "made_ns", "until_ns")
    }
    journal.append(Kind.HOLD, told)
    gone = [row for row in place.rows if row.camera == camera][1:3]
    for row in gone:
        place.file(camera, row.seq - FIRST_SEQ).unlink()
    journal.append(Kind.TOMBSTONE, {
        "camera": camera, "stream": "main", "before": place.rows[0].chain, "after": gone[-1].chain, "reason": "expired",
        "deleted_ns": T0 + 90 * NS, "first_seq": gone[0].seq, "last_seq": gone[-1].seq, "from_ns": gone[0].start_ns,
        "to_ns": gone[-1].end_ns, "bytes": sum(row.bytes for row in gone), "minimum_days": 30,
        "segments": [[row.seq, row.start_ns, row.end_ns, row.bytes, row.digest] for row in gone],
    })  # fmt: skip
    index.stop()
    for part in place.index.parent.glob("footage.db*"):
        part.unlink()
    assert place.reindex().whole
    with Index(place.index).reading() as connection:
        assert [row[0] for row in connection.execute("SELECT id FROM hold")] == ["h1"]
        assert connection.execute("SELECT first_seq, last_seq FROM tombstone").fetchone()[:] == (
            gone[0].seq,
            gone[1].seq,
        )
        assert connection.execute("SELECT COUNT(*) FROM journal").fetchone()[0] == 2
        assert gaps_between(connection, camera, "main", 0, 2 * T0, 9) == [], "it was no loss of the index"


def test_a_hole_between_files_is_a_gap(place: Place) -> None:
    place.file(FORMER, 2).unlink()
    place.reindex()
    missing = next(row for row in place.rows if row.camera == FORMER and row.seq == FIRST_SEQ + 2)
    with Index(place.index).reading() as connection:
        found = gaps_between(connection, FORMER, "main", 0, 2 * T0, 9)
    assert [(gap.from_ns, gap.to_ns, gap.reason) for gap in found] == [(missing.start_ns, missing.end_ns, "index_lost")]


def test_a_closed_file_that_was_cut_is_suspect_and_keeps_its_digest(place: Place) -> None:
    path, whole = (
        place.file(FORMER, 2),
        next(row for row in place.rows if row.camera == FORMER and row.seq == FIRST_SEQ + 2),
    )
    boundary = walk_file(path).keep_bytes * 2 // 3
    with path.open("r+b") as file:
        file.truncate(boundary)
    told = place.reindex()
    assert told.damaged == [whole.path]
    assert place.copies() == [boundary], "a copy as it was found is kept"
    size = path.stat().st_size
    assert size < boundary
    assert walk_file(path).whole, "and what is left plays"
    line = dict(zip(LINES.split(", "), next(each for each in place.lines() if whole.path in each), strict=True))
    assert (line["state"], line["digest"], line["bytes"]) == ("suspect", whole.digest, size)
    assert 0 < int(str(line["frames"])) < whole.frames


def test_a_closed_file_that_is_damaged_in_the_middle_is_kept_whole(place: Place) -> None:
    path, whole = (
        place.file(FORMER, 2),
        next(row for row in place.rows if row.camera == FORMER and row.seq == FIRST_SEQ + 2),
    )
    data = bytearray(path.read_bytes())
    second = data.index(b"moof", data.index(b"moof") + 4)
    data[second : second + 4] = b"\0\0\0\0"
    path.write_bytes(data)
    assert place.reindex().damaged == [whole.path]
    assert place.copies() == [len(data)]
    with av.open(path) as container:
        assert sum(1 for _ in container.decode(video=0)) == whole.frames * 3 // 4
    line = dict(zip(LINES.split(", "), next(each for each in place.lines() if whole.path in each), strict=True))
    assert (line["state"], line["digest"]) == ("suspect", whole.digest)
    assert line["frames"] == whole.frames * 3 // 4
    assert line["end_ns"] == whole.end_ns
    with Index(place.index).reading() as connection:
        gaps = gaps_between(connection, FORMER, "main", 0, 2 * T0, 9)
    assert [(gap.from_ns - whole.start_ns, (gap.to_ns or 0) - whole.start_ns) for gap in gaps] == [(NS, 2 * NS)]
    before = place.lines()
    assert place.reindex().damaged == [whole.path], "a second time it is the same"
    assert place.lines() == before


def test_a_file_that_lost_its_head_is_set_aside_and_not_removed(place: Place) -> None:
    path = place.file(FORMER, 5)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"moov", b"\0\0\0\0", 1))
    told = place.reindex()
    assert (told.quarantined, told.removed) == (1, 0)
    kept = list(place.volumes[0].path.glob("quarantine/*")) + list(place.volumes[1].path.glob("quarantine/*"))
    assert [len(each.read_bytes()) for each in kept] == [len(data)]


def test_a_file_under_another_cameras_name_is_not_taken_for_its_footage(place: Place) -> None:
    camera, other = CAMERAS
    path = place.file(camera, 1)
    wrong = Path(str(place.file(camera, 1)).replace(camera, other).replace(f"{FIRST_SEQ + 1}", f"{FIRST_SEQ + 90}"))
    wrong.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, wrong)
    told = place.reindex()
    assert told.quarantined == 1
    assert not wrong.exists()
    assert str(wrong.name) not in str(place.lines())


def test_when_record_starts_meanwhile_it_ends_and_the_rest_is_done_there(place: Place) -> None:
    before = place.lines()
    told = place.reindex(taken=lambda: True)
    index = place.open()  # as record does
    with index.reading() as connection:
        rebuilding = [rows.is_rebuilding(connection, volume.uuid) for volume in place.volumes]
    assert told.whole is not any(rebuilding)
    for volume in place.volumes:
        comparison = Comparison(volume, index, {}, False, SystemClock())
        comparison.start()
        until(lambda comparison=comparison: comparison.over, 20, "the comparison is over")  # type: ignore[misc]
        assert comparison.whole
    index.stop()
    assert place.lines() == before


def test_it_does_not_begin_while_another_process_writes_the_index(place: Place) -> None:
    before, index = place.lines(), Index(place.index)
    index.prepare()
    index.start()
    with pytest.raises(IndexBusy):
        place.reindex()
    index.stop()
    assert place.lines() == before


def test_without_a_volume_nothing_is_set_aside(place: Place) -> None:
    before = place.lines()
    for volume in place.volumes:
        volume.path.rename(volume.path.with_name(f"{volume.path.name}-away"))
    with pytest.raises(NothingToRead) as error:
        place.reindex()
    assert len(error.value.refused) == 2
    assert place.lines() == before


def test_wrong_rows_are_put_right_beside_recording(place: Place) -> None:
    """As `record` does it when it is asked: every file is walked, whatever its row says, and a file that is being
    written is left alone."""
    before = place.lines()
    index = place.open()
    camera, other = CAMERAS
    index.submit(
        ("UPDATE segment SET camera = ?, seq = seq + 50 WHERE camera = ? AND seq % 2", (other, camera)),
        ("DELETE FROM segment WHERE camera = ? AND seq = ?", (FORMER, FIRST_SEQ)),
    ).done.wait(5)
    last = {(FORMER, "main"): FIRST_SEQ + 4}
    unfinished = replace(
        next(row for row in place.rows if row.path in str(place.file(FORMER, 5))), state="open", end_ns=None
    )
    index.submit(rows.put_segment(unfinished)).done.wait(5)
    for volume in place.volumes:
        comparison = Comparison(volume, index, last, False, SystemClock(), anew=True)
        comparison.start()
        until(lambda comparison=comparison: comparison.over, 20, "the comparison is over")  # type: ignore[misc]
        assert comparison.whole
        assert comparison.progress.counted
    index.submit().done.wait(5)
    index.stop()
    now = place.lines()
    assert [line for line in now if line[7] != unfinished.path] == [
        line for line in before if line[7] != unfinished.path
    ]
    assert next(line for line in now if line[7] == unfinished.path)[-1] == "open"


@pytest.fixture
def opened(tmp_path: Path, filmed: Film) -> Iterator[tuple[Path, str, Callable[[], Found]]]:
    """A file that was being written when everything stopped: its path, its directory, and a settling of it."""
    volume = create_volume(tmp_path / "v", FACILITY)
    prepare(tmp_path / "footage.db")
    index = Index(tmp_path / "footage.db")
    index.start()
    (row,) = write_reel(filmed, volume.path, volume.uuid, FORMER, T0, 1)
    index.submit(rows.put_segment(replace(row, state="open", end_ns=None, digest=None, chain=None))).done.wait(5)

    def settle() -> Found:
        found = Found()
        settle_directory(volume, index, row.path.rpartition("/")[0], found, lambda: None)
        return found

    yield volume.path / row.path, row.path, settle
    index.stop()


def test_what_plays_after_damage_in_a_file_that_was_being_written_plays(
    opened: tuple[Path, str, Callable[[], Found]], tmp_path: Path
) -> None:
    path, name, settle = opened
    data = bytearray(path.read_bytes())
    second = data.index(b"moof", data.index(b"moof") + 4)
    data[second : second + 4] = b"\0\0\0\0"
    path.write_bytes(data[:-200])  # and its end is torn
    assert settle().recovered == [name]
    with av.open(path) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert len(times) == 20, "the first and the third second"
    assert max(times) == pytest.approx(2.9, abs=0.01)
    with Index(tmp_path / "footage.db").reading() as connection:
        row = connection.execute("SELECT state, frames, bytes, end_ns - start_ns FROM segment").fetchone()
        gaps = gaps_between(connection, FORMER, "main", 0, 2 * T0, 9)
    assert row[:] == ("recovered", 20, path.stat().st_size, 3 * NS)
    assert [(gap.from_ns - T0, (gap.to_ns or 0) - T0) for gap in gaps] == [(NS, 2 * NS)]
    assert walk_file(path).whole


def test_a_pass_that_is_told_to_stop_stops(place: Place) -> None:
    before, index = place.lines(), place.open()
    comparison = Comparison(place.volumes[0], index, {}, False, SystemClock(), anew=True)
    comparison.ask_to_stop()
    comparison.start()
    assert comparison.join(10), "its thread has ended"
    assert not comparison.whole
    assert not comparison.over
    index.stop()
    assert place.lines() == before
