"""Reads the journal for `verify`: the rows in footage.db one after the other, and then every copy beside them.

Invariants
1. Nothing is written.
2. Each row is judged once, however long the journal is; a copy that says the same is read once.
3. Rows that are nowhere are told, and what they alone could prove is not judged: that is said, too.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from agent.facts import Text
from agent.footage.custody import journal_copy
from agent.footage.custody.evidence import Finding, FindingKind
from agent.footage.custody.journal_chain import Head, Row, file_of
from agent.footage.custody.journal_pack import ONLY_PACKED, Pack
from agent.footage.custody.journal_review import Review
from agent.footage.custody.journal_rows import pack_with, rows_after, table_rows

JOURNAL_PAGE: Final = 1000

MOST_NAMED: Final = 100
"""Findings about one copy: it may be full of them."""


class JournalReading:
    """Feeds a review, and tells what is wrong with copies. `unread` are ranges of rows that no volume has."""

    def __init__(
        self, review: Review, volumes: Sequence[Path], all_there: bool, expected: Mapping[int, str],
        tell: Callable[[Finding], None],
    ) -> None:  # fmt: skip
        """`all_there`: no volume is away. `expected` are rows that were kept outside the machine."""
        self._review = review
        self._volumes = list(volumes)
        self._all_there = all_there
        self._expected = expected
        self._tell = tell
        self._sums: dict[str, tuple[int, str]] = {}
        """File of a copy -> its last row, and the sum of the hashes of its rows, as footage.db has them."""
        self.unread: list[tuple[int, int]] = []

    def read(self, connection: sqlite3.Connection) -> None:
        """Judge what was appended since."""
        review = self._review
        while some := rows_after(connection, review.head.n, JOURNAL_PAGE, volumes=self._volumes):
            if some[0].n > review.head.n + 1:
                self._pass_over(connection, some[0].n - 1)
            pack = pack_with(connection, some[0].n)
            if pack is not None:
                self._compare_with_table(connection, some)
            for row in some:
                self._feed(row)
            for name, rows in groupby(some, key=lambda row: file_of(row.n)):
                self._sum(name, rows)
        self._pass_over(connection, 0)
        if pack_with(connection, review.head.n + 1) is not None:
            self._broken(review.head.n + 1, "归档的行不可读", "packed rows cannot be read")

    def compare_copies(self, connection: sqlite3.Connection) -> None:
        """Look through the copies, after all rows were read."""
        missing = max(self._expected, default=0)
        if missing > self._review.head.n:
            self._broken(
                missing, "机外留存的检查点不在日志里", "a checkpoint that was kept outside is not in the journal"
            )
        for volume in self._volumes:
            self._compare(connection, volume)

    def first_known(self, connection: sqlite3.Connection, camera: str, stream: str) -> int:
        """From which segment of a camera and stream on it is known what was deleted."""
        known = 1
        for first_n, last_n in self.unread:
            row = connection.execute(
                "SELECT MAX(last_seq) FROM journal_part WHERE camera = ? AND stream = ? AND first_n BETWEEN ? AND ?",
                (camera, stream, first_n, last_n),
            ).fetchone()
            known = max(known, (row[0] or 0) + 1)
        return known

    def _feed(self, row: Row) -> None:
        for found in self._review.feed(row):
            self._tell(found)
        expected = self._expected.get(row.n)
        if expected is not None and expected != row.hash:
            self._broken(row.n, "与机外留存的检查点不同", "it is not the one that was kept outside")

    def _sum(self, name: str, rows: Iterator[Row]) -> None:
        last_n, fed = self._sums.get(name, (0, ""))
        for row in rows:
            last_n, fed = row.n, _fold(fed, row.hash)
        self._sums[name] = last_n, fed

    def _pass_over(self, connection: sqlite3.Connection, to_n: int) -> None:
        """Rows up to `to_n` (the end of the packs) are nowhere. Those that volumes alone should have are told as that,
        and what the table still has of them is judged by itself."""
        while (pack := pack_with(connection, self._review.head.n + 1)) is not None and not pack.size_bytes:
            if to_n and pack.first_n > to_n:
                return
            self._miss(connection, pack)

    def _miss(self, connection: sqlite3.Connection, pack: Pack) -> None:
        review, first_n = self._review, self._review.head.n + 1
        if self.unread and self.unread[-1][1] == first_n - 1:
            self.unread[-1] = self.unread[-1][0], pack.last_n
        else:
            self.unread.append((first_n, pack.last_n))
        if self._all_there:
            name = file_of(first_n)
            self._broken(first_n, f"所有卷上都没有完整的 {name}", f"no volume has {name} as it was")
        for row in table_rows(connection, first_n, pack.last_n):
            review.head = Head(row.n - 1, row.previous)
            self._feed(row)
        review.head = Head(pack.last_n, pack.after)

    def _compare_with_table(self, connection: sqlite3.Connection, packed: Sequence[Row]) -> None:
        """What the table keeps of packed rows is what is asked for by its kind: it has to be the same."""
        kept = {row.n: row for row in packed if row.kind not in ONLY_PACKED}
        table = {row.n: row for row in table_rows(connection, packed[0].n, packed[-1].n)}
        for n in sorted(kept.keys() | table.keys()):
            if kept.get(n) != table.get(n):
                self._broken(n, "表中的这一行与归档的不同", "the row in the table is another one than the packed one")
                return

    def _compare(self, connection: sqlite3.Connection, volume: Path) -> None:
        paths = journal_copy.files(volume)
        told, next_n = 0, 1
        for path in paths:
            rows = list(journal_copy.rows_in(path))
            if rows and rows[-1] is None and path == paths[-1] and journal_copy.is_torn(path):
                rows.pop()
            for number, row in enumerate(rows, 1):
                if row is None and told < MOST_NAMED:
                    told += 1
                    self._broken(0, f"卷上副本第 {number} 行损坏", f"line {number} of the copy is damaged", path)
            whole = [row for row in rows if row is not None]
            if not whole:
                continue
            numbers = {row.n for row in whole}
            lost = next((n for n in range(next_n, whole[-1].n) if n not in numbers), None)
            if lost is not None and len(whole) == len(rows) and told < MOST_NAMED:
                told += 1
                file = journal_copy.folder(volume) / file_of(lost)
                self._broken(lost, "卷上副本缺这一行起的内容", "the copy lacks rows from this one on", file)
            next_n = whole[-1].n + 1
            if not self._is_same(path.name, whole):
                wrong = self._first_difference(connection, whole)
                if wrong is not None:
                    folder = journal_copy.folder(volume)
                    self._broken(wrong, "与卷上的副本不同", "the copy on the volume is another one", folder)
                    return

    def _is_same(self, name: str, rows: Sequence[Row]) -> bool:
        fed = ""
        for row in rows:
            fed = _fold(fed, row.hash)
        return self._sums.get(name) == (rows[-1].n, fed)

    def _first_difference(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> int | None:
        known: dict[int, str] = {}
        for row in rows:
            if any(first <= row.n <= last for first, last in self.unread):
                continue
            if row.n not in known:
                some = rows_after(connection, row.n - 1, JOURNAL_PAGE, volumes=self._volumes)
                known = {each.n: each.hash for each in some}
            if known.get(row.n) != row.hash:
                return row.n
        return None

    def _broken(self, n: int, zh: str, en: str, path: Path | None = None) -> None:
        where = "" if path is None else str(path)
        self._tell(Finding(FindingKind.JOURNAL_BROKEN, n=n, path=where, detail=Text(zh, en)))


def _fold(before: str, hashed: str) -> str:
    return hashlib.sha256(f"{before}{hashed}".encode()).hexdigest()
