"""ONVIF against a camera that others wrote: ipycam, in a network of its own, for it listens everywhere."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.camera_address import Address
from agent.clock import SystemClock
from agent.footage.recording.arrivals import Arrived, Opened
from agent.footage.recording.camera import Camera
from agent.onvif import OnvifFailed, stream_address
from tests.fakes.waiting import until

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-ipycam" / "bin" / "python"
OURS, THEIRS = "10.77.91.1", "10.77.91.2"
SPACE = "yunjian-ipycam"

pytestmark = [pytest.mark.needs_debian("ip"), pytest.mark.needs_debian("ffmpeg"), pytest.mark.needs_root]


@dataclass(frozen=True)
class Device:
    """The virtual camera, and a file with its password."""

    url: str
    secret: Path

    def address(self, profile: str) -> Address:
        return Address(self.url, "tcp", "admin", self.secret, profile)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _remove() -> None:
    for gone in (["netns", "del", SPACE], ["link", "del", "yj-ours"]):
        with suppress(subprocess.CalledProcessError):
            _ip(*gone)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    subprocess.run(["make", "-s", "-C", str(ROOT), ".venv-ipycam/.made"], check=True)
    folder = tmp_path_factory.mktemp("ipycam")
    secret = folder / "secret"
    secret.write_text("Geheim!42")
    _remove()
    _ip("netns", "add", SPACE)
    process = None
    try:
        _ip("link", "add", "yj-ours", "type", "veth", "peer", "name", "yj-theirs", "netns", SPACE)
        _ip("address", "add", f"{OURS}/30", "dev", "yj-ours")
        _ip("link", "set", "yj-ours", "up")
        for setting in (("address", "add", f"{THEIRS}/30", "dev", "yj-theirs"), ("link", "set", "yj-theirs", "up"),
                        ("link", "set", "lo", "up"), ("route", "add", "default", "via", OURS)):  # fmt: skip
            _ip("-n", SPACE, *setting)
        program = str(ROOT / "tests" / "fakes" / "ipycam_device.py")
        command = ["ip", "netns", "exec", SPACE, str(PYTHON), program, THEIRS, "admin", "Geheim!42"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        made = Device(f"onvif://{THEIRS}:8080", secret)

        def answers() -> bool:
            assert process is not None
            assert process.poll() is None, (folder / "log").read_text()
            with suppress(OnvifFailed):
                return bool(stream_address(made.address("main"), SystemClock()))
            return False

        until(answers, 30, "the virtual camera answers", every_s=0.2)
        yield made
    finally:
        if process is not None:
            process.kill()
            process.wait(10)
        _remove()


def _yunjian(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", "agent", *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


@pytest.mark.parametrize(("profile", "size"), [("main", (640, 480)), ("sub", (320, 240))])
def test_its_streams_are_found_and_read(device: Device, profile: str, size: tuple[int, int]) -> None:
    camera = Camera("one", device.address(profile), SystemClock(), 2.5)
    seen: list[object] = []

    def pictures() -> int:
        seen.extend(camera.take())
        return sum(isinstance(each, Arrived) for each in seen)

    try:
        camera.start()
        until(lambda: pictures() >= 10, 30, "ten pictures")
        opened = next(each for each in seen if isinstance(each, Opened))
        assert (opened.codec, opened.width, opened.height) == ("h264", *size)
    finally:
        camera.ask_to_stop()
        assert camera.join(10)


def test_a_wrong_password_is_refused(device: Device, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong")
    with pytest.raises(OnvifFailed) as told:
        stream_address(Address(device.url, "tcp", "admin", tmp_path / "wrong"), SystemClock())
    assert told.value.refused


def test_the_commands_show_it(device: Device, tmp_path: Path) -> None:
    status, told = _yunjian("camera", "discover", "--interface", OURS, "--json")
    assert status == 0
    assert [each["addresses"] for each in json.loads(told)] == [[f"http://{THEIRS}:8080/onvif/device_service"]]
    asked = ["camera", "probe", device.url, "--username", "admin"]
    status, told = _yunjian(*asked, "--password-file", str(device.secret), "--json")
    assert status == 0
    streams = {row["profile"]: row for row in json.loads(told)}
    assert streams["Profile_Main"]["main"]
    assert streams["Profile_Sub"]["sub"]
    assert streams["Profile_Sub"]["url"] == f"rtsp://{THEIRS}:8554/video_sub"
    (tmp_path / "wrong").write_text("wrong")
    assert _yunjian(*asked, "--password-file", str(tmp_path / "wrong"))[0] == 4
    assert _yunjian("camera", "discover", "--interface", "127.0.0.1", "--seconds", "0.2")[0] == 1
