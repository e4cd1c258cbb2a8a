"""Telling the alarm desk about states that last: at once, again every few seconds, and once when they are over."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from agent.clock import Clock, stamp
from agent.facts import CONDITION_REPEAT_S, Condition, ConditionKind, Stamp

Detail = Mapping[str, str | int | float | bool]
Key = tuple[ConditionKind, str]


class _Told(NamedTuple):
    since: Stamp
    last_ns: int
    detail: Detail


class LastingStates:
    """The conditions of one process. Used by one thread."""

    def __init__(
        self, clock: Clock, send: Callable[[Condition], None], may_repeat: Callable[[], bool] = lambda: True
    ) -> None:
        """Repeats, and only they, wait while `may_repeat` says no."""
        self._clock = clock
        self._send = send
        self._may_repeat = may_repeat
        self._active: dict[Key, _Told] = {}

    def tell(self, kind: ConditionKind, subject: str, active: bool, detail: Detail | None = None) -> None:
        """Call as often as is convenient: sends a beginning, an end, and a repeat when it is due.

        Another `detail` waits for the next repeat: the desk commits each message to disk.
        """
        key, now = (kind, subject), stamp(self._clock)
        known = self._active.get(key)
        if not active:
            if known is not None:
                del self._active[key]
                detail = known.detail if detail is None else detail
                self._send(Condition(kind, subject, False, known.since, now, dict(detail)))
            return
        if known is None or (now.mono_ns - known.last_ns >= CONDITION_REPEAT_S * 1e9 and self._may_repeat()):
            since = now if known is None else known.since
            told = self._active[key] = _Told(since, now.mono_ns, detail or {})
            self._send(Condition(kind, subject, True, since, now, dict(told.detail)))

    def tell_all(self, lasting: Mapping[Key, Detail]) -> None:
        """`lasting` is everything that lasts now: what was told and does not stand there is over."""
        for kind, subject in [key for key in self._active if key not in lasting]:
            self.tell(kind, subject, active=False)
        for (kind, subject), detail in lasting.items():
            self.tell(kind, subject, active=True, detail=detail)

    def end(self, former: Iterable[Key]) -> None:
        """Say that these states, which an earlier run may have left active, are over, unless they last."""
        now = stamp(self._clock)
        for kind, subject in former:
            if (kind, subject) not in self._active:
                self._send(Condition(kind, subject, False, now, now))
