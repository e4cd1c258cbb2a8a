"""Real brokers for tests, each a process of its own on a free loopback port: started, killed, started again."""

import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from agent.demo.broker import IOTCORE, MOSQUITTO


def free_port() -> int:
    """A loopback port that was free a moment ago, and that the kernel gives to no outgoing connection meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class LoopbackBroker:
    """A broker on 127.0.0.1. The port stays the same through restarts. It keeps nothing over a restart."""

    def __init__(self, folder: Path, program: str = "mosquitto", more: str = "") -> None:
        """`program` is mosquitto or iotcore; `more` are further lines for mosquitto's configuration."""
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._folder = folder
        self._program = program
        self._more = more
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it listens."""
        if self._program == "mosquitto":
            found = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
            assert found, "mosquitto is not installed"
            settings = self._folder / "mosquitto.conf"
            settings.write_text(f"{MOSQUITTO.format(port=self.port)}user root\n{self._more}\n", encoding="utf-8")
            command = [found, "-c", str(settings)]
        else:
            settings = self._folder / "iotcore.toml"
            settings.write_text(IOTCORE.format(port=self.port), encoding="utf-8")
            command = [sys.executable, "-m", "iotcore", "--config", str(settings), "--log-level", "WARNING"]
        with (self._folder / f"{self._program}.log").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        end_s = time.monotonic() + 15
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=0.5):
                    return
            except OSError:
                assert self._process.poll() is None, f"{self._program} ended; see its log in {self._folder}"
                assert time.monotonic() < end_s, f"{self._program} does not listen"
                time.sleep(0.02)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9: what it held in memory is gone."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        if number is signal.SIGTERM:
            self._process.send_signal(signal.SIGCONT)
        self._process.wait(10)
        self._process = None

    def __enter__(self) -> "LoopbackBroker":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()
