"""PURE. Samples of many recorded files as one MP4 that begins to play at a given picture, not at a key frame.

The media data stays as it is, in ranges to be copied; only the tables before it are made anew. They come first, so
that a player begins before it has all, and their size is known before a byte is written. What lies before the
wanted picture, back to its key frame, is there for the decoder and not shown: an edit list says where to begin.
Box layout: ISO/IEC 14496-12.

Invariants
1. Samples of one file keep their bytes and their distances in time; files follow each other without overlap.
2. No byte of a sample that is not in the tables is copied.
"""

import json
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Final

from agent.footage.mp4.samples import PICTURE, SOUND, NotOurs, Piece, Track

_SINCE_1904_S: Final = 2_082_844_800
"""Times in an MP4 count from 1904."""

_MATRIX: Final = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_UNDETERMINED: Final = 0x55C4
_LARGEST_32: Final = (1 << 32) - 1
_MOST_HEAD_BYTES: Final = 1 << 28
"""Twelve bytes a picture: a day at 100 frames a second has 100 MB."""
_FTYP: Final = b"isom\x00\x00\x02\x00isomiso2iso4mp41"


@dataclass(frozen=True, slots=True)
class Copied:
    """A range of bytes of one file, to be written after what was written before."""

    path: str
    offset: int
    size: int


class Joined:
    """One file being put together. Ticks are those of the picture, 0 is the first decoding time in the file."""

    def __init__(self, tracks: Mapping[int, Track], sound: bool = True) -> None:
        """For files with tracks like these; without `sound` of pictures alone. Raises NotOurs when none is of
        pictures."""
        self._sound = sound
        self._tables = {track.kind: _Table(track) for track in self._chosen(tracks).values()}
        self._picture = self._tables[PICTURE]
        self._first_ticks = 0
        self.copies: list[Copied] = []
        self.media_bytes = 0

    @property
    def end_ticks(self) -> int:
        """When the last picture so far is over, as it is decoded."""
        return self._picture.end

    @property
    def timescale(self) -> int:
        """Ticks a second."""
        return self._picture.track.timescale

    @property
    def pictures(self) -> int:
        """Pictures in the file, shown or not."""
        return len(self._picture.dts)

    def takes(self, tracks: Mapping[int, Track]) -> bool:
        """Whether the samples of a file with these tracks can follow: one decoder set-up must do for all. Sound may
        be there or not."""
        theirs = {track.kind: track for track in self._chosen(tracks).values()}
        both = self._tables.keys() & theirs.keys()
        return all(_alike(theirs[kind]) == _alike(self._tables[kind].track) for kind in both)

    def add(self, path: str, tracks: Mapping[int, Track], pieces: Iterable[Piece], shift_ticks: int) -> None:
        """Append pieces of one file; `shift_ticks` is added to its times."""
        chosen = self._chosen(tracks)
        for whole in pieces:
            if whole.track not in chosen:
                continue
            track = chosen[whole.track]
            table = self._tables.setdefault(track.kind, _Table(track))
            shift = shift_ticks * table.track.timescale // self.timescale
            piece = table.not_before_end(whole, shift)
            if piece is None:
                continue
            size = table.add(piece, shift, self.media_bytes)
            last = self.copies[-1] if self.copies else None
            if last is not None and last.path == path and last.offset + last.size == piece.offset:
                self.copies[-1] = Copied(path, last.offset, last.size + size)
            else:
                self.copies.append(Copied(path, piece.offset, size))
            self.media_bytes += size

    def begin_at(self, ticks: int) -> None:
        """The first picture that is shown is the one that is to be shown at `ticks`."""
        self._first_ticks = ticks

    def shown(self, until_ticks: int) -> int:
        """How many pictures are shown, from where it begins to before `until_ticks`."""
        table = self._picture
        times = (dts + after for dts, after in zip(table.dts, table.after, strict=True))
        return sum(self._first_ticks <= each < until_ticks for each in times)

    def head(self, until_ticks: int, began_at_s: int, comment: Mapping[str, Any]) -> bytes:
        """All that stands before the media data of a file whose last picture is over at `until_ticks`.

        `began_at_s` is the wall time of the first picture shown, in UTC seconds; `comment` what the file says of
        itself. Raises ValueError without pictures.
        """
        if not self._picture.dts:
            raise ValueError("no pictures")
        ftyp = _box("ftyp", _FTYP)
        wide = self.media_bytes > _LARGEST_32 - _MOST_HEAD_BYTES
        base = len(ftyp) + len(self._moov(0, wide, until_ticks, began_at_s, comment)) + 16
        moov = self._moov(base, wide, until_ticks, began_at_s, comment)
        mdat = struct.pack(">I4sQ", 1, b"mdat", self.media_bytes + 16)
        return ftyp + moov + mdat

    def _moov(self, base: int, wide: bool, until_ticks: int, began_at_s: int, comment: Mapping[str, Any]) -> bytes:
        length = max(until_ticks - self._first_ticks, 1)
        made = max(began_at_s, 0) + _SINCE_1904_S
        mvhd = struct.pack(">QQIQ", made, made, self.timescale, length)
        mvhd += struct.pack(">IH10x", 1 << 16, 0x100) + _MATRIX + bytes(24)
        tables = [table for table in self._tables.values() if table.dts]
        body = _full("mvhd", 1, 0, mvhd + struct.pack(">I", len(tables) + 1))
        for number, table in enumerate(tables, start=1):
            body += table.trak(number, made, length, self._first_ticks, self.timescale, base, wide)
        return _box("moov", body + _comment(json.dumps(comment, ensure_ascii=False, separators=(",", ":"))))

    def _chosen(self, tracks: Mapping[int, Track]) -> dict[int, Track]:
        """The first track of pictures and the first of sound."""
        chosen = {}
        for kind in (PICTURE, SOUND) if self._sound else (PICTURE,):
            number = next((each for each, track in sorted(tracks.items()) if track.kind == kind), None)
            if number is not None:
                chosen[number] = tracks[number]
            elif kind == PICTURE:
                raise NotOurs("no track of pictures")
        return chosen


class _Table:
    """The samples of one track of the file."""

    def __init__(self, track: Track) -> None:
        self.track = track
        self.dts = array("q")
        self.end = 0
        self.chunks: list[tuple[int, int]] = []
        """Of each: where in the media data, how many samples."""
        self._sizes = array("I")
        self.after = array("i")
        self._keys = array("I")

    def add(self, piece: Piece, shift: int, at: int) -> int:
        """Append; how many bytes its samples have."""
        number = len(self.dts) + 1
        if self.dts and piece.dts[0] + shift <= self.dts[-1]:  # a fragment that says it began before the last one
            shift = self.dts[-1] + 1 - piece.dts[0]
        self.dts.extend([dts + shift for dts in piece.dts])
        self.end = self.dts[-1] + max(piece.last_duration, 1)
        self._sizes.extend(piece.sizes)
        self.after.extend(piece.shown_after)
        self._keys.extend([number + place for place, key in enumerate(piece.keys) if key])
        self.chunks.append((at, len(piece.dts)))
        return sum(piece.sizes)

    def not_before_end(self, piece: Piece, shift: int) -> Piece | None:
        """What of the piece comes after all that is there: sound that overlaps is left out, by less than a frame."""
        if self.track.kind != SOUND or not self.dts:
            return piece
        early = sum(dts + shift < self.end - piece.last_duration // 2 for dts in piece.dts)
        return piece.after(early) if early < len(piece.dts) else None

    def trak(
        self, number: int, made: int, length: int, first_ticks: int, movie_scale: int, base: int, wide: bool
    ) -> bytes:
        """The track box; `length` and `first_ticks` in ticks of the movie."""
        sound = self.track.kind == SOUND
        tkhd = struct.pack(">QQI4xQ8x", made, made, number, length)
        tkhd += struct.pack(">hhHH", 0, int(sound), 0x100 if sound else 0, 0) + _MATRIX
        tkhd += struct.pack(">II", self.track.width << 16, self.track.height << 16)
        media_length = self.end - self.dts[0]
        mdhd = struct.pack(">QQIQHH", made, made, self.track.timescale, media_length, _UNDETERMINED, 0)
        name = b"SoundHandler\0" if sound else b"VideoHandler\0"
        hdlr = struct.pack(">I4s12x", 0, self.track.kind.encode("latin-1")) + name
        head = _full("smhd", 0, 0, bytes(4)) if sound else _full("vmhd", 0, 1, bytes(8))
        dref = _full("dref", 0, 0, struct.pack(">I", 1) + _full("url ", 0, 1, b""))
        minf = _box("minf", head + _box("dinf", dref) + self._stbl(base, wide))
        mdia = _box("mdia", _full("mdhd", 1, 0, mdhd) + _full("hdlr", 0, 0, hdlr) + minf)
        edts = _box("edts", self._elst(length, first_ticks, movie_scale))
        return _box("trak", _full("tkhd", 1, 3, tkhd) + edts + mdia)

    def _elst(self, length: int, first_ticks: int, movie_scale: int) -> bytes:
        begin = first_ticks * self.track.timescale // movie_scale - self.dts[0]
        entries = []
        if begin < 0:  # sound that begins after the picture
            late = min(-begin * movie_scale // self.track.timescale, length)
            entries.append((late, -1))
            length, begin = length - late, 0
        if length > 0:
            entries.append((length, begin))
        body = b"".join(struct.pack(">QqI", each, time, 1 << 16) for each, time in entries)
        return _full("elst", 1, 0, struct.pack(">I", len(entries)) + body)

    def _stbl(self, base: int, wide: bool) -> bytes:
        lengths = [min(after - before, _LARGEST_32) for before, after in pairwise(self.dts)]
        lengths.append(self.end - self.dts[-1])
        body = _box("stsd", self.track.stsd) + _runs("stts", 0, ">II", lengths)
        if any(self.after):
            below = min(self.after) < 0
            body += _runs("ctts", int(below), ">Ii" if below else ">II", self.after)
        if len(self._keys) < len(self.dts):
            body += _full("stss", 0, 0, struct.pack(">I", len(self._keys)) + _big(self._keys))
        body += self._stsc()
        body += _full("stsz", 0, 0, struct.pack(">II", 0, len(self._sizes)) + _big(self._sizes))
        places = array("Q" if wide else "I", [base + at for at, _ in self.chunks])
        return _box(
            "stbl", body + _full("co64" if wide else "stco", 0, 0, struct.pack(">I", len(places)) + _big(places))
        )

    def _stsc(self) -> bytes:
        entries: list[bytes] = []
        before = 0
        for number, (_, count) in enumerate(self.chunks, start=1):
            if count != before:
                entries.append(struct.pack(">III", number, count, 1))
                before = count
        return _full("stsc", 0, 0, struct.pack(">I", len(entries)) + b"".join(entries))


def _alike(track: Track) -> tuple[Any, ...]:
    return (track.timescale, track.width, track.height, track.codec)


def _box(kind: str, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind.encode("latin-1")) + body


def _full(kind: str, version: int, flags: int, body: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags) + body)


def _runs(kind: str, version: int, pattern: str, values: Sequence[int]) -> bytes:
    """A table of (how many, value) for values that stand in a row."""
    entries = [struct.pack(pattern, sum(1 for _ in group), value) for value, group in groupby(values)]
    return _full(kind, version, 0, struct.pack(">I", len(entries)) + b"".join(entries))


def _big(values: "array[int]") -> bytes:
    """The values with their highest byte first."""
    turned = values[:]
    if struct.pack("=H", 1) == struct.pack("<H", 1):
        turned.byteswap()
    return turned.tobytes()


def _comment(text: str) -> bytes:
    data = _box("data", struct.pack(">II", 1, 0) + text.encode())
    hdlr = _full("hdlr", 0, 0, struct.pack(">I4s4s8xB", 0, b"mdir", b"appl", 0))
    return _box("udta", _full("meta", 0, 0, hdlr + _box("ilst", _box("\xa9cmt", data))))
