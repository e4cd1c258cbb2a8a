"""PURE. What a recorded file says of its samples: when each is decoded and shown, where it lies, how long it is.

The recorder writes `ftyp moov (moof mdat)*` (segment.py). A piece is what one `trun` describes: samples of one track
that lie in a row. Box layout: ISO/IEC 14496-12.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from typing import Final

PICTURE: Final = "vide"
SOUND: Final = "soun"

_NOT_KEY: Final = 0x10000
"""sample_is_non_sync_sample in the flags of a sample."""

_LATEST: Final = 1 << 53
_LATEST_SHOWN: Final = (1 << 31) - 1
"""Ticks that a damaged fragment may say, and no camera: days after the picture is decoded."""

_SKIPPED_BY_ENTRY: Final = {PICTURE: 78, SOUND: 28}
"""Bytes of a sample entry before the boxes inside it: VisualSampleEntry and AudioSampleEntry."""


class NotOurs(ValueError):
    """These bytes are no head or fragment of a recorded file."""


@dataclass(frozen=True, slots=True)
class Track:
    """One track of a file. `stsd` is the body of that box, `width` and `height` are those to be shown at."""

    number: int
    kind: str
    timescale: int
    width: int
    height: int
    stsd: bytes
    duration: int
    size: int
    flags: int

    @property
    def codec(self) -> bytes:
        """What a player has to be set up with: two files with the same can be joined. A bit rate is no part of it."""
        at = 8 + 8 + _SKIPPED_BY_ENTRY[self.kind]
        inside = [(kind, _sound_setup(body) if kind == "esds" else body) for kind, body in boxes(self.stsd, at)]
        kept = b"".join(kind.encode("latin-1") + body for kind, body in inside if kind != "btrt")
        return self.stsd[12:16] + self.stsd[16:at] + kept


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples of one track that lie in a row from byte `offset` of the file on.

    `dts` are in ticks of the track, `shown_after` how long after that each is shown; `sizes` in bytes.
    """

    track: int
    offset: int
    dts: Sequence[int]
    last_duration: int
    sizes: Sequence[int]
    shown_after: Sequence[int]
    keys: Sequence[bool]

    def first(self, count: int) -> "Piece":
        """The first `count` samples of it, at least one."""
        if count >= len(self.dts):
            return self
        length = self.dts[count] - self.dts[count - 1]
        return Piece(
            self.track, self.offset, self.dts[:count], length, self.sizes[:count], self.shown_after[:count],
            self.keys[:count],
        )  # fmt: skip

    def after(self, count: int) -> "Piece":
        """What is left of it without the first `count` samples."""
        if count == 0:
            return self
        return Piece(
            self.track, self.offset + sum(self.sizes[:count]), self.dts[count:], self.last_duration,
            self.sizes[count:], self.shown_after[count:], self.keys[count:],
        )  # fmt: skip


def boxes(body: bytes, start: int = 0) -> Iterator[tuple[str, bytes]]:
    """The kind and the inside of each box in `body`, from byte `start` on. Raises NotOurs when they do not fit."""
    at = start
    while at + 8 <= len(body):
        length, kind = struct.unpack_from(">I4s", body, at)
        if length < 8 or at + length > len(body):
            raise NotOurs("a box is longer than the one around it")
        yield kind.decode("latin-1"), body[at + 8 : at + length]
        at += length


def child(body: bytes, *path: str) -> bytes:
    """The inside of the first box found by going down `path`. Raises NotOurs when there is none."""
    for name in path:
        found = next((inner for kind, inner in boxes(body) if kind == name), None)
        if found is None:
            raise NotOurs(f"no {name}")
        body = found
    return body


def read_tracks(moov: bytes) -> dict[int, Track]:
    """The tracks of pictures and of sound, by number, from the inside of a `moov`. Raises NotOurs."""
    try:
        return _tracks(moov)
    except (struct.error, IndexError) as error:
        raise NotOurs(str(error)) from error


def read_fragment(moof: bytes, moof_offset: int, tracks: dict[int, Track]) -> list[Piece]:
    """The pieces of one fragment, from the inside of a `moof` that begins at `moof_offset`. Raises NotOurs."""
    found: list[Piece] = []
    try:
        for kind, traf in boxes(moof):
            if kind == "traf":
                found += _pieces(traf, moof_offset, tracks)
    except (struct.error, IndexError) as error:
        raise NotOurs(str(error)) from error
    return found


def _sound_setup(esds: bytes) -> bytes:
    """The AudioSpecificConfig of an `esds`, which also tells bit rates; all of it when there is none in it."""
    at = 4
    for tag, skipped in ((3, 3), (4, 13), (5, 0)):
        if at >= len(esds) or esds[at] != tag:
            return esds
        at += 1
        length = 0
        while at < len(esds):
            length, more, at = length << 7 | esds[at] & 0x7F, esds[at] & 0x80, at + 1
            if not more:
                break
        if tag == 5:
            return esds[at : at + length]
        at += skipped
    return esds


def _tracks(moov: bytes) -> dict[int, Track]:
    defaults = {}
    for kind, body in boxes(child(moov, "mvex")):
        if kind == "trex":
            number, _, duration, size, flags = struct.unpack_from(">5I", body, 4)
            defaults[number] = (duration, size, flags)
    tracks = {}
    for kind, trak in boxes(moov):
        if kind != "trak":
            continue
        tkhd, mdhd = child(trak, "tkhd"), child(trak, "mdia", "mdhd")
        handler = child(trak, "mdia", "hdlr")[8:12].decode("latin-1")
        if handler not in (PICTURE, SOUND):
            continue
        (number,) = struct.unpack_from(">I", tkhd, 20 if tkhd[0] == 1 else 12)
        (timescale,) = struct.unpack_from(">I", mdhd, 20 if mdhd[0] == 1 else 12)
        width, height = struct.unpack_from(">2I", tkhd, len(tkhd) - 8)
        stsd = child(trak, "mdia", "minf", "stbl", "stsd")
        if not timescale or len(stsd) < 16:
            raise NotOurs("a track without a time scale or a codec")
        tracks[number] = Track(
            number, handler, timescale, width >> 16, height >> 16, stsd, *defaults.get(number, (0, 0, 0))
        )
    return tracks


def _pieces(traf: bytes, moof_offset: int, tracks: dict[int, Track]) -> Iterator[Piece]:
    tfhd = child(traf, "tfhd")
    flags, number = int.from_bytes(tfhd[1:4], "big"), int.from_bytes(tfhd[4:8], "big")
    track = tracks.get(number)
    if track is None:
        return
    base, at = moof_offset, 8
    if flags & 1:
        (base,), at = struct.unpack_from(">Q", tfhd, at), at + 8
    at += 4 * bool(flags & 2)
    values = [track.duration, track.size, track.flags]
    for place, bit in enumerate((8, 16, 32)):
        if flags & bit:
            (values[place],) = struct.unpack_from(">I", tfhd, at)
            at += 4
    tfdt = child(traf, "tfdt")
    (dts,) = struct.unpack_from(">Q" if tfdt[0] == 1 else ">I", tfdt, 4)
    for kind, trun in boxes(traf):
        if kind == "trun":
            piece = _piece(trun, number, base, dts, values)
            if piece is not None:
                yield piece
                dts = piece.dts[-1] + piece.last_duration


def _piece(trun: bytes, number: int, base: int, dts: int, defaults: Sequence[int]) -> Piece | None:
    flags = int.from_bytes(trun[1:4], "big")
    (count,) = struct.unpack_from(">I", trun, 4)
    at, offset, first_flags = 8, base, None
    if flags & 1:
        offset, at = base + struct.unpack_from(">i", trun, at)[0], at + 4
    if flags & 4:
        first_flags, at = struct.unpack_from(">I", trun, at)[0], at + 4
    given = [bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800)]
    stride = 4 * sum(given)
    if not 0 < count <= 1 << 20 or at + stride * count > len(trun):
        if count == 0:
            return None
        raise NotOurs("a trun is cut short")
    shown_kind = "i" if trun[0] == 1 else "I"
    pattern = ">" + "I" * sum(given[:3]) + (shown_kind if given[3] else "")
    rows = struct.iter_unpack(pattern, trun[at : at + stride * count]) if stride else repeat((), count)
    columns: list[Sequence[int]] = [list(column) for column in zip(*rows, strict=True)]
    durations, sizes, sample_flags, shown_after = (
        columns.pop(0) if here else [value] * count for here, value in zip(given, (*defaults, 0), strict=True)
    )
    if not 0 <= dts < _LATEST or max(map(abs, shown_after)) > _LATEST_SHOWN:
        raise NotOurs("a time beyond all measure")
    times = list(accumulate(durations[:-1], initial=dts))
    keys = [not each & _NOT_KEY for each in sample_flags]
    if first_flags is not None:
        keys[0] = not first_flags & _NOT_KEY
    return Piece(number, offset, times, durations[-1], sizes, shown_after, keys)
