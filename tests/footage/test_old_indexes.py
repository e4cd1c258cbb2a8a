"""Indexes that were set aside are cleared away, but for those that may be the only ones to say something."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.footage.index_file import set_aside
from agent.footage.upkeep.old_indexes import OldIndex, OldIndexes, old_indexes, superfluous
from tests.fakes.kept import Kept

HOUR_S = 3601


def old(*sizes: int) -> list[OldIndex]:
    """Oldest first."""
    return [OldIndex(f"{number:02d}", (Path(f"{number}"),), size) for number, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "gone"),
    [
        ((), []),
        ((5,), []),
        ((5, 5, 5), []),
        ((5, 9, 5, 5), [0]),
        ((9, 5, 5, 5, 5), [1, 2]),  # the largest is the last that had been whole
        ((100, 1, 1, 99, 1), [1, 2]),
        ((900, 800, 5), [1]),  # too much in all
        ((800, 900, 700), [0]),
    ],
)
def test_the_largest_and_the_newest_are_kept_and_little_more(sizes: tuple[int, ...], gone: list[int]) -> None:
    found = old(*sizes)
    assert superfluous(found, 3, 500) == [found[number] for number in gone]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    found = Kept(tmp_path)
    yield found
    found.close()


def make(kept: Kept, count: int) -> list[str]:
    """Sets so many databases aside, each with a log of its own, the first the largest."""
    names = []
    for number in range(count):
        path = kept.folder / "made.db"
        path.write_bytes(bytes(100 if number else 900))
        path.with_name("made.db-wal").write_bytes(bytes(10))
        why = ("broken", "before-reindex")[number % 2]
        aside = set_aside(path, f"2026112{number}T000000Z", why)
        for part in ("", "-wal"):
            source = aside.with_name(aside.name + part)
            source.rename(source.with_name(source.name.replace("made.db", "footage.db")))
        names.append(aside.name.replace("made.db", "footage.db"))
    return names


def test_what_goes_is_a_row_of_the_journal_and_what_stays_is_told(kept: Kept) -> None:
    names = make(kept, 6)
    (kept.folder / "footage.db.room").touch()
    (kept.folder / "footage.db.broken-by-hand").touch()
    chore = OldIndexes(kept.index, kept.journal, kept.volumes)
    chore.step(kept.now)
    left = {each.files[0].name for each in old_indexes(kept.index.path)}
    assert left == {names[0], names[4], names[5]}
    (row,) = [each.told() for each in kept.journal_rows("policy")]
    assert row == {"what": "old_indexes", "files": [[name, 110] for name in names[1:4]]}
    assert chore.status() == {"old_indexes": {"files": 3, "bytes": 910 + 110 + 110}}
    assert not [each for each in kept.folder.glob("*-wal") if each.name.removesuffix("-wal") in names[1:4]]
    assert (kept.folder / "footage.db.broken-by-hand").exists(), "what nobody here made is left"
    kept.clock.move(HOUR_S)
    chore.step(kept.now)
    assert len(kept.journal_rows("policy")) == 1


@pytest.mark.parametrize("why", ["rebuilding", "away"])
def test_none_goes_before_the_files_were_gone_through(kept: Kept, why: str) -> None:
    names = make(kept, 6)
    volumes = {} if why == "away" else kept.volumes()
    if why == "rebuilding":
        kept.index.submit(("DELETE FROM note WHERE name LIKE 'rebuilt/%'", ())).done.wait(5)
    chore = OldIndexes(kept.index, kept.journal, lambda: volumes)
    chore.step(kept.now)
    assert len(old_indexes(kept.index.path)) == len(names)
    assert chore.status()["old_indexes"]["files"] == len(names)
