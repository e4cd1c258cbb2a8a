"""Footage that was just listed for somebody to read: it is not deleted under their hands."""

import threading
from typing import Final

from agent.footage.upkeep.hold import Hold

LEASE_NS: Final = 600 * 1_000_000_000
"""An export that takes longer asks again, range by range."""

MOST: Final = 64
"""Of so many at once the oldest is given up: reading must not become a way to stop deletion."""


class Leases:
    """Short promises. May be used by any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._leases: dict[tuple[str, int, int], int] = {}

    def note(self, camera: str, from_ns: int, to_ns: int, mono_ns: int) -> None:
        """Footage of a camera in this range was listed now (monotonic)."""
        with self._guard:
            self._leases.pop((camera, from_ns, to_ns), None)
            self._leases[(camera, from_ns, to_ns)] = mono_ns + LEASE_NS
            while len(self._leases) > MOST:
                del self._leases[next(iter(self._leases))]

    def holds(self, mono_ns: int) -> list[Hold]:
        """Those that last, as holds."""
        with self._guard:
            self._leases = {key: until for key, until in self._leases.items() if until > mono_ns}
            return [
                Hold(f"lease/{camera}/{from_ns}", camera, from_ns, to_ns, "", "being read", None, 0, None)
                for camera, from_ns, to_ns in self._leases
            ]
