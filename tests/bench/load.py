"""Four 1080p cameras recorded, counted and served beside a panel: the load under which figures are taken.

The processes `record`, `vision` and `web` are those of the product, started like an installation starts them, in the
runtime directory of the panel that is measured: their facts go to its alarm desk. What a camera should have sent is
its frame rate times the time on the clock; what arrived is counted in the files, by PyAV, after the recorder ended.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

import av

from agent.footage.files import camera_uuid, create_volume, parse_name
from agent.wire import Refused, WireError, call
from tests.bench.recorder import CAMERAS, CLIP, FPS, make_clip
from tests.bench.row import Row
from tests.fakes.camera import RtspServer
from tests.fakes.recording import cpu_s
from tests.fakes.waiting import until

MEMORY_MB = 400.0
"""What the four processes may hold together with four cameras."""

FIRST_BYTE_S = 10.0
STATUS_S = 0.3
NAMES = ("record", "vision", "web")
FACILITY = "F0012"
SUBS = ("room-a-sub.mp4", "room-b-sub.mp4")
MEDIA = Path(__file__).parent.parent.parent / "agent" / "demo" / "media"


class Load:
    """The load beside a panel whose sockets lie in `runtime`; everything of its own goes to `folder`."""

    def __init__(self, runtime: Path, folder: Path) -> None:
        self._runtime = runtime
        self._folder = folder
        self._running = ExitStack()
        self._pids: dict[str, int] = {}
        self._first_byte_s = 0.0
        self._before: _Look | None = None
        self._after: _Look | None = None
        self._begun_wall_ns = 0

    def __enter__(self) -> "Load":
        make_clip(CLIP)
        self._folder.mkdir(parents=True, exist_ok=True)
        mains, subs = RtspServer(CLIP.parent), RtspServer(MEDIA)
        for server in (mains, subs):
            server.start()
            self._running.callback(server.stop)
        settings = self._folder / "facility.yaml"
        settings.write_text(self._settings(mains, subs), encoding="utf-8")
        create_volume(self._folder / "footage", FACILITY)
        began = time.monotonic()
        self._begun_wall_ns = time.time_ns()
        for name in NAMES:
            self._start(name, settings)
        until(lambda: any(path.stat().st_size for path in self._files()), 30, "the first byte is recorded")
        self._first_byte_s = time.monotonic() - began
        until(lambda: self._works(), 60, "four cameras are recorded and counted")
        return self

    def __exit__(self, *_error: object) -> None:
        self._running.close()

    def begin(self) -> None:
        """The window of the figures begins."""
        self._before = _Look(self._pids)

    def end(self, alarm_pid: int) -> Iterator[Row]:
        """The window is over: stop everything and judge. `alarm_pid` is the panel's alarm process."""
        self._after = _Look(self._pids)
        memory = {"alarm": _resident_mb(alarm_pid)} | {name: _resident_mb(pid) for name, pid in self._pids.items()}
        status_s = _status_s(self._runtime)
        window = (self._before or self._after, self._after)
        self._running.close()
        yield from self._judge(window[0], window[1], memory, status_s)

    def _judge(self, before: "_Look", after: "_Look", memory: dict[str, float], status_s: list[float]) -> Iterator[Row]:
        expected = (after.at - before.at) * FPS
        received = {
            camera: _packets(self._folder / "footage" / camera_uuid(FACILITY, camera), before.wall_ns, after.wall_ns)
            for camera in _cameras()
        }
        least = min(received.values()) / expected
        idle = 100 * (after.idle - before.idle) / max(after.ticks - before.ticks, 1)
        each = " ".join(f"{camera} {count}/{expected:.0f}" for camera, count in received.items())
        void = "" if least >= 0.99 else "VOID: "
        note = f"{void}in the files {each}; CPU idle {idle:.0f} %"
        yield Row("load: packets received, worst camera", 100 * least, "%", 99.0, least >= 0.99, note)
        seconds = after.at - before.at
        for name in NAMES:
            share = 100 * (after.cpu_s[name] - before.cpu_s[name]) / seconds
            yield Row(f"load: CPU of {name}", share, "% core", None, None, note if name == "record" else "")
        for name, megabytes in memory.items():
            yield Row(f"resident memory of {name}", megabytes, "MB")
        total = sum(memory.values())
        yield Row("resident memory of the four processes", total, "MB", MEMORY_MB, total <= MEMORY_MB, "four cameras")
        first = self._first_byte_s
        yield Row("load: process start to first recorded byte", first, "s", FIRST_BYTE_S, first < FIRST_BYTE_S)
        middle, worst = sorted(status_s)[len(status_s) // 2], max(status_s)
        yield Row("yunjian status under load, median", middle, "s", STATUS_S, middle < STATUS_S, f"max {worst:.3f} s")

    def _settings(self, mains: RtspServer, subs: RtspServer) -> str:
        cameras = "\n".join(
            f'  - {{id: {camera}, name: 摄像机, room: R{number % 2}, main: "{mains.url(CLIP.name)}",'
            f' sub: "{subs.url(SUBS[number % 2])}"}}'
            for number, camera in enumerate(_cameras())
        )
        return (
            f"facility: {{id: {FACILITY}, name: 测试园}}\n"
            f'paths: {{data: data, runtime: "{self._runtime}"}}\n'
            "rooms: [{id: R0, name: 甲, capacity: 20}, {id: R1, name: 乙, capacity: 20}]\n"
            f"cameras:\n{cameras}\nfootage: {{volume: footage}}\nweb: {{port: 0}}\n"
        )

    def _start(self, name: str, settings: Path) -> None:
        with (self._folder / f"{name}.log").open("ab") as output:
            command = [sys.executable, "-m", "agent", "process", name, "--config", str(settings)]
            process = subprocess.Popen(command, stderr=output)
        self._pids[name] = process.pid
        self._running.callback(process.wait, 30)
        self._running.callback(process.terminate)

    def _files(self) -> list[Path]:
        return list((self._folder / "footage").rglob("*.mp4"))

    def _works(self) -> bool:
        try:
            record = call(self._runtime / "record.sock", "status", timeout_s=2)
            vision = call(self._runtime / "vision.sock", "status", timeout_s=2)
        except (WireError, Refused):
            return False
        return all(each["state"] == "recording" for each in record["cameras"]) and all(
            each["looks"] > 5 for each in vision["cameras"]
        )


class _Look:
    """Processor time at one moment."""

    def __init__(self, pids: dict[str, int]) -> None:
        self.at, self.wall_ns = time.monotonic(), time.time_ns()
        self.cpu_s = {name: cpu_s(pid) for name, pid in pids.items()}
        fields = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        self.idle, self.ticks = fields[3] + fields[4], sum(fields)


def _cameras() -> list[str]:
    return [f"C{number}" for number in range(CAMERAS)]


def _packets(folder: Path, from_ns: int, to_ns: int) -> int:
    """The packets in a camera's files whose wall time lies in the window: a file's name tells when it starts."""
    count = 0
    for path in sorted(folder.rglob("*.mp4")):
        name = parse_name(PurePosixPath(path.relative_to(folder.parent)))
        assert name is not None, path
        with av.open(path) as container:
            video = container.streams.video[0]
            tick_ns = 1e9 * (video.time_base or 0)
            first: int | None = None
            for packet in container.demux(video):
                if packet.pts is None:
                    continue
                first = packet.pts if first is None else first
                count += from_ns <= name.start_ns + float((packet.pts - first) * tick_ns) < to_ns
    return count


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _status_s(runtime: Path) -> list[float]:
    taken = []
    for _ in range(15):
        began = time.monotonic()
        command = [sys.executable, "-m", "agent", "--runtime", str(runtime), "status"]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        taken.append(time.monotonic() - began)
    return taken
