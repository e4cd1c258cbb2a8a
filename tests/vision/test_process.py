"""The vision process over real RTSP: counts, over capacity, blindness, and models that go wrong."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.facts import ConditionKind, Pulse
from models import manifest
from tests.fakes.waiting import until
from tests.vision.rig import MEDIA, Desk, RtspServer, VisionProcess, frames, free_port, rtsp_server, write_clip

SETTINGS = """
facility: {{id: test-facility, name: 测试}}
paths: {{data: {folder}, runtime: {folder}, models: {models}}}
footage: {{volumes: ["{folder}/footage"]}}
rooms:
  - {{id: busy, name: 忙, group: toddler, capacity: 3}}
  - {{id: calm, name: 静, group: infant}}
  - {{id: dark, name: 暗, group: mixed}}
cameras:
  - {{id: cam-busy, name: 忙, room: busy, main: "{url}/busy.mp4?play_count=0", sub: "{url}/busy.mp4?play_count=0"}}
  - {{id: cam-calm, name: 静, room: calm, main: "{calm}/room-b-main.mp4?play_count=0"}}
  - {{id: cam-dark, name: 暗, room: dark, main: "rtsp://127.0.0.1:{dead}/none.mp4",
      username: admin, password_file: {folder}/password}}
"""


PASSWORD = "hunter2-correct"


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RtspServer, RtspServer]]:
    """A room that is full for 10 s and then empty for 16 s, for ever, and another room: a server for each."""
    folder = tmp_path_factory.mktemp("media")
    empty = frames("room-empty-sub.mp4")
    write_clip(folder / "busy.mp4", [*frames("room-a-sub.mp4")[:50], *empty, *frames("room-empty-sub.mp4")])
    shutil.copy(MEDIA / "room-b-main.mp4", folder)
    with rtsp_server(folder) as busy, rtsp_server(folder) as calm:
        yield busy, calm


@pytest.fixture
def facility(tmp_path: Path, cameras: tuple[RtspServer, RtspServer]) -> Iterator[tuple[Desk, VisionProcess, Path]]:
    """A desk and a vision process with models of its own."""
    models = tmp_path / "models"
    models.mkdir()
    shutil.copy(manifest.FOLDER / "nanodet-int8.onnx", models)
    settings = tmp_path / "facility.yaml"
    (tmp_path / "password").write_text(PASSWORD, "utf-8")
    (tmp_path / "password").chmod(0o600)
    busy, calm = (each.url for each in cameras)
    settings.write_text(SETTINGS.format(folder=tmp_path, models=models, url=busy, calm=calm, dead=free_port()), "utf-8")
    with Desk(tmp_path) as desk:
        process = VisionProcess(settings, tmp_path)
        try:
            yield desk, process, models
        finally:
            process.kill()


def test_counts_and_over_capacity_come_and_go(
    facility: tuple[Desk, VisionProcess, Path], cameras: tuple[RtspServer, RtspServer]
) -> None:
    desk, process, _ = facility
    process.wait_until_ready()

    def over() -> list[bool]:
        return [each.active for each in desk.conditions(ConditionKind.OVER_CAPACITY, "room/busy")]

    until(lambda: any(each.count in (5, 6) for each in desk.counts("busy")), 15, "the busy room is counted")
    # A main stream alone is counted from its key frames.
    until(lambda: any(each.count in (1, 2) for each in desk.counts("calm")), 15, "the calm room is counted")
    assert {each.count for each in desk.counts("calm")} <= {0, 1, 2, 3}
    cameras[1].freeze()
    until(lambda: over()[:1] == [True], 20, "over capacity is raised")
    raised = desk.conditions(ConditionKind.OVER_CAPACITY, "room/busy")[0]
    assert raised.detail["capacity"] == 3
    assert int(raised.detail["count"]) >= 4
    until(lambda: any(each.count == 0 for each in desk.counts("busy")), 20, "the room is empty")
    until(lambda: over()[-1:] == [False], 20, "over capacity is cleared")
    assert all(each.low <= each.count <= each.high for room in ("busy", "calm") for each in desk.counts(room))
    assert all(each.threshold == 0.30 and each.model.startswith("nanodet-int8@") for each in desk.counts("busy"))
    # A camera that gives nothing is told, and its room is not counted.
    blind = desk.conditions(ConditionKind.VISION_BLIND, "camera/cam-dark")
    assert blind[0].active
    assert len(blind) >= 2, "a lasting state is repeated"
    assert not desk.counts("dark")
    assert not desk.conditions(ConditionKind.VISION_BLIND, "camera/cam-busy")
    assert len(desk.told(Pulse)) >= 3
    # A frozen camera is blindness, until it comes back; the others do not notice.
    frozen = desk.conditions(ConditionKind.VISION_BLIND, "camera/cam-calm")
    assert frozen[0].active
    status = process.status()
    assert status is not None
    assert status["model"]["ok"]
    assert [each["state"] for each in status["cameras"]] == ["watching", "blind", "blind"]
    cameras[1].thaw()
    until(lambda: not desk.conditions(ConditionKind.VISION_BLIND, "camera/cam-calm")[-1].active, 20, "it sees again")
    assert PASSWORD not in process.log() + str(status) + str(blind)
    assert process.stop() == 0, process.log()


def test_an_altered_model_is_named_and_counting_comes_back_with_it(
    facility: tuple[Desk, VisionProcess, Path],
) -> None:
    desk, process, models = facility
    file = models / "nanodet-int8.onnx"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    process.wait_until_ready()

    def missing() -> list[bool]:
        return [each.active for each in desk.conditions(ConditionKind.MODEL_MISSING, "process/vision")]

    until(lambda: missing()[:1] == [True], 10, "the altered model is told")
    first = desk.conditions(ConditionKind.MODEL_MISSING, "process/vision")[0]
    assert first.detail["file"] == "nanodet-int8.onnx"
    assert first.detail["problem"] == "altered"
    file.unlink()
    until(
        lambda: desk.conditions(ConditionKind.MODEL_MISSING, "process/vision")[-1].detail["problem"] == "missing",
        12,
        "the missing model is told",
    )
    assert process.alive()
    assert not desk.counts("busy")
    file.write_bytes(good)
    until(lambda: missing()[-1:] == [False], 12, "the model is back")
    until(lambda: desk.counts("busy"), 10, "counting goes on")
    # Altered under a running process: told, while the checked network in memory goes on counting.
    looks = _looks(process)
    file.write_bytes(good + b"x")
    until(lambda: missing()[-1:] == [True], 12, "the altered model is told again")
    until(lambda: _looks(process) > looks + 4, 10, "counting goes on")
    assert process.stop() == 0, process.log()


def _looks(process: VisionProcess) -> int:
    status = process.status()
    return sum(each["looks"] for each in status["cameras"]) if status else 0
