"""Verification beside what really deletes, holds and signs: index, journal, keeper's chores and files on a disk."""

import io
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from pathlib import Path

import av
import pytest

from agent.access.console import Screen
from agent.access.verifying import Asked, run
from agent.access.verifying import Place as Verified
from agent.footage import rows
from agent.footage.chain import FIRST, hash_bytes, link
from agent.footage.custody.checkpoints import Checkpoints
from agent.footage.custody.evidence import FindingKind
from agent.footage.custody.journal_chain import Kind
from agent.footage.custody.proof import prove
from agent.footage.custody.seen import read_file, said_in
from agent.footage.custody.verify import Rebuilding, Wanted, verify
from agent.footage.naming import segment_path
from agent.footage.recording.segment import Segment, create_file
from agent.footage.rows import SegmentRow
from agent.footage.timeline import Sane
from agent.footage.upkeep.hold import Hold
from agent.footage.upkeep.retention import Reason, Stored
from tests.fakes.camera import make_clip
from tests.fakes.clock import START_WALL_NS
from tests.fakes.verified import CAMERA, DAY_NS, LENGTH_NS, Place, a_place, check_proof


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with a_place(tmp_path) as found:
        yield found


def test_what_was_deleted_by_the_rules_is_bridged(place: Place) -> None:
    place.record(12, age_days=100)
    place.sign()
    place.delete(1, 2, 3)
    place.sign()
    place.delete(6, 7)
    place.delete(4, 5, 8)
    place.record(3, age_days=1)
    place.sign()
    report = place.verify()
    assert report.findings == []
    assert (report.segments, report.deleted, report.unsigned) == (7, 8, 0)
    assert place.verify(from_ns=place.stored["main", 7].start_ns).findings == []
    assert place.verify(to_ns=place.stored["main", 7].start_ns).findings == []
    place.delete(9, 10, 11, 12)
    assert place.kinds() == []
    one = place.volume.path / place.stored["main", 13].path
    one.write_bytes(one.read_bytes()[::-1])
    assert place.kinds() == [(FindingKind.ALTERED, 13)]
    assert place.kinds(quick=True) == []
    assert place.kinds(to_ns=place.stored["main", 12].end_ns) == []


def test_a_file_that_was_never_readable_breaks_nothing(place: Place) -> None:
    """A disk failed in the middle of it: there is a row without digest and link, and the chain goes over it."""
    place.record(3, age_days=100)
    _, digest = place.last["main"]
    start_ns = START_WALL_NS - 100 * DAY_NS + 4 * LENGTH_NS
    path = segment_path(CAMERA, "main", start_ns, 4)
    (place.volume.path / path).write_bytes(b"?")
    row = SegmentRow(
        CAMERA, place.volume.uuid, "main", None, 4, start_ns, start_ns + LENGTH_NS, 1, 1, str(path), "h264", 64, 36,
        None, digest, None, "suspect",
    )  # fmt: skip
    place.commit(rows.put_segment(row))
    place.stored["main", 4] = Stored(
        CAMERA, "main", 4, start_ns, start_ns + LENGTH_NS, 1, place.volume.uuid, str(path), None, None, "suspect", 0
    )
    place.last["main"] = (4, digest)
    place.record(3, age_days=100)
    place.sign()
    assert place.kinds() == []
    place.delete(2, 3)
    place.delete(4)
    place.delete(5, 6)
    assert place.kinds() == []
    place.delete(1, 7)
    assert place.kinds() == []


def _damage(place: Place, seq: int, state: str, cut: bool, sized: bool = True) -> None:
    """The file of number `seq` is shorter than it was, if `cut`, and its row says `state`; that agrees with the file if
    `sized`, and knows neither digest nor link otherwise."""
    stored = place.stored["main", seq]
    path = place.volume.path / stored.path
    data = path.read_bytes()[: -3 if cut else None]
    path.write_bytes(data)
    digest = hash_bytes("sha256", data)
    before = place.stored["main", seq - 1].chain or FIRST
    chain = link("sha256", before, CAMERA, "main", seq, stored.start_ns, len(data), digest)
    values = (state, len(data), digest if sized else None, chain if sized else None, stored.path)
    place.commit(("UPDATE segment SET state = ?, bytes = ?, digest = ?, chain = ? WHERE path = ?", values))


def test_a_recovered_file_is_signed_as_it_is_and_one_that_was_closed_is_not(place: Place) -> None:
    place.record(6, age_days=1)
    place.sign()
    place.record(6, age_days=1)
    _damage(place, 9, "recovered", cut=True)
    assert place.kinds() == [(FindingKind.UNVOUCHED, 9)], "before anybody signed it"
    place.sign()
    report = place.verify()
    assert report.findings == []
    assert [(each.kind, each.seq) for each in report.notes] == [(FindingKind.DAMAGED, 9)]
    for seq in (8, 9, 10, 11):
        assert place.kinds(from_ns=place.stored["main", seq].start_ns) == [], seq
    _damage(place, 4, "recovered", cut=True)
    place.sign()
    assert place.kinds(from_ns=place.stored["main", 5].start_ns) == [(FindingKind.CHAIN_BROKEN, 5)]
    assert (FindingKind.ALTERED, 4) in place.kinds()
    path = place.volume.path / place.stored["main", 9].path
    path.write_bytes(path.read_bytes()[::-1])
    assert (FindingKind.ALTERED, 9) in place.kinds()


def test_a_file_that_is_recovered_late_is_signed_then(place: Place) -> None:
    """Its disk hung, and came back after a checkpoint had signed beyond it."""
    place.record(4, age_days=1)
    head = place.heads["main"], place.last["main"]
    place.record(1, age_days=1)
    place.heads["main"], place.last["main"] = head[0], (5, head[1][1])
    place.record(3, age_days=1)
    _damage(place, 5, "open", cut=True, sized=False)
    place.sign()
    assert place.kinds() == []
    place.sign()
    _damage(place, 5, "recovered", cut=False)
    assert place.kinds() == [(FindingKind.UNVOUCHED, 5)]
    place.sign()
    report = place.verify()
    assert (report.findings, [each.seq for each in report.notes]) == ([], [5])
    place.record(1, age_days=1)
    place.sign()
    with place.index.reading() as connection:
        newest = connection.execute("SELECT detail FROM journal WHERE kind = 'checkpoint' ORDER BY n DESC").fetchone()
    assert "loose" not in newest[0]


def test_everything_of_a_camera_may_be_deleted(place: Place) -> None:
    place.record(4, age_days=100)
    place.sign()
    place.delete(1, 2, 3, 4)
    place.sign()
    assert place.kinds() == []


@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
def test_streams_and_hashes_stand_side_by_side(place: Place, algorithm: str) -> None:
    place.record(3, age_days=40)
    place.record(4, age_days=40, stream="sub", algorithm=algorithm)
    place.record(3, age_days=39, algorithm=algorithm)
    place.sign()
    assert place.verify().segments == 10
    assert place.kinds() == []
    path = place.volume.path / place.stored["sub", 2].path
    path.write_bytes(path.read_bytes().replace(b"sub", b"SUB"))
    assert [(each.stream, each.seq) for each in place.verify().findings] == [("sub", 2)]


def test_what_was_too_young_or_overwritten_without_leave_is_found(place: Place) -> None:
    place.record(4, age_days=10)
    place.sign()
    place.delete(1, 2)
    assert place.kinds() == [(FindingKind.REMOVED, 1), (FindingKind.REMOVED, 2)]
    place.delete(3, reason=Reason.OVERWRITTEN)
    assert (FindingKind.REMOVED, 3) in place.kinds()


def test_overwriting_is_right_where_the_policy_allows_it(place: Place) -> None:
    place.record(4, age_days=10)
    allowed = Checkpoints(place.index, place.journal, place.clock, place.folder, "f1", {"overwrite": True})
    allowed.step(place.clock.stamp())
    place.delete(1, 2, reason=Reason.OVERWRITTEN)
    assert place.kinds() == []


def test_what_was_held_may_not_go_until_it_is_released(place: Place) -> None:
    place.record(6, age_days=100)
    place.sign()
    held = place.stored["main", 3]
    hold = Hold("h1", None, held.start_ns, held.end_ns, "王园长", "case 7", None, place.clock.wall_ns(), None)
    place.journal.append(Kind.HOLD, hold.values())
    place.delete(1)
    place.delete(3)
    assert place.kinds() == [(FindingKind.REMOVED, 3)]
    place.journal.append(
        Kind.RELEASE, {"id": "h1", "released_ns": place.clock.wall_ns(), "released_by": "x", "why": "y"}
    )
    place.delete(2, 4)
    assert place.kinds() == [(FindingKind.REMOVED, 3)]


def test_a_tombstone_that_is_taken_out_breaks_journal_and_chain(place: Place) -> None:
    place.record(6, age_days=100)
    place.sign()
    place.delete(2, 3)
    place.sign()
    with closing(sqlite3.connect(place.index.path)) as connection:
        connection.execute("DELETE FROM journal WHERE kind = 'tombstone'")
        connection.commit()
    found = place.kinds()
    assert (FindingKind.REMOVED, 2) in found
    assert (FindingKind.JOURNAL_BROKEN, 0) in found


def test_more_than_a_page_of_segments_and_tombstones(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.footage.custody.verify.PAGE", 5)
    monkeypatch.setattr("agent.footage.custody.verify_journal.JOURNAL_PAGE", 4)
    place.record(40, age_days=100)
    for first in (1, 9, 20, 31):
        place.sign()
        place.delete(*range(first, first + 6))
    for seq in (8, 16, 18):
        place.delete(seq)
    place.sign()
    report = place.verify()
    assert report.findings == []
    assert (report.segments, report.deleted) == (13, 27)
    for seq in (19, 40):
        (place.volume.path / place.stored["main", seq].path).unlink()
    assert place.kinds() == [(FindingKind.MISSING, 19), (FindingKind.MISSING, 40)]


def test_what_is_deleted_meanwhile_is_no_finding(place: Place) -> None:
    """Retention deletes the second half while the first is being read."""
    place.record(30, age_days=100)
    place.sign()
    deleted: list[int] = []

    def progress(done: int, total: int) -> None:
        if not deleted:
            deleted.append(done)
            place.delete(*range(15, 25))

    report = verify(Wanted(place.index.path, {place.volume.uuid: place.volume.path}), progress)
    assert deleted
    assert report.findings == []
    assert report.unread == {}


def test_a_file_that_the_index_does_not_know_is_told(place: Place) -> None:
    place.record(3, age_days=1)
    stray = place.volume.path / segment_path(CAMERA, "main", START_WALL_NS, 77)
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"film")
    assert place.kinds() == [(FindingKind.UNINDEXED, 77)]
    assert place.kinds(cameras=frozenset({"another"})) == []


def test_a_proof_leads_over_tombstones_to_what_was_signed(place: Place) -> None:
    place.record(8, age_days=100)
    place.sign()
    place.record(4, age_days=99)
    place.delete(3, 4, 5)
    place.sign()
    with place.index.reading() as connection:
        proof = prove(connection, CAMERA, "main", 2, 6)
        early = prove(connection, CAMERA, "main", 4, 4)
        late = prove(connection, CAMERA, "main", 9, 12)
        none = prove(connection, CAMERA, "main", 12, 13)
    for told in (proof, early, late):
        check_proof(told)
    assert [each[0] for each in proof["links"]] == [2, 3, 4, 5, 6, 7, 8]
    assert proof["deleted"] == [3, 4, 5]
    assert proof["checkpoint"]["n"] < late["checkpoint"]["n"]
    assert none["checkpoint"] is None
    assert none["checkpoint_text"] is None


def test_a_checkpoint_waits_for_a_key_and_is_told(place: Place, tmp_path: Path) -> None:
    place.record(1, age_days=1)
    (tmp_path / "device.key").mkdir()
    place.checkpoints.step(place.clock.stamp())
    assert [fault.subject for fault in place.checkpoints.faults()] == ["key/device"]
    assert place.checkpoints.status() == {"fingerprint": None, "checkpoint": None}
    (tmp_path / "device.key").rmdir()
    place.checkpoints.step(place.clock.stamp())
    assert place.checkpoints.faults() != [], "it is not tried all the time"
    place.clock.move(61)
    place.checkpoints.step(place.clock.stamp())
    assert place.checkpoints.faults() == []
    first = place.checkpoints.status()["checkpoint"]
    assert first is not None
    place.clock.move(3500)
    place.checkpoints.step(place.clock.stamp())
    assert place.checkpoints.status()["checkpoint"] == first
    place.sign()
    assert place.kinds() == []


def test_a_file_tells_what_it_is_by_its_first_bytes(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4")
    described = {"camera": CAMERA, "stream": "main", "seq": 7, "start_ns": 5, "chain": "ab" * 32}
    with av.open(tmp_path / "clip.mp4", "r") as container:
        stream = container.streams.video[0]
        segment = Segment(tmp_path / "out.mp4", stream, described, create_file)
        for packet in container.demux(stream):
            if packet.dts is not None and packet.pts is not None:
                segment.write(packet, Sane(packet.pts, packet.dts))
        digest = segment.finish()
        os.close(segment.file.number)
    seen = read_file(tmp_path / "out.mp4", "sha256")
    assert (seen.size_bytes, seen.digest) == ((tmp_path / "out.mp4").stat().st_size, digest)
    assert seen.said is not None
    assert (seen.said.camera, seen.said.stream, seen.said.seq, seen.said.before) == (CAMERA, "main", 7, "ab" * 32)
    for data in (b"", b"\x00" * 100, b"\xff" * 100, (tmp_path / "out.mp4").read_bytes()[:300]):
        assert said_in(data) is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE segment SET path = x'00ff' WHERE seq = 3", "UPDATE segment SET path = 'a' || char(0) WHERE seq = 3",
        "UPDATE segment SET bytes = 'many', digest = 7, chain = x'01' WHERE seq = 3",
        "UPDATE segment SET start_ns = 'never' WHERE seq = 3", "UPDATE segment SET chain = 'nonsense' WHERE seq = 3",
        "UPDATE journal SET detail = json_remove(detail, '$.segments') WHERE kind = 'tombstone'",
        "UPDATE journal SET detail = json_remove(detail, '$.first_seq') WHERE kind = 'tombstone'",
        "UPDATE journal SET detail = json_set(detail, '$.segments', json('[]')) WHERE kind = 'tombstone'",
        "UPDATE journal SET detail = json_set(detail, '$.deleted_ns', 'x') WHERE kind = 'tombstone'",
        "UPDATE journal SET detail = '{\"at_ns\":Infinity,\"heads\":[],\"journal\":{}}' WHERE kind = 'checkpoint'",
        "UPDATE journal SET detail = replace(hex(zeroblob(50000)), '00', '[') WHERE kind = 'checkpoint'",
        "UPDATE journal SET detail = '[1]' WHERE kind = 'key'", "UPDATE journal SET kind = x'00' WHERE kind = 'key'",
        "UPDATE journal SET hash = 5 WHERE n = 2", "UPDATE journal SET at_ns = 'x' WHERE n = 2",
    ],
)  # fmt: skip
def test_garbage_in_the_index_is_found_and_crashes_nothing(place: Place, change: str) -> None:
    place.record(8, age_days=100)
    place.sign()
    place.delete(1)
    place.record(1, age_days=1)
    with closing(sqlite3.connect(place.index.path)) as connection:
        assert connection.execute(change).rowcount > 0
        connection.commit()
    assert place.kinds() != []
    out = io.StringIO()
    place_ = Verified(place.index.path, [place.volume.path], "f1", UTC)
    assert run(Screen("zh", out, out), place_, Asked(), as_json=False) == 1
    assert run(Screen("en", out, out), place_, Asked(), as_json=True) == 1


def test_a_pipe_in_the_place_of_a_file_holds_up_nothing(place: Place) -> None:
    place.record(3, age_days=1)
    path = place.volume.path / place.stored["main", 2].path
    path.unlink()
    os.mkfifo(path)
    assert list(place.verify().unread) == ["this is no plain file"]
    assert place.kinds(quick=True) == [(FindingKind.ALTERED, 2)]


def test_the_state_of_a_row_excuses_no_missing_file(place: Place) -> None:
    """Whoever deletes a file writes `deleting` beside it: only a tombstone says that it went by a rule."""
    place.record(4, age_days=1)
    place.sign()
    assert place.verify().unread == {}
    (place.volume.path / place.stored["main", 2].path).unlink()
    place.commit(("UPDATE segment SET state = 'deleting' WHERE seq = 2", ()))
    assert place.verify().unread == {"being deleted, and no tombstone yet": 1}


def test_an_index_that_is_being_rebuilt_is_not_judged(place: Place) -> None:
    place.record(1, age_days=1)
    assert place.kinds() == []
    place.commit(("DELETE FROM note WHERE name LIKE 'rebuilt/%'", ()))
    with pytest.raises(Rebuilding):
        place.verify()
