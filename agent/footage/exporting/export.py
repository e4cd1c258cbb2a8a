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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agent.facts import Text
from agent.footage.disk.files import sync_directory
from agent.footage.exporting.copying import Copying, Progress, Unreadable, write_all
from agent.footage.exporting.joined import Copied, Joined
from agent.footage.exporting.recorded import Recorded, read, wanted
from agent.footage.mp4.samples import NotOurs
from agent.footage.timeline import NS, Gap, GapReason, SegmentRef, Span, ledger, merge, plan_export

_HOLE_NS: Final = 1_000_000
"""Beside two frames: what index and file may differ by between two pictures that follow each other."""


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


def refused(error: OSError) -> ExportFailed:
    """What to tell of a target that cannot be written."""
    known = {
        errno.ENOSPC: Text("目标盘已满", "the target is full"),
        errno.EFBIG: Text(
            "目标盘放不下这么大的文件（FAT32 每个文件最大 4 GB）：换用 exFAT 的盘，或缩短时间、不拼接、不用 zip",
            "the target takes no file of this size (FAT32: 4 GB at most): use a disk with exFAT, or a shorter range, "
            "no joined files, a folder instead of a zip",
        ),
    }
    reason = error.strerror or str(error)
    text = known.get(error.errno or 0, Text(reason, reason))
    return ExportFailed(Text(f"导出失败：{text.zh}", f"the export failed: {text.en}"))


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
class Planned:
    """One joined file before it is written: what stands before the media data, and where that comes from.

    Times and `frames` as in `Exported`; `spans` is what it holds.
    """

    head: bytes
    copies: tuple[Copied, ...]
    media_bytes: int
    frames: int
    from_ns: int
    to_ns: int
    key_ns: int
    spans: tuple[Span, ...]


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
    sound: bool = True,
) -> ExportResult:
    """Write the footage of the range to `target`, and to `target` with -2, -3 ... in its name where the codec, the
    picture size or the encoder's settings change, or at gaps when `split_at_gaps`. `known_gaps` give the gaps of
    the result a reason; a file that cannot be read is a gap, too. `comment` is written into the files. Sound, where it
    was recorded, is left out unless `sound`.

    Raises NoFootage when the range holds none, ExportFailed when a target is there already or cannot be written;
    what `progress` raises comes through. None of these leaves a file.
    """
    bad: dict[str, GapReason] = {}
    while True:
        planned = plan_joined(segments, from_ns, to_ns, bad, split_at_gaps=split_at_gaps, comment=comment, sound=sound)
        if not planned:
            words = ("这段时间没有可播放的录像", "nothing in this range plays") if bad else None
            raise NoFootage(Text(*(words or ("这段时间没有录像", "there is no footage in this range"))))
        try:
            files = _write(planned, target, progress)
            break
        except Unreadable as gone:
            bad[gone.path] = gone.reason
    gaps = [Gap(each.start_ns, each.end_ns, bad[each.path], each.path) for each in segments if each.path in bad]
    found = ledger([span for each in planned for span in each.spans], [*known_gaps, *gaps], from_ns, to_ns)
    size = sum(each.bytes for each in files)
    return ExportResult(from_ns, to_ns, files[0].from_ns, files[-1].to_ns, tuple(files), found.gaps, size)


def plan_joined(
    segments: Sequence[SegmentRef],
    from_ns: int,
    to_ns: int,
    bad: dict[str, GapReason],
    *,
    split_at_gaps: bool = False,
    comment: Mapping[str, Any] | None = None,
    sound: bool = True,
    most_bytes: Mapping[str, int] | None = None,
) -> list[Planned]:
    """The joined files of a range, none when it holds no pictures. Segments in `bad` are left out, and those that
    cannot be read are added to it. Of a file named in `most_bytes` no more is taken than that."""
    wished = [each for each in segments if each.path not in bad]
    parts: list[_Part] = []
    for group in plan_export(wished, from_ns, to_ns).groups:
        part: _Part | None = None
        for segment in group:
            try:
                recorded = read(segment, (most_bytes or {}).get(segment.path))
            except OSError as error:
                bad[segment.path] = Unreadable(segment.path, error).reason
                continue
            except NotOurs:
                bad[segment.path] = GapReason.FILE_DAMAGED
                continue
            if recorded is not None:
                part = _add(parts, part, recorded, (from_ns, to_ns), split_at_gaps, sound)
    return [part.planned(to_ns, {"derived": True, **(comment or {})}) for part in parts]


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

    def planned(self, to_ns: int, comment: Mapping[str, Any]) -> Planned:
        """The file, now that all is in it."""
        joined, from_ns = self.joined, self.spans[0].from_ns
        if not self.apart(self.spans[-1].to_ns):
            self.spans[-1] = Span(self.spans[-1].from_ns, self.end_ns)
        head = joined.head(self.until_ticks, from_ns // NS, {**comment, "from_ns": from_ns})
        until_ns = min(self.spans[-1].to_ns, to_ns)
        frames = joined.shown(self.until_ticks)
        copies, spans = tuple(joined.copies), tuple(self.spans)
        return Planned(head, copies, joined.media_bytes, frames, from_ns, until_ns, self.key_ns, spans)

    def takes(self, recorded: Recorded, from_ns: int, split_at_gaps: bool) -> bool:
        """Whether the pictures of a file can follow in this one."""
        return self.joined.takes(recorded.tracks) and not (split_at_gaps and self.apart(from_ns))

    def apart(self, from_ns: int) -> bool:
        """Whether what was seen at `from_ns` does not follow without a gap, or was seen at a time that is taken."""
        return abs(from_ns - self.end_ns) > self.last_frame_ns + _HOLE_NS


def _add(
    parts: list[_Part],
    part: _Part | None,
    recorded: Recorded,
    asked: tuple[int, int],
    split_at_gaps: bool,
    sound: bool,
) -> _Part | None:
    """Put what the range needs of a file into `part`, or into a new one; the one it went into."""
    needed, to_ns = wanted(recorded, *asked), asked[1]
    if needed is None:
        return part
    first_ns = recorded.wall_ns(needed.first)
    key_ns = recorded.wall_ns(needed.first_dts + recorded.first_shown - recorded.first_dts)
    if part is None or not part.takes(recorded, first_ns, split_at_gaps):
        part = _Part(Joined(recorded.tracks, sound), key_ns, key_ns)
        parts.append(part)
        shift = -needed.first_dts
        part.joined.begin_at(needed.first + shift)
    else:
        clock = part.joined.timescale
        place = (key_ns - part.base_ns) * clock // NS
        if part.apart(first_ns):
            place = part.joined.end_ticks
            part.base_ns = key_ns - place * NS // clock
        else:
            first_ns = min(first_ns, part.spans[-1].to_ns)  # wall time is slewed between the two, nothing is missing
        shift = place - needed.first_dts
    part.joined.add(recorded.segment.path, recorded.tracks, needed.pieces, shift)
    end_ns = recorded.wall_ns(needed.end)
    part.spans = merge([*part.spans, Span(first_ns, end_ns)])
    by_index = recorded.segment.end_ns if needed.to_end and recorded.segment.state != "open" else end_ns
    part.last_frame_ns = needed.frame * NS // recorded.picture.timescale
    part.end_ns = by_index if abs(by_index - end_ns) <= NS else end_ns
    part.until_ticks = (recorded.ticks(to_ns) if to_ns < end_ns else needed.end) + shift
    return part


def _write(planned: Sequence[Planned], target: Path, progress: Progress | None) -> list[Exported]:
    """Write the files under other names and then give each its own. Raises Unreadable, ExportFailed."""
    total = sum(each.media_bytes for each in planned)
    staged = _Staged(target)
    written: list[Exported] = []
    done = 0
    try:
        for each in planned:
            final, number = staged.begin()
            write_all(number, each.head)
            Copying(number, progress, total, done).copy(each.copies)
            done += each.media_bytes
            os.fsync(number)
            size = os.fstat(number).st_size
            written.append(Exported(final, size, each.frames, each.from_ns, each.to_ns, each.key_ns))
        staged.keep()
    except OSError as error:
        raise refused(error) from error
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
