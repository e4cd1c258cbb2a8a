"""A long journal: footage.db packs what is old and gives it up to the volumes, and takes it back piece by piece."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.facts import ConditionKind
from agent.footage.custody import journal_copy
from agent.footage.custody.journal import Journal, JournalWaits
from agent.footage.custody.journal_chain import ROWS_PER_FILE, Head, Kind, Row, first_break, next_row
from agent.footage.custody.journal_pack import Pack, rows_of, to_parts
from agent.footage.custody.journal_rows import buried, hash_at, head_of, newest, put_row, rows_after
from agent.footage.custody.packing import Packing
from agent.footage.index import Index
from agent.footage.inspection.effects import effects
from tests.fakes.clock import MovedClock

_REELS = (("c1", "main"), ("c1", "sub"), ("c2", "main"))


def _detail(number: int, kind: str) -> dict[str, object]:
    camera, stream = _REELS[number % 3]
    match kind:
        case Kind.TOMBSTONE:
            first, segments = number * 10 + 1, [[number * 10 + each, 5, 6, 7, "ab" * 32] for each in range(1, 11)]
            return {
                "camera": camera, "stream": stream, "first_seq": first, "last_seq": first + 9, "segments": segments,
                "from_ns": 1, "to_ns": 2, "bytes": 3, "before": "", "after": "cd" * 32, "reason": "expired",
                "deleted_ns": 4, "minimum_days": 30,
            }  # fmt: skip
        case Kind.HOLD:
            return {
                "id": f"h{number}", "camera": camera, "from_ns": number, "to_ns": number + 5, "who": "王老师",
                "why": "x", "incident": None, "made_ns": 1, "until_ns": None,
            }  # fmt: skip
    return {"number": number}


@cache
def _chain(length: int) -> list[Row]:
    """Mostly tombstones, as in the field; a hold, a policy and a gap now and then."""
    rows: list[Row] = []
    head = Head()
    for number in range(length):
        kind = {250: Kind.HOLD, 500: Kind.POLICY, 750: Kind.GAP}.get(number % 1000, Kind.TOMBSTONE)
        rows.append(next_row(head, number, kind, _detail(number, kind)))
        head = Head(rows[-1].n, rows[-1].hash)
    return rows


class _Desk:
    """A journal of `length` rows in footage.db and on two volumes, that packs all but the newest thousand."""

    def __init__(self, folder: Path, length: int) -> None:
        self.folder, self.clock = folder, MovedClock()
        self.volumes = [folder / "one", folder / "two"]
        for volume in self.volumes:
            volume.mkdir()
        self.mounted = list(self.volumes)
        self.most_bytes = 1 << 40
        self.rows = _chain(length)
        self.begin()
        for at in range(0, length, 1000):
            self.submit(*(put_row(row) for row in self.rows[at : at + 1000]))
        for volume in self.volumes:
            journal_copy.append(volume, self.rows)

    def begin(self) -> None:
        self.index = Index(self.folder / "footage.db")
        self.index.prepare()
        self.index.start()
        packing = Packing(self.index, 1000, self.most_bytes)
        self.journal = Journal(self.index, lambda: list(self.mounted), self.clock, effects, packing)

    def submit(self, *statements: tuple[str, object]) -> None:
        pending = self.index.submit(*statements)  # type: ignore[arg-type]
        assert pending.done.wait(10)
        assert not pending.refused

    def lose(self) -> None:
        self.index.stop()
        for path in self.folder.glob("footage.db*"):
            path.unlink()
        self.begin()

    def turn(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.move(2)
            self.journal.step(self.clock.stamp())

    def stored(self, volumes: list[Path] | None = None) -> list[Row]:
        """Every row of footage.db, and what the volumes have of those that it gave up."""
        found: list[Row] = []
        with self.index.reading() as connection:
            while some := rows_after(connection, found[-1].n if found else 0, 700, volumes=volumes or []):
                found += some
        return found

    def told(self) -> dict[str, Any]:
        """What `status` tells of the journal."""
        return dict(self.journal.status()["journal"])

    def used_pages(self) -> int:
        with self.index.reading() as connection:
            pages, free = (
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")
            )
        return int(pages - free)

    def count(self, table: str, where: str = "1") -> int:
        with self.index.reading() as connection:
            return int(connection.execute(f"SELECT COUNT(*) FROM {table} WHERE {where}").fetchone()[0])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[_Desk]:
    desk = _Desk(tmp_path, 4300)
    yield desk
    desk.index.stop()


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(0, 39), st.integers(0, 3000), st.integers(1, 255))
def test_a_pack_gives_back_its_rows_and_shows_what_was_touched(length: int, at: int, byte: int, flip: int) -> None:
    rows = _chain(length)
    parts = to_parts(rows)
    pack = Pack(1, length, rows[0].previous, rows[-1].hash, 1)
    assert rows_of(each.data for each in parts) == rows
    assert pack.is_whole(rows)
    data = bytearray(parts[at % len(parts)].data)
    data[byte % len(data)] ^= flip
    others = [each.data for number, each in enumerate(parts) if number != at % len(parts)]
    touched = rows_of([*others, bytes(data)])
    assert touched == rows or not pack.is_whole(touched)
    assert rows_of([*others, b"", b"garbage"]) == [row for row in rows if row in rows_of(others)]


def test_what_is_old_is_packed_and_answers_as_before(desk: _Desk) -> None:
    with desk.index.reading() as connection:
        tombstones = {reel: buried(connection, *reel, 1, 10_000) for reel in _REELS}
        some = buried(connection, *_REELS[1], 8000, 7)
    used = desk.used_pages()
    desk.turn(6)
    assert desk.count("journal_pack") == 3
    assert desk.count("journal") == 1300 + 3 * 2, "holds and policies stay"
    assert desk.stored() == desk.rows
    assert first_break(desk.stored()) is None
    with desk.index.reading() as connection:
        assert {reel: buried(connection, *reel, 1, 10_000) for reel in _REELS} == tombstones
        assert buried(connection, *_REELS[1], 8000, 7) == some
        assert [hash_at(connection, n) for n in (1, 999, 1000, 1001, 3000, 3001, 4300)] == [
            desk.rows[n - 1].hash for n in (1, 999, 1000, 1001, 3000, 3001, 4300)
        ]
        hold = newest(connection, Kind.HOLD, 3001)
        assert hold == desk.rows[2250], "with the hash of the row before it, which is packed"
        assert head_of(connection) == Head(4300, desk.rows[-1].hash)
    assert desk.journal.append(Kind.POLICY, {}).previous == desk.rows[-1].hash
    assert desk.used_pages() < used * 0.75


def test_a_row_that_was_altered_is_not_packed_away(desk: _Desk) -> None:
    with closing(sqlite3.connect(desk.index.path)) as connection:
        connection.execute("UPDATE journal SET at_ns = 77 WHERE n = 1500")
        connection.commit()
    desk.turn(4)
    assert desk.count("journal_pack") == 1
    assert desk.count("journal", "n > 1000") == 3300
    (fault,) = desk.journal.faults()
    assert (fault.kind, fault.subject) == (ConditionKind.EVIDENCE_BROKEN, "journal/footage.db")


def test_packs_give_up_their_rows_to_volumes_that_have_all_of_them(desk: _Desk) -> None:
    desk.index.stop()
    desk.most_bytes = 1
    desk.begin()
    desk.turn(8)
    assert desk.count("journal_part", "data IS NOT NULL") == 0
    assert desk.stored(desk.volumes[1:]) == desk.rows
    assert [row.n for row in desk.stored()] == list(range(3001, 4301)), "without a volume they are nowhere"
    with desk.index.reading() as connection:
        found = buried(connection, *_REELS[0], 1, 10_000, desk.volumes[:1])
    assert found == [row for row in desk.rows if row.kind == Kind.TOMBSTONE and row.n % 3 == 1]


def test_no_pack_gives_up_what_a_volume_has_not_as_it_was(desk: _Desk) -> None:
    path = journal_copy.files(desk.volumes[1])[0]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:7] + lines[8:]))
    desk.index.stop()
    desk.most_bytes = 1
    desk.begin()
    desk.turn(8)
    assert desk.count("journal_part", "data IS NULL") == 0
    assert [fault.subject for fault in desk.journal.faults()] == [f"journal/{desk.volumes[1]}/rows"]


def test_a_volume_that_was_away_for_long_gets_packed_rows_and_rows_of_the_other_volume(desk: _Desk) -> None:
    away = desk.volumes[1]
    for early in journal_copy.files(away)[1:]:
        early.unlink()
    desk.mounted = desk.volumes[:1]
    desk.index.stop()
    desk.most_bytes = 1
    desk.begin()
    desk.turn(8)
    assert desk.count("journal_part", "data IS NOT NULL") == 0
    desk.mounted = list(desk.volumes)
    desk.turn()
    assert desk.journal.faults() == []
    assert list(journal_copy.read(away)) == desk.rows


def test_a_copy_that_alone_has_what_was_given_up_is_not_another_one(desk: _Desk) -> None:
    """It was away, footage.db gave rows up to the other volume, and that one is gone for good."""
    away = desk.volumes[1]
    files = journal_copy.files(away)
    files[2].write_bytes(b"".join(files[2].read_bytes().splitlines(keepends=True)[:400]))
    for late in files[3:]:
        late.unlink()
    desk.mounted = desk.volumes[:1]
    desk.index.stop()
    desk.most_bytes = 1
    desk.begin()
    desk.turn(8)
    desk.mounted = [away]
    desk.turn()
    assert desk.journal.faults() == []
    assert [row.n for row in journal_copy.read(away)] == [*range(1, 2401), *range(3001, 4301)]


def test_a_lost_index_is_given_a_long_journal_back_in_pieces(desk: _Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.footage.custody.taking_over.PIECE_NS", 0)
    monkeypatch.setattr("agent.footage.custody.taking_over.LOOSE_ROWS", 1000)
    desk.lose()
    desk.turn()
    assert desk.told()["n"] is None
    assert desk.told()["taking_over"] == {"n": 1000, "of": 4300}
    assert desk.journal.every_s < 1
    with pytest.raises(JournalWaits):
        desk.journal.append(Kind.POLICY, {})
    desk.turn(4)
    assert desk.journal.head == Head(4300, desk.rows[-1].hash)
    assert desk.told()["taking_over"] is None
    assert desk.journal.every_s > 1
    assert desk.stored() == desk.rows
    assert desk.count("journal_pack") == 3
    assert desk.count("hold") == 5
    assert desk.count("tombstone") == sum(row.kind == Kind.TOMBSTONE for row in desk.rows)


def test_nothing_is_appended_where_rows_are_missing_after_a_crash(desk: _Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The power goes while the journal is taken over, and no volume is there after it: the rows that are missing would
    be contradicted by the next one, and the holds among them be lost."""
    monkeypatch.setattr("agent.footage.custody.taking_over.PIECE_NS", 0)
    desk.lose()
    desk.turn()
    desk.mounted = []
    desk.index.stop()
    desk.begin()
    desk.turn()
    with pytest.raises(JournalWaits):
        desk.journal.append(Kind.POLICY, {})
    desk.mounted = list(desk.volumes)
    desk.turn(6)
    assert desk.journal.append(Kind.POLICY, {}).n == 4301
    assert desk.journal.faults() == []


def test_an_old_index_is_completed_before_anything_is_appended(desk: _Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.footage.custody.taking_over.PIECE_NS", 0)
    desk.submit(("DELETE FROM journal WHERE n > 1700", ()))
    with pytest.raises(JournalWaits):
        desk.journal.append(Kind.POLICY, {})
    desk.turn(4)
    assert desk.stored() == desk.rows
    assert desk.journal.append(Kind.POLICY, {}).n == 4301


def test_a_copy_that_is_set_aside_brings_no_hold_back_that_was_released(desk: _Desk) -> None:
    """The end of a copy is damaged: what both say is not done again."""
    with desk.index.reading() as connection:
        assert connection.execute("SELECT COUNT(*) FROM hold").fetchone()[0] == 0
    path = journal_copy.files(desk.volumes[1])[-1]
    data = path.read_bytes()
    path.write_bytes(data[:-200] + b"?" + data[-199:])
    desk.turn()
    assert [fault.subject for fault in desk.journal.faults()] == [f"journal/{desk.volumes[1]}"]
    assert desk.count("hold") == 0
    assert list(journal_copy.read(desk.volumes[1]))[:4300] == desk.rows


def test_rows_of_another_chain_are_refused_as_a_pack(desk: _Desk) -> None:
    from agent.footage.custody.journal_rows import put_pack

    desk.turn(3)
    strange = [replace(row, n=row.n + 2000) for row in desk.rows[:ROWS_PER_FILE]]
    before = desk.count("journal_pack")
    pending = desk.index.submit(*put_pack(strange))
    pending.done.wait(5)
    assert pending.refused
    assert desk.count("journal_pack") == before
    assert desk.stored() == desk.rows
