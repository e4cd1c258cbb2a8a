"""What the boards of one host share: which of them has which port, and under which names their events go.

Invariants
1. One port is held by one bridge at a time, whatever name it was found by.
2. Everything here is touched under one lock, by the threads of all boards; nothing here waits.
"""

import os
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path

from firmware_bridge.messages import Hello
from firmware_bridge.names import BoardNames, Named


class Neighbours:
    """All boards of one host."""

    def __init__(self, reserved: Iterable[Path] = ()) -> None:
        """`reserved` are ports that the settings give to somebody by name: nobody finds them by USB."""
        self._guard = threading.Lock()
        self._names = BoardNames(lambda: secrets.token_hex(4))
        self._reserved = tuple(reserved)
        self._ports: dict[str, str] = {}

    def take_over(self, stored: Iterable[tuple[str, int, int]]) -> None:
        """See BoardNames.take_over: before the first board starts."""
        with self._guard:
            self._names.take_over(stored)

    def claim(self, bridge: str, port: Path) -> bool:
        """The bridge found this port by USB and wants to open it; False when it is another's."""
        if not self.free(bridge, port):
            return False
        with self._guard:
            return self._ports.setdefault(os.path.realpath(port), bridge) == bridge

    def free(self, bridge: str, port: Path) -> bool:
        """Whether the port is nobody's, or this bridge's."""
        real = os.path.realpath(port)
        if real in {os.path.realpath(each) for each in self._reserved}:
            return False
        with self._guard:
            return self._ports.get(real, bridge) == bridge

    def released(self, bridge: str) -> None:
        """The bridge has closed its port."""
        with self._guard:
            self._ports = {port: owner for port, owner in self._ports.items() if owner != bridge}
            self._names.gone(bridge)

    def name(self, bridge: str, hello: Hello, asked_ns: int, now_ns: int) -> Named:
        """What the events of the board behind this bridge go under."""
        with self._guard:
            return self._names.name(bridge, hello, asked_ns, now_ns)
