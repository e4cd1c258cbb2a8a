"""Telling the service manager that this process is ready and that its work goes on.

Speaks the notify protocol of systemd (sd_notify(3)); `agent.main` speaks the other half, so a process does
not know which of the two watches it.

Invariants
1. `beat` is called by the loop that does the work, after a full turn: a loop that hangs is found.
2. Without NOTIFY_SOCKET everything here is a no-op.
"""

import logging
import os
import socket
from typing import Final

from agent.clock import Clock

log = logging.getLogger(__name__)

BEAT_EVERY_S: Final = 2.0
"""A watchdog beat is sent at most this often; the units allow WatchdogSec=30."""

WATCHDOG_S: Final = 30.0
"""A loop silent for this long is dead: three times the longest wait any working loop has (10 s)."""


def notify(state: str) -> None:
    """Send one sd_notify state, such as READY=1. Does nothing outside a service manager."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        # Making the socket may fail too, when no file descriptor is left: no reason to end the loop that beats.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outlet:
            outlet.setblocking(False)
            outlet.sendto(state.encode(), address)
    except OSError as error:
        log.warning("service manager not reached: %s", error)


class Liveness:
    """The pulse of one working loop, sent on to the watchdog at most every `BEAT_EVERY_S`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ns = 0

    def ready(self) -> None:
        """The process does its duty from now on."""
        notify("READY=1")

    def beat(self) -> None:
        """The working loop has turned once."""
        now = self._clock.mono_ns()
        if now - self._last_ns >= BEAT_EVERY_S * 1e9:
            self._last_ns = now
            notify("WATCHDOG=1")

    def stopping(self) -> None:
        """The process was asked to stop and is doing so."""
        notify("STOPPING=1")
