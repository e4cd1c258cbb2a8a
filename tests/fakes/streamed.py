"""A camera whose stream a test writes: what it sends over RTSP, frame by frame, and when it hangs up."""

import base64
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction

import av
import numpy as np

from tests.fakes.camera import Answer, ScriptedServer

FPS = 25
START_CODE = b"\x00\x00\x00\x01"


def encoded(seconds: int, size: tuple[int, int]) -> list[bytes]:
    """H.264 pictures that change, one key frame a second, each with its parameter sets in the stream."""
    width, height = size
    coder = av.CodecContext.create("libx264", "w")
    assert isinstance(coder, av.VideoCodecContext)
    coder.width, coder.height, coder.pix_fmt = width, height, "yuv420p"
    coder.time_base, coder.framerate = Fraction(1, FPS), Fraction(FPS)
    coder.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(FPS), "sc_threshold": "0", "threads": "1"}
    packets = []
    for number in range(seconds * FPS):
        picture = np.full((height, width, 3), number * 4 % 255, np.uint8)
        picture[: height // 2, number * 3 % width :] = 255
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = number
        packets += coder.encode(frame)
    return [bytes(packet) for packet in [*packets, *coder.encode(None)]]


def nals(picture: bytes) -> list[bytes]:
    """The NAL units of one picture."""
    return [each.rstrip(b"\x00") if each[-1:] == b"\x00" else each for each in _split(picture)]


def _split(picture: bytes) -> list[bytes]:
    return [part for part in picture.replace(START_CODE, START_CODE[1:]).split(START_CODE[1:]) if part]


class StreamedCamera(ScriptedServer):
    """Sends the pictures that `stream` yields, in real time, to each connection anew; then hangs up.

    An empty picture is a frame's time in which nothing comes but sound, when sound was asked for.
    """

    def __init__(self, stream: Callable[[], Iterator[bytes]], shown: bytes) -> None:
        """`shown` is a key frame whose parameter sets stand in the description."""
        super().__init__(self._script)
        self._stream = stream
        self._sets = [nal for nal in nals(shown) if nal[0] & 31 in (7, 8)]
        self.connections = 0

    def _script(self, method: str) -> Answer:
        if method == "DESCRIBE":
            sets = ",".join(base64.b64encode(nal).decode() for nal in self._sets)
            lines = [
                "v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=x", "t=0 0",
                "m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000",
                f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}", "a=control:video",
                "m=audio 0 RTP/AVP 8", "a=rtpmap:8 PCMA/8000", "a=control:audio", "",
            ]  # fmt: skip
            return "200 OK", {"Content-Type": "application/sdp"}, "\r\n".join(lines)
        return "200 OK", {"Session": "1", "Public": "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"}, ""

    def _answer(self, connection: socket.socket, request: str) -> None:
        lines = request.split("\r\n")
        method, target = lines[0].split(" ")[:2]
        if method == "SETUP":
            number = next(line for line in lines if line.lower().startswith("cseq"))
            channels = next(line for line in lines if line.lower().startswith("transport")).partition(":")[2].strip()
            text = f"RTSP/1.0 200 OK\r\n{number}\r\nSession: 1\r\nTransport: {channels}\r\n\r\n"
            connection.sendall(text.encode())
            self.asked.append((time.monotonic(), f"SETUP {target.rpartition('/')[2]}"))
            return
        super()._answer(connection, request)
        if method == "PLAY":
            self.connections += 1
            sound = any(each == "SETUP audio" for _, each in self.asked)
            name = "streamed-camera"
            threading.Thread(target=self._send, args=(connection, sound), name=name, daemon=True).start()

    def _send(self, connection: socket.socket, sound: bool) -> None:
        began, sequence = time.monotonic(), 0
        with suppress(OSError):
            for number, picture in enumerate(self._stream()):
                time.sleep(max(0.0, began + number / FPS - time.monotonic()))
                if sound:
                    connection.sendall(_packet(2, 8, False, sequence, number * 320, b"\xd5" * 320))
                units = nals(picture)
                for place, nal in enumerate(units):
                    sequence += 1
                    last = place == len(units) - 1
                    connection.sendall(_packet(0, 96, last, sequence, number * 90_000 // FPS, nal))
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _packet(channel: int, kind: int, last: bool, sequence: int, ticks: int, payload: bytes) -> bytes:
    head = struct.pack(">BBHII", 0x80, kind | 0x80 * last, sequence & 0xFFFF, ticks & 0xFFFFFFFF, 0x1234 + channel)
    return struct.pack(">cBH", b"$", channel, len(head) + len(payload)) + head + payload
