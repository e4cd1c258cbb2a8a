"""Where a camera's stream is, how libav is asked for it, and what its errors mean."""

import errno
import traceback
from typing import Final

import av
from av.container import InputContainer

from agent.camera_address import Address
from agent.camera_words import Why, detail
from agent.clock import Clock
from agent.onvif import SCHEME, stream_address

OPEN_TIMEOUT_S: Final = 6.0
"""A camera that needs longer to show a stream is told as silent, which must happen within 10 s."""

AT_ONCE_S: Final = 1.0
"""What answers no RTSP does so within this time; a stream in which libav finds no sense takes longer."""

ASK_ANEW_AFTER: Final = 2
"""Failures at the place that a device named, and it is asked again: it may have moved the stream."""

_ERRORS: Final = {
    errno.ECONNREFUSED: Why.CONNECTION_REFUSED,
    errno.ECONNRESET: Why.CONNECTION_RESET,
    errno.EPIPE: Why.CONNECTION_RESET,
    errno.ECONNABORTED: Why.CONNECTION_RESET,
    errno.EHOSTUNREACH: Why.UNREACHABLE,
    errno.ENETUNREACH: Why.UNREACHABLE,
    errno.EHOSTDOWN: Why.UNREACHABLE,
    errno.ETIMEDOUT: Why.NO_ANSWER,
    errno.EAGAIN: Why.NO_ANSWER,
}


class Place:
    """Where a stream is: at its address, or where the device behind an `onvif://` one said, until that fails."""

    def __init__(self, address: Address, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._found: Address | None = None if address.url.startswith(SCHEME) else address
        self._failures = 0

    def find(self) -> Address:
        """The RTSP address. Raises agent.onvif.OnvifFailed or agent.camera_address.NoPassword."""
        if self._found is None:
            self._found = stream_address(self._address, self._clock)
        return self._found

    def worked(self) -> None:
        """There was a stream."""
        self._failures = 0

    def failed(self) -> None:
        """There was none."""
        self._failures += 1
        if self._failures >= ASK_ANEW_AFTER and self._found is not self._address:
            self._found, self._failures = None, 0


def open_stream(
    address: Address, media: str, options: dict[str, str], read_timeout_s: float | None = None
) -> InputContainer:
    """The streams at an address: `media` is `video` or `video+audio`, for a camera is not asked for what nobody takes.
    Raises agent.camera_address.NoPassword, OSError, ValueError or av.error.FFmpegError."""
    transport = {"multicast": "udp_multicast"}.get(address.transport, address.transport)
    asked = {"rtsp_transport": transport, "allowed_media_types": media, **options}
    return av.open(address.with_credentials(), "r", options=asked, timeout=(OPEN_TIMEOUT_S, read_timeout_s))


def where(error: Exception) -> str:
    """Of what kind an error is that nobody expected, and the lines of ours that it came through; never its text, which
    may hold the address, with the password."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}".rstrip()


def why(error: Exception, took_s: float = AT_ONCE_S) -> str:
    """The detail (camera_words) of an error that came after so many seconds. Never the text of libav's own errors:
    it holds the address, with the password."""
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return detail(Why.LOGIN_REFUSED)
    if isinstance(error, av.error.HTTPNotFoundError):
        return detail(Why.NO_SUCH_STREAM)
    if isinstance(error, av.error.InvalidDataError) and took_s < AT_ONCE_S:
        return detail(Why.NO_RTSP)
    if isinstance(error, av.error.InvalidDataError | av.error.ExitError):
        return detail(Why.NO_ANSWER)
    number = error.errno if isinstance(error, OSError) else None
    if number in _ERRORS:
        return detail(_ERRORS[number])
    return detail(Why.ERROR, getattr(error, "strerror", None) or type(error).__name__)
