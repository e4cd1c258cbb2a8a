"""Recorded files as an export reads them: their heads, and which of their samples a range of time needs.

A file that is being written gives what is whole of it: up to the end of its last fragment when it was looked at.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agent.footage.mending.segment_file import walk_file
from agent.footage.mp4.samples import PICTURE, NotOurs, Piece, Track, boxes, child, read_fragment, read_tracks
from agent.footage.timeline import NS, SegmentRef

_HEAD_BYTES: Final = 1 << 20
"""As boxes_walk.MAX_HEAD_BYTES."""

DESCRIBED_BYTES: Final = 1 << 14
"""The head of a recorded file is much shorter."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The samples of one file. `first_dts` and `first_shown` are when its first picture is decoded and shown, in
    ticks of the picture: shown is it at the moment `segment.start_ns`."""

    segment: SegmentRef
    tracks: dict[int, Track]
    picture: Track
    pieces: Sequence[Piece]
    first_dts: int
    first_shown: int

    def wall_ns(self, ticks: int) -> int:
        """The wall time at which what is shown at `ticks` was seen."""
        return self.segment.start_ns + (ticks - self.first_shown) * NS // self.picture.timescale

    def ticks(self, at_ns: int) -> int:
        """The tick that is shown at a wall time, rounded up."""
        return self.first_shown - (self.segment.start_ns - at_ns) * self.picture.timescale // NS


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a range needs of a file: `pieces` from a key frame on; times in ticks of the picture.

    `first` is when the first picture of the range is shown, `first_dts` when the first sample is decoded, `end` when
    the last picture is over; `to_end`: nothing was left out at the end.
    """

    pieces: Sequence[Piece]
    first_dts: int
    first: int
    end: int
    frame: int
    to_end: bool


def read(segment: SegmentRef, most_bytes: int | None = None) -> Recorded | None:
    """The file of a segment, or the first `most_bytes` of it; None when there is no picture in it yet. Raises OSError,
    NotOurs."""
    number = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(number).st_size
        size = size if most_bytes is None else min(size, most_bytes)
        found = _fragments(number, 0, size, {})
        tracks, pieces = found.tracks, found.pieces
        if segment.state != "open" and found.end < size:
            for later in walk_file(Path(segment.path)).later:
                pieces += _fragments(number, later.offset, later.end, tracks).pieces
    finally:
        os.close(number)
    picture = next((track for track in tracks.values() if track.kind == PICTURE), None)
    if picture is None:
        if segment.state == "open":
            return None
        raise NotOurs("no pictures in it")
    first = next((piece for piece in pieces if piece.track == picture.number), None)
    if first is None:
        return None
    return Recorded(segment, tracks, picture, pieces, first.dts[0], first.dts[0] + first.shown_after[0])


def whole_bytes(number: int) -> int:
    """How much of a file that is being written is whole: up to the end of its last fragment. Raises OSError."""
    return _fragments(number, 0, os.fstat(number).st_size, {}).whole


def description(path: str) -> dict[str, Any]:
    """What a recorded file says of itself; empty when it cannot be read or says nothing."""
    try:
        with Path(path).open("rb") as file:
            return described(file.read(DESCRIBED_BYTES))
    except OSError:
        return {}


def described(head: bytes) -> dict[str, Any]:
    """What a recorded file says of itself, by its first `DESCRIBED_BYTES`; empty when that is nothing."""
    try:
        moov = next(body for kind, body in boxes(head) if kind == "moov")
        data = child(child(moov, "udta", "meta")[4:], "ilst", "\xa9cmt", "data")
        found = json.loads(data[8:])
    except (StopIteration, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def end_ns(recorded: Recorded) -> int:
    """When the last picture of the file is over."""
    last = [piece for piece in recorded.pieces if piece.track == recorded.picture.number][-1]
    return recorded.wall_ns(recorded.first_shown + last.dts[-1] + last.last_duration - recorded.first_dts)


def wanted(recorded: Recorded, from_ns: int, to_ns: int) -> Wanted | None:
    """What of the file the range [from_ns, to_ns) needs: from the key frame at or before the picture that is shown
    at `from_ns`, to the last picture before `to_ns`; None when that is nothing."""
    number, clock = recorded.picture.number, recorded.picture.timescale
    samples = [
        (dts, dts + after, key)
        for piece in recorded.pieces
        if piece.track == number
        for dts, after, key in zip(piece.dts, piece.shown_after, piece.keys, strict=True)
    ]
    last_piece = [piece for piece in recorded.pieces if piece.track == number][-1]
    from_ticks, to_ticks = recorded.ticks(from_ns), recorded.ticks(to_ns)
    inside = [place for place, (_, shown, _) in enumerate(samples) if shown < to_ticks]
    if not inside:
        return None
    end = inside[-1] + 1
    keys = [place for place in range(end) if samples[place][2] and samples[place][1] <= from_ticks]
    begin = keys[-1] if keys else 0
    first = max((each[1] for each in samples[begin:end] if each[1] <= from_ticks), default=samples[begin][1])
    to_end = end == len(samples)
    after_dts = last_piece.dts[-1] + last_piece.last_duration if to_end else samples[end][0]
    end_ticks = recorded.first_shown + after_dts - samples[0][0]
    bounds = (samples[begin][0], samples[end - 1][0])
    pieces = recorded.pieces
    if begin or not to_end:
        pieces = [cut for piece in pieces if (cut := _cut(piece, recorded, clock, *bounds, end_ticks)) is not None]
    frame = after_dts - samples[end - 1][0]
    return Wanted(pieces, samples[begin][0], first, end_ticks, frame, to_end)


def _cut(piece: Piece, recorded: Recorded, clock: int, first_dts: int, last_dts: int, end: int) -> Piece | None:
    """What of a piece is decoded between two samples of the picture; of sound, what is heard in that time."""
    track = recorded.tracks[piece.track]
    if track.kind == PICTURE:
        early = sum(dts < first_dts for dts in piece.dts)
        kept = sum(first_dts <= dts <= last_dts for dts in piece.dts)
    else:
        early = sum(dts * clock < first_dts * track.timescale for dts in piece.dts)
        kept = sum(first_dts * track.timescale <= dts * clock < end * track.timescale for dts in piece.dts)
    return piece.after(early).first(kept) if kept else None


@dataclass(slots=True)
class _Fragments:
    """Tracks, pieces of the whole fragments, where the last of those ends, and where sense stopped."""

    tracks: dict[int, Track]
    pieces: list[Piece] = field(default_factory=list)
    whole: int = 0
    end: int = 0


def _fragments(number: int, start: int, size: int, tracks: dict[int, Track]) -> _Fragments:
    """What stands in [start, size) of a file. Raises NotOurs when its head makes no sense, OSError."""
    found = _Fragments(tracks, end=start)
    waiting: list[Piece] = []
    while found.end + 8 <= size:
        at = found.end
        head = os.pread(number, 16, at)
        length, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, header = int.from_bytes(head[8:16], "big"), 16
        if length < header or at + length > size or not kind.isalnum():
            break
        if kind in (b"moov", b"moof"):
            if length > _HEAD_BYTES:
                break
            body = os.pread(number, length - header, at + header)
            try:
                if kind == b"moov":
                    found.tracks = read_tracks(body)
                else:
                    waiting = read_fragment(body, at, found.tracks)
            except NotOurs:
                if not found.tracks:
                    raise
                break
        elif kind == b"mdat":
            found.pieces += [each for each in waiting if at <= each.offset <= at + length - sum(each.sizes)]
            waiting, found.whole = [], at + length
        found.end = at + length
    return found
