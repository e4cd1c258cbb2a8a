"""What a camera's reader hands to the recording thread."""

import threading
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

from av.packet import Packet

from agent.footage.recording.sound import SoundFormat


class Trouble(StrEnum):
    """Why a camera gives no packets."""

    SILENT = "silent"
    REFUSED = "refused"
    NOT_VIDEO = "not_video"


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection shows video; told again, with the same number, when its picture is from now on another one.

    `parameter_sets` are those of the new picture, empty as long as the connection's stream tells them itself.
    `sound` is there when sound that can be recorded may come with it.
    """

    connection: int
    codec: str
    width: int
    height: int
    time_base: Fraction
    nominal_ticks: int
    parameter_sets: bytes = b""
    sound: SoundFormat | None = None


@dataclass(slots=True)
class Arrived:
    """One packet of video and when it was read, on the monotonic clock."""

    packet: "Packet[Any]"
    mono_ns: int


@dataclass(slots=True)
class Heard:
    """One packet of sound as a file takes it, times in the unit of `Opened.sound`, and when it was read."""

    packet: "Packet[Any]"
    mono_ns: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection, or an attempt at one, is over. `detail` is one of `camera_words`; `asked` says whether the camera
    was asked."""

    trouble: Trouble
    detail: str
    was_open: bool
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Overflowed:
    """Packets were dropped here, because nobody took what was read."""


Item = Opened | Arrived | Heard | Ended | Overflowed


MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
"""Half a minute of a 4 Mbit/s stream per camera, while the disk does not answer."""

MAX_WAITING_ITEMS: Final = 4096


class Arrivals:
    """What was read waits here, bounded; packets that do not fit are dropped, and an `Overflowed` says so."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._items: deque[Item] = deque()
        self._waiting_bytes = 0
        self._overflowing = False

    def put(self, item: Item) -> None:
        """Take an item from a reader."""
        size = item.packet.size if isinstance(item, Arrived | Heard) else 0
        with self._guard:
            if size and (self._waiting_bytes + size > MAX_WAITING_BYTES or len(self._items) > MAX_WAITING_ITEMS):
                if not self._overflowing:
                    self._overflowing = True
                    self._items.append(Overflowed())
                return
            if size and self._overflowing:
                return
            self._waiting_bytes += size
            self._items.append(item)

    def take(self) -> list[Item]:
        """Everything since the last call, in order."""
        with self._guard:
            items, self._items = list(self._items), deque()
            self._waiting_bytes = 0
            self._overflowing = False
        return items
