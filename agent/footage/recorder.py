"""The recorder: one thread that brings the packets of all cameras to one volume.

It turns every `TURN_S`: takes what the cameras' readers gave, and never waits for a camera. Syncing, the index
and reading have threads of their own (sync.py, index.py, camera.py).

Invariants
1. This thread alone owns the tracks; `status`, `conditions` and `live_end` read single values of them.
2. Nothing is recorded before the volume was checked and its open files recovered; VOLUME.json is looked at again
   and again. No other file, and no index, is waited for.
3. One camera's trouble, and one file's, leave every other camera untouched.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from agent.clock import Clock
from agent.facts import ConditionKind, Stamp
from agent.footage import rows
from agent.footage.camera import Camera, Trouble
from agent.footage.comparison import Comparison
from agent.footage.fault import Fault
from agent.footage.files import Volume, VolumeRefused, check_volume, free_bytes, newest_seq
from agent.footage.index import Index, IndexBroken, set_aside
from agent.footage.recovery import Found, recover
from agent.footage.reel import CameraPlan, Store, is_full
from agent.footage.sync import SLOW_S, SyncThread
from agent.footage.timeline import NS, GapReason
from agent.footage.track import Track

log = logging.getLogger(__name__)

TURN_S: Final = 0.25
"""Packets are taken this often: fewer wake-ups than one per packet, and little to lose."""

VOLUME_CHECK_NS: Final = 2 * NS
RECOVERY_RETRY_NS: Final = 10 * NS

RESERVE_BYTES: Final = 64 * 1024 * 1024
"""Recording stops while the volume has less than this: files can still be closed, and the disk's own
book-keeping has room."""

TOLD_FOR_NS: Final = 120 * NS
"""How long something that happened once (index rebuilt, file damaged) is told as a condition."""

STUCK_S: Final = 5.0
"""A recording thread that has not turned for this long waits for the disk."""

Shown = dict[str, str | int | float | bool]


class Recorder:
    """All cameras of one volume."""

    def __init__(
        self,
        plans: Sequence[CameraPlan],
        volume: Path,
        agent_id: str,
        index: Index,
        clock: Clock,
        boot: str,
        *,
        segment_s: float = 60.0,
        sync_every_s: float = 1.0,
        silent_after_s: float = 5.0,
        reserve_bytes: int = RESERVE_BYTES,
        make_sync: Callable[[float, Clock], SyncThread] = SyncThread,
    ) -> None:
        self.index = index
        self.path = volume
        self.turns = 0
        self._agent_id = agent_id
        self._clock = clock
        self._reserve_bytes = reserve_bytes
        self._sync = make_sync(sync_every_s, clock)
        self._rebuilt = False
        self._comparison: Comparison | None = None
        self._store = Store(index, self._sync, clock, boot, int(segment_s * NS))
        self._tracks = [
            Track(plan, Camera(plan.id, plan.address, clock, silent_after_s / 2), self._store, int(silent_after_s * NS))
            for plan in plans
        ]
        self._mounted: Volume | None = None
        self._volume_detail = "not checked yet"
        self._refusal = ""
        self._free_bytes = 0
        self._told: dict[ConditionKind, tuple[int, Shown]] = {}
        self._next_check_ns = 0
        self._turned_ns = clock.mono_ns()
        self._dropped = 0
        self._slow_until_ns = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Open the index (a broken one is moved aside) and begin: with no index at all, if need be."""
        try:
            self._open_index()
        except (OSError, sqlite3.Error, IndexBroken) as error:
            # Files say themselves what they are: recording goes on, and the index is tried again and again.
            log.error("the footage index cannot be used: %s", error)  # noqa: TRY400 - the text says it all
            self._store.runs = self._clock.wall_ns() // NS  # above every number ever given
        self.index.start()
        self._sync.start()
        for track in self._tracks:
            self.index.submit(rows.put_camera(track.plan.uuid, track.plan.id, track.plan.name))
            track.camera.start()
        self._thread.start()

    def stop(self, timeout_s: float = 8.0) -> None:
        """Close every file, commit every row. Raises RuntimeError when the disk holds that up for too long."""
        for track in self._tracks:
            track.camera.ask_to_stop()
        self._stop.set()
        self._stop_comparison()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise RuntimeError("the recording thread did not stop: the disk does not answer")
        if self._comparison is not None and not self._comparison.join(timeout_s):
            raise RuntimeError("the comparison of volume and index did not stop: the disk does not answer")
        self._sync.stop(timeout_s)
        self.index.stop(timeout_s)
        for track in self._tracks:
            if not track.camera.join(0.1):
                log.info("camera %s: the reader still waits for the camera and is left behind", track.plan.id)

    @property
    def stuck_s(self) -> float:
        """Seconds since the recording thread last turned."""
        return (self._clock.mono_ns() - self._turned_ns) / NS

    def status(self) -> dict[str, Any]:
        """What the verb `status` tells of cameras and volume."""
        return {
            "cameras": [
                {
                    "id": track.plan.id,
                    "name": track.plan.name,
                    "state": track.state,
                    "since_ns": track.since_ns,
                    "detail": track.detail,
                    "packets": track.packets,
                    "bytes": track.bytes,
                    "last_packet_ns": track.last_packet_ns,
                    "kbit_s": round(track.kbit_s, 1),
                    "codec": track.codec,
                    "path": str(self.path / track.plan.uuid),
                }
                for track in self._tracks
            ],
            "volume": {
                "path": str(self.path),
                "ok": self._store.volume is not None,
                "free_bytes": self._free_bytes,
                "detail": self._volume_detail,
            },
            "index": {"ok": self.index.failing is None, "detail": self.index.failing or ""},
        }

    def live_ends(self, camera_uuid: str) -> dict[str, int]:
        """Path below the volume -> end of the footage so far, for files whose row does not say it yet."""
        track = self._track(camera_uuid)
        return dict(track.live) if track else {}

    def is_recording(self, camera_uuid: str) -> bool:
        """Whether a file of this camera is being written."""
        track = self._track(camera_uuid)
        return track is not None and track.state == "recording"

    def volume_uuid(self) -> str | None:
        """The volume last mounted, if any."""
        return self._mounted.uuid if self._mounted else None

    def faults(self) -> list[Fault]:
        """Every state that is to be told as a condition, now."""
        now = self._clock.mono_ns()
        volume = f"volume/{self.path}"
        found = [fault for track in self._tracks for fault in _camera_faults(track, now)]
        if self._refusal:
            found.append(Fault(ConditionKind.VOLUME_MISSING, volume, (("detail", self._refusal),)))
        if self._store.closed_for is GapReason.DISK_FULL and self._store.volume is None:
            found.append(Fault(ConditionKind.DISK_FULL, volume, (("free_bytes", self._free_bytes),)))
        elif (refused := self._store.refused) is not None:
            kind = ConditionKind.DISK_FULL if is_full(refused) else ConditionKind.STORE_FAILING
            found.append(Fault(kind, volume, (("detail", refused.strerror or str(refused)),)))
        slow_s = max(self._sync.slow_s(), self.stuck_s if self.stuck_s > STUCK_S else 0.0)
        if self._store.dropped != self._dropped or slow_s > SLOW_S:
            self._dropped = self._store.dropped
            self._slow_until_ns = now + 30 * NS
        if now < self._slow_until_ns:
            found.append(Fault(ConditionKind.DISK_SLOW, volume, (("sync_s", round(slow_s, 1)),)))
        if self.index.failing is not None:
            found.append(Fault(ConditionKind.STORE_FAILING, "process/record", (("detail", self.index.failing),)))
        for kind, (until, shown) in list(self._told.items()):
            if now < until:
                found.append(Fault(kind, volume, tuple(shown.items())))
        return found

    def _track(self, camera_uuid: str) -> Track | None:
        return next((track for track in self._tracks if track.plan.uuid == camera_uuid), None)

    def _run(self) -> None:
        while not self._stop.is_set():
            now = Stamp(self._clock.wall_ns(), self._clock.mono_ns())
            if now.mono_ns >= self._next_check_ns:
                self._next_check_ns = now.mono_ns + VOLUME_CHECK_NS
                self._check_volume(now)
            for track in self._tracks:
                self._turn(track, now)
            self._look_at_comparison()
            if self._store.damaged is not None:
                self._tell(ConditionKind.FOOTAGE_DAMAGED, {"path": self._store.damaged})
                self._store.damaged = None
            self._turn_over()
            self._clock.wait(self._stop, TURN_S)
        now = Stamp(self._clock.wall_ns(), self._clock.mono_ns())
        for track in self._tracks:
            self._turn(track, now)
            try:
                track.end(GapReason.STOPPED)
            except Exception:
                log.exception("camera %s: its last file is left for the next start to recover", track.plan.id)

    def _turn_over(self) -> None:
        self.turns += 1
        self._turned_ns = self._clock.mono_ns()

    def _turn(self, track: Track, now: Stamp) -> None:
        try:
            track.turn(now)
            track.camera.replace_hung()
        except Exception:  # top of one camera's work: the others go on
            log.exception("camera %s: recording failed; beginning anew", track.plan.id)
            try:
                track.begin_anew()
            except Exception:
                log.exception("camera %s: what was being written could not be let go of", track.plan.id)

    def _check_volume(self, now: Stamp) -> None:
        try:
            volume = check_volume(self.path, self._agent_id)
            self._free_bytes = free_bytes(self.path)
            if volume != self._mounted:
                self._recover(volume, now)
                self._mounted = volume
        except VolumeRefused as error:
            self._close(GapReason.VOLUME_MISSING, error.detail)
            return
        except OSError as error:
            self._close(GapReason.DISK_FAILED, error.strerror or str(error))
            self._next_check_ns = now.mono_ns + RECOVERY_RETRY_NS
            return
        self._refusal = ""
        enough = self._reserve_bytes if self._store.volume else 2 * self._reserve_bytes
        if self._free_bytes < enough:
            self._close(GapReason.DISK_FULL, f"{self._free_bytes} bytes free")
        elif self._store.volume is None:
            self._store.volume = volume
            self._volume_detail = ""
            log.info("recording to %s", self.path)

    def _close(self, reason: GapReason, detail: str) -> None:
        if self._store.volume is not None or self._volume_detail != detail:
            log.error("nothing can be recorded to %s: %s", self.path, detail)
        self._store.closed_for, self._store.closed_detail = reason, detail
        self._store.volume = None
        self._volume_detail = detail
        self._refusal = "" if reason is GapReason.DISK_FULL else detail
        if reason is not GapReason.DISK_FULL:
            self._mounted = None  # what comes back is looked at as though it were new
            self._stop_comparison()
        for track in self._tracks:
            track.stopped_by_volume()

    def _open_index(self) -> None:
        self._rebuilt = not self.index.path.exists()
        try:
            self.index.prepare()
        except IndexBroken as error:
            now = datetime.fromtimestamp(self._clock.wall_ns() // NS, UTC)
            aside = set_aside(self.index.path, f"{now:%Y%m%dT%H%M%SZ}")
            log.warning("the footage index is broken (%s); moved to %s, building a new one", error, aside.name)
            self.index.prepare()
            self._rebuilt = True
        with self.index.reading() as connection:
            self._store.runs = rows.last_run(connection)

    def _recover(self, volume: Volume, now: Stamp) -> None:
        """What was being written and what is newest, before recording begins; the rest is compared meanwhile."""
        self._stop_comparison()
        known: dict[str, tuple[int, int | None, str | None]] = {}
        try:
            cameras = {track.plan.uuid: track.plan.id for track in self._tracks}
            self._tell_found(recover(volume, self.index, cameras, now.wall_ns, self._rebuilt, self._turn_over))
            with self.index.reading() as connection:
                known = {camera: rows.last_of(connection, camera) for camera in cameras}
        except sqlite3.Error as error:
            log.error("nothing is recovered: the footage index cannot be read: %s", error)  # noqa: TRY400
        self.index.submit(rows.put_volume(volume.uuid, volume.path, volume.agent_id, volume.created_ns))
        last_seq: dict[str, int] = {}
        for track in self._tracks:
            seq, end_ns, sha256 = known.get(track.plan.uuid, (0, None, None))
            last_seq[track.plan.uuid] = seq = max(seq, newest_seq(volume.path, track.plan.uuid))
            track.resume(seq, end_ns, sha256)
        self._comparison = Comparison(volume, self.index, last_seq, self._rebuilt, self._clock)
        self._comparison.start()

    def _stop_comparison(self) -> None:
        if self._comparison is not None:
            self._comparison.ask_to_stop()

    def _look_at_comparison(self) -> None:
        comparison = self._comparison
        if comparison is None:
            return
        self._tell_found(comparison.found)
        if comparison.over:
            self._comparison = None
            self._rebuilt = self._rebuilt and not comparison.whole

    def _tell_found(self, found: Found) -> None:
        if found.rebuilt and found.recovered:
            self._tell(ConditionKind.INDEX_REBUILT, {"files": len(found.recovered)})
        if found.damaged:
            self._tell(ConditionKind.FOOTAGE_DAMAGED, {"files": len(found.damaged), "path": found.damaged[0]})

    def _tell(self, kind: ConditionKind, shown: Shown) -> None:
        self._told[kind] = (self._clock.mono_ns() + TOLD_FOR_NS, shown)


_KINDS: Final = {
    Trouble.SILENT: ConditionKind.CAMERA_SILENT,
    Trouble.REFUSED: ConditionKind.CAMERA_REFUSED,
    Trouble.NOT_VIDEO: ConditionKind.CAMERA_NOT_VIDEO,
}


def _camera_faults(track: Track, now_ns: int) -> list[Fault]:
    subject = f"camera/{track.plan.id}"
    trouble = track.trouble
    if trouble is not None:
        return [Fault(_KINDS[trouble], subject, (("detail", track.detail),))]
    if track.unrecorded(now_ns):
        return [Fault(ConditionKind.RECORDING_GAP, subject, (("detail", "packets come, but no key frame"),))]
    return []
