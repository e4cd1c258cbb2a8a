"""The newest frame of each camera: a thread per camera decodes a stream into a place for one frame.

Invariants
1. There is one place, and the newest frame is in it: nobody waits, old frames are dropped.
2. A frame is taken once.
3. User and password are in no log line and no status.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

import av
from av import VideoFrame

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

TELL_EVERY: Final = 30
"""Of the attempts that fail one after the other, the first and every thirtieth are logged."""

JOIN_S: Final = OPEN_TIMEOUT_S + 2.0


@dataclass(frozen=True, slots=True)
class Stream:
    """Where a camera's frames come from. `keyframes_only` decodes nothing else: for a main stream, which is large."""

    url: str
    keyframes_only: bool = False
    transport: str = "tcp"
    username: str | None = None
    password_file: Path | None = None

    def with_credentials(self) -> str:
        """The address that libav opens. Raises OSError when the password file cannot be read."""
        if self.username is None:
            return self.url
        password = self.password_file.read_text(encoding="utf-8").strip() if self.password_file else ""
        parts = urlsplit(self.url)
        return urlunsplit(
            parts._replace(netloc=f"{quote(self.username, safe='')}:{quote(password, safe='')}@{parts.netloc}")
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame and when it came."""

    picture: VideoFrame
    at: Stamp


class FrameSource:
    """One camera's newest frame. Reconnects for ever."""

    def __init__(self, name: str, stream: Stream, clock: Clock, arrived: Callable[[], None]) -> None:
        """`arrived` is called from the camera's thread after each frame; it must not wait."""
        self.name = name
        self._stream = stream
        self._clock = clock
        self._arrived = arrived
        self._guard = threading.Lock()
        self._newest: Frame | None = None
        self._frames = 0
        self._last: Stamp | None = None
        self._detail = ""
        self._failures = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"frames-{name}", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Stop soon; `join` waits for it. Apart, so that many cameras stop at the same time."""
        self._stop.set()

    def join(self) -> None:
        """Wait until the thread has ended. Raises RuntimeError when libav does not come back."""
        self._thread.join(JOIN_S)
        if self._thread.is_alive():
            raise RuntimeError(f"the frames of camera {self.name} did not stop")

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

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
                self._failed("the stream ended")
            except (OSError, av.error.FFmpegError) as error:
                # The text of libav's errors ends with the address, password included: not that.
                self._failed(f"{type(error).__name__}: {error.strerror}")
            except Exception:
                log.exception("camera %s: reading its frames failed", self.name)
                self._failed("internal error")
            self._clock.wait(self._stop, BACKOFF_S[min(self._failures, len(BACKOFF_S)) - 1])

    def _read(self) -> None:
        """Decode until the stream ends, fails or is to stop."""
        options = {"rtsp_transport": self._stream.transport, "analyzeduration": str(ANALYSE_US)}
        with av.open(
            self._stream.with_credentials(), options=options, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S)
        ) as container:
            if not container.streams.video:
                raise OSError(0, "no video in the stream")
            video = container.streams.video[0]
            # One frame at a time: a thread pool per camera costs memory and gives frames later.
            video.thread_type = "NONE"
            video.codec_context.thread_count = 1
            if self._stream.keyframes_only:
                video.codec_context.skip_frame = "NONKEY"
            for picture in container.decode(video):
                self._put(picture)
                if self._stop.is_set():
                    return

    def _put(self, picture: VideoFrame) -> None:
        frame = Frame(picture, stamp(self._clock))
        with self._guard:
            self._newest = frame
            self._frames += 1
            self._last = frame.at
            self._detail = ""
        if self._failures:
            log.info("camera %s: frames come again", self.name)
            self._failures = 0
        self._arrived()

    def _failed(self, detail: str) -> None:
        if self._stop.is_set():
            return
        with self._guard:
            self._detail = detail
        if self._failures % TELL_EVERY == 0:
            log.warning("camera %s: no frames: %s", self.name, detail)
        self._failures += 1
