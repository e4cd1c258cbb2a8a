"""Makes disk and index agree: carries out what `reconcile` decides, directory by directory.

`recover` does what must be known before anything is recorded; `comparison` goes through the rest meanwhile.

Invariants
1. After `recover` every file that was being written plays from its first frame to its last, or is in quarantine.
2. A broken index is moved aside, never deleted, and built again from the files.
3. A file is lost only while its volume is there: an unmounted disk loses nothing.
"""

import hashlib
import logging
import os
import shutil
import struct
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from agent.footage import rows
from agent.footage.chain import ALGORITHMS, SHA256, algorithm_of, digest_of, link, new_hash
from agent.footage.disk.files import (
    QUARANTINE,
    Volume,
    VolumeRefused,
    check_volume,
    list_directory,
    reels_on,
    segment_directories,
    sync_directory,
)
from agent.footage.index import Index
from agent.footage.mending.reconcile import (
    WHOLE_STATES,
    Known,
    Next,
    Quarantine,
    Recover,
    Remove,
    gap_reason,
    look,
    settle,
)
from agent.footage.mp4.boxes_walk import Walked, walk
from agent.footage.mp4.holes import first_hole
from agent.footage.naming import SegmentName, parse_name
from agent.footage.rows import NO_CLOCK, RowClock, SegmentRow
from agent.footage.timeline import FAR_OFF_NS, Gap, GapReason

log = logging.getLogger(__name__)

_COMMIT_WAIT_S: Final = 0.2
_COMMITS_WAIT_S: Final = 30.0

_START_WAIT_S: Final = 10.0
"""How long recording waits, once, for an index that does not commit: less than the watchdog does."""

_ALONE_WAIT_S: Final = 0.5
_COMPARING_WAIT_S: Final = 30.0
"""How long a deletion is waited for: before recording begins hardly, and the comparison has time."""

_HASH_BYTES: Final = 1 << 20

_AHEAD_BYTES: Final = 4096
"""Read at once: the head of a fragment, its moof and the head of its mdat lie in it."""

_ONE_CLOCK_NS: Final = 10_000_000_000
"""Files of one boot whose wall clock is this near to the monotonic one are taken for one run."""


@dataclass
class Found:
    """What `recover` met: for the log, the conditions and the tests."""

    rebuilt: bool = False
    recovered: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    were_open: set[tuple[str, str]] = field(default_factory=set)
    """Reels (camera uuid, stream) of which a file was being written."""
    is_late: bool = False
    """The index did not commit in time: recording waits for it no more."""

    def log(self) -> None:
        """Say in one line what was done, if anything."""
        if self.recovered or self.removed or self.quarantined:
            log.warning(
                "recovered %s files of footage, removed %s empty ones, put %s in quarantine",
                len(self.recovered), len(self.removed), len(self.quarantined),
            )  # fmt: skip


def walk_file(path: Path, synced: bool = True) -> Walked:
    """The boxes of a file on disk, up to the first hole (holes.py) if it may not be `synced`. Raises OSError."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    ahead, ahead_at = b"", 0

    def fetch(offset: int, size: int) -> bytes:
        nonlocal ahead, ahead_at
        if size > _AHEAD_BYTES:
            return os.pread(number, size, offset)
        if not ahead_at <= offset <= offset + size <= ahead_at + len(ahead):
            ahead, ahead_at = os.pread(number, _AHEAD_BYTES, offset), offset
        return ahead[offset - ahead_at : offset - ahead_at + size]

    try:
        walked = walk(fetch, os.fstat(number).st_size)
        hole = None if synced else first_hole(fetch, walked.keep_bytes)
        return walked if hole is None else replace(walk(fetch, hole), size_bytes=walked.size_bytes)
    finally:
        os.close(number)


def hash_file(path: Path, algorithm: str = SHA256) -> str:
    """The digest of a file on disk (chain.py). Raises OSError."""
    with path.open("rb") as file:
        fed = new_hash(algorithm)
        while data := file.read(_HASH_BYTES):
            fed.update(data)
    return digest_of(fed)


def cut_file(path: Path, keep_bytes: int, sync: bool = True, cover: Iterable[tuple[int, int]] = ()) -> None:
    """Cut a file after its last whole fragment, lay a box `free` over the bytes [from, to) of each `cover`, so that
    players pass over them, and, if `sync`, bring that to the disk. Raises OSError."""
    number = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.fstat(number).st_size != keep_bytes:
            os.ftruncate(number, keep_bytes)
        for begin, end in cover:
            os.pwrite(number, struct.pack(">I4s", end - begin, b"free"), begin)
        if sync:
            os.fsync(number)
    finally:
        os.close(number)


def recover(volume: Volume, index: Index, rebuilt: bool, progress: Callable[[], None]) -> Found:
    """Settle what was being written and the newest files of each reel, in a time that does not grow with the
    volume. Raises OSError or VolumeRefused when the volume cannot be read or changed, sqlite3.Error when the index
    cannot be read. `rebuilt` says that the index was just made and knows nothing. `progress` is called once a file.
    """
    with index.reading() as connection:
        were_open = rows.open_segments(connection, volume.uuid)
        rebuilt = rebuilt or rows.is_rebuilding(connection, volume.uuid)
    reels = list(reels_on(volume.path))
    if rebuilt and not reels:
        rebuilt = False
        index.submit(rows.put_rebuilt(volume.uuid))  # nothing was ever recorded here
    newest = (next(segment_directories(volume.path, reel), None) for reel in reels)
    directories = {row.path.rpartition("/")[0] for row in were_open} | {each for each in newest if each is not None}
    found = Found(rebuilt, were_open={(row.camera, row.stream) for row in were_open})
    for directory in sorted(directories, reverse=True):
        settle_directory(volume, index, directory, found, progress)
    found.is_late = found.is_late or not wait_for_commit(index, _START_WAIT_S)
    found.log()
    return found


def settle_directory(
    volume: Volume,
    index: Index,
    directory: str,
    found: Found,
    progress: Callable[[], None],
    last_seq: Mapping[tuple[str, str], int] | None = None,
    anew: bool = False,
) -> None:
    """Make one directory of the volume and the index agree, and add what was done to `found`. Raises as `recover`.

    `last_seq` (camera uuid and stream -> number) leaves out what was recorded since: segments with higher numbers.
    `anew`: every file is walked, and what it says is put in the place of what the index said of it.
    """
    # What is deleted meanwhile would come back as a row. A deletion that hangs in a disk holds up nobody.
    alone = index.settling.acquire(timeout=_ALONE_WAIT_S if last_seq is None else _COMPARING_WAIT_S)
    try:
        _settle(volume, index, directory, found, progress, last_seq, anew)
    finally:
        if alone:
            index.settling.release()


def _settle(
    volume: Volume,
    index: Index,
    directory: str,
    found: Found,
    progress: Callable[[], None],
    last_seq: Mapping[tuple[str, str], int] | None,
    anew: bool,
) -> None:
    old = _Older(last_seq or {})
    files = {path: size for path, size in list_directory(volume.path, directory).items() if old.path(path)}
    with index.reading() as connection:
        in_it = rows.segments_in(connection, volume.uuid, directory)
    stored = {row.path: row for row in in_it if row.path.rpartition("/")[0] == directory and old.row(row)}
    looked = look(files, (_known(row) for row in stored.values()), anew)
    if looked.lost and check_volume(volume.path, volume.agent_id) != volume:
        raise VolumeRefused("foreign", f"{volume.path} is another volume than before")
    newest = _newest(path for path, _ in looked.walk) if last_seq is None else set()
    following: dict[tuple[str, str], Next | None] = {}
    for path, known in sorted(looked.walk, key=lambda each: _seq(each[0]), reverse=True):
        progress()
        name, known = parse_name(PurePosixPath(path)), None if anew and not _is_open(known) else known
        walked = walk_file(volume.path / path, synced=path not in newest if known is None else known.state != "open")
        after = _after(index, following, name) if name is not None and known is None else None
        action = settle(path, name, walked, known, after)
        if known is not None and known.state not in ("open", "suspect"):
            found.damaged.append(path)
        match action:
            case Recover():
                assert name is not None
                if action.copy:
                    _copy_to_quarantine(volume.path, path)
                if action.cut or action.cover or not walked.finished:
                    cut_file(volume.path / path, action.keep_bytes, cover=action.cover)
                if not (anew and _agrees(stored.get(path), name, action)):
                    _store(volume, index, stored.get(path) if known else None, name, action, walked, found, after)
                following[name.camera_uuid, name.stream] = Next(
                    name.seq, action.start_ns, _text(walked.description or {}, "previous")
                )
            case Remove():
                (volume.path / path).unlink()
                sync_directory((volume.path / path).parent)
                index.submit(rows.drop_segment(volume.uuid, path))
                found.removed.append(path)
            case Quarantine():
                _quarantine(volume.path, path)
                index.submit(rows.drop_segment(volume.uuid, path))
                found.quarantined.append(path)
                log.warning("%s was put in quarantine: %s", path, action.why)
    for lost in looked.lost:
        _lose(index, volume.uuid, lost)
        if lost.state != "open":
            found.damaged.append(lost.path)
    if (looked.walk or looked.lost) and not found.is_late:
        came = wait_for_commit(index, _START_WAIT_S if last_seq is None else _COMMITS_WAIT_S)
        found.is_late = last_seq is None and not came  # the comparison may wait, and must not fill the memory


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


def _after(index: Index, following: dict[tuple[str, str], Next | None], name: SegmentName) -> Next | None:
    """The segment that follows a file which the index does not know: the one settled just before, or a row."""
    reel = (name.camera_uuid, name.stream)
    if reel not in following:
        with index.reading() as connection:
            found = rows.next_of(connection, *reel, name.seq)
        following[reel] = Next(*found) if found else None
    return following[reel]


def _newest(paths: Iterable[str]) -> set[str]:
    """The last two files of each reel in a directory: if the index does not know them, they may not be synced."""
    reels: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for path in paths:
        name = parse_name(PurePosixPath(path))
        if name is not None:
            reels.setdefault((name.camera_uuid, name.stream), []).append((name.seq, path))
    return {path for files in reels.values() for _, path in sorted(files)[-2:]}


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


def _quarantine(volume: Path, path: str) -> None:
    target = volume / QUARANTINE / path.replace("/", "_")
    target.parent.mkdir(exist_ok=True)
    (volume / path).rename(target)
    sync_directory(target.parent)
    sync_directory((volume / path).parent)


def _copy_to_quarantine(volume: Path, path: str) -> None:
    target = volume / QUARANTINE / path.replace("/", "_")
    if target.exists():
        return  # what it was at first is what counts
    target.parent.mkdir(exist_ok=True)
    staged = target.with_name(f"{target.name}.part")
    shutil.copyfile(volume / path, staged)
    with staged.open("rb") as file:
        os.fsync(file.fileno())
    staged.rename(target)
    sync_directory(target.parent)
    log.warning("%s is not what it was when it was ended: a copy as it is was put in quarantine", path)


def _lose(index: Index, volume: str, lost: Known) -> None:
    if lost.state == "open":
        index.submit(rows.drop_segment(volume, lost.path))
        return
    statements = [rows.lose_segment(volume, lost.path)]
    if lost.end_ns is not None and lost.end_ns > lost.start_ns:
        gap = Gap(lost.start_ns, lost.end_ns, GapReason.FILE_MISSING, lost.path)
        statements.append(rows.put_gap(lost.camera, lost.stream, gap))
    index.submit(*statements)


def _store(
    volume: Volume,
    index: Index,
    old: SegmentRow | None,
    name: SegmentName,
    action: Recover,
    walked: Walked,
    found: Found,
    after: Next | None,
) -> None:
    """Give a file its row, and what is missing in it and after it gap rows."""
    told, path = walked.description or {}, action.path
    reel = (name.camera_uuid, name.stream)
    algorithm = algorithm_of(action.expected) if action.expected else _algorithm(told)
    digest, state = action.digest or hash_file(volume.path / path, algorithm), action.state
    if action.expected is not None and digest != action.expected:
        digest, state = action.expected, "suspect"
    if state == "suspect" and path not in found.damaged and (old is None or old.state != "suspect"):
        found.damaged.append(path)
    gaps: list[Gap] = []
    run = old.run if old is not None else None
    statements: list[rows.Statement] = []
    if old is None or old.state != "suspect":
        gaps += [Gap(*hole, GapReason.FILE_DAMAGED, path) for hole in action.holes]
    if old is None:
        if found.rebuilt and after is not None and action.end_ns < after.start_ns and not _buried(index, name, after):
            gaps.append(Gap(action.end_ns, after.start_ns, GapReason.INDEX_LOST))
        statements.append(rows.put_stranger(name.camera_uuid, _text(told, "id") or name.camera_uuid))
        run, put_run = _run_of(name, told)
        statements += put_run
    elif old.end_ns is not None and action.end_ns < old.end_ns:
        gaps.append(Gap(action.end_ns, old.end_ns, GapReason.FILE_DAMAGED, path))
    keeps_chain = old is not None and old.chain is not None and state == "suspect"
    chain = old.chain if old is not None and keeps_chain else _link(name, told, action.keep_bytes, digest, algorithm)
    row = SegmentRow(
        name.camera_uuid, volume.uuid, name.stream, run, name.seq, action.start_ns, action.end_ns, action.frames,
        action.keep_bytes, path, _text(told, "codec") or (old.codec if old else ""), _number(told, "width"),
        _number(told, "height"), digest, _text(told, "previous"), chain, state,
    )  # fmt: skip
    index.submit(rows.put_segment(row), *statements, *(rows.put_gap(*reel, gap) for gap in gaps))
    found.recovered.append(path)


def _buried(index: Index, name: SegmentName, after: Next) -> bool:
    """Whether everything between two segments was deleted by a rule: its tombstone says so, and no gap row need."""
    with index.reading() as connection:
        return after.seq > name.seq + 1 and rows.is_buried(
            connection, name.camera_uuid, name.stream, name.seq + 1, after.seq - 1
        )


def _run_of(name: SegmentName, told: Mapping[str, Any]) -> tuple[int | None, list[rows.Statement]]:
    """The run of a file that the index does not know, by the clock that the file names. Its number is made of what all
    files of one clock share, and is below zero: no number that was ever given."""
    boot, mono_ns = _text(told, "boot"), told.get("mono_ns")
    if boot is None or type(mono_ns) is not int:
        return None, []
    offset_s = round((name.start_ns - mono_ns) / _ONE_CLOCK_NS)
    quality = _text(told, "quality") or "unknown"
    fed = hashlib.sha256(f"{name.camera_uuid}/{name.stream}/{boot}/{offset_s}/{quality}".encode()).digest()
    number = -1 - int.from_bytes(fed[:7], "big")
    return number, [rows.put_known_run(number, name.camera_uuid, name.stream, boot, name.start_ns, mono_ns, quality)]


def _text(told: Mapping[str, Any], key: str) -> str | None:
    value = told.get(key)
    return value if isinstance(value, str) and value else None


def _number(told: Mapping[str, Any], key: str) -> int:
    value = told.get(key)
    return value if type(value) is int else 0


def open_gaps(
    index: Index,
    reels: Iterable[tuple[str, str]],
    were_open: Collection[tuple[str, str]],
    rebuilt: bool,
    now_ns: int,
    clock: RowClock = NO_CLOCK,
) -> None:
    """A gap that lasts for each of these reels (camera uuid, stream), from the end of its footage, or from now where
    the clock was set back since. `clock` is what tells `now_ns`. Raises sqlite3.Error when the index cannot be read."""
    with index.reading() as connection:
        for camera, stream in reels:
            last = rows.last_of(connection, camera, stream)
            if last.end_ns is None:
                gap, told = Gap(now_ns, None, GapReason.STARTING), clock
            else:
                reason = gap_reason(rebuilt, (camera, stream) in were_open)
                # Where another clock told the end, what lies between is told by when the recorder ran (ledger.py).
                is_other = last.end_ns - now_ns > FAR_OFF_NS or last.clock.boot not in ("", clock.boot)
                gap, told = (
                    (Gap(now_ns, None, GapReason.STARTING), clock)
                    if is_other and clock.boot
                    else (Gap(last.end_ns, None, reason), last.clock)
                )
            index.submit(*rows.end_gap_by_footage(camera, stream, clock.boot), rows.put_gap(camera, stream, gap, told))


def _algorithm(told: Mapping[str, Any]) -> str:
    """The hash that a file names; those of the first version name none."""
    value = told.get("hash")
    return value if value in ALGORITHMS else SHA256


def _link(name: SegmentName, told: Mapping[str, Any], size_bytes: int, digest: str, algorithm: str) -> str | None:
    """The head of the chain after a file, by what it says itself; None for those of the first version."""
    before = told.get("chain")
    if not isinstance(before, str):
        return None
    return link(algorithm, before, name.camera_uuid, name.stream, name.seq, name.start_ns, size_bytes, digest)
