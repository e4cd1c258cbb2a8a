"""The files of one camera, one after the other, and the gaps between them.

Used by the recording thread alone; `live` may be read by any.

Invariants
1. The index row `open` is submitted, and waited for, before the first byte of a file.
2. A file that the disk refuses keeps what plays of it; from there on it is a gap.
3. A camera has a gap that lasts whenever it has no open file, from the end of its footage.
"""

import errno
import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import av
from av.packet import Packet

from agent.camera_address import Address
from agent.clock import Clock
from agent.footage import rows
from agent.footage.camera import Camera, Opened
from agent.footage.files import Volume, make_directories, segment_path
from agent.footage.index import Index
from agent.footage.recovery import cut_file, hash_file, walk_file
from agent.footage.rows import SegmentRow
from agent.footage.segment import Opener, Segment, create_file
from agent.footage.sync import SyncThread
from agent.footage.timeline import FAR_OFF_NS, NS, GapReason, Sane, first_length_ns

log = logging.getLogger(__name__)

ROW_WAIT_S: Final = 2.0
"""Footage goes before its index: a row that is not committed in this time does not hold up the file, which
says itself what it is."""

DISK_RETRY_NS: Final = 5 * NS
"""After the disk refused, the next attempt."""

_WRITTEN_BYTES: Final = 4096
"""With more than the head of a file on it, a disk that refused takes bytes again."""

STREAM: Final = "main"


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """One camera that is to be recorded. `uuid` names it on disk, `id` everywhere else."""

    id: str
    uuid: str
    name: str
    address: Address


class Store:
    """What the cameras of one volume share. `volume` is None while there is none to record on, and then
    `closed_for` says why."""

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
        self.dropped = 0
        self.refused: OSError | None = None
        """The last error of the disk, until it takes bytes again."""
        self.damaged: str | None = None
        """Path of a file whose state on the disk is unknown, until it is told."""
        self.opener: Opener = create_file

    def next_run(self) -> int:
        """A number for a run, never used before."""
        self.runs += 1
        return self.runs


class Reel:
    """The files of one camera."""

    def __init__(self, plan: CameraPlan, camera: Camera, store: Store) -> None:
        self.segment: Segment | None = None
        self.row: SegmentRow | None = None
        self.limit_ns = 0
        """How long the open file is to become."""
        self.end_ns: int | None = None
        """Where the footage ends, for all that is known."""
        self.retry_mono_ns = 0
        self.live: dict[str, int] = {}
        """Path below the volume -> end of the footage so far, for files whose row does not say it yet."""
        self._plan = plan
        self._camera = camera
        self._store = store
        self._run_number = 0
        self._seq = 0
        self._previous: str | None = None

    def resume(self, seq: int, end_ns: int | None, previous: str | None) -> None:
        """Go on after what the index knows: highest number, end of the footage, hash of the last closed file."""
        self._seq, self.end_ns, self._previous = seq, end_ns, previous

    def open(self, opened: Opened, start_ns: int, new_run: bool) -> bool:
        """Begin a file at `start_ns`. False when that cannot be: then there is a gap."""
        store, volume = self._store, self._store.volume
        if volume is None:
            return False
        self._seq += 1
        path = segment_path(self._plan.uuid, STREAM, start_ns, self._seq)
        statements: list[rows.Statement] = []
        if new_run:
            self._run_number = store.next_run()
            now_mono, quality = store.clock.mono_ns(), store.clock.quality().value
            statements.append(
                rows.put_run(self._run_number, self._plan.uuid, STREAM, store.boot, start_ns, now_mono, quality)
            )
        row = SegmentRow(
            self._plan.uuid, volume.uuid, STREAM, self._run_number, self._seq, start_ns, None, 0, 0, str(path),
            opened.codec, opened.width, opened.height, None, self._previous, "open",
        )  # fmt: skip
        pending = store.index.submit(rows.put_segment(row), *statements)
        if store.index.failing is None and not pending.done.wait(ROW_WAIT_S):
            log.warning("camera %s: the index is slow; %s is recorded before its row", self._plan.id, path.name)
        try:
            segment = self._create(opened, volume.path, path, row)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            store.index.submit(rows.drop_segment(volume.uuid, str(path)))
            self.gap(self._refused(error), _text(error))
            return False
        if segment is None:
            store.index.submit(rows.drop_segment(volume.uuid, str(path)))
            self.gap(GapReason.CONNECTION_LOST, "")
            return False
        self.segment, self.row = segment, row
        self.limit_ns = first_length_ns(self._plan.uuid, store.segment_ns) if new_run else store.segment_ns
        self.live[row.path] = start_ns
        return True

    def write(self, packet: "Packet[Any]", times: Sane, at_ns: int) -> bool:
        """Add a packet of this wall time. False when it was refused: then the file is abandoned, and a gap."""
        segment, row = self.segment, self.row
        assert segment is not None
        assert row is not None
        try:
            segment.write(packet, times)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            self.abandon(self._refused(error), _text(error))
            return False
        self.live[row.path] = at_ns
        if self._store.refused is not None and segment.file.size_bytes > _WRITTEN_BYTES:
            self._store.refused = None
        return True

    def finish(self, end_ns: int) -> bool:
        """Close the file; its footage ends at `end_ns`. False when its end was refused: then it is abandoned."""
        segment, row, store = self.segment, self.row, self._store
        assert segment is not None
        assert row is not None
        try:
            sha256 = segment.finish()
        except (OSError, ValueError, av.error.FFmpegError) as error:
            self.abandon(self._refused(error), _text(error))
            return False
        self.segment = self.row = None
        self._previous = sha256
        self.live[row.path] = self.end_ns = end_ns
        size, frames = segment.file.size_bytes, segment.frames

        def closed(whole: bool) -> None:
            state = "closed" if whole else "suspect"
            if not whole:
                store.damaged = row.path
            store.index.submit(rows.end_segment(row.volume, row.path, state, end_ns, frames, size, sha256))
            self.live.pop(row.path, None)

        store.sync.finish(segment.file, closed)
        return True

    def abandon(self, reason: GapReason, detail: str, suspect: bool = False) -> None:
        """Let go of the file: what plays of it stays, the rest is a gap. `suspect`: what is on the disk is unknown."""
        segment, row, store = self.segment, self.row, self._store
        assert segment is not None
        assert row is not None
        self.segment = self.row = None
        segment.abandon()
        end_ns, sha256, frames, size = row.start_ns, None, 0, 0
        try:
            walked = walk_file(segment.path)
            frames, size = walked.frames, walked.keep_bytes
            end_ns = min(row.start_ns + walked.length_ns(), self.live[row.path])
            cut_file(segment.path, size)
            sha256 = hash_file(segment.path) if size else None
        except OSError as error:
            log.warning("camera %s: %s cannot be read back: %s", self._plan.id, row.path, error)
            suspect = True
        if suspect:
            store.damaged = row.path

        def closed(_: bool) -> None:  # what is kept was synced by cut_file
            if size:
                state = "suspect" if suspect else "recovered"
                store.index.submit(rows.end_segment(row.volume, row.path, state, end_ns, frames, size, sha256))
            else:
                store.index.submit(rows.drop_segment(row.volume, row.path))
                with suppress(OSError):  # the next start removes what is empty
                    segment.path.unlink(missing_ok=True)
            self.live.pop(row.path, None)

        store.sync.finish(segment.file, closed)
        self.end_ns = end_ns
        self._previous = sha256 or self._previous
        self.gap(reason, detail)

    def gap(self, reason: GapReason, detail: str) -> None:
        """There is no footage from its end on, for this reason; a gap that lasts already takes it."""
        now_ns = self._store.clock.wall_ns()
        # An end that lies far in the future was written before the clock was set back.
        begin = now_ns if self.end_ns is None or self.end_ns - now_ns > FAR_OFF_NS else self.end_ns
        self._store.index.submit(*rows.mark_gap(self._plan.uuid, begin, now_ns, reason, detail))

    def end_gap(self, at_ns: int) -> None:
        """Footage goes on."""
        self._store.index.submit(*rows.end_gap(self._plan.uuid, at_ns))

    def _create(self, opened: Opened, volume: Path, path: PurePosixPath, row: SegmentRow) -> Segment | None:
        described = {
            "camera": row.camera, "id": self._plan.id, "stream": row.stream, "seq": row.seq, "start_ns": row.start_ns,
            "boot": self._store.boot, "previous": row.previous or "", "codec": row.codec, "width": row.width,
            "height": row.height,
        }  # fmt: skip
        directories = make_directories(volume, path)
        segment = self._camera.with_stream(
            opened.connection,
            lambda stream: Segment(volume / path, stream, described, self._store.opener, opened.parameter_sets),
        )
        if segment is not None:
            self._store.sync.add(segment.file, directories)
        return segment

    def _refused(self, error: Exception) -> GapReason:
        self.retry_mono_ns = self._store.clock.mono_ns() + DISK_RETRY_NS
        if isinstance(error, av.error.FFmpegError) or not isinstance(error, OSError):
            log.warning("camera %s: the file format refuses a packet: %s", self._plan.id, _text(error))
            return GapReason.NOT_RECORDABLE
        if self._store.refused is None:
            log.warning("camera %s: the disk refuses: %s", self._plan.id, _text(error))
        self._store.refused = error
        return GapReason.DISK_FULL if is_full(error) else GapReason.DISK_FAILED


def is_full(error: OSError) -> bool:
    """Whether the disk has no room, or this user no share of it left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
