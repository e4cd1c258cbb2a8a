"""Waiting for descriptors, for a call of another thread, or for the time: whichever comes first."""

import contextlib
import os
import select
import threading
from collections.abc import Mapping


class Wakeable:
    """One thread waits; any thread wakes it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def wait(self, events: Mapping[int, int], timeout_s: float) -> dict[int, int]:
        """What happened on the descriptors in `events` (poll(2) events by descriptor); empty when woken or too late."""
        waiter = select.poll()
        waiter.register(self._read, select.POLLIN)
        for fd, wanted in events.items():
            waiter.register(fd, wanted)
        # Rounded up: rounding down would turn the last millisecond before a deadline into a busy loop.
        happened = dict(waiter.poll(max(0, int(timeout_s * 1000)) + 1))
        if happened.pop(self._read, 0):
            with contextlib.suppress(BlockingIOError):
                os.read(self._read, 4096)
        return happened

    def wake(self) -> None:
        """End the wait that is on, or the next one."""
        with self._guard, contextlib.suppress(BlockingIOError):
            if self._write >= 0:
                os.write(self._write, b"\x00")

    def close(self) -> None:
        """Nobody waits here any more."""
        with self._guard:
            write, self._write = self._write, -1
        if write >= 0:
            os.close(self._read)
            os.close(write)
