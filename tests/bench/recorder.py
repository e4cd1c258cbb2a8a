"""The recorder beside `ffmpeg -c copy -f segment`, on the same four 1080p streams in the same seconds.

Each of the two has an RTSP server of its own: one server process carries four such sessions in real time and is
silently slower above. What a camera should have sent is its frame rate times the time on the clock; a row whose
recorder got less than 99 % of that says so and is void (`ok` is False).
"""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.bench.row import Row
from tests.fakes.camera import RtspServer
from tests.fakes.recording import Recording, cpu_s
from tests.fakes.waiting import until

CAMERAS = 4
FPS = 25
SETTLE_S = 8.0
WINDOW_S = 45.0
FIRST_BYTE_S = 10.0
CLIP = Path(__file__).parent.parent.parent / "build" / "bench" / "1080p25.mp4"


def rows() -> Iterator[Row]:
    """The figures of this bench; about a minute."""
    make_clip(CLIP)
    with tempfile.TemporaryDirectory(prefix="recorder-") as name:
        yield from _judge(_measure(Path(name)))


@dataclass
class Measured:
    """What was seen in one window."""

    first_byte_s: float
    window_s: float
    received: dict[str, int]
    recorder_cpu_s: float
    rss_kib: int
    ffmpeg_cpu_s: float | None
    ffmpeg_frames: int
    idle_percent: float
    written_bytes: int
    sizes_kbit_s: float


def make_clip(path: Path, seconds: int = 20) -> None:
    """1080p25 H.264 at about 4 Mbit/s with a key frame every two seconds; made once."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(".part.mp4")
    noise = np.random.default_rng(1).integers(0, 255, (1080, 1920, 3), np.uint8)
    noise = np.kron(noise[::8, ::8], np.ones((8, 8, 1), np.uint8))
    with av.open(staged, "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 1920, 1080, "yuv420p", 4_000_000
        stream.options = {
            "preset": "veryfast", "g": str(2 * FPS), "bf": "0", "sc_threshold": "0",
            "maxrate": "4M", "bufsize": "4M", "nal-hrd": "cbr",
        }  # fmt: skip
        for number in range(FPS * seconds):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, number * 16, axis=1), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    staged.rename(path)


def _measure(folder: Path) -> Measured:
    names = [f"cam{number}" for number in range(CAMERAS)]
    with ExitStack() as running:
        ours, theirs = RtspServer(CLIP.parent), RtspServer(CLIP.parent)
        for server in (ours, theirs):
            server.start()
            running.callback(server.stop)
        recording = Recording(folder, {name: ours.url(CLIP.name) for name in names}, segment_s=60)
        running.callback(recording.close)
        recording.make_volume()
        began = time.monotonic()
        recording.start()
        until(lambda: any(path.stat().st_size for path in recording.volume.rglob("*.mp4")), 30, "the first byte")
        first_byte_s = time.monotonic() - began
        ffmpegs = _start_ffmpegs(running, folder, theirs)
        until(lambda: recording.is_recording(*names), 30, "all cameras are recorded")
        time.sleep(SETTLE_S)
        before = _Look(recording, ffmpegs, folder)
        time.sleep(WINDOW_S)
        after = _Look(recording, ffmpegs, folder)
        return Measured(
            first_byte_s,
            after.at - before.at,
            {name: after.packets[name] - before.packets[name] for name in names},
            after.recorder_cpu_s - before.recorder_cpu_s,
            after.rss_kib,
            after.ffmpeg_cpu_s - before.ffmpeg_cpu_s if ffmpegs else None,
            after.ffmpeg_frames - before.ffmpeg_frames,
            100 * (after.idle - before.idle) / max(after.ticks - before.ticks, 1),
            after.bytes - before.bytes,
            (after.bytes - before.bytes) * 8 / 1000 / (after.at - before.at) / CAMERAS,
        )


class _Look:
    """One look at everything that counts."""

    def __init__(self, recording: Recording, ffmpegs: list["subprocess.Popen[bytes]"], folder: Path) -> None:
        status = recording.status()
        self.at = time.monotonic()
        self.packets = {each["id"]: int(each["packets"]) for each in status["cameras"]}
        self.bytes = sum(int(each["bytes"]) for each in status["cameras"])
        self.rss_kib = int(status["rss_kib"])
        self.recorder_cpu_s = cpu_s(recording.pid)
        self.ffmpeg_cpu_s = sum(cpu_s(each.pid) for each in ffmpegs)
        self.ffmpeg_frames = sum(_frames(folder / f"ffmpeg{number}.txt") for number in range(len(ffmpegs)))
        fields = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        self.idle, self.ticks = fields[3] + fields[4], sum(fields)


def _start_ffmpegs(running: ExitStack, folder: Path, server: RtspServer) -> list["subprocess.Popen[bytes]"]:
    if shutil.which("ffmpeg") is None:
        return []
    processes = []
    for number in range(CAMERAS):
        target = folder / f"ffmpeg{number}"
        target.mkdir()
        command = [
            "ffmpeg", "-nostdin", "-nostats", "-loglevel", "error", "-progress", str(folder / f"ffmpeg{number}.txt"),
            "-rtsp_transport", "tcp", "-i", server.url(CLIP.name), "-an", "-c", "copy",
            "-f", "segment", "-segment_time", "60", "-reset_timestamps", "1", str(target / "%03d.mp4"),
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        running.callback(_end, process)
        processes.append(process)
    return processes


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait(10)


def _frames(progress: Path) -> int:
    """How many frames one ffmpeg says it copied; its file grows by a block twice a second."""
    found = re.findall(r"^frame=\s*(\d+)", progress.read_text(), re.MULTILINE) if progress.exists() else []
    return int(found[-1]) if found else 0


def _judge(seen: Measured) -> Iterator[Row]:
    expected = seen.window_s * FPS
    least = min(seen.received.values()) / expected
    whole = least >= 0.99
    each = " ".join(f"{name} {count}/{expected:.0f}" for name, count in seen.received.items())
    void = "" if whole else "VOID: "
    load = f"{void}received {each}; CPU idle {seen.idle_percent:.0f} %"
    yield Row("recorder: packets received, worst camera", 100 * least, "%", 99.0, whole, load)
    ours = 100 * seen.recorder_cpu_s / seen.window_s / CAMERAS
    yield Row("recorder: CPU per 1080p stream", ours, "% core", None, None, f"{seen.sizes_kbit_s:.0f} kbit/s; {load}")
    if seen.ffmpeg_cpu_s is None:
        yield Row("recorder: CPU against ffmpeg", 0, "x", 1.0, False, "ffmpeg is not installed")
    else:
        theirs = 100 * seen.ffmpeg_cpu_s / seen.window_s / CAMERAS
        got = 100 * seen.ffmpeg_frames / (expected * CAMERAS)
        ratio = ours / max(theirs, 1e-9)
        note = f"{void}ffmpeg {theirs:.2f} % a stream, it received {got:.0f} %"
        yield Row("recorder: CPU against ffmpeg", ratio, "x", 1.0, whole and got >= 98 and ratio <= 1.0, note)
    yield Row("recorder: memory with 4 cameras", seen.rss_kib / 1024, "MB", None, None, load)
    yield Row(
        "recorder: process start to first byte", seen.first_byte_s, "s", FIRST_BYTE_S, seen.first_byte_s < FIRST_BYTE_S
    )
