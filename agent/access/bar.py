"""A progress bar on the error stream: how much is done, how fast, how long it will take."""

import time
from collections.abc import Callable
from typing import Final

from agent.access.console import Screen
from agent.access.times import duration

_WIDTH: Final = 24
_EVERY_S: Final = 0.2
"""Over a serial line or a slow SSH session more would slow the work down."""

_STEADY_AFTER_S: Final = 1.0
"""Before that a rate says nothing."""


class Bar:
    """Called with (done, total), in bytes unless told otherwise. Draws only where there is a terminal."""

    def __init__(self, screen: Screen, *, in_bytes: bool = True, now_s: Callable[[], float] = time.monotonic) -> None:
        self._screen = screen
        self._in_bytes = in_bytes
        self._now_s = now_s
        self._is_terminal = screen.errors.isatty()
        self._began: tuple[float, int] | None = None
        self._drawn_s = 0.0
        self._drawn = ""

    def __call__(self, done: int, total: int) -> None:
        """Say how far it is. Costs next to nothing when called often."""
        now_s = self._now_s()
        if self._began is None:
            self._began = (now_s, done)
        if not self._is_terminal or (now_s - self._drawn_s < _EVERY_S and done < total and self._drawn):
            return
        text = self._text(done, max(total, 1), now_s)
        if text != self._drawn:
            self._drawn, self._drawn_s = text, now_s
            self._screen.errors.write(f"\r\x1b[K{text}")
            self._screen.errors.flush()

    def clear(self) -> None:
        """Take it off the screen."""
        if self._is_terminal and self._drawn:
            self._drawn = ""
            self._screen.errors.write("\r\x1b[K")
            self._screen.errors.flush()

    def _text(self, done: int, total: int, now_s: float) -> str:
        share = min(done / total, 1.0)
        filled = int(share * _WIDTH)
        text = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {int(share * 100):3d} %"
        assert self._began is not None
        began_s, began_at = self._began
        lasted_s = now_s - began_s
        if self._in_bytes:
            text += f"  {done / 1e6:.0f}/{total / 1e6:.0f} MB"
        if lasted_s < _STEADY_AFTER_S or done <= began_at:
            return text
        rate = (done - began_at) / lasted_s
        if self._in_bytes:
            text += f"  {rate / 1e6:.1f} MB/s"
        left = self._screen.say(duration((total - done) / rate))
        return text + self._screen.t(f"  还需 {left}", f"  {left} left") if done < total else text
