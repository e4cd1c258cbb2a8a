"""The demonstration facility: real RTSP cameras, a board on a pseudo-terminal, brokers and platforms.

Everything around the agent is started here; the agent itself runs through the same entry points and the same
settings loader as an installation.
"""

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final

from agent import child
from agent.demo.broker import Broker, BrokerFailed, accepts, free_port, start_broker
from agent.demo.console import Console
from agent.facts import Text
from agent.footage.disk.files import create_volume

_CAMERAS_START_S: Final = 15.0

_OWN_BROKER: Final = re.compile(r"mqtt://[\w.-]+(:\d{1,5})?")

FACILITY_ID: Final = "DEMO01"
"""The facility id in facility.yaml beside this module."""


class DemoFailed(RuntimeError):
    """The demonstration cannot run; `text` says why and what to do."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


@dataclass(frozen=True, slots=True)
class _Around:
    """What runs around the agent."""

    police: Broker
    cloud: Broker
    rtsp_port: int
    settings_file: Path


def run_demo(
    folder: Path,
    seconds: float | None,
    run: Callable[[Path, float | None, Path], int],
    language: str,
    say: Callable[[Text], None],
    timed: Callable[[Text], None],
    broker: str | None = None,
) -> int:
    """Run the facility in `folder` until Ctrl-C or for `seconds`; the exit status of `run`.

    `run(settings_file, seconds, logs)` runs the four processes. `say` prints one line, `timed` one with the time of
    day before it. `broker` is the address of a broker of the user's own.
    Raises DemoFailed.
    """
    if broker is not None and not _OWN_BROKER.fullmatch(broker):
        raise DemoFailed(
            Text(
                f"broker 的地址应为 mqtt://主机[:端口]，演示不用用户名和证书（{broker}）",
                f"a broker of your own is mqtt://host[:port], without user and certificate here (got {broker})",
            )
        )
    folder = folder.resolve()
    runtime, logs = folder / "run", folder / "log"
    for each in (runtime, logs, folder / "data"):
        each.mkdir(parents=True, exist_ok=True)
    with ExitStack() as running:
        running.enter_context(_alone(folder))
        try:
            around = _start_around(running, folder, runtime, logs, language, broker)
        except BrokerFailed as error:
            raise DemoFailed(Text(f"演示用的 broker 未能启动：{error}", str(error))) from error
        if not (folder / "footage" / "VOLUME.json").exists():
            create_volume(folder / "footage", FACILITY_ID)
        for line in _what_runs_where(folder, around):
            say(line)
        console = Console(runtime, timed)
        console.start()
        running.callback(console.stop)
        status = run(around.settings_file, seconds, logs)
    if status == 0:
        say(Text(f"演示已停止；录像和记录留在 {folder}", f"stopped; footage and records are kept in {folder}"))
    return status


def _start_around(
    running: ExitStack, folder: Path, runtime: Path, logs: Path, language: str, broker: str | None
) -> _Around:
    if broker is None:
        police, cloud = start_broker(logs, "broker-police"), start_broker(logs, "broker-cloud")
    else:
        police = cloud = Broker(broker, "own", None)
    for each in (police, cloud):
        if each.process is not None:
            running.callback(child.stop, each.process, 5)
    # Two brokers keep the routes apart; on one broker two prefixes do.
    prefixes = ("tyj/v1", "tyj/v1") if broker is None else ("tyj/police", "tyj/cloud")
    for name, route, prefix in (("police", police, prefixes[0]), ("cloud", cloud, prefixes[1])):
        _start(
            running, logs, None, "agent.demo.platform", "--broker", route.url, "--platform", name, "--prefix", prefix,
            "--db", str(folder / f"platform-{name}.db"), "--lang", language,
        )  # fmt: skip
    port = free_port()
    with (logs / "cameras.log").open("ab") as output:
        media = str(resources.files("agent.demo") / "media")
        command = [str(Path(sys.executable).parent / "rtsp-server"), "-d", media]
        command += ["-H", "127.0.0.1", "-p", str(port), "-cp", str(free_port())]
        cameras = child.start(command, stdout=output, stderr=output)
    running.callback(child.stop, cameras, 5)
    _start(
        running, logs, "board", "agent.demo.board", "--port-link", str(runtime / "board0"),
        "--control", str(runtime / "board.sock"), "--log", str(logs / "presses.jsonl"),
    )  # fmt: skip
    if not accepts(port, _CAMERAS_START_S, cameras):
        raise DemoFailed(
            Text(
                f"演示摄像机未能启动，见 {logs / 'cameras.log'}",
                f"the cameras did not start; see {logs / 'cameras.log'}",
            )
        )
    settings_file = folder / "facility.yaml"
    template = Template((resources.files("agent.demo") / "facility.yaml").read_text(encoding="utf-8"))
    settings = template.substitute(
        language=language, rtsp_port=port, web_port=free_port(),
        police_broker=police.url, cloud_broker=cloud.url, police_prefix=prefixes[0], cloud_prefix=prefixes[1],
    )  # fmt: skip
    settings_file.write_text(settings, encoding="utf-8")
    return _Around(police, cloud, port, settings_file)


def _start(running: ExitStack, logs: Path, log: str | None, module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start one of our own modules; without `log` its lines go to the console."""
    command = [sys.executable, "-m", module, *arguments]
    if log is None:
        with (logs / "platforms.log").open("ab") as errors:
            process = child.start(command, stderr=errors)
    else:
        with (logs / f"{log}.log").open("ab") as output:
            process = child.start(command, stdout=output, stderr=output)
    running.callback(child.stop, process, 5)
    return process


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One demonstration to a folder: a second one would take its sockets and its volume."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoFailed(
                Text(
                    f"{folder} 中已有演示在运行：请先按 Ctrl-C 停止它",
                    f"a demonstration runs in {folder}: stop it first",
                )
            ) from error
        yield
    finally:
        os.close(descriptor)


def _what_runs_where(folder: Path, around: _Around) -> list[Text]:
    broker = {"own": Text("您自己的 broker", "your own broker")}.get(
        around.police.program, Text(around.police.program, around.police.program)
    )
    return [
        Text("云监管演示园所（Ctrl-C 停止）", "cloud supervision, demonstration facility (Ctrl-C stops it)"),
        Text(
            f"  摄像机  2 路 RTSP，主、子码流，rtsp://127.0.0.1:{around.rtsp_port}/",
            f"  cameras   2 over RTSP, main and sub stream, rtsp://127.0.0.1:{around.rtsp_port}/",
        ),
        Text(
            f"  报警板  一键报警 + 门磁，串口 {folder / 'run' / 'board0'}",
            f"  board     panic button and door contact, serial port {folder / 'run' / 'board0'}",
        ),
        Text(
            f"  平台    公安 {around.police.url}，智慧托育云 {around.cloud.url}（{broker.zh}）",
            f"  platforms police {around.police.url}, smart cloud {around.cloud.url} ({broker.en})",
        ),
        Text(f"  录像    {folder / 'footage'}", f"  footage   {folder / 'footage'}"),
        Text(f"  配置    {around.settings_file}", f"  settings  {around.settings_file}"),
        Text(f"  日志    {folder / 'log'}", f"  logs      {folder / 'log'}"),
        Text(
            "另开一个终端试试：make press · make door · make status · .venv/bin/yunjian --help",
            "try in another terminal: make press · make door · make status · .venv/bin/yunjian --help",
        ),
        Text(
            "布防试试：.venv/bin/yunjian arm --who 我，10 秒后 make door，15 秒内 .venv/bin/yunjian disarm --who 我",
            "arm it: .venv/bin/yunjian arm --who me, after 10 s make door, in 15 s .venv/bin/yunjian disarm --who me",
        ),
    ]
