"""One camera on its way to the disk: packets become runs, runs become segments, and what is missing a gap.

Used by the recording thread alone; what other threads may read is said there.

Invariants
1. The index row `open` is submitted, and waited for, before the first byte of a file.
2. Whenever no segment is being written, a gap that lasts is open in the index, from the end of the footage.
3. A segment begins with a key frame; a run never overlaps the footage before it, unless the clock was set back.
4. Nothing that a camera or a disk does ends the recording thread: it ends a segment, with a gap and a reason.
"""

import logging
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import av
from av.packet import Packet

from agent.clock import Clock
from agent.facts import Stamp
from agent.footage import index as rows
from agent.footage.camera import Address, Arrived, Camera, Ended, Item, Opened, Overflowed, Trouble
from agent.footage.files import Volume, make_directories, segment_path
from agent.footage.index import Index, SegmentRow
from agent.footage.recovery import cut_file, hash_file, walk_file
from agent.footage.segment import Opener, Segment, create_file
from agent.footage.sync import SyncThread
from agent.footage.timeline import (
    NS,
    GapReason,
    Raw,
    RunTime,
    Sane,
    TimeBase,
    advance,
    begin_run,
    clock_stepped,
    first_length_ns,
    head_settled,
    sane_head,
    sane_next,
    should_cut,
)

log = logging.getLogger(__name__)

SETTLE_NS: Final = 1 * NS
"""The first packets of a run wait this long, so that the one with the least delay can set its wall time."""

MAX_HELD: Final = 600

ROW_WAIT_S: Final = 2.0
"""Footage goes before its index: a row that is not committed in this time does not hold up the file, which
says itself what it is."""

DISK_RETRY_NS: Final = 5 * NS
"""After the disk refused, the next attempt."""

UNRECORDED_AFTER_NS: Final = 15 * NS
"""Packets that come for so long without a segment (no key frame) are a fault of their own."""

START_GRACE_NS: Final = 2 * NS
"""A camera that was never heard may take this much longer: connecting and probing need it."""

STREAM: Final = "main"


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """One camera that is to be recorded. `uuid` names it on disk, `id` everywhere else."""

    id: str
    uuid: str
    name: str
    address: Address


class Store:
    """What the tracks of one volume share. `volume` is None while there is none to record on."""

    def __init__(self, index: Index, sync: SyncThread, clock: Clock, boot: str, segment_ns: int) -> None:
        self.index = index
        self.sync = sync
        self.clock = clock
        self.boot = boot
        self.segment_ns = segment_ns
        self.volume: Volume | None = None
        self.closed_for: GapReason = GapReason.STARTING
        self.closed_detail = ""
        self.runs = 0
        self.disk_refused: str | None = None
        self.damaged: str | None = None
        self.dropped: int = 0
        self.opener: Opener = create_file

    def next_run(self) -> int:
        """A number for a run, never used before."""
        self.runs += 1
        return self.runs


@dataclass(slots=True)
class _Held:
    packet: "Packet[Any]"
    raw: Raw
    mono_ns: int


class Track:
    """One camera. `state`, `packets` and the like may be read by any thread, one value at a time."""

    def __init__(self, plan: CameraPlan, camera: Camera, store: Store, silent_after_ns: int) -> None:
        self.plan = plan
        self.camera = camera
        self._store = store
        self._silent_after_ns = silent_after_ns
        now = store.clock.mono_ns()
        self.packets = self.bytes = 0
        self.last_packet_ns: int | None = None
        self.trouble: Trouble | None = None
        self.detail = ""
        self.codec = ""
        self.since_ns = store.clock.wall_ns()
        self.live: dict[str, int] = {}
        """Path below the volume -> end of the footage so far, for files whose row does not say it yet."""
        self.state = "starting"
        """starting, recording, silent, refused, not_video or stopped."""
        self._last_packet_mono = self._last_written_mono = now + START_GRACE_NS
        self._opened: Opened | None = None
        self._held: list[_Held] = []
        self._run: RunTime | None = None
        self._run_number = 0
        self._run_offset_ns = 0
        self._offset_ns = 0
        self._clock_jumped = False
        self._segment: Segment | None = None
        self._row: SegmentRow | None = None
        self._limit_ns = 0
        self._seq = 0
        self._previous: str | None = None
        self._end_ns: int | None = None
        self._retry_mono = now
        self._last_detail = ""
        self._kbit_s = 0.0
        self._measured = (now, 0)

    # What the recorder calls.

    def resume(self, seq: int, end_ns: int | None, previous: str | None) -> None:
        """Go on after what the index knows: highest number, end of the footage, hash of the last closed file."""
        self._seq, self._end_ns, self._previous = seq, end_ns, previous

    def turn(self, now: Stamp) -> None:
        """Take what the camera gave since the last turn, and look at the clocks."""
        self._offset_ns = now.wall_ns - now.mono_ns
        if self._run is not None and clock_stepped(self._run_offset_ns, self._offset_ns):
            self._clock_jumped = True
        if self._store.volume is None and self._segment is not None:
            self.end(self._store.closed_for, self._store.closed_detail)
        if self._segment is not None and self._segment.file.failed is not None:
            self._abandon(GapReason.DISK_FAILED, self._segment.file.failed, suspect=True)
        for item in self.camera.take():
            self._take(item)
        if self._held and self._run is None and now.mono_ns - self._held[0].mono_ns >= SETTLE_NS:
            self._begin()
        self._watch(now)
        self._look_at_state()

    def end(self, reason: GapReason, detail: str = "") -> None:
        """Finish what is being written; footage stops here, for this reason."""
        if self._held and self._run is None:
            self._begin()
        run, self._run = self._run, None
        self._held = []
        if run is None or self._segment is None:
            return
        end_ns = run.last_ns + run.base.ns(self._opened.nominal_ticks if self._opened else 0)
        if self._finish(end_ns):
            self._end_ns = end_ns
            self._open_gap(reason, detail)

    def stopped_by_volume(self) -> None:
        """There is no volume to record on; `end` follows at the next turn if something is being written."""
        self._held = [] if self._run is None else self._held
        if self._segment is None:
            self._open_gap(self._store.closed_for, self._store.closed_detail)

    def begin_anew(self) -> None:
        """After an error of ours: let go of what is being written, go on with the next key frame."""
        self._held = []
        self._run = None
        if self._segment is not None:
            self._abandon(GapReason.DISK_FAILED, "internal error")

    @property
    def kbit_s(self) -> float:
        """What the camera sends, over the last few seconds."""
        return self._kbit_s

    def _look_at_state(self) -> None:
        if self._segment is not None:
            state = "recording"
        elif self.trouble is not None:
            state = self.trouble.value
        else:
            state = "stopped" if self._store.volume is None else "starting"
        if state != self.state:
            self.state, self.since_ns = state, self._store.clock.wall_ns()

    def unrecorded(self, mono_ns: int) -> bool:
        """Packets come, a volume is there, and still nothing is written."""
        return (
            self._store.volume is not None
            and self.trouble is None
            and self._segment is None
            and self._store.disk_refused is None
            and mono_ns - self._last_written_mono > UNRECORDED_AFTER_NS
        )

    # What the camera gives.

    def _take(self, item: Item) -> None:
        match item:
            case Arrived():
                self._packet(item)
            case Opened():
                self.end(GapReason.CONNECTION_LOST)
                self._opened = item
                self.codec = item.codec
            case Ended():
                self.end(GapReason.CONNECTION_LOST, item.detail)
                self._last_detail = item.detail
                if item.trouble is not Trouble.SILENT or self.trouble in (Trouble.REFUSED, Trouble.NOT_VIDEO):
                    self._suffer(item.trouble, item.detail)
            case Overflowed():
                self._store.dropped += 1
                self.end(GapReason.DISK_SLOW, "packets had to be dropped: the disk is too slow")

    def _packet(self, item: Arrived) -> None:
        packet, opened = item.packet, self._opened
        self.packets += 1
        self.bytes += packet.size
        self._last_packet_mono = item.mono_ns
        self.last_packet_ns = item.mono_ns + self._offset_ns
        if self._store.volume is None:
            self.trouble, self.detail = None, ""  # the camera is well; what is missing is told by the volume
            return
        if opened is None or item.mono_ns < self._retry_mono:
            return
        key = packet.is_keyframe
        raw = Raw(packet.pts, packet.dts, packet.duration or opened.nominal_ticks)
        if self._run is not None:
            times = sane_next(self._run.last_dts, raw, opened.nominal_ticks, self._run.base)
            if isinstance(times, Sane):
                self._next(packet, times, key, item.mono_ns)
                return
            self.end(GapReason.CAMERA_CLOCK, f"the camera's time jumped {times.value}" if times else "")
        if key or self._held:
            self._held.append(_Held(packet, raw, item.mono_ns))
            if len(self._held) >= MAX_HELD:
                self._begin()

    def _begin(self) -> None:
        """Begin a run with the packets held."""
        held, self._held = self._held, []
        opened, volume = self._opened, self._store.volume
        if opened is None or volume is None:
            return
        base = TimeBase(opened.time_base.numerator, opened.time_base.denominator)
        raws = [each.raw for each in held]
        times = sane_head(raws, opened.nominal_ticks) if head_settled(raws[:16]) else sane_head(raws, 0)
        arrivals = [(each.dts, one.mono_ns + self._offset_ns) for each, one in zip(times, held, strict=True)]
        not_before = None if self._clock_jumped else self._end_ns
        self._clock_jumped = False
        run = begin_run(base, arrivals, not_before)
        if not self._open(run.anchor_ns, new_run=True):
            return
        self._run, self._run_offset_ns = run, self._offset_ns
        for place, (one, each) in enumerate(zip(held, times, strict=True)):
            if not self._write(one.packet, each):
                return
            if place == 0:
                self._store.index.submit(*rows.end_gap(self.plan.uuid, run.anchor_ns))
            self._run = run = advance(run, each.dts, one.mono_ns + self._offset_ns)
        self._note_live()

    def _next(self, packet: "Packet[Any]", times: Sane, key: bool, mono_ns: int) -> None:
        run, row = self._run, self._row
        assert run is not None
        assert row is not None
        offset = self._run_offset_ns if self._clock_jumped else self._offset_ns
        moved = advance(run, times.dts, mono_ns + offset)
        new_run = self._clock_jumped or moved.far_off
        if should_cut(key, moved.last_ns - row.start_ns, self._limit_ns, new_run):
            if new_run:
                reason = GapReason.CLOCK_STEP if self._clock_jumped else GapReason.CAMERA_CLOCK
                self._end_at(moved.last_ns, reason)
                self._held = [_Held(packet, Raw(times.pts, times.dts, 0), mono_ns)]
                return
            if not self._finish(moved.last_ns):
                return
            self._end_ns = moved.last_ns
            if not self._open(moved.last_ns, new_run=False):
                self._run = None
                return
        self._run = moved
        if self._write(packet, times):
            self._note_live()

    def _end_at(self, end_ns: int, reason: GapReason) -> None:
        self._run = None
        if self._finish(end_ns):
            self._end_ns = end_ns
            self._open_gap(reason, "")

    # What goes to the disk.

    def _open(self, start_ns: int, new_run: bool) -> bool:
        """Open a segment that begins at `start_ns`. False when that cannot be: the gap goes on."""
        opened, store, volume = self._opened, self._store, self._store.volume
        assert opened is not None
        assert volume is not None
        self._seq += 1
        path = segment_path(self.plan.uuid, STREAM, start_ns, self._seq)
        statements: list[rows.Statement] = []
        if new_run:
            self._run_number = store.next_run()
            now_mono, quality = store.clock.mono_ns(), store.clock.quality().value
            statements.append(
                rows.put_run(self._run_number, self.plan.uuid, STREAM, store.boot, start_ns, now_mono, quality)
            )
        row = SegmentRow(
            self.plan.uuid, volume.uuid, STREAM, self._run_number, self._seq, start_ns, None, 0, 0, str(path),
            opened.codec, opened.width, opened.height, None, self._previous, "open",
        )  # fmt: skip
        pending = store.index.submit(rows.put_segment(row), *statements)
        if not pending.done.wait(ROW_WAIT_S):
            log.warning("camera %s: the index is slow; %s is recorded before its row", self.plan.id, path.name)
        try:
            segment = self._create(volume.path, path, row)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            store.index.submit(rows.drop_segment(volume.uuid, str(path)))
            self._refused(error)
            self._open_gap(GapReason.DISK_FULL if _full(error) else GapReason.DISK_FAILED, _text(error))
            return False
        if segment is None:
            store.index.submit(rows.drop_segment(volume.uuid, str(path)))
            self._open_gap(GapReason.CONNECTION_LOST, self._last_detail)
            return False
        self._segment, self._row = segment, row
        self._limit_ns = first_length_ns(self.plan.uuid, store.segment_ns) if new_run else store.segment_ns
        self.live[row.path] = start_ns
        self.trouble, self.detail = None, ""
        return True

    def _create(self, volume: Path, path: PurePosixPath, row: SegmentRow) -> Segment | None:
        opened = self._opened
        assert opened is not None
        described = {
            "camera": row.camera, "id": self.plan.id, "stream": row.stream, "seq": row.seq, "start_ns": row.start_ns,
            "boot": self._store.boot, "previous": row.previous or "", "codec": row.codec, "width": row.width,
            "height": row.height,
        }  # fmt: skip
        directories = make_directories(volume, path)
        segment = self.camera.with_stream(
            opened.connection,
            lambda stream: Segment(volume / path, stream, opened.time_base, described, self._store.opener),
        )
        if segment is not None:
            self._store.sync.add(segment.file, directories)
        return segment

    def _write(self, packet: "Packet[Any]", times: Sane) -> bool:
        """False when the disk or the muxer refused: the segment was abandoned, with its gap."""
        assert self._segment is not None
        try:
            self._segment.write(packet, times)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            self._refused(error)
            self._abandon(GapReason.DISK_FULL if _full(error) else GapReason.DISK_FAILED, _text(error))
            return False
        self._last_written_mono = self._last_packet_mono
        self._store.disk_refused = None
        return True

    def _finish(self, end_ns: int) -> bool:
        """Close the segment at `end_ns`. False when the disk refused its end: it was abandoned, with its gap."""
        segment, row, store = self._segment, self._row, self._store
        assert segment is not None
        assert row is not None
        try:
            sha256 = segment.finish()
        except (OSError, ValueError, av.error.FFmpegError) as error:
            self._refused(error)
            self._abandon(GapReason.DISK_FULL if _full(error) else GapReason.DISK_FAILED, _text(error))
            return False
        self._segment = self._row = None
        self._previous = sha256
        self.live[row.path] = end_ns
        size, frames = segment.file.size_bytes, segment.frames

        def closed(whole: bool) -> None:
            state = "closed" if whole else "suspect"
            if not whole:
                store.damaged = row.path
            store.index.submit(rows.end_segment(row.volume, row.path, state, end_ns, frames, size, sha256))
            self.live.pop(row.path, None)

        store.sync.finish(segment.file, closed)
        return True

    def _abandon(self, reason: GapReason, detail: str, suspect: bool = False) -> None:
        """Let go of a file that the disk refuses: what plays of it stays, the rest is a gap."""
        segment, row, run, store = self._segment, self._row, self._run, self._store
        assert segment is not None
        assert row is not None
        self._segment = self._row = self._run = None
        self._held = []
        segment.abandon()
        end_ns, sha256, frames, size = row.start_ns, None, 0, 0
        try:
            walked = walk_file(segment.path)
            frames, size = walked.frames, walked.keep_bytes
            end_ns = row.start_ns + walked.length_ns()
            if run is not None:
                end_ns = min(end_ns, run.last_ns)
            cut_file(segment.path, size)
            sha256 = hash_file(segment.path) if size else None
        except OSError as error:
            log.warning("camera %s: %s cannot be read back: %s", self.plan.id, row.path, error)
        if suspect:
            store.damaged = row.path

        def closed(whole: bool) -> None:
            state = "recovered" if whole and not suspect else "suspect"
            store.index.submit(
                rows.end_segment(row.volume, row.path, state, end_ns, frames, size, sha256)
                if size
                else rows.drop_segment(row.volume, row.path)
            )
            if not size:
                segment.path.unlink(missing_ok=True)
            self.live.pop(row.path, None)

        store.sync.finish(segment.file, closed)
        self._end_ns = end_ns
        self._previous = sha256 or self._previous
        self._open_gap(reason, detail)

    def _refused(self, error: Exception) -> None:
        self._retry_mono = self._store.clock.mono_ns() + DISK_RETRY_NS
        if self._store.disk_refused is None:
            log.error("camera %s: the disk refuses: %s", self.plan.id, _text(error))
        self._store.disk_refused = _text(error)

    # What is missing.

    def _open_gap(self, reason: GapReason, detail: str) -> None:
        now_ns = self._store.clock.wall_ns()
        begin = now_ns if self._end_ns is None else self._end_ns
        self._store.index.submit(*rows.mark_gap(self.plan.uuid, begin, now_ns, reason, detail))

    def _suffer(self, trouble: Trouble, detail: str) -> None:
        if self.trouble is trouble:
            return
        self.trouble, self.detail = trouble, detail
        log.warning("camera %s: %s: %s", self.plan.id, trouble.value, detail)
        self.end(_GAPS[trouble], detail)
        self._open_gap(_GAPS[trouble], detail)

    def _watch(self, now: Stamp) -> None:
        since, before = self._measured
        if now.mono_ns - since >= 5 * NS:
            self._kbit_s = (self.bytes - before) * 8e6 / (now.mono_ns - since)
            self._measured = (now.mono_ns, self.bytes)
        silent_ns = now.mono_ns - self._last_packet_mono
        if silent_ns < self._silent_after_ns:
            return
        if self.trouble is None:
            seen = self._last_detail if self._segment is None and self._last_detail else "no packets come"
            self._suffer(Trouble.SILENT, seen)

    def _note_live(self) -> None:
        if self._row is not None and self._run is not None:
            self.live[self._row.path] = self._run.last_ns


_GAPS: Final = {
    Trouble.SILENT: GapReason.CAMERA_SILENT,
    Trouble.REFUSED: GapReason.CAMERA_REFUSED,
    Trouble.NOT_VIDEO: GapReason.CAMERA_NOT_VIDEO,
}


def _full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (28, 122)  # ENOSPC, EDQUOT


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
