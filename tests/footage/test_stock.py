"""What retention asks the index: the oldest footage that may go, and when it was recorded at the latest."""

import sqlite3
from collections.abc import Iterator

import pytest

from agent.footage.migrations import MIGRATIONS
from agent.footage.upkeep import stock
from agent.footage.upkeep.due import PRODUCT_BEGAN_NS
from agent.footage.upkeep.hold import Hold, Protection
from agent.footage.upkeep.retention import dated

S = 10**9
T = 1_795_000_000 * S
DAY = 86_400 * S
FREE = Protection([], 0)
REEL = ("cam", "main")


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    found = sqlite3.connect(":memory:", isolation_level=None)
    found.row_factory = sqlite3.Row
    for migration in MIGRATIONS:
        found.executescript(migration)
    yield found
    found.close()


def add(database: sqlite3.Connection, seq: int, start_ns: int, state: str = "closed", **rest: str | int | None) -> None:
    values = {"camera": "cam", "stream": "main", "volume": "v", "end_ns": start_ns + 60 * S, "bytes": 100, **rest}
    names = [*values, "seq", "start_ns", "state", "path", "codec", "width", "height"]
    path = f"{values['camera']}/{values['stream']}/{seq}"
    database.execute(
        f"INSERT INTO segment ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)})",
        [*values.values(), seq, start_ns, state, path, "", 0, 0],
    )


def oldest(database: sqlite3.Connection, protection: Protection = FREE, now_ns: int = T + 365 * DAY, most: int = 10,
           volume: str = "v") -> list[tuple[int, float]]:  # fmt: skip
    """Number, and minutes from T to the end of which it is dated."""
    found = stock.oldest(database, REEL, [volume], protection, now_ns, most)
    return [(each.seq, (each.dated_ns - T) / 60 / S) for each in found]


def test_the_oldest_come_in_the_order_of_their_recording(database: sqlite3.Connection) -> None:
    for seq in (3, 1, 2):
        add(database, seq, T + seq * 60 * S)
    add(database, 4, T + 240 * S, "open", end_ns=None)
    add(database, 5, T + 300 * S, "deleting")
    add(database, 6, T + 360 * S, volume="away")
    assert oldest(database) == [(1, 2), (2, 3), (3, 4)]
    assert oldest(database, volume="away") == [(6, 7)]


def test_held_stretches_are_passed_over_however_long_they_are(database: sqlite3.Connection) -> None:
    for seq in range(1, 3001):
        add(database, seq, T + seq * 60 * S)
    holds = [
        Hold("h", "cam", T, T + 2000 * 60 * S, "", "", None, 0, None),
        Hold("i", None, T + 2005 * 60 * S, T + 2990 * 60 * S, "", "", None, 0, None),
    ]
    found = [seq for seq, _ in oldest(database, Protection(holds, T), most=8)]
    assert found == [2000, 2001, 2002, 2003, 2004, 2990, 2991, 2992]
    endless = [Hold("h", None, T, None, "", "", None, 0, None)]
    assert oldest(database, Protection(endless, T)) == []


def test_a_clock_that_was_behind_makes_nothing_older_than_its_neighbours(database: sqlite3.Connection) -> None:
    for seq in range(1, 4):
        add(database, seq, T + seq * 60 * S)
    for seq in range(4, 1000):  # a year behind
        add(database, seq, T - 365 * DAY + seq * 60 * S)
    add(database, 1000, T + 1000 * 60 * S)
    found = dict(oldest(database, most=20))
    assert found[3] == 4
    assert {found[seq] for seq in range(4, 20)} == {1001}
    for seq in range(1, 10):
        database.execute("DELETE FROM segment WHERE seq = ?", (seq,))
    bury = "INSERT INTO tombstone VALUES ('cam', 'main', ?, ?, 0, ?, 1, 1, '', '', ?, 0)"
    database.execute(bury, (1, 3, T + 240 * S, "expired"))
    database.execute(bury, (4, 9, T - 365 * DAY, "quota"))
    assert oldest(database, most=2) == [(10, 1001), (11, 1001)], "what was deleted still tells"


def test_a_clock_that_was_ahead_delays_and_is_passed(database: sqlite3.Connection) -> None:
    add(database, 1, T)
    add(database, 2, T + 70 * 365 * DAY)
    add(database, 3, T + 180 * S)
    assert oldest(database) == [(1, 1), (2, 4), (3, 4)]


def test_what_has_no_believable_neighbour_is_of_no_age() -> None:
    now = T + DAY
    assert dated([(5, 6), (T + 2 * DAY, T + 3 * DAY)], now) == [None, None]
    assert dated([(5, 6), (T, T + 1), (7, 8)], now) == [T + 1, T + 1, None]
    assert dated([(5, 6)], now, None, T) == [T]
    assert dated([(5, 6)], now, None, T + 2 * DAY) == [None]
    assert dated([(PRODUCT_BEGAN_NS - 10 * S, PRODUCT_BEGAN_NS)], now) == [None]
    assert dated([(T, T + 9), (T + 5, T + 11)], now) == [T + 9, T + 11], "runs may overlap a little"


def test_the_sum_of_all_sizes_is_kept_up_slice_by_slice(database: sqlite3.Connection) -> None:
    for seq in range(1, 2 * stock.SLICE_ROWS + 100):
        add(database, seq, T + seq * 60 * S)
    add(database, 1, T, camera="other", bytes=7)
    add(database, 2, T, "lost", camera="other", bytes=70)
    usage = stock.Usage()
    known = []
    for _ in range(4):
        usage.refresh(database, slices=1)
        known.append(usage.known)
    assert known == [False, False, True, True]
    assert usage.total_bytes == 100 * (2 * stock.SLICE_ROWS + 99) + 7
    assert usage.of(("other", "main")) == 7
    usage.less(stock.oldest(database, REEL, ["v"], FREE, T + 365 * DAY, 10))
    assert usage.of(REEL) == 100 * (2 * stock.SLICE_ROWS + 89)
    database.execute("DELETE FROM segment WHERE camera = 'cam'")
    for _ in range(3):
        usage.refresh(database)
    assert usage.total_bytes == 7


def test_what_was_recorded_last_is_found_in_an_index_that_was_built_from_the_newest_on(
    database: sqlite3.Connection,
) -> None:
    assert stock.newest_end(database, [REEL]) is None
    for seq in (3, 2, 1):
        add(database, seq, T + seq * 60 * S)
        add(database, seq, T + seq * 59 * S, camera="other")
    add(database, 4, T + 240 * S, "open", end_ns=None)
    assert stock.newest_end(database, stock.reels(database)) == T + 240 * S


def test_every_reel_is_found(database: sqlite3.Connection) -> None:
    assert stock.reels(database) == []
    for camera in ("b", "a"):
        for stream in ("sub", "main"):
            add(database, 1, T, camera=camera, stream=stream)
    assert stock.reels(database) == [("a", "main"), ("a", "sub"), ("b", "main"), ("b", "sub")]
