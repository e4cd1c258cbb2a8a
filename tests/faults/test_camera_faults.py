"""What a camera can do wrong: told within 10 s, over when it is over, a gap between, other cameras untouched."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from agent.facts import ConditionKind
from tests.fakes.camera import (
    LOOP,
    RtspServer,
    ScriptedServer,
    free_port,
    make_clip,
    mute,
    no_such_stream,
    sound_only,
    web_page,
    wrong_password,
)
from tests.fakes.recording import Recording, assert_decided
from tests.fakes.streamed import StreamedCamera, encoded
from tests.fakes.waiting import until

TOLD_WITHIN_S = 10.0


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_clip(folder / "a.mp4", fps=25)
    return folder


@pytest.fixture
def good(media: Path) -> Iterator[RtspServer]:
    """A camera that works all the time."""
    server = RtspServer(media)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bad(media: Path) -> Iterator[RtspServer]:
    """A camera that is made to fail."""
    server = RtspServer(media)
    server.start()
    yield server
    server.stop()


def untouched(recording: Recording, since_ns: int) -> None:
    """The good camera has no gap since then, and its packets go on."""
    answer = recording.spans("good", since_ns)
    assert answer["gaps"] == []
    assert len(answer["spans"]) == 1
    before = recording.camera("good")["packets"]
    until(lambda: recording.camera("good")["packets"] > before, 3, "packets of the good camera go on")


def test_cameras_that_never_work_are_told_by_their_kind(tmp_path: Path, good: RtspServer) -> None:
    scripts = {"pw": wrong_password, "path": no_such_stream, "sound": sound_only, "page": web_page, "mute": mute}
    servers = {name: ScriptedServer(script) for name, script in scripts.items()}
    addresses = {name: server.url() for name, server in servers.items()}
    addresses |= {
        "closed": f"rtsp://127.0.0.1:{free_port()}/x",
        "wrong": good.url("none.mp4"),
        "good": good.url("a.mp4"),
    }
    secret = tmp_path / "secret"
    secret.write_text("Geheim!42\n")
    secret.chmod(0o600)
    recording = Recording(tmp_path, addresses, extra=f", username: admin, password_file: {secret}")
    recording.make_volume()
    try:
        began = time.monotonic()
        recording.start()
        kinds = {
            "pw": ConditionKind.CAMERA_REFUSED,
            "path": ConditionKind.CAMERA_SILENT,
            "sound": ConditionKind.CAMERA_NOT_VIDEO,
            "page": ConditionKind.CAMERA_NOT_VIDEO,
            "mute": ConditionKind.CAMERA_SILENT,
            "closed": ConditionKind.CAMERA_SILENT,
            "wrong": ConditionKind.CAMERA_SILENT,
        }
        for name, kind in kinds.items():
            told = recording.desk.wait_for(kind, f"camera/{name}", True, 15)
            assert told - began < TOLD_WITHIN_S, name
        until(lambda: recording.is_recording("good"), 10, "the good camera is recorded")
        known = {(kind, f"camera/{name}") for name, kind in kinds.items()}
        assert recording.desk.others(known) == set()
        states = {each["id"]: each["state"] for each in recording.status()["cameras"]}
        assert (states["pw"], states["sound"], states["closed"]) == ("refused", "not_video", "silent")
        gap = recording.spans("pw", time.time_ns() - 10**9)["gaps"][0]
        assert gap["reason"] == "camera_refused"
        # A camera locks a user out who comes too often with a wrong password.
        attempts = sum(method == "DESCRIBE" for _, method in servers["pw"].asked)
        assert attempts <= 4
        assert recording.stop() == 0
        written = recording.log.read_text() + recording.index.read_bytes().decode("latin-1")
        assert "Geheim" not in written
        assert "Geheim" not in str([fact for _, fact in recording.desk.facts])
    finally:
        recording.close()
        for server in servers.values():
            server.stop()


def test_a_camera_that_freezes_and_returns(tmp_path: Path, good: RtspServer, bad: RtspServer) -> None:
    recording = Recording(tmp_path, {"good": good.url("a.mp4"), "bad": bad.url("a.mp4")})
    recording.make_volume()
    try:
        recording.start()
        until(lambda: recording.is_recording("good", "bad"), 10, "both cameras are recorded")
        time.sleep(1.2)
        since_ns = time.time_ns() - 10**9
        frozen = time.monotonic()
        bad.freeze()
        told = recording.desk.wait_for(ConditionKind.CAMERA_SILENT, "camera/bad", True, 15)
        assert told - frozen < TOLD_WITHIN_S
        assert recording.camera("bad")["state"] == "silent"
        thawed = time.monotonic()
        bad.thaw()
        over = recording.desk.wait_for(ConditionKind.CAMERA_SILENT, "camera/bad", False, 15, since=thawed)
        assert over - thawed < TOLD_WITHIN_S
        until(lambda: recording.is_recording("bad"), 5, "the camera is recorded again")
        answer = recording.spans("bad", since_ns)
        assert_decided(answer, since_ns)
        (gap,) = answer["gaps"]
        assert gap["reason"] == "camera_silent"
        assert 3 < (gap["to_ns"] - gap["from_ns"]) / 1e9 < 20
        untouched(recording, since_ns)
        assert recording.desk.others({(ConditionKind.CAMERA_SILENT, "camera/bad")}) == set()
        bad.freeze()
        asked = time.monotonic()
        assert recording.stop() == 0
        assert time.monotonic() - asked < 3, "stopping does not wait for a frozen camera"
    finally:
        recording.close()


def test_a_camera_that_is_unplugged_and_returns(tmp_path: Path, good: RtspServer, bad: RtspServer) -> None:
    recording = Recording(tmp_path, {"good": good.url("a.mp4"), "bad": bad.url("a.mp4")})
    recording.make_volume()
    try:
        recording.start()
        until(lambda: recording.is_recording("good", "bad"), 10, "both cameras are recorded")
        time.sleep(1.2)
        since_ns = time.time_ns() - 10**9
        gone = time.monotonic()
        bad.stop()
        told = recording.desk.wait_for(ConditionKind.CAMERA_SILENT, "camera/bad", True, 15)
        assert told - gone < TOLD_WITHIN_S
        bad.start()
        back = time.monotonic()
        over = recording.desk.wait_for(ConditionKind.CAMERA_SILENT, "camera/bad", False, 15, since=back)
        assert over - back < TOLD_WITHIN_S
        (gap,) = recording.spans("bad", since_ns)["gaps"]
        assert gap["reason"] == "camera_silent"
        untouched(recording, since_ns)
        assert recording.stop() == 0
    finally:
        recording.close()


def test_a_camera_that_is_repaired_is_found_by_itself(tmp_path: Path, media: Path) -> None:
    # The same address first refuses the password, then is a camera.
    server = RtspServer(media)
    scripted = ScriptedServer(wrong_password)
    server.port = scripted.port
    recording = Recording(tmp_path, {"one": f"rtsp://127.0.0.1:{scripted.port}/a.mp4{LOOP}"})
    recording.make_volume()
    try:
        recording.start()
        recording.desk.wait_for(ConditionKind.CAMERA_REFUSED, "camera/one", True, 10)
        scripted.stop()
        server.start()
        repaired = time.monotonic()
        over = recording.desk.wait_for(ConditionKind.CAMERA_REFUSED, "camera/one", False, 20, since=repaired)
        assert over - repaired < 12
        until(lambda: recording.is_recording("one"), 5, "the camera is recorded")
    finally:
        recording.close()
        scripted.stop()
        server.stop()


def test_a_password_file_that_is_not_there_and_appears(tmp_path: Path, good: RtspServer) -> None:
    secret = tmp_path / "secret"
    recording = Recording(tmp_path, {"one": good.url("a.mp4")}, extra=f", username: admin, password_file: {secret}")
    recording.make_volume()
    try:
        began = time.monotonic()
        recording.start()
        told = recording.desk.wait_for(ConditionKind.CAMERA_REFUSED, "camera/one", True, 15)
        assert told - began < TOLD_WITHIN_S
        (_, condition) = recording.desk.conditions(ConditionKind.CAMERA_REFUSED, "camera/one")[0]
        assert str(secret) in str(condition.detail["detail"])
        gap = recording.spans("one", time.time_ns() - 10**9)["gaps"][-1]
        assert gap["reason"] == "camera_refused"
        secret.write_text("Geheim!42\n")
        secret.chmod(0o600)
        appeared = time.monotonic()
        over = recording.desk.wait_for(ConditionKind.CAMERA_REFUSED, "camera/one", False, 15, since=appeared)
        assert over - appeared < TOLD_WITHIN_S
        until(lambda: recording.is_recording("one"), 5, "the camera is recorded")
        assert recording.stop() == 0
        assert "Geheim" not in recording.log.read_text()
    finally:
        recording.close()


def test_a_resolution_that_is_changed_in_mid_stream(tmp_path: Path, good: RtspServer) -> None:
    """Another file, without a gap, in which every picture is of the size that its row says."""
    big, small = encoded(4, (320, 240)), encoded(8, (160, 120))
    camera = StreamedCamera(lambda: itertools.chain(big, small), big[0])
    recording = Recording(tmp_path, {"good": good.url("a.mp4"), "one": camera.url()})
    recording.make_volume()
    try:
        since_ns = time.time_ns()
        recording.start()
        until(lambda: any(each["width"] == 160 for each in recording.segments("one", since_ns)), 20, "the new size")
        time.sleep(3)
        answer = recording.spans("one", since_ns)
        assert len(answer["spans"]) == 1
        assert all(each["to_ns"] <= answer["spans"][0]["from_ns"] for each in answer["gaps"])
        segments = recording.segments("one", since_ns)
        assert [(each["width"], each["height"]) for each in segments] == [(320, 240), (160, 120)]
        assert recording.stop() == 0
        for each in segments:
            with av.open(each["path"]) as container:
                stream = container.streams.video[0]
                sizes = {(stream.width, stream.height)} | {(f.width, f.height) for f in container.decode(stream)}
            assert sizes == {(each["width"], each["height"])}
    finally:
        recording.close()
        camera.stop()
