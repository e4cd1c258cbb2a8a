"""Cameras that answer with nonsense, or mean harm: each costs bounded time, is told, and never learns or spreads a
password."""

import logging
import socket
from collections.abc import Iterator
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
from tests.fakes import hostile_camera
from tests.fakes.streamed import StreamedCamera, encoded
from tests.fakes.waiting import until

PASSWORD = "Geheim!42"
_BASE = Fraction(1, 90_000)


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
        hostile_camera.noise,
        hostile_camera.headers_without_end,
        hostile_camera.a_line_without_end,
        hostile_camera.dripping,
        hostile_camera.a_length_of_gigabytes,
        hostile_camera.a_length_below_zero,
        hostile_camera.a_length_that_is_none,
        hostile_camera.thousands_of_streams,
        hostile_camera.a_description_of_noise,
        hostile_camera.parameter_sets_of_noise,
    ],
)
def test_an_answer_that_makes_no_sense(
    say: hostile_camera.Say, secret: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent.camera_open.OPEN_TIMEOUT_S", 1.0)
    server = hostile_camera.HostileServer(say)
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

    server = hostile_camera.HostileServer(elsewhere)
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
