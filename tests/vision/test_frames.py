"""The newest frame of a camera, and what a camera that hangs, lies or comes and goes does to it."""

import logging
from pathlib import Path

import pytest

from agent.camera_address import Address
from agent.clock import SystemClock
from agent.reader import HUNG_S, MAX_HUNG
from agent.vision.frames import FrameSource
from tests.fakes.camera import RtspServer, ScriptedServer, make_clip, mute
from tests.fakes.clock import MovedClock
from tests.fakes.waiting import until


def test_a_thread_that_hangs_is_replaced_a_few_times_and_ignored(tmp_path: Path) -> None:
    clock, server = MovedClock(), ScriptedServer(mute)
    source = FrameSource("one", Address(server.url()), False, clock, lambda: None)
    try:
        source.start()
        until(lambda: server.asked, 5, "the camera was asked")
        first = source._reader._turn
        assert first is not None
        assert not source.replace_hung()
        for _ in range(MAX_HUNG):
            clock.move(HUNG_S + 1)
            assert source.replace_hung()
        clock.move(HUNG_S + 1)
        assert not source.replace_hung(), "threads are bounded"
        assert source.fail("late", first) == 0.0
        assert source.seen()[2] == ""
    finally:
        source.ask_to_stop()
        server.stop()


def test_a_camera_that_comes_and_goes_fills_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_clip(tmp_path / "a.mp4", seconds=1)
    server = RtspServer(tmp_path)
    server.start()
    source = FrameSource("one", Address(server.url("a.mp4").partition("?")[0]), False, SystemClock(), lambda: None)
    try:
        with caplog.at_level(logging.INFO, "agent.vision.frames"):
            source.start()
            until(lambda: source.seen()[0] > 30, 20, "the stream has ended and begun several times")
        assert len([each for each in caplog.records if "no frames" in each.message]) == 1
    finally:
        source.ask_to_stop()
        assert source.join(10)
        server.stop()


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    address = Address("rtsp://127.0.0.1:9/x", "tcp", "admin", tmp_path / "none")
    source = FrameSource("one", address, False, SystemClock(), lambda: None)
    try:
        source.start()
        until(lambda: str(tmp_path / "none") in source.seen()[2], 5, "the file is named")
    finally:
        source.ask_to_stop()
        assert source.join(5)
