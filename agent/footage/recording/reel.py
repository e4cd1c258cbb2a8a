"""The files of one reel (a camera and a stream of it), one after the other.

Used by the recording thread alone; `live` may be read by any.

Invariants
1. The index row `open` is submitted, and waited for, before the first byte of a file.
2. A file that the disk refuses keeps what plays of it; from there on it is a gap.
3. A reel has a gap that lasts whenever it has no open file, from the end of its footage.
4. Every file that is kept is a link of the reel's chain (chain.py), in the order of its number.
"""

import logging
import os
from contextlib import suppress
from copy import copy
from pathlib import Path, PurePosixPath
from typing import Any, Final

import av
from av.packet import Packet

from agent.facts import Stamp
from agent.footage import rows
from agent.footage.chain import FIRST, link
from agent.footage.disk.files import make_directories
from agent.footage.index import Pending
from agent.footage.mending.segment_file import cut_file, hash_file, walk_file
from agent.footage.naming import segment_path
from agent.footage.recording.arrivals import Opened
from agent.footage.recording.camera import Camera
from agent.footage.recording.plan import CameraPlan
from agent.footage.recording.reel_end import ReelEnd
from agent.footage.recording.segment import Segment
from agent.footage.recording.store import Store
from agent.footage.recording.volumes import REFUSED_NS, Disk, is_full
from agent.footage.rows import End, Last, SegmentRow
from agent.footage.timeline import GapReason, Sane, first_length_ns
from agent.seldom import Seldom

log = logging.getLogger(__name__)

_WRITTEN_BYTES: Final = 4096
"""With more than the head of a file on it, a disk that was full takes bytes again. One that failed has taken bytes
only when they are synced."""


class Reel:
    """The files of one stream of a camera."""

    def __init__(self, plan: CameraPlan, camera: Camera, store: Store) -> None:
        self.segment: Segment | None = None
        self.row: SegmentRow | None = None
        self.limit_ns = 0
        """How long the open file is to become."""
        self.end = ReelEnd(plan.key, store)
        self.disk: Disk | None = None
        """The volume that the open file is on, or the last one was."""
        self._is_left = False
        self.retry_mono_ns = 0
        """After the file format refused a packet, the next attempt."""
        self._live: dict[str, int] = {}
        self._ended: dict[str, Pending] = {}
        """Of those in `_live`, the commit after which their row says it."""
        self._plan = plan
        self._camera = camera
        self._store = store
        self._run_number = 0
        self._put_known_run: rows.Statement | None = None
        """What tells of the run once more, whether its row is there or not."""
        self._run_files = 0
        """How many files of the run were kept."""
        self._seq = 0
        self._quality = ""
        self._offset_ns = 0
        """Wall minus monotonic time of the run."""
        self._previous: str | None = None
        self._chain = FIRST
        self._connection = self._mute_connection = 0
        """The present one, and the one whose sound is left out: the file format refused something with it."""
        self._seldom = Seldom(log, store.clock)

    @property
    def live(self) -> dict[str, int]:
        """Path below the volume -> end of the footage so far, for files whose row does not say it yet."""
        for path, pending in list(self._ended.items()):
            if pending.done.is_set() or pending.refused:
                self._live.pop(path, None)
                self._ended.pop(path, None)
        return dict(self._live)

    def elsewhere(self) -> "Reel":
        """A reel that goes on while the disk of this one does not answer. Not a byte more goes into the file of this
        one; it is settled when the disk is back, and counts as missing until then."""
        other = copy(self)
        self._is_left = True
        other.leave()
        return other

    def was_left(self) -> bool:
        """Whether another reel goes on for this one, whose thread waits for a disk: nothing that it still does counts.
        It may become true at any moment."""
        return self._is_left

    def leave(self) -> None:
        """Forget the open file, which another object goes on to hold."""
        self._live, self._ended = {}, {}
        self.end = self.end.elsewhere()
        if self.segment is not None and self.row is not None and self.disk is not None:
            self.segment.file.discard()
            self.disk.sync.finish(self.segment.file, lambda _: None)
            self.end.is_at(self.row.start_ns, self._offset_ns, self._quality)
        self.segment = self.row = None

    @property
    def seq(self) -> int:
        """The number of the newest file."""
        return self._seq

    def resume(self, last: Last) -> None:
        """Go on after what is known."""
        self._seq, self._previous, self._chain = last.seq, last.digest, last.chain or FIRST
        is_ours = last.clock.boot == self._store.boot
        self.end.resume(last.end_ns, last.clock.offset_ns if is_ours else None, last.clock.quality)

    def skip_to(self, seq: int) -> None:
        """Give no number up to `seq`: a volume that came later holds files with them."""
        self._seq = max(self._seq, seq)

    def open(self, opened: Opened, start_ns: int, run_offset_ns: int | None = None) -> bool:
        """Begin a file at `start_ns`. False when that cannot be: then there is a gap. A new run begins with it when
        `run_offset_ns` is given, wall minus monotonic time by which its packets are told."""
        if self.was_left():
            return False
        store = self._store
        disk = store.volumes.choose(self.disk)
        if disk is None or disk.mounted is None:
            self.closed()
            return False
        volume = disk.mounted
        self._seq += 1
        path = segment_path(*self._plan.key, start_ns, self._seq)
        statements: list[rows.Statement] = []
        if run_offset_ns is not None:
            self._run_number, self._offset_ns, self._run_files = store.next_run(), run_offset_ns, 0
            self._quality = store.clock.quality().value
            told = (*self._plan.key, store.boot, start_ns, start_ns - run_offset_ns, self._quality)
            statements.append(rows.put_run(self._run_number, *told))
            self._put_known_run = rows.put_known_run(self._run_number, *told)
        row = SegmentRow(
            self._plan.uuid, volume.uuid, self._plan.stream, self._run_number, self._seq, start_ns, None, 0, 0,
            str(path), opened.codec, opened.width, opened.height, None, self._previous, None, "open",
        )  # fmt: skip
        pending = store.index.submit(rows.put_segment(row), *statements)
        if not store.waits_for(pending):
            text = f"{self._plan.subject}: the index is slow; {path.name} is recorded before its row"
            self._seldom.say(logging.WARNING, "slow", text)
        try:
            segment = self._create(opened, disk, path, row)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            store.index.submit(*self._drop(row))
            self.gap(self._refused(error, disk), _text(error))
            return False
        if segment is None:
            store.index.submit(*self._drop(row))
            self.gap(GapReason.CONNECTION_LOST, "")
            return False
        if self.was_left():
            segment.file.discard()
            disk.sync.finish(segment.file, lambda _: None)
            return False
        self.segment, self.row, self.disk = segment, row, disk
        is_first = run_offset_ns is not None
        self.limit_ns = first_length_ns(self._plan.uuid, store.segment_ns) if is_first else store.segment_ns
        self._live[row.path] = start_ns
        return True

    def write(self, packet: "Packet[Any]", times: Sane, at_ns: int) -> bool:
        """Add a packet of this wall time. False when it was refused: then the file is abandoned, and a gap."""
        segment, row, disk = self.segment, self.row, self.disk
        assert segment is not None
        assert row is not None
        assert disk is not None
        before_bytes = segment.file.size_bytes
        try:
            segment.write(packet, times)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            self.abandon(self._refused(error, disk), _text(error))
            return False
        if self.was_left():
            return False
        self._live[row.path] = at_ns
        # Most packets wait in the muxer: those tell nothing of the disk.
        written = segment.file.size_bytes > max(before_bytes, _WRITTEN_BYTES)
        if written and disk.refused is not None and is_full(disk.refused):
            disk.accepts(disk.refusals)
        return True

    def write_sound(self, packet: "Packet[Any]", rate: int, at_ns: int) -> bool:
        """Add a packet of sound of this wall time. False when the disk refused it: then the file is abandoned."""
        segment, row, disk = self.segment, self.row, self.disk
        assert segment is not None
        assert row is not None
        assert disk is not None
        try:
            segment.write_sound(packet, rate, at_ns - row.start_ns)
        except (av.error.FFmpegError, ValueError) as error:
            log.debug("camera %s: a packet of sound is refused: %s", self._plan.id, _text(error))
        except OSError as error:
            self.abandon(self._refused(error, disk), _text(error))
            return False
        return True

    def sync_soon(self) -> None:
        """What was written is old already: bring it to the disk before the next round."""
        if self.segment is not None and self.disk is not None:
            self.disk.sync.soon(self.segment.file)

    def finish(self, end_ns: int) -> bool:
        """Close the file; its footage ends at `end_ns`. False when its end was refused: then it is abandoned."""
        if self.was_left():
            return False
        segment, row, store, disk = self.segment, self.row, self._store, self.disk
        assert segment is not None
        assert row is not None
        assert disk is not None
        refusals = disk.refusals
        try:
            digest = segment.finish()
        except (OSError, ValueError, av.error.FFmpegError) as error:
            self.abandon(self._refused(error, disk), _text(error))
            return False
        if self.was_left():
            return False
        self.segment = self.row = None
        self._live[row.path] = end_ns
        self.end.is_at(end_ns, self._offset_ns, self._quality)
        self._run_files += 1
        size, frames = segment.file.size_bytes, segment.frames
        chain = self._link(row, size, digest)

        def closed(whole: bool) -> None:
            if whole:
                disk.accepts(refusals)
            else:
                store.damaged = row.path
            end = End("closed" if whole else "suspect", end_ns, frames, size, digest, chain)
            self._ended[row.path] = store.index.submit(rows.end_segment(row.volume, row.path, end))

        disk.sync.finish(segment.file, closed)
        return True

    def abandon(self, reason: GapReason, detail: str, suspect: bool = False) -> None:
        """Let go of the file: what plays of it stays, the rest is a gap. `suspect`: what is on the disk is unknown."""
        if self.was_left():
            return
        segment, row, store, disk = self.segment, self.row, self._store, self.disk
        assert segment is not None
        assert row is not None
        assert disk is not None
        self.segment = self.row = None
        segment.abandon()
        end_ns, digest, chain, frames, size = row.start_ns, None, None, 0, 0
        try:
            walked = walk_file(segment.path)
            frames, size = walked.frames, walked.keep_bytes
            end_ns = min(row.start_ns + walked.length_ns(), self._live[row.path])
            cut_file(segment.path, size, sync=False)
            if size:
                digest = hash_file(segment.path, store.algorithm)
                chain = self._link(row, size, digest)
        except OSError as error:
            store.seldom.say(logging.WARNING, "unread", f"{row.path} cannot be read back: {error}")
            suspect = True
        if self.was_left():
            return
        if suspect:
            store.damaged = row.path
        drop = self._drop(row)
        self._run_files += bool(size)

        def closed(_: bool) -> None:
            if size:
                state = "suspect" if suspect or not self._cut_whole(segment.path, size) else "recovered"
                end = End(state, end_ns, frames, size, digest, chain)
                self._ended[row.path] = store.index.submit(rows.end_segment(row.volume, row.path, end))
            else:
                self._ended[row.path] = store.index.submit(*drop)
                with suppress(OSError):  # the next start removes what is empty
                    segment.path.unlink(missing_ok=True)

        disk.sync.finish(segment.file, closed)
        self.end.is_at(end_ns, self._offset_ns, self._quality)
        self.gap(reason, detail)

    def closed(self) -> None:
        """There is no volume to record to."""
        self.gap(*self._store.volumes.why_closed())

    def gap(self, reason: GapReason, detail: str) -> None:
        """There is no footage from its end on, for this reason; a gap that lasts already takes it."""
        if self.was_left():
            return
        self.end.gap(reason, detail)

    def look_at_clock(self, now: Stamp) -> None:
        """A turn begins at `now`: until the next one, no other wall clock is read."""
        self.end.look_at_clock(now, self.segment is not None)

    def tell_again(self) -> None:
        """The index was begun anew, or rows were left out: it is told what is being written, or why nothing is."""
        if self.row is not None and self._put_known_run is not None:
            self._store.index.submit(self._put_known_run, rows.put_segment(self.row))
        else:
            self.end.tell_again()

    def end_gap(self, at_ns: int) -> None:
        """Footage goes on."""
        if self.was_left():
            return
        self.end.end_gap(at_ns)

    def _drop(self, row: SegmentRow) -> list[rows.Statement]:
        """What forgets a file that holds nothing, and a run that holds no other file."""
        drop = [rows.drop_segment(row.volume, row.path)]
        return drop if self._run_files else [*drop, rows.drop_run(self._run_number)]

    def _cut_whole(self, path: Path, keep_bytes: int) -> bool:
        """Bring a file that was cut to the disk; on the sync thread, which alone may wait for it."""
        try:
            cut_file(path, keep_bytes)
        except OSError as error:
            text = f"{path.name} is cut, but perhaps not on the disk: {error}"
            self._store.seldom.say(logging.WARNING, "cut", text)
            return False
        return True

    def _link(self, row: SegmentRow, size_bytes: int, digest: str) -> str:
        """Bind a file to those before it; what follows is bound to it."""
        chain = link(
            self._store.algorithm, self._chain, row.camera, row.stream, row.seq, row.start_ns, size_bytes, digest
        )
        self._previous, self._chain = digest, chain
        return chain

    def _create(self, opened: Opened, disk: Disk, path: PurePosixPath, row: SegmentRow) -> Segment | None:
        store = self._store
        described = {
            "camera": row.camera, "id": self._plan.id, "stream": row.stream, "seq": row.seq, "start_ns": row.start_ns,
            "boot": store.boot, "mono_ns": row.start_ns - self._offset_ns,
            "quality": self._quality, "hash": store.algorithm, "chain": self._chain, "previous": row.previous or "",
            "codec": row.codec, "width": row.width, "height": row.height,
        }  # fmt: skip
        directories, target = make_directories(disk.path, path), disk.path / path
        self._connection = opened.connection
        sounds = self._plan.sound and self._mute_connection != opened.connection
        number = store.opener(target)  # not within the camera's lock: the disk may not answer
        segment = self._camera.with_streams(
            opened.connection,
            lambda video, sound: Segment(
                target,
                video,
                described,
                lambda _: number,
                opened.parameter_sets,
                store.algorithm,
                sound if sounds else None,
            ),
        )
        if segment is None:
            os.close(number)
            with suppress(OSError):
                target.unlink()
            return None
        disk.sync.add(segment.file, directories)
        return segment

    def _refused(self, error: Exception, disk: Disk) -> GapReason:
        mono_ns = self._store.clock.mono_ns()
        if isinstance(error, av.error.FFmpegError) or not isinstance(error, OSError):
            if self._plan.sound and self._mute_connection != self._connection:
                self._mute_connection = self._connection  # sound must not cost pictures: is it well without?
            else:
                self.retry_mono_ns = mono_ns + REFUSED_NS
            what = f"{self._plan.subject}: the file format refuses a packet: {_text(error)}"
            self._seldom.say(logging.WARNING, "format", what)
            return GapReason.NOT_RECORDABLE
        if disk.refused is None:
            what = f"{self._plan.subject}: {disk.path} refuses: {_text(error)}"
            self._store.seldom.say(logging.WARNING, f"refuses {disk.path}", what)
        disk.refuses(error, mono_ns)
        return GapReason.DISK_FULL if is_full(error) else GapReason.DISK_FAILED


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
