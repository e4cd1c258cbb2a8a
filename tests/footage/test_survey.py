"""`yunjian footage check` on what a track really recorded: clean as it is, and every kind of damage has its number."""

import io
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.access.checking import check
from agent.access.console import Screen
from agent.footage.disk.files import VOLUME_FILE, create_volume
from agent.footage.inspection.soundness import INVARIANTS
from agent.footage.inspection.survey import Report, Wanted, survey
from tests.fakes.camera import make_clip
from tests.footage.test_track import CAMERA, Rig

NOW_NS = 1_800_000_000_000_000_000
"""Two months after the clock of the rig."""


@dataclass
class Place:
    """A volume and its index, to be damaged."""

    folder: Path

    @property
    def volume(self) -> Path:
        return self.folder / "volume"

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.folder / "footage.db", [self.volume], "f1", {(CAMERA, "main")}, deep=True)

    def files(self) -> list[Path]:
        return sorted(self.volume.rglob("*.mp4"))

    def sql(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.wanted.index)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def survey(self, between: Callable[[], None] = lambda: None, **changed: object) -> Report:
        wanted = replace(self.wanted, **changed)  # type: ignore[arg-type]
        return survey(wanted, lambda: NOW_NS, lambda _: between(), lambda done, total: None)

    def numbers(self) -> set[int]:
        return {each.number for each in self.survey().findings}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven segments in two runs with a gap between, as a track records them, stopped in order."""
    folder = tmp_path_factory.mktemp("recorded")
    make_clip(folder / "a.mp4")
    rig = Rig(folder, folder / "a.mp4")
    try:
        rig.play(35)
        rig.wait(8)
        rig.camera.open()
        rig.play(25)
        rig.finish()
    finally:
        rig.close()
    return folder


@pytest.fixture
def place(recorded: Path, tmp_path: Path) -> Place:
    shutil.copytree(recorded, tmp_path / "copy")
    return Place(tmp_path / "copy")


def test_what_was_recorded_is_in_order(place: Place) -> None:
    report = place.survey()
    assert report.findings == []
    assert report.counts["segments"] == report.counts["files_walked"] == len(place.files()) >= 6
    assert report.counts["gaps"] >= 2
    # Without --deep the newest hour is read all the same, and here there is one hour.
    assert place.survey(deep=False).findings == []


def cut(place: Place) -> None:
    os.truncate(place.files()[1], place.files()[1].stat().st_size - 3000)


def edit(place: Place) -> None:
    """As many bytes as before, but the last fragment's head is gone."""
    path = place.files()[1]
    data = path.read_bytes()
    at = data.rindex(b"moof")
    path.write_bytes(data[:at] + b"m00f" + data[at + 4 :])


def say_otherwise(place: Place) -> None:
    """A file that speaks of another number than its name."""
    path = place.files()[1]
    data = path.read_bytes()
    assert data.count(b'"seq":2,') == 1
    path.write_bytes(data.replace(b'"seq":2,', b'"seq":9,'))


def stray(place: Place) -> None:
    (place.files()[0].parent / "holiday.mp4").write_bytes(b"my film")


def double(place: Place) -> None:
    """A file of footage that nobody wrote down."""
    path = place.files()[0]
    shutil.copy(path, path.with_name(path.name.replace("00000001", "00000777")))


def foreign(place: Place) -> None:
    (place.volume / VOLUME_FILE).unlink()
    create_volume(place.volume, "another")


def garbage(place: Place) -> None:
    data = place.wanted.index.read_bytes()
    place.wanted.index.write_bytes(data[:4096] + os.urandom(8192) + data[12288:])


def sql(*statements: str) -> Callable[[Place], None]:
    return lambda place: place.sql(*statements)


DAMAGE: dict[str, tuple[Callable[[Place], object], set[int]]] = {
    "not mounted": (lambda place: (place.volume / VOLUME_FILE).unlink(), {1}),
    "of another facility": (foreign, {1}),
    "index overwritten": (garbage, {2}),
    "index of another version": (sql("PRAGMA user_version = 1"), {2}),
    "no index": (lambda place: place.wanted.index.unlink(), {2}),
    "a row gone": (sql("DELETE FROM segment WHERE seq = 2"), {3, 14}),
    "a stray file": (stray, {3}),
    "a file that nobody wrote down": (double, {3}),
    "a file gone": (lambda place: place.files()[1].unlink(), {4}),
    "a file cut": (cut, {4}),
    "a lost file that is there": (sql("UPDATE segment SET state = 'lost' WHERE seq = 2"), {4, 14}),
    "a state of no kind": (sql("UPDATE segment SET state = 'fine' WHERE seq = 2"), {5}),
    "an old one left open": (sql("UPDATE segment SET state = 'open', end_ns = NULL WHERE seq = 2"), {5}),
    "no hash": (sql("UPDATE segment SET digest = NULL WHERE seq = 2"), {6}),
    "no end": (sql("UPDATE segment SET end_ns = NULL WHERE seq = 7"), {6, 14}),
    "a longer row": (sql("UPDATE segment SET end_ns = end_ns + 3000000000 WHERE seq = 7"), {6}),
    "another start": (sql("UPDATE segment SET start_ns = start_ns - 1000000 WHERE seq = 1"), {6}),
    "another stream": (sql("UPDATE segment SET stream = 'sub' WHERE seq = 7"), {6, 10, 14}),
    "a number twice": (sql("UPDATE segment SET seq = 1 WHERE seq = 2"), {6, 7, 10}),
    "numbers out of order": (sql("UPDATE segment SET seq = 50 WHERE seq = 2"), {6, 7, 10}),
    "an overlap": (sql("UPDATE segment SET end_ns = end_ns + 500000000 WHERE seq = 2"), {8}),
    "a file that does not play to its end": (edit, {9}),
    "other frames": (sql("UPDATE segment SET frames = 1 WHERE seq = 2"), {9}),
    "a file that says otherwise": (say_otherwise, {10}),
    "another hash": (sql("UPDATE segment SET digest = substr(digest, 2) || '0' WHERE seq = 2"), {11, 12}),
    "another chain": (sql(f"UPDATE segment SET chain = '{'0' * 64}' WHERE seq = 2"), {12}),
    "a gap of no kind": (sql("UPDATE gap SET reason = 'none' WHERE to_ns IS NULL"), {13}),
    "a gap that ends before it begins": (sql("UPDATE gap SET from_ns = to_ns + 1 WHERE id = 1"), {13}),
    "no gap that lasts": (sql("DELETE FROM gap WHERE to_ns IS NULL"), {13}),
    "a gap row gone": (sql("DELETE FROM gap WHERE reason = 'camera_silent'"), {14}),
    "a hold of no camera": (
        sql("INSERT INTO hold (id, camera, from_ns, who, why, made_ns) VALUES ('h', 'x', 0, 'w', 'y', 0)"),
        {15},
    ),
    "a tombstone of a living one": (
        sql(f"INSERT INTO tombstone VALUES ('{CAMERA}', 'main', 2, 3, 0, 1, 2, 9, '', '', 'expired', 0)"),
        {16},
    ),
    "tombstones that overlap": (
        sql(
            f"INSERT INTO tombstone VALUES ('{CAMERA}', 'main', -9, -3, 0, 1, 2, 9, '', '', 'expired', 0)",
            f"INSERT INTO tombstone VALUES ('{CAMERA}', 'main', -4, -2, 0, 1, 2, 9, '', '', 'expired', 0)",
        ),
        {16},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_has_its_number(place: Place, what: str) -> None:
    damage, numbers = DAMAGE[what]
    damage(place)
    found = place.survey().findings
    assert {each.number for each in found} == numbers, found
    assert all(each.number in INVARIANTS and each.where and each.do.en for each in found)


def test_every_invariant_has_a_damage_that_breaks_it() -> None:
    assert set().union(*(numbers for _, numbers in DAMAGE.values())) | {17} == set(INVARIANTS)


def test_what_is_just_being_done_is_no_finding(place: Place) -> None:
    """A file whose row comes a moment later, and a row whose file does."""
    last = place.files()[-1]
    aside = place.folder / "aside"
    last.rename(aside)

    def finish() -> None:
        if aside.exists():
            aside.rename(last)

    assert place.survey(finish).findings == []
    assert {each.number for each in place.survey().findings} == set()


def test_a_file_that_was_damaged_and_told_breaks_no_chain_again(place: Place) -> None:
    """What was cut at a start has another hash than the next file names: that was said when it happened."""
    path = str(place.files()[1].relative_to(place.volume))
    place.sql(
        f"UPDATE segment SET digest = '{'1' * 64}' WHERE path = '{path}'",
        f"INSERT INTO gap (camera, stream, from_ns, to_ns, reason, detail) VALUES "
        f"('{CAMERA}', 'main', 1, 2, 'file_damaged', '{path}')",
    )
    assert {each.number for each in place.survey().findings} - {14} == {12}, "its own link alone"


def test_two_volumes_that_are_one(place: Place) -> None:
    shutil.copytree(place.volume, place.folder / "copy")
    found = place.survey(volumes=[place.volume, place.folder / "copy"]).findings
    assert [(each.number, each.where) for each in found] == [(1, str(place.folder / "copy"))]


def test_notes_name_what_is_away_and_what_is_set_aside(place: Place) -> None:
    place.sql("INSERT INTO volume VALUES ('u2', '/srv/old', 'f1', 0)", "UPDATE segment SET volume = 'u2' WHERE seq = 1")
    place.files()[0].unlink()
    (place.volume / "quarantine").mkdir()
    (place.volume / "quarantine" / "x.mp4").write_bytes(b"1234")
    report = place.survey()
    assert report.findings == []
    notes = " ".join(note.en for note in report.notes)
    assert "1 segments are on /srv/old" in notes
    assert "1 files, 4 bytes (x.mp4)" in notes


def test_the_command_tells_people_and_programs(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.files()[1].unlink()
    out = io.StringIO()
    assert check(Screen("en", out), place.wanted, as_json=False, wait=lambda _: None) == 1
    assert "4  every row has its file, of the same size" in out.getvalue()
    assert "the file is missing" in out.getvalue()
    assert "yunjian footage reindex" in out.getvalue()
    out = io.StringIO()
    assert check(Screen("en", out), place.wanted, as_json=True, wait=lambda _: None) == 1
    answer = json.loads(out.getvalue())
    assert answer["ok"] is False
    assert [each["invariant"] for each in answer["findings"]] == [4]
