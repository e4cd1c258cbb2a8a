"""The life of one camera and its machine: every instant since the first recording is explained, whatever its clock."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from agent.facts import ClockQuality, ConditionKind
from agent.footage.disk.files import check_volume, segment_directories
from agent.footage.inspection.survey import Wanted, survey
from agent.footage.mending.settling import Found, settle_directory
from agent.footage.naming import parse_name
from agent.footage.timeline import NS, Gap, Span
from agent.footage.upkeep.hold import Hold, Protection
from agent.footage.upkeep.holds import put_hold, read_holds
from agent.footage.upkeep.ledger import doubtful_spans, read
from agent.footage.upkeep.rectify import RECTIFIED
from tests.fakes.camera import make_clip
from tests.fakes.reel_life import CAMERA, FRAME_S, REEL, ReelLife
from tests.fakes.waiting import until

DAY_S = 86400


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    make_clip(path)
    return path


@pytest.fixture
def life(tmp_path: Path, clip: Path) -> Iterator[ReelLife]:
    found = ReelLife(tmp_path, clip)
    found.start()
    yield found
    if found.is_on:
        found.stop()


def settle(life: ReelLife) -> None:
    """Long enough that what is wrong is rectified and everything is gone through."""
    life.play(80)


def gaps_of(life: ReelLife, shortest_s: float = 0.5) -> list[Any]:
    """Reason and length of each gap that is no rounding."""
    gaps = [(gap.reason, ((gap.to_ns or 0) - gap.from_ns) / NS) for gap in life.decided().ledger.gaps]
    return [(reason, round(length, 1)) for reason, length in gaps if length >= shortest_s]


def assert_decided(life: ReelLife) -> None:
    decided = life.decided()
    both: list[Span | Gap] = [*decided.ledger.spans, *decided.ledger.gaps]
    pieces = sorted((each.from_ns, each.to_ns or 0) for each in both)
    assert pieces[0][0] == decided.from_ns
    assert pieces[-1][1] == decided.to_ns
    assert all(a[1] == b[0] for a, b in pairwise(pieces))
    assert {gap.reason for gap in decided.ledger.gaps}.isdisjoint({"unrecorded", "index_lost"})


def assert_true(life: ReelLife) -> None:
    """Each file lies where the right clock has what it shows, in the order of recording, none over another."""
    until(lambda: len(life.track.live) <= 1, 5, "all but the file being written are closed")
    heard = [sent.true_ns for sent in life.sent if sent.heard]
    found = [(row, row.end_ns) for row in life.rows() if row.end_ns is not None]
    for (_, end_ns), (after, _) in pairwise(found):
        assert end_ns <= after.start_ns
    for row, end_ns in found:
        assert min(abs(row.start_ns - at) for at in heard) <= FRAME_S * NS
        inside = sum(row.start_ns - FRAME_S * NS / 2 <= at < end_ns - FRAME_S * NS / 2 for at in heard)
        assert abs(inside - row.frames) <= 2


def test_an_orderly_restart(life: ReelLife) -> None:
    life.play(20)
    life.stop()
    life.wait(60)
    life.start()
    settle(life)
    assert gaps_of(life) == [("restart", pytest.approx(60, abs=0.3))]
    assert_decided(life)
    assert_true(life)


@pytest.mark.parametrize("has_row", [True, False], ids=["", "whose row the index never took"])
def test_a_kill_is_no_loss_of_power(life: ReelLife, has_row: bool) -> None:
    """The boot is the same: the machine was on. What was cut off tells so itself, where no row does."""
    life.play(20)
    life.kill()
    if not has_row:
        with closing(sqlite3.connect(life.index.path)) as index, index:
            assert index.execute("DELETE FROM segment WHERE state = 'open'").rowcount == 1
    life.wait(100)
    life.start()
    life.play(5)
    assert_decided(life)
    told = {(gap.reason, gap.detail) for gap in life.decided().ledger.gaps}
    assert ("power_loss", "recorder_killed") in told
    assert not told & {("power_loss", ""), ("power_loss", "machine_off"), ("restart", "")}


def test_a_kill_while_the_camera_was_silent(life: ReelLife) -> None:
    life.play(20)
    life.wait(70)
    life.kill()
    life.wait(100)
    life.start()
    settle(life)
    reasons = [reason for reason, _ in gaps_of(life)]
    assert reasons == ["camera_silent", "power_loss"]
    assert [gap.detail for gap in life.decided().ledger.gaps][-1] == "recorder_killed"
    silent, lost = (length for _, length in gaps_of(life))
    assert silent + lost == pytest.approx(170, abs=0.5)
    assert 30 <= silent <= 70, "until the recorder was last known to run"
    assert_decided(life)


def test_the_camera_was_not_in_the_settings_for_a_while(life: ReelLife) -> None:
    life.play(20)
    life.stop()
    life.wait(10)
    life.recorded = False
    life.start()
    life.wait(100)
    assert gaps_of(life)[-1][0] == "configuration"
    life.stop()
    life.wait(5)
    life.recorded = True
    life.start()
    settle(life)
    assert [reason for reason, _ in gaps_of(life)] == ["restart", "configuration"]
    assert_decided(life)
    assert_true(life)


@pytest.mark.parametrize("step_s", [3600.0, 5.0, 365.0 * DAY_S])
def test_the_clock_is_set_forward_and_back_while_recording(life: ReelLife, step_s: float) -> None:
    life.play(20)
    life.clock.step_wall(step_s)
    life.play(20)
    assert gaps_of(life) == [("clock_step", pytest.approx(step_s, abs=0.3))]
    life.clock.step_wall(-step_s)
    life.play(20)
    assert_decided(life)
    life.stop()
    life.start()
    assert sum(row.frames for row in life.rows()) == 600, "not a frame is lost to a clock that is set"
    names = {row.path for row in life.rows()}
    assert len(names) == len(life.rows())


def test_the_clock_is_set_back_to_the_very_second_of_an_older_file(life: ReelLife) -> None:
    life.play(20)
    first = life.rows()[0]
    before = (life.volume / first.path).read_bytes()
    life.clock.step_wall((first.start_ns - life.clock.wall_ns()) / NS - FRAME_S)
    life.play(40)
    life.stop()
    assert (life.volume / first.path).read_bytes() == before
    same = [row for row in life.rows() if abs(row.start_ns - first.start_ns) < 2 * NS]
    assert len(same) >= 2
    files = sorted((life.volume / CAMERA).rglob("*.mp4"))
    assert len(files) == len(life.rows())
    life.start()


def test_the_clock_was_set_back_while_the_recorder_was_off(life: ReelLife) -> None:
    life.play(20)
    life.stop()
    life.clock.move(60)
    life.clock.step_wall(-5 * DAY_S)
    life.start()
    life.wait(60)
    life.play(20)
    life.wait(30)
    assert_decided(life)
    life.stop()
    life.clock.step_wall(5 * DAY_S)
    life.clock.move(60)
    life.start()
    settle(life)
    assert_decided(life)
    assert "clock_step" in [reason for reason, _ in gaps_of(life)]


def test_the_clock_was_set_forward_while_the_camera_was_silent(life: ReelLife) -> None:
    life.play(20)
    life.wait(30)
    life.clock.step_wall(3600)
    life.wait(30)
    life.play(20)
    silent_before, step, silent_after = gaps_of(life)
    assert silent_before == ("camera_silent", pytest.approx(30, abs=0.5))
    assert step == ("clock_step", pytest.approx(3600, abs=0.5))
    assert silent_after == ("camera_silent", pytest.approx(30, abs=0.5))
    assert_decided(life)


def test_a_start_in_1970_is_brought_to_the_right_time(life: ReelLife) -> None:
    life.play(20)
    life.stop()
    life.reboot(10 * NS, ClockQuality.UNKNOWN, off_s=600)
    life.start()
    life.play(30)
    life.wait(10)  # a gap, in 1970
    life.play(30)
    assert life.rows()[-1].start_ns < DAY_S * NS
    names = [row.path for row in life.rows()]
    life.set_right()
    settle(life)
    assert_true(life)
    assert_decided(life)
    assert gaps_of(life) == [("restart", pytest.approx(600, abs=2)), ("camera_silent", pytest.approx(10, abs=0.5))]
    assert [row.path for row in life.rows()][: len(names)] == names, "files keep their names"
    with life.index.reading() as connection:
        qualities = [row[0] for row in connection.execute("SELECT quality FROM run ORDER BY id")]
        told = [row[0] for row in connection.execute("SELECT detail FROM journal WHERE kind = 'rectify'")]
    assert qualities[0] == "ntp"
    assert set(qualities[1:-1]) == {RECTIFIED}
    assert len(told) == 1
    name = parse_name(PurePosixPath(names[-1]))
    assert name is not None
    assert name.start_ns < DAY_S * NS


@pytest.mark.parametrize("from_journal", [False, True])
def test_what_was_held_by_a_wrong_clock_is_held_where_it_is_brought_to(life: ReelLife, from_journal: bool) -> None:
    life.play(20)
    life.stop()
    life.reboot(10 * NS, ClockQuality.UNKNOWN, off_s=600)
    life.start()
    life.play(60)
    held = until(lambda: next((row for row in life.rows()[-2:-1] if row.end_ns), None), 30, "the file is closed")
    assert held.end_ns is not None
    hold = Hold("h", REEL[0], held.start_ns, held.end_ns, "ann", "why", None, held.start_ns, None)
    life.journal.append("hold", hold.values(), put_hold(hold))
    life.set_right()
    settle(life)
    (row,) = [each for each in life.rows() if each.path == held.path]
    assert row.end_ns is not None
    assert row.start_ns > DAY_S * NS
    if from_journal:
        life.stop()
        lose_index(life)
        life.start()
        settle(life)
    with life.index.reading() as connection:
        protection = Protection(read_holds(connection), life.clock.wall_ns())
    assert protection.of(REEL[0], row.start_ns, row.end_ns) is not None
    assert protection.of(REEL[0], row.end_ns + 600 * NS, row.end_ns + 601 * NS) is None


def test_the_clock_is_corrected_while_the_camera_is_silent(life: ReelLife) -> None:
    life.play(20)
    life.stop()
    life.reboot(10 * NS, ClockQuality.UNKNOWN, off_s=600)
    life.start()
    life.play(20)
    life.wait(20)
    life.set_right()
    life.wait(100)
    life.play(20)
    settle(life)
    assert_true(life)
    assert_decided(life)
    reasons = [reason for reason, _ in gaps_of(life)]
    assert set(reasons) == {"restart", "camera_silent"}
    assert sum(length for reason, length in gaps_of(life) if reason == "camera_silent") == pytest.approx(120, abs=1)


def test_a_restart_of_the_recorder_before_the_clock_is_right(life: ReelLife) -> None:
    life.stop()
    life.reboot(1_700_000_000 * NS, ClockQuality.LAST_GOOD, off_s=3600)
    life.start()
    life.play(20)
    life.kill()
    life.wait(5)
    life.start()
    life.play(20)
    life.set_right()
    settle(life)
    assert_true(life)
    assert_decided(life)


def test_a_boot_that_never_learnt_the_time_stays_marked(life: ReelLife) -> None:
    life.play(20)
    life.stop()
    life.reboot(1_700_000_000 * NS, ClockQuality.UNKNOWN, off_s=60)
    life.start()
    life.play(30)
    life.stop()
    life.reboot(life.true_ns() + 60 * NS, ClockQuality.NTP, off_s=60)
    life.start()
    settle(life)
    assert_decided(life)
    with life.index.reading() as connection:
        (span,) = doubtful_spans(connection, REEL, 0, life.clock.wall_ns())
    assert (span.to_ns - span.from_ns) / NS == pytest.approx(30, abs=0.5)
    assert span.from_ns < 1_700_000_100 * NS


def lose_index(life: ReelLife, with_journal: bool = False) -> None:
    for path in life.folder.glob("footage.db*"):
        path.unlink()
    if with_journal:
        shutil.rmtree(life.volume / "journal")


def rebuild(life: ReelLife) -> None:
    """What the comparison does meanwhile: every directory, newest first."""
    volume = check_volume(life.volume, "f1")
    for directory in list(segment_directories(life.volume)):
        settle_directory(volume, life.index, directory, Found(rebuilt=True), lambda: None, {REEL: life.track.seq})
    life.index.submit().done.wait(5)


@pytest.mark.parametrize("with_journal", [True, False])
def test_a_start_in_1970_is_set_right_from_the_files_alone(life: ReelLife, with_journal: bool) -> None:
    """With the journal, and without it by the later files of the same boot, which a trusted clock told."""
    life.play(20)
    life.stop()
    life.reboot(10 * NS, ClockQuality.UNKNOWN, off_s=600)
    life.start()
    life.play(30)
    life.set_right()
    settle(life)
    life.stop()
    before = [(row.path, row.start_ns, row.end_ns) for row in life.rows_at_rest()]
    lose_index(life, with_journal=not with_journal)
    life.reboot(life.true_ns() + 90 * NS, ClockQuality.NTP, off_s=90)
    life.start()
    rebuild(life)
    life.play(20)
    after = {row.path: (row.start_ns, row.end_ns or 0) for row in life.rows()}
    for path, start_ns, end_ns in before:
        assert end_ns is not None
        assert abs(after[path][0] - start_ns) < NS // 10
        assert abs(after[path][1] - end_ns) < NS // 10
    assert_true(life)


def test_an_index_that_is_lost_gets_its_reasons_back_from_the_journal(life: ReelLife) -> None:
    life.play(20)
    life.wait(20)
    life.play(20)
    life.clock.move(3600)
    life.track.camera.take()
    life.play(20)
    before = [gap for gap in life.decided().ledger.gaps if gap.reason == "camera_silent"]
    assert before
    life.stop()
    lose_index(life)
    life.start()
    settle(life)
    until(lambda: before[0] in _known(life), 5, "the reason is known again")


def _known(life: ReelLife) -> list[Gap]:
    life.chores()
    return list(life.decided().ledger.gaps)


def test_a_day_is_asked_for_in_pages_that_agree_with_the_whole(life: ReelLife) -> None:
    for _ in range(12):
        life.play(3)
        life.wait(6)
    whole = life.decided()
    now_ns = life.clock.wall_ns()
    at_ns = 0
    spans: list[Span] = []
    gaps: list[Gap] = []
    with life.index.reading() as connection:
        for _ in range(100):
            page = read(connection, REEL, at_ns, now_ns, dict(life.track.live), now_ns, most_rows=3)
            spans += page.ledger.spans
            gaps += page.ledger.gaps
            at_ns = page.to_ns
            if at_ns == now_ns:
                break
    assert sum(each.to_ns - each.from_ns for each in spans) == sum(e.to_ns - e.from_ns for e in whole.ledger.spans)
    for reason in {gap.reason for gap in whole.ledger.gaps}:
        total = sum((gap.to_ns or 0) - gap.from_ns for gap in gaps if gap.reason == reason)
        assert total == sum((gap.to_ns or 0) - gap.from_ns for gap in whole.ledger.gaps if gap.reason == reason)


def test_a_gap_without_a_condition_of_its_own_is_told_while_it_lasts(life: ReelLife) -> None:
    def refuse(path: Path) -> int:
        raise ValueError("no such codec")

    life.play(3)
    opener, life.store.opener = life.store.opener, refuse
    life.camera.end()
    life.camera.open()
    life.play(12)
    assert life.sweep.faults() == [], "not at once"
    life.play(15)
    (fault,) = life.sweep.faults()
    assert (fault.kind, fault.subject) == (ConditionKind.RECORDING_GAP, "camera/cam1")
    assert ("reason", "not_recordable") in fault.detail
    life.store.opener = opener
    life.play(15)
    assert life.sweep.faults() == []
    assert [reason for reason, _ in gaps_of(life)] == ["not_recordable"]
    life.wait(30)
    assert life.sweep.faults() == [], "a silent camera is told by the recorder"


def test_today_is_told_while_it_is_recorded(life: ReelLife) -> None:
    life.play(65)
    assert life.sweep.status()["coverage"]["camera/cam1"] > 0.99
    life.wait(65)
    life.play(65)
    assert 0.4 < life.sweep.status()["coverage"]["camera/cam1"] < 0.8


def test_the_check_finds_nothing_wrong_with_a_life_of_stops_reboots_and_clocks(life: ReelLife) -> None:
    life.play(20)
    life.kill()
    life.reboot(10 * NS, ClockQuality.UNKNOWN, off_s=600)
    life.start()
    life.play(20)
    life.wait(20)
    life.set_right()
    settle(life)
    life.stop()
    life.wait(30)
    life.start()
    settle(life)
    life.stop()
    wanted = Wanted(life.folder / "footage.db", [life.volume], "f1", {REEL}, deep=False)
    report = survey(wanted, life.clock.wall_ns, lambda _: None, lambda *_: None)
    assert [finding for finding in report.findings if finding.number != 17] == []
    life.start()


def test_an_answer_is_of_one_moment(life: ReelLife) -> None:
    life.play(5)
    life.wait(20)
    assert life.index.submit().done.wait(10)
    with closing(sqlite3.connect(life.index.path, isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")  # what is submitted from now on has to wait
        life.play(4)
        now_ns, live = life.clock.wall_ns(), life.track.live

        def comes_through(statement: str) -> None:
            if "FROM gap INDEXED BY gap_reel_from" in statement and another.in_transaction:
                another.rollback()
                assert life.index.submit().done.wait(10)

        with life.index.reading() as connection:
            connection.set_trace_callback(comes_through)
            decided = read(connection, REEL, 0, now_ns, live, now_ns)
        assert not another.in_transaction
    assert decided.ledger.gaps[-1].reason == "camera_silent"
    assert decided.ledger.gaps[-1].to_ns == now_ns
    assert (life.decided().ledger.gaps[-1].to_ns or 0) < now_ns - NS
