"""Pictures and sound as a camera's encoder gives them, and numbers hidden in pictures that a recorder carries along."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np

VIDEO_RATE: Final = 90_000
"""RTP ticks in a second of video (RFC 6184, RFC 7798)."""

START_CODE: Final = b"\x00\x00\x00\x01"

_MARK: Final = b"yunjian-test-pic"
"""The 16 bytes that name our own kind of user data (H.264 D.1.7, user_data_unregistered)."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One access unit with start codes. `shown_after` is how many frame times after its own place it is shown: more
    than 0 for all but the last of a group with B-frames."""

    data: bytes
    key: bool
    shown_after: int = 0


def pictures(
    seconds: float,
    size: tuple[int, int] = (320, 240),
    codec: str = "h264",
    fps: int = 25,
    key_every: int | None = None,
    b_frames: int = 0,
    noise: bool = False,
) -> list[Picture]:
    """Pictures that change, a key picture every `key_every` (default: each second) with its parameter sets in it.
    `noise`: large ones, of many RTP packets each."""
    width, height = size
    coder = av.CodecContext.create({"h264": "libx264", "hevc": "libx265"}[codec], "w")
    assert isinstance(coder, av.VideoCodecContext)
    coder.width, coder.height, coder.pix_fmt = width, height, "yuv420p"
    coder.time_base, coder.framerate = Fraction(1, fps), Fraction(fps)
    coder.options = _options(codec, key_every or fps, b_frames)
    random, packets = np.random.default_rng(1), []
    for number in range(round(seconds * fps)):
        picture = np.full((height, width, 3), number * 4 % 255, np.uint8)
        picture[: height // 2, number * 3 % width :] = 255
        if noise:
            picture = random.integers(0, 255, picture.shape, np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = number
        packets += coder.encode(frame)
    packets += coder.encode(None)
    first = min(packet.pts or 0 for packet in packets)
    return [
        Picture(bytes(packet), packet.is_keyframe, (packet.pts or 0) - first - place)
        for place, packet in enumerate(packets)
    ]


def _options(codec: str, key_every: int, b_frames: int) -> dict[str, str]:
    common = {"preset": "ultrafast", "g": str(key_every), "threads": "1"}
    if codec == "hevc":
        told = f"keyint={key_every}:min-keyint={key_every}:scenecut=0:bframes={b_frames}:repeat-headers=1"
        return {**common, "x265-params": f"{told}:open-gop=0:log-level=none:pools=1:frame-threads=1"}
    tune = {} if b_frames else {"tune": "zerolatency"}
    return {**common, **tune, "bf": str(b_frames), "sc_threshold": "0"}


def aac(seconds: float, rate: int = 16_000) -> tuple[bytes, list[bytes]]:
    """The configuration of an AAC stream, and its frames of 1024 samples each."""
    coder = av.CodecContext.create("aac", "w")
    assert isinstance(coder, av.AudioCodecContext)
    coder.sample_rate, coder.layout, coder.format = rate, "mono", "fltp"
    coder.open()
    packets = []
    for number in range(round(seconds * rate / 1024)):
        times = (np.arange(1024) + number * 1024) / rate
        tone = (0.4 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(tone.reshape(1, -1), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, number * 1024
        packets += coder.encode(frame)
    return bytes(coder.extradata or b""), [bytes(packet) for packet in packets]


def g711(seconds: float, codec: str = "pcm_alaw", frame: int = 320) -> list[bytes]:
    """A tone in G.711, 8000 samples a second, in pieces of `frame` samples."""
    coder = av.CodecContext.create(codec, "w")
    assert isinstance(coder, av.AudioCodecContext)
    coder.sample_rate, coder.layout, coder.format = 8000, "mono", "s16"
    times = np.arange(round(seconds * 8000)) / 8000
    tone = (12_000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)
    sound = av.AudioFrame.from_ndarray(tone.reshape(1, -1), format="s16", layout="mono")
    sound.sample_rate = 8000
    data = b"".join(bytes(packet) for packet in coder.encode(sound))
    return [data[at : at + frame] for at in range(0, len(data), frame)]


def nals(picture: bytes) -> list[bytes]:
    """The NAL units of one picture, without start codes."""
    return [part.rstrip(b"\x00") for part in picture.replace(START_CODE, START_CODE[1:]).split(START_CODE[1:]) if part]


def parameter_nals(codec: str, picture: bytes) -> list[bytes]:
    """The parameter sets in a key picture."""
    if codec == "hevc":
        return [nal for nal in nals(picture) if nal[0] >> 1 & 63 in (32, 33, 34)]
    return [nal for nal in nals(picture) if nal[0] & 31 in (7, 8)]


def numbered(codec: str, picture: bytes, number: int) -> bytes:
    """The picture with a number hidden in it, before its first slice; decoders take no notice of it."""
    body = _MARK + b"%08d" % number
    sei = (b"\x4e\x01" if codec == "hevc" else b"\x06") + bytes([5, len(body)]) + body + b"\x80"
    units = nals(picture)
    first = next(place for place, nal in enumerate(units) if _is_slice(codec, nal))
    return b"".join(START_CODE + nal for nal in [*units[:first], sei, *units[first:]])


def numbers_in(packet: bytes) -> list[int]:
    """The numbers hidden in a recorded packet; several when what stood between two pictures was lost."""
    return [int(found) for found in re.findall(_MARK + rb"(\d{8})", packet)]


def number_in(packet: bytes) -> int | None:
    """The number hidden in a recorded picture, whatever stands around its NAL units."""
    return next(iter(numbers_in(packet)), None)


def _is_slice(codec: str, nal: bytes) -> bool:
    return nal[0] >> 1 & 63 < 32 if codec == "hevc" else 1 <= nal[0] & 31 <= 5
