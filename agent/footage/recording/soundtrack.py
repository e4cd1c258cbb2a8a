"""The sound of one stream between its reader and its files. Used by the recording thread alone."""

from collections import deque
from typing import Any, Final

from av.packet import Packet

from agent.footage.recording.arrivals import Heard
from agent.footage.recording.sound import SoundFormat
from agent.footage.recording.sound_time import SoundTime, hear
from agent.footage.timeline import Raw, TimeBase

MAX_READY: Final = 200
"""Packets whose time is decided, and that wait for a file; more are dropped, the oldest first."""


class Soundtrack:
    """Packets of sound whose wall time is being found, and those that have one and no file yet."""

    def __init__(self) -> None:
        self._format: SoundFormat | None = None
        self._time: SoundTime | None = None
        self._undecided: deque[Packet[Any]] = deque()
        self._ready: deque[tuple[Packet[Any], int]] = deque(maxlen=MAX_READY)

    def begin(self, sound: SoundFormat | None) -> None:
        """Another connection, with this sound or none."""
        self._format = sound
        self.begin_anew()

    def begin_anew(self) -> None:
        """The wall clock was set, or a file was lost: what waits is dropped, and times are found anew."""
        sound = self._format
        self._time = None if sound is None else SoundTime(TimeBase(1, sound.rate), sound.frame_ticks)
        self._undecided.clear()
        self._ready.clear()

    def take(self, heard: Heard, offset_ns: int) -> None:
        """A packet; `offset_ns` is what the wall clock is ahead of the monotonic one."""
        if self._time is None:
            return
        packet = heard.packet
        raw = Raw(packet.pts, packet.dts, packet.duration or self._time.frame_ticks)
        self._time, decided = hear(self._time, raw, heard.mono_ns + offset_ns)
        self._undecided.append(packet)
        for wall_ns in decided:
            self._ready.append((self._undecided.popleft(), wall_ns))

    def ready(self) -> "tuple[Packet[Any], int] | None":
        """The next packet that has a wall time, and that time."""
        return self._ready.popleft() if self._ready else None
