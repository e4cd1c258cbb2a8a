"""PURE. The boxes of a fragmented MP4, as far as recovery needs them.

A recorded file is `ftyp moov (moof mdat)* mfra?`. Whatever a power cut leaves, everything up to the end of the
last whole moof+mdat pair plays. Bytes are fetched by a callable, so that media data is never read.
Box layout: ISO/IEC 14496-12.
"""

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

Fetch = Callable[[int, int], bytes]
"""(offset, size) -> that many bytes, fewer at the end of the file."""

MAX_HEAD_BYTES: Final = 1 << 20
"""No moov or moof of ours is longer: a 1 s fragment at 100 frames a second has a moof of 2 KiB."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its kind, where it begins, how long its header and the whole of it are, in bytes."""

    kind: str
    offset: int
    header: int
    size: int

    @property
    def end(self) -> int:
        """The offset of the first byte after the box."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class Walked:
    """What a file holds.

    `keep_bytes` is how much of the file to keep (0: nothing plays): all of it when it ends as a whole file does,
    else up to the end of the last whole moof+mdat. `ticks` is the length of the
    footage in it in units of 1/`timescale` s, `frames` its samples, `description` the object written into
    the file's own metadata, None when there is none.
    """

    keep_bytes: int
    fragments: int
    frames: int
    ticks: int
    timescale: int
    description: dict[str, Any] | None

    def length_ns(self) -> int:
        """The length of the footage in nanoseconds."""
        return self.ticks * 1_000_000_000 // self.timescale if self.timescale else 0


def walk(fetch: Fetch, size: int) -> Walked:
    """Walk a file of `size` bytes. Never raises for damage: it stops where sense stops."""
    at = whole_end = fragments = frames = end_ticks = timescale = default_duration = 0
    start_ticks: int | None = None
    description: dict[str, Any] | None = None
    moof: tuple[int, int, int] | None = None
    while (box := _box(fetch, at, size)) is not None:
        if box.end > size:
            break
        try:
            if box.kind == "moov":
                moov = _body(fetch, box)
                timescale, default_duration = _moov_times(moov)
                description = _description(moov)
            elif box.kind == "moof":
                moof = _moof_times(_body(fetch, box), default_duration)
            elif box.kind == "mdat" and moof is not None and timescale:
                start, length, samples = moof
                start_ticks = start if start_ticks is None else start_ticks
                end_ticks, frames, fragments, whole_end = start + length, frames + samples, fragments + 1, box.end
                moof = None
        except (struct.error, IndexError, StopIteration, ValueError):
            break
        at = box.end
    ticks = end_ticks - start_ticks if start_ticks is not None else 0
    keep_bytes = size if fragments and at == size and moof is None else whole_end
    return Walked(keep_bytes, fragments, frames, max(ticks, 0), timescale, description)


def _box(fetch: Fetch, offset: int, size: int) -> Box | None:
    head = fetch(offset, 16) if offset < size else b""
    if len(head) < 8:
        return None
    length, kind = struct.unpack_from(">I4s", head)
    header = 8
    if length == 1:
        if len(head) < 16:
            return None
        (length,) = struct.unpack_from(">Q", head, 8)
        header = 16
    if length < header or not all(32 <= letter < 127 or letter == 0xA9 for letter in kind):
        return None
    return Box(kind.decode("latin-1"), offset, header, length)


def _body(fetch: Fetch, box: Box) -> bytes:
    if box.size > MAX_HEAD_BYTES:
        raise ValueError(f"a {box.kind} of {box.size} bytes")
    body = fetch(box.offset + box.header, box.size - box.header)
    if len(body) != box.size - box.header:
        raise ValueError(f"{box.kind} is cut short")
    return body


def _inside(body: bytes, start: int = 0) -> Iterator[tuple[str, bytes]]:
    at = start
    while at + 8 <= len(body):
        length, kind = struct.unpack_from(">I4s", body, at)
        if length < 8 or at + length > len(body):
            raise ValueError("a box is longer than the one around it")
        yield kind.decode("latin-1"), body[at + 8 : at + length]
        at += length


def _child(body: bytes, *path: str) -> bytes:
    for name in path:
        body = next(inner for kind, inner in _inside(body, 4 if name == "ilst" else 0) if kind == name)
    return body


def _moov_times(moov: bytes) -> tuple[int, int]:
    mdhd = _child(moov, "trak", "mdia", "mdhd")
    (timescale,) = struct.unpack_from(">I", mdhd, 20 if mdhd[0] == 1 else 12)
    trex = _child(moov, "mvex", "trex")
    (duration,) = struct.unpack_from(">I", trex, 12)
    return timescale, duration


def _description(moov: bytes) -> dict[str, Any] | None:
    try:
        data = _child(moov, "udta", "meta", "ilst", "\xa9cmt", "data")
        found = json.loads(data[8:])
    except (StopIteration, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _moof_times(moof: bytes, default_duration: int) -> tuple[int, int, int]:
    """Start of the fragment, its length (both ticks) and its samples."""
    traf = _child(moof, "traf")
    start = length = samples = 0
    for kind, body in _inside(traf):
        flags = int.from_bytes(body[1:4], "big")
        if kind == "tfhd":
            at = 8 + 8 * bool(flags & 1) + 4 * bool(flags & 2)
            if flags & 8:
                (default_duration,) = struct.unpack_from(">I", body, at)
        elif kind == "tfdt":
            (start,) = struct.unpack_from(">Q" if body[0] == 1 else ">I", body, 4)
        elif kind == "trun":
            (count,) = struct.unpack_from(">I", body, 4)
            samples += count
            length += _trun_length(body, flags, count, default_duration)
    return start, length, samples


def _trun_length(body: bytes, flags: int, count: int, default_duration: int) -> int:
    if not flags & 0x100:
        return count * default_duration
    at = 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
    stride = 4 * sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800))
    if at + stride * count > len(body):
        raise ValueError("a trun is cut short")
    return sum(int(struct.unpack_from(">I", body, at + stride * place)[0]) for place in range(count))
