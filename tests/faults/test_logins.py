"""A password that a camera refuses: recording and vision ask seldom, together, and at once when it is mended."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.camera_address import Address
from agent.clock import SystemClock
from agent.facts import ConditionKind
from agent.logins import WAITS_S, Logins
from agent.vision.frames import FrameSource
from tests.fakes.encoded import pictures
from tests.fakes.recording import Recording
from tests.fakes.scripted_camera import ScriptedCamera, steady
from tests.fakes.waiting import until


@pytest.fixture
def camera() -> Iterator[ScriptedCamera]:
    shown = pictures(1)
    made = ScriptedCamera(lambda _: steady(shown * 60), shown[0])
    made.login = ("admin", "right")
    yield made
    made.stop()


def test_the_camera_is_asked_by_turns_and_at_once_when_the_file_changes(camera: ScriptedCamera, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    settings = f", username: admin, password_file: {secret}, sub: '{camera.url()}', record_sub: true"
    recording = Recording(tmp_path, {"one": camera.url()}, extra=settings)
    recording.make_volume()
    vision = FrameSource(
        "one", Address(camera.url(), "tcp", "admin", secret), False, SystemClock(), lambda: None,
        Logins(recording.runtime / "logins", SystemClock()),
    )  # fmt: skip
    try:
        recording.start()
        vision.start()
        for subject in ("camera/one", "camera/one/sub"):
            recording.desk.wait_for(ConditionKind.CAMERA_REFUSED, subject, True, 15)
        until(lambda: vision.seen()[2] == "login_refused", 10, "vision says why")
        time.sleep(WAITS_S[0] + 3)
        assert len(camera.wrong) == 3, (
            "three streams once each; the third refusal puts the next a quarter of an hour off"
        )
        mended = time.monotonic()
        secret.write_text("right\n")
        until(lambda: len(recording.status()["cameras"]) == 2 and _recorded(recording), 10, "both streams are recorded")
        until(lambda: vision.seen()[0], 10, "frames are decoded")
        assert time.monotonic() - mended < 10
        assert len(camera.wrong) == 3
        for subject in ("camera/one", "camera/one/sub"):
            recording.desk.wait_for(ConditionKind.CAMERA_REFUSED, subject, False, 5)
        assert not list((recording.runtime / "logins").iterdir())
        assert recording.stop() == 0
    finally:
        vision.ask_to_stop()
        recording.close()
        assert vision.join(10)


def _recorded(recording: Recording) -> bool:
    return all(each["state"] == "recording" for each in recording.status()["cameras"])


def test_one_stream_of_two_fails_and_is_named(camera: ScriptedCamera, tmp_path: Path) -> None:
    """The main stream is recorded on while the sub stream has no such path; each has its own state and its own gap."""
    camera.login = None
    sub = ScriptedCamera(lambda _: iter(()), pictures(0.2)[0])
    sub.script = lambda method: ("404 Not Found", {}, "") if method == "DESCRIBE" else ("200 OK", {}, "")
    recording = Recording(tmp_path, {"one": camera.url()}, extra=f", sub: '{sub.url()}', record_sub: true")
    recording.make_volume()
    try:
        recording.start()
        recording.desk.wait_for(ConditionKind.CAMERA_SILENT, "camera/one/sub", True, 15)
        states = {each["stream"]: (each["state"], each["detail"]) for each in recording.status()["cameras"]}
        assert states == {"main": ("recording", ""), "sub": ("silent", "no_such_stream")}
        assert not recording.desk.conditions(ConditionKind.CAMERA_SILENT, "camera/one")
        assert recording.stop() == 0
    finally:
        recording.close()
        sub.stop()
