"""The newest frame of each camera: a thread per camera decodes a stream into a place for one frame.

Invariants
1. There is one place, and the newest frame is in it: nobody waits, old frames are dropped.
2. A frame is taken once.
3. User and password are in no log line and no status.
4. What a thread that was left behind (agent/reader.py) says later is ignored.
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
from agent.camera_open import Place, open_stream, where, why
from agent.camera_words import Why, detail, words
from agent.clock import Clock, stamp
from agent.facts import Stamp
from agent.logins import Logins
from agent.onvif import OnvifFailed
from agent.reader import Reader, Turn

log = logging.getLogger(__name__)

READ_TIMEOUT_S: Final = 5.0
"""A camera that needs longer is as good as gone; it falls within the 10 s after which blindness is told."""

ANALYSE_US: Final = 1_000_000
"""What the stream holds stands in its description; libav's own 5 s would only keep the first frame waiting."""

BACKOFF_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits between attempts, the last one for ever; a frame begins them anew."""

TELL_EVERY_S: Final = 60.0
"""Of one camera's failures one is logged in this time."""

LOOK_EVERY_S: Final = 1.0
"""After a password was refused, whether the next attempt is due, or the password file another."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame and when it came."""

    picture: VideoFrame
    at: Stamp


class FrameSource:
    """One camera's newest frame. Reconnects for ever."""

    def __init__(
        self,
        name: str,
        address: Address,
        keyframes_only: bool,
        clock: Clock,
        arrived: Callable[[], None],
        logins: Logins | None = None,
    ) -> None:
        """`keyframes_only` decodes nothing else: for a main stream, which is large. `arrived` is called from the
        camera's thread after each frame; it must not wait. `logins` are shared with whatever else asks the camera."""
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
        self._login = (logins or Logins(None, clock)).login(address)
        self._reader = Reader(f"frames-{name}", self._work, clock)

    def start(self) -> None:
        """Begin to connect."""
        self._reader.start()

    def replace_hung(self) -> bool:
        """Begin another thread when the present one hangs; True when that was done. Called now and then."""
        return self._reader.replace_hung()

    def ask_to_stop(self) -> None:
        """Stop soon; `join` waits for it. Apart, so that many cameras stop at the same time."""
        self._reader.ask_to_stop()

    def join(self, timeout_s: float) -> bool:
        """Wait until the thread has ended; False when it hangs in libav and is left behind (it holds nothing)."""
        return self._reader.join(timeout_s)

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

    def put(self, picture: VideoFrame, turn: Turn) -> None:
        """Take a frame; used by the camera's thread alone."""
        frame = Frame(picture, stamp(self._clock))
        with self._guard:
            if not self._reader.is_current(turn):
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

    def fail(self, seen: str, turn: Turn) -> float:
        """Take why there are no frames (camera_words); how many seconds to wait. Used by the camera's thread alone."""
        now_ns = self._clock.mono_ns()
        with self._guard:
            if not self._reader.is_current(turn) or self._reader.stopping():
                return 0.0
            self._detail = seen
            self._failures += 1
            wait_s = BACKOFF_S[min(self._failures, len(BACKOFF_S)) - 1]
        if self._logged_ns is None or now_ns - self._logged_ns >= TELL_EVERY_S * 1e9:
            log.warning("camera %s: no frames: %s", self.name, words(seen).en)
            self._logged_ns, self._logged = now_ns, True
        return wait_s

    def _work(self, turn: Turn) -> None:
        place = Place(self.address, self._clock)
        while not turn.over():
            turn.turned()
            if self._login.may_try():
                turn.wait(self.fail(self._attempt(place, turn), turn))
            else:
                turn.wait(LOOK_EVERY_S)

    def _attempt(self, place: Place, turn: Turn) -> str:
        """Connect and decode; why it ended."""
        try:
            return self._read(place, turn)
        except NoPassword as error:
            return str(error)
        except OnvifFailed as error:
            if error.refused:
                self._login.refused()
            return str(error)
        except (OSError, ValueError, av.error.FFmpegError) as error:
            place.failed()
            seen = why(error)
            if seen == detail(Why.LOGIN_REFUSED):
                self._login.refused()
            return seen
        except Exception as error:  # noqa: BLE001  # top of one connection: the next one may do
            if self._failures == 0:
                log.error("camera %s: reading its frames failed with %s", self.name, where(error))  # noqa: TRY400
            return detail(Why.INTERNAL_ERROR)

    def _read(self, place: Place, turn: Turn) -> str:
        """Decode until the stream ends, fails or is to stop; why it ended."""
        options = {"analyzeduration": str(ANALYSE_US)}
        with open_stream(place.find(), "video", options, READ_TIMEOUT_S) as container:
            self._login.accepted()
            place.worked()
            if not container.streams.video:
                return detail(Why.NO_VIDEO)
            video = container.streams.video[0]
            # One frame at a time: a thread pool per camera costs memory and gives frames later.
            video.thread_type = "NONE"
            video.codec_context.thread_count = 1
            if self.keyframes_only:
                video.codec_context.skip_frame = "NONKEY"
            for picture in _pictures(container, video, turn):
                self.put(picture, turn)
        return detail(Why.STREAM_ENDED)


def _pictures(container: InputContainer, video: VideoStream, turn: Turn) -> Iterator[VideoFrame]:
    for packet in container.demux(video):
        turn.turned()
        if turn.over():
            return
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue  # one damaged packet is no reason to connect anew
