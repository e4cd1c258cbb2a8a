"""One stream of a camera on its way to the disk: packets become runs, runs become segments, and what is missing a gap.

Used by the recording thread alone; what other threads may read is said there.

Invariants
1. A segment begins with a key frame; a run overlaps the footage before it only when the clock was set back.
   What a camera sends without a break is footage without a break, whatever its clock says.
2. While a run is under way a file is open; whatever ends the run ends the file, with a gap and its reason.
3. Nothing that a camera or a disk does ends the recording thread.
"""

import errno
import logging
from copy import copy
from typing import Final

from agent.camera_words import Why, words
from agent.camera_words import detail as coded
from agent.facts import Stamp
from agent.footage import rows
from agent.footage.recording.arrivals import Arrived, Ended, Heard, Item, Opened, Overflowed, Trouble
from agent.footage.recording.camera import Camera
from agent.footage.recording.hearing import Hearing
from agent.footage.recording.plan import CameraPlan
from agent.footage.recording.reel import Reel
from agent.footage.recording.run_head import MAX_HELD, Held, RunHead, head_of, is_settled
from agent.footage.recording.soundtrack import Soundtrack
from agent.footage.recording.store import Store
from agent.footage.recording.volumes import DOES_NOT_ANSWER, REFUSED_NS, Disk
from agent.footage.rows import Last
from agent.footage.timeline import (
    NS,
    GapReason,
    Raw,
    RunTime,
    Sane,
    advance,
    clock_stepped,
    follow,
    key_overdue,
    should_cut,
)
from agent.seldom import Seldom

log = logging.getLogger(__name__)

UNRECORDED_AFTER_NS: Final = 15 * NS
"""Packets that come for so long without a segment (no key frame) are a fault of their own."""


class Track:
    """One stream of one camera. `state`, `hearing` and the like may be read by any thread, one value at a time."""

    def __init__(self, plan: CameraPlan, camera: Camera, store: Store, silent_after_ns: int) -> None:
        self.plan = plan
        self.camera = camera
        self._reel = Reel(plan, camera, store)
        self._store = store
        now = store.clock.mono_ns()
        self.hearing = Hearing(now, silent_after_ns)
        self.codec = ""
        self.since_ns = store.clock.wall_ns()
        self.state = "starting"
        """starting, recording, silent, refused, not_video, spared or stopped."""
        self._last_written_mono = self.hearing.last_mono_ns
        self.spared = self._was_spared = False
        """Whether retention wants this stream not to be recorded, and whether that was taken up."""
        self._opened: Opened | None = None
        self._held: list[Held] = []
        self._run: RunTime | None = None
        self._run_offset_ns = 0
        self._offset_ns = store.clock.wall_ns() - now
        self._clock_jumped = self._other_picture = False
        self._sound = Soundtrack()
        self._key_ns = 0
        self._seldom = Seldom(log, store.clock)

    # What the recorder calls.

    def elsewhere(self) -> "Track":
        """A track that goes on on another volume, while the thread that turned this one waits for a disk."""
        other = copy(self)
        other.leave()
        return other

    def leave(self) -> None:
        """Begin anew with the next key frame; called on the copy alone."""
        self._reel, self.hearing = self._reel.elsewhere(), copy(self.hearing)
        self._run, self._held, self._sound = None, [], Soundtrack()
        self._reel.gap(GapReason.DISK_SLOW, DOES_NOT_ANSWER)

    @property
    def disk(self) -> Disk | None:
        """The volume that is, or was last, recorded to."""
        return self._reel.disk

    @property
    def live(self) -> dict[str, int]:
        """Path below the volume -> end of the footage so far, for files whose row does not say it yet."""
        return self._reel.live

    @property
    def path(self) -> str:
        """The directory of this reel on the volume that it is, or was last, recorded to; "" before the first."""
        return str(self._reel.disk.path.joinpath(*self.plan.key)) if self._reel.disk is not None else ""

    @property
    def is_writing(self) -> bool:
        """Whether a file is open."""
        return self._reel.segment is not None

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong with the camera, None when nothing is."""
        return self.hearing.trouble

    @property
    def last_packet_ns(self) -> int | None:
        """When the last packet came."""
        return self.hearing.last_mono_ns + self._offset_ns if self.hearing.packets else None

    @property
    def seq(self) -> int:
        """The number of the newest file."""
        return self._reel.seq

    def resume(self, last: Last) -> None:
        """Go on after what is known."""
        self._reel.resume(last)

    def skip_to(self, seq: int) -> None:
        """Give no number up to `seq` again."""
        self._reel.skip_to(seq)

    def tell_again(self) -> None:
        """The index was begun anew: it is told of this camera what no finished file says."""
        self._store.index.submit(rows.put_camera(self.plan.uuid, self.plan.id, self.plan.name))
        self._reel.tell_again()

    def turn(self, now: Stamp) -> None:
        """Take what the camera gave since the last turn, and look at the clocks."""
        self._offset_ns = now.wall_ns - now.mono_ns
        self._reel.look_at_clock(now)
        if self._reel.segment is not None and clock_stepped(self._run_offset_ns, self._offset_ns):
            self._clock_jumped = True
        disk = self._reel.disk
        if self._reel.segment is not None and disk is not None and not disk.open:
            self.end(disk.closed_for, disk.detail)
        if self._reel.segment is not None and self._reel.segment.file.failed is not None:
            self._run, self._held = None, []
            failed = self._reel.segment.file.failed
            if disk is not None:
                disk.refuses(OSError(errno.EIO, failed), now.mono_ns)
            self._reel.abandon(GapReason.DISK_FAILED, failed, suspect=True)
        if self.spared != self._was_spared:
            self._spare(now)
        for item in self.camera.take():
            self._take(item)
        if self._run is None and is_settled(self._held, now.mono_ns):
            self._begin()
        self._watch(now)
        self._look_at_state()

    def end(self, reason: GapReason, detail: str = "") -> None:
        """Finish what is being written; footage stops here, for this reason."""
        if self._held and self._run is None:
            self._begin()
        run, self._run = self._run, None
        self._held = []
        if run is None or self._reel.segment is None:
            return
        if self._reel.finish(run.last_ns + run.base.ns(self._opened.nominal_ticks if self._opened else 0)):
            self._reel.gap(reason, detail)

    def _spare(self, now: Stamp) -> None:
        """Room is short, or is so no more: this stream is not recorded, or is again."""
        self._was_spared = self.spared
        self._last_written_mono = now.mono_ns
        if self._was_spared and self._reel.segment is not None:
            self.end(GapReason.DEGRADED)
        elif self._was_spared and self.hearing.trouble is None:
            self._held = []
            self._reel.gap(GapReason.DEGRADED, "")

    def stop(self) -> None:
        """The recorder stops in order; whatever was missing before, from now on that is why."""
        self.end(GapReason.RESTART)
        self._reel.gap(GapReason.RESTART, "")

    def stopped_by_volume(self) -> None:
        """There is no volume to record on; `end` follows at the next turn if something is being written."""
        if self._reel.segment is None:
            self._held = []
            self._reel.closed()

    def begin_anew(self) -> None:
        """After an error of ours: let go of what is being written, go on with the next key frame."""
        self._run, self._held = None, []
        if self._reel.segment is not None:
            self._reel.abandon(GapReason.DISK_FAILED, "internal error")
        self._reel.retry_mono_ns = self._store.clock.mono_ns() + REFUSED_NS

    def _look_at_state(self) -> None:
        if self._reel.segment is not None:
            state = "recording"
        elif self.hearing.trouble is not None:
            state = self.hearing.trouble.value
        else:
            state = "spared" if self._was_spared else "starting" if self._store.volumes.any_open else "stopped"
        if state != self.state:
            self.state, self.since_ns = state, self._store.clock.wall_ns()

    def unrecorded(self, mono_ns: int) -> bool:
        """Packets come, a volume is there, and still nothing is written."""
        return (
            self._store.volumes.any_well
            and not self._was_spared
            and self.hearing.trouble is None
            and self._reel.segment is None
            and mono_ns - self._last_written_mono > UNRECORDED_AFTER_NS
        )

    # What the camera gives.

    def _take(self, item: Item) -> None:
        match item:
            case Arrived():
                self._packet(item)
            case Heard():
                self._sound.take(item, self._run_offset_ns if self._clock_jumped else self._offset_ns)
                self._write_sound()
            case Opened():
                if self._opened is None or self._opened.connection != item.connection:
                    self.end(GapReason.CONNECTION_LOST)
                    self._sound.begin(item.sound)
                elif self._held and self._run is None:
                    self._begin()
                self._other_picture = self._run is not None
                self._opened = item
                self.codec = item.codec
            case Ended():
                self.end(GapReason.CONNECTION_LOST, item.detail)
                mono_ns = self._store.clock.mono_ns()
                self.hearing.ended(item.detail, item.was_open, mono_ns)
                if item.trouble is not Trouble.SILENT or self.hearing.trouble is not None:
                    self._suffer(item.trouble, item.detail, mono_ns)
            case Overflowed():
                self._store.dropped += 1
                self.end(GapReason.DISK_SLOW, coded(Why.QUEUE_FULL))

    def _packet(self, item: Arrived) -> None:
        packet, opened = item.packet, self._opened
        self.hearing.heard(packet.size, item.mono_ns)
        if not self._store.volumes.any_open:
            self.hearing.is_well()  # what is missing is told by the volume
            return
        if self._was_spared:
            if self.hearing.trouble is not None:
                self.hearing.is_well()
                self._reel.gap(GapReason.DEGRADED, "")
            return
        if opened is None or item.mono_ns < self._reel.retry_mono_ns:
            return
        if self._reel.segment is None and not self._held and self._store.volumes.choose(self._reel.disk) is None:
            return  # every volume refused within the last seconds
        key = packet.is_keyframe
        raw = Raw(packet.pts, packet.dts, packet.duration or opened.nominal_ticks)
        if self._run is not None:
            arrival_ns = item.mono_ns + (self._run_offset_ns if self._clock_jumped else self._offset_ns)
            found = follow(self._run, raw, opened.nominal_ticks, arrival_ns)
            if found is not None:
                self._run = found[1]
                self._next(item, raw, found[0])
                return
            missing_ns = arrival_ns - self._run.last_ns
            self.end(GapReason.CAMERA_SILENT, coded(Why.PACKETS_MISSING, f"{missing_ns / NS:.1f}"))
        if key or self._held:
            self._held.append(Held(packet, raw, item.mono_ns))
            if len(self._held) >= MAX_HELD:
                self._begin()

    def _begin(self) -> None:
        """Begin a run with the packets held."""
        held, self._held = self._held, []
        opened = self._opened
        if opened is None:
            return
        head, row, run = head_of(held, opened), self._reel.row, None
        if self._clock_jumped or row is not None:
            self._sound.begin_anew()
        if row is not None and (run := self._end_file(row.start_ns, head)) is None:
            return
        if run is None or self._clock_jumped:
            self._clock_jumped = False
            self._reel.end.keep_up_with_clock()
            run = head.begin(self._offset_ns, self._reel.end.at_ns)
            if row is not None:
                run = run.not_before(self._reel.end.at_ns)
        if not self._reel.open(opened, run.anchor_ns, self._offset_ns):
            return
        self.hearing.is_well()
        self._run_offset_ns = self._offset_ns
        for one, each in zip(held, head.times, strict=True):
            run = advance(run, each.dts, one.mono_ns + self._offset_ns)
            if not self._reel.write(one.packet, each, run.last_ns):
                return
            if self._run is None:
                self._reel.end_gap(run.anchor_ns)
            self._run = run
        self._reel.sync_soon()
        self._key_ns = run.anchor_ns
        self._last_written_mono = self.hearing.last_mono_ns
        self._write_sound()

    def _end_file(self, start_ns: int, head: RunHead) -> RunTime | None:
        """What the camera said of its time was wrong, its footage went on without a break: the file that began at
        `start_ns` ends where the run that begins now begins, by the clock that told when it began. None when it cannot
        be ended."""
        run = head.begin(self._run_offset_ns if self._clock_jumped else self._offset_ns, start_ns + 1)
        run = run.not_before(start_ns + 1)
        if not self._reel.finish(run.anchor_ns):
            return None
        if self._clock_jumped:
            self._reel.gap(GapReason.CLOCK_STEP, "")
        return run

    def _write_sound(self) -> None:
        """Bring the sound whose time is known into the file that is open."""
        opened = self._opened
        while opened is not None and opened.sound is not None and self._reel.segment is not None:
            if (found := self._sound.ready()) is None:
                return
            if not self._reel.write_sound(found[0], opened.sound.rate, found[1]):
                self._run, self._held = None, []

    def _next(self, item: Arrived, raw: Raw, times: Sane) -> None:
        """Add a packet to the run, in this file or in the next."""
        packet, key, mono_ns = item.packet, item.packet.is_keyframe, item.mono_ns
        run, row, opened = self._run, self._reel.row, self._opened
        assert run is not None
        assert row is not None
        assert opened is not None
        offset = self._run_offset_ns if self._clock_jumped else self._offset_ns
        moved = advance(run, times.dts, mono_ns + offset)
        self._run = None  # until the packet is on its way: whatever is refused ends the run
        new_run = self._clock_jumped or moved.far_off
        if should_cut(key, moved.last_ns - row.start_ns, self._reel.limit_ns, new_run or self._other_picture):
            self._other_picture = False
            if moved.far_off and not self._clock_jumped:
                self._held = [Held(packet, raw, mono_ns)]  # the file ends where these packets begin
                return
            if not self._reel.finish(moved.last_ns):
                return
            if new_run:
                self._reel.gap(GapReason.CLOCK_STEP, "")
                self._held = [Held(packet, raw, mono_ns)]
                return
            if not self._reel.open(opened, moved.last_ns):
                return
        if self._reel.write(packet, times, moved.last_ns):
            self._run = moved
            self._last_written_mono = mono_ns
            self._look_for_key(opened, key, moved.last_ns)

    def _look_for_key(self, opened: Opened, key: bool, at_ns: int) -> None:
        """A camera that gives no key frame for far too long is connected to anew: that brings one."""
        row = self._reel.row
        if key:
            self._key_ns = at_ns
        elif row is not None and key_overdue(at_ns - row.start_ns, self._reel.limit_ns):
            self.camera.connect_anew(opened.connection, (at_ns - self._key_ns) / NS)

    def _suffer(self, trouble: Trouble, detail: str, mono_ns: int) -> None:
        if self.hearing.suffers(trouble, detail, mono_ns):
            text = f"{self.plan.subject}: {trouble.value}: {words(detail).en}"
            self._seldom.say(logging.WARNING, trouble.value, text)
            self.end(_GAPS[trouble], detail)
            self._reel.gap(_GAPS[trouble], detail)

    def _watch(self, now: Stamp) -> None:
        self.hearing.measure(now.mono_ns)
        if self.hearing.is_silent(now.mono_ns):
            is_recording = self._reel.segment is not None
            self._suffer(Trouble.SILENT, self.hearing.why_silent(is_recording), now.mono_ns)


_GAPS: Final = {
    Trouble.SILENT: GapReason.CAMERA_SILENT,
    Trouble.REFUSED: GapReason.CAMERA_REFUSED,
    Trouble.NOT_VIDEO: GapReason.CAMERA_NOT_VIDEO,
}
