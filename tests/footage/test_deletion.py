"""Deletion: what is left by a crash at any point is finished, once, and what shows that it was stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.footage.custody.journal import JournalWaits
from agent.footage.mending.segment_file import quarantine
from agent.footage.rows import put_rebuilding, put_rebuilt
from agent.footage.upkeep import stock
from agent.footage.upkeep.deletion import Deletion, DeletionWaits, expired_in_quarantine
from agent.footage.upkeep.hold import Hold, Protection
from agent.footage.upkeep.retention import Reason, Stored
from tests.fakes.kept import DAY_S, Kept, S, seqs

FREE = Protection([], 0)
ENDED_NS = 1 << 62
"""All is past the minimum."""


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    found = Kept(tmp_path)
    yield found
    found.close()


def stored(kept: Kept, camera: str, most: int = 100) -> list[Stored]:
    with kept.index.reading() as connection:
        return stock.oldest(connection, (camera, "main"), kept.volumes(), FREE, kept.clock.wall_ns(), most)


def fill(kept: Kept, count: int = 6) -> None:
    for _ in range(count):
        kept.clock.move(60)
        kept.add(kept.a)
        kept.add(kept.b)


def buried(kept: Kept) -> list[tuple[str, int]]:
    """Every (camera, number) that the journal tells of, as often as it does."""
    return [
        (row.told()["camera"], each[0]) for row in kept.journal_rows("tombstone") for each in row.told()["segments"]
    ]


def assert_bridged(kept: Kept, camera: str, first: int, last: int, reason: str = "expired") -> None:
    (stone,) = [each for each in kept.tombstones() if each["camera"] == camera]
    assert (stone["first_seq"], stone["last_seq"], stone["segments"]) == (first, last, last - first + 1)
    assert (stone["reason"], stone["bytes"]) == (reason, 1000 * (last - first + 1))
    with kept.index.reading() as connection:
        after = connection.execute(
            "SELECT previous, chain FROM segment WHERE camera = ? AND seq = ?", (camera, last + 1)
        ).fetchone()
    digests = [each[4] for row in kept.journal_rows("tombstone") for each in row.told()["segments"]
               if row.told()["camera"] == camera]  # fmt: skip
    assert after["previous"] == digests[-1], "the next file names the digest of the last that went"


def test_what_goes_leaves_a_tombstone_and_its_digests(kept: Kept) -> None:
    fill(kept)
    heads = {each.seq: each.chain for each in stored(kept, kept.a)}
    batch = [(each, Reason.EXPIRED) for each in stored(kept, kept.a)[:2]]
    done = Deletion(kept.index, kept.journal, 30).delete(batch, kept.volumes(), 5, 5)
    assert (len(done.gone), done.stuck) == (2, {})
    assert seqs(kept.rows(), kept.a) == [3, 4, 5, 6]
    assert len(kept.files(kept.a)) == 4
    assert len(kept.files(kept.b)) == 6
    assert_bridged(kept, kept.a, 1, 2)
    (stone,) = kept.tombstones()
    assert (stone["before"], stone["after"]) == ("", heads[2])
    (row,) = kept.journal_rows("tombstone")
    assert row.told()["minimum_days"] == 30


def test_runs_side_by_side_become_one_tombstone_and_other_reasons_another(kept: Kept) -> None:
    fill(kept)
    deletion = Deletion(kept.index, kept.journal, 30)
    for reason in (Reason.EXPIRED, Reason.EXPIRED, Reason.QUOTA):
        deletion.delete([(stored(kept, kept.a)[0], reason)], kept.volumes(), 5, 5)
    found = [(each["first_seq"], each["last_seq"], each["reason"]) for each in kept.tombstones()]
    assert found == [(1, 2, "expired"), (3, 3, "quota")]


def test_what_stays_in_the_middle_parts_two_tombstones(kept: Kept) -> None:
    fill(kept)
    found = stored(kept, kept.a)
    batch = [(found[place], Reason.EXPIRED) for place in (0, 1, 3)]
    Deletion(kept.index, kept.journal, 30).delete(batch, kept.volumes(), 5, 5)
    assert [(each["first_seq"], each["last_seq"]) for each in kept.tombstones()] == [(1, 2), (4, 4)]
    stones = kept.tombstones()
    assert stones[1]["before"] == found[2].chain


class Killed(Exception):
    """The process dies here."""


class Dying(Deletion):
    """Dies at one of its steps."""

    at = ""

    def _die(self, at: str) -> None:
        if self.at == at:
            raise Killed(at)

    def _mark(self, batch: object, now_ns: int) -> None:
        self._die("before the mark")
        super()._mark(batch, now_ns)  # type: ignore[arg-type]
        self._die("after the mark")

    def _unlink(self, volume: Path, directory: str, inside: object, stuck: dict[str, str]) -> list[Stored]:
        some = list(inside)  # type: ignore[call-overload]
        if self.at == "between two files":
            (volume / some[0].path).unlink()
            raise Killed(self.at)
        gone = super()._unlink(volume, directory, some, stuck)
        self._die("after the files")
        return gone

    def _bury(self, tomb: object) -> None:
        super()._bury(tomb)  # type: ignore[arg-type]
        self._die("after the first tombstone")


POINTS = ("before the mark", "after the mark", "between two files", "after the files", "after the first tombstone")


@pytest.mark.parametrize("at", POINTS)
def test_a_crash_at_any_point_is_finished_at_the_next_start(kept: Kept, at: str) -> None:
    fill(kept)
    batch = [(each, Reason.QUOTA) for camera in (kept.a, kept.b) for each in stored(kept, camera)[:3]]
    dying = Dying(kept.index, kept.journal, 30)
    dying.at = at
    with pytest.raises(Killed):
        dying.delete(batch, kept.volumes(), 5, 5)
    kept.restart()
    deletion = Deletion(kept.index, kept.journal, 30)
    deletion.finish(kept.volumes(), FREE, 5, 5, ENDED_NS)
    if at == "before the mark":
        assert len(kept.rows()) == 12
        assert len(kept.files()) == 12
        return
    for camera in (kept.a, kept.b):
        assert seqs(kept.rows(), camera) == [4, 5, 6]
        assert len(kept.files(camera)) == 3
        assert_bridged(kept, camera, 1, 3, "quota")
    assert sorted(buried(kept)) == sorted((each.camera, each.seq) for each, _ in batch), "each is told of once"


def test_a_hold_that_came_after_the_mark_saves_what_is_still_there(kept: Kept) -> None:
    fill(kept)
    batch = [(each, Reason.EXPIRED) for each in stored(kept, kept.a)[:3]]
    dying = Dying(kept.index, kept.journal, 30)
    dying.at = "between two files"
    with pytest.raises(Killed):
        dying.delete(batch, kept.volumes(), 5, 5)
    kept.restart()
    hold = Hold("h", kept.a, 0, None, "ann", "why", None, 0, None)
    done = Deletion(kept.index, kept.journal, 30).finish(kept.volumes(), Protection([hold], 0), 5, 5, ENDED_NS)
    assert (len(done.kept), len(done.gone)) == (2, 1)
    states = [state for camera, _, _, state in kept.rows() if camera == kept.a]
    assert states == ["closed"] * 5, "in the state that each had"
    assert [(each["first_seq"], each["last_seq"]) for each in kept.tombstones()] == [(1, 1)]


def test_a_file_that_cannot_be_unlinked_stays_is_told_and_holds_up_no_other(kept: Kept) -> None:
    fill(kept)
    found = stored(kept, kept.a)
    stubborn = kept.volume / found[1].path
    stubborn.unlink()
    stubborn.mkdir()  # unlink refuses a directory, even for root
    (stubborn / "x").touch()
    deletion = Deletion(kept.index, kept.journal, 30)
    done = deletion.delete([(each, Reason.EXPIRED) for each in found[:3]], kept.volumes(), 5, 5)
    assert list(done.stuck) == [str(stubborn)]
    assert [(seq, state) for camera, _, seq, state in kept.rows() if camera == kept.a][:2] == [
        (2, "deleting"), (4, "closed"),
    ]  # fmt: skip
    assert [(each["first_seq"], each["last_seq"]) for each in kept.tombstones()] == [(1, 1), (3, 3)]
    (stubborn / "x").unlink()
    stubborn.rmdir()
    assert deletion.finish(kept.volumes(), FREE, 5, 5, ENDED_NS).stuck == {}
    assert sorted(buried(kept)) == [(kept.a, 1), (kept.a, 2), (kept.a, 3)]


def test_the_directories_of_hours_that_are_empty_go_but_for_those_of_today(kept: Kept) -> None:
    old = kept.add()
    kept.clock.move(3 * 86_400)
    new = kept.add()
    batch = [(each, Reason.EXPIRED) for each in stored(kept, kept.a)]
    now_ns = kept.clock.wall_ns()
    Deletion(kept.index, kept.journal, 30).delete(batch, kept.volumes(), now_ns, now_ns)
    assert not (kept.volume / old.path).parent.exists()
    assert (kept.volume / new.path).parent.is_dir()
    assert (kept.volume / kept.a / "main").is_dir()


def test_a_number_goes_on_after_everything_was_deleted(kept: Kept) -> None:
    from agent.footage.rows import last_of

    fill(kept, 2)
    head = stored(kept, kept.a)[-1].chain
    batch = [(each, Reason.EXPIRED) for each in stored(kept, kept.a)]
    Deletion(kept.index, kept.journal, 30).delete(batch, kept.volumes(), 5, 5)
    with kept.index.reading() as connection:
        last = last_of(connection, kept.a, "main")
    assert (last.seq, last.chain) == (2, head)


def test_what_was_deleted_is_known_again_after_the_index_was_lost(kept: Kept) -> None:
    fill(kept)
    batch = [(each, Reason.EXPIRED) for each in stored(kept, kept.a)[:3]]
    Deletion(kept.index, kept.journal, 30).delete(batch, kept.volumes(), 5, 5)
    before = kept.tombstones()
    kept.close()
    for path in kept.folder.glob("footage.db*"):
        path.unlink()
    kept.begin()
    assert kept.tombstones() == before


def test_quarantine_ends_after_its_term_unless_it_is_held_or_its_time_is_none(kept: Kept) -> None:
    folder = kept.volume / "quarantine"
    folder.mkdir()
    row = kept.add()
    names = ["strange.mp4", row.path.replace("/", "_")]
    for name in names:
        (folder / name).write_bytes(b"x")
    seen_ns = (folder / names[0]).stat().st_ctime_ns
    hold = Protection([Hold("h", kept.a, row.start_ns, None, "", "", None, 0, None)], 0)

    def found(protection: Protection, before_ns: int, floor_ns: int = 0) -> list[str]:
        return [path.name for path, _ in expired_in_quarantine(folder, protection, before_ns, floor_ns)]

    assert sorted(found(FREE, seen_ns + DAY_S * S)) == sorted(names)
    assert found(hold, seen_ns + DAY_S * S) == ["strange.mp4"]
    assert found(FREE, seen_ns - DAY_S * S) == []
    assert found(FREE, seen_ns + DAY_S * S, floor_ns=seen_ns + 5 * S) == []


@pytest.mark.parametrize("at", ["before it begins", "after a crash"])
def test_a_volume_that_is_taken_away_meanwhile_buries_nothing(kept: Kept, at: str) -> None:
    """The mount point of a disk that was pulled is an empty folder: no file is there, and none was deleted."""
    fill(kept)
    batch = [(each, Reason.EXPIRED) for each in stored(kept, kept.a)[:3]]
    dying = Dying(kept.index, kept.journal, 30)
    dying.at = "after the mark"
    with pytest.raises(Killed):
        dying.delete(batch, kept.volumes(), 5, 5)
    away = kept.volume.rename(kept.volume.with_name("away"))
    kept.volume.mkdir()
    deletion = Deletion(kept.index, kept.journal, 30)
    attempts = {
        "before it begins": lambda: deletion.delete(batch, kept.volumes(), 5, 5),
        "after a crash": lambda: deletion.finish(kept.volumes(), FREE, 5, 5, ENDED_NS),
    }
    with pytest.raises(DeletionWaits):
        attempts[at]()
    assert kept.tombstones() == []
    assert seqs(kept.rows(), kept.a) == [1, 2, 3, 4, 5, 6]
    kept.volume.rmdir()
    away.rename(kept.volume)
    hold = Protection([Hold("h", kept.a, 0, None, "ann", "why", None, 0, None)], 0)
    assert len(deletion.finish(kept.volumes(), hold, 5, 5, ENDED_NS).kept) == 3, "and a hold that came meanwhile holds"
    assert len(kept.files(kept.a)) == 6


@pytest.mark.parametrize("restarted", [True, False])
def test_a_segment_that_a_hold_saved_is_what_it_was(kept: Kept, restarted: bool) -> None:
    fill(kept)
    kept.index.submit(("UPDATE segment SET state = 'suspect' WHERE seq = 2", ())).done.wait(5)
    dying = Dying(kept.index, kept.journal, 30)
    dying.at = "after the mark"
    with pytest.raises(Killed):
        dying.delete([(each, Reason.EXPIRED) for each in stored(kept, kept.a)[:3]], kept.volumes(), 5, 5)
    hold = Protection([Hold("h", kept.a, 0, None, "ann", "why", None, 0, None)], 0)
    deletion = Deletion(kept.index, kept.journal, 30) if restarted else dying
    deletion.finish(kept.volumes(), hold, 5, 5, ENDED_NS)
    assert [state for camera, _, _, state in kept.rows() if camera == kept.a][:3] == ["closed", "suspect", "closed"]


def test_a_second_file_of_a_name_in_quarantine_is_held_as_the_first_is(kept: Kept) -> None:
    folder = kept.volume / "quarantine"
    row = kept.add()
    for _ in range(2):
        (kept.volume / row.path).write_bytes(b"x")
        quarantine(kept.volume, row.path)
    seen_ns = max(each.stat().st_ctime_ns for each in folder.iterdir())
    hold = Protection([Hold("h", kept.a, row.start_ns, None, "", "", None, 0, None)], 0)
    assert len(list(expired_in_quarantine(folder, FREE, seen_ns + 1, 0))) == 2
    assert list(expired_in_quarantine(folder, hold, seen_ns + 1, 0)) == []


class Waiting(Deletion):
    """The index is found to be broken when the tombstone is to be written."""

    broken = True

    def _bury(self, tomb: object) -> None:
        if self.broken:
            raise JournalWaits("footage.db is broken")
        super()._bury(tomb)  # type: ignore[arg-type]


def test_what_was_unlinked_has_its_tombstone_though_the_index_was_lost_before(kept: Kept) -> None:
    fill(kept)
    deletion = Waiting(kept.index, kept.journal, 30)
    batch = [(each, Reason.QUOTA) for each in stored(kept, kept.a)[:3]]
    with pytest.raises(JournalWaits):
        deletion.delete(batch, kept.volumes(), 5, 5)
    # The new index is built from the files that are there.
    kept.index.submit(
        ("DELETE FROM segment WHERE state = 'deleting'", ()),
        ("DELETE FROM note WHERE name LIKE 'rebuilt/%'", ()),
        put_rebuilding(),
    ).done.wait(5)
    deletion.broken = False
    deletion.finish(kept.volumes(), FREE, 5, 5, ENDED_NS)
    assert kept.tombstones() == [], "what stands beside it may not be known yet"
    kept.index.submit(put_rebuilt(kept.uuid)).done.wait(5)
    for _ in range(2):
        deletion.finish(kept.volumes(), FREE, 5, 5, ENDED_NS)
    assert_bridged(kept, kept.a, 1, 3, "quota")
    assert len(buried(kept)) == 3


def test_what_waits_for_its_tombstone_in_a_sound_index_has_one(kept: Kept) -> None:
    fill(kept)
    deletion = Waiting(kept.index, kept.journal, 30)
    with pytest.raises(JournalWaits):
        deletion.delete([(each, Reason.QUOTA) for each in stored(kept, kept.a)[:3]], kept.volumes(), 5, 5)
    deletion.broken = False
    for _ in range(2):
        deletion.finish(kept.volumes(), FREE, 5, 5, ENDED_NS)
    assert_bridged(kept, kept.a, 1, 3, "quota")
    assert len(buried(kept)) == 3
