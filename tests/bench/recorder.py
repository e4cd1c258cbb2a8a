"""The recorder beside `ffmpeg -c copy -f segment`, on the same four 1080p streams in the same seconds, while vision
counts people in four sub streams and the pages are served.

Each of the two has an RTSP server of its own: one server process carries four such sessions in real time and is
silently slower above. A row whose recorder got less than 99 % of what the cameras sent says so and is void.
"""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.bench.load import CAMERAS, CLIP, Load, Seen
from tests.bench.row import Row
from tests.fakes.camera import RtspServer
from tests.fakes.recording import Desk, cpu_s

SETTLE_S = 8.0
WINDOW_S = 45.0


def rows() -> Iterator[Row]:
    """The figures of this bench; about a minute and a half."""
    with tempfile.TemporaryDirectory(prefix="recorder-") as name, ExitStack() as running:
        folder = Path(name)
        runtime = folder / "run"
        runtime.mkdir()
        desk = Desk(runtime)
        desk.start()
        running.callback(desk.stop)
        load = running.enter_context(Load(runtime, folder / "load"))
        theirs = RtspServer(CLIP.parent)
        theirs.start()
        running.callback(theirs.stop)
        ffmpegs = _start_ffmpegs(running, folder, theirs)
        time.sleep(SETTLE_S)
        before_s, before_frames = _ffmpegs_so_far(ffmpegs, folder)
        load.begin()
        time.sleep(WINDOW_S)
        after_s, after_frames = _ffmpegs_so_far(ffmpegs, folder)
        seen = load.end()
        yield from _judge(seen, after_s - before_s if ffmpegs else None, after_frames - before_frames)


def _ffmpegs_so_far(ffmpegs: list["subprocess.Popen[bytes]"], folder: Path) -> tuple[float, int]:
    frames = sum(_frames(folder / f"ffmpeg{number}.txt") for number in range(len(ffmpegs)))
    return sum(cpu_s(each.pid) for each in ffmpegs), frames


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


def _judge(seen: Seen, ffmpeg_cpu_s: float | None, ffmpeg_frames: int) -> Iterator[Row]:
    least = 100 * min(seen.received.values()) / seen.expected
    yield Row("recorder: packets received, worst camera", least, "%", 99.0, seen.whole, seen.note)
    ours = 100 * seen.cpu_s["record"] / seen.window_s / CAMERAS
    yield Row("recorder: CPU per 1080p stream", ours, "% core", None, None, seen.note)
    if ffmpeg_cpu_s is None:
        yield Row("recorder: CPU against ffmpeg", 0, "x", 1.0, False, "ffmpeg is not installed")
    else:
        theirs = 100 * ffmpeg_cpu_s / seen.window_s / CAMERAS
        got = 100 * ffmpeg_frames / (seen.expected * CAMERAS)
        ratio = ours / max(theirs, 1e-9)
        note = f"ffmpeg {theirs:.2f} % a stream, it received {got:.0f} %; {seen.note}"
        yield Row("recorder: CPU against ffmpeg", ratio, "x", 1.0, seen.whole and got >= 98 and ratio <= 1.0, note)
