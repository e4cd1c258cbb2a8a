"""One film on a volume: walked, hashed, cut, and put into quarantine.

Invariants
1. Nothing in quarantine is ever written over: what is put there beside a file of the same name gets a number.
2. A file that is none, a link or a pipe, is neither read nor followed.
"""

import logging
import os
import shutil
import stat
import struct
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from agent.footage.chain import SHA256, digest_of, new_hash
from agent.footage.disk.files import QUARANTINE, sync_directory
from agent.footage.mp4.boxes_walk import Walked, walk
from agent.footage.mp4.holes import first_hole

log = logging.getLogger(__name__)

_HASH_BYTES: Final = 1 << 20

_AHEAD_BYTES: Final = 4096
"""Read at once: the head of a fragment, its moof and the head of its mdat lie in it."""


def is_plain(path: Path) -> bool:
    """Whether a file is one, and no link, pipe or device. Raises OSError."""
    return stat.S_ISREG(path.lstat().st_mode)


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


def quarantine(volume: Path, path: str) -> None:
    """Move a film, a path below its volume, into quarantine. Raises OSError."""
    target = _free_place(volume, path)
    (volume / path).rename(target)
    sync_directory(target.parent)
    sync_directory((volume / path).parent)


def copy_to_quarantine(volume: Path, path: str) -> None:
    """Keep a copy of a film as it is now, unless there is one of it as it was before: what it was at first counts.
    Raises OSError, and leaves nothing half written then."""
    target = volume / QUARANTINE / _kept_name(path)
    if target.exists():
        return
    target.parent.mkdir(exist_ok=True)
    staged = target.with_name(f"{target.name}.part")
    try:
        shutil.copyfile(volume / path, staged)
        with staged.open("rb") as file:
            os.fsync(file.fileno())
        staged.rename(target)
    except OSError:
        staged.unlink(missing_ok=True)  # of a full disk it would take the last room
        raise
    sync_directory(target.parent)
    log.warning("%s is not what it was when it was ended: a copy as it is was put in quarantine", path)


def path_of_kept(name: str) -> str:
    """The path below its volume that a file in quarantine had, by its name there."""
    stem, _, _ = name.removesuffix(".mp4").partition(_NUMBERED)
    return f"{stem}.mp4".replace("_", "/")


_NUMBERED: Final = "~"
"""Before the number of a second file of the same name: no path of ours has it."""


def _kept_name(path: str, number: int = 0) -> str:
    flat = path.replace("/", "_")
    return f"{flat.removesuffix('.mp4')}{_NUMBERED}{number}.mp4" if number else flat


def _free_place(volume: Path, path: str) -> Path:
    folder = volume / QUARANTINE
    folder.mkdir(exist_ok=True)
    number = 0
    while os.path.lexists(target := folder / _kept_name(path, number)):
        number += 1
    return target
