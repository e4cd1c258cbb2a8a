"""Cut the demonstration cameras out of OpenCV's sample video `vtest.avi`.

The sample is in Debian's package opencv-doc. What it makes is committed under agent/demo/media, so this runs
only when a clip is to be changed:

    apt-get install opencv-doc
    python scripts/cut_demo_media.py /usr/share/doc/opencv-doc/examples/data/vtest.avi agent/demo/media
"""

import argparse
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

SOURCE_FPS = 10
EMPTY_SECONDS = 8
EMPTY_NOISE = 2.0
"""Standard deviation of the grey noise laid over the empty room, so that it is no frozen picture."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One view of a room: frames `first` up to `last` of the sample, and the part of the picture."""

    room: str
    first: int
    last: int
    left: int
    top: int
    right: int
    bottom: int


ROOM_A = Cut("room-a", 260, 400, 200, 128, 712, 512)
ROOM_B = Cut("room-b", 535, 690, 0, 240, 448, 576)
MAIN_SIZE = (768, 576)
SUB_SIZE = (640, 480)


def read_sample(path: Path) -> list[Picture]:
    """Every frame of the sample as BGR."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24").astype(np.uint8) for frame in container.decode(video=0)]


def view(picture: Picture, cut: Cut, size: tuple[int, int]) -> Picture:
    """The part of the picture that the room's camera sees, at its size (width, height)."""
    part = picture[cut.top : cut.bottom, cut.left : cut.right]
    return cv2.resize(part, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def write(path: Path, pictures: list[Picture], fps: int, crf: int) -> None:
    """Encode as H.264 without B-frames and with a key frame every second, which loops and cuts cleanly."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w", options={"movflags": "faststart", "fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, fps)
        stream.options = {
            "crf": str(crf), "preset": "slow", "bf": "0", "g": str(fps), "sc_threshold": "0", "threads": "1",
        }  # fmt: skip
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def cut_room(sample: list[Picture], cut: Cut, folder: Path) -> None:
    """Write the main and the sub stream of one room."""
    frames = sample[cut.first : cut.last]
    write(folder / f"{cut.room}-main.mp4", [view(each, cut, MAIN_SIZE) for each in frames], SOURCE_FPS, crf=27)
    write(folder / f"{cut.room}-sub.mp4", [view(each, cut, SUB_SIZE) for each in frames[::2]], SOURCE_FPS // 2, crf=27)


def cut_empty(sample: list[Picture], folder: Path) -> None:
    """Write a room without anybody: the median over time of room A's view, with a little noise."""
    still = np.median(np.stack([view(each, ROOM_A, SUB_SIZE) for each in sample[::12]]), axis=0)
    chance = np.random.default_rng(20240607)
    frames = []
    for _ in range(EMPTY_SECONDS * 5):
        noise = chance.normal(0, EMPTY_NOISE, still.shape[:2])[..., None]
        frames.append(np.clip(still + noise, 0, 255).astype(np.uint8))
    write(folder / "room-empty-sub.mp4", frames, 5, crf=30)


def main() -> None:
    """Cut all clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sample", type=Path, help="vtest.avi")
    parser.add_argument("folder", type=Path, help="where the clips go")
    asked = parser.parse_args()
    sample = read_sample(asked.sample)
    for cut in (ROOM_A, ROOM_B):
        cut_room(sample, cut, asked.folder)
    cut_empty(sample, asked.folder)
    for path in sorted(asked.folder.glob("*.mp4")):
        print(f"{path}  {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
