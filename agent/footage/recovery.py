"""Makes disk and index agree: carries out what `reconcile` decides, directory by directory.

`recover` does what must be known before anything is recorded; `comparison` goes through the rest meanwhile.

Invariants
1. After `recover` every file that was being written plays from its first frame to its last, or is in quarantine.
2. A broken index is moved aside, never deleted, and built again from the files.
3. A file is lost only while its volume is there: an unmounted disk loses nothing.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from agent.footage import rows
from agent.footage.boxes_walk import Walked, walk
from agent.footage.chain import ALGORITHMS, SHA256, digest_of, link, new_hash
from agent.footage.files import (
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
from agent.footage.naming import SegmentName, parse_name
from agent.footage.reconcile import Known, Quarantine, Recover, Remove, gap_reason, look, settle, snap
from agent.footage.rows import SegmentRow
from agent.footage.timeline import Gap, GapReason

log = logging.getLogger(__name__)

_COMMIT_WAIT_S: Final = 0.2
_COMMIT_WAITS: Final = 150
"""Half a minute in all."""

_HASH_BYTES: Final = 1 << 20


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

    def log(self) -> None:
        """Say in one line what was done, if anything."""
        if self.recovered or self.removed or self.quarantined:
            log.warning(
                "recovered %s files of footage, removed %s empty ones, put %s in quarantine",
                len(self.recovered), len(self.removed), len(self.quarantined),
            )  # fmt: skip


def walk_file(path: Path) -> Walked:
    """The boxes of a file on disk. Raises OSError."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return walk(lambda offset, size: os.pread(number, size, offset), os.fstat(number).st_size)
    finally:
        os.close(number)


def hash_file(path: Path, algorithm: str = SHA256) -> str:
    """The digest of a file on disk (chain.py). Raises OSError."""
    with path.open("rb") as file:
        fed = new_hash(algorithm)
        while data := file.read(_HASH_BYTES):
            fed.update(data)
    return digest_of(fed)


def cut_file(path: Path, keep_bytes: int, sync: bool = True) -> None:
    """Cut a file after its last whole fragment and, if `sync`, bring that to the disk. Raises OSError."""
    number = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.fstat(number).st_size != keep_bytes:
            os.ftruncate(number, keep_bytes)
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
    newest = (next(segment_directories(volume.path, reel), None) for reel in reels_on(volume.path))
    directories = {row.path.rpartition("/")[0] for row in were_open} | {each for each in newest if each is not None}
    found = Found(rebuilt, were_open={(row.camera, row.stream) for row in were_open})
    for directory in sorted(directories, reverse=True):
        settle_directory(volume, index, directory, found, progress)
    wait_for_commit(index)
    found.log()
    return found


def settle_directory(
    volume: Volume,
    index: Index,
    directory: str,
    found: Found,
    progress: Callable[[], None],
    last_seq: Mapping[tuple[str, str], int] | None = None,
) -> None:
    """Make one directory of the volume and the index agree, and add what was done to `found`. Raises as `recover`.

    `last_seq` (camera uuid and stream -> number) leaves out what was recorded since: segments with higher numbers.
    """
    old = _Older(last_seq or {})
    files = {path: size for path, size in list_directory(volume.path, directory).items() if old.path(path)}
    with index.reading() as connection:
        in_it = rows.segments_in(connection, volume.uuid, directory)
    stored = {row.path: row for row in in_it if row.path.rpartition("/")[0] == directory and old.row(row)}
    looked = look(files, (_known(row) for row in stored.values()))
    if looked.lost and check_volume(volume.path, volume.agent_id) != volume:
        raise VolumeRefused("foreign", f"{volume.path} is another volume than before")
    new: dict[str, tuple[SegmentName, Recover, Walked]] = {}
    for path, known in looked.walk:
        progress()
        name = parse_name(PurePosixPath(path))
        walked = walk_file(volume.path / path)
        action = settle(path, name, walked, known)
        match action:
            case Recover():
                assert name is not None
                cut_file(volume.path / path, action.keep_bytes)
                new[path] = (name, action, walked)
                found.recovered.append(path)
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
        if known is not None and known.state != "open":
            found.damaged.append(path)
    for lost in looked.lost:
        _lose(index, volume.uuid, lost)
        if lost.state != "open":
            found.damaged.append(lost.path)
    _store(volume, index, stored, new, found.rebuilt, progress)
    if looked.walk or looked.lost:
        wait_for_commit(index)


def wait_for_commit(index: Index) -> None:
    """Until what was submitted is committed, or the index says that it is failing: footage does not wait for it."""
    pending = index.submit()
    for _ in range(_COMMIT_WAITS):
        if pending.refused or pending.done.wait(_COMMIT_WAIT_S) or index.failing is not None:
            return


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
    return Known(row.path, row.camera, row.stream, row.start_ns, row.end_ns, row.bytes, row.state)


def _quarantine(volume: Path, path: str) -> None:
    target = volume / QUARANTINE / path.replace("/", "_")
    target.parent.mkdir(exist_ok=True)
    (volume / path).rename(target)
    sync_directory(target.parent)
    sync_directory((volume / path).parent)


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
    stored: Mapping[str, SegmentRow],
    new: Mapping[str, tuple[SegmentName, Recover, Walked]],
    rebuilt: bool,
    progress: Callable[[], None],
) -> None:
    after: tuple[int, int, str | None] | None = None
    for path, (name, action, walked) in sorted(new.items(), key=lambda entry: entry[1][0].seq, reverse=True):
        progress()
        told = walked.description or {}
        end_ns, digest = action.end_ns, None
        old = stored.get(path)
        if old is None:
            if after is None:
                with index.reading() as connection:
                    after = rows.next_of(connection, name.camera_uuid, name.stream, name.seq)
            end_ns, digest = _before(name, action, walked, after)
            if rebuilt and after is not None and end_ns < after[1]:
                gap = Gap(end_ns, after[1], GapReason.INDEX_LOST)
                index.submit(rows.put_gap(name.camera_uuid, name.stream, gap))
            index.submit(rows.put_stranger(name.camera_uuid, _text(told, "id") or name.camera_uuid))
        after = (name.seq, action.start_ns, _text(told, "previous"))
        if old is not None and old.end_ns is not None and end_ns < old.end_ns:
            gap = Gap(end_ns, old.end_ns, GapReason.FILE_DAMAGED, path)
            index.submit(rows.put_gap(old.camera, old.stream, gap))
        algorithm = _algorithm(told)
        digest = digest or hash_file(volume.path / path, algorithm)
        row = SegmentRow(
            name.camera_uuid, volume.uuid, name.stream, old.run if old else None, name.seq, action.start_ns, end_ns,
            action.frames, action.keep_bytes, path, _text(told, "codec") or "", _number(told, "width"),
            _number(told, "height"), digest, _text(told, "previous"),
            _link(name, told, action.keep_bytes, digest, algorithm), action.state,
        )  # fmt: skip
        index.submit(rows.put_segment(row))


def _before(
    name: SegmentName, action: Recover, walked: Walked, after: tuple[int, int, str | None] | None
) -> tuple[int, str | None]:
    """End and hash of a file that the index did not know, by what follows it: number, start, hash of the file before.

    Every file carries the hash of the one before it: a rebuild need not read the whole volume.
    """
    if after is None:
        return action.end_ns, None
    seq, start_ns, previous = after
    end_ns = snap(action.end_ns, action.end_ns - action.start_ns, start_ns, walked.frames)
    return end_ns, previous if seq == name.seq + 1 else None


def _text(told: Mapping[str, Any], key: str) -> str | None:
    value = told.get(key)
    return value if isinstance(value, str) and value else None


def _number(told: Mapping[str, Any], key: str) -> int:
    value = told.get(key)
    return value if type(value) is int else 0


def open_gaps(
    index: Index, reels: Iterable[tuple[str, str]], were_open: Collection[tuple[str, str]], rebuilt: bool, now_ns: int
) -> None:
    """A gap that lasts for each of these reels (camera uuid, stream), from the end of its footage. Raises sqlite3.Error
    when the index cannot be read."""
    with index.reading() as connection:
        for camera, stream in reels:
            end_ns = rows.last_of(connection, camera, stream).end_ns
            if end_ns is None:
                gap = Gap(now_ns, None, GapReason.STARTING)
            else:
                gap = Gap(end_ns, None, gap_reason(rebuilt, (camera, stream) in were_open))
            index.submit(rows.put_gap(camera, stream, gap))


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
