"""Log lines that repeat: counted, and told once per period, because log floods kill SD cards."""

import logging
from typing import Final

from agent.clock import Clock

EVERY_S: Final = 60.0
"""The same kind of line is logged at most this often."""

_MOST_KINDS: Final = 64


class Seldom:
    """Logs each kind of line once per `every_s`, with how many it kept back. May be used from any thread."""

    def __init__(self, log: logging.Logger, clock: Clock, every_s: float = EVERY_S) -> None:
        self._log = log
        self._clock = clock
        self._every_ns = round(every_s * 1e9)
        self._told: dict[str, tuple[int, int]] = {}

    def say(self, level: int, kind: str, text: str, error: BaseException | None = None) -> None:
        """Log `text`, with the traceback of `error`, unless a line of this `kind` was logged a moment ago."""
        now_ns = self._clock.mono_ns()
        last_ns, kept_back = self._told.get(kind, (None, 0))
        if last_ns is not None and now_ns - last_ns < self._every_ns:
            self._told[kind] = (last_ns, kept_back + 1)
            return
        if len(self._told) >= _MOST_KINDS:
            self._told.clear()
        self._told[kind] = (now_ns, 0)
        more = f" (and {kept_back} times more since it was last told)" if kept_back else ""
        self._log.log(level, "%s%s", text, more, exc_info=error)
