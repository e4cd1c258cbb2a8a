"""`yunjian camera`: what a device says of itself, and by which status a script knows how it went."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli import main
from tests.fakes.camera import free_port
from tests.fakes.onvif_device import Behaviour, OnvifDevice, Stream

STREAMS = [
    Stream("P0", "H264", 1920, 1080, "rtsp://0.0.0.0:554/main"),
    Stream("P1", "H264", 640, 360, "rtsp://0.0.0.0:554/sub"),
]


@pytest.fixture
def device() -> Iterator[OnvifDevice]:
    made = OnvifDevice(Behaviour(STREAMS, "wsse"))
    yield made
    made.stop()


def asked(device: OnvifDevice, folder: Path, password: str) -> list[str]:
    (folder / "secret").write_text(password)
    return ["camera", "probe", device.url(), "--username", "admin", "--password-file", str(folder / "secret")]


def test_the_streams_and_what_would_be_taken(
    device: OnvifDevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*asked(device, tmp_path, "Geheim!42"), "--json"]) == 0
    told = {row["profile"]: row for row in json.loads(capsys.readouterr().out)}
    assert told["P0"]["url"] == "rtsp://127.0.0.1:554/main"
    assert [(name, row["main"], row["sub"]) for name, row in told.items()] == [("P0", True, False), ("P1", False, True)]
    assert main(["--lang", "en", *asked(device, tmp_path, "Geheim!42")]) == 0
    shown = capsys.readouterr().out
    assert "P0  1920x1080 25/s h264  P0  main" in shown
    assert "rtsp://127.0.0.1:554/sub" in shown


def test_a_refused_password_is_status_4(
    device: OnvifDevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--lang", "zh", *asked(device, tmp_path, "wrong")]) == 4
    assert "用户名或密码被拒绝" in capsys.readouterr().err


def test_nothing_there_is_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", "zh", "camera", "probe", f"onvif://127.0.0.1:{free_port()}"]) == 1
    assert "地址上没有服务" in capsys.readouterr().err


def test_what_is_no_camera_is_a_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "facility.yaml"
    settings.write_text(
        "facility: {id: f1, name: one}\nrooms: [{id: r1, name: one}]\n"
        "cameras: [{id: C01, name: one, room: r1, main: 'rtsp://192.0.2.1/x'}]\n"
    )
    for name in ("C01", "C02", "http://192.0.2.1"):
        assert main(["--lang", "en", "camera", "probe", name, "--config", str(settings)]) == 2, name
        assert "onvif://" in capsys.readouterr().err
