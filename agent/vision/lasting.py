"""Telling the alarm desk about states that last: at once, again every few seconds, and once when they are over."""

from collections.abc import Callable

from agent.clock import Clock, stamp
from agent.facts import CONDITION_REPEAT_S, Condition, ConditionKind, Stamp

Detail = dict[str, str | int | float | bool]


class LastingStates:
    """The conditions of one process. Used by one thread."""

    def __init__(self, clock: Clock, send: Callable[[Condition], None]) -> None:
        self._clock = clock
        self._send = send
        self._active: dict[tuple[ConditionKind, str], tuple[Stamp, float]] = {}

    def tell(self, kind: ConditionKind, subject: str, active: bool, detail: Detail | None = None) -> None:
        """Call as often as is convenient: sends a beginning, an end, and a repeat when it is due.

        Another `detail` waits for the next repeat: the desk commits each message to disk.
        """
        key = (kind, subject)
        now = stamp(self._clock)
        known = self._active.get(key)
        if not active:
            if known is not None:
                del self._active[key]
                self._send(Condition(kind, subject, False, known[0], now, detail or {}))
            return
        since, sent_s = known or (now, float("-inf"))
        if now.mono_ns / 1e9 - sent_s >= CONDITION_REPEAT_S:
            self._active[key] = (since, now.mono_ns / 1e9)
            self._send(Condition(kind, subject, True, since, now, detail or {}))
