"""PURE. The boxes of a fragmented MP4, as far as recovery needs them.

A recorded file is `ftyp moov (moof mdat)* mfra?`. Whatever a power cut leaves, everything up to the end of the
last whole moof+mdat pair plays. Bytes are fetched by a callable, so that media data is read only where sense stopped.
Box layout: ISO/IEC 14496-12.

Invariants
1. No bytes whatever raise an error or are walked for ever: `MAX_BOXES` boxes at most, and no more than
   4 x size + 16 MiB fetched.
2. Frames and times are those of the picture; a track of sound beside it changes neither.
3. What plays after a damaged place is found and told: nobody need cut it off.
"""

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

Fetch = Callable[[int, int], bytes]
"""(offset, size) -> that many bytes, fewer at the end of the file."""

MAX_HEAD_BYTES: Final = 1 << 20
"""No moov or moof of ours is longer: a 1 s fragment at 100 frames a second has a moof of 2 KiB."""

MAX_BOXES: Final = 1 << 18
"""An hour of 25 key frames a second, each a fragment of its own, has 180 000."""

MOST_APART_S: Final = 60
"""A fragment lasts less, and begins nearer to the end of the one before it; frames further apart than some seconds
begin another file (timeline.py, `FORWARD_S`)."""

_SEARCH_BYTES: Final = 1 << 16


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
class Piece:
    """Whole fragments in a row: the bytes [offset, end), their pictures, and when they are shown, in ticks after the
    first picture of the file."""

    offset: int
    end: int
    fragments: int
    frames: int
    from_ticks: int
    to_ticks: int


@dataclass(frozen=True, slots=True)
class Walked:
    """What a file holds.

    `keep_bytes` is how much of the file to keep (0: nothing plays): all of it when it ends as a whole file does,
    else up to the end of the last whole moof+mdat before the first place that makes no sense. `ticks` is the length
    of the footage in it in units of 1/`timescale` s, `frames` its pictures, `description` the object written into
    the file's own metadata, None when there is none. `finished`: it ends with the index that the muxer writes last, and
    nothing in it was covered.
    `later`: what plays after damaged places, beyond `keep_bytes`, and up to `later_bytes`; `head_bytes` must come
    before it. `headless`: there are fragments, but nothing that tells how to play them.
    """

    keep_bytes: int
    fragments: int
    frames: int
    ticks: int
    timescale: int
    description: dict[str, Any] | None
    finished: bool = False
    head_bytes: int = 0
    later: tuple[Piece, ...] = ()
    later_bytes: int = 0
    size_bytes: int = 0
    headless: bool = False

    @property
    def whole(self) -> bool:
        """Whether it plays from its first byte to its last."""
        return self.fragments > 0 and self.keep_bytes == self.size_bytes

    def length_ns(self) -> int:
        """The length of the footage in `keep_bytes`, in nanoseconds."""
        return self.ns(self.ticks)

    def ns(self, ticks: int) -> int:
        """Ticks of this file in nanoseconds."""
        return ticks * 1_000_000_000 // self.timescale if self.timescale else 0


def walk(fetch: Fetch, size: int) -> Walked:
    """Walk a file of `size` bytes. Never raises for damage: it stops where sense stops, and looks for more."""
    walking = _Walking(fetch, size, budget=2 * size + _SEARCH_BYTES)
    at = walking.run(0)
    whole = at == size and walking.moof is None
    finished = whole and walking.last_kind == "mfra" and not walking.mended
    first = walking.piece
    later: list[Piece] = []
    while at < size and walking.film is not None and (found := walking.search(at + 1)) is not None:
        walking.begin_piece(found)
        at = walking.run(found)
        if walking.piece.fragments:
            later.append(walking.piece.frozen())
    film = walking.film
    later_bytes = 0 if not later else size if at == size and walking.moof is None else later[-1].end
    keep_bytes = 0 if not first.fragments else size if whole else first.end
    return Walked(
        keep_bytes, first.fragments, first.frames, first.to_ticks, film.timescale if film else 0,
        film.description if film else None, finished and first.fragments > 0, walking.head_bytes, tuple(later),
        later_bytes, size, film is None and walking.search(0) is not None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Film:
    """What the moov says: the picture's track, its clock, and what its samples have unless they say otherwise."""

    track: int
    timescale: int
    duration: int
    description: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Fragment:
    """What a moof says of the picture, in ticks; `least_bytes` is what all samples need in the mdat."""

    start: int
    length: int
    samples: int
    least_bytes: int


@dataclass(slots=True)
class _PieceSoFar:
    offset: int
    end: int = 0
    fragments: int = 0
    frames: int = 0
    from_ticks: int = 0
    to_ticks: int = 0

    def frozen(self) -> Piece:
        return Piece(self.offset, self.end, self.fragments, self.frames, self.from_ticks, self.to_ticks)


@dataclass(slots=True)
class _Walking:
    fetch: Fetch
    size: int
    film: _Film | None = None
    head_bytes: int = 0
    moof: _Fragment | None = None
    last_kind: str = ""
    covered: bool = False
    """Whether the moof under way follows a box `free`, which takes the place of damaged ones."""
    mended: bool = False
    boxes: int = 0
    budget: int = 0
    """Bytes that searches may still fetch."""
    origin: int | None = None
    """Decoding time of the first picture of the file."""
    last_end: int = 0
    piece: _PieceSoFar = field(default_factory=lambda: _PieceSoFar(0))

    def begin_piece(self, offset: int) -> None:
        self.piece, self.moof = _PieceSoFar(offset), None

    def run(self, at: int) -> int:
        """Walk box after box from `at`; where that ended: at the end of the file, or at a box that makes no sense."""
        while self.boxes < MAX_BOXES and (box := _box(self.fetch, at, self.size)) is not None:
            if box.end > self.size:
                break
            self.boxes += 1
            try:
                self._take(box)
            except (struct.error, IndexError, ValueError):
                break
            self.last_kind = box.kind
            at = box.end
        return at

    def search(self, at: int) -> int | None:
        """The offset of the next moof from `at` on that makes sense and has its mdat; None when there is none."""
        while at < self.size and self.boxes < MAX_BOXES and self.budget > 0:
            data = self.fetch(at, _SEARCH_BYTES)
            self.budget -= len(data)
            if len(data) < 8:
                return None
            place = data.find(b"moof", 4)
            while place >= 0 and self.boxes < MAX_BOXES:
                if self._is_fragment(at + place - 4):
                    return at + place - 4
                place = data.find(b"moof", place + 1)
            at += len(data) - 7
        return None

    def _is_fragment(self, offset: int) -> bool:
        self.boxes += 1
        moof = _box(self.fetch, offset, self.size)
        if moof is None or moof.end > self.size or moof.size > self.budget:
            return False
        mdat = _box(self.fetch, moof.end, self.size)
        if mdat is None or mdat.kind != "mdat" or mdat.end > self.size:
            return False
        if self.film is None:
            return True
        self.budget -= moof.size
        try:
            self._check(_moof(_body(self.fetch, moof), self.film), mdat)
        except (struct.error, IndexError, ValueError):
            return False
        return True

    def _take(self, box: Box) -> None:
        if box.kind == "moov":
            if self.film is not None:
                raise ValueError("a second moov")
            self.film = _moov(_body(self.fetch, box))
            self.head_bytes = box.end
        elif box.kind == "moof":
            if self.film is None or self.moof is not None:
                raise ValueError("a moof out of its place")
            self.moof = _moof(_body(self.fetch, box), self.film)
            self.covered = self.last_kind == "free"
            self.mended = self.mended or self.covered
        elif box.kind == "mdat" and self.moof is not None:
            fragment = self._check(self.moof, box)
            self._keep(fragment, box.end)

    def _check(self, fragment: _Fragment, mdat: Box) -> _Fragment:
        assert self.film is not None
        if fragment.least_bytes > mdat.size - mdat.header or fragment.samples > mdat.size:
            raise ValueError("the samples are more than the mdat holds")
        most = MOST_APART_S * self.film.timescale
        apart = fragment.start - self.last_end if self.origin is not None and fragment.samples else 0
        # After damage, or what covers it, any number of fragments may be missing; a file is no longer than an hour.
        most_apart = most if self.piece.fragments and not self.covered else 60 * most
        if fragment.length > most or not -most <= apart <= most_apart:
            raise ValueError("a fragment far from the one before it")
        return fragment

    def _keep(self, fragment: _Fragment, end: int) -> None:
        self.moof = None
        piece = self.piece
        piece.end = end
        if fragment.samples:
            if self.origin is None:  # files of ours begin at 0
                self.origin = 0 if piece.offset else fragment.start
            if not piece.fragments:
                piece.from_ticks = max(fragment.start - self.origin, 0)
            self.last_end = max(fragment.start + fragment.length, self.origin)
            piece.to_ticks = max(self.last_end - self.origin, piece.to_ticks)
            piece.fragments += 1
            piece.frames += fragment.samples


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
        body = _only((inner for kind, inner in _inside(body, 4 if name == "ilst" else 0) if kind == name), name)
    return body


def _only(found: Iterator[bytes], name: str) -> bytes:
    """The first of them. A StopIteration would be an error of ours inside a generator: it is a ValueError."""
    for each in found:
        return each
    raise ValueError(f"no {name}")


def _moov(moov: bytes) -> _Film:
    """The track of pictures. Raises ValueError or struct.error when there is none."""
    tracks = (each for kind, each in _inside(moov) if kind == "trak")
    track = _only((each for each in tracks if _child(each, "mdia", "hdlr")[8:12] == b"vide"), "track of pictures")
    tkhd, mdhd = _child(track, "tkhd"), _child(track, "mdia", "mdhd")
    (number,) = struct.unpack_from(">I", tkhd, 20 if tkhd[0] == 1 else 12)
    (timescale,) = struct.unpack_from(">I", mdhd, 20 if mdhd[0] == 1 else 12)
    if not timescale:
        raise ValueError("a track without a clock")
    trexes = (each for kind, each in _inside(_child(moov, "mvex")) if kind == "trex")
    (duration,) = struct.unpack_from(">I", _only((each for each in trexes if _number(each) == number), "trex"), 12)
    return _Film(number, timescale, duration, _description(moov))


def _number(body: bytes) -> int:
    """The track that a trex or tfhd is about."""
    return int(struct.unpack_from(">I", body, 4)[0])


def _description(moov: bytes) -> dict[str, Any] | None:
    try:
        data = _child(moov, "udta", "meta", "ilst", "\xa9cmt", "data")
        found = json.loads(data[8:])
    except (ValueError, RecursionError, struct.error):
        return None
    return found if isinstance(found, dict) else None


def _moof(moof: bytes, film: _Film) -> _Fragment:
    start = length = samples = least_bytes = 0
    for kind, traf in _inside(moof):
        if kind != "traf":
            continue
        track, tfdt, ticks, count, size = _traf(traf, film.duration)
        least_bytes += size
        if track == film.track:
            start, length, samples = tfdt, ticks, count
    return _Fragment(start, length, samples, least_bytes)


def _traf(traf: bytes, duration: int) -> tuple[int, int, int, int, int]:
    """Track, decoding time and length in ticks, samples, and the bytes that they say they have."""
    track = start = length = samples = size = sample_size = 0
    for kind, body in _inside(traf):
        flags = int.from_bytes(body[1:4], "big")
        if kind == "tfhd":
            track, at = _number(body), 8 + 8 * bool(flags & 1) + 4 * bool(flags & 2)
            if flags & 8:
                (duration,) = struct.unpack_from(">I", body, at)
            if flags & 0x10:
                (sample_size,) = struct.unpack_from(">I", body, at + 4 * bool(flags & 8))
        elif kind == "tfdt":
            (start,) = struct.unpack_from(">Q" if body[0] == 1 else ">I", body, 4)
        elif kind == "trun":
            count, ticks, bytes_ = _trun(body, flags, duration, sample_size)
            samples, length, size = samples + count, length + ticks, size + bytes_
    return track, start, length, samples, size


def _trun(body: bytes, flags: int, duration: int, sample_size: int) -> tuple[int, int, int]:
    """Samples, their length in ticks, their bytes."""
    (count,) = struct.unpack_from(">I", body, 4)
    at = 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
    stride = sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800))
    if at + 4 * stride * count > len(body):
        raise ValueError("a trun is cut short")
    told = struct.unpack_from(f">{stride * count}I", body, at)
    ticks = sum(told[::stride]) if flags & 0x100 else count * duration
    sizes = sum(told[bool(flags & 0x100) :: stride]) if flags & 0x200 else count * sample_size
    return count, ticks, sizes
