"""PURE. What goes over the sockets between processes: length-prefixed JSON, one object a frame (wire.py)."""

import json
import struct
from typing import Any, Final

VERSION: Final = "1.0"
"""major.minor: another major is refused, a newer minor is understood."""

MAX_FRAME_BYTES: Final = 64 * 1024
"""Longer than any honest frame (ARCHITECTURE, "How processes talk"); bounds what a peer can make us hold."""

_LENGTH = struct.Struct(">I")


class WireError(Exception):
    """The other process cannot be reached, or broke the rules of the wire."""


def to_frame(message: dict[str, Any]) -> bytes:
    """The bytes of one message; text that is no Unicode (a file name of other bytes) goes out with `?` in it.

    Raises WireError when it is longer than `MAX_FRAME_BYTES` or holds what JSON cannot say.
    """
    try:
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError(f"a message cannot be said in JSON: {error}") from error
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
