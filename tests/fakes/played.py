"""A camera whose packets come from a file, at moments that the test chooses."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from agent.camera_address import Address
from agent.clock import Clock
from agent.footage.recording.arrivals import Arrived, Ended, Item, Opened, Trouble
from agent.footage.recording.camera import Camera

T = TypeVar("T")


class PlayedCamera(Camera):
    """Packets of a file, again and again, each with the time that it has in the file; no thread, no network."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__("played", Address("rtsp://127.0.0.1/none"), clock, 1.0)
        self._path = path
        self._moved = clock
        self._given: list[Item] = []
        self._connection = 0
        self._shift = 0
        self._place = 0
        self.offset_ticks = 0
        """Added to every time: a camera whose clock jumps."""
        self.asked_anew: list[float] = []
        """For how many seconds there was no key frame, each time that it was asked for a new connection."""
        self.open()

    def open(self) -> None:
        """A new connection; the file begins anew, with a key frame."""
        self._container = av.open(self._path, "r")
        self._stream = self._container.streams.video[0]
        assert self._stream.time_base is not None
        self._packets = [packet for packet in self._container.demux(self._stream) if packet.size]
        self._length = sum(packet.duration or 0 for packet in self._packets)
        self._nominal = self._packets[0].duration or 1
        self._connection += 1
        self._place = self._shift = 0
        context = self._stream.codec_context
        base = self._stream.time_base
        self._given.append(Opened(self._connection, context.name, context.width, context.height, base, self._nominal))

    def play(self, delay_ns: int = 0) -> None:
        """The next packet is sent now, and arrives so much later."""
        if self._place == len(self._packets):
            self._place = 0
            self._shift += self._length
            with av.open(self._path, "r") as again:
                self._packets = [packet for packet in again.demux(again.streams.video[0]) if packet.size]
        packet = self._packets[self._place]
        self._place += 1
        shift = self._shift + self.offset_ticks
        packet.dts = None if packet.dts is None else packet.dts + shift
        packet.pts = None if packet.pts is None else packet.pts + shift
        self._given.append(Arrived(packet, self._moved.mono_ns() + delay_ns))

    def end(self, trouble: Trouble = Trouble.SILENT, detail: str = "the camera ended the stream") -> None:
        """The connection is over."""
        self._given.append(Ended(trouble, detail, True))

    def connect_anew(self, connection: int, waited_s: float) -> None:
        self.asked_anew.append(waited_s)

    def take(self) -> list[Item]:
        given, self._given = self._given, []
        return given

    def give(self, item: Item) -> None:
        """Anything else that a reader may say."""
        self._given.append(item)

    def with_streams(self, connection: int, use: Callable[[VideoStream, AudioStream | None], T]) -> T | None:
        return use(self._stream, None) if connection == self._connection else None
