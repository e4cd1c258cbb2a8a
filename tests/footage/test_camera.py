"""A camera's connection: what it hands on, what it keeps to itself, and what it does when libav does not answer."""

import itertools
import threading
import time
import traceback
from pathlib import Path
from urllib.parse import unquote, urlsplit

import av
import pytest

from agent.camera_address import Address, NoPassword
from agent.clock import SystemClock
from agent.footage.recording.arrivals import MAX_WAITING_BYTES, Arrived, Ended, Item, Opened, Overflowed, Trouble
from agent.footage.recording.camera import Camera
from tests.fakes.camera import RtspServer, ScriptedServer, make_clip, mute, wrong_password
from tests.fakes.clock import MovedClock
from tests.fakes.streamed import StreamedCamera, encoded
from tests.fakes.waiting import until


def test_user_and_password_are_put_into_the_address_and_nowhere_else(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("p@ss/w:rd#1 \n")
    address = Address("rtsp://10.0.0.5:554/h264/ch1", "tcp", "admin", secret)
    parts = urlsplit(address.with_credentials())
    assert unquote(parts.password or "") == "p@ss/w:rd#1"
    assert (parts.username, parts.hostname, parts.port, parts.path) == ("admin", "10.0.0.5", 554, "/h264/ch1")
    assert "p@ss" not in repr(address)


def test_without_a_user_the_address_is_as_it_is() -> None:
    assert Address("rtsp://10.0.0.5/x").with_credentials() == "rtsp://10.0.0.5/x"


def taken(camera: Camera, kind: type[Item], timeout_s: float = 10.0) -> list[Item]:
    """Everything taken until something of this kind came."""
    found: list[Item] = []

    def seen() -> bool:
        found.extend(camera.take())
        return any(isinstance(each, kind) for each in found)

    until(seen, timeout_s, f"{kind.__name__} of the camera")
    return found


def test_packets_of_a_real_stream(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4")
    server = RtspServer(tmp_path)
    server.start()
    camera = Camera("one", Address(server.url("a.mp4")), SystemClock(), 2.0)
    try:
        camera.start()
        items = taken(camera, Arrived)
        opened, first = items[0], items[1]
        assert isinstance(opened, Opened)
        assert isinstance(first, Arrived)
        assert (opened.codec, opened.width, opened.height) == ("h264", 320, 240)
        assert first.packet.is_keyframe
        assert camera.with_streams(opened.connection, lambda video, _: video.type) == "video"
        assert camera.with_streams(opened.connection + 1, lambda video, _: video.type) is None
        server.stop()
        ended = next(each for each in taken(camera, Ended) if isinstance(each, Ended))
        assert (ended.trouble, ended.was_open) == (Trouble.SILENT, True)
        assert camera.with_streams(opened.connection, lambda video, _: video.type) is None
    finally:
        camera.ask_to_stop()
        server.stop()
        assert camera.join(10)


def test_h265_of_a_real_server(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", b_frames=2, hevc=True)
    server = RtspServer(tmp_path)
    server.start()
    camera = Camera("one", Address(server.url("a.mp4")), SystemClock(), 2.0)
    try:
        camera.start()
        opened, first = taken(camera, Arrived)[:2]
        assert isinstance(opened, Opened)
        assert isinstance(first, Arrived)
        assert (opened.codec, opened.width, opened.height) == ("hevc", 320, 240)
        assert first.packet.is_keyframe
    finally:
        camera.ask_to_stop()
        server.stop()
        assert camera.join(10)


def test_a_stop_is_not_told_as_an_end_of_the_stream(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4")
    server = RtspServer(tmp_path)
    server.start()
    camera = Camera("one", Address(server.url("a.mp4")), SystemClock(), 2.0)
    try:
        camera.start()
        taken(camera, Arrived)
        camera.ask_to_stop()
        assert camera.join(10)
        assert not [each for each in camera.take() if isinstance(each, Ended)]
    finally:
        server.stop()


def test_an_error_text_never_holds_the_password(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("Geheim!42")
    server = ScriptedServer(wrong_password)
    camera = Camera("one", Address(server.url(), "tcp", "admin", secret), SystemClock(), 1.0)
    try:
        camera.start()
        ended = next(each for each in taken(camera, Ended) if isinstance(each, Ended))
        assert ended.trouble is Trouble.REFUSED
        assert "Geheim" not in repr(ended)
    finally:
        camera.ask_to_stop()
        server.stop()


def test_a_password_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    camera = Camera("one", Address("rtsp://127.0.0.1:9/x", "tcp", "admin", tmp_path / "none"), SystemClock(), 1.0)
    try:
        camera.start()
        ended = next(each for each in taken(camera, Ended) if isinstance(each, Ended))
        assert ended.trouble is Trouble.REFUSED
        assert str(tmp_path / "none") in ended.detail
        assert not ended.asked
    finally:
        camera.ask_to_stop()


def test_a_password_file_of_garbage_is_told_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"Geheim\xff\xfe")
    address = Address("rtsp://127.0.0.1:9/x", "tcp", "admin", tmp_path / "secret")
    with pytest.raises(NoPassword) as told:
        address.with_credentials()
    assert "secret" in str(told.value)
    assert "Geheim" not in "".join(traceback.format_exception(told.value))


def test_another_resolution_within_a_connection_is_told_before_its_key_frame() -> None:
    big, small = encoded(1, (320, 240)), encoded(1, (160, 120))
    server = StreamedCamera(lambda: iter([*big, *small, *big]), big[0])
    camera = Camera("one", Address(server.url()), SystemClock(), 2.0)
    try:
        camera.start()
        items = taken(camera, Ended)
        opened = [each for each in items if isinstance(each, Opened)]
        assert [(each.width, each.height) for each in opened] == [(320, 240), (160, 120), (320, 240)]
        assert len({each.connection for each in opened}) == 1
        for each in opened[1:]:
            following = items[items.index(each) + 1]
            assert isinstance(following, Arrived)
            assert following.packet.is_keyframe
    finally:
        camera.ask_to_stop()
        server.stop()
        assert camera.join(10)


def test_a_camera_that_sends_sound_and_no_pictures_is_silent() -> None:
    big = encoded(1, (320, 240))
    server = StreamedCamera(lambda: itertools.chain(big, itertools.repeat(b"")), big[0])
    camera = Camera("one", Address(server.url()), SystemClock(), 1.0)
    try:
        camera.start()
        ended = next(each for each in taken(camera, Ended) if isinstance(each, Ended))
        assert (ended.trouble, ended.was_open) == (Trouble.SILENT, True)
    finally:
        camera.ask_to_stop()
        server.stop()


def test_a_camera_that_comes_and_goes_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Descriptors and threads after fifty connections are those after five."""
    monkeypatch.setattr("agent.footage.recording.camera.BACKOFF_S", (0.01,))
    big = encoded(1, (320, 240))
    server = StreamedCamera(lambda: iter(big[:2]), big[0])
    camera = Camera("one", Address(server.url()), SystemClock(), 2.0)

    def held() -> tuple[int, int]:
        threads = [each for each in threading.enumerate() if each.name.startswith("camera-")]
        return len(list(Path("/proc/self/fd").iterdir())) - len(server.connected()), len(threads)

    def after(connections: int) -> tuple[int, int]:
        until(lambda: camera.take() is not None and server.connections >= connections, 60, "connections")
        return held()

    try:
        camera.start()
        early = after(5)
        late = after(50)
        assert late[0] <= early[0] + 2, "one connection begins or ends at any time"
        assert late[1] == early[1] == 1
    finally:
        camera.ask_to_stop()
        server.stop()
        assert camera.join(10)


def test_what_nobody_takes_is_bounded_and_told() -> None:
    clock = MovedClock()
    server = ScriptedServer(mute)
    camera = Camera("one", Address(server.url()), clock, 30.0)
    try:
        camera.start()
        turn = camera._reader._turn
        assert turn is not None
        data = av.Packet(1 << 20)
        for _ in range(40):
            camera.put(Arrived(data, 0), turn)
        items = camera.take()
        assert sum(isinstance(each, Arrived) for each in items) == MAX_WAITING_BYTES >> 20
        assert isinstance(items[-1], Overflowed)
        camera.put(Arrived(data, 0), turn)
        assert len(camera.take()) == 1, "once it is taken, there is room again"
    finally:
        camera.ask_to_stop()
        server.stop()


def test_a_reader_that_hangs_is_replaced_and_ignored() -> None:
    clock = MovedClock()
    server = ScriptedServer(mute)
    camera = Camera("one", Address(server.url()), clock, 30.0)
    try:
        camera.start()
        until(lambda: server.asked, 5, "the camera was asked")
        first = camera._reader._turn
        assert first is not None
        assert not camera.replace_hung()
        clock.move(31)
        assert camera.replace_hung()
        assert not camera._reader.is_current(first)
        first_item = Arrived(av.Packet(10), 0)
        camera.put(first_item, first)
        assert first_item not in camera.take()
    finally:
        camera.ask_to_stop()
        server.stop()


def test_stopping_never_waits_for_a_camera() -> None:
    server = ScriptedServer(mute)
    camera = Camera("one", Address(server.url()), SystemClock(), 5.0)
    camera.start()
    until(lambda: server.asked, 5, "the camera was asked")
    began = time.monotonic()
    camera.ask_to_stop()
    assert not camera.join(0.1)
    assert time.monotonic() - began < 0.5
    server.stop()
