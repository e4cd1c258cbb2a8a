"""Makes disk and index agree before anything is recorded: carries out what `reconcile` decides.

Invariants
1. After `recover` every file of the volume plays from its first frame to its last, or is in quarantine.
2. A broken index is moved aside, never deleted, and built again from the files.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from agent.footage import index as rows
from agent.footage.boxes_walk import Walked, walk
from agent.footage.files import QUARANTINE, SegmentName, Volume, list_segments, parse_name, sync_directory
from agent.footage.index import Index, SegmentRow
from agent.footage.reconcile import Known, Quarantine, Recover, Remove, gap_reason, look, settle, snap
from agent.footage.timeline import Gap, GapReason

log = logging.getLogger(__name__)

_COMMIT_S: Final = 30.0
_HASH_BYTES: Final = 1 << 20


@dataclass
class Found:
    """What `recover` met: for the log, the conditions and the tests."""

    rebuilt: bool = False
    recovered: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def walk_file(path: Path) -> Walked:
    """The boxes of a file on disk. Raises OSError."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return walk(lambda offset, size: os.pread(number, size, offset), os.fstat(number).st_size)
    finally:
        os.close(number)


def hash_file(path: Path) -> str:
    """The sha256 of a file on disk, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while data := file.read(_HASH_BYTES):
            digest.update(data)
    return digest.hexdigest()


def cut_file(path: Path, keep_bytes: int) -> None:
    """Cut a file after its last whole fragment and bring that to the disk. Raises OSError."""
    number = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.fstat(number).st_size != keep_bytes:
            os.ftruncate(number, keep_bytes)
        os.fsync(number)
    finally:
        os.close(number)


def recover(
    volume: Volume,
    index: Index,
    cameras: Mapping[str, str],
    now_ns: int,
    rebuilt: bool,
    progress: Callable[[], None],
) -> Found:
    """Make the volume and the index agree. Raises OSError when the volume cannot be read or changed.

    `cameras` (uuid -> id) are those that will be recorded: each gets a gap that lasts from the end of its
    footage. `rebuilt` says that the index was just made and knows nothing. `progress` is called once a file.
    """
    files = list_segments(volume.path)
    with index.reading() as connection:
        stored = {row.path: row for row in rows.all_segments(connection) if row.volume == volume.uuid}
    looked = look(files, (_known(row) for row in stored.values()))
    found = Found(rebuilt=rebuilt and bool(files))
    new: dict[str, tuple[SegmentName, Recover, Walked]] = {}
    for path, known in looked.walk:
        progress()
        name = parse_name(PurePosixPath(path))
        walked = walk_file(volume.path / path)
        action = settle(path, name.start_ns if name else None, name.camera_uuid if name else None, walked, known)
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
        if known is not None and known.state != "open" and path in files:
            found.damaged.append(path)
    for lost in looked.lost:
        _lose(index, volume.uuid, lost)
        if lost.state != "open":
            found.damaged.append(lost.path)
    _store(volume, index, stored, new, found.rebuilt, progress)
    _open_gaps(index, cameras, {row.camera for row in stored.values() if row.state == "open"}, found.rebuilt, now_ns)
    if not index.submit().done.wait(_COMMIT_S):
        raise OSError(f"the footage index did not take what was recovered: {index.failing or 'no answer'}")
    return found


def _known(row: SegmentRow) -> Known:
    return Known(row.path, row.camera, row.start_ns, row.end_ns, row.bytes, row.state)


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
    statements = [rows.end_segment(volume, lost.path, "lost", lost.end_ns or lost.start_ns, 0, 0, None)]
    if lost.end_ns is not None and lost.end_ns > lost.start_ns:
        gap = Gap(lost.start_ns, lost.end_ns, GapReason.FILE_MISSING, lost.path)
        statements.append(rows.put_gap(lost.camera, gap))
    index.submit(*statements)


def _store(
    volume: Volume,
    index: Index,
    stored: Mapping[str, SegmentRow],
    new: Mapping[str, tuple[SegmentName, Recover, Walked]],
    rebuilt: bool,
    progress: Callable[[], None],
) -> None:
    ordered = sorted(new.items(), key=lambda entry: (entry[1][0].camera_uuid, entry[1][0].seq))
    for place, (path, (name, action, walked)) in enumerate(ordered):
        progress()
        after = ordered[place + 1][1] if place + 1 < len(ordered) else None
        if after is not None and after[0].camera_uuid != name.camera_uuid:
            after = None
        told = (walked.description or {}).copy()
        end_ns, sha256 = action.end_ns, None
        if after is not None and rebuilt:
            end_ns = snap(action.end_ns, action.end_ns - action.start_ns, after[1].start_ns, walked.frames)
            if after[0].seq == name.seq + 1:
                # Every file carries the hash of the one before it: a rebuild need not read the whole volume.
                previous = (after[2].description or {}).get("previous")
                sha256 = previous if isinstance(previous, str) and previous else None
            if end_ns < after[1].start_ns:
                index.submit(rows.put_gap(name.camera_uuid, Gap(end_ns, after[1].start_ns, GapReason.INDEX_LOST)))
        old = stored.get(path)
        if old is not None and old.end_ns is not None and end_ns < old.end_ns:
            index.submit(rows.put_gap(old.camera, Gap(end_ns, old.end_ns, GapReason.FILE_DAMAGED, path)))
        row = SegmentRow(
            name.camera_uuid, volume.uuid, name.stream, old.run if old else None, name.seq, action.start_ns, end_ns,
            action.frames, action.keep_bytes, path, str(told.get("codec", "")), int(told.get("width", 0)),
            int(told.get("height", 0)), sha256 or hash_file(volume.path / path), str(told.get("previous", "")) or None,
            action.state,
        )  # fmt: skip
        index.submit(rows.put_segment(row))


def _open_gaps(index: Index, cameras: Mapping[str, str], were_open: set[str], rebuilt: bool, now_ns: int) -> None:
    index.submit().done.wait(_COMMIT_S)
    with index.reading() as connection:
        for camera in cameras:
            _, end_ns, _ = rows.last_of(connection, camera)
            if end_ns is None:
                gap = Gap(now_ns, None, GapReason.STARTING)
            else:
                gap = Gap(end_ns, None, gap_reason(rebuilt, camera in were_open))
            index.submit(rows.put_gap(camera, gap))
