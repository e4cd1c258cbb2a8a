"""Cameras: a real RTSP server in a process of its own, and a scripted one for what real servers seldom do."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.fakes.waiting import until

LOOP = "?play_count=0"
"""The real server plays a file again and again, with times that go on."""


def make_clip(
    path: Path,
    seconds: int = 4,
    fps: int = 10,
    size: tuple[int, int] = (320, 240),
    b_frames: int = 0,
    hevc: bool = False,
) -> None:
    """A small H.264 (or H.265) file with a key frame each second and pictures that change."""
    width, height = size
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx265" if hevc else "libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": str(fps), "bf": str(b_frames), "sc_threshold": "0"}
        if hevc:
            told = f"keyint={fps}:min-keyint={fps}:scenecut=0:bframes={b_frames}:open-gop=0:pools=1:log-level=none"
            stream.options = {"preset": "ultrafast", "x265-params": told}
        for number in range(fps * seconds):
            picture = np.zeros((height, width, 3), np.uint8)
            picture[:, :, 1] = number * 4 % 255
            left = number * 5 % (width - 40)
            picture[20:60, left : left + 40] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RtspServer:
    """The pinned RTSP server, serving the files of a directory on loopback."""

    def __init__(self, media: Path) -> None:
        self._media = media
        self._control = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def start(self) -> None:
        """Serve, on the same port each time, and wait until it listens."""
        command = [
            str(Path(sys.executable).with_name("rtsp-server")),
            "-d", str(self._media), "-H", "127.0.0.1", "-p", str(self.port), "-cp", str(self._control),
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._listens, 15, "the RTSP server listens")

    def url(self, name: str) -> str:
        """The address of one file, played for ever."""
        return f"rtsp://127.0.0.1:{self.port}/{name}{LOOP}"

    def freeze(self) -> None:
        """Stop it in mid-stream: connections stay open and nothing comes."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, frozen or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the RTSP server ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


Answer = tuple[str, dict[str, str], str]
"""Status line, headers, body of one RTSP answer."""

Script = Callable[[str], Answer | None]
"""Method -> answer; None: say nothing."""


def wrong_password(method: str) -> Answer:
    """Whatever the password, it is wrong."""
    if method == "OPTIONS":
        return "200 OK", {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY"}, ""
    return (
        "401 Unauthorized",
        {"WWW-Authenticate": 'Digest realm="camera", nonce="8b84a3b789283a8bea8da7fa7d41f08b"'},
        "",
    )


def no_such_stream(method: str) -> Answer:
    """A camera that does not know the path."""
    return ("200 OK", {"Public": "OPTIONS, DESCRIBE"}, "") if method == "OPTIONS" else ("404 Not Found", {}, "")


def sound_only(method: str) -> Answer:
    """An intercom: G.711, no video, and not a packet of it."""
    if method == "DESCRIBE":
        sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=audio 0 RTP/AVP 8\r\na=control:track0\r\n"
        return "200 OK", {"Content-Type": "application/sdp"}, sdp
    if method == "SETUP":
        return "200 OK", {"Session": "1", "Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}, ""
    return "200 OK", {"Session": "1", "Public": "OPTIONS, DESCRIBE, SETUP, PLAY"}, ""


def web_page(method: str) -> Answer:
    """Something that answers with a page."""
    return "200 OK", {"Content-Type": "text/html"}, "<html>NVR</html>"


def mute(method: str) -> None:
    """Accepts and says nothing, for ever."""
    return


class ScriptedServer:
    """An RTSP server that answers by a script; the script may be changed while it runs."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[tuple[float, str]] = []
        """When (monotonic seconds) and by which method it was asked."""
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, name="scripted-rtsp", daemon=True).start()

    def url(self) -> str:
        """Its address."""
        return f"rtsp://127.0.0.1:{self.port}/stream"

    def stop(self) -> None:
        """Close everything."""
        for each in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), name="scripted-rtsp-peer", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        held = b""
        try:
            while data := connection.recv(4096):
                held += data
                while b"\r\n\r\n" in held:
                    request, _, held = held.partition(b"\r\n\r\n")
                    self._answer(connection, request.decode("latin-1"))
        except OSError:
            return
        finally:
            self._open.remove(connection)
            connection.close()

    def connected(self) -> list[socket.socket]:
        """Connections that are open at this end."""
        return list(self._open)

    def _answer(self, connection: socket.socket, request: str) -> None:
        lines = request.split("\r\n")
        method = lines[0].split(" ")[0]
        self.asked.append((time.monotonic(), method))
        answer = self.script(method)
        if answer is None:
            return
        status, headers, body = answer
        number = next(line for line in lines if line.lower().startswith("cseq"))
        head = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        text = f"RTSP/1.0 {status}\r\n{number}\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}"
        connection.sendall(text.encode())
