"""The port of one bridge, found anew whenever it is not open: the one that is named, or one of those behind USB.

Invariants
1. A port is given only after it was claimed; the claim ends when the bridge says that it is closed (neighbours.py).
2. A port that was left is not given again for `LEFT_FOR_S`, unless it was unplugged meanwhile.
"""

import time
from pathlib import Path
from typing import Final

from firmware_bridge.neighbours import Neighbours
from firmware_bridge.ports import PluggedIn, UsbPort, Wanted

LEFT_FOR_S: Final = 10.0
"""So long a port that was left is not tried again: opening one resets its board, which may be another bridge's."""


class StillWaiting(Exception):
    """Every port that fits was left a moment ago; the text is why the newest one was."""


class Search:
    """Used by one thread."""

    def __init__(self, bridge: str, wanted: Path | Wanted, plugged_in: PluggedIn, neighbours: Neighbours) -> None:
        self._bridge = bridge
        self._wanted = wanted
        self._plugged_in = plugged_in
        self._neighbours = neighbours
        self._tried: dict[Path, int] = {}
        self._left: dict[Path, tuple[UsbPort, int, str]] = {}

    def port(self) -> Path:
        """The port to open now. Raises FileNotFoundError, StillWaiting, or OSError where nothing can be looked for."""
        if isinstance(self._wanted, Path):
            if not self._wanted.exists():
                raise FileNotFoundError(self._wanted)
            return self._wanted
        self._plugged_in.must_be_told()
        fitting = self._fitting(self._wanted)
        if not fitting:
            raise FileNotFoundError(f"nothing that is plugged in fits: {self._wanted}")
        free = [each.path for each in fitting if not self._was_left(each)]
        for path in sorted(free, key=lambda each: self._tried.get(each, 0)):
            if self._neighbours.claim(self._bridge, path):
                self._tried[path] = time.monotonic_ns()
                return path
        if self._left:
            raise StillWaiting(max(self._left.values(), key=lambda each: each[1])[2])
        raise FileNotFoundError(f"what is plugged in and fits belongs to other bridges: {self._wanted}")

    def left(self, path: Path | None, reason: str) -> None:
        """This port is not the one."""
        if isinstance(self._wanted, Wanted):
            for each in self._fitting(self._wanted):
                if each.path == path:
                    self._left[each.path] = (each, time.monotonic_ns(), reason)

    def another(self, path: Path | None) -> bool:
        """Whether there is another port to try than this one."""
        if not isinstance(self._wanted, Wanted):
            return False
        others = [each for each in self._fitting(self._wanted) if each.path != path and not self._was_left(each)]
        return any(self._neighbours.free(self._bridge, each.path) for each in others)

    def _fitting(self, wanted: Wanted) -> list[UsbPort]:
        ports = [each for each in self._plugged_in.ports() if wanted.fits(each)]
        present = {each.path for each in ports}
        self._left = {path: left for path, left in self._left.items() if path in present}
        return ports

    def _was_left(self, port: UsbPort) -> bool:
        known = self._left.get(port.path)
        if known is None or known[0] != port:
            return False
        return time.monotonic_ns() - known[1] < LEFT_FOR_S * 1e9
