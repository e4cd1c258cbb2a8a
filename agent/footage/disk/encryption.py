"""PURE. Whether what lies in a folder is encrypted on its disk, by what the kernel says of mounts and block devices.

Told are disk encryption by the device mapper (LUKS, plain dm-crypt), whatever lies between it and the file system
(LVM, partitions, software RAID, a loop file). A file system without a block device (network, FUSE, memory) and an
encryption inside a file system cannot be seen here: the answer is `unknown`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Encrypted(StrEnum):
    """Whether a thief who has the disk alone can read it."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/self/mountinfo. `device` is `major:minor`; `source` says what was mounted."""

    device: str
    where: str
    fs_type: str
    source: str


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """What /sys/dev/block says of one device: the uuid the device mapper gave it (None: none of its), the devices
    it lies on, by `major:minor`, and the file behind it if it is a loop."""

    dm_uuid: str | None
    below: tuple[str, ...]
    backing_file: str | None = None


Look = Callable[[str], BlockDevice | None]
"""`major:minor`, or the path of a device node -> the device; None when there is none."""

_CRYPT: Final = "CRYPT-"
_DEEPEST: Final = 16
"""Layers followed before the answer is `unknown`: a disk has three or four."""


def parse_mounts(text: str) -> list[Mount]:
    """The mounts of /proc/self/mountinfo, in its order (proc(5)); lines that are none are left out."""
    found = []
    for line in text.splitlines():
        head, _, tail = line.partition(" - ")
        left, right = head.split(" "), tail.split(" ")
        if len(left) >= 6 and len(right) >= 2:
            found.append(Mount(left[2], _plain(left[4]), right[0], _plain(right[1])))
    return found


def mount_of(path: str, mounts: list[Mount]) -> Mount | None:
    """The mount that `path` (absolute, without links) lies on: the longest that covers it, of those the last made."""
    found: Mount | None = None
    for mount in mounts:
        covers = path == mount.where or path.startswith(mount.where.rstrip("/") + "/")
        if covers and (found is None or len(mount.where) >= len(found.where)):
            found = mount
    return found


def encrypted(path: str, mounts: list[Mount], look: Look) -> Encrypted:
    """Whether the files below `path` (absolute, without links) are encrypted on their disk."""
    return _of_path(path, mounts, look, _DEEPEST)


def _of_path(path: str, mounts: list[Mount], look: Look, deep: int) -> Encrypted:
    mount = mount_of(path, mounts)
    if mount is None:
        return Encrypted.UNKNOWN
    # btrfs and overlays of it have a device number of their own: what was mounted names the disk.
    device = look(mount.device) or (look(mount.source) if mount.source.startswith("/dev/") else None)
    return Encrypted.UNKNOWN if device is None else _of_device(device, mounts, look, deep)


def _of_device(device: BlockDevice, mounts: list[Mount], look: Look, deep: int) -> Encrypted:
    if device.dm_uuid is not None and device.dm_uuid.startswith(_CRYPT):
        return Encrypted.YES
    if deep == 0:
        return Encrypted.UNKNOWN
    if device.backing_file is not None:
        return _of_path(device.backing_file, mounts, look, deep - 1)
    if not device.below:
        return Encrypted.NO
    answers = {_of_below(each, mounts, look, deep - 1) for each in device.below}
    # One plain disk among several is enough for a thief.
    return Encrypted.NO if Encrypted.NO in answers else Encrypted.UNKNOWN if len(answers) > 1 else answers.pop()


def _of_below(name: str, mounts: list[Mount], look: Look, deep: int) -> Encrypted:
    device = look(name)
    return Encrypted.UNKNOWN if device is None else _of_device(device, mounts, look, deep)


def _plain(field: str) -> str:
    return "".join(_unescaped(field))


def _unescaped(field: str) -> Iterator[str]:
    """The kernel writes space, tab, newline and backslash as three octal digits."""
    at = 0
    while at < len(field):
        digits = field[at + 1 : at + 4]
        if field[at] == "\\" and len(digits) == 3 and all("0" <= each <= "7" for each in digits):
            yield chr(int(digits, 8))
            at += 4
        else:
            yield field[at]
            at += 1
