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
from typing import Final

from agent.facts import Text
from agent.footage import rows
from agent.footage.chain import FIRST
from agent.footage.custody.checkpoints import reels
from agent.footage.custody.evidence import NOTES, Deleted, Finding, FindingKind, Recorded, Seen, Walk
from agent.footage.custody.journal_review import Review
from agent.footage.custody.journal_rows import buried
from agent.footage.custody.links import link_gone
from agent.footage.custody.proof import head_before
from agent.footage.custody.seen import give_way, open_index, signature_is_right
from agent.footage.custody.verification import finish, step, unlinked, with_places
from agent.footage.custody.verify_files import Indexed, indexed_after, is_going, look, unindexed
from agent.footage.custody.verify_journal import JournalReading
from agent.footage.naming import parse_name

PAGE: Final = 200
READERS: Final = 2
"""One reads while the other hashes."""

MOST_UNSIGNED_NS: Final = 2 * 3600 * 10**9
"""Of one camera and stream. A checkpoint is signed every hour; who has no key can take signed checkpoints away and go
on from an earlier one as he likes."""

_ENDLESS: Final = 1 << 62

Progress = Callable[[int, int], None]
"""(bytes judged, bytes to judge)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be verified. `volumes` are those that are there, by uuid; `cameras` (uuids) None means all. Times in
    UTC nanoseconds, None without an end. `quick` reads no file. `expected` are journal rows (number -> hash) that
    were kept outside the machine; `all_there` says that no volume is away."""

    index: Path
    volumes: Mapping[str, Path]
    cameras: frozenset[str] | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    quick: bool = False
    expected: Mapping[int, str] = field(default_factory=dict)
    all_there: bool = True

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
    unsigned_deleted: int = 0
    """Segments whose tombstone was written after it."""
    unread_rows: list[tuple[int, int]] = field(default_factory=list)
    """First and last of rows of the journal that no volume has which is there."""
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


class _Verifying:
    def __init__(self, wanted: Wanted, progress: Progress) -> None:
        self._wanted = wanted
        self._progress = progress
        self._review = Review(signature_is_right)
        self._report = Report(self._review)
        self._volumes = list(wanted.volumes.values())
        tell = self._report.findings.append
        self._journal = JournalReading(self._review, self._volumes, wanted.all_there, wanted.expected, tell)
        self._total_bytes = 0
        self._done_bytes = 0
        self._going: list[tuple[tuple[str, str], Indexed]] = []
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
            self._journal.read(connection)
            self._journal.compare_copies(connection)
            self._report.unread_rows = self._journal.unread
            wanted = [
                reel for reel in reels(connection) if self._wanted.cameras is None or reel[0] in self._wanted.cameras
            ]
            ranges = {reel: self._range(connection, *reel) for reel in wanted}
            self._total_bytes = sum(self._bytes(connection, reel, of) for reel, of in ranges.items())
            for reel, (first, last) in ranges.items():
                if first <= last:
                    self._walk(connection, readers, reel, self._known_from(connection, reel, first), last)
            for uuid, path in self._wanted.volumes.items():
                found = (self._unindexed(each) for each in unindexed(connection, uuid, path))
                self._report.findings += [each for each in found if each is not None]
            self._journal.read(connection)
            self._look_after(connection)
        self._report.notes += [each for each in self._report.findings if each.kind in NOTES]
        self._report.findings = [each for each in self._report.findings if each.kind not in NOTES]
        self._report.findings.sort(key=lambda each: (each.camera, each.stream, each.seq, each.n))
        return self._report

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

    def _known_from(self, connection: sqlite3.Connection, reel: tuple[str, str], first: int) -> int:
        """Where the walk can begin: what was deleted before stands in rows of the journal that cannot be read."""
        known = self._journal.first_known(connection, *reel)
        if known > first:
            row = connection.execute(
                "SELECT COUNT(*) FROM segment WHERE camera = ? AND stream = ? AND seq >= ? AND seq < ?",
                (*reel, first, known),
            ).fetchone()
            if row[0]:
                why = "what the journal said of that time is not there"
                self._report.unread[why] = self._report.unread.get(why, 0) + int(row[0])
        return max(first, known)

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
        is_unbound = self._begins_unbound(connection, reel, first)
        known = self._journal.first_known(connection, camera, stream) < first or first == 1
        head = None if is_unbound or not known else head_before(connection, *reel, first) or FIRST
        walk_ = Walk(camera, stream, head, last_seq=first - 1)
        judged: list[tuple[Finding, str, str]] = []
        places: dict[int, tuple[str, str]] = {}
        held = partial(self._review.held, camera)
        while True:
            items = self._page(connection, walk_, last)
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
                    newest = self._review.newest
                    self._report.unsigned_deleted += len(item.segments) if not newest or newest.n < item.n else 0
                # Marks that lie beyond this page are met by the next one.
                walk_, found = step(walk_, item, held)
                judged += [(each, *places.get(each.seq, ("", ""))) for each in found]
        is_end = self._wanted.to_ns is None
        judged += [(each, "", "") for each in finish(self._with_marks(walk_, reel, last), is_end)]
        self._report.findings += with_places(judged)
        signed = max((mark.seq for mark in self._review.marks.get(reel, [])), default=0)
        self._judge_unsigned(connection, reel, max(signed, first - 1), last)

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

    def _judge_unsigned(self, connection: sqlite3.Connection, reel: tuple[str, str], seq: int, last: int) -> None:
        """What follows number `seq`, which was signed last."""
        count, length_ns, first_ns = connection.execute(
            "SELECT COUNT(*), SUM(MAX(COALESCE(end_ns, 0) - start_ns, 0)), MIN(start_ns) FROM segment WHERE camera = ?"
            " AND stream = ? AND seq > ? AND seq <= ? AND state != 'open'",
            (*reel, seq, last),
        ).fetchone()
        self._report.unsigned += int(count)
        if self._review.checkpoints and count and length_ns > MOST_UNSIGNED_NS:
            detail = Text(f"{count} 段", f"{count} segments")
            self._report.findings.append(Finding(FindingKind.UNSIGNED, *reel, seq + 1, 0, first_ns, "", detail))

    def _page(self, connection: sqlite3.Connection, walk: Walk, last: int) -> list[Indexed | Deleted]:
        """The next segments and tombstones by their numbers, as they stand together at one moment."""
        reel, from_seq = (walk.camera, walk.stream), walk.last_seq + 1
        connection.execute("BEGIN")
        try:
            self._journal.read(connection)
            stored = buried(connection, *reel, from_seq, PAGE, self._volumes)
            found = [self._review.tombstone(row) for row in stored]
            # One that names no segment is told once, and stands nowhere.
            stones = [_rest(walk, each) for each in found if each is not None and each.segments]
            stones = [each for each in stones if each.segments and each.segments[0].seq <= last]
            is_full = len(found) == PAGE
            segments = indexed_after(connection, reel, from_seq, last, PAGE)
        finally:
            connection.execute("ROLLBACK")
        ends = [segments[-1].recorded.seq] if len(segments) == PAGE else []
        ends += [stones[-1].segments[-1].seq] if is_full and stones else []
        end = min(ends, default=_ENDLESS)
        items: list[Indexed | Deleted] = [each for each in segments if each.recorded.seq <= end]
        items += [each for each in stones if each.segments[0].seq <= end]
        return sorted(items, key=_place)

    def _seen(
        self,
        connection: sqlite3.Connection,
        readers: ThreadPoolExecutor,
        reel: tuple[str, str],
        items: list[Indexed | Deleted],
    ) -> Iterator[Recorded | Deleted]:
        """The items with what is on the disk of them, in their order; the next files are read meanwhile."""
        volumes, quick = self._wanted.volumes, self._wanted.quick
        looks = [readers.submit(look, each, volumes, quick) if isinstance(each, Indexed) else None for each in items]
        for item, looked in zip(items, looks, strict=True):
            if isinstance(item, Deleted) or looked is None:
                yield item  # type: ignore[misc]
                continue
            seen, why = looked.result()
            if seen is None and not why and is_going(connection, item):
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

    def _look_after(self, connection: sqlite3.Connection) -> None:
        """What was being deleted has a tombstone by now. The state of a row alone excuses no missing file."""
        for (camera, stream), row in self._going:
            seq = row.recorded.seq
            stones = [
                self._review.tombstone(each) for each in buried(connection, camera, stream, seq, 1, self._volumes)
            ]
            # The table of tombstones proves nothing: anybody can write into it.
            if any(gone.seq == seq for each in stones if each is not None for gone in each.segments):
                continue
            if is_going(connection, row):
                why = "being deleted, and no tombstone yet"
                self._report.unread[why] = self._report.unread.get(why, 0) + 1
            else:
                self._report.findings.append(Finding(FindingKind.MISSING, camera, stream, seq, path=row.recorded.path))

    # What the index does not know.

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


def _rest(walk: Walk, stone: Deleted) -> Deleted:
    """A tombstone without the segments that were judged before they were deleted."""
    judged = sum(gone.seq <= walk.last_seq for gone in stone.segments)
    before: str | None = stone.before
    for gone in stone.segments[unlinked(walk, stone) : judged]:
        before = link_gone(walk, before, gone, stone.after)
    return replace(stone, before=before or FIRST, segments=stone.segments[judged:]) if judged else stone


def _place(item: Indexed | Deleted) -> int:
    if isinstance(item, Indexed):
        return item.recorded.seq
    return item.segments[0].seq if item.segments else 0
