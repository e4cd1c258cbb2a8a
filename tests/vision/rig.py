"""The vision process against real RTSP, with a desk that keeps what it is told."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import av
from av import VideoFrame

from agent.facts import Condition, Fact, PeopleCounted, decode
from agent.wire import Reply, Request, Server, WireError, call
from tests.fakes.waiting import until

MEDIA = Path(__file__).parents[2] / "agent" / "demo" / "media"

Kind = TypeVar("Kind", bound=Fact)


class Desk:
    """Takes every fact, acknowledges it, and remembers it in order."""

    def __init__(self, runtime: Path) -> None:
        self._guard = threading.Lock()
        self._facts: list[Fact] = []
        self._server = Server(runtime / "alarm.sock", {"fact": self._take})

    def __enter__(self) -> "Desk":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def told(self, kind: type[Kind]) -> list[Kind]:
        """Every fact of one kind so far."""
        with self._guard:
            return [each for each in self._facts if isinstance(each, kind)]

    def conditions(self, kind: str, subject: str) -> list[Condition]:
        """Every message about one lasting state so far."""
        return [each for each in self.told(Condition) if each.kind == kind and each.subject == subject]

    def counts(self, room_id: str) -> list[PeopleCounted]:
        """Every count of one room so far."""
        return [each for each in self.told(PeopleCounted) if each.room_id == room_id]

    def _take(self, request: Request, reply: Reply) -> None:
        with self._guard:
            self._facts.append(decode(request.args["fact"]))
        reply.done()


class VisionProcess:
    """The real process, started as the supervisor does."""

    def __init__(self, settings: Path, runtime: Path) -> None:
        self._runtime = runtime
        self._log = runtime / "vision.log"
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "agent.processes.vision", str(settings)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def status(self) -> dict[str, Any] | None:
        """What it says of itself, None when it does not answer."""
        with contextlib.suppress(WireError):
            return call(self._runtime / "vision.sock", "status")
        return None

    def wait_until_ready(self) -> None:
        """Its socket answers."""
        until(lambda: self.status() or not self.alive(), 20, "the vision process answers")
        assert self.alive(), self.log()

    def alive(self) -> bool:
        """It has not ended."""
        return self._process.poll() is None

    def log(self) -> str:
        """What it wrote to stderr."""
        return self._log.read_text(encoding="utf-8")

    def stop(self) -> int:
        """Ask it to stop; its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(15)

    def kill(self) -> None:
        """For clearing up after a failed test."""
        if self.alive():
            self._process.kill()
            self._process.wait()


class RtspServer:
    """Cameras whose pictures are files. `url` is where they stand."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.url = f"rtsp://127.0.0.1:{port}"
        self._process = process

    def freeze(self) -> None:
        """Keep every connection and send nothing more."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def rtsp_server(folder: Path) -> Iterator[RtspServer]:
    """Serve the files of a folder."""
    port, control = free_port(), free_port()
    command = [str(Path(sys.executable).with_name("rtsp-server")), "-d", str(folder), "-H", "127.0.0.1"]
    command += ["-p", str(port), "-cp", str(control)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: answers(port), 15, "the RTSP server listens")
            yield RtspServer(port, server)
        finally:
            server.send_signal(signal.SIGCONT)
            server.terminate()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def frames(clip: str) -> list[VideoFrame]:
    """Every frame of one of the committed clips."""
    with av.open(str(MEDIA / clip)) as container:
        return list(container.decode(video=0))


def write_clip(path: Path, pictures: list[VideoFrame], fps: int = 5) -> None:
    """Encode pictures as a camera would."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = pictures[0].width, pictures[0].height, "yuv420p"
        stream.options = {"bf": "0", "g": str(fps), "preset": "veryfast", "crf": "26"}
        for number, picture in enumerate(pictures):
            picture.pts, picture.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
