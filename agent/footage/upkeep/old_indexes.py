"""The chore that clears away indexes that were set aside: broken ones, and those from before a reindex.

Files and journal give back what an index says, but for four things that an index set aside may be the only one to say:
the digests of files that are lost, what lies on a volume that never came back, why there was no footage in its last
hour, and rows of a journal that no volume had a copy of. All of that stands in the last one that had been whole. Those
that were broken again while they were built are smaller: so the largest is kept, and the newest.

Invariants
1. The largest and the newest are never deleted, and none while a volume that is there was not gone through since.
2. What is deleted is a row of the journal before it is.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.facts import Stamp
from agent.footage.custody.journal import Journal, JournalWaits
from agent.footage.custody.journal_chain import Kind
from agent.footage.fault import Fault
from agent.footage.index import Index
from agent.footage.rows import is_rebuilding

log = logging.getLogger(__name__)

KEPT: Final = 3
KEPT_BYTES: Final = 1_000_000_000
"""Of all but the largest and the newest: a million segments take 123 MB (design, index)."""

LOOK_EVERY_NS: Final = 3600 * 10**9

_SET_ASIDE: Final = re.compile(r"\.(?:broken|before-reindex)-(\d{8}T\d{6}Z(?:-\d+)?)(-wal|-shm)?$")


@dataclass(frozen=True, slots=True)
class OldIndex:
    """An index that was set aside, with what belongs to it; `since` sorts by time."""

    since: str
    files: tuple[Path, ...]
    bytes: int


def old_indexes(index: Path) -> list[OldIndex]:
    """Those set aside beside the index at `index`, oldest first. Raises OSError."""
    found: dict[str, list[Path]] = {}
    since: dict[str, str] = {}
    for path in sorted(index.parent.glob(f"{index.name}.*")):
        if (match := _SET_ASIDE.search(path.name)) is not None:
            name = path.name.removesuffix(match[2] or "")
            found.setdefault(name, []).append(path)
            since[name] = match[1]
    made = [OldIndex(since[name], tuple(paths), sum(each.lstat().st_size for each in paths))
            for name, paths in found.items()]  # fmt: skip
    return sorted(made, key=lambda each: (each.since, each.files))


def superfluous(found: Sequence[OldIndex], most: int = KEPT, most_bytes: int = KEPT_BYTES) -> list[OldIndex]:
    """Which of them (oldest first) go: the oldest, until so many and so many bytes are left."""
    if not found:
        return []
    spared = {found[-1], max(found, key=lambda each: each.bytes)}
    left, size = len(found), sum(each.bytes for each in found if each not in spared)
    gone: list[OldIndex] = []
    for each in found:
        if each not in spared and (left > most or size > most_bytes):
            gone.append(each)
            left, size = left - 1, size - each.bytes
    return gone


class OldIndexes:
    """See the module. Used by the keeper's thread, but for `faults` and `status`."""

    name = "old indexes"
    every_s = 60.0

    def __init__(self, index: Index, journal: Journal, volumes: Callable[[], Mapping[str, Path]]) -> None:
        """`volumes` are those mounted, by uuid."""
        self._index, self._journal, self._volumes = index, journal, volumes
        self._look_ns = 0
        self._told: dict[str, Any] = {"files": 0, "bytes": 0}

    def step(self, now: Stamp) -> None:
        """Look every hour, and delete what is superfluous. Raises sqlite3.Error and OSError."""
        if now.mono_ns < self._look_ns or self._journal.head is None:
            return
        found = old_indexes(self._index.path)
        self._tell(found)
        if gone := superfluous(found):
            volumes = self._volumes()
            with self._index.reading() as connection:
                if not volumes or any(is_rebuilding(connection, uuid) for uuid in volumes):
                    return
            try:
                told = [[each.files[0].name, each.bytes] for each in gone]
                self._journal.append(Kind.POLICY, {"what": "old_indexes", "files": told})
            except JournalWaits as error:
                log.debug("old indexes are kept for now: %s", error)
                return
            _delete(gone)
            self._tell(old_indexes(self._index.path))
        self._look_ns = now.mono_ns + LOOK_EVERY_NS

    def faults(self) -> list[Fault]:
        """None."""
        return []

    def status(self) -> dict[str, Any]:
        """How many there are, and their size."""
        return {"old_indexes": dict(self._told)}

    def _tell(self, found: Sequence[OldIndex]) -> None:
        self._told = {"files": len(found), "bytes": sum(each.bytes for each in found)}


def _delete(gone: Iterable[OldIndex]) -> None:
    for each in gone:
        for path in each.files:
            path.unlink(missing_ok=True)
        log.warning("%s was deleted: newer indexes that were set aside are kept", each.files[0].name)
