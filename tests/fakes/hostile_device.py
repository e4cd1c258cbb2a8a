"""ONVIF devices that answer with nonsense: each takes one whole request and then does what its name says."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress

Answer = Callable[[socket.socket], None]


def serve(listener: socket.socket, answer: Answer) -> None:
    """Answer every connection so until the listener is closed."""
    while True:
        try:
            connection = listener.accept()[0]
        except OSError:
            return
        with connection, suppress(OSError):
            _take_request(connection)
            answer(connection)


def _take_request(connection: socket.socket) -> None:
    """Read head and body: a connection closed over unread bytes is reset, and the answer with it."""
    connection.settimeout(5)
    request = b""
    while not request.rstrip().endswith(b"Envelope>") and (data := connection.recv(65_536)):
        request += data


def dripping(connection: socket.socket) -> None:
    """A byte now and then, for ever: each of them comes in time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X")
        time.sleep(0.05)


def dripping_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


def always_later(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.001)


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")


def cut_short(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n<a>")


def garbled_length(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: -17\r\n\r\n<a></a>")


def too_many_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n<a></a>")
