"""PURE. The numbered half of a TYB/1 link, the same on both sides (PROTOCOL.md, 4 to 6).

One numbered frame is under way at a time in each direction; it is repeated until the other side has received it.

Invariants
1. A numbered frame is given to the caller exactly once per session, in the order in which it was sent.
2. A numbered frame is repeated until `ack_seq` of the peer has passed it or the session ends; never given up.
3. Frames of another session change nothing here.
"""

from enum import Enum
from typing import Final

from firmware_bridge.frame import Frame, Kind

RESEND_AFTER_MS: Final = (100, 200, 400, 800)
"""Wait before each repeat; the last one stays."""

NAK_EVERY_MS: Final = 50
"""Asking again, and answering such a request, happens at most this often: noise must not fill the line."""

_MS: Final = 1_000_000


class Verdict(Enum):
    """What a frame that came in is to this side."""

    NEW = "new"
    REPEAT = "repeat"
    AHEAD = "ahead"
    OTHER_SESSION = "other session"


class Numbering:
    """The numbers of one side of one session."""

    def __init__(self) -> None:
        self.session = 0
        self.resent = 0
        self.outstanding_since_ns: int | None = None
        self._next = 0
        self._expected = 0
        self._outstanding: tuple[Kind, bytes] | None = None
        self._tries = 0
        self._sent_ns = 0

    @property
    def idle(self) -> bool:
        """True when the next numbered frame may be sent."""
        return self._outstanding is None

    def begin(self, session: int) -> None:
        """A session begins: both sides number from 0, nothing is under way."""
        self.session = session
        self._next = self._expected = 0
        self._outstanding = None
        self.outstanding_since_ns = None

    def plain(self, kind: Kind, payload: bytes = b"") -> bytes:
        """An unnumbered frame; it carries the acknowledgement like any other."""
        return Frame(kind, self.session, self._next, self._expected, payload).to_bytes()

    def send(self, kind: Kind, payload: bytes, now_ns: int) -> bytes:
        """The next numbered frame. Only while `idle`."""
        if self._outstanding is not None:
            raise RuntimeError("a numbered frame is still under way")
        self._outstanding = (kind, payload)
        self._tries = 0
        self._sent_ns = self.outstanding_since_ns = now_ns
        return self._frame(repeated=False)

    def receive(self, frame: Frame) -> tuple[Verdict, bool]:
        """What `frame` is, and whether it acknowledged the outstanding frame. A NEW numbered frame is now taken."""
        if frame.session != self.session:
            return Verdict.OTHER_SESSION, False
        acknowledged = self._outstanding is not None and frame.ack_seq == (self._next + 1) % 256
        if acknowledged:
            self._outstanding = None
            self.outstanding_since_ns = None
            self._next = (self._next + 1) % 256
        if not frame.numbered:
            return Verdict.NEW, acknowledged
        if frame.tx_seq == self._expected:
            self._expected = (self._expected + 1) % 256
            return Verdict.NEW, acknowledged
        behind = (self._expected - frame.tx_seq) % 256
        return (Verdict.REPEAT if behind <= 128 else Verdict.AHEAD), acknowledged

    def asked_again(self, now_ns: int) -> bytes:
        """A NAK came: the outstanding frame, unless it was sent a moment ago; else nothing."""
        if self._outstanding is None or now_ns - self._sent_ns < NAK_EVERY_MS * _MS:
            return b""
        return self._again(now_ns)

    def due(self, now_ns: int) -> bytes:
        """The outstanding frame once more when its wait is over, else nothing."""
        deadline = self.deadline_ns()
        if deadline is None or now_ns < deadline:
            return b""
        self._tries += 1
        return self._again(now_ns)

    def deadline_ns(self) -> int | None:
        """When `due` will have something, None while nothing is under way."""
        if self._outstanding is None:
            return None
        return self._sent_ns + RESEND_AFTER_MS[min(self._tries, len(RESEND_AFTER_MS) - 1)] * _MS

    def _again(self, now_ns: int) -> bytes:
        self._sent_ns = now_ns
        self.resent += 1
        return self._frame(repeated=True)

    def _frame(self, repeated: bool) -> bytes:
        assert self._outstanding is not None
        kind, payload = self._outstanding
        return Frame(kind, self.session, self._next, self._expected, payload, True, repeated).to_bytes()
