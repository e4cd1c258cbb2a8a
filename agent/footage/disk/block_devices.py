"""What the kernel says of mounts and block devices, read for `encryption` and for the making of volumes."""

import os
import stat
from pathlib import Path
from typing import Final

from agent.footage.disk.encryption import BlockDevice, Encrypted, Mount, encrypted, parse_mounts

_BY_NUMBER: Final = Path("/sys/dev/block")
_MOUNTS: Final = Path("/proc/self/mountinfo")


def read_mounts() -> list[Mount]:
    """What is mounted, as this process sees it; nothing where /proc is not there."""
    try:
        return parse_mounts(_MOUNTS.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError:
        return []


def look(name: str) -> BlockDevice | None:
    """The block device `major:minor`, or that of a device node; None when there is none."""
    number = name
    if name.startswith("/"):
        try:
            seen = os.stat(name)  # noqa: PTH116 - its st_rdev is asked for
        except OSError:
            return None
        if not stat.S_ISBLK(seen.st_mode):
            return None
        number = f"{os.major(seen.st_rdev)}:{os.minor(seen.st_rdev)}"
    folder = _BY_NUMBER / number
    if not folder.exists():
        return None
    below = [_text(each / "dev") for each in _list(folder / "slaves")]
    if not below and (folder / "partition").exists():
        below = [_text(folder.resolve().parent / "dev")]
    return BlockDevice(
        _text(folder / "dm" / "uuid"), tuple(each for each in below if each), _text(folder / "loop" / "backing_file")
    )


def is_encrypted(path: Path) -> Encrypted:
    """Whether what lies below `path` is encrypted on its disk. Never raises."""
    return encrypted(os.path.realpath(path), read_mounts(), look)


def _list(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None
