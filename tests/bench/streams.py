"""One, four, eight and sixteen 1080p streams recorded, beside `ffmpeg -c copy -f segment` on as many, and `motion`.

Ours and the peer run one after the other on the same RTSP servers: two cores do not carry both, and the servers for
both. Each figure is taken over a window in which nothing else is asked of the machine; ours once before and once after
the peer, and the mean of the two counts. A server process carries four sessions in real time, so there is one for every
four streams. A row is void unless every stream of ours and of the peer got 99 % of the packets that the camera's frame
rate says.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import av

from agent.footage.disk.files import create_volume
from agent.footage.naming import camera_uuid
from agent.wire import Refused, WireError, call
from tests.bench.load import CLIP, FACILITY, FPS, LEAST_RECEIVED, make_clip, packets_between, resident
from tests.bench.row import Row
from tests.fakes.camera import RtspServer
from tests.fakes.recording import Desk, cpu_s
from tests.fakes.waiting import until

COUNTS = (1, 4, 8, 16)
PER_SERVER = 4
SETTLE_S = 10.0
WINDOW_S = 30.0
SEGMENT_S = 20

CPU_TARGET, MEMORY_TARGET, WRITTEN_TARGET = 0.7, 0.3, 1.03
"""Against as many ffmpeg processes, at sixteen streams; bytes written for each byte of video."""


@dataclass(frozen=True)
class Seen:
    """One recorder in one window. `received` is the share of the packets that its worst stream got; `shared_mb` counts
    pages that processes share once."""

    cpu_percent: float
    resident_mb: float
    shared_mb: float
    received: float
    written_ratio: float = 0.0


def rows() -> Iterator[Row]:
    """The figures; about ten minutes."""
    make_clip(CLIP)
    for count in COUNTS:
        with tempfile.TemporaryDirectory(prefix="streams-") as name, ExitStack() as running:
            folder = Path(name)
            urls = _serve(running, count)
            first = _ours(folder / "first", urls)
            theirs = _ffmpegs(folder, urls) if shutil.which("ffmpeg") else None
            ours = _mean(first, _ours(folder / "second", urls))
            yield from _judge(count, ours, theirs)
            if count == 1:
                yield from _beside_motion(folder, urls[0], ours)


def _mean(first: Seen, second: Seen) -> Seen:
    """Of two windows: what a machine does beside is not the same in both."""
    return Seen(
        (first.cpu_percent + second.cpu_percent) / 2,
        max(first.resident_mb, second.resident_mb),
        max(first.shared_mb, second.shared_mb),
        min(first.received, second.received),
        (first.written_ratio + second.written_ratio) / 2,
    )


def _serve(running: ExitStack, count: int) -> list[str]:
    """Servers for so many streams; the address of each."""
    urls: list[str] = []
    while len(urls) < count:
        server = RtspServer(CLIP.parent)
        server.start()
        running.callback(server.stop)
        urls += [server.url(CLIP.name)] * min(PER_SERVER, count - len(urls))
    return urls


def _judge(count: int, ours: Seen, theirs: Seen | None) -> Iterator[Row]:
    name = f"recorder, {count} x 1080p"
    last = count == COUNTS[-1]
    if theirs is None:
        yield Row(f"{name}: CPU", ours.cpu_percent, "% core", None, None, "ffmpeg is not installed")
        return
    whole = min(ours.received, theirs.received) >= LEAST_RECEIVED
    got = f"{'' if whole else 'VOID: '}packets: ours {100 * ours.received:.1f} %, ffmpeg {100 * theirs.received:.1f} %"
    cpu, memory = ours.cpu_percent / theirs.cpu_percent, ours.resident_mb / theirs.resident_mb

    def ok(good: bool) -> bool | None:
        return whole and good if last else None if whole else False

    note = f"{ours.cpu_percent:.1f} % of a core, {count} x ffmpeg {theirs.cpu_percent:.1f} %; {got}"
    yield Row(f"{name}: CPU against ffmpeg", cpu, "x", CPU_TARGET if last else None, ok(cpu <= CPU_TARGET), note)
    note = (
        f"{ours.resident_mb:.0f} MB, ffmpeg {theirs.resident_mb:.0f} MB; shared pages counted once:"
        f" {ours.shared_mb:.0f} MB, ffmpeg {theirs.shared_mb:.0f} MB; {got}"
    )
    target = MEMORY_TARGET if last else None
    yield Row(f"{name}: memory against ffmpeg", memory, "x", target, ok(memory <= MEMORY_TARGET), note)
    ratio = ours.written_ratio
    note = "write_bytes of the process in /proc, index and syncs included, for each byte of packets"
    yield Row(f"{name}: bytes written / of video", ratio, "x", WRITTEN_TARGET, whole and ratio <= WRITTEN_TARGET, note)


def _window(pids: list[int]) -> tuple[float, float, float, float]:
    """CPU in per cent of a core, resident and shared megabytes over the window, and its length in seconds."""
    began, before = time.monotonic(), sum(cpu_s(pid) for pid in pids)
    time.sleep(WINDOW_S)
    after, took_s = sum(cpu_s(pid) for pid in pids), time.monotonic() - began
    return 100 * (after - before) / took_s, sum(map(resident, pids)), sum(map(_shared, pids)), took_s


def _shared(pid: int) -> float:
    """The memory of a process in MB, each page divided by the processes that have it."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found.group(1)) / 1024 if found else 0.0


def _ours(folder: Path, urls: list[str]) -> Seen:
    runtime = folder / "run"
    runtime.mkdir(parents=True)
    settings = folder / "facility.yaml"
    cameras = "\n".join(f'  - {{id: C{n}, name: 摄像机, room: R0, main: "{url}"}}' for n, url in enumerate(urls))
    settings.write_text(
        f"facility: {{id: {FACILITY}, name: 测试园}}\npaths: {{data: data, runtime: run}}\n"
        f"rooms: [{{id: R0, name: 甲, capacity: 20}}]\ncameras:\n{cameras}\n"
        f"footage: {{volumes: [footage], segment_s: {SEGMENT_S}}}\nweb: {{port: 0}}\n",
        encoding="utf-8",
    )
    create_volume(folder / "footage", FACILITY)
    with ExitStack() as running:
        desk = Desk(runtime)
        desk.start()
        running.callback(desk.stop)
        command = [sys.executable, "-m", "agent", "process", "record", "--config", str(settings)]
        with (folder / "record.log").open("ab") as log:
            process = subprocess.Popen(command, stderr=log)
        running.callback(process.wait, 30)
        running.callback(process.terminate)
        until(lambda: _records(runtime), 60, f"{len(urls)} cameras are recorded")
        time.sleep(SETTLE_S)
        from_ns, written, video = time.time_ns(), _written(process.pid), _video_bytes(runtime)
        cpu, resident_mb, shared_mb, took_s = _window([process.pid])
        to_ns, written, video = time.time_ns(), _written(process.pid) - written, _video_bytes(runtime) - video
    volume = folder / "footage"
    expected = took_s * FPS
    received = min(
        packets_between(volume / camera_uuid(FACILITY, f"C{n}"), from_ns, to_ns) / expected for n in range(len(urls))
    )
    return Seen(cpu, resident_mb, shared_mb, received, written / max(video, 1))


def _records(runtime: Path) -> bool:
    try:
        cameras = call(runtime / "record.sock", "status", timeout_s=5)["cameras"]
    except (WireError, Refused):
        return False
    return all(each["state"] == "recording" for each in cameras)


def _video_bytes(runtime: Path) -> int:
    return sum(each["bytes"] for each in call(runtime / "record.sock", "status", timeout_s=5)["cameras"])


def _written(pid: int) -> int:
    """Bytes that a process had brought to a disk; what was written over in the page cache counts once."""
    found = re.search(r"^write_bytes: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE)
    return int(found.group(1)) if found else 0


def _ffmpegs(folder: Path, urls: list[str]) -> Seen:
    with ExitStack() as running:
        pids = []
        for number, url in enumerate(urls):
            target = folder / f"ffmpeg{number}"
            target.mkdir()
            command = [
                "ffmpeg", "-nostdin", "-nostats", "-loglevel", "error", "-progress", str(_progress(folder, number)),
                "-rtsp_transport", "tcp", "-i", url, "-an", "-c", "copy", "-f", "segment",
                "-segment_time", str(SEGMENT_S), "-reset_timestamps", "1", str(target / "%03d.mp4"),
            ]  # fmt: skip
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            running.callback(_end, process)
            pids.append(process.pid)
        until(lambda: all(_frames(folder, n) > 0 for n in range(len(urls))), 60, "every ffmpeg copies")
        time.sleep(SETTLE_S)
        before = [_frames(folder, n) for n in range(len(urls))]
        cpu, resident_mb, shared_mb, took_s = _window(pids)
        after = [_frames(folder, n) for n in range(len(urls))]
    # Progress is written twice a second: the two readings may differ by half a second of frames from the window.
    received = min(got - had for had, got in zip(before, after, strict=True)) / (took_s * FPS - FPS / 2)
    return Seen(cpu, resident_mb, shared_mb, min(received, 1.0))


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait(10)


def _progress(folder: Path, number: int) -> Path:
    return folder / f"ffmpeg{number}.txt"


def _frames(folder: Path, number: int) -> int:
    """How many frames one ffmpeg says it copied; its file grows by a block twice a second."""
    progress = _progress(folder, number)
    found = re.findall(r"^frame=\s*(\d+)", progress.read_text(), re.MULTILINE) if progress.exists() else []
    return int(found[-1]) if found else 0


def _beside_motion(folder: Path, url: str, ours: Seen) -> Iterator[Row]:
    name = "recorder, 1 x 1080p: CPU against motion"
    if shutil.which("motion") is None:
        yield Row(name, 0, "x", None, None, "motion is not installed")
        return
    target = folder / "motion"
    target.mkdir()
    settings = target / "motion.conf"
    settings.write_text(
        f"daemon off\nsetup_mode off\nnetcam_url {url}\nnetcam_params rtsp_transport=tcp\ntarget_dir {target}\n"
        "width 1920\nheight 1080\nframerate 25\npicture_output off\nmovie_output on\nmovie_passthrough on\n"
        "movie_codec mkv\nemulate_motion on\nevent_gap 3600\nmovie_max_time 3600\nmovie_filename out\n"
        "webcontrol_port 0\nstream_port 0\n"
    )
    log = target / "motion.log"
    with log.open("wb") as output:
        process = subprocess.Popen(["motion", "-c", str(settings), "-n"], stdout=output, stderr=output)
    try:
        until(lambda: _grows(target), 60, "motion writes")
        time.sleep(SETTLE_S)
        cpu, resident_mb, _, took_s = _window([process.pid])
    finally:
        process.terminate()
        process.wait(20)
    movie = next(target.glob("out*"))
    with av.open(movie) as container:
        times = [float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.pts is not None]
    rate = (len(times) - 1) / max(times[-1] - times[0], 1e-9)
    enough = times[-1] - times[0] >= took_s and rate >= LEAST_RECEIVED * FPS
    note = (
        f"{ours.cpu_percent:.1f} % of a core, motion {cpu:.1f} % with movie_passthrough; memory"
        f" {ours.resident_mb:.0f} MB, motion {resident_mb:.0f} MB; motion wrote {rate:.1f} frames a second"
    )
    yield Row(name, ours.cpu_percent / cpu, "x", 1.0, enough and ours.cpu_percent < cpu, note)


def _grows(target: Path) -> bool:
    return any(path.stat().st_size for path in target.glob("out*"))
