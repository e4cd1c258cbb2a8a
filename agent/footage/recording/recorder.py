"""The recorder: one thread that brings the packets of all cameras to the volumes.

It turns every `TURN_S`: takes what the cameras' readers gave, and never waits for a camera. Syncing, the index
and reading have threads of their own (sync.py, index.py, camera.py).

Invariants
1. This thread alone owns the tracks; `status`, `conditions` and `live_end` read single values of them.
2. Nothing is recorded to a volume before it was checked and its open files recovered (volumes.py). No other file, and
   no index, is waited for.
3. One camera's trouble, and one file's, leave every other camera untouched.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any, Final

from agent.clock import Clock, stamp
from agent.facts import Stamp
from agent.footage import rows
from agent.footage.chain import SHA256
from agent.footage.disk.files import newest_seq
from agent.footage.fault import Fault
from agent.footage.index import Index
from agent.footage.mending.comparison import Comparison
from agent.footage.mending.onward import last_on
from agent.footage.mending.recovery import open_gaps
from agent.footage.naming import seq_beyond
from agent.footage.recording.camera import Camera
from agent.footage.recording.plan import CameraPlan
from agent.footage.recording.report import Report
from agent.footage.recording.store import Store
from agent.footage.recording.sync import SyncThread
from agent.footage.recording.track import Track
from agent.footage.recording.volumes import HUNG_S, LEAST_STOP_S, RESERVE_BYTES, Looked, Volumes
from agent.footage.rows import Last
from agent.footage.timeline import NS
from agent.logins import Logins
from agent.seldom import Seldom

log = logging.getLogger(__name__)

TURN_S: Final = 0.25
"""Packets are taken this often: fewer wake-ups than one per packet, and little to lose."""


class Recorder:
    """All cameras of this agent, each stream a track."""

    def __init__(
        self,
        plans: Sequence[CameraPlan],
        volumes: Sequence[Path],
        agent_id: str,
        index: Index,
        clock: Clock,
        boot: str,
        *,
        segment_s: float = 60.0,
        sync_every_s: float = 1.0,
        silent_after_s: float = 5.0,
        reserve_bytes: int = RESERVE_BYTES,
        algorithm: str = SHA256,
        logins: Logins | None = None,
        make_sync: Callable[[float, Clock], SyncThread] = SyncThread,
    ) -> None:
        self.index = index
        self.volumes = Volumes(volumes, agent_id, index, clock, lambda: make_sync(sync_every_s, clock), reserve_bytes)
        self.turns = 0
        self._clock = clock
        self._generation = 0
        self._reindex_asked = False
        self._passes: list[Comparison] = []
        """Those that go, or last went, through all files."""
        self._store = Store(index, self.volumes, clock, boot, int(segment_s * NS), algorithm)
        self._tracks = [
            Track(plan, _camera(plan, clock, silent_after_s, logins), self._store, int(silent_after_s * NS))
            for plan in plans
        ]
        self._report = Report(self.volumes, index, self._store, clock)
        self._seldom = Seldom(log, clock)
        self._turned_ns = clock.mono_ns()
        self._stop = threading.Event()
        self._asked_ns: int | None = None
        """When it was asked to stop."""
        self._life = 0
        self._thread = self._make_thread()

    def start(self, prepare: Callable[[], None] = lambda: None) -> None:
        """Open the index (a broken one is moved aside) and begin: with no index at all, if need be."""
        self.index.start()
        try:
            self._open_index()
        except sqlite3.Error as error:
            # Files say themselves what they are: recording goes on, and the index is tried again and again.
            log.error("the footage index cannot be used: %s", error)  # noqa: TRY400 - the text says it all
            self._store.runs = self._clock.wall_ns() // NS  # above every number ever given
        self.volumes.start()
        for track in self._tracks:
            self.index.submit(rows.put_camera(track.plan.uuid, track.plan.id, track.plan.name))
            track.camera.start()
        prepare()
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Record no more, and begin to close every file. Never waits."""
        if self._asked_ns is None:
            self._asked_ns = self._clock.mono_ns()
        for track in self._tracks:
            track.camera.ask_to_stop()
        self._stop.set()
        self.volumes.ask_to_stop()

    def stop(self, timeout_s: float = 8.0) -> None:
        """Close every file, commit every row, all within `timeout_s` of being asked to stop. Raises RuntimeError when a
        disk holds that up for longer; what hangs keeps nothing else from its end."""
        self.ask_to_stop()
        hung = []
        for stop in (self._join, self.volumes.stop, self.index.stop):
            passed_s = (self._clock.mono_ns() - (self._asked_ns or 0)) / NS
            try:
                stop(max(LEAST_STOP_S, timeout_s - passed_s))
            except RuntimeError as error:
                hung.append(str(error))
        for track in self._tracks:
            if not track.camera.join(0.1):
                log.info("camera %s: the reader still waits for the camera and is left behind", track.plan.id)
        if hung:
            raise RuntimeError("; ".join(hung))

    def replace_hung(self) -> None:
        """When the recording thread waits for a disk that does not answer and there is another volume, let another
        thread go on there. Called by the process, from time to time."""
        if self.stuck_s < HUNG_S:
            return
        hung = self.volumes.hung()
        if not hung:
            return
        for disk in hung:
            disk.hangs()
        self._life += 1  # the one that waits ends when the disk lets it
        self._tracks = [track.elsewhere() if track.disk in hung else track for track in self._tracks]
        self._turn_over()
        self._thread = self._make_thread()
        self._thread.start()

    @property
    def stuck_s(self) -> float:
        """Seconds since the recording thread last turned."""
        return (self._clock.mono_ns() - self._turned_ns) / NS

    def status(self) -> dict[str, Any]:
        """What the verb `status` tells of cameras and volume."""
        return self._report.status(self._tracks)

    def live_ends(self, camera_uuid: str, stream: str) -> dict[str, int]:
        """Path below the volume -> end of the footage so far, for files whose row does not say it yet."""
        track = self._track(camera_uuid, stream)
        return dict(track.live) if track else {}

    def is_recording(self, camera_uuid: str, stream: str) -> bool:
        """Whether a file of this reel is being written."""
        track = self._track(camera_uuid, stream)
        return track is not None and track.state == "recording"

    def reindex(self) -> None:
        """Walk every file anew, whatever the index says of it, while recording goes on. May be called by any thread."""
        self._reindex_asked = True

    def reindexing(self) -> list[Comparison] | None:
        """The passes through all files that go on, or were last made; None while they are about to begin."""
        return None if self._reindex_asked else self._passes

    @property
    def plans(self) -> list[CameraPlan]:
        """What is recorded."""
        return [track.plan for track in self._tracks]

    def mounted(self) -> dict[str, Path]:
        """Volume uuid -> where it is, for those that are there and can be written to."""
        return {disk.recovered.uuid: disk.path for disk in self.volumes.disks if disk.recovered is not None}

    def readable(self) -> dict[str, Path]:
        """Volume uuid -> where it is, for those that are there, be they read-only."""
        return {disk.mounted.uuid: disk.path for disk in self.volumes.disks if disk.mounted is not None}

    def rates(self) -> dict[tuple[str, str], float]:
        """Camera uuid and stream -> what it sends, in bytes a second, of every stream that is to be recorded."""
        return {track.plan.key: track.hearing.kbit_s * 125 for track in self._tracks}

    def spare(self, reels: Container[tuple[str, str]]) -> None:
        """Record none of these streams, and all others. May be called by any thread; the next turn takes it up."""
        for track in self._tracks:
            track.spared = track.plan.key in reels

    def faults(self) -> list[Fault]:
        """Every state that is to be told as a condition, now."""
        return self._report.faults(self._tracks, self.stuck_s)

    def _track(self, camera_uuid: str, stream: str) -> Track | None:
        return next((track for track in self._tracks if track.plan.key == (camera_uuid, stream)), None)

    def _join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise RuntimeError("the recording thread did not stop: the disk does not answer")

    def _make_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, args=(self._life,), name="recorder", daemon=True)

    def _run(self, life: int) -> None:
        while not self._stop.is_set():
            now = stamp(self._clock)
            self._look_at_volumes(now)
            if life != self._life:
                log.info("a recording thread whose disk did not answer ends: another has gone on")
                return
            self._look_at_index()
            for track in self._tracks:
                self._turn(track, now)
                if life != self._life:
                    log.info("a recording thread whose disk did not answer ends: another has gone on")
                    return
            self._look_at_comparisons()
            self._report.look_at_damage()
            self._turn_over()
            self._clock.wait(self._stop, TURN_S)
        now = stamp(self._clock)
        for track in self._tracks:
            self._turn(track, now)
            try:
                track.stop()
            except Exception:
                log.exception("camera %s: its last file is left for the next start to recover", track.plan.id)

    def _turn_over(self) -> None:
        self.turns += 1
        self._turned_ns = self._clock.mono_ns()

    def _turn(self, track: Track, now: Stamp) -> None:
        try:
            track.turn(now)
            track.camera.replace_hung()
        except Exception as error:  # noqa: BLE001  # top of one camera's work: the others go on
            what = f"{track.plan.subject}: recording failed; beginning anew"
            self._seldom.say(logging.ERROR, f"failed {type(error).__name__}", what, error)
            try:
                track.begin_anew()
            except Exception as worse:  # noqa: BLE001  # the same
                what = f"{track.plan.subject}: what was being written could not be let go of"
                self._seldom.say(logging.ERROR, f"not let go {type(worse).__name__}", what, worse)

    def _look_at_volumes(self, now: Stamp) -> None:
        looked = self.volumes.look(now, False, self._turn_over)
        if looked.is_left:
            return
        if looked.recovered:
            self._resume(looked, now)
        for disk in looked.mended:
            self.volumes.compare(disk, {track.plan.key: track.seq - track.is_writing for track in self._tracks}, False)
        if not self.volumes.any_open:
            for track in self._tracks:
                track.stopped_by_volume()

    def _resume(self, looked: Looked, now: Stamp) -> None:
        """Go on after what was just recovered, and compare the rest meanwhile."""
        for disk, found in looked.recovered:
            volume = disk.recovered
            assert volume is not None
            self.index.submit(rows.put_volume(volume.uuid, volume.path, volume.agent_id, volume.created_ns))
            self._report.found(found)
        resting = [track for track in self._tracks if not track.is_writing]
        known: dict[tuple[str, str], Last] = {}
        gone_through = 0
        try:
            were_open = {reel for _, found in looked.recovered for reel in found.were_open}
            rebuilt = any(found.rebuilt for _, found in looked.recovered)
            clock = rows.RowClock(self._store.boot, now.wall_ns - now.mono_ns, self._clock.quality().value)
            open_gaps(self.index, [track.plan.key for track in resting], were_open, rebuilt, now.wall_ns, clock)
            with self.index.reading() as connection:
                known = {track.plan.key: rows.last_of(connection, *track.plan.key) for track in resting}
                gone_through = rows.volumes_gone_through(connection)
        except sqlite3.Error as error:
            log.error("the footage index cannot be read: %s", error)  # noqa: TRY400 - the text says it all
        for track in resting:
            last = known.get(track.plan.key)
            if last is None and track.seq == 0:
                # No index can be read: the chain goes on by what the newest file says.
                last = last_on((disk.path for disk, _ in looked.recovered), *track.plan.key)
                self._turn_over()
            if last is not None:
                track.resume(last)
        if not self.volumes.all_there and gone_through < len(self.volumes.disks):
            # A volume that is away may hold numbers that this index never knew.
            beyond = seq_beyond(now.wall_ns)
            for track in resting:
                track.skip_to(beyond if track.seq < beyond // 2 else 0)
        for disk, found in looked.recovered:
            for track in self._tracks:
                track.skip_to(newest_seq(disk.path, *track.plan.key))
            self.volumes.compare(disk, {track.plan.key: track.seq for track in self._tracks}, found.rebuilt)

    def _open_index(self) -> None:
        if not self.index.is_ready():
            raise sqlite3.OperationalError(self.index.failing or "not open")
        with self.index.reading() as connection:
            self._store.runs = rows.last_run(connection)
        self._generation = self.index.generation

    def _look_at_index(self) -> None:
        """An index that was begun anew is told what is going on; then, or when it was asked for, every file is."""
        anew = self._reindex_asked
        if self.index.generation != self._generation:
            self._generation = self.index.generation
            for disk in self.volumes.disks:
                if (volume := disk.recovered) is not None:
                    self.index.submit(rows.put_volume(volume.uuid, volume.path, volume.agent_id, volume.created_ns))
            for track in self._tracks:
                track.tell_again()
        elif not anew:
            return
        ended = {track.plan.key: track.seq - track.is_writing for track in self._tracks}
        self._passes = [
            self.volumes.compare(disk, ended, False, anew) for disk in self.volumes.disks if disk.recovered is not None
        ]
        self._reindex_asked = False

    def _look_at_comparisons(self) -> None:
        for disk in self.volumes.disks:
            comparison = disk.comparison
            if comparison is None:
                continue
            self._report.found(comparison.found)
            if comparison.over:
                disk.comparison = None


def _camera(plan: CameraPlan, clock: Clock, silent_after_s: float, logins: Logins | None) -> Camera:
    name = plan.subject.removeprefix("camera/")
    return Camera(name, plan.address, clock, silent_after_s / 2, plan.sound, logins)
