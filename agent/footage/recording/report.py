"""What a recorder tells of itself: its status, and every state that is to be told as a condition.

`found`, `damaged` and the like are called by the recording thread, `status` and `faults` by any.

Invariants
1. What happened once (a file damaged, an index rebuilt) is told for `TOLD_FOR_NS`, so that nobody misses it.
"""

from collections.abc import Sequence
from typing import Any, Final

from agent.camera_words import Why
from agent.camera_words import detail as coded
from agent.clock import Clock
from agent.facts import ConditionKind
from agent.footage.fault import Fault
from agent.footage.index import Index
from agent.footage.mending.settling import Found
from agent.footage.recording.arrivals import Trouble
from agent.footage.recording.store import Store
from agent.footage.recording.sync import SLOW_S
from agent.footage.recording.track import Track
from agent.footage.recording.volumes import Disk, Volumes, is_full
from agent.footage.timeline import NS, GapReason

TOLD_FOR_NS: Final = 120 * NS
"""How long something that happened once is told as a condition."""

SLOW_FOR_NS: Final = 30 * NS
"""How long a disk is told as slow after packets had to be dropped."""

STUCK_S: Final = 5.0
"""A recording thread that has not turned for this long waits for the disk."""

Shown = dict[str, str | int | float | bool]


class Report:
    """What is told of a recorder's tracks, volumes and index."""

    def __init__(self, volumes: Volumes, index: Index, store: Store, clock: Clock) -> None:
        self._volumes = volumes
        self._index = index
        self._store = store
        self._clock = clock
        self._told: dict[ConditionKind, tuple[int, Shown]] = {}
        self._dropped = 0
        self._slow_until_ns = 0

    def found(self, found: Found) -> None:
        """What was met when files and rows were compared."""
        if found.rebuilt and found.recovered:
            self._tell(ConditionKind.INDEX_REBUILT, {"files": len(found.recovered)})
        if found.damaged:
            self._tell(ConditionKind.FOOTAGE_DAMAGED, {"files": len(found.damaged), "path": found.damaged[0]})

    def look_at_damage(self) -> None:
        """Take up what the reels met since the last turn."""
        if self._store.damaged is not None:
            self._tell(ConditionKind.FOOTAGE_DAMAGED, {"path": self._store.damaged})
            self._store.damaged = None

    def status(self, tracks: Sequence[Track]) -> dict[str, Any]:
        """What the verb `status` tells of cameras, volumes and index."""
        failing = self._index.failing
        return {
            "cameras": [
                {
                    "id": track.plan.id,
                    "stream": track.plan.stream,
                    "name": track.plan.name,
                    "state": track.state,
                    "since_ns": track.since_ns,
                    "detail": track.hearing.detail,
                    "packets": track.hearing.packets,
                    "bytes": track.hearing.bytes,
                    "last_packet_ns": track.last_packet_ns,
                    "kbit_s": round(track.hearing.kbit_s, 1),
                    "codec": track.codec,
                    "path": track.path,
                }
                for track in tracks
            ],
            "volumes": [
                {
                    "path": str(disk.path),
                    "uuid": disk.mounted.uuid if disk.mounted else None,
                    "ok": disk.open,
                    "free_bytes": disk.room.free_bytes,
                    "total_bytes": disk.room.total_bytes,
                    "encrypted": disk.encrypted.value,
                    "detail": disk.detail,
                }
                for disk in self._volumes.disks
            ],
            "index": {"ok": failing is None, "detail": failing or ""},
        }

    def faults(self, tracks: Sequence[Track], stuck_s: float) -> list[Fault]:
        """Every state that is to be told as a condition; the recording thread has not turned for `stuck_s`."""
        now = self._clock.mono_ns()
        found = [fault for track in tracks for fault in _camera_faults(track, now)]
        found += [fault for disk in self._volumes.disks for fault in _disk_faults(disk, self._volumes)]
        if self._store.dropped != self._dropped or stuck_s > STUCK_S:
            self._dropped = self._store.dropped
            self._slow_until_ns = now + SLOW_FOR_NS
        for disk in self._volumes.disks:
            slow_s = max(disk.sync.slow_s(), stuck_s)
            if slow_s > SLOW_S or now < self._slow_until_ns:
                found.append(Fault(ConditionKind.DISK_SLOW, _subject(disk), (("sync_s", round(slow_s, 1)),)))
        failing = self._index.failing
        if failing is not None:
            found.append(Fault(ConditionKind.FOOTAGE_UPKEEP_FAILING, "process/record", (("detail", failing),)))
        for kind, (until, shown) in list(self._told.items()):
            if now < until:
                found.append(Fault(kind, _subject(self._volumes.disks[0]), tuple(shown.items())))
        return found

    def _tell(self, kind: ConditionKind, shown: Shown) -> None:
        self._told[kind] = (self._clock.mono_ns() + TOLD_FOR_NS, shown)


_KINDS: Final = {
    Trouble.SILENT: ConditionKind.CAMERA_SILENT,
    Trouble.REFUSED: ConditionKind.CAMERA_REFUSED,
    Trouble.NOT_VIDEO: ConditionKind.CAMERA_NOT_VIDEO,
}


def _subject(disk: Disk) -> str:
    return f"volume/{disk.path}"


def _disk_faults(disk: Disk, volumes: Volumes) -> list[Fault]:
    subject = _subject(disk)
    others = sum(each.open and each.refused is None for each in volumes.disks if each is not disk)
    shown = ("others", others)
    if not disk.open and disk.closed_for is GapReason.DISK_FULL:
        return [Fault(ConditionKind.DISK_FULL, subject, (("free_bytes", disk.room.free_bytes), shown))]
    if not disk.open and disk.closed_for is not GapReason.STARTING:
        failed = disk.closed_for is GapReason.DISK_FAILED
        kind = ConditionKind.DISK_FAILED if failed else ConditionKind.VOLUME_MISSING
        return [Fault(kind, subject, (("detail", disk.detail), shown))]
    if (refused := disk.refused) is not None:
        kind = ConditionKind.DISK_FULL if is_full(refused) else ConditionKind.DISK_FAILED
        return [Fault(kind, subject, (("detail", refused.strerror or str(refused)), shown))]
    return []


def _camera_faults(track: Track, now_ns: int) -> list[Fault]:
    subject, hearing = track.plan.subject, track.hearing
    if hearing.trouble is not None:
        return [Fault(_KINDS[hearing.trouble], subject, (("detail", hearing.detail),))]
    if track.unrecorded(now_ns):
        return [Fault(ConditionKind.RECORDING_GAP, subject, (("detail", coded(Why.NO_KEY_FRAME)),))]
    if (breaks := hearing.breaks(now_ns)) > 0:
        return [Fault(ConditionKind.RECORDING_GAP, subject, (("detail", coded(Why.BREAKS_OFTEN, breaks)),))]
    return []
