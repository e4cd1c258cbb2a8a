"""The journal: its chain, its copies on volumes, and what a lost index, a torn line or a strange copy do to it."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.facts import ConditionKind
from agent.footage.custody import journal_copy
from agent.footage.custody.journal import Journal, JournalWaits
from agent.footage.custody.journal_chain import (
    ROWS_PER_FILE,
    Head,
    Kind,
    Remedy,
    Row,
    canonical,
    first_break,
    follows,
    heal,
    is_whole,
    next_row,
    parse_line,
    to_line,
)
from agent.footage.custody.journal_rows import head_of, put_row, rows_after
from agent.footage.index import Index
from agent.footage.index_file import prepare
from agent.footage.inspection.effects import effects
from agent.footage.rows import Statement
from tests.fakes.clock import MovedClock
from tests.fakes.waiting import until


def _chain(length: int, kind: str = Kind.HOLD, at_ns: int = 1) -> list[Row]:
    rows: list[Row] = []
    head = Head()
    for number in range(length):
        row = next_row(head, at_ns + number, kind, {"who": "王老师", "number": number})
        rows.append(row)
        head = Head(row.n, row.hash)
    return rows


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab\n"\\é', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc\u2028", max_size=3), _json, max_size=4), st.integers(0, 2**62))
def test_a_line_gives_back_its_row(detail: dict[str, object], at_ns: int) -> None:
    row = next_row(Head(41, "ab" * 32), at_ns, Kind.CHECKPOINT, detail)
    assert parse_line(to_line(row)) == row
    assert to_line(row).count("\n") == 1
    assert row.told() == detail


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_line_that_was_touched_is_no_row(at: int, flip: int) -> None:
    line = to_line(next_row(Head(), 1, Kind.HOLD, {"id": "all in ASCII"})).encode()
    assert parse_line(line.decode("latin-1")) is not None
    touched = bytearray(line)
    touched[at % len(line)] ^= flip
    assert parse_line(touched.decode("latin-1")) is None


def _damaged_lines(volume: Path) -> list[tuple[Path, int]]:
    """File and line of what is no row, but for what a power cut tore."""
    found = journal_copy.files(volume)
    damaged = [(path, at) for path in found for at, row in enumerate(journal_copy.rows_in(path), 1) if row is None]
    return damaged[:-1] if damaged and journal_copy.is_torn(found[-1]) else damaged


def test_what_is_written_in_more_than_one_way_is_refused() -> None:
    with pytest.raises(ValueError, match="float"):
        canonical({"a": [1, {"b": 0.5}]})
    with pytest.raises(ValueError, match="key"):
        canonical({1: "a"})


@given(st.integers(0, 7), st.sampled_from(["detail", "at_ns", "kind", "gone", "swapped", "twice"]))
def test_a_chain_breaks_where_it_was_touched(at: int, how: str) -> None:
    rows = _chain(8)
    assert first_break(rows) is None
    row = rows[at]
    touched = Row(
        row.n, row.previous, row.at_ns + (how == "at_ns"), "release" if how == "kind" else row.kind,
        "{}" if how == "detail" else row.detail, row.hash,
    )  # fmt: skip
    match how:
        case "gone":
            rows.pop(at)
        case "twice":
            rows.insert(at, row)
        case "swapped":
            rows[at], rows[(at + 1) % 8] = rows[(at + 1) % 8], rows[at]
        case _:
            rows[at] = touched
            assert not is_whole(touched)
    broken = first_break(rows)
    if how == "gone" and at == 7:
        assert broken is None, "a chain cannot tell that its end was cut off: checkpoints outside can"
    else:
        first = {"twice": at + 2, "swapped": 1 if at == 7 else at + 1}.get(how, at + 1)
        assert broken == first


def test_how_copy_and_table_come_to_say_the_same() -> None:
    rows = _chain(5)
    heads = [Head(), *(Head(row.n, row.hash) for row in rows)]
    for table in range(6):
        for copy in range(6):
            at_copy = heads[copy].hash if 0 < copy <= table else None
            at_table = heads[table].hash if 0 < table <= copy else None
            expected = Remedy.COPY if copy < table else Remedy.NOTHING if copy == table else Remedy.TAKE_OVER
            assert heal(heads[table], heads[copy], at_copy, at_table) is expected
    assert heal(heads[3], Head(3, "f" * 64), heads[3].hash, "f" * 64) is Remedy.SET_ASIDE
    assert heal(heads[3], Head(5, "f" * 64), None, "f" * 64) is Remedy.SET_ASIDE
    assert heal(heads[3], Head(2, "f" * 64), heads[2].hash, None) is Remedy.SET_ASIDE
    assert heal(heads[3], Head(5, "f" * 64), None, None) is Remedy.SET_ASIDE


def test_a_copy_of_more_rows_than_a_file_takes(tmp_path: Path) -> None:
    rows = _chain(ROWS_PER_FILE * 2 + 3)
    journal_copy.append(tmp_path, rows[:700])
    journal_copy.append(tmp_path, rows[700:])
    names = [path.name for path in journal_copy.files(tmp_path)]
    assert names == ["000000001.jsonl", "000001001.jsonl", "000002001.jsonl"]
    assert list(journal_copy.read(tmp_path)) == rows
    assert list(journal_copy.read(tmp_path, 1500)) == rows[1500:]
    assert journal_copy.row_at(tmp_path, 1001) == rows[1000]
    assert journal_copy.row_at(tmp_path, 9001) is None
    assert journal_copy.head(tmp_path) == Head(rows[-1].n, rows[-1].hash)


@given(st.integers(0, 3000))
def test_what_a_power_cut_tore_off_is_written_again(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    volume = tmp_path_factory.mktemp("volume")
    rows = _chain(6)
    journal_copy.append(volume, rows)
    (path,) = journal_copy.files(volume)
    keep = cut % (path.stat().st_size + 1)
    path.write_bytes(path.read_bytes()[:keep])
    left = journal_copy.head(volume)
    assert left.n == path.read_bytes().count(b"\n")
    assert _damaged_lines(volume) == []
    journal_copy.append(volume, rows[left.n :])
    assert list(journal_copy.read(volume)) == rows


def test_copies_of_several_volumes_are_one_journal(tmp_path: Path) -> None:
    rows = _chain(9)
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    for volume, some in ((one, rows[:4]), (two, rows[2:9]), (three, [])):
        volume.mkdir()
        journal_copy.append(volume, some)
    assert list(journal_copy.replay([one, two, three])) == rows
    damaged = journal_copy.files(two)[0]
    lines = damaged.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace("王".encode(), "李".encode())
    damaged.write_bytes(b"".join(lines))
    assert _damaged_lines(two) == [(damaged, 5)]
    assert list(journal_copy.replay([one, two, three])) == rows[:6], "nothing after a break is taken over"


class _Desk:
    """A journal on an index of its own, with two volumes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "footage.db"
        self.volumes = [folder / "one", folder / "two"]
        for volume in self.volumes:
            volume.mkdir(exist_ok=True)
        self.mounted = list(self.volumes)
        self.clock = MovedClock()
        self.begin()

    def begin(self) -> None:
        prepare(self.path)
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute(_KNOWN)
        self.index = Index(self.path)
        self.index.start()
        self.journal = Journal(self.index, lambda: list(self.mounted), self.clock, _effects)

    def lose_the_index(self) -> None:
        self.index.stop()
        for path in self.folder.glob("footage.db*"):
            path.unlink()
        self.begin()

    def restart(self) -> None:
        self.index.stop()
        self.begin()

    def rows(self) -> list[Row]:
        with self.index.reading() as connection:
            return rows_after(connection, 0, 10_000)

    def holds(self) -> list[str]:
        with self.index.reading() as connection:
            return [row[0] for row in connection.execute("SELECT id FROM known ORDER BY id")]


_KNOWN = "CREATE TABLE IF NOT EXISTS known (id TEXT PRIMARY KEY)"


def _put_known(name: str) -> Statement:
    return ("INSERT OR IGNORE INTO known VALUES (?)", (name,))


def _effects(row: Row) -> list[Statement]:
    return [_put_known(row.told()["id"])] if row.kind == Kind.HOLD else []


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[_Desk]:
    desk = _Desk(tmp_path)
    yield desk
    desk.index.stop()


def test_a_row_is_committed_with_what_it_stands_for_and_copied(desk: _Desk) -> None:
    first = desk.journal.append(Kind.HOLD, {"id": "h1"}, _put_known("h1"))
    second = desk.journal.append(Kind.RELEASE, {"id": "h1"})
    assert desk.rows() == [first, second]
    assert desk.holds() == ["h1"]
    assert first_break(desk.rows()) is None
    for volume in desk.volumes:
        assert list(journal_copy.read(volume)) == [first, second]
    desk.restart()
    third = desk.journal.append(Kind.POLICY, {})
    assert follows(Head(second.n, second.hash), third)


def test_a_volume_that_was_away_gets_what_it_missed(desk: _Desk) -> None:
    desk.journal.append(Kind.POLICY, {"a": 1})
    desk.mounted.remove(desk.volumes[1])
    desk.journal.append(Kind.POLICY, {"a": 2})
    assert len(list(journal_copy.read(desk.volumes[1]))) == 1
    desk.mounted.append(desk.volumes[1])
    desk.journal.step(desk.clock.stamp())
    assert list(journal_copy.read(desk.volumes[1])) == desk.rows()


def test_a_lost_index_is_given_its_journal_back_with_its_holds(desk: _Desk) -> None:
    for number in range(3):
        desk.journal.append(Kind.HOLD, {"id": f"h{number}"}, _put_known(f"h{number}"))
    before = desk.rows()
    desk.lose_the_index()
    assert desk.rows() == []
    assert desk.holds() == []
    desk.journal.step(desk.clock.stamp())
    assert desk.rows() == before
    assert desk.holds() == ["h0", "h1", "h2"]
    desk.journal.append(Kind.POLICY, {})
    assert first_break(desk.rows()) is None


def test_nothing_is_appended_before_a_lost_journal_can_be_asked_for(desk: _Desk) -> None:
    desk.journal.append(Kind.HOLD, {"id": "h"}, _put_known("h"))
    desk.mounted = []
    desk.lose_the_index()
    desk.journal.step(desk.clock.stamp())
    with pytest.raises(JournalWaits):
        desk.journal.append(Kind.POLICY, {})
    assert desk.journal.head is None
    desk.mounted = [desk.volumes[1]]
    assert desk.journal.append(Kind.POLICY, {}).n == 2
    assert desk.holds() == ["h"]


def test_an_older_index_goes_on_from_a_copy(desk: _Desk) -> None:
    """footage.db was put back from a backup: the volumes know more."""
    desk.journal.append(Kind.POLICY, {"a": 1})
    desk.index.stop()
    kept = desk.path.read_bytes()
    desk.begin()
    newer = desk.journal.append(Kind.HOLD, {"id": "newer"}, _put_known("newer"))
    desk.index.stop()
    for path in desk.folder.glob("footage.db*"):
        path.unlink()
    desk.path.write_bytes(kept)
    desk.begin()
    desk.journal.step(desk.clock.stamp())
    assert desk.rows()[-1] == newer
    assert desk.holds() == ["newer"]


def test_a_copy_that_says_something_else_is_kept_told_and_noted(desk: _Desk) -> None:
    strange = next_row(Head(), 5, Kind.HOLD, {"id": "strange"})
    journal_copy.append(desk.volumes[0], [strange])
    desk.mounted = [desk.volumes[1]]
    desk.journal.append(Kind.POLICY, {"a": 1})
    desk.mounted = list(desk.volumes)
    desk.journal.step(desk.clock.stamp())
    rows = desk.rows()
    assert [row.kind for row in rows] == [Kind.POLICY, Kind.FORK]
    assert rows[-1].told()["hash"] == strange.hash
    assert desk.holds() == ["strange"], "a hold is never lost, wherever it was found"
    kept = desk.volumes[0] / rows[-1].told()["kept"]
    assert parse_line((kept / "000000001.jsonl").read_text()) == strange
    assert list(journal_copy.read(desk.volumes[0])) == rows
    assert [(fault.kind, fault.subject) for fault in desk.journal.faults()] == [
        (ConditionKind.EVIDENCE_BROKEN, f"journal/{desk.volumes[0]}")
    ]


def test_a_copy_with_a_damaged_end_is_set_aside_and_written_anew(desk: _Desk) -> None:
    desk.journal.append(Kind.POLICY, {"a": 1})
    (path,) = journal_copy.files(desk.volumes[0])
    path.write_bytes(path.read_bytes().replace(b'"a":1', b'"a":2'))
    desk.restart()
    desk.journal.step(desk.clock.stamp())
    assert list(journal_copy.read(desk.volumes[0])) == desk.rows()
    assert desk.rows()[-1].kind == Kind.FORK


def test_what_follows_damage_in_the_middle_is_set_aside(desk: _Desk) -> None:
    """The index is lost, and a row in the middle of the only copy is damaged: what holds is taken over."""
    for number in range(4):
        desk.journal.append(Kind.HOLD, {"id": f"h{number}"}, _put_known(f"h{number}"))
    desk.mounted = [desk.volumes[0]]
    (path,) = journal_copy.files(desk.volumes[0])
    path.write_bytes(path.read_bytes().replace(b'"h1"', b'"hX"'))
    desk.lose_the_index()
    desk.journal.step(desk.clock.stamp())
    assert [row.kind for row in desk.rows()] == [Kind.HOLD, Kind.FORK]
    assert desk.holds() == ["h0", "h2", "h3"]
    assert list(journal_copy.read(desk.volumes[0])) == desk.rows()


def test_a_full_volume_stops_no_row_and_is_completed_later(desk: _Desk) -> None:
    """A file where the directory should be: the disk refuses the copy."""
    (desk.volumes[0] / "journal").write_text("in the way")
    row = desk.journal.append(Kind.POLICY, {"a": 1})
    assert desk.rows() == [row]
    assert [fault.subject for fault in desk.journal.faults()] == [f"journal/{desk.volumes[0]}"]
    (desk.volumes[0] / "journal").unlink()
    desk.journal.step(desk.clock.stamp())
    desk.journal.step(desk.clock.stamp())
    assert list(journal_copy.read(desk.volumes[0])) == [row]
    assert desk.journal.faults() == []


def test_an_index_that_does_not_commit_is_waited_for(desk: _Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.footage.custody.journal.COMMIT_WAIT_S", 0.05)
    desk.journal.append(Kind.POLICY, {"a": 1})
    with closing(sqlite3.connect(desk.path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalWaits):
            desk.journal.append(Kind.POLICY, {"a": 2})
        with pytest.raises(JournalWaits):
            desk.journal.append(Kind.POLICY, {"a": 3})
        assert len(list(journal_copy.read(desk.volumes[0]))) == 1
        blocker.execute("ROLLBACK")
        _until_committed(desk)
    desk.journal.append(Kind.POLICY, {"a": 4})
    assert [row.told()["a"] for row in desk.rows()] == [1, 2, 4]
    assert first_break(desk.rows()) is None
    assert list(journal_copy.read(desk.volumes[0])) == desk.rows()


def _until_committed(desk: _Desk) -> None:
    def committed() -> bool:
        with desk.index.reading() as connection:
            return head_of(connection).n == 2

    until(committed, 15, "the row that waited is committed")


def test_a_row_for_a_journal_that_is_gone_is_refused_with_all_that_goes_with_it(desk: _Desk) -> None:
    """footage.db was found broken and begun anew while a row was under way: it would stand there after nothing."""
    desk.journal.append(Kind.HOLD, {"id": "h"}, _put_known("h"))
    late = next_row(Head(7, "c" * 64), 1, Kind.HOLD, {"id": "late"})
    pending = desk.index.submit(put_row(late), _put_known("late"))
    until(lambda: pending.done.is_set(), 5, "the index answers")
    assert pending.refused
    assert desk.holds() == ["h"]
    assert desk.journal.append(Kind.POLICY, {}).n == 2


def test_an_index_that_was_begun_anew_while_recording_gets_its_journal_back(desk: _Desk) -> None:
    desk.journal.append(Kind.POLICY, {"a": 1})
    before = desk.index.generation
    desk.path.write_bytes(b"garbage" * 1000)
    desk.index.submit()
    until(lambda: desk.index.generation > before, 15, "another index is begun")
    with closing(sqlite3.connect(desk.path)) as connection:
        connection.execute(_KNOWN)
    row = desk.journal.append(Kind.POLICY, {"a": 2})
    assert [each.told()["a"] for each in desk.rows()] == [1, 2]
    assert list(journal_copy.read(desk.volumes[0])) == desk.rows()
    assert row.n == 2


@pytest.mark.parametrize(
    "array",
    [
        '["yunjian-journal-1",1e30,"PREVIOUS",5,"gap",{}]',
        '["yunjian-journal-1",10000000000000000000000,"PREVIOUS",5,"gap",{}]',
        '["yunjian-journal-1",1,"PREVIOUS",99999999999999999999999,"gap",{}]',
        '["yunjian-journal-1",1,"PREVIOUS",5,"gap",[1]]',
        '["yunjian-journal-1",1,"PREVIOUS",5,"gap",' + "[" * 100_000 + "]" * 100_000 + "]",
        "[]",
        "7",
    ],
)
def test_a_line_that_somebody_made_up_is_no_row(array: str) -> None:
    array = array.replace("PREVIOUS", "0" * 64)
    assert parse_line(f'{{"hash":"{hashlib.sha256(array.encode()).hexdigest()}","row":{array}}}\n') is None


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("gap", {"gaps": 5}),
        ("gap", {"gaps": [["c", "main", 1 << 70, 2, "restart", "", "", None, "ntp"]]}),
        ("release", {"id": ["x"], "released_ns": {}, "released_by": 1}),
        (
            "tombstone",
            {
                "segments": [],
                "camera": {},
                "stream": "main",
                "first_seq": 1,
                "last_seq": 1,
                "from_ns": 0,
                "to_ns": 0,
                "bytes": 1,
                "before": "",
                "after": "",
                "reason": "",
                "deleted_ns": 0,
            },
        ),
    ],
)
def test_a_row_that_makes_no_sense_changes_nothing(kind: str, detail: dict[str, Any]) -> None:
    assert effects(next_row(Head(), 5, kind, detail)) == []


def test_neither_a_start_nor_a_step_reads_a_long_journal_whole(tmp_path: Path) -> None:
    """Of a journal of months the end alone is read: its last file on a volume, and its last row in the table."""
    clock, volume = MovedClock(), tmp_path / "volume"
    volume.mkdir()
    prepare(tmp_path / "footage.db")
    index = Index(tmp_path / "footage.db")
    rows: list[Row] = []
    head = Head()
    for number in range(3500):
        rows.append(next_row(head, number, "policy", {}))
        head = Head(rows[-1].n, rows[-1].hash)
    with closing(sqlite3.connect(index.path)) as connection:
        values = [(row.n, row.at_ns, row.kind, row.detail, row.hash) for row in rows]
        connection.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?)", values)
        connection.commit()
    journal_copy.append(volume, rows)
    for early in journal_copy.files(volume)[:-1]:
        early.write_bytes(b"?" * early.stat().st_size)  # whoever read it would find it damaged
    index.start()
    journal = Journal(index, lambda: [volume], clock)
    journal.step(clock.stamp())
    row = journal.append("policy", {"x": 1})
    assert (row.n, journal.faults()) == (3501, [])
    assert journal.status()["journal"]["bytes"] == journal_copy.size_bytes(volume) - len(to_line(row))
    index.stop()
