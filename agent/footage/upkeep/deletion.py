"""Takes segments away, and leaves in their place what shows that they were.

Used by the keeper's thread alone.

Invariants
1. A file is unlinked only after its row was committed as `deleting`; its row goes only after the file did, and after
   the directory was synced. What a crash leaves in between is found by the rows, and finished.
2. The row goes in the same commit in which the tombstone and the row of the journal come, with the digest of each.
3. A segment that a hold protects by then is not unlinked: it is a segment again, in the state that it had.
4. A file that cannot be unlinked keeps its row, is told, and holds up no other.
5. What was unlinked has its tombstone even when the index was lost before that was written: as soon as the index knows
   again what stood beside it.
6. A file that is not seen is gone only while its volume is there: below the mount point of a disk that was taken away
   nothing is seen, and nothing is buried.
"""

import json
import logging
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, Final

from agent.footage.custody.journal import Journal
from agent.footage.custody.journal_chain import Kind
from agent.footage.custody.proof import head_before
from agent.footage.disk.files import VOLUME_FILE, sync_directory
from agent.footage.index import Index
from agent.footage.mending.reconcile import ENDED_STATES
from agent.footage.mending.segment_file import path_of_kept
from agent.footage.naming import parse_name
from agent.footage.rows import Statement, is_buried, is_rebuilding
from agent.footage.timeline import NS
from agent.footage.upkeep import stock
from agent.footage.upkeep.hold import Protection
from agent.footage.upkeep.retention import Reason, Stored

log = logging.getLogger(__name__)

COMMIT_WAIT_S: Final = 10.0
ALONE_WAIT_S: Final = 5.0
"""A directory of an hour is compared in less, unless its files have to be read whole; then the next turn comes."""

NOTE: Final = "retention.deleting"

_ORDERS_MOST: Final = 10 * stock.MOST_AT_ONCE
"""Orders of files that cannot be unlinked are forgotten beyond this, and these then count as expired."""

_NEAR_NS: Final = 2 * 86_400 * NS
"""Directories of hours this near to now are left: the recorder may just be about to use one."""


class DeletionWaits(Exception):
    """The index does not commit: nothing was unlinked that is not marked."""


@dataclass
class Gone:
    """What a batch came to."""

    gone: list[Stored] = field(default_factory=list)
    kept: list[Stored] = field(default_factory=list)
    """Held by now."""
    stuck: dict[str, str] = field(default_factory=dict)
    """Path of a file that cannot be unlinked -> why."""


class Deletion:
    """The one place where footage is deleted."""

    def __init__(self, index: Index, journal: Journal, minimum_days: int) -> None:
        """`minimum_days` goes into the tombstones: what age the segments had to have."""
        self._index = index
        self._journal = journal
        self._minimum_days = minimum_days
        self._orders: dict[str, _Order] = {}
        self._unburied: list[Stored] = []
        """Their files are gone for good, and no tombstone was written yet."""

    def delete(
        self, batch: Sequence[tuple[Stored, Reason]], volumes: Mapping[str, Path], now_ns: int, wall_ns: int
    ) -> Gone:
        """Delete these. `volumes` are those that are mounted, by uuid; `now_ns` is the time that age was counted from,
        and goes into the tombstones. Raises DeletionWaits, JournalWaits and sqlite3.Error."""
        with self._alone():
            self._mark(batch, now_ns)
            marked = [replace(stored, state="deleting") for stored, _ in batch]
            return self._carry_out(marked, volumes, now_ns, wall_ns)

    def finish(
        self, volumes: Mapping[str, Path], protection: Protection, now_ns: int, wall_ns: int, minimum_ns: int
    ) -> Gone:
        """Finish what a crash, or a file that could not be unlinked, has left. What is held by now, or ended after
        `minimum_ns` since more days are required now, is footage again if it is still there. Raises as `delete`."""
        with self._index.reading() as connection:
            left = stock.deleting(connection, volumes)
            if left and not self._orders:
                self._orders = _orders(stock.note(connection, NOTE))
        done = Gone()
        self._bury_late({_key(each) for each in left}, volumes, now_ns)
        free: list[Stored] = []
        for each in left:
            young = each.end_ns > minimum_ns and self._order(each, now_ns).reason != Reason.OVERWRITTEN
            if not young and protection.of(each.camera, each.start_ns, each.end_ns) is None:
                free.append(each)
                continue
            try:
                (volumes[each.volume] / each.path).lstat()
            except FileNotFoundError:
                free.append(each)
            except OSError as error:
                done.stuck[f"{volumes[each.volume] / each.path}"] = error.strerror or str(error)
            else:
                self._commit([_state(each, self._order(each, now_ns).state)])
                done.kept.append(each)
        for number in range(0, len(free), stock.MOST_AT_ONCE):
            with self._alone():
                some = self._carry_out(free[number : number + stock.MOST_AT_ONCE], volumes, now_ns, wall_ns)
            done.gone += some.gone
            done.stuck.update(some.stuck)
        return done

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody compares files with rows meanwhile. Raises DeletionWaits when that takes too long."""
        if not self._index.settling.acquire(timeout=ALONE_WAIT_S):
            raise DeletionWaits("files and index are being compared")
        try:
            yield
        finally:
            self._index.settling.release()

    def _mark(self, batch: Sequence[tuple[Stored, Reason]], now_ns: int) -> None:
        if len(self._orders) > _ORDERS_MOST:
            self._orders.clear()
        self._orders |= {
            _key(stored): _Order(str(reason), now_ns, self._minimum_days, stored.state) for stored, reason in batch
        }
        told = {key: [each.reason, each.at_ns, each.minimum_days, each.state] for key, each in self._orders.items()}
        note = ("INSERT OR REPLACE INTO note VALUES (?, ?)", (NOTE, json.dumps(told)))
        self._commit([note, *(_state(stored, "deleting") for stored, _ in batch)])

    def _carry_out(self, marked: Sequence[Stored], volumes: Mapping[str, Path], now_ns: int, wall_ns: int) -> Gone:
        done = Gone()
        by_directory: dict[tuple[str, str], list[Stored]] = {}
        for each in marked:
            by_directory.setdefault((each.volume, str(PurePosixPath(each.path).parent)), []).append(each)
        for (volume, directory), inside in by_directory.items():
            done.gone += self._unlink(volumes[volume], directory, inside, done.stuck)
        self._unburied += done.gone
        self._bury_all(done.gone, now_ns)
        for volume, directory in by_directory:
            _remove_empty(volumes[volume], PurePosixPath(directory), wall_ns)
        for each in done.gone:
            self._orders.pop(_key(each), None)
        return done

    def _unlink(self, volume: Path, directory: str, inside: Sequence[Stored], stuck: dict[str, str]) -> list[Stored]:
        """Those whose file is gone for good. Raises DeletionWaits when the volume is not there."""
        gone: list[Stored] = []
        for each in inside:
            try:
                (volume / each.path).unlink()
            except FileNotFoundError:
                if not _is_there(volume, each.volume):
                    raise DeletionWaits(f"{volume} was taken away") from None
                gone.append(each)
            except OSError as error:
                stuck[f"{volume / each.path}"] = error.strerror or str(error)
            else:
                gone.append(each)
        try:
            if gone and (volume / directory).is_dir():
                sync_directory(volume / directory)
        except OSError as error:  # what was unlinked may come back with the next power cut: its rows stay as well
            stuck[f"{volume / directory}"] = error.strerror or str(error)
            return []
        return gone

    def _bury_all(self, gone: Sequence[Stored], now_ns: int) -> None:
        for tomb in list(self._tombs(gone, now_ns)):
            self._bury(tomb)
            buried = {_key(each) for each in tomb.run}
            self._unburied = [each for each in self._unburied if _key(each) not in buried]

    def _bury_late(self, marked: Collection[str], volumes: Mapping[str, Path], now_ns: int) -> None:
        """Tombstones for what a lost index had marked; what is `marked` in this one is buried with its row."""
        self._unburied = [each for each in self._unburied if _key(each) not in marked]
        with self._index.reading() as connection:
            late = [
                each for each in self._unburied
                if each.volume in volumes and not is_rebuilding(connection, each.volume)
            ]  # fmt: skip
            buried = {
                _key(each) for each in late if is_buried(connection, each.camera, each.stream, each.seq, each.seq)
            }
        self._unburied = [each for each in self._unburied if _key(each) not in buried]
        self._bury_all([each for each in late if _key(each) not in buried], now_ns)

    def _tombs(self, gone: Sequence[Stored], now_ns: int) -> Iterator["_Tomb"]:
        """Runs of segments that stood side by side, of one reel and one reason."""
        ordered = sorted(gone, key=lambda each: (each.camera, each.stream, each.seq))
        with self._index.reading() as connection:
            for reel, of_reel in groupby(ordered, key=lambda each: (each.camera, each.stream)):
                run: list[Stored] = []
                for each in of_reel:
                    order = self._order(each, now_ns)
                    if run and (order != self._order(run[-1], now_ns) or _between(connection, run[-1], each)):
                        yield _Tomb(reel, run, self._order(run[0], now_ns))
                        run = []
                    run.append(each)
                yield _Tomb(reel, run, self._order(run[0], now_ns))

    def _bury(self, tomb: "_Tomb") -> None:
        with self._index.reading() as connection:
            neighbour = stock.before(connection, tomb.reel, tomb.run[0].seq)
            before = head_before(connection, *tomb.reel, tomb.run[0].seq)
            # A segment that was never readable has no link: the chain goes over it.
            after = next((each.chain for each in reversed(tomb.run) if each.chain), before)
            merged = _merged(connection, tomb, neighbour, before, after)
        first, last = tomb.run[0], tomb.run[-1]
        detail: dict[str, Any] = {
            "camera": first.camera, "stream": first.stream, "before": before, "after": after,
            "reason": tomb.reason, "deleted_ns": tomb.now_ns, "first_seq": first.seq, "last_seq": last.seq,
            "from_ns": tomb.from_ns, "to_ns": tomb.to_ns, "bytes": tomb.bytes, "minimum_days": tomb.order.minimum_days,
            "segments": [
                [each.seq, _named_start(each), each.end_ns, each.bytes, each.digest or ""] for each in tomb.run
            ],
        }  # fmt: skip
        drops: list[Statement] = [
            ("DELETE FROM segment WHERE volume = ? AND path = ? AND state = 'deleting'", (each.volume, each.path))
            for each in tomb.run
        ]
        self._journal.append(Kind.TOMBSTONE, detail, *drops, *merged)

    def _order(self, stored: Stored, now_ns: int) -> "_Order":
        return self._orders.get(_key(stored)) or _Order(Reason.EXPIRED.value, now_ns, self._minimum_days)

    def _commit(self, statements: Sequence[Statement]) -> None:
        pending = self._index.submit(*statements)
        if not pending.done.wait(COMMIT_WAIT_S) or pending.refused:
            raise DeletionWaits(f"footage.db does not commit: {self._index.failing or 'it is slow'}")


@dataclass(frozen=True, slots=True)
class _Order:
    """Why a segment goes, the time that its age was counted from, and the days that were required then: what is
    finished after a crash was decided by these, not by the clock and the settings of then."""

    reason: str
    at_ns: int
    minimum_days: int
    state: str = field(default="suspect", compare=False)
    """What the segment was before; where that is not known it is read again, and then has the digest that it had."""


@dataclass(frozen=True, slots=True)
class _Tomb:
    """One row to come: segments side by side in their reel."""

    reel: tuple[str, str]
    run: list[Stored]
    order: _Order

    @property
    def reason(self) -> str:
        return self.order.reason

    @property
    def now_ns(self) -> int:
        return self.order.at_ns

    @property
    def from_ns(self) -> int:
        return min(each.start_ns for each in self.run)

    @property
    def to_ns(self) -> int:
        return max(each.end_ns for each in self.run)

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.run)


_TOMB_COLUMNS: Final = "first_seq, last_seq, from_ns, to_ns, segments, bytes, before, after, reason"


def _merged(
    connection: sqlite3.Connection, tomb: _Tomb, neighbour: stock.Neighbour, before: str, after: str
) -> list[Statement]:
    """The tombstone's row, joined with the one before it when nothing stands between and the reason is the same."""
    first, last = tomb.run[0], tomb.run[-1]
    row: dict[str, Any] = {
        "first_seq": first.seq, "last_seq": last.seq, "from_ns": tomb.from_ns, "to_ns": tomb.to_ns,
        "segments": len(tomb.run), "bytes": tomb.bytes, "before": before, "after": after,
        "reason": tomb.reason,
    }  # fmt: skip
    old = connection.execute(
        f"SELECT {_TOMB_COLUMNS} FROM tombstone WHERE camera = ? AND stream = ? AND last_seq = ?",
        (*tomb.reel, neighbour.seq),
    ).fetchone()
    # A label from the future says nothing of when the footage beside it was recorded (stock.oldest).
    alike = old is not None and (old["to_ns"] <= tomb.now_ns) == (tomb.to_ns <= tomb.now_ns)
    if old is not None and alike and old["reason"] == tomb.reason:
        row |= {
            "first_seq": old["first_seq"], "from_ns": min(old["from_ns"], tomb.from_ns),
            "to_ns": max(old["to_ns"], tomb.to_ns), "segments": old["segments"] + len(tomb.run),
            "bytes": old["bytes"] + tomb.bytes, "before": old["before"],
        }  # fmt: skip
    names = [*row, "camera", "stream", "deleted_ns"]
    sql = f"INSERT OR REPLACE INTO tombstone ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)})"
    return [(sql, [*row.values(), *tomb.reel, tomb.now_ns])]


def _between(connection: sqlite3.Connection, one: Stored, next_: Stored) -> bool:
    """Whether a segment that stays stands between two, or one that went before: a tombstone bridges what stood side
    by side, and nothing else."""
    if next_.seq <= one.seq + 1:
        return False
    return (
        connection.execute(
            "SELECT 1 FROM segment WHERE camera = ? AND stream = ? AND seq > ? AND seq < ? UNION ALL"
            " SELECT 1 FROM tombstone WHERE camera = ? AND stream = ? AND first_seq > ? AND first_seq < ? LIMIT 1",
            (one.camera, one.stream, one.seq, next_.seq) * 2,
        ).fetchone()
        is not None
    )


def _state(stored: Stored, state: str) -> Statement:
    return (
        "UPDATE segment SET state = ? WHERE volume = ? AND path = ? AND state != 'open'",
        (state, stored.volume, stored.path),
    )


def _named_start(stored: Stored) -> int:
    """The start that its link was made of: the one in the name, which no later knowledge of the clock moves."""
    name = parse_name(PurePosixPath(stored.path))
    return name.start_ns if name is not None else stored.start_ns


def _key(stored: Stored) -> str:
    return f"{stored.volume}/{stored.path}"


def _orders(noted: str | None) -> dict[str, _Order]:
    try:
        found = json.loads(noted or "{}")
    except ValueError:
        return {}
    known: dict[str, _Order] = {}
    for key, value in found.items() if isinstance(found, dict) else ():
        match value:
            case [str(reason), int(at_ns), int(days), *state] if reason in set(Reason):
                was = str(state[0]) if state and state[0] in ENDED_STATES else "suspect"
                known[key] = _Order(reason, at_ns, days, was)
    return known


def _is_there(volume: Path, uuid: str) -> bool:
    """Whether this volume is mounted where it was."""
    try:
        return bool(json.loads((volume / VOLUME_FILE).read_text(encoding="utf-8"))["volume"] == uuid)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _remove_empty(volume: Path, directory: PurePosixPath, wall_ns: int) -> None:
    """Remove the directory of an hour, and those above it up to the reel's, as far as they are empty."""
    probe = parse_name(directory / f"{''.join(directory.parts[2:5])}T{directory.name}0000.000000000Z-00000001.mp4")
    if probe is not None and abs(probe.start_ns - wall_ns) < _NEAR_NS:
        return
    while len(directory.parts) > 2:
        try:
            (volume / directory).rmdir()
        except OSError:  # not empty, or not there
            return
        directory = directory.parent


def expired_in_quarantine(
    folder: Path, protection: Protection, before_ns: int, floor_ns: int
) -> Iterable[tuple[Path, int]]:
    """Files in quarantine that lie there since before `before_ns`, with their size. One that a hold protects by its
    name stays; so does one whose times are from before `floor_ns`, when the clock was not set."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        seen = path.lstat()
        name = parse_name(PurePosixPath(path_of_kept(path.name)))
        held = name is not None and protection.of(name.camera_uuid, name.start_ns, name.start_ns + 3600 * NS)
        since_ns = max(seen.st_mtime_ns, seen.st_ctime_ns)
        if path.is_file() and not held and floor_ns <= since_ns < before_ns:
            yield path, seen.st_size
