"""One camera's connection: a thread that reads packets and hands them on, and never stops trying.

libav may hang in a name look-up, a handshake or a read; so the thread that reads writes nothing, holds nothing
that others wait for, and is left behind when it does not come back.

Invariants
1. What was read waits in one bounded queue; what does not fit is dropped, and the queue says so.
2. A connection's stream is used as a template only while `with_stream` holds it open.
3. User and password are in no log line and no error text.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final, TypeVar

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from agent.camera_address import Address, NoPassword
from agent.clock import Clock
from agent.footage.parameter_sets import parameter_sets

log = logging.getLogger(__name__)

MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
"""Half a minute of a 4 Mbit/s stream per camera, while the disk does not answer."""

MAX_WAITING_ITEMS: Final = 4096

OPEN_TIMEOUT_S: Final = 6.0
"""A camera that needs longer to show a stream is told as silent, which must happen within 10 s."""

BACKOFF_S: Final = (0.5, 1.0, 2.0)
"""Waits between attempts; the last one for ever."""

REFUSED_BACKOFF_S: Final = 8.0
"""Between attempts with a password that was refused: cameras lock a user out after five within minutes, and
an attempt must still fall within the 10 s in which a repaired one is to be noticed."""

HUNG_S: Final = 30.0
"""A reader that does nothing for this long, past every timeout it has, hangs in libav: begin another."""

MAX_HUNG: Final = 3

GATHER_S: Final = 0.08
"""Once everything that came was read, the reader lets this much gather in the socket before it reads again: one
wake-up for several frames, instead of one for every 1400 bytes. It delays a packet's arrival time by half of this,
and holds 13 Mbit/s in the smallest socket buffer (128 KiB)."""

BLOCKED_NS: Final = 1_000_000
"""A read that took longer than this had to wait for the network: everything that came was read."""

LEAST_RATE: Final = 1.0
MOST_RATE: Final = 240.0
"""Frames a second, whatever the camera's description says: the end of a run is one frame after its last packet,
and one that claims a frame in 1000 s would have footage where there is none."""

CODECS: Final = frozenset({"h264", "hevc"})

T = TypeVar("T")


class Trouble(StrEnum):
    """Why a camera gives no packets."""

    SILENT = "silent"
    REFUSED = "refused"
    NOT_VIDEO = "not_video"


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection shows video; told again, with the same number, when its picture is from now on another one.

    `parameter_sets` are those of the new picture, empty as long as the connection's stream tells them itself.
    """

    connection: int
    codec: str
    width: int
    height: int
    time_base: Fraction
    nominal_ticks: int
    parameter_sets: bytes = b""


@dataclass(slots=True)
class Arrived:
    """One packet and when it was read, on the monotonic clock."""

    packet: "Packet[Any]"
    mono_ns: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection, or an attempt at one, is over. `detail` is for people; `asked` says whether the camera was."""

    trouble: Trouble
    detail: str
    was_open: bool
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Overflowed:
    """Packets were dropped here, because nobody took what was read."""


Item = Opened | Arrived | Ended | Overflowed


class Camera:
    """The packets of one camera's main stream, from connection after connection."""

    def __init__(self, name: str, address: Address, clock: Clock, read_timeout_s: float) -> None:
        self.name = name
        self._address = address
        self._clock = clock
        self._read_timeout_s = read_timeout_s
        self._guard = threading.Lock()
        self._items: deque[Item] = deque()
        self._waiting_bytes = 0
        self._overflowing = False
        self._stop = threading.Event()
        self._reader: _Reader | None = None
        self._hung: list[_Reader] = []
        self._connections = 0

    def start(self) -> None:
        """Begin to read."""
        self._reader = _Reader(self, self._address, self._clock, self._read_timeout_s, self._stop)
        self._reader.start()

    def ask_to_stop(self) -> None:
        """Read no more. Never waits."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the reader; False when it hangs in libav and is left behind (it holds no file)."""
        return self._reader is None or self._reader.join(timeout_s)

    def replace_hung(self) -> bool:
        """Begin another reader when the present one hangs; True when that was done. Called now and then."""
        reader = self._reader
        if reader is None or self._stop.is_set() or not reader.hangs(self._clock.mono_ns()):
            return False
        self._hung = [each for each in self._hung if each.alive()]
        if len(self._hung) >= MAX_HUNG:
            return False
        reader.leave()
        self._hung.append(reader)
        log.warning("camera %s: the reader hangs in libav and is replaced", self.name)
        self.start()
        return True

    def take(self) -> list[Item]:
        """Everything read since the last call."""
        with self._guard:
            items, self._items = list(self._items), deque()
            self._waiting_bytes = 0
            self._overflowing = False
        return items

    def with_stream(self, connection: int, use: Callable[[VideoStream], T]) -> T | None:
        """`use` of the stream of this connection while it is certain to exist, or None when it is over."""
        reader = self._reader
        return None if reader is None else reader.with_stream(connection, use)

    def put(self, item: Item, from_reader: "_Reader") -> None:
        """Take an item from a reader; used by the reader alone."""
        size = item.packet.size if isinstance(item, Arrived) else 0
        with self._guard:
            if from_reader is not self._reader:
                return
            if size and (self._waiting_bytes + size > MAX_WAITING_BYTES or len(self._items) > MAX_WAITING_ITEMS):
                if not self._overflowing:
                    self._overflowing = True
                    self._items.append(Overflowed())
                return
            if size and self._overflowing:
                return
            self._waiting_bytes += size
            self._items.append(item)

    def next_connection(self) -> int:
        """A number for a connection, never used before."""
        with self._guard:
            self._connections += 1
            return self._connections


class _Reader:
    """One thread of one camera. A reader that hangs is left behind, with its thread."""

    def __init__(
        self, camera: Camera, address: Address, clock: Clock, read_timeout_s: float, stop: threading.Event
    ) -> None:
        self._camera = camera
        self._address = address
        self._clock = clock
        self._read_timeout_s = read_timeout_s
        self._stop = stop
        self._left = False
        self._sets = b""
        self._turned_ns = clock.mono_ns()
        self._guard = threading.Lock()
        self._stream: tuple[int, VideoStream] | None = None
        self._thread = threading.Thread(target=self._run, name=f"camera-{camera.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def leave(self) -> None:
        self._left = True

    def hangs(self, now_ns: int) -> bool:
        return now_ns - self._turned_ns > HUNG_S * 1e9

    def with_stream(self, connection: int, use: Callable[[VideoStream], T]) -> T | None:
        with self._guard:
            if self._stream is None or self._stream[0] != connection:
                return None
            return use(self._stream[1])

    def _over(self) -> bool:
        return self._left or self._stop.is_set()

    def _run(self) -> None:
        attempt = 0
        while not self._over():
            try:
                ended = self._connect_and_read()
            except Exception as error:
                log.exception("camera %s: the reader failed", self._camera.name)
                ended = Ended(Trouble.SILENT, type(error).__name__, False)
            if self._over():
                return  # that it ends now is not the camera's doing
            self._camera.put(ended, self)
            attempt = 0 if ended.was_open else attempt + 1
            wait_s = BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]
            self._turned_ns = self._clock.mono_ns()
            refused = ended.trouble is Trouble.REFUSED and ended.asked
            self._clock.wait(self._stop, REFUSED_BACKOFF_S if refused else wait_s)

    def _connect_and_read(self) -> Ended:
        began_ns = self._turned_ns = self._clock.mono_ns()
        try:
            container = self._open()
        except NoPassword as error:
            return Ended(Trouble.REFUSED, str(error), False, asked=False)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            return _why(error, (self._clock.mono_ns() - began_ns) / 1e9)
        try:
            return self._read(container)
        finally:
            with self._guard:
                self._stream = None
            container.close()

    def _open(self) -> InputContainer:
        # With sound a camera whose video has stopped would never seem silent to the reader: it is not asked for.
        options = {
            "rtsp_transport": self._address.transport,
            "timeout": str(int(self._read_timeout_s * 1e6)),
            "allowed_media_types": "video",
        }
        # The read timeout is libav's own: PyAV's would take the interpreter's lock for every packet.
        return av.open(self._address.with_credentials(), "r", options=options, timeout=(OPEN_TIMEOUT_S, None))

    def _read(self, container: InputContainer) -> Ended:
        if not container.streams.video:
            return Ended(Trouble.NOT_VIDEO, "the address gives no video", False)
        stream = container.streams.video[0]
        codec = stream.codec_context.name
        if codec not in CODECS:
            return Ended(Trouble.NOT_VIDEO, f"the video is {codec}; H.264 and H.265 can be recorded", False)
        if not stream.codec_context.width or stream.time_base is None:
            return Ended(Trouble.SILENT, "no key frame in time", False)
        connection, self._sets = self._camera.next_connection(), b""
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        nominal = max(1, int(1 / (min(max(rate, LEAST_RATE), MOST_RATE) * stream.time_base)))
        context = stream.codec_context
        with self._guard:
            self._stream = (connection, stream)
        opened = Opened(connection, codec, context.width, context.height, stream.time_base, nominal)
        self._camera.put(opened, self)
        return self._demux(container, stream, opened)

    def _demux(self, container: InputContainer, stream: VideoStream, opened: Opened) -> Ended:
        put, now, gather = self._camera.put, self._clock.mono_ns, self._address.transport == "tcp"
        try:
            for packet in container.demux(stream):
                before, self._turned_ns = self._turned_ns, now()
                if self._over():
                    break
                if packet.is_keyframe and (changed := self._changed(packet, opened)) is not None:
                    opened = changed
                    put(opened, self)
                if packet.size:
                    put(Arrived(packet, self._turned_ns), self)
                if gather and self._turned_ns - before > BLOCKED_NS:
                    self._clock.wait(self._stop, GATHER_S)
                    self._turned_ns = now()
        except (OSError, ValueError, av.error.FFmpegError) as error:
            return Ended(Trouble.SILENT, _text(error), True)
        return Ended(Trouble.SILENT, "the camera ended the stream", True)

    def _changed(self, packet: "Packet[Any]", opened: Opened) -> Opened | None:
        """The connection anew when this key frame has other parameter sets than those before it."""
        data = bytes(packet)
        sets = parameter_sets(opened.codec, data)
        known, self._sets = self._sets, sets or self._sets
        if not sets or not known or sets == known:
            return None
        size = picture_size(opened.codec, data)
        if size is None:  # damaged on the way: what was known goes on
            self._sets = known
            return None
        log.info("camera %s: the picture is from now on %s x %s", self._camera.name, *size)
        return replace(opened, width=size[0], height=size[1], parameter_sets=sets)


def picture_size(codec: str, picture: bytes) -> tuple[int, int] | None:
    """Width and height of a key frame with its parameter sets; None when it cannot be decoded."""
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    try:
        frames = [*decoder.decode(Packet(picture)), *decoder.decode(None)]
    except av.error.FFmpegError:
        return None
    return (frames[0].width, frames[0].height) if frames else None


def _why(error: Exception, took_s: float) -> Ended:
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return Ended(Trouble.REFUSED, "the camera refuses user or password", False)
    if isinstance(error, av.error.HTTPNotFoundError):
        return Ended(Trouble.SILENT, "the camera has no such stream (404)", False)
    if isinstance(error, av.error.InvalidDataError) and took_s < 1.0:
        return Ended(Trouble.NOT_VIDEO, "what answers there speaks no RTSP", False)
    if isinstance(error, av.error.InvalidDataError | av.error.ExitError):
        return Ended(Trouble.SILENT, "the camera does not answer", False)
    return Ended(Trouble.SILENT, _text(error), False)


def _text(error: Exception) -> str:
    # str(error) of libav's errors holds the address, with the password.
    return getattr(error, "strerror", None) or type(error).__name__
