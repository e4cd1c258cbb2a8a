"""How processes talk: length-prefixed JSON over Unix stream sockets.

One frame is a 4-byte big-endian length and that many bytes of UTF-8 JSON, at most `MAX_FRAME_BYTES`.
A request is `{"v", "id", "verb", "args"}`; its reply `{"v", "id", "ok": true, "result"}` or
`{"v", "id", "ok": false, "error": {"code", "zh", "en"}}`. Replies may come late and in any order: a fact
(verb `fact`, fact_sender.py) is replied to after the commit that made it safe.

Invariants
1. A frame that is too long, no JSON or of another major version ends the connection, never the server.
2. A reply never waits for its reader: a peer that reads no replies is dropped.
"""

import logging
import os
import select
import socket
import stat
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.clock import SystemClock
from agent.fact_sender import FactSender
from agent.facts import Text
from agent.frames import MAX_FRAME_BYTES, VERSION, Frames, WireError, to_frame
from agent.seldom import Seldom

__all__ = [
    "MAX_FRAME_BYTES",
    "MOST_CONNECTIONS",
    "FactSender",
    "Frames",
    "Peer",
    "Refused",
    "Reply",
    "Request",
    "Server",
    "Verb",
    "WireError",
    "call",
    "to_frame",
]

log = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 64
"""Peers at once: the four processes, a few consoles, and room. Bounds threads and file descriptors."""

IDLE_S: Final = 60.0
"""A connection on which nothing was asked for this long is closed: facts come every 5 s, the rest asks once."""

_AGAIN_S: Final = 0.5
"""Wait before the next connection is accepted when the system could not give one."""


class Refused(Exception):
    """The other process understood and said no. `code` is for programs, `text` for people."""

    def __init__(self, code: str, text: Text) -> None:
        super().__init__(f"{code}: {text.en}")
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection, as the kernel says (SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in."""

    verb: str
    args: dict[str, Any]
    peer: Peer


class Reply:
    """The way back to one request. May be used from any thread, once; later uses are ignored."""

    def __init__(self, send: Callable[[dict[str, Any]], None], number: int) -> None:
        self._send = send
        self._number = number
        self._used = False

    def done(self, result: dict[str, Any] | None = None) -> None:
        """The request was carried out."""
        self._once({"v": VERSION, "id": self._number, "ok": True, "result": result or {}})

    def refuse(self, code: str, text: Text) -> None:
        """The request will not be carried out, and why."""
        self._once(_refusal(self._number, code, text))

    def _once(self, frame: dict[str, Any]) -> None:
        if not self._used:
            self._used = True
            self._send(frame)


def _refusal(number: int, code: str, text: Text) -> dict[str, Any]:
    return {"v": VERSION, "id": number, "ok": False, "error": {"code": code, "zh": text.zh, "en": text.en}}


Verb = Callable[[Request, Reply], None]


class _Line:
    """One connection of a server, written to by whoever has a reply.

    Replies come from the desk's and the store's threads, which may wait for nobody. What an honest peer leaves unread
    (64 replies to facts, or one long answer) fits the kernel's buffer, so a peer whose buffer is full is dropped.
    """

    def __init__(self, connection: socket.socket, name: str, seldom: Seldom) -> None:
        self._socket = connection
        self._name = name
        self._seldom = seldom
        self._guard = threading.Lock()
        self._waiter = select.poll()
        self._waiter.register(connection, select.POLLIN)

    def peer(self) -> Peer:
        return _peer(self._socket)

    def receive(self) -> bytes:
        """The next bytes; none when the peer left, was dropped or asks nothing more. Raises OSError."""
        return self._socket.recv(65536) if self._waiter.poll(IDLE_S * 1000) else b""

    def send(self, message: dict[str, Any]) -> None:
        """Send now or drop the connection. Never waits and never raises."""
        try:
            frame = to_frame(message)
        except WireError as error:
            self._seldom.say(logging.ERROR, "unsayable", f"an answer on {self._name} cannot be sent: {error}")
            frame = to_frame(_refusal(message["id"], "too_long", Text("答复无法发送", f"unsayable: {error}")))
        with self._guard:
            try:
                taken = self._socket.send(frame, socket.MSG_DONTWAIT)
            except BlockingIOError:
                taken = 0
            except OSError as error:
                log.debug("a peer left before its reply: %s", error)
                return
            if taken < len(frame):
                self._seldom.say(logging.WARNING, "unread", f"a peer on {self._name} reads no replies: dropped")
                _hang_up(self._socket)

    def end(self) -> None:
        """End the connection; its thread then closes it."""
        with self._guard:
            _hang_up(self._socket)

    def close(self) -> None:
        # Under the guard: a reply must not go into a descriptor that was given out anew.
        with self._guard:
            self._socket.close()


class Server:
    """The socket of one process. Each connection has a thread; verbs run on it and must not wait long."""

    def __init__(
        self,
        path: Path,
        verbs: dict[str, Verb],
        allow: Callable[[Peer, str], bool] | None = None,
        group: int | None = None,
    ) -> None:
        """Serve `verbs` at `path`.

        `allow` decides per verb (default: root, and whoever runs this process). `group` is a group id that
        may open the socket beside the owner.
        """
        self.path = path
        self._verbs = verbs
        self._allow = allow or _same_user
        self._group = group
        self._listener: socket.socket | None = None
        self._lines: dict[_Line, threading.Thread] = {}
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._seldom = Seldom(log, SystemClock())
        self._acceptor = threading.Thread(target=self._accept, name=f"wire-{path.stem}", daemon=True)

    def start(self) -> None:
        """Listen. Raises OSError when the path cannot be used; a socket left by a dead process is replaced."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and stat.S_ISSOCK(self.path.stat().st_mode):
            self.path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self.path))
            self.path.chmod(0o660)
            if self._group is not None:
                os.chown(self.path, -1, self._group)
            listener.listen(64)
        except OSError:
            listener.close()
            raise
        self._listener = listener
        self._acceptor.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Close the socket and every connection. Raises RuntimeError when a thread hangs."""
        self._stop.set()
        if self._listener is None:
            return
        # shutdown wakes accept(); close alone does not.
        _hang_up(self._listener)
        self._acceptor.join(timeout_s)
        self._listener.close()
        self.path.unlink(missing_ok=True)
        with self._guard:
            lines = dict(self._lines)
        for line in lines:
            line.end()
        threads = [self._acceptor, *lines.values()]
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(timeout_s)
        if any(thread.is_alive() for thread in threads if thread is not threading.current_thread()):
            raise RuntimeError(f"the server of {self.path.name} did not stop")

    def _accept(self) -> None:
        assert self._listener is not None
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if self._stop.is_set():
                    return
                # No file descriptor or memory is left: that passes, and a deaf socket would not.
                self._seldom.say(logging.ERROR, "accept", f"{self.path.name} cannot accept: {error}")
                self._stop.wait(_AGAIN_S)
                continue
            self._welcome(connection)

    def _welcome(self, connection: socket.socket) -> None:
        line = _Line(connection, self.path.name, self._seldom)
        thread = threading.Thread(target=self._serve, args=(line,), name=f"wire-{self.path.stem}-peer", daemon=True)
        with self._guard:
            full = len(self._lines) >= MOST_CONNECTIONS
            if not full:
                self._lines[line] = thread
        reason = f"{MOST_CONNECTIONS} connections are open"
        if not full:
            try:
                thread.start()
                return
            except RuntimeError as error:  # no thread is to be had
                reason = str(error)
        self._seldom.say(logging.ERROR, "full", f"a connection on {self.path.name} was turned away: {reason}")
        self._close(line)

    def _close(self, line: _Line) -> None:
        with self._guard:
            self._lines.pop(line, None)
        line.close()

    def _serve(self, line: _Line) -> None:
        frames = Frames()
        try:
            peer = line.peer()
            while data := line.receive():
                for message in frames.feed(data):
                    self._answer(message, peer, line.send)
        except (OSError, WireError) as error:
            if not self._stop.is_set():
                self._seldom.say(logging.WARNING, "ended", f"connection on {self.path.name} ended: {error}")
        finally:
            self._close(line)

    def _answer(self, message: dict[str, Any], peer: Peer, send: Callable[[dict[str, Any]], None]) -> None:
        number, name, args = message.get("id"), message.get("verb"), message.get("args", {})
        if not isinstance(number, int) or not isinstance(name, str) or not isinstance(args, dict):
            raise WireError("a request needs an id, a verb and args")
        reply, name = Reply(send, number), name[:64]
        verb = self._verbs.get(name)
        if verb is None:
            reply.refuse("unknown_verb", Text(f"不认识的请求：{name}", f"unknown request: {name}"))
        elif not self._allow(peer, name):
            reply.refuse("forbidden", Text(f"用户 {peer.uid} 无权执行 {name}", f"user {peer.uid} may not {name}"))
        else:
            try:
                verb(Request(name, args, peer), reply)
            except Exception as error:  # noqa: BLE001  # the top of a request: logged, and told to whoever asked
                self._seldom.say(logging.ERROR, f"failed {name}", f"{name} on {self.path.name} failed", error)
                reply.refuse("failed", Text(f"内部错误：{error}"[:200], f"an error of this program: {error}"[:200]))


def call(path: Path, verb: str, args: dict[str, Any] | None = None, timeout_s: float = 5.0) -> dict[str, Any]:
    """Ask once and wait for the answer.

    Raises Refused when the other process says no, and WireError when it cannot be reached, does not answer in
    `timeout_s`, or answers with something else.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(to_frame({"v": VERSION, "id": 1, "verb": verb, "args": args or {}}))
            frames = Frames()
            while data := connection.recv(65536):
                for message in frames.feed(data):
                    return _result(message)
    except OSError as error:
        raise WireError(f"{path}: {error}") from error
    raise WireError(f"{path}: closed before it answered {verb}")


def _result(message: dict[str, Any]) -> dict[str, Any]:
    if message.get("ok") is True and isinstance(message.get("result"), dict):
        return dict(message["result"])
    error = message.get("error")
    if not isinstance(error, dict):
        raise WireError("an answer has neither a result nor an error")
    raise Refused(str(error.get("code")), Text(str(error.get("zh")), str(error.get("en"))))


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("socket was closed already")


def _peer(connection: socket.socket) -> Peer:
    size = struct.calcsize("3i")
    return Peer(*struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)))


def _same_user(peer: Peer, verb: str) -> bool:
    return peer.uid in (0, os.getuid())
