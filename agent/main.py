"""`run`: the four processes under one foreground supervisor, for a first look and for development.

An installation runs the same four under systemd (systemd/). Both watch them the same way: READY=1,
WATCHDOG=1 and STOPPING=1 on NOTIFY_SOCKET (sd_notify(3)).

Invariants
1. Each process is restarted alone; the others are not touched.
2. A process silent for `WATCHDOG_S` after READY is killed and restarted.
3. Stopping goes in the order web, vision, record, alarm: whoever tells the alarm desk stops before it.
4. No process outlives the supervisor (PR_SET_PDEATHSIG), not even after kill -9.
5. Wrong settings (exit status 78) are never retried: they are told once, and `run` ends.
"""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final, Literal

from agent import child
from agent.facts import Text
from agent.health import WATCHDOG_S

PROCESSES: Final = ("alarm", "record", "vision", "web")
"""In the order of starting; the alarm desk first, because the others tell it what they see."""

NICE: Final = {"vision": 10, "web": 5}
"""Who gives way when the processor is short; the units say the same. The alarm desk and the recorder never do."""

EX_CONFIG: Final = 78
"""sysexits.h: the process could not start because its settings are wrong; a restart would not help."""

START_S: Final = 60.0
"""A process not ready after this long is restarted: building a model's session takes 2 to 20 s on a small board."""

HEAD_START_S: Final = 3.0
"""The alarm desk has the processor to itself until it is ready, but no longer than this."""

STOP_S: Final = 10.0
"""A process that has not stopped after this long is killed."""

STEADY_S: Final = 60.0
"""After this long in service earlier failures are forgotten."""

_TURN_S = 0.2


@dataclass(frozen=True, slots=True)
class Child:
    """What the supervisor knows of one process; times are monotonic seconds."""

    name: str
    state: Literal["down", "starting", "ready", "stopping"] = "down"
    since_s: float = 0.0
    beat_s: float = 0.0
    failures: int = 0
    start_at_s: float = 0.0


def restart_delay_s(failures: int) -> float:
    """How long to wait before the start after this many failures: 0.2 s, doubling up to 10 s."""
    return min(10.0, 0.2 * 2.0 ** max(0, failures - 1))


def died(known: Child, now_s: float) -> Child:
    """The process is gone: when to start it again."""
    steady = known.state == "ready" and now_s - known.since_s > STEADY_S
    failures = 1 if steady else known.failures + 1
    return replace(known, state="down", since_s=now_s, failures=failures, start_at_s=now_s + restart_delay_s(failures))


def notified(known: Child, message: str, now_s: float) -> Child:
    """The process said something to its service manager."""
    lines = message.split("\n")
    if "READY=1" in lines and known.state == "starting":
        return replace(known, state="ready", since_s=now_s, beat_s=now_s)
    if "WATCHDOG=1" in lines:
        return replace(known, beat_s=now_s)
    return known


def wants(known: Child, now_s: float) -> Literal["start", "kill", "nothing"]:
    """What is to be done about the process now."""
    if known.state == "down" and now_s >= known.start_at_s:
        return "start"
    if known.state == "starting" and now_s - known.since_s > START_S:
        return "kill"
    if known.state == "ready" and now_s - known.beat_s > WATCHDOG_S:
        return "kill"
    return "nothing"


def run(
    settings_file: Path,
    seconds: float | None,
    say: Callable[[Text], None],
    logs: Path | None = None,
) -> int:
    """Run the facility until SIGINT or SIGTERM, or for `seconds`; the exit status.

    0 when everything stopped in order, 78 when the settings are wrong, 1 when a process had to be killed at
    the end. `say` prints one line for people. With `logs` each process writes to `logs`/<name>.log instead of
    standard error.
    """
    return _Supervisor(settings_file, say, logs).run(seconds)


class _Supervisor:
    def __init__(self, settings_file: Path, say: Callable[[Text], None], logs: Path | None) -> None:
        self._settings_file = settings_file
        self._say = say
        self._logs = logs
        self._children = {name: Child(name) for name in PROCESSES}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._selector = selectors.DefaultSelector()
        self._inlets = {name: self._inlet(name) for name in PROCESSES}
        self._stop = False

    def run(self, seconds: float | None) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked_to_stop)
        began_s = time.monotonic()
        end_s = None if seconds is None else began_s + seconds
        for name in PROCESSES[1:]:
            self._children[name] = replace(self._children[name], start_at_s=began_s + HEAD_START_S)
        status = 0
        while not self._stop and (end_s is None or time.monotonic() < end_s):
            self._listen(_TURN_S)
            status = self._turn(time.monotonic())
            if status:
                break
        in_order = self._stop_all()
        self._selector.close()
        for inlet in self._inlets.values():
            inlet.close()
        return status or (0 if in_order else 1)

    def _asked_to_stop(self, _number: int, _frame: object) -> None:
        self._stop = True

    def _inlet(self, name: str) -> socket.socket:
        inlet = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        inlet.bind(f"\0yunjian-run-{os.getpid()}-{name}")
        inlet.setblocking(False)
        self._selector.register(inlet, selectors.EVENT_READ, name)
        return inlet

    def _listen(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            name, inlet = key.data, key.fileobj
            assert isinstance(inlet, socket.socket)
            before = self._children[name]
            after = notified(before, inlet.recv(4096).decode(errors="replace"), time.monotonic())
            self._children[name] = after
            if after.state == "ready" and before.state != "ready":
                self._head_start_over(name)
                took_s, pid = after.since_s - before.since_s, self._running[name].pid
                self._say(
                    Text(
                        f"{name:<7} 就绪，用时 {took_s:.1f} 秒（pid {pid}）",
                        f"{name:<7} ready in {took_s:.1f} s (pid {pid})",
                    )
                )

    def _head_start_over(self, name: str) -> None:
        for other, known in self._children.items():
            if name == "alarm" and known.state == "down" and not known.failures:
                self._children[other] = replace(known, start_at_s=0.0)

    def _turn(self, now_s: float) -> int:
        """Look at every process once; a status other than 0 ends `run`."""
        for name, process in list(self._running.items()):
            status = process.poll()
            if status is None:
                continue
            del self._running[name]
            if status == EX_CONFIG:
                return EX_CONFIG
            self._children[name] = died(self._children[name], now_s)
            self._say(_told_of_death(name, status, self._children[name].start_at_s - now_s))
        for name, known in list(self._children.items()):
            match wants(known, now_s):
                case "start":
                    self._start(name, now_s)
                case "kill":
                    self._running[name].kill()
                case _:
                    pass
        return 0

    def _start(self, name: str, now_s: float) -> None:
        command = [sys.executable, "-m", "agent", "process", name, "--config", str(self._settings_file)]
        environment = {**os.environ, "NOTIFY_SOCKET": f"@yunjian-run-{os.getpid()}-{name}"}
        log: IO[bytes] | None = None
        if self._logs is not None:
            self._logs.mkdir(parents=True, exist_ok=True)
            log = (self._logs / f"{name}.log").open("ab")
        self._running[name] = child.start(command, environment, stderr=log)
        with contextlib.suppress(PermissionError):  # started under `nice`, nobody but root may take that back
            os.setpriority(os.PRIO_PROCESS, self._running[name].pid, NICE.get(name, 0))
        if log is not None:
            log.close()
        self._children[name] = replace(self._children[name], state="starting", since_s=now_s, beat_s=now_s)

    def _stop_all(self) -> bool:
        in_order = True
        for name in reversed(PROCESSES):
            process = self._running.pop(name, None)
            if process is None:
                continue
            status = child.stop(process, STOP_S)
            if status != 0:
                in_order = False
                self._say(
                    Text(f"{name} 未能正常停止（状态 {status}）", f"{name} did not stop in order (status {status})")
                )
        return in_order


def _told_of_death(name: str, status: int, delay_s: float) -> Text:
    if status < 0:
        cause = signal.Signals(-status).name
        return Text(
            f"{name} 被 {cause} 终止，{delay_s:.1f} 秒后重启",
            f"{name} was ended by {cause}; restart in {delay_s:.1f} s",
        )
    return Text(
        f"{name} 已退出（状态 {status}），{delay_s:.1f} 秒后重启",
        f"{name} ended (status {status}); restart in {delay_s:.1f} s",
    )
