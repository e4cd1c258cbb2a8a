"""A time range of one camera as MP4 files that every player plays, without re-encoding.

Invariants
1. A target appears under its name only when it is whole and on the disk; a cancelled export leaves nothing.
2. Each file begins with a key frame: the last one at or before the start of the range, so that nothing is lost.
3. What is missing in the range is told in the result; in the file the pictures before and after are joined.
"""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from agent.facts import Text
from agent.footage.files import sync_directory
from agent.footage.recovery import walk_file
from agent.footage.timeline import NS, Gap, SegmentRef, Span, ledger, plan_export

Progress = Callable[[float], None]
"""Told now and then how much is done, 0 to 1. May raise to cancel."""

_PROGRESS_PACKETS: Final = 250
_BETWEEN_NS: Final = 40_000_000
"""Put between the last frame before a gap and the first one after it, in the file: one frame at 25 a second."""


class NoFootage(Exception):
    """There is nothing to export. `text` is for people."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


class ExportFailed(Exception):
    """The files were not written, and none of them is left. `text` is for people."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


@dataclass(frozen=True, slots=True)
class Exported:
    """One file written: where, how long in bytes and frames, and from when to when its pictures are."""

    path: Path
    bytes: int
    frames: int
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was asked for, what came out, and what is missing in between."""

    requested_from_ns: int
    requested_to_ns: int
    from_ns: int
    to_ns: int
    files: tuple[Exported, ...]
    gaps: tuple[Gap, ...]
    bytes: int


def export_mp4(
    segments: Sequence[SegmentRef],
    from_ns: int,
    to_ns: int,
    target: Path,
    progress: Progress | None = None,
    *,
    split_at_gaps: bool = False,
    known_gaps: Sequence[Gap] = (),
) -> ExportResult:
    """Write the footage of the range to `target`, and to `target` with -2, -3 ... in its name where the codec, the
    picture size or the encoder's settings change, or at gaps when `split_at_gaps`. `known_gaps` give the gaps of
    the result a reason.

    Raises NoFootage when the range holds none, ExportFailed when a target is there already or cannot be written;
    what `progress` raises comes through. None of these leaves a file.
    """
    plan = plan_export(segments, from_ns, to_ns, split_at_gaps)
    if not plan.groups:
        raise NoFootage(Text("这段时间没有录像", "there is no footage in this range"))
    done = _Progress(progress, sum(len(group) for group in plan.groups))
    files = _Files(target)
    try:
        for group in plan.groups:
            joined = files.begin()
            for segment in group:
                if not joined.add(segment, from_ns, to_ns, done):
                    joined = files.begin()
                    joined.add(segment, from_ns, to_ns, done)
        files.end()
        if not files.written:
            raise NoFootage(Text("这段时间没有可播放的录像", "nothing in this range plays"))
        files.keep()
    except (OSError, av.error.FFmpegError) as error:
        reason = error.strerror or str(error)
        raise ExportFailed(Text(f"导出失败：{reason}", f"the export failed: {reason}")) from error
    finally:
        files.discard()
    done.finished()
    gaps = ledger(files.spans, known_gaps, from_ns, to_ns).gaps
    size = sum(each.bytes for each in files.written)
    first_ns, last_ns = files.spans[0].from_ns, files.spans[-1].to_ns
    return ExportResult(from_ns, to_ns, first_ns, last_ns, tuple(files.written), gaps, size)


class _Files:
    """The files of one export, under other names until all of them are whole."""

    def __init__(self, target: Path) -> None:
        self.written: list[Exported] = []
        self.spans: list[Span] = []
        self._target = target
        self._staged: list[tuple[Path, Path]] = []
        self._joined: _Joined | None = None

    def begin(self) -> "_Joined":
        """Finish the file before, begin the next. Raises ExportFailed when its name is taken."""
        self.end()
        number = len(self._staged) + 1
        target = self._target
        final = target if number == 1 else target.with_name(f"{target.stem}-{number}{target.suffix}")
        if final.exists():
            raise ExportFailed(Text(f"文件已存在，不覆盖：{final}", f"is there already, not written over: {final}"))
        staged = final.with_name(f".{final.name}.{os.getpid()}.part")
        self._staged.append((staged, final))
        self._joined = _Joined(staged)
        return self._joined

    def end(self) -> None:
        """Bring the file to the disk."""
        joined, self._joined = self._joined, None
        if joined is None:
            return
        joined.close()
        if not joined.frames:
            return
        staged, final = self._staged[-1]
        _sync(staged)
        self.spans += joined.spans
        begin_ns, end_ns = joined.spans[0].from_ns, joined.spans[-1].to_ns
        self.written.append(Exported(final, staged.stat().st_size, joined.frames, begin_ns, end_ns))

    def keep(self) -> None:
        """Give every file its name."""
        kept = {each.path for each in self.written}
        for staged, final in self._staged:
            if final in kept:
                staged.rename(final)
        sync_directory(self._target.parent)

    def discard(self) -> None:
        """Leave nothing that was not kept."""
        if self._joined is not None:
            with suppress(OSError, av.error.FFmpegError):
                self._joined.close()
        for staged, _ in self._staged:
            staged.unlink(missing_ok=True)


class _Progress:
    def __init__(self, tell: Progress | None, parts: int) -> None:
        self._tell = tell
        self._parts = parts
        self._done = 0

    def within(self, share: float) -> None:
        if self._tell is not None:
            self._tell(min(1.0, (self._done + share) / self._parts))

    def part(self) -> None:
        self._done += 1
        self.within(0.0)

    def finished(self) -> None:
        if self._tell is not None:
            self._tell(1.0)


class _Joined:
    """One output file: packets of segment after segment, one after the other in time."""

    def __init__(self, path: Path) -> None:
        self.frames = 0
        self.spans: list[Span] = []
        self._path = path
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._parameter_sets: bytes | None = None
        self._base_ns = 0
        """Wall time that lies at zero of the file; moves on at every gap by the length of the gap."""
        self._last_ns: int | None = None
        self._last_dts = -1

    def add(self, segment: SegmentRef, from_ns: int, to_ns: int, done: _Progress) -> bool:
        """Add what a segment holds of the range; False when its pictures need a file of their own."""
        if segment.state == "open" and walk_file(Path(segment.path)).keep_bytes == 0:
            done.part()
            return True
        with _opened(segment) as file, av.open(file, "r", format="mp4") as source:
            if not source.streams.video:
                raise av.error.InvalidDataError(0, "no video in it", segment.path)
            stream = source.streams.video[0]
            if self._container is not None and stream.codec_context.extradata != self._parameter_sets:
                return False
            for number, (packet, at_ns, length_ns) in enumerate(_wanted(source, stream, segment, from_ns, to_ns)):
                self._mux(packet, stream, at_ns, length_ns)
                if number % _PROGRESS_PACKETS == 0:
                    done.within((at_ns - segment.start_ns) / max(segment.end_ns - segment.start_ns, 1))
        done.part()
        return True

    def close(self) -> None:
        if self._container is not None:
            self._container.close()

    def _mux(self, packet: "Packet[VideoStream]", source: VideoStream, at_ns: int, length_ns: int) -> None:
        if self._container is None or self._stream is None:
            self._container = av.open(self._path, "w", format="mp4", options={"movflags": "faststart"})
            self._stream = self._container.add_stream_from_template(source)
            if source.codec_context.name == "hevc":
                self._stream.codec_context.codec_tag = "hvc1"  # Safari and QuickTime play no hev1
            self._parameter_sets = source.codec_context.extradata
            self._base_ns = at_ns
        if self._last_ns is not None and at_ns - self._last_ns > 2 * length_ns + 1_000_000:
            self._base_ns += at_ns - self._last_ns - _BETWEEN_NS
            self.spans.append(Span(at_ns, at_ns + length_ns))
        elif not self.spans:
            self.spans.append(Span(at_ns, at_ns + length_ns))
        else:
            self.spans[-1] = Span(self.spans[-1].from_ns, max(self.spans[-1].to_ns, at_ns + length_ns))
        self._last_ns = at_ns
        tick = packet.time_base
        assert packet.dts is not None
        shown_after = packet.pts - packet.dts if packet.pts is not None else 0
        dts = max(self._last_dts + 1, (at_ns - self._base_ns) * tick.denominator // (tick.numerator * NS))
        self._last_dts = dts
        packet.stream = self._stream
        packet.dts, packet.pts = dts, dts + max(shown_after, 0)
        self._container.mux(packet)
        self.frames += 1


class _Whole(io.RawIOBase):
    """What is whole of a file that is being written: up to the end of its last fragment when it was opened."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._file = Path(path).open("rb")  # noqa: SIM115 - closed by close()
        self._size = walk_file(Path(path)).keep_bytes

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            return self._file.seek(self._size + offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def _opened(segment: SegmentRef) -> Iterator[str | _Whole]:
    if segment.state != "open":
        yield segment.path
        return
    with _Whole(segment.path) as file:
        yield file


def _wanted(
    source: av.container.InputContainer, stream: VideoStream, segment: SegmentRef, from_ns: int, to_ns: int
) -> Iterator[tuple["Packet[VideoStream]", int, int]]:
    """Packets of the file with their wall time and length, from the key frame at or before `from_ns`."""
    waiting: list[tuple[Packet[VideoStream], int, int]] = []
    begun = False
    first: int | None = None
    for packet in source.demux(stream):
        if packet.dts is None or not packet.size:
            continue
        tick = packet.time_base
        first = packet.dts if first is None else first
        at_ns = segment.start_ns + (packet.dts - first) * NS * tick.numerator // tick.denominator
        length_ns = (packet.duration or 0) * NS * tick.numerator // tick.denominator
        if at_ns >= to_ns:
            return
        if not begun:
            if packet.is_keyframe and at_ns <= from_ns:
                waiting = []
            waiting.append((packet, at_ns, length_ns))
            begun = at_ns >= from_ns
            if begun:
                yield from waiting
            continue
        yield packet, at_ns, length_ns
    if not begun:
        # The range begins after the last frame's time but before the segment's end.
        yield from waiting


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
