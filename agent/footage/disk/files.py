"""Where footage lies on a volume, and the guard that a volume is the one it should be.

Invariants
1. Nothing is ever written below a volume whose VOLUME.json is absent or names another agent: the mount point
   of a disk that is not mounted is an empty directory of the system disk.
2. VOLUME.json is made by `create_volume` alone, which is called when someone asked for it.
"""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from agent.footage.naming import parse_name

VOLUME_FILE: Final = "VOLUME.json"
QUARANTINE: Final = "quarantine"
"""Directory of a volume for files that are no footage of ours, or damaged beyond use."""


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


def segment_directories(volume: Path, reel: str | None = None) -> Iterator[str]:
    """Every directory below the volume, or below one reel of it ("<camera uuid>/<stream>"), that holds .mp4 files, as
    a path below the volume; of each camera the newest first. Left out are quarantine and what may not be read, such
    as the lost+found of a disk. One that the disk does not let be read is among them: who lists it learns why."""
    tops = [reel] if reel is not None else sorted(entry.name for entry in _entries(volume) if _is_directory(entry))
    for top in tops:
        if top != QUARANTINE:
            yield from (os.path.relpath(each, volume) for each in _holding(volume / top))


def reels_on(volume: Path) -> Iterator[str]:
    """Every "<camera uuid>/<stream>" that has a directory on the volume."""
    for camera in _entries(volume):
        if _is_directory(camera) and _is_uuid(camera.name):
            yield from (
                f"{camera.name}/{stream.name}" for stream in _entries(Path(camera.path)) if _is_directory(stream)
            )


def list_directory(volume: Path, directory: str) -> dict[str, int]:
    """Every .mp4 file in a directory below the volume: path below the volume -> size in bytes. Raises OSError."""
    found: dict[str, int] = {}
    with suppress(FileNotFoundError):
        for entry in _entries(volume / directory):
            if _is_film(entry):
                found[f"{directory}/{entry.name}"] = entry.stat(follow_symlinks=False).st_size
    return found


def newest_seq(volume: Path, camera: str, stream: str) -> int:
    """The highest number in the newest directory of a reel that can be read, by its file names; 0: none."""
    for directory in segment_directories(volume, f"{camera}/{stream}"):
        try:
            names = [parse_name(PurePosixPath(path)) for path in list_directory(volume, directory)]
        except OSError:
            continue
        return max((name.seq for name in names if name is not None), default=0)
    return 0


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


@dataclass(frozen=True, slots=True)
class Room:
    """A file system as this process sees it: its size, what may still be written, and whether it may be at all."""

    total_bytes: int
    free_bytes: int
    read_only: bool


def room_on(path: Path) -> Room:
    """How much room the file system of `path` has. Raises OSError."""
    seen = os.statvfs(path)
    return Room(seen.f_blocks * seen.f_frsize, seen.f_bavail * seen.f_frsize, bool(seen.f_flag & os.ST_RDONLY))


def _holding(path: Path) -> Iterator[Path]:
    try:
        entries = sorted(_entries(path), key=lambda entry: entry.name, reverse=True)
    except (FileNotFoundError, PermissionError):
        return
    except OSError:
        yield path
        return
    for entry in entries:
        if _is_directory(entry):
            yield from _holding(Path(entry.path))
    if any(_is_film(entry) for entry in entries):
        yield path


def _is_uuid(name: str) -> bool:
    try:
        uuid.UUID(name)
    except ValueError:
        return False
    return True


def _is_directory(entry: "os.DirEntry[str]") -> bool:
    return entry.is_dir(follow_symlinks=False)


def _is_film(entry: "os.DirEntry[str]") -> bool:
    return entry.name.endswith(".mp4") and not _is_directory(entry)


def _entries(path: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(path) as entries:
        return list(entries)
