"""What fails again and again, for hours: how many lines and rows that makes, and that the ledger loses no second."""

import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.camera_words import Why
from agent.footage.recording.arrivals import Trouble
from agent.footage.recording.hearing import BREAKS, CHANGE_NS, Hearing
from agent.footage.recording.segment import create_file
from agent.footage.rows import Statement
from agent.footage.timeline import NS, GapReason
from tests.fakes.camera import make_clip
from tests.fakes.waiting import until
from tests.footage.test_track import Rig

MINUTES = 10


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


def count(rig: Rig, table: str) -> int:
    rig.index.submit().done.wait(5)
    with rig.index.reading() as connection:
        (number,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
        return int(number)


def all_told(rig: Rig) -> bool:
    """Whether every instant since the first footage has its reason."""
    return "unrecorded" not in {gap.reason for gap in rig.ledger().gaps}


def lines(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.levelno >= logging.INFO for record in caplog.records)


def test_a_disk_that_refuses_every_file(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """It is tried every few seconds: no attempt leaves a row behind, and few a line."""
    rig.play(5)
    rig.store.opener = lambda path: os.open("/dev/full", os.O_WRONLY)
    rig.camera.end()
    rig.camera.open()
    caplog.clear()
    runs, gaps = count(rig, "run"), count(rig, "gap")
    rig.play(MINUTES * 60)
    assert lines(caplog) <= 3 * MINUTES
    assert count(rig, "run") == runs
    assert count(rig, "segment") == 1
    assert count(rig, "gap") <= gaps + 1
    rig.store.opener = create_file
    rig.play(20)
    assert rig.track.state == "recording"
    rig.finish()
    assert all_told(rig)
    assert "disk_full" in rig.reasons()


def test_a_volume_that_is_away_is_told_and_not_told_again_every_turn(rig: Rig) -> None:
    submitted: list[Statement] = []
    submit = rig.index.submit

    def counted(*statements: Statement) -> object:
        submitted.extend(statements)
        return submit(*statements)

    rig.play(5)
    rig.disk.open, rig.disk.closed_for, rig.disk.detail = False, GapReason.DISK_FULL, "1 bytes free"
    rig.turn()
    rig.index.submit = counted  # type: ignore[method-assign,assignment]
    for number in range(MINUTES * 60 * 4):
        rig.clock.move(0.25)
        rig.disk.detail = f"{number} bytes free"
        rig.track.stopped_by_volume()
        rig.turn()
    assert len(submitted) <= 8 * MINUTES
    rig.disk.open = True
    rig.play(5)
    rig.finish()
    assert all_told(rig)
    assert "disk_full" in rig.reasons()


def test_a_refused_row_of_a_gap_is_told_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index was too far behind to take it."""
    rig.play(5)
    rig.index.submit().done.wait(5)
    monkeypatch.setattr("agent.footage.index.MAX_WAITING", 0)
    rig.disk.open, rig.disk.closed_for = False, GapReason.VOLUME_MISSING
    rig.turn()
    rig.track.stopped_by_volume()
    monkeypatch.undo()
    rig.wait(0.5)
    rig.track.stopped_by_volume()
    rig.disk.open = True
    rig.wait(5)
    rig.camera.open()
    rig.play(5)
    rig.finish()
    assert "volume_missing" in rig.reasons()


def test_a_file_whose_row_was_left_out_has_one_when_the_index_works(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run that it belongs to has its row already."""
    rig.play(5)
    rig.index.submit().done.wait(5)
    before = rig.index.generation
    monkeypatch.setattr("agent.footage.index.MAX_WAITING", 0)
    rig.play(12)
    monkeypatch.undo()
    assert rig.track.seq == 2
    assert [row.seq for row in rig.rows()] == [1]
    until(lambda: rig.index.generation == before + 1, 5, "it is known that something was left out")
    rig.track.tell_again()  # as the recorder does then
    assert [row.seq for row in rig.rows()] == [1, 2]
    assert count(rig, "run") == 1
    rig.play(3)
    rig.finish()
    assert rig.rows()[1].state == "closed"


def test_a_camera_that_breaks_off_again_and_again_is_told(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Each connection is made good within two seconds: nothing else would tell of it."""
    caplog.clear()
    for _ in range(BREAKS + 5):
        rig.play(1.5)
        rig.camera.end(detail="connection_reset")
        rig.wait(1)
        rig.camera.open()
    assert rig.track.hearing.breaks(rig.clock.mono_ns()) == BREAKS
    assert rig.track.hearing.trouble is None
    assert lines(caplog) <= 2
    rig.play(700)
    assert rig.track.hearing.breaks(rig.clock.mono_ns()) == 0, "it is over"
    rig.finish()
    assert all_told(rig)


def test_a_camera_that_changes_its_mind_is_told_every_few_seconds_only() -> None:
    hearing = Hearing(0, 5 * NS)
    at_ns, told = 10 * NS, 0
    for number in range(10 * MINUTES * 60):
        at_ns += NS // 10
        told += hearing.suffers((Trouble.REFUSED, Trouble.NOT_VIDEO)[number % 2], "x", at_ns)
    assert 2 <= told <= MINUTES * 60 * NS // CHANGE_NS + 1


def test_a_camera_that_is_silent_after_it_was_refused() -> None:
    hearing = Hearing(0, 5 * NS)
    assert hearing.suffers(Trouble.REFUSED, Why.LOGIN_REFUSED, NS)
    assert not hearing.is_silent(100 * NS), "it is told already what is wrong"
    hearing.is_well()
    assert hearing.is_silent(100 * NS)
    assert hearing.why_silent(False) == Why.NO_PACKETS
    hearing.ended(Why.CONNECTION_RESET, True, 100 * NS)
    assert hearing.why_silent(False) == Why.CONNECTION_RESET
    assert hearing.why_silent(True) == Why.NO_PACKETS


def test_an_error_of_ours_is_no_file_every_turn(rig: Rig) -> None:
    rig.play(3)

    def broken(path: Path) -> int:
        raise RuntimeError(errno.errorcode)

    rig.store.opener = broken
    rig.camera.end()
    rig.camera.open()
    failed = 0
    for _ in range(60 * 4):
        rig.clock.move(0.25)
        rig.camera.play()
        try:
            rig.turn()
        except RuntimeError:
            failed += 1
            rig.track.begin_anew()
    assert 1 <= failed <= 12
    rig.store.opener = create_file
    rig.play(8)
    rig.finish()
    assert rig.rows()[-1].state == "closed"
