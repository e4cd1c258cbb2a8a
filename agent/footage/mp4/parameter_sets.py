"""PURE. The parameter sets in a picture: what the pictures that follow look like.

A camera whose resolution is changed may go on in the same connection, and says so in its next key frame alone.
NAL units: ITU-T H.264 7.3.1 and H.265 7.3.1, in the byte stream format of Annex B.
"""

from typing import Final

_START: Final = b"\x00\x00\x01"
_KINDS: Final = {"h264": (7, 8), "hevc": (32, 33, 34)}
"""SPS and PPS; VPS, SPS and PPS."""


def parameter_sets(codec: str, picture: bytes) -> bytes:
    """Every parameter set that stands before the first slice of a picture, each with a start code; empty if none."""
    found = b""
    at = picture.find(_START)
    while at >= 0 and at + 3 < len(picture):
        first = picture[at + 3]
        kind = first & 31 if codec == "h264" else first >> 1 & 63
        if (kind <= 5) if codec == "h264" else (kind < 32):
            break  # a slice: the rest is picture
        following = picture.find(_START, at + 3)
        if kind in _KINDS[codec]:
            unit = picture[at + 3 : following if following >= 0 else len(picture)]
            found += b"\x00" + _START + unit.rstrip(b"\x00")
        at = following
    return found
