"""A camera that sends its pictures and its sound together, as an MPEG transport stream inside RTP (RFC 2250).

Whoever asks for its video gets its sound as well: there is one stream to ask for.
"""

import io
import itertools
import socket
import struct
import threading
import time
from contextlib import suppress
from fractions import Fraction

import av
import numpy as np

from tests.fakes.camera import Answer, ScriptedServer

FPS = 25
RATE = 16_000
_CELL = 188
_CELLS = 7
"""In one RTP packet."""


def transport_stream(seconds: int) -> bytes:
    """Pictures with a key frame each second, and a tone of 440 Hz."""
    made = io.BytesIO()
    with av.open(made, "w", format="mpegts") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(FPS)}
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        samples = 0
        for number in range(seconds * FPS):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), number * 9 % 255, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(frame))
            while samples < (number + 1) * RATE // FPS:
                tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(samples, samples + 1024) / RATE)
                sound = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None, :], format="fltp", layout="mono")
                sound.sample_rate, sound.pts, sound.time_base = RATE, samples, Fraction(1, RATE)
                container.mux(audio.encode(sound))
                samples += 1024
    return made.getvalue()


class TransportStreamCamera(ScriptedServer):
    """Sends `seconds` of it in real time to every connection anew, then hangs up."""

    def __init__(self, seconds: int) -> None:
        super().__init__(self._script)
        self._seconds = seconds
        self._data = transport_stream(seconds)

    def _script(self, method: str) -> Answer:
        if method == "DESCRIBE":
            lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=x", "t=0 0", "m=video 0 RTP/AVP 33", "a=control:both", ""]
            return "200 OK", {"Content-Type": "application/sdp"}, "\r\n".join(lines)
        if method == "SETUP":
            return "200 OK", {"Session": "1", "Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}, ""
        return "200 OK", {"Session": "1", "Public": "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"}, ""

    def _answer(self, connection: socket.socket, request: str) -> None:
        super()._answer(connection, request)
        if request.startswith("PLAY"):
            name = "transport-stream-camera"
            threading.Thread(target=self._send, args=(connection,), name=name, daemon=True).start()

    def _send(self, connection: socket.socket) -> None:
        began, size = time.monotonic(), _CELL * _CELLS
        pieces = [self._data[at : at + size] for at in range(0, len(self._data), size)]
        with suppress(OSError):
            for number, piece in zip(itertools.count(), pieces):
                at_s = number * self._seconds / len(pieces)
                time.sleep(max(0.0, began + at_s - time.monotonic()))
                head = struct.pack(">BBHII", 0x80, 33, number & 0xFFFF, int(at_s * 90_000), 0x1234)
                connection.sendall(struct.pack(">cBH", b"$", 0, len(head) + len(piece)) + head + piece)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
