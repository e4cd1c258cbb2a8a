"""Whether a camera is heard, and what is wrong when it is not.

Used by the recording thread alone; single values may be read by any.

Invariants
1. A camera is told as silent, refused or no video from the moment when that is certain until it is recorded again.
2. What is wrong changes at most every `CHANGE_NS`, however fast a camera changes its mind: each change is a gap row.
3. Connections that break again and again are a fault, though every single one of them is made good.
"""

from collections import deque
from typing import Final

from agent.camera_words import Why
from agent.camera_words import detail as coded
from agent.footage.recording.arrivals import Trouble
from agent.footage.timeline import NS

START_GRACE_NS: Final = 2 * NS
"""A camera that was never heard may take this much longer: connecting and probing need it."""

MEASURE_NS: Final = 5 * NS
"""Over which the rate is measured."""

CHANGE_NS: Final = 5 * NS
"""Half of the time in which a fault must be told (REQUIREMENTS)."""

BREAKS: Final = 20
BREAKS_NS: Final = 600 * NS
"""So many broken connections in so long lose a minute of footage or more: each costs a key frame and two seconds."""


class Hearing:
    """What one stream of a camera gives. `trouble` and `detail` say what is wrong, None when nothing is."""

    def __init__(self, now_ns: int, silent_after_ns: int) -> None:
        """Times are monotonic nanoseconds."""
        self.packets = self.bytes = 0
        self.last_mono_ns = now_ns + START_GRACE_NS
        self.trouble: Trouble | None = None
        self.detail = ""
        self.kbit_s = 0.0
        """What comes, over the last few seconds."""
        self._silent_after_ns = silent_after_ns
        self._seen = ""
        """The detail of the last connection's end."""
        self._changed_ns = 0
        self._measured = (now_ns, 0)
        self._breaks: deque[int] = deque(maxlen=BREAKS)

    def heard(self, size_bytes: int, mono_ns: int) -> None:
        """A packet of video was read."""
        self.packets += 1
        self.bytes += size_bytes
        self.last_mono_ns = mono_ns

    def is_well(self) -> None:
        """It is recorded, or would be."""
        self.trouble, self.detail = None, ""

    def ended(self, detail: str, was_open: bool, mono_ns: int) -> None:
        """A connection, or an attempt at one, is over."""
        self._seen = detail
        if was_open:
            self._breaks.append(mono_ns)

    def suffers(self, trouble: Trouble, detail: str, mono_ns: int) -> bool:
        """Something is wrong; True when that is new, and to be told."""
        if self.trouble is trouble:
            self.detail = detail
            return False
        if self.trouble is not None and mono_ns - self._changed_ns < CHANGE_NS:
            return False
        self.trouble, self.detail, self._changed_ns = trouble, detail, mono_ns
        return True

    def is_silent(self, mono_ns: int) -> bool:
        """Whether no packet has come for too long, and nothing is told to be wrong."""
        return self.trouble is None and mono_ns - self.last_mono_ns >= self._silent_after_ns

    def why_silent(self, is_recording: bool) -> str:
        """The detail of silence: what the last attempt ended with, unless a file is open."""
        return self._seen if self._seen and not is_recording else coded(Why.NO_PACKETS)

    def measure(self, mono_ns: int) -> None:
        """Called every turn."""
        since, before = self._measured
        if mono_ns - since >= MEASURE_NS:
            self.kbit_s = (self.bytes - before) * 8e6 / (mono_ns - since)
            self._measured = (mono_ns, self.bytes)

    def breaks(self, mono_ns: int) -> int:
        """How many connections broke within `BREAKS_NS`, when those are `BREAKS` or more; else 0."""
        if len(self._breaks) < BREAKS or mono_ns - self._breaks[0] > BREAKS_NS:
            return 0
        return len(self._breaks)
