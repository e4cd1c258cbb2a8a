"""A thread that may hang in libav: left behind when it does, and replaced.

libav may hang in a name look-up, a handshake or a read, past every timeout it was given. So a thread that reads from
a camera holds nothing that others wait for; when it does not turn for `HUNG_S`, another begins in its place, and what
the first says later is ignored.

Invariants
1. One turn is the present one; `is_current` tells a thread whether it still speaks for its camera.
2. At most `MAX_HUNG` threads of one reader are left behind at a time.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

from agent.clock import Clock

log = logging.getLogger(__name__)

HUNG_S: Final = 30.0
"""A thread that does nothing for this long, past every timeout it has, hangs in libav: begin another."""

MAX_HUNG: Final = 3


class Turn:
    """One thread's time as the reader. Its work calls `turned` whenever libav gave control back."""

    def __init__(self, stop: threading.Event, clock: Clock) -> None:
        self.turned_ns = clock.mono_ns()
        self.left = False
        self._stop = stop
        self._clock = clock

    def turned(self) -> int:
        """Still alive; the monotonic time."""
        self.turned_ns = self._clock.mono_ns()
        return self.turned_ns

    def over(self) -> bool:
        """The work is to end: it was told to stop, or another thread has its place."""
        return self.left or self._stop.is_set()

    def wait(self, seconds: float) -> None:
        """Wait, unless it is told to stop."""
        self.turned()
        self._clock.wait(self._stop, seconds)
        self.turned()


class Reader:
    """A thread named `name` that does `work` until it is told to stop, and its successors."""

    def __init__(self, name: str, work: Callable[[Turn], None], clock: Clock) -> None:
        self._name = name
        self._work = work
        self._clock = clock
        self._stop = threading.Event()
        self._turn: Turn | None = None
        self._thread: threading.Thread | None = None
        self._hung: list[threading.Thread] = []

    def start(self) -> None:
        """Begin."""
        self._turn = Turn(self._stop, self._clock)
        self._thread = threading.Thread(target=self._work, args=(self._turn,), name=self._name, daemon=True)
        self._thread.start()

    def is_current(self, turn: Turn) -> bool:
        """Whether this turn speaks for the camera."""
        return turn is self._turn

    def ask_to_stop(self) -> None:
        """End soon. Never waits."""
        self._stop.set()

    def stopping(self) -> bool:
        """It was asked to stop."""
        return self._stop.is_set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; False when it hangs and is left behind (it holds nothing)."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def replace_hung(self) -> bool:
        """Begin another thread when the present one hangs; True when that was done. Called now and then."""
        turn, thread = self._turn, self._thread
        if turn is None or thread is None or self._stop.is_set():
            return False
        if self._clock.mono_ns() - turn.turned_ns <= HUNG_S * 1e9:
            return False
        self._hung = [each for each in self._hung if each.is_alive()]
        if len(self._hung) >= MAX_HUNG:
            return False
        turn.left = True
        self._hung.append(thread)
        log.warning("%s hangs in libav and is replaced", self._name)
        self.start()
        return True
