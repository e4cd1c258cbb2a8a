"""A GPIO chip in memory that keeps the kernel's rules: debounce, numbers of edges, a FIFO that drops the oldest.

The rules are those of the gpio character device v2: every raw edge starts the wait anew; when it is over the level is
read, and an edge is made if it differs from the last debounced one, stamped then; a request begins with the raw level;
an open request of a chip that is gone answers ENODEV and hangs up.
"""

import errno
import heapq
import os
import threading
import time
from collections import deque
from pathlib import Path

from agent.boards.chip import DEBOUNCE_MS, LineBusy
from agent.boards.lines import Edge

DEBOUNCE_NS = DEBOUNCE_MS * 1_000_000


class FakeInput:
    """One requested input."""

    def __init__(self, chip: "FakeChip", line: int) -> None:
        self._chip = chip
        self.line = line
        # A pipe for a descriptor that can hang up as that of a request does.
        self.fd, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.level = chip.levels[line]
        self.fifo: deque[Edge] = deque(maxlen=chip.fifo_size)
        self.seqno = 0
        self.settles_ns: int | None = None
        self.gone = False

    def settle(self, level: bool, now_ns: int) -> None:
        """The wait is over."""
        self.settles_ns = None
        if level is self.level:
            return
        self.level = level
        self.seqno += 1
        if not self._chip.interrupts_lost:
            self.fifo.append(Edge(level, now_ns, self.seqno))
            os.write(self._wake, b"\x00")

    def active(self) -> bool:
        with self._chip.guard:
            self._check()
            return self.level

    def edges(self) -> list[Edge]:
        with self._chip.guard:
            self._check()
            found = list(self.fifo)
            self.fifo.clear()
            try:
                os.read(self.fd, 65536)
            except BlockingIOError:
                assert not found
            return found

    def close(self) -> None:
        with self._chip.guard:
            self._chip.requested.pop(self.line, None)
            self.hang_up()
            os.close(self.fd)

    def hang_up(self) -> None:
        """The chip is gone."""
        if not self.gone:
            os.close(self._wake)
        self.gone = True

    def _check(self) -> None:
        if self.gone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))


class FakeOutput:
    """One requested output."""

    def __init__(self, chip: "FakeChip", line: int) -> None:
        self._chip = chip
        self._line = line

    def set(self, active: bool) -> None:
        if not self._chip.plugged:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        self._chip.outputs[self._line] = active

    def close(self) -> None:
        self._chip.outputs.pop(self._line, None)


class FakeChip:
    """The chip and the wires on it. `press` and `hold` are for the test, the rest is the `Chip` that the board sees."""

    def __init__(self, path: Path, count: int = 8, fifo_size: int = 1024) -> None:
        self.path = path
        self.guard = threading.RLock()
        self.levels = [False] * count
        self.outputs: dict[int, bool] = {}
        self.requested: dict[int, FakeInput] = {}
        self.held: dict[int, str] = {}
        self.fifo_size = fifo_size
        self.plugged = True
        self.interrupts_lost = False
        self._due: list[tuple[int, int, int, bool]] = []
        self._n = 0
        self._moved = threading.Condition(self.guard)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="fake-kernel", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self.guard:
            self._stopping = True
            self._moved.notify()
        self._thread.join(5)

    # -- the wires --

    def hold(self, line: int, active: bool, after_s: float = 0.0, bounces: int = 4) -> None:
        """The contact moves after `after_s`, and bounces a millisecond apart before it rests."""
        start_ns = time.monotonic_ns() + round(after_s * 1e9)
        for at in range(2 * bounces + 1):
            self._later(start_ns + at * 1_000_000, line, active if at % 2 == 0 else not active)

    def press(self, line: int, hold_s: float = 0.1) -> None:
        self.hold(line, True)
        self.hold(line, False, after_s=hold_s)

    def unplug(self) -> None:
        with self.guard:
            self.plugged = False
            self.outputs.clear()
            for request in self.requested.values():
                request.hang_up()

    def plug(self) -> None:
        self.plugged = True

    def _later(self, at_ns: int, line: int, level: bool) -> None:
        with self.guard:
            self._n += 1
            heapq.heappush(self._due, (at_ns, self._n, line, level))
            self._moved.notify()

    # -- the kernel --

    def _run(self) -> None:
        with self.guard:
            while not self._stopping:
                now_ns = time.monotonic_ns()
                while self._due and self._due[0][0] <= now_ns:
                    _, _, line, level = heapq.heappop(self._due)
                    if level is not self.levels[line]:
                        self.levels[line] = level
                        if line in self.requested:
                            self.requested[line].settles_ns = now_ns + DEBOUNCE_NS
                waits = [self._due[0][0]] if self._due else []
                for request in self.requested.values():
                    if request.settles_ns is not None and request.settles_ns <= now_ns:
                        request.settle(self.levels[request.line], now_ns)
                    if request.settles_ns is not None:
                        waits.append(request.settles_ns)
                self._moved.wait(max(0.0, (min(waits) - now_ns) / 1e9) if waits else None)

    # -- what the board sees --

    def open(self) -> None:
        if not self.plugged:
            raise FileNotFoundError(self.path)

    def input(self, line: int) -> FakeInput:
        with self.guard:
            self._request(line)
            self.requested[line] = FakeInput(self, line)
            return self.requested[line]

    def output(self, line: int, active: bool) -> FakeOutput:
        with self.guard:
            self._request(line)
            self.outputs[line] = active
            return FakeOutput(self, line)

    def close(self) -> None:
        pass

    def _request(self, line: int) -> None:
        if not self.plugged:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        if line in self.held or line in self.requested:
            raise LineBusy(line, self.held.get(line, "us"))
