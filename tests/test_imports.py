"""What each process really loads: a linter does not see what a library pulls in."""

import ast
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.footage.disk.files import create_volume
from agent.main import PROCESSES

ROOT = Path(__file__).parent.parent

NEVER = {
    "alarm": {"av", "onnxruntime", "cv2", "numpy", "sqlite_utils"},
    "record": {"onnxruntime", "paho"},
    "vision": {"paho", "serial"},
    "web": {"onnxruntime", "serial"},
}
"""ARCHITECTURE.md, "Four processes": what a process never loads, whatever happens."""

SETTINGS = """\
facility: {id: T1, name: 试验园}
paths: {data: data, runtime: run}
rooms: [{id: R1, name: 活动室}]
cameras: [{id: C1, name: 摄像机, room: R1, main: "rtsp://127.0.0.1:9/x", sub: "rtsp://127.0.0.1:9/y"}]
footage: {volumes: [footage]}
bridges: [{id: B1, port: run/board0}]
zones: [{id: Z1, name: 按钮, type: panic_24h, bridge: B1, input: 0}]
platforms: [{id: police, role: public_security, brokers: ["mqtt://127.0.0.1:9"]}]
web: {port: 0}
"""


@contextmanager
def started(name: str, folder: Path) -> Iterator[set[str]]:
    """The process with everything unreachable, and the names of all modules it has loaded when READY."""
    settings, log = folder / "facility.yaml", folder / "log"
    settings.write_text(SETTINGS, encoding="utf-8")
    create_volume(folder / "footage", "T1")
    inlet = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    inlet.bind(str(folder / "notify"))
    inlet.settimeout(60)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "agent", "process", name, "--config", str(settings)],
            env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify")},
            stderr=output,
        )
    try:
        while b"READY=1" not in inlet.recv(1000):
            pass
        names = re.findall(r"^import time:\s*\d+ \|\s*\d+ \|\s*(\S+)", log.read_text(encoding="utf-8"), re.MULTILINE)
        yield {each.partition(".")[0] for each in names}
    finally:
        process.terminate()
        status = process.wait(20)
        inlet.close()
    assert status == 0, log.read_text(encoding="utf-8")[-2000:]


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_does_not_load_what_could_take_it_down(name: str, tmp_path: Path) -> None:
    with started(name, tmp_path) as loaded:
        assert {"agent", "logging"} <= loaded
        assert loaded & NEVER[name] == set()


def test_who_has_no_modules_and_no_lines_does_not_load_what_speaks_to_them(tmp_path: Path) -> None:
    """The settings have one microcontroller board: each board costs what it needs and no more."""
    with started("alarm", tmp_path) as loaded:
        assert loaded & {"pymodbus", "gpiod"} == set()


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_the_demonstration_is_imported_by_the_cli_alone() -> None:
    importers = {
        str(path.relative_to(ROOT))
        for folder in ("agent", "firmware_bridge", "models")
        for path in (ROOT / folder).rglob("*.py")
        if any(f"{each}.".startswith("agent.demo.") for each in imports_of(path))
    }
    assert {each for each in importers if not each.startswith("agent/demo/")} == {"agent/cli.py"}
