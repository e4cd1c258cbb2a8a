"""PURE. When something happened on the board, by the clock of the host (PROTOCOL.md, 9).

Every question-and-answer pair gives an estimate of the offset between the clocks that is wrong by at most half
of its round trip. An old estimate gets worse as the clocks drift. The best one is used.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

WRAP_MS: Final = 1 << 32
"""The board counts milliseconds in 32 bits: 49.7 days."""

DRIFT: Final = 0.005
"""The ceramic resonators of common boards are off by up to 0.5 % (Arduino Uno and Nano: Murata CSTCE16M0V53)."""

_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """At host time `at_ns` the board counted `board_ms`, give or take `within_ns`."""

    at_ns: int
    board_ms: int
    within_ns: int

    def error_ns(self, now_ns: int) -> int:
        """How far a time that rests on this estimate may be off, now."""
        return self.within_ns + int(DRIFT * abs(now_ns - self.at_ns))


def better(known: Estimate | None, sent_ns: int, received_ns: int, board_ms: int) -> Estimate:
    """The better of what was known and a new answer `board_ms` to a question asked at `sent_ns`."""
    half = max(0, received_ns - sent_ns) // 2
    # The board cuts off fractions of a millisecond: half of one is added back on average.
    fresh = Estimate(sent_ns + half - _MS // 2, board_ms, half + _MS // 2)
    if known is None or fresh.within_ns <= known.error_ns(received_ns):
        return fresh
    return known


def host_ns(known: Estimate, t_ms: int, now_ns: int) -> int:
    """The host time at which the board counted `t_ms`, which lies in the past; never later than `now_ns`.

    Right for ages of up to 49.7 days: of the times at which the counter had this value, the newest one that is
    not in the future.
    """
    ahead_ms = (t_ms - known.board_ms) % WRAP_MS
    slack_ns = known.error_ns(now_ns) + 1000 * _MS
    latest_ms = (now_ns + slack_ns - known.at_ns) // _MS
    turns = (latest_ms - ahead_ms) // WRAP_MS
    return min(now_ns, known.at_ns + (ahead_ms + turns * WRAP_MS) * _MS)


class Questions:
    """When each question for the time was asked. The newest `_KEPT` are remembered: one is asked a second."""

    _KEPT: Final = 8

    def __init__(self) -> None:
        self._newest = 0
        self._asked: OrderedDict[int, int] = OrderedDict()

    def token(self, now_ns: int) -> int:
        """A question is asked now, with this token."""
        self._newest = (self._newest + 1) % (1 << 32)
        self._asked[self._newest] = now_ns
        while len(self._asked) > self._KEPT:
            self._asked.popitem(last=False)
        return self._newest

    def asked_ns(self, token: int) -> int | None:
        """When the question with this token was asked; None when there was none, or it was answered."""
        return self._asked.pop(token, None)

    def forget(self) -> None:
        """No answer to what was asked is wanted any more."""
        self._asked.clear()
