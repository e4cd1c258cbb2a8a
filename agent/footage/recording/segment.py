"""One recorded file: packets in, fragments out, hashed on the way.

The muxer never seeks in a fragmented file, so the digest of what was written is that of the file.

Invariants
1. Bytes reach the file in the order in which they are hashed; after a failed write none follow.
2. The file says itself what it holds, so that the index can be built again from it.
3. The descriptor is closed by the sync thread alone, after the last fsync.
"""

import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream

from agent.footage.chain import SHA256, digest_of, new_hash
from agent.footage.timeline import NS, Sane

log = logging.getLogger(__name__)

FRAGMENT_S: Final = 1.0
"""What a power cut may cost beside the sync interval (footage.md, "Files")."""

_WRITE_BYTES: Final = 256 * 1024
"""The muxer's buffer: a fragment of a 4 Mbit/s stream leaves in two or three writes."""

_EARLY_NS: Final = NS // 2
"""Sound that belongs before the first picture by less than this, for it arrived after it, is put to it."""

Opener = Callable[[Path], int]


def create_file(path: Path) -> int:
    """A descriptor of a new file. Raises FileExistsError rather than touch footage that is there."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)


class HashedFile:
    """What the muxer writes into. It has no seek on purpose."""

    def __init__(self, path: Path, opener: Opener = create_file, algorithm: str = SHA256) -> None:
        self.path = path
        self.number = opener(path)
        self.size_bytes = 0
        self.dirty = False
        self.failed: str | None = None
        """Set by the sync thread: a sync failed, and what is on the disk is unknown."""
        self.closed = False
        """Set by the sync thread: the number may be another file's by now."""
        self._hash = new_hash(algorithm)
        self._dead = False

    def write(self, data: bytes) -> int:
        """Write all of `data`. Raises OSError; after that, and after `discard`, nothing more is written."""
        if self._dead:
            return len(data)
        view = memoryview(data)
        while view and not self._dead:  # another thread may discard the file while the disk holds this one up
            try:
                written = os.write(self.number, view)
            except OSError:
                self._dead = True
                raise
            self._hash.update(view[:written])
            self.size_bytes += written
            self.dirty = True
            view = view[written:]
        return len(data)

    def discard(self) -> None:
        """Take no more bytes, without telling the muxer."""
        self._dead = True

    def digest(self) -> str:
        """The hash of what was written (chain.py)."""
        return digest_of(self._hash)


class Segment:
    """One file being recorded. Used by the recording thread alone."""

    def __init__(
        self,
        path: Path,
        template: VideoStream,
        description: dict[str, Any],
        opener: Opener,
        parameter_sets: bytes = b"",
        algorithm: str = SHA256,
        sound: AudioStream | None = None,
    ) -> None:
        """Open `path` for packets like those of `template`, but for `parameter_sets` and the size that
        `description` says, when they are given; and for sound like that of `sound`. Raises OSError or
        av.error.FFmpegError."""
        self.path = path
        self.file = HashedFile(path, opener, algorithm)
        self.frames = 0
        self._first_dts: int | None = None
        self._last_sound = -1
        options = {
            "movflags": "frag_keyframe+empty_moov+default_base_moof",
            "frag_duration": str(int(FRAGMENT_S * 1_000_000)),
        }
        if sound is not None:
            # The muxer would wait for sound that does not come, for 10 s, with the pictures in memory.
            options["max_interleave_delta"] = "1"
        try:
            self._container = av.open(self.file, "w", format="mp4", options=options, buffer_size=_WRITE_BYTES)
            self._container.metadata["comment"] = json.dumps(description, separators=(",", ":"))
            self._stream = self._container.add_stream_from_template(template)
            context = self._stream.codec_context
            if parameter_sets:
                context.extradata = parameter_sets
                context.width, context.height = description["width"], description["height"]
            if template.codec_context.name == "hevc":
                context.codec_tag = "hvc1"  # Safari and QuickTime play no hev1
            self._sound = None if sound is None else self._container.add_stream_from_template(sound)
        except BaseException:
            os.close(self.file.number)
            with suppress(OSError):  # tried again every few seconds, it would fill the volume with empty files
                path.unlink()
            raise

    def write(self, packet: "Packet[Any]", times: Sane) -> None:
        """Add one packet. Raises OSError when the disk refuses, av.error.FFmpegError when the muxer does."""
        if self._first_dts is None:
            self._first_dts = times.dts
        packet.stream = self._stream
        packet.pts = times.pts - self._first_dts
        packet.dts = times.dts - self._first_dts
        self._container.mux(packet)
        self.frames += 1

    def write_sound(self, packet: "Packet[Any]", rate: int, after_ns: int) -> None:
        """Add one packet of sound, `after_ns` after the first picture, its times in 1/`rate` s. Raises as `write`."""
        if self._sound is None or self._first_dts is None or after_ns < -_EARLY_NS:
            return
        self._last_sound = packet.pts = packet.dts = max(after_ns * rate // NS, self._last_sound + 1)
        packet.time_base = Fraction(1, rate)
        packet.stream = self._sound
        self._container.mux(packet)

    def finish(self) -> str:
        """Write the end of the file; the digest of the whole. Raises as `write`."""
        self._container.close()
        return self.file.digest()

    def abandon(self) -> None:
        """Let go of the muxer without writing another byte."""
        self.file.discard()
        try:
            self._container.close()
        except (OSError, av.error.FFmpegError) as error:
            log.debug("%s was abandoned: %s", self.path.name, error)
