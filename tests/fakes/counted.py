"""Clips whose pictures say their number, in eight stripes of black and white: what is shown first can be read."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

WIDTH, HEIGHT = 320, 240


def make_counted(
    path: Path, count: int = 100, fps: int = 25, codec: str = "libx264", b_frames: int = 0, sound: bool = False
) -> None:
    """`count` pictures (at most 256), a key frame every two seconds; with `sound` a tone of the same length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=fps)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": str(2 * fps), "bf": str(b_frames), "sc_threshold": "0"}
        if codec == "libx265":
            stream.options = {
                "preset": "ultrafast", "x265-params": f"keyint={2 * fps}:bframes={b_frames}:log-level=error:pools=1"
            }  # fmt: skip
        tone = container.add_stream("aac", rate=16_000, layout="mono") if sound else None
        for number in range(count):
            picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            for bit in range(8):
                if number >> bit & 1:
                    picture[:, bit * WIDTH // 8 : (bit + 1) * WIDTH // 8] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone is not None:
            samples = 16_000 * count // fps
            wave = (np.sin(np.arange(samples) / 16_000 * 2 * np.pi * 440) * 8000).astype(np.int16)[None, :]
            for begin in range(0, samples, 1024):
                heard = av.AudioFrame.from_ndarray(wave[:, begin : begin + 1024], format="s16", layout="mono")
                heard.sample_rate, heard.pts, heard.time_base = 16_000, begin, Fraction(1, 16_000)
                container.mux(tone.encode(heard))
            container.mux(tone.encode(None))


def number_of(picture: NDArray[Any]) -> int:
    """The number that a picture (height, width, 3) says."""
    height, width = picture.shape[:2]
    stripes = (picture[height // 2, (2 * bit + 1) * width // 16].mean() for bit in range(8))
    return sum(int(bright > 128) << bit for bit, bright in enumerate(stripes))


def numbers(path: Path) -> list[int]:
    """The numbers of the pictures that a player shows, in order."""
    with av.open(path, "r") as container:
        return [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
