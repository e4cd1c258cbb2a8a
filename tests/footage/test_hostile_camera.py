"""Cameras that answer with nonsense, or mean harm: each costs bounded time, is told, and never learns or spreads a
password."""

import base64
import logging
import socket
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest

from agent.camera_address import Address
from agent.clock import SystemClock
from agent.footage.recording.arrivals import Ended, Opened
from agent.footage.recording.camera import Camera
from agent.footage.recording.picture_sets import CHANGES, PictureSets
from agent.footage.timeline import NS
from tests.fakes.camera import ScriptedServer
from tests.fakes.streamed import StreamedCamera, encoded
from tests.fakes.waiting import until

PASSWORD = "Geheim!42"
Say = Callable[[socket.socket, str], None]


def ok(number: str, body: bytes, length: int | str | None = None) -> bytes:
    told = len(body) if length is None else length
    return (
        f"RTSP/1.0 200 OK\r\n{number}\r\nContent-Type: application/sdp\r\nContent-Length: {told}\r\n\r\n".encode()
        + body
    )


_BASE = Fraction(1, 90_000)

SDP = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n"


def noise(connection: socket.socket, number: str) -> None:
    connection.sendall(bytes(range(256)) * 64)


def headers_without_end(connection: socket.socket, number: str) -> None:
    connection.sendall(b"RTSP/1.0 200 OK\r\n")
    while True:
        connection.sendall(b"X-Header: yes\r\n" * 100)


def a_line_without_end(connection: socket.socket, number: str) -> None:
    while True:
        connection.sendall(b"A" * 4096)


def dripping(connection: socket.socket, number: str) -> None:
    while True:
        connection.sendall(b"R")
        time.sleep(0.05)


def a_length_of_gigabytes(connection: socket.socket, number: str) -> None:
    connection.sendall(ok(number, SDP, 2_147_483_000))


def a_length_below_zero(connection: socket.socket, number: str) -> None:
    connection.sendall(ok(number, SDP, -5))


def a_length_that_is_none(connection: socket.socket, number: str) -> None:
    connection.sendall(ok(number, SDP, "99999999999999999999999"))


def thousands_of_streams(connection: socket.socket, number: str) -> None:
    connection.sendall(ok(number, SDP + b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:x\r\n" * 2000))


def a_description_of_noise(connection: socket.socket, number: str) -> None:
    connection.sendall(ok(number, bytes(range(1, 256)) * 20))


def parameter_sets_of_noise(connection: socket.socket, number: str) -> None:
    sets = base64.b64encode(bytes(range(256)) * 8)
    told = b"a=fmtp:96 packetization-mode=1;sprop-parameter-sets=" + sets + b"," + sets + b"\r\na=control:video\r\n"
    connection.sendall(ok(number, SDP + b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" + told))


class HostileServer(ScriptedServer):
    """Answers OPTIONS, and DESCRIBE with whatever `say` sends."""

    def __init__(self, say: Say) -> None:
        super().__init__(lambda _: None)
        self._say = say

    def _answer(self, connection: socket.socket, request: str) -> None:
        lines = request.split("\r\n")
        number = next(line for line in lines if line.lower().startswith("cseq"))
        method = lines[0].split(" ")[0]
        self.asked.append((time.monotonic(), method))
        if method == "DESCRIBE":
            self._say(connection, number)
        else:
            connection.sendall(
                f"RTSP/1.0 200 OK\r\n{number}\r\nSession: 1\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n".encode()
            )


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(PASSWORD)
    return path


def first_end(camera: Camera) -> Ended:
    found = until(lambda: next((each for each in camera.take() if isinstance(each, Ended)), None), 30, "an end")
    assert isinstance(found, Ended)
    return found


@pytest.mark.parametrize(
    "say",
    [
        noise, headers_without_end, a_line_without_end, dripping, a_length_of_gigabytes, a_length_below_zero,
        a_length_that_is_none, thousands_of_streams, a_description_of_noise, parameter_sets_of_noise,
    ],
)  # fmt: skip
def test_an_answer_that_makes_no_sense(
    say: Say, secret: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent.camera_open.OPEN_TIMEOUT_S", 1.0)
    server = HostileServer(say)
    camera = Camera("one", Address(server.url(), "tcp", "admin", secret), SystemClock(), 1.0)
    caplog.set_level(logging.DEBUG)
    try:
        camera.start()
        ended = first_end(camera)
        assert not ended.was_open
        assert PASSWORD not in ended.detail
        assert len(ended.detail) < 200
    finally:
        camera.ask_to_stop()
        server.stop()
        assert camera.join(10)
    assert PASSWORD not in caplog.text


def test_a_camera_that_sends_us_in_circles(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.camera_open.OPEN_TIMEOUT_S", 1.0)
    places: list[str] = []

    def elsewhere(connection: socket.socket, number: str) -> None:
        connection.sendall(f"RTSP/1.0 302 Moved\r\n{number}\r\nLocation: {places[0]}\r\n\r\n".encode())

    server = HostileServer(elsewhere)
    places.append(server.url())
    camera = Camera("one", Address(server.url(), "tcp", "admin", secret), SystemClock(), 1.0)
    try:
        camera.start()
        ended = first_end(camera)
        assert not ended.was_open
        assert PASSWORD not in ended.detail
    finally:
        camera.ask_to_stop()
        server.stop()
        assert camera.join(10)


def test_a_reader_that_fails_tells_no_password(
    secret: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a library may put into the text of an error."""

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError(f"cannot open rtsp://admin:{PASSWORD}@10.0.0.1/x")

    monkeypatch.setattr("agent.footage.recording.camera.open_stream", fails)
    camera = Camera("one", Address("rtsp://127.0.0.1:9/x", "tcp", "admin", secret), SystemClock(), 1.0)
    try:
        camera.start()
        assert first_end(camera).detail == "error: RuntimeError"
        assert first_end(camera).detail == "error: RuntimeError"
    finally:
        camera.ask_to_stop()
        assert camera.join(10)
    assert PASSWORD not in caplog.text
    assert sum("the reader failed" in each.message for each in caplog.records) == 1


@pytest.fixture
def brief() -> Iterator[StreamedCamera]:
    """It hangs up after two pictures."""
    shown = encoded(1, (160, 120))
    server = StreamedCamera(lambda: iter(shown[:2]), shown[0])
    yield server
    server.stop()


def test_a_camera_that_breaks_off_at_once_is_asked_more_and_more_seldom(brief: StreamedCamera) -> None:
    camera = Camera("one", Address(brief.url()), SystemClock(), 2.0)
    played: list[float] = []

    def connections() -> int:
        camera.take()
        played[:] = [at for at, method in list(brief.asked) if method == "PLAY"]
        return len(played)

    try:
        camera.start()
        until(lambda: connections() >= 5, 30, "connections")
    finally:
        camera.ask_to_stop()
        assert camera.join(10)
    assert played[4] - played[3] >= 2.0


def test_a_picture_that_is_another_one_every_moment_makes_few_files() -> None:
    """25 a second for an hour; one that is another one every second loses nothing."""
    first, second = (next(iter(encoded(1, size))) for size in ((160, 120), (320, 240)))

    def told(distance_ns: int, seconds: int) -> tuple[int, int]:
        packets = [av.Packet(first), av.Packet(second)]
        sets, found = PictureSets(Opened(1, "h264", 160, 120, _BASE, 3600)), 0
        left_out = 0
        for number in range(seconds * NS // distance_ns):
            found += sets.look(packets[number % 2], number * distance_ns) is not None
            left_out += sets.leaves_out
        return found, left_out

    found, left_out = told(NS // 25, 60)
    assert found <= 60 * CHANGES // 10 + CHANGES
    assert left_out > 0
    assert told(NS, 60) == (59, 0)
