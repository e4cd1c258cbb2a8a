"""Four 1080p cameras recorded, counted and served: the load under which figures are taken.

The processes `record`, `vision` and `web` are those of the product, started like an installation starts them, in a
runtime directory where an alarm desk listens: their facts go to it. What a camera should have sent is its frame rate
times the time on the clock; what arrived is counted in the files, by PyAV, after the recorder ended.
"""

import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath

import av
import numpy as np

from agent.footage.disk.files import create_volume
from agent.footage.naming import camera_uuid, parse_name
from agent.wire import Refused, WireError, call
from tests.fakes.camera import RtspServer
from tests.fakes.recording import cpu_s
from tests.fakes.waiting import until

CAMERAS = 4
FPS = 25
CLIP = Path(__file__).parent.parent.parent / "build" / "bench" / "1080p25.mp4"
MEDIA = Path(__file__).parent.parent.parent / "agent" / "demo" / "media"
SUBS = ("room-a-sub.mp4", "room-b-sub.mp4")
NAMES = ("record", "vision", "web")
FACILITY = "F0012"

LEAST_RECEIVED = 0.99
"""With less of what the cameras sent, a figure is void: the load was not what it says."""


@dataclass(frozen=True)
class Seen:
    """What was seen in one window. `received` counts packets per camera; `cpu_s` and `resident_mb` are per process."""

    window_s: float
    received: dict[str, int]
    idle_percent: float
    cpu_s: dict[str, float]
    resident_mb: dict[str, float]

    @property
    def expected(self) -> float:
        """The packets that each camera sent in the window."""
        return self.window_s * FPS

    @property
    def whole(self) -> bool:
        """Whether every camera's packets arrived."""
        return min(self.received.values()) >= LEAST_RECEIVED * self.expected

    @property
    def note(self) -> str:
        """Packets per camera and idle processor time, as every row prints them."""
        each = " ".join(f"{camera} {count}/{self.expected:.0f}" for camera, count in self.received.items())
        return f"{'' if self.whole else 'VOID: '}packets {each}; CPU idle {self.idle_percent:.0f} %"


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


class Load:
    """The load; its sockets lie in `runtime`, where alarm.sock is; everything else of its own goes to `folder`."""

    def __init__(self, runtime: Path, folder: Path) -> None:
        self._runtime = runtime
        self._folder = folder
        self._running = ExitStack()
        self._pids: dict[str, int] = {}
        self._before: _Look | None = None

    def __enter__(self) -> "Load":
        make_clip(CLIP)
        self._folder.mkdir(parents=True, exist_ok=True)
        mains, subs = RtspServer(CLIP.parent), RtspServer(MEDIA)
        for server in (mains, subs):
            server.start()
            self._running.callback(server.stop)
        settings = self._folder / "facility.yaml"
        settings.write_text(settings_text(self._runtime, mains, subs), encoding="utf-8")
        create_volume(self._folder / "footage", FACILITY)
        for name in NAMES:
            self._start(name, settings)
        until(lambda: self._works(), 60, "four cameras are recorded and counted")
        return self

    def __exit__(self, *_error: object) -> None:
        self._running.close()

    def begin(self) -> None:
        """The window of the figures begins."""
        self._before = _Look(self._pids)

    def end(self) -> Seen:
        """The window is over: stop everything and count."""
        before, after = self._before, _Look(self._pids)
        assert before is not None, "begin() comes first"
        resident_mb = {name: resident(pid) for name, pid in self._pids.items()}
        self._running.close()
        volume = self._folder / "footage"
        received = {
            camera: packets_between(volume / camera_uuid(FACILITY, camera), before.wall_ns, after.wall_ns)
            for camera in _cameras()
        }
        return Seen(
            after.at - before.at,
            received,
            100 * (after.idle - before.idle) / max(after.ticks - before.ticks, 1),
            {name: after.cpu_s[name] - before.cpu_s[name] for name in NAMES},
            resident_mb,
        )

    def _start(self, name: str, settings: Path) -> None:
        with (self._folder / f"{name}.log").open("ab") as output:
            command = [sys.executable, "-m", "agent", "process", name, "--config", str(settings)]
            process = subprocess.Popen(command, stderr=output)
        self._pids[name] = process.pid
        self._running.callback(process.wait, 30)
        self._running.callback(process.terminate)

    def _works(self) -> bool:
        try:
            record = call(self._runtime / "record.sock", "status", timeout_s=2)
            vision = call(self._runtime / "vision.sock", "status", timeout_s=2)
        except (WireError, Refused):
            return False
        return all(each["state"] == "recording" for each in record["cameras"]) and all(
            each["looks"] > 5 for each in vision["cameras"]
        )


def settings_text(runtime: Path, mains: RtspServer, subs: RtspServer) -> str:
    """The settings of a facility with four cameras, whose sockets lie in `runtime`."""
    cameras = "\n".join(
        f'  - {{id: {camera}, name: 摄像机, room: R{number % 2}, main: "{mains.url(CLIP.name)}",'
        f' sub: "{subs.url(SUBS[number % 2])}"}}'
        for number, camera in enumerate(_cameras())
    )
    return (
        f"facility: {{id: {FACILITY}, name: 测试园}}\n"
        f'paths: {{data: data, runtime: "{runtime}"}}\n'
        "rooms: [{id: R0, name: 甲, capacity: 20}, {id: R1, name: 乙, capacity: 20}]\n"
        f"cameras:\n{cameras}\nfootage: {{volumes: [footage]}}\nweb: {{port: 0}}\n"
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


def packets_between(folder: Path, from_ns: int, to_ns: int) -> int:
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


def resident(pid: int) -> float:
    """The resident memory of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
