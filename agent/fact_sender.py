"""Carries the facts of one process to the alarm desk.

Invariants
1. A fact that can raise an alert is kept until the desk replies; telemetry may be dropped.
2. A fact is named by (process, boot, n); a receiver that has seen it replies and does nothing else.
3. No fact holds up those behind it for ever: one that is refused, or that no frame can hold, is logged and given up.
"""

import logging
import socket
import threading
from collections import deque
from pathlib import Path
from typing import Any, Final

from agent.clock import Clock
from agent.facts import Fact, encode, is_telemetry
from agent.frames import VERSION, Frames, WireError, to_frame
from agent.seldom import Seldom

log = logging.getLogger(__name__)

_MAX_WAITING_FACTS: Final = 4096

_RETRY_S: Final = 0.5

_REPLY_S: Final = 5.0
"""Facts that the desk does not reply to for this long are sent again."""

_LOOK_S: Final = 1.0
"""How often a sender that waits for replies looks whether it is to stop."""


class FactSender:
    """Carries the facts of one process to the alarm desk, through restarts of either.

    A fact that can raise an alert stays here until the desk has committed it; telemetry waits in a short
    queue whose oldest is dropped.
    """

    def __init__(self, path: Path, process: str, boot: str, clock: Clock, telemetry_places: int = 64) -> None:
        """Send to the socket at `path` as (`process`, `boot`); `boot` is unique to each start of a process."""
        self._path = path
        self._process = process
        self._boot = boot
        self._clock = clock
        self._seldom = Seldom(log, clock)
        self._facts: deque[tuple[int, Fact]] = deque()
        self._telemetry: deque[tuple[int, Fact]] = deque(maxlen=telemetry_places)
        self._n = 0
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="facts-out", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Try for a moment to bring out what waits, then stop. Raises RuntimeError when the thread hangs."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise RuntimeError("the fact sender did not stop")

    def send(self, fact: Fact) -> None:
        """Take a fact along. Never waits.

        Raises OverflowError when `_MAX_WAITING_FACTS` facts that can raise an alert wait: the process is then
        to stop, and its watchdog tells.
        """
        with self._guard:
            self._n += 1
            if is_telemetry(fact):
                self._telemetry.append((self._n, fact))
            elif len(self._facts) >= _MAX_WAITING_FACTS:
                raise OverflowError(f"{_MAX_WAITING_FACTS} facts wait for the alarm desk")
            else:
                self._facts.append((self._n, fact))
        self._wake.set()

    def waiting(self) -> int:
        """How many facts have not been acknowledged."""
        with self._guard:
            return len(self._facts) + len(self._telemetry)

    def _run(self) -> None:
        while True:
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                    connection.settimeout(_LOOK_S)
                    connection.connect(str(self._path))
                    self._carry(connection)
            except (OSError, WireError) as error:
                log.debug("alarm desk not reached: %s", error)
            if self._stop.is_set():
                return
            self._clock.wait(self._stop, _RETRY_S)

    def _carry(self, connection: socket.socket) -> None:
        frames = Frames()
        while True:
            with self._guard:
                batch = [*list(self._facts)[:32], *list(self._telemetry)[:32]]
            if not batch:
                if self._stop.is_set():
                    return
                self._clock.wait(self._wake, 1.0)
                self._wake.clear()
                continue
            waiting = {n for n, fact in batch if self._sent(connection, n, fact)}
            end_ns = self._clock.mono_ns() + round(_REPLY_S * 1e9)
            while waiting:
                try:
                    data = connection.recv(65536)
                except TimeoutError:
                    if self._stop.is_set() or self._clock.mono_ns() >= end_ns:
                        raise
                    continue
                if not data:
                    raise WireError("the alarm desk closed the connection")
                for message in frames.feed(data):
                    number = message.get("id")
                    if message.get("ok") is not True:
                        # The desk will never take it: keeping it would hold up everything behind it.
                        text = f"the alarm desk refused fact {number}: {message.get('error')}"
                        self._seldom.say(logging.ERROR, "refused", text)
                    waiting.discard(number if isinstance(number, int) else -1)
                    self._forget(number)

    def _sent(self, connection: socket.socket, n: int, fact: Fact) -> bool:
        """False for a fact that no frame can hold: it is given up, or it would hold up everything behind it."""
        args = {"process": self._process, "boot": self._boot, "n": n, "fact": encode(fact)}
        try:
            frame = to_frame({"v": VERSION, "id": n, "verb": "fact", "args": args})
        except WireError as error:
            self._seldom.say(logging.ERROR, "unsayable", f"fact {n} cannot be sent: {error}")
            self._forget(n)
            return False
        connection.sendall(frame)
        return True

    def _forget(self, number: Any) -> None:
        with self._guard:
            for queue in (self._facts, self._telemetry):
                for entry in queue:
                    if entry[0] == number:
                        queue.remove(entry)
                        break
