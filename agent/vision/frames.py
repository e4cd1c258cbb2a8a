"""The newest frame of each camera: a thread per camera decodes a stream into a place for one frame.

Invariants
1. There is one place, and the newest frame is in it: nobody waits, old frames are dropped.
2. A frame is taken once.
3. User and password are in no log line and no status.
4. A thread that hangs in libav is left behind, and another takes its place; what it says later is ignored.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import av
from av import VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream

from agent.camera_address import Address, NoPassword
from agent.clock import Clock, stamp
from agent.facts import Stamp

log = logging.getLogger(__name__)

OPEN_TIMEOUT_S: Final = 6.0
READ_TIMEOUT_S: Final = 5.0
"""A camera that needs longer is as good as gone; both fall within the 10 s after which blindness is told."""

ANALYSE_US: Final = 1_000_000
"""What the stream holds stands in its description; libav's own 5 s would only keep the first frame waiting."""

BACKOFF_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits between attempts, the last one for ever; a frame begins them anew."""

TELL_EVERY_S: Final = 60.0
"""Of one camera's failures one is logged in this time."""

HUNG_S: Final = 30.0
"""A thread that does nothing for this long, past every timeout it has, hangs in libav: begin another."""

MAX_HUNG: Final = 3
"""Threads of one camera that may be left behind at a time."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame and when it came."""

    picture: VideoFrame
    at: Stamp


class FrameSource:
    """One camera's newest frame. Reconnects for ever."""

    def __init__(
        self, name: str, address: Address, keyframes_only: bool, clock: Clock, arrived: Callable[[], None]
    ) -> None:
        """`keyframes_only` decodes nothing else: for a main stream, which is large. `arrived` is called from the
        camera's thread after each frame; it must not wait."""
        self.name = name
        self.address = address
        self.keyframes_only = keyframes_only
        self._clock = clock
        self._arrived = arrived
        self._guard = threading.Lock()
        self._newest: Frame | None = None
        self._frames = 0
        self._last: Stamp | None = None
        self._detail = ""
        self._failures = 0
        self._logged_ns: int | None = None
        self._logged = False
        self._stop = threading.Event()
        self._decoder: _Decoder | None = None
        self._hung: list[_Decoder] = []

    def start(self) -> None:
        """Begin to connect."""
        self._decoder = _Decoder(self, self._clock, self._stop)
        self._decoder.start()

    def replace_hung(self) -> bool:
        """Begin another thread when the present one hangs; True when that was done. Called now and then."""
        decoder = self._decoder
        if decoder is None or self._stop.is_set() or not decoder.hangs(self._clock.mono_ns()):
            return False
        self._hung = [each for each in self._hung if each.alive()]
        if len(self._hung) >= MAX_HUNG:
            return False
        decoder.leave()
        self._hung.append(decoder)
        log.warning("camera %s: the thread that decodes its frames hangs in libav and is replaced", self.name)
        self.start()
        return True

    def ask_to_stop(self) -> None:
        """Stop soon; `join` waits for it. Apart, so that many cameras stop at the same time."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait until the thread has ended; False when it hangs in libav and is left behind (it holds nothing)."""
        return self._decoder is None or self._decoder.join(timeout_s)

    def take(self) -> Frame | None:
        """The newest frame, or None when it was taken already."""
        with self._guard:
            frame, self._newest = self._newest, None
            return frame

    def has_frame(self) -> bool:
        """A frame waits to be taken."""
        with self._guard:
            return self._newest is not None

    def seen(self) -> tuple[int, Stamp | None, str]:
        """How many frames came, when the newest did, and what is wrong, if anything."""
        with self._guard:
            return self._frames, self._last, self._detail

    def put(self, picture: VideoFrame, decoder: "_Decoder") -> None:
        """Take a frame; used by the decoder alone."""
        frame = Frame(picture, stamp(self._clock))
        with self._guard:
            if decoder is not self._decoder:
                return
            self._newest = frame
            self._frames += 1
            self._last = frame.at
            self._detail = ""
            self._failures = 0
        if self._logged:
            log.info("camera %s: frames come again", self.name)
            self._logged = False
        self._arrived()

    def fail(self, detail: str, decoder: "_Decoder") -> float:
        """Take why there are no frames; how many seconds to wait. Used by the decoder alone."""
        now_ns = self._clock.mono_ns()
        with self._guard:
            if decoder is not self._decoder or self._stop.is_set():
                return 0.0
            self._detail = detail
            self._failures += 1
            wait_s = BACKOFF_S[min(self._failures, len(BACKOFF_S)) - 1]
        if self._logged_ns is None or now_ns - self._logged_ns >= TELL_EVERY_S * 1e9:
            log.warning("camera %s: no frames: %s", self.name, detail)
            self._logged_ns, self._logged = now_ns, True
        return wait_s


class _Decoder:
    """One thread of one camera."""

    def __init__(self, source: FrameSource, clock: Clock, stop: threading.Event) -> None:
        self._source = source
        self._clock = clock
        self._stop = stop
        self._left = False
        self._turned_ns = clock.mono_ns()
        self._thread = threading.Thread(target=self._run, name=f"frames-{source.name}", daemon=True)

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

    def _over(self) -> bool:
        return self._left or self._stop.is_set()

    def _run(self) -> None:
        while not self._over():
            self._turned_ns = self._clock.mono_ns()
            try:
                detail = self._read()
            except NoPassword as error:
                detail = str(error)
            except (OSError, av.error.FFmpegError) as error:
                # The text of libav's errors ends with the address, password included: not that.
                detail = f"{type(error).__name__}: {error.strerror}"
            except Exception:
                log.exception("camera %s: reading its frames failed", self._source.name)
                detail = "internal error"
            self._turned_ns = self._clock.mono_ns()
            self._clock.wait(self._stop, self._source.fail(detail, self))

    def _read(self) -> str:
        """Decode until the stream ends, fails or is to stop; why it ended."""
        address = self._source.address
        options = {"rtsp_transport": address.transport, "analyzeduration": str(ANALYSE_US)}
        timeouts = (OPEN_TIMEOUT_S, READ_TIMEOUT_S)
        with av.open(address.with_credentials(), "r", options=options, timeout=timeouts) as container:
            if not container.streams.video:
                return "no video in the stream"
            video = container.streams.video[0]
            # One frame at a time: a thread pool per camera costs memory and gives frames later.
            video.thread_type = "NONE"
            video.codec_context.thread_count = 1
            if self._source.keyframes_only:
                video.codec_context.skip_frame = "NONKEY"
            for picture in self._pictures(container, video):
                self._source.put(picture, self)
        return "the stream ended"

    def _pictures(self, container: InputContainer, video: VideoStream) -> Iterator[VideoFrame]:
        for packet in container.demux(video):
            self._turned_ns = self._clock.mono_ns()
            if self._over():
                return
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                continue  # one damaged packet is no reason to connect anew
