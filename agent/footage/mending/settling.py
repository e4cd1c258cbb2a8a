"""Makes disk and index agree in one directory: carries out what `reconcile` decides.

Invariants
1. A film is lost only while its volume is there: an unmounted disk loses nothing.
2. A film that cannot be read or mended holds up no other, nor recording: it is left as it is, and told.
3. A row that was ended is never dropped: it stays as lost, with its digest and its link of the chain.
4. Whoever deletes is kept out while a piece of a directory is settled, and never for longer, be it of a million files.
"""

import errno
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Final

from agent.footage import rows
from agent.footage.disk.files import Volume, VolumeRefused, check_volume, list_directory, room_on, sync_directory
from agent.footage.index import Index
from agent.footage.mending.found_rows import Film, index_lost_gap, lost_rows, rows_for, text_of
from agent.footage.mending.reconcile import (
    DELETING,
    WHOLE_STATES,
    Action,
    Known,
    Looked,
    Next,
    Quarantine,
    Recover,
    Remove,
    look,
    settle,
)
from agent.footage.mending.segment_file import copy_to_quarantine, cut_file, is_plain, quarantine, walk_file
from agent.footage.mp4.boxes_walk import Walked
from agent.footage.naming import SegmentName, parse_name
from agent.footage.rows import SegmentRow
from agent.footage.timeline import GapReason

log = logging.getLogger(__name__)

START_WAIT_S: Final = 10.0
"""How long recording waits, once, for an index that does not commit: less than the watchdog does."""

_COMMIT_WAIT_S: Final = 0.2
_COMMITS_WAIT_S: Final = 30.0

_ALONE_WAIT_S: Final = 0.5
_COMPARING_WAIT_S: Final = 30.0
"""How long a deletion is waited for: before recording begins hardly, and the comparison has time."""

PIECE: Final = 500
"""Films that are settled at once: an hour of a reel has 60 to 360."""

MOST_LEFT_AT_START: Final = 3
"""A failing disk takes half a minute to say so of each file: with so many, recording waits for no more of them."""

MOST_LEFT: Final = 100

UNSYNCED_MOST_NS: Final = 30 * 10**9
"""A disk is synced every second, or every ten where the settings say so (`sync_every_s`), and may be late."""

_OF_ALL: Final = frozenset({errno.EROFS, errno.ENODEV, errno.ENXIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What is wrong with more than one file."""


@dataclass
class Found:
    """What settling met: for the log, the conditions and the tests."""

    rebuilt: bool = False
    recovered: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    """Path -> why it could not be read or mended."""
    were_open: set[tuple[str, str]] = field(default_factory=set)
    """Reels (camera uuid, stream) of which a file was being written."""
    wait_s: float = START_WAIT_S
    """How long recording waits for the index."""
    is_late: bool = False
    """The index did not commit in time: recording waits for it no more."""

    def log(self) -> None:
        """Say in one line what was done, if anything."""
        if self.recovered or self.removed or self.quarantined:
            log.warning(
                "recovered %s files of footage, removed %s empty ones, put %s in quarantine",
                len(self.recovered), len(self.removed), len(self.quarantined),
            )  # fmt: skip

    def leave(self, volume: Volume, path: str, error: OSError) -> None:
        """What lies at `path` cannot be read or mended now: the next start tries again. Raises `error`, or
        VolumeRefused, when it is no fault of that one file, or the fault of too many."""
        if error.errno in _OF_ALL or len(self.left) >= MOST_LEFT:
            raise error
        _must_be_there(volume)
        if room_on(volume.path).read_only:
            raise error
        log.error("%s is left as it is: %s", path, error.strerror or error)
        self.left[path] = error.strerror or str(error)
        if path not in self.damaged:
            self.damaged.append(path)


def settle_directory(
    volume: Volume,
    index: Index,
    directory: str,
    found: Found,
    progress: Callable[[], None],
    last_seq: Mapping[tuple[str, str], int] | None = None,
    anew: bool = False,
) -> None:
    """Make one directory of the volume and the index agree, and add what was done to `found`. Raises OSError or
    VolumeRefused when the volume cannot be read or changed, sqlite3.Error when the index cannot be read.

    `last_seq` (camera uuid and stream -> number) leaves out what was recorded since: segments with higher numbers.
    Without it, before recording begins, of what the index does not know only the newest is looked at.
    `anew`: every file is walked, and what it says is put in the place of what the index said of it.
    """
    made = _Settling(volume, index, found, progress, last_seq is None, anew)
    with made.alone():
        try:
            looked, stored = made.look(directory, _Older(last_seq or {}))
        except OSError as error:
            found.leave(volume, directory, error)
            return
        made.lose(looked.lost)
        made.settle(looked.walk[:PIECE], stored)
    for begin in range(PIECE, len(looked.walk), PIECE):
        piece = looked.walk[begin : begin + PIECE]
        with made.alone():
            made.settle(*made.again(piece))


_Walk = Sequence[tuple[str, Known | None]]


class _Settling:
    """One directory, while it is settled."""

    def __init__(
        self, volume: Volume, index: Index, found: Found, progress: Callable[[], None], at_start: bool, anew: bool
    ) -> None:
        self._volume, self._index, self._found, self._progress = volume, index, found, progress
        self._at_start, self._anew = at_start, anew
        self._newest: set[str] = set()
        self._following: dict[tuple[str, str], Next | None] = {}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody deletes meanwhile: what is deleted would come back as a row. A deletion that hangs in a disk holds up
        nobody."""
        alone = self._index.settling.acquire(timeout=_ALONE_WAIT_S if self._at_start else _COMPARING_WAIT_S)
        try:
            yield
        finally:
            if alone:
                self._index.settling.release()

    def look(self, directory: str, old: "_Older") -> tuple[Looked, dict[str, SegmentRow]]:
        """What is to be done in a directory, the newest first, and the rows that there are."""
        volume = self._volume
        files = {path: size for path, size in list_directory(volume.path, directory).items() if old.path(path)}
        with self._index.reading() as connection:
            in_it = rows.segments_in(connection, volume.uuid, directory)
        stored = {row.path: row for row in in_it if row.path.rpartition("/")[0] == directory and old.row(row)}
        looked = look(files, (_known(row) for row in stored.values()), self._anew)
        if looked.lost:
            _must_be_there(volume)
        walk = sorted(looked.walk, key=lambda each: _seq(each[0]), reverse=True)
        if self._at_start:
            self._newest = _newest(path for path, _ in walk)
            walk = [each for place, each in enumerate(walk) if place < PIECE or _is_open(each[1])]
        return Looked(tuple(walk), looked.lost), stored

    def again(self, piece: _Walk) -> tuple[_Walk, dict[str, SegmentRow]]:
        """A later piece, with the rows as they are by now: some may be about to be deleted."""
        with self._index.reading() as connection:
            stored = rows.segments_at(connection, self._volume.uuid, [path for path, _ in piece])
        known = ((path, _known(stored[path]) if path in stored else None) for path, _ in piece)
        return [(path, each) for path, each in known if each is None or each.state != DELETING], stored

    def lose(self, lost: Sequence[Known]) -> None:
        """Rows without a file."""
        for number, each in enumerate(lost, 1):
            self._index.submit(*lost_rows(self._volume.uuid, each, GapReason.FILE_MISSING))
            if each.state != "open":
                self._found.damaged.append(each.path)
            if number % PIECE == 0 or number == len(lost):
                self._wait()

    def settle(self, piece: _Walk, stored: Mapping[str, SegmentRow]) -> None:
        """Walk these files, and do what is to be done with each."""
        for path, known in piece:
            if self._at_start and len(self._found.left) >= MOST_LEFT_AT_START:
                log.error("the disk lets too many files not be read: the others are looked at later")
                break
            self._progress()
            try:
                self._settle(path, known, stored.get(path))
            except FileNotFoundError:
                _must_be_there(self._volume)
                log.warning("%s went while it was looked at", path)
            except OSError as error:
                self._found.leave(self._volume, path, error)
        if piece:
            self._wait()

    def _settle(self, path: str, known: Known | None, stored: SegmentRow | None) -> None:
        name, known = parse_name(PurePosixPath(path)), None if self._anew and not _is_open(known) else known
        if not is_plain(self._volume.path / path):
            self._carry_out(Quarantine(path, "it is no plain file"), stored)
            return
        synced = path not in self._newest if known is None else known.state != "open"
        walked = walk_file(self._volume.path / path, synced)
        after = self._after(name) if name is not None and known is None else None
        action = settle(path, name, walked, known, after)
        if not synced and _plays_on(walked, walk_file(self._volume.path / path), known):
            action = _kept_whole(action)
        if known is not None and known.state not in ("open", "suspect"):
            self._found.damaged.append(path)
        if isinstance(action, Recover):
            assert name is not None
            self._recover(Film(self._volume.path, self._volume.uuid, name, walked), action, known, stored, after)
        elif isinstance(action, Remove) and stored is not None and not _is_open(_known(stored)):
            self._carry_out(Quarantine(path, "nothing in it plays"), stored)
        else:
            self._carry_out(action, stored)

    def _recover(
        self, film: Film, action: Recover, known: Known | None, stored: SegmentRow | None, after: Next | None
    ) -> None:
        path, name, found = action.path, film.name, self._found
        if stored is None and after is None and not film.walked.finished:
            found.were_open.add((name.camera_uuid, name.stream))  # its row never came through
        if action.copy:
            copy_to_quarantine(film.volume, path)
        if action.cut or action.cover or not film.walked.finished:
            cut_file(film.volume / path, action.keep_bytes, cover=action.cover)
        if not (self._anew and _agrees(stored, name, action)):
            old = stored if known is not None else None
            follows = index_lost_gap(self._index, name, action.end_ns, after) if found.rebuilt else None
            given = rows_for(film, action, old, follows)
            if given.suspect and path not in found.damaged and (old is None or old.state != "suspect"):
                found.damaged.append(path)
            self._index.submit(*given.statements)
            found.recovered.append(path)
        self._following[name.camera_uuid, name.stream] = Next(name.seq, action.start_ns, text_of(film.told, "previous"))

    def _carry_out(self, action: Remove | Quarantine, stored: SegmentRow | None) -> None:
        """Take a file away that is no footage; the row of one that was ended stays."""
        volume, found, path = self._volume, self._found, action.path
        if isinstance(action, Remove):
            (volume.path / path).unlink()
            sync_directory((volume.path / path).parent)
            self._index.submit(rows.drop_segment(volume.uuid, path))
            found.removed.append(path)
            return
        quarantine(volume.path, path)
        log.warning("%s was put in quarantine: %s", path, action.why)
        found.quarantined.append(path)
        if stored is not None and stored.state != "lost":
            self._index.submit(*lost_rows(volume.uuid, _known(stored), GapReason.FILE_DAMAGED))

    def _after(self, name: SegmentName) -> Next | None:
        """The segment that follows a file which the index does not know: the one settled just before, or a row."""
        reel = (name.camera_uuid, name.stream)
        if reel not in self._following:
            with self._index.reading() as connection:
                found = rows.next_of(connection, *reel, name.seq)
            self._following[reel] = Next(*found) if found else None
        return self._following[reel]

    def _wait(self) -> None:
        """For what was submitted: it must not fill the memory. Before recording begins, once in vain."""
        if self._found.is_late:
            return
        came = wait_for_commit(self._index, self._found.wait_s if self._at_start else _COMMITS_WAIT_S)
        self._found.is_late = self._at_start and not came


def _plays_on(walked: Walked, whole: Walked, known: Known | None) -> bool:
    """Whether a film that is cut before a hole plays on behind it, and that is no second which was not yet synced when
    the power went: what was being written when its row says so loses that, and of others nothing is known."""
    least_ns = 0 if known is None else UNSYNCED_MOST_NS
    return _frames(whole) > _frames(walked) and whole.ns(whole.ticks) - walked.ns(walked.ticks) > least_ns


def _frames(walked: Walked) -> int:
    return walked.frames + sum(piece.frames for piece in walked.later)


def _kept_whole(action: Action) -> Action:
    """The same, but nothing of the film is gone after it."""
    if isinstance(action, Remove):
        return Quarantine(action.path, "what plays in it lies behind a hole")
    return replace(action, copy=True) if isinstance(action, Recover) and action.cut else action


def _must_be_there(volume: Volume) -> None:
    """Raises VolumeRefused when it is not: what is not seen then is not gone."""
    if check_volume(volume.path, volume.agent_id) != volume:
        raise VolumeRefused("foreign", f"{volume.path} is another volume than before")


def wait_for_commit(index: Index, most_s: float = _COMMITS_WAIT_S) -> bool:
    """Until what was submitted is committed, or the index says that it is failing: footage does not wait for it. False
    when neither comes in time."""
    pending = index.submit()
    for _ in range(round(most_s / _COMMIT_WAIT_S)):
        if pending.refused or pending.done.wait(_COMMIT_WAIT_S) or index.failing is not None:
            return True
    log.error("the footage index does not commit")
    return False


@dataclass(frozen=True, slots=True)
class _Older:
    """Tells what was there before recording began from what was recorded since."""

    last_seq: Mapping[tuple[str, str], int]

    def path(self, path: str) -> bool:
        name = parse_name(PurePosixPath(path))
        return name is None or name.seq <= self.last_seq.get((name.camera_uuid, name.stream), name.seq)

    def row(self, row: SegmentRow) -> bool:
        return row.seq <= self.last_seq.get((row.camera, row.stream), row.seq)


def _known(row: SegmentRow) -> Known:
    return Known(row.path, row.camera, row.stream, row.start_ns, row.end_ns, row.bytes, row.state, row.digest)


def _is_open(known: Known | None) -> bool:
    return known is not None and known.state == "open"


def _agrees(row: SegmentRow | None, name: SegmentName, action: Recover) -> bool:
    """Whether a row says all that its file says."""
    return (
        row is not None
        and row.state in WHOLE_STATES
        and action.state in WHOLE_STATES
        and (row.camera, row.stream, row.seq) == (name.camera_uuid, name.stream, name.seq)
        and (row.frames, row.bytes) == (action.frames, action.keep_bytes)
        and row.digest is not None
        and row.digest == (action.digest or action.expected or row.digest)
    )


def _seq(path: str) -> int:
    name = parse_name(PurePosixPath(path))
    return name.seq if name is not None else 0


def _newest(paths: Iterable[str]) -> set[str]:
    """The last two files of each reel in a directory: if the index does not know them, they may not be synced."""
    reels: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for path in paths:
        name = parse_name(PurePosixPath(path))
        if name is not None:
            reels.setdefault((name.camera_uuid, name.stream), []).append((name.seq, path))
    return {path for files in reels.values() for _, path in sorted(files)[-2:]}
