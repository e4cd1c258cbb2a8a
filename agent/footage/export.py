"""A time range of one camera as MP4 files that every player plays, without re-encoding.

Invariants
1. A target appears under its name only when it is whole and on the disk; a cancelled export leaves nothing.
2. Each file begins with a key frame: the last one at or before the start of the range, so that nothing is lost. An
   edit list makes players begin with the picture that was to be seen at the start of the range.
3. What is missing in the range is told in the result; in the file the pictures before and after are joined.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agent.facts import Text
from agent.footage.files import sync_directory
from agent.footage.joined import Copied, Joined
from agent.footage.recorded import Recorded, read, wanted
from agent.footage.samples import NotOurs
from agent.footage.timeline import NS, Gap, GapReason, SegmentRef, Span, ledger, merge, plan_export

Progress = Callable[[int, int], None]
"""Told now and then how many bytes are written, and of how many. May raise to cancel."""

_COPY_BYTES: Final = 8 << 20
_HOLE_NS: Final = 1_000_000
"""Beside two frames: what index and file may differ by between two pictures that follow each other."""

_NO_KERNEL_COPY: Final = (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF, errno.EPERM)
"""copy_file_range is not to be had between these two files."""


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
    """One file written: where, how long in bytes and in pictures shown, and from when to when those are.

    `key_ns` is when the key frame was seen that stands before the first picture shown.
    """

    path: Path
    bytes: int
    frames: int
    from_ns: int
    to_ns: int
    key_ns: int


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


@dataclass(frozen=True, slots=True)
class _Range:
    """What was asked for."""

    segments: Sequence[SegmentRef]
    from_ns: int
    to_ns: int
    split_at_gaps: bool
    comment: Mapping[str, Any]


class _Unreadable(Exception):
    """A recorded file went away, or cannot be read, after it was planned for."""

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(str(error))
        self.path = path
        self.reason = GapReason.FILE_MISSING if isinstance(error, FileNotFoundError) else GapReason.FILE_DAMAGED


def export_mp4(
    segments: Sequence[SegmentRef],
    from_ns: int,
    to_ns: int,
    target: Path,
    progress: Progress | None = None,
    *,
    split_at_gaps: bool = False,
    known_gaps: Sequence[Gap] = (),
    comment: Mapping[str, Any] | None = None,
) -> ExportResult:
    """Write the footage of the range to `target`, and to `target` with -2, -3 ... in its name where the codec, the
    picture size or the encoder's settings change, or at gaps when `split_at_gaps`. `known_gaps` give the gaps of
    the result a reason; a file that cannot be read is a gap, too. `comment` is written into the files.

    Raises NoFootage when the range holds none, ExportFailed when a target is there already or cannot be written;
    what `progress` raises comes through. None of these leaves a file.
    """
    asked = _Range(segments, from_ns, to_ns, split_at_gaps, comment or {})
    bad: dict[str, GapReason] = {}
    while True:
        parts = _parts(asked, bad)
        if not parts:
            words = ("这段时间没有可播放的录像", "nothing in this range plays") if bad else None
            raise NoFootage(Text(*(words or ("这段时间没有录像", "there is no footage in this range"))))
        try:
            files = _write(parts, asked, target, progress)
            break
        except _Unreadable as gone:
            bad[gone.path] = gone.reason
    gaps = [Gap(each.start_ns, each.end_ns, bad[each.path], each.path) for each in segments if each.path in bad]
    found = ledger([span for part in parts for span in part.spans], [*known_gaps, *gaps], from_ns, to_ns)
    size = sum(each.bytes for each in files)
    return ExportResult(from_ns, to_ns, files[0].from_ns, files[-1].to_ns, tuple(files), found.gaps, size)


def planned_bytes(segments: Sequence[SegmentRef]) -> int:
    """How much room a joined file of these needs at most, but for its tables (a thousandth)."""
    size = sum(each.bytes for each in segments)
    return size + size // 500 + (1 << 16)


@dataclass
class _Part:
    """One output file being planned: samples of segment after segment, one after the other in time."""

    joined: Joined
    key_ns: int
    base_ns: int
    """Wall time that lies at zero of the file; moves on at every gap by the length of the gap."""
    spans: list[Span] = field(default_factory=list)
    end_ns: int = 0
    """When the last picture so far was over, by its file or by the index."""
    last_frame_ns: int = 0
    until_ticks: int = 0

    def takes(self, recorded: Recorded, from_ns: int, split_at_gaps: bool) -> bool:
        """Whether the pictures of a file can follow in this one."""
        return self.joined.takes(recorded.tracks) and not (split_at_gaps and self.apart(from_ns))

    def apart(self, from_ns: int) -> bool:
        """Whether what was seen at `from_ns` does not follow without a gap, or was seen at a time that is taken."""
        return abs(from_ns - self.end_ns) > self.last_frame_ns + _HOLE_NS


def _parts(asked: _Range, bad: dict[str, GapReason]) -> list[_Part]:
    """The files to be written. Adds segments that cannot be read to `bad`."""
    plan = plan_export([each for each in asked.segments if each.path not in bad], asked.from_ns, asked.to_ns)
    parts: list[_Part] = []
    for group in plan.groups:
        part: _Part | None = None
        for segment in group:
            try:
                recorded = read(segment)
            except OSError as error:
                bad[segment.path] = _Unreadable(segment.path, error).reason
                continue
            except NotOurs:
                bad[segment.path] = GapReason.FILE_DAMAGED
                continue
            if recorded is not None:
                part = _add(parts, part, recorded, asked)
    return parts


def _add(parts: list[_Part], part: _Part | None, recorded: Recorded, asked: _Range) -> _Part | None:
    """Put what the range needs of a file into `part`, or into a new one; the one it went into."""
    needed = wanted(recorded, asked.from_ns, asked.to_ns)
    if needed is None:
        return part
    first_ns = recorded.wall_ns(needed.first)
    key_ns = recorded.wall_ns(needed.first_dts + recorded.first_shown - _first_dts(recorded))
    if part is None or not part.takes(recorded, first_ns, asked.split_at_gaps):
        part = _Part(Joined(recorded.tracks), key_ns, key_ns)
        parts.append(part)
        shift = -needed.first_dts
        part.joined.begin_at(needed.first + shift)
    else:
        clock = part.joined.timescale
        place = (key_ns - part.base_ns) * clock // NS
        if part.apart(first_ns):
            place = part.joined.end_ticks
            part.base_ns = key_ns - place * NS // clock
        shift = place - needed.first_dts
    part.joined.add(recorded.segment.path, recorded.tracks, needed.pieces, shift)
    end_ns = recorded.wall_ns(needed.end)
    part.spans = merge([*part.spans, Span(first_ns, end_ns)])
    by_index = recorded.segment.end_ns if needed.to_end and recorded.segment.state != "open" else end_ns
    part.last_frame_ns = needed.frame * NS // recorded.picture.timescale
    part.end_ns = by_index if abs(by_index - end_ns) <= NS else end_ns
    until = recorded.ticks(min(asked.to_ns, end_ns)) if asked.to_ns < end_ns else needed.end
    part.until_ticks = until + shift
    return part


def _first_dts(recorded: Recorded) -> int:
    return next(piece.dts[0] for piece in recorded.pieces if piece.track == recorded.picture.number)


def _write(parts: Sequence[_Part], asked: _Range, target: Path, progress: Progress | None) -> list[Exported]:
    """Write the files under other names and then give each its own. Raises _Unreadable, ExportFailed."""
    total = sum(part.joined.media_bytes for part in parts)
    staged = _Staged(target)
    written: list[Exported] = []
    try:
        for part in parts:
            final, number = staged.begin()
            comment = {"derived": True, **asked.comment, "from_ns": part.spans[0].from_ns}
            head = part.joined.head(part.until_ticks, part.spans[0].from_ns // NS, comment)
            _write_all(number, head)
            _Copying(number, progress, total, sum(each.bytes for each in written)).copy(part.joined.copies)
            os.fsync(number)
            to_ns = min(part.spans[-1].to_ns, asked.to_ns)
            frames = part.joined.shown(part.until_ticks)
            size = os.fstat(number).st_size
            written.append(Exported(final, size, frames, part.spans[0].from_ns, to_ns, part.key_ns))
        staged.keep()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ExportFailed(Text(f"导出失败：{reason}", f"the export failed: {reason}")) from error
    finally:
        staged.discard()
    if progress is not None:
        progress(total, total)
    return written


class _Staged:
    """The files of one export, under other names until all of them are whole."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._open: list[tuple[Path, Path, int]] = []

    def begin(self) -> tuple[Path, int]:
        """The name that the next file will have, and a descriptor to write it. Raises ExportFailed, OSError.

        A file that another export is writing is locked; one that an export left which was killed is written over.
        """
        count = len(self._open) + 1
        target = self._target
        final = target if count == 1 else target.with_name(f"{target.stem}-{count}{target.suffix}")
        if final.exists():
            raise ExportFailed(Text(f"文件已存在，不覆盖：{final}", f"is there already, not written over: {final}"))
        path = final.with_name(f".{final.name}.part")
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(number)
            zh, en = f"另一个导出正在写 {final}", f"another export is writing {final}"
            raise ExportFailed(Text(zh, en)) from error
        self._open.append((path, final, number))
        os.ftruncate(number, 0)
        return final, number

    def keep(self) -> None:
        """Give every file its name. Raises OSError."""
        for path, final, _ in self._open:
            path.rename(final)
        sync_directory(self._target.parent)

    def discard(self) -> None:
        """Leave nothing that was not kept."""
        for path, _, number in self._open:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            os.close(number)


class _Copying:
    """Bytes from recorded files to the end of one that is being written; in the kernel where it can."""

    def __init__(self, target: int, progress: Progress | None, total: int, done: int) -> None:
        self._target = target
        self._progress = progress
        self._total = total
        self._done = done
        self._in_kernel = True

    def copy(self, copies: Sequence[Copied]) -> None:
        """Copy the ranges, one after the other. Raises _Unreadable when a file cannot be read, OSError when the
        target cannot be written."""
        path, number = "", -1
        try:
            for each in copies:
                if each.path != path:
                    if number >= 0:
                        os.close(number)
                        number = -1
                    number, path = _open_source(each.path), each.path
                self._range(number, each)
        finally:
            if number >= 0:
                os.close(number)

    def _range(self, source: int, copied: Copied) -> None:
        at, end = copied.offset, copied.offset + copied.size
        while at < end:
            count = min(_COPY_BYTES, end - at)
            done = self._by_kernel(source, at, count) if self._in_kernel else 0
            if not done:
                data = _read(source, at, count, copied.path)
                _write_all(self._target, data)
                done = len(data)
            at += done
            self._done += done
            if self._progress is not None:
                self._progress(min(self._done, self._total), self._total)

    def _by_kernel(self, source: int, at: int, count: int) -> int:
        try:
            return os.copy_file_range(source, self._target, count, at)
        except OSError as error:
            if error.errno in (errno.EIO, *_NO_KERNEL_COPY):  # reading or writing? the plain way tells
                self._in_kernel = False
                return 0
            raise


def _open_source(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _Unreadable(path, error) from error


def _read(source: int, at: int, count: int, path: str) -> bytes:
    try:
        data = os.pread(source, count, at)
    except OSError as error:
        raise _Unreadable(path, error) from error
    if not data:
        raise _Unreadable(path, OSError(errno.EIO, "the file is shorter than it was"))
    return data


def _write_all(number: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]
