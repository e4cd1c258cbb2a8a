"""Reads files, index and journal for `verification` and `journal_review` to judge; record may be running or not.

Invariants
1. Nothing is written, not even on a medium that could be; a transaction on footage.db lasts for one page of rows.
2. What record deletes meanwhile is no finding: tombstones are read in the transaction that reads the rows.
3. What could not be read is told, and counts as not verified.
"""

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

from agent.facts import Text
from agent.footage import rows
from agent.footage.chain import FIRST, SHA256, UnknownHash, algorithm_of
from agent.footage.custody import journal_copy
from agent.footage.custody.checkpoints import reels
from agent.footage.custody.evidence import NOTES, Deleted, Finding, FindingKind, Recorded, Seen, Walk
from agent.footage.custody.journal import buried, rows_after
from agent.footage.custody.journal_review import Review
from agent.footage.custody.proof import head_before
from agent.footage.custody.seen import give_way, open_index, read_file, signature_is_right
from agent.footage.custody.verification import finish, step, with_places
from agent.footage.disk.files import list_directory, segment_directories
from agent.footage.naming import parse_name

PAGE: Final = 200
JOURNAL_PAGE: Final = 1000
READERS: Final = 2
"""One reads while the other hashes."""

_ENDLESS: Final = 1 << 62

Progress = Callable[[int, int], None]
"""(bytes judged, bytes to judge)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be verified. `volumes` are those that are there, by uuid; `cameras` (uuids) None means all. Times in
    UTC nanoseconds, None without an end. `quick` reads no file. `expected` are journal rows (number -> hash) that
    were kept outside the machine."""

    index: Path
    volumes: Mapping[str, Path]
    cameras: frozenset[str] | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    quick: bool = False
    expected: Mapping[int, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self.cameras is None and self.from_ns is None and self.to_ns is None


@dataclass
class Report:
    """What came of it. `first` has the first finding of each camera and stream, and of the journal ("", "")."""

    review: Review
    findings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    """Damage that is explained and signed: nothing is wrong with the evidence."""
    segments: int = 0
    deleted: int = 0
    read_bytes: int = 0
    unread: dict[str, int] = field(default_factory=dict)
    """Why files could not be read -> how many."""
    unlinked: int = 0
    """Segments of the first version, which have no link."""
    unsigned: int = 0
    """Segments that ended after the newest checkpoint."""
    names: dict[str, str] = field(default_factory=dict)
    """Uuid of a camera -> its id."""

    @property
    def first(self) -> dict[tuple[str, str], Finding]:
        """See the class."""
        found: dict[tuple[str, str], Finding] = {}
        for each in self.findings:
            found.setdefault((each.camera, each.stream), each)
        return found


class Rebuilding(Exception):
    """The index is being built from the files: what it does not know yet is not missing."""


def verify(wanted: Wanted, progress: Progress) -> Report:
    """Verify. Raises sqlite3.Error and OSError when the index cannot be read, Rebuilding, and UnknownHash when this
    machine has not the hash that was recorded with."""
    return _Verifying(wanted, progress).run()


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the index as far as it is judged."""

    recorded: Recorded
    volume: str
    state: str


class _Verifying:
    def __init__(self, wanted: Wanted, progress: Progress) -> None:
        self._wanted = wanted
        self._progress = progress
        self._review = Review(signature_is_right)
        self._report = Report(self._review)
        self._total_bytes = 0
        self._done_bytes = 0
        self._going: list[tuple[tuple[str, str], _Row]] = []
        """Without a file, and being deleted, it seems."""

    def run(self) -> Report:
        give_way()
        with (
            closing(open_index(self._wanted.index)) as connection,
            ThreadPoolExecutor(READERS, "verify", give_way) as readers,
        ):
            if any(rows.is_rebuilding(connection, uuid) for uuid in self._wanted.volumes):
                raise Rebuilding
            self._report.names = dict(iter(connection.execute("SELECT uuid, id FROM camera")))
            self._read_journal(connection)
            self._compare_copies(connection)
            wanted = [
                reel for reel in reels(connection) if self._wanted.cameras is None or reel[0] in self._wanted.cameras
            ]
            ranges = {reel: self._range(connection, *reel) for reel in wanted}
            self._total_bytes = sum(self._bytes(connection, reel, of) for reel, of in ranges.items())
            for reel, (first, last) in ranges.items():
                if first <= last:
                    self._walk(connection, readers, reel, first, last)
            for uuid, path in self._wanted.volumes.items():
                self._find_unindexed(connection, uuid, path)
            self._read_journal(connection)
            self._look_after(connection)
        self._report.notes += [each for each in self._report.findings if each.kind in NOTES]
        self._report.findings = [each for each in self._report.findings if each.kind not in NOTES]
        self._report.findings.sort(key=lambda each: (each.camera, each.stream, each.seq, each.n))
        return self._report

    # The journal.

    def _read_journal(self, connection: sqlite3.Connection) -> None:
        """Judge what was appended since."""
        while some := rows_after(connection, self._review.head.n, JOURNAL_PAGE):
            for row in some:
                self._report.findings += self._review.feed(row)
                expected = self._wanted.expected.get(row.n)
                if expected is not None and expected != row.hash:
                    detail = Text("与机外留存的检查点不同", "it is not the one that was kept outside")
                    self._report.findings.append(Finding(FindingKind.JOURNAL_BROKEN, n=row.n, detail=detail))

    def _compare_copies(self, connection: sqlite3.Connection) -> None:
        missing = max(self._wanted.expected, default=0)
        if missing > self._review.head.n:
            detail = Text("机外留存的检查点不在日志里", "a checkpoint that was kept outside is not in the journal")
            self._report.findings.append(Finding(FindingKind.JOURNAL_BROKEN, n=missing, detail=detail))
        for volume in self._wanted.volumes.values():
            for path, number in journal_copy.damaged_lines(volume):
                detail = Text(f"卷上副本第 {number} 行损坏", f"line {number} of the copy is damaged")
                self._report.findings.append(Finding(FindingKind.JOURNAL_BROKEN, path=str(path), detail=detail))
            wrong = self._first_difference(connection, volume)
            if wrong is not None:
                detail = Text("与卷上的副本不同", "the copy on the volume is another one")
                folder = str(journal_copy.folder(volume))
                self._report.findings.append(Finding(FindingKind.JOURNAL_BROKEN, n=wrong, path=folder, detail=detail))

    def _first_difference(self, connection: sqlite3.Connection, volume: Path) -> int | None:
        hashes: dict[int, str] = {}
        for row in journal_copy.read(volume):
            if row.n not in hashes:
                found = connection.execute(
                    "SELECT n, hash FROM journal WHERE n >= ? ORDER BY n LIMIT ?", (row.n, JOURNAL_PAGE)
                )
                hashes = dict(iter(found))
            if hashes.get(row.n) != row.hash:
                return row.n
        return None

    # The segments of one camera and stream.

    def _range(self, connection: sqlite3.Connection, camera: str, stream: str) -> tuple[int, int]:
        """First and last number that are judged; the first is the larger one when there is none."""
        firsts, lasts = [], []
        from_ns, to_ns = self._wanted.from_ns, self._wanted.to_ns
        for table, first, last, start, end in (
            ("segment", "seq", "seq", "start_ns", "COALESCE(end_ns, start_ns)"),
            ("tombstone", "first_seq", "last_seq", "from_ns", "to_ns"),
        ):
            row = connection.execute(
                f"SELECT MIN({first}), MAX({last}) FROM {table} WHERE camera = ? AND stream = ?"
                f" AND (? IS NULL OR {end} > ?) AND (? IS NULL OR {start} < ?)",
                (camera, stream, from_ns, from_ns, to_ns, to_ns),
            ).fetchone()
            if row[0] is not None:
                firsts.append(int(row[0]))
                lasts.append(int(row[1]))
        marks = self._review.marks.get((camera, stream), [])
        if to_ns is None and marks:
            lasts.append(max(mark.seq for mark in marks))
        if from_ns is None and firsts:
            firsts.append(1)
        return min(firsts, default=1), max(lasts, default=0)

    def _bytes(self, connection: sqlite3.Connection, reel: tuple[str, str], of: tuple[int, int]) -> int:
        row = connection.execute(
            "SELECT COALESCE(SUM(bytes), 0) FROM segment WHERE camera = ? AND stream = ? AND seq BETWEEN ? AND ?",
            (*reel, *of),
        ).fetchone()
        return int(row[0])

    def _walk(
        self, connection: sqlite3.Connection, readers: ThreadPoolExecutor, reel: tuple[str, str], first: int, last: int
    ) -> None:
        camera, stream = reel
        head = None if self._begins_unbound(connection, reel, first) else head_before(connection, *reel, first) or FIRST
        walk_ = Walk(camera, stream, head, last_seq=first - 1)
        judged: list[tuple[Finding, str, str]] = []
        places: dict[int, tuple[str, str]] = {}
        held = partial(self._review.held, camera)
        while True:
            items = self._page(connection, reel, walk_.last_seq + 1, last)
            if not items:
                break
            walk_ = self._with_marks(walk_, reel, last)
            for item in self._seen(connection, readers, reel, items):
                if isinstance(item, Recorded):
                    self._report.segments += 1
                    self._report.unlinked += not item.chain
                    if item.seen is not None and item.seen.digest not in (None, item.digest):
                        places[item.seq] = (item.digest, item.seen.digest or "")
                else:
                    self._report.deleted += len(item.segments)
                # Marks that lie beyond this page are met by the next one.
                walk_, found = step(walk_, item, held)
                judged += [(each, *places.get(each.seq, ("", ""))) for each in found]
        is_end = self._wanted.to_ns is None
        judged += [(each, "", "") for each in finish(self._with_marks(walk_, reel, last), is_end)]
        self._report.findings += with_places(judged)
        signed = max((mark.seq for mark in self._review.marks.get(reel, [])), default=0)
        self._report.unsigned += self._count_after(connection, reel, max(signed, first - 1), last)

    def _begins_unbound(self, connection: sqlite3.Connection, reel: tuple[str, str], first: int) -> bool:
        """Whether what stands just before is a file to which what follows need not be bound."""
        row = connection.execute(
            "SELECT seq, state FROM segment WHERE camera = ? AND stream = ? AND seq < ? UNION ALL"
            " SELECT last_seq, '' FROM tombstone WHERE camera = ? AND stream = ? AND last_seq < ?"
            " ORDER BY seq DESC LIMIT 1",
            (*reel, first, *reel, first),
        ).fetchone()
        if row is None:
            return False
        marks = self._review.marks.get(reel, [])
        unsigned = not marks or marks[-1].seq < row[0]
        return row[0] in self._review.loose.get(reel, {}) or (unsigned and row[1] in ("recovered", "suspect"))

    def _with_marks(self, walk: Walk, reel: tuple[str, str], last: int) -> Walk:
        """With what was signed of the numbers that follow, up to `last`."""
        marks = self._review.marks.get(reel, [])
        begin, end = (bisect_right(marks, seq, key=lambda mark: mark.seq) for seq in (walk.last_seq, last))
        loose, covered = self._review.loose.get(reel, {}), marks[-1].seq if marks else 0
        return replace(walk, marks=marks[begin:end], mark_at=0, loose=loose, covered=covered)

    def _count_after(self, connection: sqlite3.Connection, reel: tuple[str, str], seq: int, last: int) -> int:
        row = connection.execute(
            "SELECT COUNT(*) FROM segment WHERE camera = ? AND stream = ? AND seq > ? AND seq <= ? AND state != 'open'",
            (*reel, seq, last),
        ).fetchone()
        return int(row[0])

    def _page(
        self, connection: sqlite3.Connection, reel: tuple[str, str], from_seq: int, last: int
    ) -> list[_Row | Deleted]:
        """The next segments and tombstones by their numbers, as they stand together at one moment."""
        connection.execute("BEGIN")
        try:
            self._read_journal(connection)
            found = [self._review.tombstone(row) for row in buried(connection, *reel, from_seq, PAGE)]
            # One that names no segment is told once, and stands nowhere.
            stones = [each for each in found if each is not None and each.segments and each.segments[0].seq <= last]
            is_full = len(found) == PAGE
            segments = [
                _row(each)
                for each in connection.execute(
                    "SELECT segment.seq, path, start_ns, bytes, digest, previous, chain, volume, state, quality"
                    " FROM segment LEFT JOIN run ON run.id = segment.run WHERE segment.camera = ?"
                    " AND segment.stream = ? AND seq >= ? AND seq <= ? AND state != 'open' ORDER BY seq LIMIT ?",
                    (*reel, from_seq, last, PAGE),
                )
            ]
        finally:
            connection.execute("ROLLBACK")
        ends = [segments[-1].recorded.seq] if len(segments) == PAGE else []
        ends += [stones[-1].segments[-1].seq] if is_full and stones else []
        end = min(ends, default=_ENDLESS)
        items: list[_Row | Deleted] = [each for each in segments if each.recorded.seq <= end]
        items += [each for each in stones if each.segments[0].seq <= end]
        return sorted(items, key=_place)

    def _seen(
        self,
        connection: sqlite3.Connection,
        readers: ThreadPoolExecutor,
        reel: tuple[str, str],
        items: list[_Row | Deleted],
    ) -> Iterator[Recorded | Deleted]:
        """The items with what is on the disk of them, in their order; the next files are read meanwhile."""
        looks = [readers.submit(self._look, each) if isinstance(each, _Row) else None for each in items]
        for item, look in zip(items, looks, strict=True):
            if isinstance(item, Deleted) or look is None:
                yield item  # type: ignore[misc]
                continue
            seen, why = look.result()
            if seen is None and not why and self._is_gone(connection, item):
                why = "deleted"
            if why:
                if why == "deleted":
                    self._going.append((reel, item))
                else:
                    self._report.unread[why] = self._report.unread.get(why, 0) + 1
                seen = Seen(item.recorded.size_bytes)
            elif seen is not None and seen.digest is not None:
                self._report.read_bytes += seen.size_bytes
            self._done_bytes += item.recorded.size_bytes
            self._progress(min(self._done_bytes, self._total_bytes), self._total_bytes)
            yield replace(item.recorded, seen=seen)

    def _look(self, row: _Row) -> tuple[Seen | None, str]:
        """What is on the disk of a segment, and why it could not be read if it could not."""
        volume = self._wanted.volumes.get(row.volume)
        if volume is None:
            return None, f"volume {row.volume} is not there"
        path = volume / row.recorded.path
        try:
            if self._wanted.quick or not row.recorded.digest:
                return Seen(path.lstat().st_size), ""
            return read_file(path, _algorithm(row.recorded.digest)), ""
        except FileNotFoundError:
            return None, ""
        except ValueError:  # a path that none can be
            return None, ""
        except OSError as error:
            return None, error.strerror or type(error).__name__

    def _is_gone(self, connection: sqlite3.Connection, row: _Row) -> bool:
        """Whether record is deleting this file, or has deleted it since the row was read."""
        now = connection.execute(
            "SELECT state FROM segment WHERE volume = ? AND path = ?", (row.volume, row.recorded.path)
        ).fetchone()
        return now is None or now[0] == "deleting"

    def _look_after(self, connection: sqlite3.Connection) -> None:
        """What was being deleted has a tombstone by now. The state of a row alone excuses no missing file."""
        for (camera, stream), row in self._going:
            seq = row.recorded.seq
            if rows.is_buried(connection, camera, stream, seq, seq):
                continue
            if self._is_gone(connection, row):
                why = "being deleted, and no tombstone yet"
                self._report.unread[why] = self._report.unread.get(why, 0) + 1
            else:
                self._report.findings.append(Finding(FindingKind.MISSING, camera, stream, seq, path=row.recorded.path))

    # What the index does not know.

    def _find_unindexed(self, connection: sqlite3.Connection, uuid: str, volume: Path) -> None:
        for directory in segment_directories(volume):
            files = list_directory(volume, directory)
            known = {
                str(row[0])
                for row in connection.execute(
                    "SELECT path FROM segment WHERE volume = ? AND path > ? AND path < ?",
                    (uuid, f"{directory}/", f"{directory}0"),
                )
            }
            for path in sorted(files.keys() - known):
                finding = self._unindexed(path)
                if finding is not None and (volume / path).exists():
                    self._report.findings.append(finding)

    def _unindexed(self, path: str) -> Finding | None:
        name = parse_name(PurePosixPath(path))
        if name is None:
            return Finding(FindingKind.UNINDEXED, path=path) if self._wanted.whole else None
        wanted = self._wanted
        if wanted.cameras is not None and name.camera_uuid not in wanted.cameras:
            return None
        if name.start_ns < (wanted.from_ns or 0) or name.start_ns >= (wanted.to_ns or _ENDLESS):
            return None
        return Finding(FindingKind.UNINDEXED, name.camera_uuid, name.stream, name.seq, 0, name.start_ns, path)


def _row(values: tuple[Any, ...]) -> _Row:
    seq, path, start_ns, size, digest, previous, chain, volume, state, quality = values
    # A column may hold anything: what is no text or number is none.
    seq, start_ns, size = (each if type(each) is int else 0 for each in (seq, start_ns, size))
    path, digest, previous, chain, volume, state = (
        each if isinstance(each, str) else "" for each in (path, digest, previous, chain, volume, state)
    )
    name = parse_name(PurePosixPath(path))
    recorded = Recorded(
        seq, name.start_ns if name else start_ns, start_ns, quality == "rectified", size, digest,
        previous, chain, path, name.seq if name else 0, None, state, volume,
    )  # fmt: skip
    return _Row(recorded, volume, state)


def _place(item: _Row | Deleted) -> int:
    if isinstance(item, _Row):
        return item.recorded.seq
    return item.segments[0].seq if item.segments else 0


def _algorithm(digest: str) -> str:
    try:
        return algorithm_of(digest)
    except UnknownHash:
        return SHA256
