"""A log of every write to a disk, in the format of dm-log-writes, and the disks that a power cut could have left.

The format: sector 0 says how long a sector is; then, entry by entry, a head of one sector (where on the disk, how
many sectors, flags) and the data (Linux, Documentation/admin-guide/device-mapper/log-writes.rst).

What a cut leaves: everything written before the last flush, and of what came later any part. A disk with a write
cache brings later writes to its medium in any order, so any of them may be missing while a later one is there, and
one of several sectors may be there in part. A sector is whole: disks promise that much.
"""

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FLUSH: Final = 1
FUA: Final = 2
DISCARD: Final = 4

SECTOR: Final = 512
_MAGIC: Final = 0x6A736677736872
_HEAD: Final = struct.Struct("<QQQI")
_ENTRY: Final = struct.Struct("<QQQQ")


@dataclass(frozen=True, slots=True)
class Entry:
    """One request to the disk. Sectors count 512 bytes; `data_at` and `end` are offsets in the log's file."""

    sector: int
    sectors: int
    flags: int
    data_at: int
    end: int

    @property
    def writes(self) -> bool:
        """Whether it brings data."""
        return self.sectors > 0 and not self.flags & DISCARD


def read_entries(log: Path) -> list[Entry]:
    """Every whole entry of a log, in the order of the requests. Raises ValueError when it is no such log.

    The number of entries in the head of the log is not believed: it is written now and then only.
    """
    found: list[Entry] = []
    with log.open("rb") as file:
        head = file.read(_HEAD.size)
        size = os.fstat(file.fileno()).st_size
        magic, version, _, unit = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0, 0, 0)
        if (magic, version) != (_MAGIC, 1):
            raise ValueError(f"{log} is no log of writes")
        at = unit
        while at + unit <= size:
            file.seek(at)
            sector, sectors, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
            brings = sectors * unit if not flags & DISCARD else 0
            entry = Entry(sector * unit // SECTOR, sectors * unit // SECTOR, flags, at + unit, at + unit + brings)
            if entry.end > size or not (sectors or flags):
                break
            found.append(entry)
            at = entry.end
    return found


def safe_before(entries: list[Entry], count: int) -> int:
    """How many of the first `count` requests a flush has made safe."""
    return next((place for place in range(count, 0, -1) if entries[place - 1].flags & FLUSH), 0)


@dataclass(frozen=True, slots=True)
class Cut:
    """The power goes after `count` requests to the disk, at `wall_ns` at the latest."""

    seed: int
    count: int
    position: int
    wall_ns: int


@dataclass(frozen=True, slots=True)
class Luck:
    """What happens to a write that no flush has made safe: it is whole on the disk with this probability, else torn
    (some of its sectors, any of them) or missing."""

    whole: float
    torn: float


SUPERBLOCK_END: Final = 8
"""The superblock of ext4 is two sectors with one checksum, and a file system with half of it is not mounted: that is
the business of ext4, and disks with sectors of 4096 bytes do not tear it."""

LUCKS: Final = (
    Luck(0.0, 0.0), Luck(0.1, 0.1), Luck(0.5, 0.0), Luck(0.5, 0.4), Luck(0.9, 0.05), Luck(0.0, 1.0), Luck(1.0, 0.0),
)  # fmt: skip
"""From a cache that is lost whole to one that is saved whole."""


class Replay:
    """A disk as it was before the first entry, brought forward request by request; never backward."""

    def __init__(self, log: Path, entries: list[Entry], initial: Path, image: Path) -> None:
        """`image` is made from `initial`."""
        self._log = log.open("rb")
        self._entries = entries
        self._image = image
        self._done = 0
        copy_sparse(initial, image)

    def close(self) -> None:
        """Let go of the log; the image stays."""
        self._log.close()

    def cut(self, count: int, chance: random.Random, target: Path) -> None:
        """Make `target` a disk whose power was cut after `count` requests; `count` never falls."""
        safe = safe_before(self._entries, count)
        with self._image.open("r+b") as image:
            for entry in self._entries[self._done : safe]:
                self._write(image.fileno(), entry, [(0, entry.sectors)])
        self._done = max(self._done, safe)
        copy_sparse(self._image, target)
        luck = chance.choice(LUCKS)
        with target.open("r+b") as cut:
            for entry in self._entries[safe:count]:
                self._write(cut.fileno(), entry, _survives(entry, luck, chance))

    def _write(self, number: int, entry: Entry, parts: list[tuple[int, int]]) -> None:
        if entry.flags & DISCARD:
            return  # what a disk gives back for a discarded sector is anything; the old content is one of it
        for first, sectors in parts:
            if sectors:
                data = os.pread(self._log.fileno(), sectors * SECTOR, entry.data_at + first * SECTOR)
                os.pwrite(number, data, (entry.sector + first) * SECTOR)


def _survives(entry: Entry, luck: Luck, chance: random.Random) -> list[tuple[int, int]]:
    """The parts of a write that reach the medium: (first sector, sectors)."""
    drawn = chance.random()
    if entry.flags & FUA or drawn < luck.whole:
        return [(0, entry.sectors)]
    if drawn >= luck.whole + luck.torn or entry.sector < SUPERBLOCK_END:
        return []
    if entry.sectors > 64 or chance.random() < 0.5:  # a long write breaks off; a short one has holes, too
        return [(0, chance.randrange(entry.sectors + 1))]
    return [(place, 1) for place in range(entry.sectors) if chance.random() < 0.5]


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a file and leave its holes holes."""
    with source.open("rb") as there, target.open("wb") as here:
        size = os.fstat(there.fileno()).st_size
        for begin, end in _data(there.fileno(), size):
            at = begin
            while at < end:
                os.lseek(here.fileno(), at, os.SEEK_SET)
                at += os.sendfile(here.fileno(), there.fileno(), at, end - at)
        os.ftruncate(here.fileno(), size)


def _data(number: int, size: int) -> Iterator[tuple[int, int]]:
    at = 0
    while at < size:
        try:
            begin = os.lseek(number, at, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole
            return
        at = os.lseek(number, begin, os.SEEK_HOLE)
        yield begin, at
