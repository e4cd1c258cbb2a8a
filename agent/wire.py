"""How processes talk: length-prefixed JSON over Unix stream sockets.

One frame is a 4-byte big-endian length and that many bytes of UTF-8 JSON, at most `MAX_FRAME_BYTES`.
A request is `{"v", "id", "verb", "args"}`; its reply `{"v", "id", "ok": true, "result"}` or
`{"v", "id", "ok": false, "error": {"code", "zh", "en"}}`. Replies may come late and in any order: a fact
(verb `fact`) is replied to after the commit that made it safe.

Invariants
1. A frame that is too long, no JSON or of another major version ends the connection, never the server.
2. The sender of facts keeps each fact that can raise an alert until its reply; telemetry may be dropped.
3. A fact is named by (process, boot, n); a receiver that has seen it replies and does nothing else.
"""

import json
import logging
import os
import socket
import stat
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.clock import Clock
from agent.facts import Fact, Text, encode, is_telemetry

log = logging.getLogger(__name__)

VERSION: Final = "1.0"
"""major.minor: another major is refused, a newer minor is understood."""

MAX_FRAME_BYTES: Final = 64 * 1024
"""Longer than any honest frame (ARCHITECTURE, "How processes talk"); bounds what a peer can make us hold."""

_LENGTH = struct.Struct(">I")
_MAX_WAITING_FACTS = 4096
_RETRY_S = 0.5


class WireError(Exception):
    """The other process cannot be reached, or broke the rules of the wire."""


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
        error = {"code": code, "zh": text.zh, "en": text.en}
        self._once({"v": VERSION, "id": self._number, "ok": False, "error": error})

    def _once(self, frame: dict[str, Any]) -> None:
        if not self._used:
            self._used = True
            self._send(frame)


Verb = Callable[[Request, Reply], None]


def to_frame(message: dict[str, Any]) -> bytes:
    """The bytes of one message. Raises WireError when it is longer than `MAX_FRAME_BYTES`."""
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    if len(body) > MAX_FRAME_BYTES:
        raise WireError(f"a message of {len(body)} bytes is longer than {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Eats bytes, gives whole messages. Raises WireError on what cannot be a frame."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The messages that these bytes complete, in order."""
        self._held += data
        messages: list[dict[str, Any]] = []
        while len(self._held) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._held)
            if size > MAX_FRAME_BYTES:
                raise WireError(f"a frame of {size} bytes was announced; the limit is {MAX_FRAME_BYTES}")
            end = _LENGTH.size + size
            if len(self._held) < end:
                break
            messages.append(_message(bytes(self._held[_LENGTH.size : end])))
            del self._held[:end]
        return messages


def _message(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError(f"a frame is no JSON: {error}") from error
    if not isinstance(message, dict):
        raise WireError("a frame is no JSON object")
    if str(message.get("v", "")).partition(".")[0] != VERSION.partition(".")[0]:
        raise WireError(f"version {message.get('v')!r} is not spoken here; this is {VERSION}")
    return message


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
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._stopping = False
        self._acceptor = threading.Thread(target=self._accept, name=f"wire-{path.stem}", daemon=True)

    def start(self) -> None:
        """Listen. Raises OSError when the path cannot be used; a socket left by a dead process is replaced."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and stat.S_ISSOCK(self.path.stat().st_mode):
            self.path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self.path))
        self.path.chmod(0o660)
        if self._group is not None:
            os.chown(self.path, -1, self._group)
        listener.listen(64)
        self._listener = listener
        self._acceptor.start()

    def stop(self) -> None:
        """Close the socket and every connection."""
        self._stopping = True
        with self._guard:
            connections = list(self._open)
        if self._listener is not None:
            # shutdown wakes accept(); close alone does not.
            _shut(self._listener)
            self._acceptor.join(5)
            self.path.unlink(missing_ok=True)
        for connection in connections:
            _shut(connection)

    def _accept(self) -> None:
        assert self._listener is not None
        while not self._stopping:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # the listener was closed by stop()
            with self._guard:
                self._open.add(connection)
            threading.Thread(
                target=self._serve, args=(connection,), name=f"wire-{self.path.stem}-peer", daemon=True
            ).start()

    def _serve(self, connection: socket.socket) -> None:
        guard = threading.Lock()

        def send(message: dict[str, Any]) -> None:
            with guard:
                try:
                    connection.sendall(to_frame(message))
                except OSError as error:
                    log.debug("a peer left before its reply: %s", error)

        frames = Frames()
        try:
            peer = _peer(connection)
            while data := connection.recv(65536):
                for message in frames.feed(data):
                    self._answer(message, peer, send)
        except (OSError, WireError) as error:
            if not self._stopping:
                log.warning("connection on %s ended: %s", self.path.name, error)
        finally:
            with self._guard:
                self._open.discard(connection)
            connection.close()

    def _answer(self, message: dict[str, Any], peer: Peer, send: Callable[[dict[str, Any]], None]) -> None:
        number, name, args = message.get("id"), message.get("verb"), message.get("args", {})
        if not isinstance(number, int) or not isinstance(name, str) or not isinstance(args, dict):
            raise WireError("a request needs an id, a verb and args")
        reply = Reply(send, number)
        verb = self._verbs.get(name)
        if verb is None:
            reply.refuse("unknown_verb", Text(f"不认识的请求：{name}", f"unknown request: {name}"))
        elif not self._allow(peer, name):
            reply.refuse("forbidden", Text(f"用户 {peer.uid} 无权执行 {name}", f"user {peer.uid} may not {name}"))
        else:
            verb(Request(name, args, peer), reply)


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


class FactSender:
    """Carries the facts of one process to the alarm desk, through restarts of either.

    A fact that can raise an alert stays here until the desk has committed it; telemetry waits in a short
    queue whose oldest is dropped.
    """

    def __init__(self, path: Path, process: str, boot: str, clock: Clock, telemetry_places: int = 64) -> None:
        """Send to the socket at `path` as (`process`, `boot`); `boot` is unique to each start of a process."""
        self._path = path
        self._process = process
        self._boot = boot
        self._clock = clock
        self._facts: deque[tuple[int, Fact]] = deque()
        self._telemetry: deque[tuple[int, Fact]] = deque(maxlen=telemetry_places)
        self._n = 0
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="facts-out", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Try for a moment to bring out what waits, then stop. Raises RuntimeError when the thread hangs."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise RuntimeError("the fact sender did not stop")

    def send(self, fact: Fact) -> None:
        """Take a fact along. Never waits.

        Raises OverflowError when `_MAX_WAITING_FACTS` facts that can raise an alert wait: the process is then
        to stop, and its watchdog tells.
        """
        with self._guard:
            self._n += 1
            if is_telemetry(fact):
                self._telemetry.append((self._n, fact))
            elif len(self._facts) >= _MAX_WAITING_FACTS:
                raise OverflowError(f"{_MAX_WAITING_FACTS} facts wait for the alarm desk")
            else:
                self._facts.append((self._n, fact))
        self._wake.set()

    def waiting(self) -> int:
        """How many facts have not been acknowledged."""
        with self._guard:
            return len(self._facts) + len(self._telemetry)

    def _run(self) -> None:
        while True:
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                    connection.settimeout(5)
                    connection.connect(str(self._path))
                    self._carry(connection)
            except (OSError, WireError) as error:
                log.debug("alarm desk not reached: %s", error)
            if self._stop.is_set():
                return
            self._clock.wait(self._stop, _RETRY_S)

    def _carry(self, connection: socket.socket) -> None:
        frames = Frames()
        while True:
            with self._guard:
                batch = [*list(self._facts)[:32], *list(self._telemetry)[:32]]
            if not batch:
                if self._stop.is_set():
                    return
                self._clock.wait(self._wake, 1.0)
                self._wake.clear()
                continue
            for n, fact in batch:
                args = {"process": self._process, "boot": self._boot, "n": n, "fact": encode(fact)}
                connection.sendall(to_frame({"v": VERSION, "id": n, "verb": "fact", "args": args}))
            waiting = {n for n, _ in batch}
            while waiting:
                data = connection.recv(65536)
                if not data:
                    raise WireError("the alarm desk closed the connection")
                for message in frames.feed(data):
                    number = message.get("id")
                    if message.get("ok") is not True:
                        # The desk will never take it: keeping it would hold up everything behind it.
                        log.error("the alarm desk refused fact %s: %s", number, message.get("error"))
                    waiting.discard(number if isinstance(number, int) else -1)
                    self._forget(number)

    def _forget(self, number: Any) -> None:
        with self._guard:
            for queue in (self._facts, self._telemetry):
                for entry in queue:
                    if entry[0] == number:
                        queue.remove(entry)
                        break


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("socket was closed already")
    connection.close()


def _peer(connection: socket.socket) -> Peer:
    size = struct.calcsize("3i")
    return Peer(*struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)))


def _same_user(peer: Peer, verb: str) -> bool:
    return peer.uid in (0, os.getuid())
