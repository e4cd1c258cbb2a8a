"""How the alarm process starts without its console, and how it stops."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.processes.alarm import stopped_in_order
from agent.wire import Refused, WireError, call
from tests.fakes.waiting import until


def test_a_thread_that_hangs_keeps_no_other_from_stopping(caplog: pytest.LogCaptureFixture) -> None:
    stopped: list[str] = []

    def hang() -> None:
        raise RuntimeError("the route to police did not stop")

    assert not stopped_in_order([lambda: stopped.append("desk"), hang, lambda: stopped.append("store")])
    assert stopped == ["desk", "store"]
    assert "police did not stop" in caplog.text
    assert stopped_in_order([lambda: stopped.append("desk")])


def test_without_its_runtime_directory_it_serves_the_buttons_and_the_console_later(tmp_path: Path) -> None:
    settings = tmp_path / "facility.yaml"
    settings.write_text(
        "facility: {id: T1, name: 试验园}\npaths: {data: data, runtime: run}\n"
        "bridges: [{id: B1, port: board0}]\n"
        "zones: [{id: Z1, name: 按钮, type: panic_24h, bridge: B1, input: 0}]\nweb: {port: 0}\n",
        encoding="utf-8",
    )
    (tmp_path / "run").write_text("in the way")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inlet:
        inlet.bind(str(tmp_path / "notify"))
        inlet.settimeout(30)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        process = subprocess.Popen([sys.executable, "-m", "agent.processes.alarm", str(settings)], env=environment)
        try:
            while b"READY=1" not in inlet.recv(1000):
                pass
            (tmp_path / "run").unlink()
            until(lambda: _answers(tmp_path / "run" / "alarm.sock"), 20, "the console is answered once it can be")
        finally:
            process.terminate()
            assert process.wait(20) == 0


def _answers(path: Path) -> bool:
    try:
        return bool(call(path, "status")["process"] == "alarm")
    except (WireError, Refused):
        return False
