"""What somebody without the key may try on the journal, and a journal that is longer than footage.db keeps it."""

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from pathlib import Path

import pytest

from agent.access.console import Screen
from agent.access.verifying import Asked, run
from agent.access.verifying import Place as Verified
from agent.footage.custody import journal_copy
from agent.footage.custody.checkpoints import Checkpoints
from agent.footage.custody.evidence import FindingKind
from agent.footage.custody.packing import Packing
from agent.footage.custody.proof import prove
from agent.footage.custody.verify import Wanted, verify
from tests.fakes.verified import CAMERA, Place, a_place, check_proof


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with a_place(tmp_path) as found:
        yield found


def test_a_tombstone_of_what_was_judged_already_is_no_finding(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention deletes a run whose beginning was just read and whose end comes with the next page."""
    monkeypatch.setattr("agent.footage.custody.verify.PAGE", 5)
    place.record(30, age_days=100)
    place.sign()
    deleted: list[int] = []

    def progress(done: int, total: int) -> None:
        if not deleted:
            deleted.append(done)
            place.delete(*range(3, 13))

    report = verify(Wanted(place.index.path, {place.volume.uuid: place.volume.path}), progress)
    assert deleted
    assert report.findings == []
    assert report.unread == {}
    assert place.kinds() == []


def test_a_tombstone_in_the_table_alone_excuses_no_missing_file(place: Place) -> None:
    """Whoever deletes a file can write into footage.db that it was deleted by a rule: the journal does not say it."""
    place.record(4, age_days=100)
    place.sign()
    stored = place.stored["main", 2]
    (place.volume.path / stored.path).unlink()
    place.commit(("UPDATE segment SET state = 'deleting' WHERE seq = 2", ()))
    values = (CAMERA, "main", 2, 2, stored.start_ns, stored.end_ns, 1, 1, "", "", "expired", 1)
    place.commit((f"INSERT INTO tombstone VALUES ({', '.join('?' * 12)})", values))
    report = place.verify()
    assert report.findings or report.unread


def test_hours_after_the_last_signature_are_not_authentic(place: Place) -> None:
    """Who has no key takes the newest checkpoints away, and goes on from an earlier one as he likes."""
    place.record(20, age_days=2)
    place.sign()
    place.record(110, age_days=2)
    assert place.kinds() == []
    place.record(20, age_days=2)
    assert place.kinds() == [(FindingKind.UNSIGNED, 21)]
    out = io.StringIO()
    verified = Verified(place.index.path, [place.volume.path], "f1", UTC)
    key = place.checkpoints.key
    assert key is not None
    asked = Asked(fingerprints=[key.fingerprint])
    assert run(Screen("en", out, out), verified, asked, as_json=False) == 1
    assert "INCOMPLETE" in out.getvalue()
    place.sign()
    assert place.kinds() == []
    assert run(Screen("en", out, out), verified, asked, as_json=False) == 0


def test_deletions_that_nobody_signed_are_counted(place: Place) -> None:
    place.record(6, age_days=100)
    place.sign()
    place.delete(1, 2)
    assert place.verify().unsigned_deleted == 2
    place.sign()
    assert place.verify().unsigned_deleted == 0


def test_a_fingerprint_without_any_signature_proves_nothing(place: Place) -> None:
    place.record(2, age_days=1)
    out = io.StringIO()
    verified = Verified(place.index.path, [place.volume.path], "f1", UTC)
    asked = Asked(fingerprints=["12345-" * 7 + "12345"])
    assert run(Screen("en", out, out), verified, asked, as_json=False) == 1


def test_a_copy_that_lacks_rows_is_named(place: Place) -> None:
    place.record(6, age_days=100)
    place.sign()
    place.delete(1)
    place.delete(2)
    (path,) = journal_copy.files(place.volume.path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))
    (finding,) = place.verify().findings
    assert (finding.kind, finding.n, finding.path) == (FindingKind.JOURNAL_BROKEN, 2, str(path))


class Packed:
    """The evidence of `place` with all old rows of its journal in packs of ten rows."""

    def __init__(self, place: Place, monkeypatch: pytest.MonkeyPatch, most_bytes: int) -> None:
        for module in ("journal_chain", "journal_pack", "packing"):
            monkeypatch.setattr(f"agent.footage.custody.{module}.ROWS_PER_FILE", 10)
        self.place = place
        place.journal._packing = Packing(place.index, 10, most_bytes)
        place.record(120, age_days=100)
        for first in range(1, 80, 8):
            place.delete(*range(first, first + 4))
            place.delete(*range(first + 4, first + 8))
            place.sign()
        for _ in range(20):
            place.clock.move(2)
            place.journal.step(place.clock.stamp())

    def change(self, sql: str) -> None:
        with closing(sqlite3.connect(self.place.index.path)) as connection:
            assert connection.execute(sql).rowcount > 0
            connection.commit()


@pytest.mark.parametrize("most_bytes", [1 << 40, 1])
def test_what_stands_in_packs_is_verified_as_before(
    place: Place, monkeypatch: pytest.MonkeyPatch, most_bytes: int
) -> None:
    packed = Packed(place, monkeypatch, most_bytes)
    report = place.verify()
    assert (report.findings, report.unread, report.unread_rows) == ([], {}, [])
    assert (report.segments, report.deleted, report.review.checkpoints) == (40, 80, 10)
    with place.index.reading() as connection:
        assert connection.execute("SELECT COUNT(*) FROM journal_pack").fetchone()[0] == 2
        proof = prove(connection, CAMERA, "main", 3, 3, [place.volume.path])
    check_proof(proof)
    packed.change("UPDATE journal SET at_ns = at_ns + 1 WHERE n = 4")
    assert FindingKind.JOURNAL_BROKEN in [each.kind for each in place.verify().findings]


def test_a_pack_that_was_altered_or_taken_out_is_found(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = Packed(place, monkeypatch, 1 << 40)
    packed.change("UPDATE journal_part SET data = x'00' WHERE camera != '' AND first_n = 11")
    assert FindingKind.JOURNAL_BROKEN in [each.kind for each in place.verify().findings]
    packed.change("DELETE FROM journal_part WHERE first_n = 11")
    assert FindingKind.JOURNAL_BROKEN in [each.kind for each in place.verify().findings]
    packed.change("DELETE FROM journal_pack WHERE first_n = 11")
    assert FindingKind.JOURNAL_BROKEN in [each.kind for each in place.verify().findings]


def test_a_file_of_rows_that_volumes_alone_have_is_named_when_it_is_gone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    Packed(place, monkeypatch, 1)
    early = journal_copy.files(place.volume.path)[0]
    data = early.read_bytes()
    early.write_bytes(data.replace(b'"expired"', b'"quota"'))
    report = place.verify()
    assert report.unread_rows == [(1, 10)]
    assert any(early.name in each.detail.en for each in report.findings)
    assert all(each.kind is FindingKind.JOURNAL_BROKEN for each in report.findings), "and it is called nothing else"
    early.unlink()
    assert any(early.name in each.detail.en for each in place.verify().findings)
    early.write_bytes(data)
    assert place.kinds() == []


def test_rows_on_a_volume_that_is_away_are_told_as_not_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    Packed(place, monkeypatch, 1)
    report = verify(Wanted(place.index.path, {}, all_there=False), lambda done, total: None)
    assert report.findings == []
    assert report.unread_rows == [(1, 20)]
    assert sum(report.unread.values()) == 40


def test_an_index_of_an_earlier_version_is_still_verified(place: Place) -> None:
    place.record(6, age_days=100)
    place.delete(1, 2)
    place.sign()
    with closing(sqlite3.connect(place.index.path)) as connection:
        for table in ("journal_pack", "journal_part", "journal_before"):
            connection.execute(f"DROP TABLE {table}")
        connection.commit()
    assert place.kinds() == []


def test_a_key_that_others_could_read_is_closed_told_and_noted(place: Place) -> None:
    place.record(2, age_days=1)
    place.sign()
    key = place.folder / "device.key"
    key.chmod(0o644)
    place.sign()
    assert key.stat().st_mode & 0o777 == 0o600
    assert [fault.subject for fault in place.checkpoints.faults()] == ["key/readable"]
    exposed = place.verify().review.exposed
    assert len(exposed) == 1
    out = io.StringIO()
    verified = Verified(place.index.path, [place.volume.path], "f1", UTC)
    assert run(Screen("en", out, out), verified, Asked(), as_json=False) == 0
    assert f"journal row {exposed[0]}: other users could read the device key" in out.getvalue()
    place.clock.move(86_401)
    assert place.checkpoints.faults() == []
    place.sign()
    assert place.verify().review.exposed == exposed


def test_a_tombstone_cannot_say_itself_how_long_footage_had_to_be_kept(place: Place) -> None:
    place.record(4, age_days=10)
    place.sign()
    place.delete(1, minimum_days=0)
    assert place.kinds() == [(FindingKind.REMOVED, 1)]
    shorter = {"minimum_days": 7, "target_days": 90, "overwrite": False}
    Checkpoints(place.index, place.journal, place.clock, place.folder, "f1", shorter).step(place.clock.stamp())
    place.delete(2, minimum_days=7)
    assert place.kinds() == [(FindingKind.REMOVED, 1)], "a policy of fewer days is in the journal, for everybody to see"
