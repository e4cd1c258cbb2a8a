"""PURE. Holes: bytes of a file that a power cut kept from the disk, inside boxes that look whole.

ext4 brings the length of a file to its disk before the data (delayed allocation into unwritten extents, its default
since Linux 5.6), and a disk brings sectors in any order. So a file that was being written may end in zeros as long as
all that was not yet synced, or have zeros before data that came through: `moof` and `mdat` have the right lengths, and
a second of pictures is grey. What was synced has no holes; neither has a file that was closed.

A coded picture cannot look like that: its NAL units, each behind its length, fill the sample exactly, no slice has
three zero bytes in a row inside (emulation prevention, H.264 7.4.1, H.265 7.4.2), and none ends in a zero byte.
"""

from collections.abc import Sequence
from typing import Final

from agent.footage.mp4.boxes_walk import MAX_HEAD_BYTES, Fetch
from agent.footage.mp4.samples import PICTURE, SOUND, NotOurs, Piece, Track, read_fragment, read_tracks

_H264: Final = (b"avc1", b"avc3")
_H265: Final = (b"hvc1", b"hev1")

SECTOR: Final = 512
"""Disks bring sectors whole, or not at all: a hole ends with one."""

MOST_PADDING: Final = 7
"""Zero bytes at the end of a slice that a camera may have put there, to fill words."""

_NO_END: Final = {PICTURE: b"\0", SOUND: bytes(8)}
"""How the last sample before nothing does not end. A camera that pads its pictures loses a fragment by it."""


def first_hole(fetch: Fetch, size: int) -> int | None:
    """The offset of the first fragment of a file that has a hole, None when there is none.

    `size` is how much of the file is whole by its boxes (boxes_walk.Walked.keep_bytes).
    """
    at = began = 0
    tracks: dict[int, Track] = {}
    pieces: Sequence[Piece] = ()
    while at + 8 <= size:
        head = fetch(at, 16)
        length, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, header = int.from_bytes(head[8:16], "big"), 16
        if length < header or at + length > size or (kind in (b"moov", b"moof") and length > MAX_HEAD_BYTES):
            return at
        try:
            if kind == b"moov":
                tracks = read_tracks(fetch(at + header, length - header))
            elif kind == b"moof":
                began, pieces = at, read_fragment(fetch(at + header, length - header), at, tracks)
            elif kind == b"mdat" and _has_hole(fetch, pieces, tracks, length - header, at + length == size):
                return began
        except NotOurs:
            return at if kind == b"moof" else 0
        at += length
    return None


def _has_hole(fetch: Fetch, pieces: Sequence[Piece], tracks: dict[int, Track], size: int, last: bool) -> bool:
    if sum(sum(piece.sizes) for piece in pieces) != size:
        return True  # the moof itself has one
    for piece in pieces:
        data = fetch(piece.offset, sum(piece.sizes))
        track = tracks[piece.track]
        if len(data) != sum(piece.sizes) or (last and data.endswith(_NO_END[track.kind])):
            return True
        at = 0
        for length in piece.sizes:
            if not _is_sound(data[at : at + length], piece.offset + at, track):
                return True
            at += length
    return False


def _is_sound(sample: bytes, offset: int, track: Track) -> bool:
    codec = track.stsd[12:16]
    if codec not in _H264 and codec not in _H265:
        return any(sample)
    at = 0
    while at + 4 < len(sample):
        begin, end = at + 4, at + 4 + int.from_bytes(sample[at : at + 4], "big")
        if end == begin or end > len(sample):
            return False
        if _is_slice(sample[begin], codec):
            coded = sample[begin:end].rstrip(b"\0")
            padding = end - begin - len(coded)
            if b"\0\0\0" in coded or (padding > MOST_PADDING and (offset + end) % SECTOR == 0):
                return False
        at = end
    return at == len(sample)


def _is_slice(head: int, codec: bytes) -> bool:
    """Whether a NAL unit is of a picture, or hidden by a hole. What cameras say in messages of their own they may
    leave unescaped."""
    return head & 31 <= 5 if codec in _H264 else head >> 1 & 63 < 32
