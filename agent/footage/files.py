"""Where footage lies on a volume, and the guard that a volume is the one it should be.

Invariants
1. Nothing is ever written below a volume whose VOLUME.json is absent or names another agent: the mount point
   of a disk that is not mounted is an empty directory of the system disk.
2. VOLUME.json is made by `create_volume` alone, which is called when someone asked for it.
3. A path says camera, stream, start and sequence number; `parse_name` gives back what `segment_path` put in.
"""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

VOLUME_FILE: Final = "VOLUME.json"
QUARANTINE: Final = "quarantine"
"""Directory of a volume for files that are no footage of ours, or damaged beyond use."""

CAMERA_NAMESPACE: Final = uuid.UUID("6d0a3c1e-52b7-5f0e-9a41-3f2f6f0c8b17")
"""Fixed for ever: the storage name of a camera is a UUIDv5 in this namespace."""

_NS: Final = 1_000_000_000


class VolumeRefused(Exception):
    """This directory is not the footage volume of this agent. `reason` is `missing`, `foreign` or `unreadable`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Volume:
    """A directory that said, when checked, that it is the footage volume of `agent_id`."""

    path: Path
    uuid: str
    agent_id: str
    created_ns: int


@dataclass(frozen=True, slots=True)
class SegmentName:
    """What the path of a segment says."""

    camera_uuid: str
    stream: str
    start_ns: int
    seq: int


def camera_uuid(facility_id: str, camera_id: str) -> str:
    """The storage name of a camera: the same for the same two ids on every machine, for ever."""
    return str(uuid.uuid5(CAMERA_NAMESPACE, f"{facility_id}/{camera_id}"))


def create_volume(path: Path, agent_id: str, created_ns: int | None = None) -> Volume:
    """Make `path` the footage volume of `agent_id`; keeps a VOLUME.json that already says so.

    For set-up alone: a recorder that did this by itself would record over a missing mount. `agent_id` is the
    facility's id; `created_ns` is now in wall nanoseconds, the directory's own time when left out. Raises
    VolumeRefused when the directory belongs to another agent, OSError when it cannot be written.
    """
    path.mkdir(parents=True, exist_ok=True)
    if (path / VOLUME_FILE).exists():
        return check_volume(path, agent_id)
    content = {"volume": str(uuid.uuid4()), "agent": agent_id, "created_ns": created_ns or path.stat().st_mtime_ns}
    staged = path / f"{VOLUME_FILE}.new"
    with staged.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    staged.rename(path / VOLUME_FILE)
    sync_directory(path)
    return check_volume(path, agent_id)


def check_volume(path: Path, agent_id: str) -> Volume:
    """The volume at `path`. Raises VolumeRefused when it is not the footage volume of `agent_id`."""
    try:
        content = json.loads((path / VOLUME_FILE).read_text(encoding="utf-8"))
        found = Volume(path, str(content["volume"]), str(content["agent"]), int(content["created_ns"]))
    except FileNotFoundError as error:
        raise VolumeRefused("missing", f"{path} has no {VOLUME_FILE}: not mounted, or not set up") from error
    except OSError as error:
        raise VolumeRefused("unreadable", f"{path / VOLUME_FILE}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise VolumeRefused("unreadable", f"{path / VOLUME_FILE} is damaged: {error}") from error
    if found.agent_id != agent_id:
        raise VolumeRefused("foreign", f"{path} belongs to agent {found.agent_id}, not to {agent_id}")
    return found


def segment_path(camera: str, stream: str, start_ns: int, seq: int) -> PurePosixPath:
    """The path of a segment below its volume; `start_ns` is UTC, `seq` counts the segments of one camera."""
    start = datetime.fromtimestamp(start_ns // _NS, UTC)
    name = f"{start:%Y%m%dT%H%M%S}.{start_ns % _NS:09d}Z-{seq:08d}.mp4"
    return PurePosixPath(camera, stream, f"{start:%Y}", f"{start:%m}", f"{start:%d}", f"{start:%H}", name)


def parse_name(path: PurePosixPath) -> SegmentName | None:
    """What a path below a volume says, or None when `segment_path` would never have made it."""
    if len(path.parts) != 7 or path.suffix != ".mp4":
        return None
    stamp, _, number = path.stem.partition("-")
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    try:
        start = datetime.strptime(whole, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        name = SegmentName(path.parts[0], path.parts[1], int(start.timestamp()) * _NS + int(fraction), int(number))
    except (ValueError, OverflowError):
        return None
    return name if segment_path(name.camera_uuid, name.stream, name.start_ns, name.seq) == path else None


def segment_directories(volume: Path, camera: str | None = None) -> Iterator[str]:
    """Every directory below the volume, or below one camera of it, that holds .mp4 files, as a path below the
    volume; of each camera the newest first. Left out are quarantine and what may not be read, such as the
    lost+found of a disk."""
    tops = [camera] if camera is not None else sorted(entry.name for entry in _entries(volume) if _is_directory(entry))
    for top in tops:
        if top != QUARANTINE:
            yield from (os.path.relpath(each, volume) for each in _holding(volume / top))


def list_directory(volume: Path, directory: str) -> dict[str, int]:
    """Every .mp4 file in a directory below the volume: path below the volume -> size in bytes. Raises OSError."""
    found: dict[str, int] = {}
    with suppress(FileNotFoundError):
        for entry in _entries(volume / directory):
            if _is_film(entry):
                found[f"{directory}/{entry.name}"] = entry.stat(follow_symlinks=False).st_size
    return found


def newest_seq(volume: Path, camera: str) -> int:
    """The highest number in the newest directory of a camera by its file names, 0 when there is none."""
    directory = next(segment_directories(volume, camera), None)
    names = [] if directory is None else [parse_name(PurePosixPath(path)) for path in list_directory(volume, directory)]
    return max((name.seq for name in names if name is not None), default=0)


def make_directories(volume: Path, path: PurePosixPath) -> list[Path]:
    """Make the directories above `path`; those to be synced for the file's name to survive a power cut, leaf first."""
    changed = [volume / path.parent]
    parent = path.parent
    while not (volume / parent).exists():
        parent = parent.parent
        changed.append(volume / parent)
    (volume / path.parent).mkdir(parents=True, exist_ok=True)
    return changed


def sync_directory(path: Path) -> None:
    """Make the names in this directory survive a power cut."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def free_bytes(path: Path) -> int:
    """Bytes that this process may still write on the file system of `path`."""
    seen = os.statvfs(path)
    return seen.f_bavail * seen.f_frsize


def _holding(path: Path) -> Iterator[Path]:
    try:
        entries = sorted(_entries(path), key=lambda entry: entry.name, reverse=True)
    except (FileNotFoundError, PermissionError):
        return
    for entry in entries:
        if _is_directory(entry):
            yield from _holding(Path(entry.path))
    if any(_is_film(entry) for entry in entries):
        yield path


def _is_directory(entry: "os.DirEntry[str]") -> bool:
    return entry.is_dir(follow_symlinks=False)


def _is_film(entry: "os.DirEntry[str]") -> bool:
    return entry.name.endswith(".mp4") and not _is_directory(entry)


def _entries(path: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(path) as entries:
        return list(entries)
