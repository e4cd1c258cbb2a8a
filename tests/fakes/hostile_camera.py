"""Cameras that answer DESCRIBE with nonsense: each does what its name says."""

import base64
import socket
import time
from collections.abc import Callable

from tests.fakes.camera import ScriptedServer

Say = Callable[[socket.socket, str], None]


def ok(number: str, body: bytes, length: int | str | None = None) -> bytes:
    told = len(body) if length is None else length
    return (
        f"RTSP/1.0 200 OK\r\n{number}\r\nContent-Type: application/sdp\r\nContent-Length: {told}\r\n\r\n".encode()
        + body
    )


SDP = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n"


def noise(connection: socket.socket, number: str) -> None:
    connection.sendall(bytes(range(256)) * 64)


def headers_without_end(connection: socket.socket, number: str) -> None:
    connection.sendall(b"RTSP/1.0 200 OK\r\n")
    while True:
        connection.sendall(b"X-Header: yes\r\n" * 100)


def a_line_without_end(connection: socket.socket, number: str) -> None:
    while True:
        connection.sendall(b"A" * 4096)


def dripping(connection: socket.socket, number: str) -> None:
    while True:
        connection.sendall(b"R")
        time.sleep(0.05)


def a_length_of_gigabytes(connection: socket.socket, number: str) -> None:
    connection.sendall(ok(number, SDP, 2_147_483_000))


def a_length_below_zero(connection: socket.socket, number: str) -> None:
    connection.sendall(ok(number, SDP, -5))


def a_length_that_is_none(connection: socket.socket, number: str) -> None:
    connection.sendall(ok(number, SDP, "99999999999999999999999"))


def thousands_of_streams(connection: socket.socket, number: str) -> None:
    connection.sendall(ok(number, SDP + b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:x\r\n" * 2000))


def a_description_of_noise(connection: socket.socket, number: str) -> None:
    connection.sendall(ok(number, bytes(range(1, 256)) * 20))


def parameter_sets_of_noise(connection: socket.socket, number: str) -> None:
    sets = base64.b64encode(bytes(range(256)) * 8)
    told = b"a=fmtp:96 packetization-mode=1;sprop-parameter-sets=" + sets + b"," + sets + b"\r\na=control:video\r\n"
    connection.sendall(ok(number, SDP + b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" + told))


class HostileServer(ScriptedServer):
    """Answers OPTIONS, and DESCRIBE with whatever `say` sends."""

    def __init__(self, say: Say) -> None:
        super().__init__(lambda _: None)
        self._say = say

    def _answer(self, connection: socket.socket, request: str) -> None:
        lines = request.split("\r\n")
        number = next(line for line in lines if line.lower().startswith("cseq"))
        method = lines[0].split(" ")[0]
        self.asked.append((time.monotonic(), method))
        if method == "DESCRIBE":
            self._say(connection, number)
        else:
            connection.sendall(
                f"RTSP/1.0 200 OK\r\n{number}\r\nSession: 1\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n".encode()
            )
