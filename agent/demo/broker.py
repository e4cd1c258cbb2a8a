"""The broker of the demonstration: the user's own, else mosquitto when installed, else iotcore. On loopback."""

import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent import child

START_S: Final = 15.0
"""A broker that does not accept a connection after this long is given up: mosquitto needs 0.1 s, iotcore 0.3 s."""

MOSQUITTO: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 0
set_tcp_nodelay true
"""
"""mosquitto.conf, `{port}` to be filled in. Without no-delay a receipt waits 40 ms for the peer's delayed ACK."""

IOTCORE: Final = """\
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 1000
max_segment_size = 1048576
max_segment_count = 10
[v5.1]
name = "v5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 5000
max_payload_size = 262144
max_inflight_count = 100
dynamic_filters = true
"""
"""The TOML of iotcore (rumqttd), `{port}` to be filled in. Its own default would listen on every interface."""


class BrokerFailed(RuntimeError):
    """The broker did not start; the text says where its log is."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker: its address, the program behind it, and its process (None: the user's own)."""

    url: str
    program: str
    process: subprocess.Popen[bytes] | None


def start_broker(folder: Path, name: str) -> Broker:
    """Start a broker of our own on a free loopback port; its configuration and log go to `folder`.

    Raises BrokerFailed.
    """
    port = free_port()
    log_file = folder / f"{name}.log"
    mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if mosquitto is not None:
        program, settings, template = "mosquitto", folder / f"{name}.conf", MOSQUITTO
        command = [mosquitto, "-c", str(settings)]
    else:
        program, settings, template = "iotcore", folder / f"{name}.toml", IOTCORE
        command = [sys.executable, "-m", "iotcore", "--config", str(settings), "--log-level", "CRITICAL"]
    settings.write_text(template.format(port=port), encoding="utf-8")
    with log_file.open("ab") as output:
        process = child.start(command, stdout=output, stderr=output)
    if not accepts(port, START_S, process):
        child.stop(process, 2)
        raise BrokerFailed(f"{program} did not start; see {log_file}")
    return Broker(f"mqtt://127.0.0.1:{port}", program, process)


def free_port() -> int:
    """A loopback TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int, timeout_s: float, process: subprocess.Popen[bytes]) -> bool:
    """Wait until something listens on the loopback port; False when the time is over or the process has ended."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=0.5):
                return True
        except OSError:
            time.sleep(0.05)
    return False
