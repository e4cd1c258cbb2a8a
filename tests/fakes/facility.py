"""The demonstration facility as a test drives it: started like a user does, judged by the platforms' databases."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from agent.wire import Refused, WireError, call
from tests.fakes.waiting import until


class Facility:
    """`yunjian run --demo FOLDER`, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.console_file = folder.parent / f"{folder.name}.console"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until buttons, cameras and counts work."""
        command = [sys.executable, "-m", "agent", "--lang", "en", "run", "--demo", str(self.folder)]
        with self.console_file.open("wb") as console:
            self._process = subprocess.Popen(command, stdout=console, stderr=console)
        self.wait_until_working()

    def wait_until_working(self) -> None:
        """Wait until the board is up, both platforms are connected, both cameras record and both rooms are counted."""
        until(lambda: self._works(), 90, f"the facility works; console:\n{self.console()}")

    def _works(self) -> bool:
        alarm, record = self.ask("alarm", "status"), self.ask("record", "status")
        if alarm is None or record is None or self.ask("vision", "status") is None or self.ask("web", "status") is None:
            return False
        return (
            all(bridge["up"] for bridge in alarm["bridges"])
            and all(platform["connected"] for platform in alarm["platforms"])
            and len(alarm["rooms"]) == 2
            and all(camera["state"] == "recording" for camera in record["cameras"])
        )

    def stop(self) -> int:
        """Ctrl-C, and the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(60)

    def console(self) -> str:
        """What the console said."""
        return self.console_file.read_text(encoding="utf-8") if self.console_file.exists() else ""

    def ask(self, name: str, verb: str, args: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """The answer of a process, None when it does not answer."""
        try:
            return call(self.folder / "run" / f"{name}.sock", verb, args, timeout_s=3)
        except (WireError, Refused):
            return None

    def press(self) -> None:
        """Press the panic button for 100 ms."""
        call(self.folder / "run" / "board.sock", "press", {"input": 0, "hold_s": 0.1})

    def pid(self, name: str) -> int | None:
        """The process id, as the process itself says."""
        status = self.ask(name, "status")
        return None if status is None else int(status["pid"])

    def kill(self, name: str) -> int:
        """kill -9; the process id that was killed."""
        pid = until(lambda: self.pid(name), 20, f"{name} answers")
        os.kill(pid, signal.SIGKILL)
        return pid

    def presses_received(self, platform: str) -> list[str]:
        """The ids of the presses in the database of a platform, one for each row."""
        with closing(sqlite3.connect(self.folder / f"platform-{platform}.db")) as db:
            tables = {name for (name,) in db.execute("select name from sqlite_master where type = 'table'")}
            if "events" not in tables:
                return []
            pressed = "type like '%.alarm.panic.%' and json_extract(body, '$.data.state') = 'triggered'"
            return [key for (key,) in db.execute(f"select id from events where {pressed}")]

    def left_running(self) -> str:
        """The processes that still name this facility's folder on their command line."""
        lines = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it ended while we looked
                command = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(self.folder) in command:
                    lines.append(f"{file.parent.name} {command}")
        return "\n".join(lines)
