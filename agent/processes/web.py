"""The web process: inspector pages. So far the health page alone."""

import logging
import os
import resource
import signal
import socket
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import uvicorn

from agent.access.web import application
from agent.clock import Clock, SystemClock, stamp
from agent.facts import PULSE_EVERY_S, Pulse
from agent.health import Liveness
from agent.settings.load import load
from agent.wire import FactSender, Refused, Reply, Request, Server, WireError, call

log = logging.getLogger(__name__)

_OTHERS = ("alarm", "record", "vision")
_ANSWER_S = 0.5


def main(settings_file: Path) -> int:
    """Serve until SIGTERM or SIGINT; 0 when it stopped in order."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # that it started and stopped is told by us
    settings = load(settings_file)
    runtime, clock = settings.paths.runtime, SystemClock()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    listener = socket.socket(socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((settings.web.host, settings.web.port))
    host, port = listener.getsockname()
    pages = uvicorn.Server(
        uvicorn.Config(application(lambda: _states(runtime)), log_config=None, access_log=False, lifespan="off")
    )
    # uvicorn takes SIGTERM only in the main thread; here the main thread is the watched loop.
    serving = threading.Thread(target=lambda: pages.run(sockets=[listener]), name="pages", daemon=True)
    facts = FactSender(runtime / "alarm.sock", "web", uuid.uuid4().hex, clock)
    control = Server(runtime / "web.sock", {"status": _status_verb(clock, f"http://{host}:{port}")})
    liveness = Liveness(clock)
    serving.start()
    facts.start()
    control.start()
    log.info("pages at http://%s:%d", host, port)
    ready = False
    while not stopping.is_set():
        if pages.started:
            if not ready:
                liveness.ready()
                ready = True
            liveness.beat()
            facts.send(Pulse("web", stamp(clock)))
        clock.wait(stopping, PULSE_EVERY_S if pages.started else 0.1)
        if not serving.is_alive():
            log.error("the page server ended by itself")
            return 1
    liveness.stopping()
    control.stop()
    pages.should_exit = True
    serving.join(5)
    facts.stop()
    return 0


def _states(runtime: Path) -> dict[str, dict[str, Any] | None]:
    states: dict[str, dict[str, Any] | None] = {"web": {}}
    for name in _OTHERS:
        try:
            states[name] = call(runtime / f"{name}.sock", "status", timeout_s=_ANSWER_S)
        except (WireError, Refused):
            states[name] = None
    return states


def _status_verb(clock: Clock, address: str) -> Any:
    started_ns = clock.wall_ns()

    def status(_request: Request, reply: Reply) -> None:
        rss_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        reply.done(
            {"process": "web", "pid": os.getpid(), "started_ns": started_ns, "rss_kib": rss_kib, "address": address}
        )

    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
