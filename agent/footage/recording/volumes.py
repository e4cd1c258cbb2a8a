"""The volumes that footage is recorded to: which are there, which can be written to, and where a new file goes.

Used by the recording thread alone; `rooms` and what is said of a volume may be read by any.

Invariants
1. Nothing is written to a volume before it said whose it is and its open files were recovered.
2. One volume's trouble leaves the others alone: its files end with a gap, and their cameras go on elsewhere.
3. A volume that was away, or could not be written to, is looked at as though it were new.
4. Of two folders that are the same volume, the one that is recorded to stays, the other is refused.
5. A disk that refuses bytes is tried more and more seldom while another takes them; else every `REFUSED_NS`.
"""

import errno
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.clock import Clock
from agent.facts import Stamp
from agent.footage.disk.block_devices import is_encrypted
from agent.footage.disk.encryption import Encrypted
from agent.footage.disk.files import Room, Volume, VolumeRefused, check_volume, room_on
from agent.footage.index import Index
from agent.footage.mending.comparison import Comparison
from agent.footage.mending.recovery import recover
from agent.footage.mending.settling import Found
from agent.footage.recording.spread import Seen, choose
from agent.footage.recording.sync import SyncThread
from agent.footage.timeline import NS, GapReason
from agent.seldom import Seldom

log = logging.getLogger(__name__)

CHECK_NS: Final = 2 * NS
RECOVERY_RETRY_NS: Final = 10 * NS

REFUSED_NS: Final = 5 * NS
"""A disk that refused a byte is tried again after this long."""

LEAST_STOP_S: Final = 0.5
"""So long each part is given to stop, however long those before it needed."""

MOST_DOUBLINGS: Final = 7
"""Beside another volume, a failing disk is tried after 5 s, 10 s, ... at last every 11 minutes: every try costs the
moments that it then refuses."""

HUNG_S: Final = 4.0
"""A disk that has not answered for so long is left to itself, if there is another. A disk that spins up takes longer
seldom; one that fails makes the kernel wait for half a minute, and again."""

DOES_NOT_ANSWER: Final = "the disk does not answer"

PROBE_FILE: Final = ".probe"
PROBE_BYTES: Final = 1 << 20
"""A disk that takes this much and syncs it is recorded to again: a fragment of a 4 Mbit/s camera is half of it."""

RESERVE_BYTES: Final = 64 * 1024 * 1024
"""Recording stops while a volume has less than this: files can still be closed, and the disk's own book-keeping has
room. Retention keeps much more free (retention.py); this is the last ditch."""


class Probe:
    """Asks a disk that refused bytes whether it takes some again, on a thread of its own: it may not answer."""

    def __init__(self, path: Path, refusals: int) -> None:
        """`refusals`: how often the disk had refused something before it was asked."""
        self.error: OSError | None = None
        self.refusals = refusals
        self._path = path / PROBE_FILE
        self._thread = threading.Thread(target=self._run, name="volume-probe", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether the disk has answered; `error` is what it said, None that all is well."""
        return not self._thread.is_alive()

    def join(self, timeout_s: float) -> bool:
        """Wait for the answer; False when there is none."""
        self._thread.join(timeout_s)
        return self.over

    def _run(self) -> None:
        try:
            number = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
            try:
                os.write(number, bytes(PROBE_BYTES))
                os.fsync(number)
            finally:
                os.close(number)
            self._path.unlink()
        except OSError as error:
            self.error = error


class Disk:
    """One configured volume. `mounted` is the volume that can be read there, None when it cannot; `open` says whether
    it is recorded to, and if not, `closed_for` and `detail` say why."""

    def __init__(self, path: Path, sync: SyncThread) -> None:
        self.path = path
        self.sync = sync
        self.mounted: Volume | None = None
        self.recovered: Volume | None = None
        """What was last settled there and could be written to since."""
        self.open = False
        self.closed_for: GapReason = GapReason.STARTING
        self.detail = "not checked yet"
        self.room = Room(0, 0, False)
        self.encrypted = Encrypted.UNKNOWN
        self.refused: OSError | None = None
        """The last error of the disk, until it takes bytes again."""
        self.retry_mono_ns = 0
        self.avoid_mono_ns = 0
        """While another volume is ready, nothing is begun here before this."""
        self.comparison: Comparison | None = None
        self.next_check_ns = 0
        self.probe: Probe | None = None
        self.is_hung = False
        self.is_looked_at = False
        """A thread asks the disk what it is, and may have to wait for the answer."""
        self.refusals = 0
        """How often it refused something in all."""
        self._doublings = 0
        self._guard = threading.Lock()

    def refuses(self, error: OSError, mono_ns: int) -> None:
        """The disk refused a byte, or a sync. Cameras that write to it are refused together: that counts once."""
        with self._guard:
            self.refused = error
            self.refusals += 1
            if mono_ns >= self.retry_mono_ns:
                self.avoid_mono_ns = mono_ns + (REFUSED_NS << min(self._doublings, MOST_DOUBLINGS))
                self._doublings += 1
            self.retry_mono_ns = mono_ns + REFUSED_NS

    def hangs(self) -> None:
        """The disk does not answer: it is left alone until whoever waits for it gets through."""
        log.error("%s does not answer: the cameras go on elsewhere", self.path)
        self.is_hung, self.open, self.recovered = True, False, None
        self.closed_for, self.detail = GapReason.DISK_SLOW, DOES_NOT_ANSWER
        if self.comparison is not None:
            self.comparison.ask_to_stop()

    def stop(self, timeout_s: float) -> None:
        """Close what is finished on it. Raises RuntimeError when it holds that up longer."""
        self.sync.stop(timeout_s)
        if self.comparison is not None and not self.comparison.join(timeout_s):
            raise RuntimeError("the comparison of volume and index did not stop: the disk does not answer")
        if self.probe is not None and not self.probe.join(LEAST_STOP_S):
            log.warning("%s does not answer; it is left behind", self.path)

    def was_left(self) -> bool:
        """Whether it was found to hang meanwhile; it may become true at any moment."""
        return self.is_hung

    def accepts(self, refusals: int) -> None:
        """The disk has taken what was written when it had refused something so many times: if it has refused nothing
        since, it takes bytes again. May be called by any thread."""
        with self._guard:
            if refusals == self.refusals:
                self.refused = None
                self._doublings = self.avoid_mono_ns = 0


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look at the volumes changed: those just recovered, with what was found there, and those that take bytes
    again: what they refused or took meanwhile is to be compared."""

    recovered: tuple[tuple[Disk, Found], ...]
    mended: tuple[Disk, ...] = ()
    is_left: bool = False
    """A disk answered so late that another thread has gone on: what was changed is told to that one."""


class Volumes:
    """All volumes of this agent."""

    def __init__(
        self,
        paths: Sequence[Path],
        agent_id: str,
        index: Index,
        clock: Clock,
        make_sync: Callable[[], SyncThread],
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self.disks = [Disk(path, make_sync()) for path in paths]
        self._agent_id = agent_id
        self._index = index
        self._clock = clock
        self._reserve_bytes = reserve_bytes
        self._seldom = Seldom(log, clock)
        self._recovered: list[tuple[Disk, Found]] = []
        """Not told yet."""

    def start(self) -> None:
        """Begin to sync."""
        for disk in self.disks:
            disk.sync.start()

    def ask_to_stop(self) -> None:
        """Compare no more. Never waits."""
        for disk in self.disks:
            if disk.comparison is not None:
                disk.comparison.ask_to_stop()

    def stop(self, timeout_s: float) -> None:
        """Close what is finished. Raises RuntimeError when a disk holds that up longer."""
        hung: list[str] = []
        end_ns = self._clock.mono_ns() + int(timeout_s * NS)
        for disk in self.disks:
            try:
                disk.stop(max(LEAST_STOP_S, (end_ns - self._clock.mono_ns()) / NS))
            except RuntimeError as error:
                hung.append(f"{disk.path}: {error}")
        if hung:
            raise RuntimeError("; ".join(hung))

    def choose(self, current: Disk | None) -> Disk | None:
        """Where a new file of a reel goes that was last recorded to `current`; None when nothing can be written."""
        now = self._clock.mono_ns()
        ready = [disk for disk in self.disks if disk.open and now >= disk.retry_mono_ns]
        ready = [disk for disk in ready if now >= disk.avoid_mono_ns] or ready
        seen = [Seen(str(disk.path), disk.room.free_bytes, disk.room.total_bytes) for disk in ready]
        found = choose(seen, str(current.path) if current is not None else None)
        return next((disk for disk in ready if str(disk.path) == found), None)

    @property
    def any_open(self) -> bool:
        """Whether anything may be recorded at all."""
        return any(disk.open for disk in self.disks)

    def hung(self) -> list[Disk]:
        """Disks that do not answer, to the sync thread or to a recording thread that has not turned for `HUNG_S`, while
        there is another that does, or was not asked yet; none otherwise: then there is nothing to do but wait. May be
        called by any thread."""
        found = [disk for disk in self.disks if (disk.open and disk.sync.waits_s() > HUNG_S) or disk.is_looked_at]
        others = [disk for disk in self.disks if disk not in found and not disk.is_hung]
        well = any((disk.open and disk.refused is None) or disk.next_check_ns == 0 for disk in others)
        return [disk for disk in found if not disk.is_hung] if well else []

    @property
    def all_there(self) -> bool:
        """Whether every volume could be looked through."""
        return all(disk.recovered is not None for disk in self.disks)

    @property
    def any_well(self) -> bool:
        """Whether there is a volume that may be recorded to and refused nothing."""
        return any(disk.open and disk.refused is None for disk in self.disks)

    def why_closed(self) -> tuple[GapReason, str]:
        """Why nothing is recorded while no volume is open: the first one's reason."""
        return self.disks[0].closed_for, self.disks[0].detail

    def look(self, now: Stamp, rebuilt: bool, progress: Callable[[], None]) -> Looked:
        """Look at every volume whose turn it is; what is new there is recovered before it is recorded to."""
        mended: list[Disk] = []
        for disk in self.disks:
            if disk.is_hung and (disk.is_looked_at or disk.sync.waits_s() > 0):
                continue
            disk.is_hung = False
            if now.mono_ns >= disk.next_check_ns:
                disk.next_check_ns = now.mono_ns + CHECK_NS
                disk.is_looked_at = True
                try:
                    found = self._check(disk, now, rebuilt, progress)
                finally:
                    is_left, disk.is_looked_at = disk.was_left(), False
                if is_left:
                    return Looked((), is_left=True)
                if found is not None:
                    self._recovered.append((disk, found))
                if self._takes_again(disk, now) and found is None:
                    mended.append(disk)
        recovered, self._recovered = self._recovered, []
        return Looked(tuple(recovered), tuple(mended))

    def compare(
        self, disk: Disk, last_seq: Mapping[tuple[str, str], int], rebuilt: bool, anew: bool = False
    ) -> Comparison:
        """Go through the rest of a volume that was just recovered, while it is recorded to; of `anew` see there."""
        assert disk.recovered is not None
        if disk.comparison is not None:
            disk.comparison.ask_to_stop()
        disk.comparison = Comparison(disk.recovered, self._index, last_seq, rebuilt, self._clock, anew=anew)
        disk.comparison.start()
        return disk.comparison

    def _check(self, disk: Disk, now: Stamp, rebuilt: bool, progress: Callable[[], None]) -> Found | None:
        found: Found | None = None
        try:
            volume = check_volume(disk.path, self._agent_id)
            twin = self._twin(disk, volume)
            if twin is not None:
                raise VolumeRefused("twice", f"the same volume as {twin.path}: a copy, or mounted twice")
            disk.room = room_on(disk.path)
            if disk.was_left():
                return None
            if volume != disk.mounted:
                disk.mounted = volume
                disk.encrypted = is_encrypted(disk.path)
            if disk.room.read_only:
                self._close(disk, GapReason.DISK_FAILED, "mounted read-only")
                return None
            if volume != disk.recovered:
                self._compare_no_more(disk)
                found = self._recover(volume, rebuilt, progress)
                if disk.was_left():
                    return None
                disk.recovered = volume
        except VolumeRefused as error:
            self._lose(disk, GapReason.VOLUME_MISSING, error.detail)
            return None
        except OSError as error:
            self._lose(disk, GapReason.DISK_FAILED, error.strerror or str(error))
            disk.next_check_ns = now.mono_ns + RECOVERY_RETRY_NS
            return None
        enough = self._reserve_bytes if disk.open else 2 * self._reserve_bytes
        if disk.room.free_bytes < enough:
            self._close(disk, GapReason.DISK_FULL, f"{disk.room.free_bytes} bytes free")
        elif not disk.open:
            disk.open, disk.detail = True, ""
            self._seldom.say(logging.INFO, f"open {disk.path}", f"recording to {disk.path}")
        return found

    def _takes_again(self, disk: Disk, now: Stamp) -> bool:
        """Whether a disk that refused bytes was just found to take them again, though nothing is recorded to it now."""
        if disk.probe is not None:
            if not disk.probe.over:
                return False
            probe, disk.probe = disk.probe, None
            error = probe.error
            if error is None:
                self._seldom.say(logging.INFO, f"again {disk.path}", f"{disk.path} takes bytes again")
                disk.accepts(probe.refusals)
                return disk.open
            disk.refuses(error, now.mono_ns)
        elif disk.open and disk.refused is not None and now.mono_ns >= max(disk.avoid_mono_ns, disk.retry_mono_ns):
            disk.probe = Probe(disk.path, disk.refusals)
        return False

    def _twin(self, disk: Disk, volume: Volume) -> Disk | None:
        if disk.mounted == volume:
            return None
        others = (each for each in self.disks if each is not disk and each.mounted is not None)
        return next((each for each in others if each.mounted is not None and each.mounted.uuid == volume.uuid), None)

    def _recover(self, volume: Volume, rebuilt: bool, progress: Callable[[], None]) -> Found:
        try:
            return recover(volume, self._index, rebuilt, progress)
        except sqlite3.Error as error:
            text = f"nothing is recovered: the footage index cannot be read: {error}"
            self._seldom.say(logging.ERROR, "unread", text)
            return Found(rebuilt)

    def _lose(self, disk: Disk, reason: GapReason, detail: str) -> None:
        disk.mounted = None
        self._close(disk, reason, detail)

    def _close(self, disk: Disk, reason: GapReason, detail: str) -> None:
        if disk.open or disk.closed_for is not reason or disk.detail != detail:
            text = f"nothing can be recorded to {disk.path}: {detail}"
            self._seldom.say(logging.ERROR, f"{reason} {disk.path}", text)
        disk.open, disk.closed_for, disk.detail = False, reason, detail
        if reason is not GapReason.DISK_FULL:
            disk.recovered = None  # what comes back is looked at as though it were new
            self._compare_no_more(disk)

    def _compare_no_more(self, disk: Disk) -> None:
        if disk.comparison is not None:
            disk.comparison.ask_to_stop()


def is_full(error: OSError) -> bool:
    """Whether the disk has no room, or this user no share of it left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
