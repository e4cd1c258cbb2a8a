"""One board on one serial port: the thread that owns the port and turns the pure link (link.py).

Invariants
1. The port and the link are touched by the thread `board-<port>` alone, under `_guard` where others ask.
2. `on_report` is called on that thread, in order, outside the guard; it must not wait.
3. The thread never waits without a deadline, and never polls: bytes, a call from another thread and the next
   deadline of the link each wake it.
4. A port that vanishes is asked for again until `stop`.
5. A port that was found by USB and has another board behind it, or nobody who answers, is left for the next one.
"""

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import serial

from firmware_bridge.configuration import Wired
from firmware_bridge.link import HostLink
from firmware_bridge.neighbours import Neighbours
from firmware_bridge.ports import PluggedIn, Wanted
from firmware_bridge.reports import InputEvent, LinkChanged, Report, Snapshot, Trouble
from firmware_bridge.search import Search, StillWaiting

__all__ = ["BoardStatus", "InputEvent", "LinkChanged", "SerialBoard", "Snapshot"]

log = logging.getLogger(__name__)

BAUD: Final = 115_200

REOPEN_AFTER_S: Final = 0.25
"""A missing port is looked for this often: a replugged board is back within half a second."""

LEFT_AFTER_S: Final = 6.0
"""A port found by USB on which nobody answers for this long is left, when there is another: boot loaders take two
seconds, and the RESETs that follow come every second."""

_MOST_UNSENT_BYTES: Final = 4096
"""A port that takes nothing for this long a queue (0.36 s of line time) is broken and is opened anew."""

_READ_BYTES: Final = 4096

_SAY_AGAIN_S: Final = 60.0
"""The same line is logged at most this often: a loose plug comes and goes several times a second."""


@dataclass(frozen=True, slots=True)
class BoardStatus:
    """How the link to a board does. `silent_s` is since the last valid frame, or since the port was opened.

    `frames` valid frames received, `crc_errors` stretches of bytes that were none, `resent` numbered frames sent
    again by either side, `heartbeat` the newest figures of the board by the names in messages.BoardHeartbeat,
    `troubles` what is wrong with a board that answers or last did.
    """

    port: str
    up: bool
    uid: str | None
    firmware: str | None
    boot_id: int | None
    silent_s: float
    frames: int
    crc_errors: int
    resent: int
    heartbeat: dict[str, Any]
    troubles: tuple[Trouble, ...] = ()


class _LeftPort(Exception):
    """This port is not the one."""


class SerialBoard:
    """A microcontroller board behind a serial port (or a pseudo-terminal)."""

    def __init__(
        self,
        port: Path | Wanted,
        on_report: Callable[[InputEvent | Snapshot | LinkChanged], None],
        *,
        bridge: str = "",
        wired: Mapping[int, Wired] | None = None,
        uid: str | None = None,
        neighbours: Neighbours | None = None,
        plugged_in: PluggedIn | None = None,
    ) -> None:
        """Nothing is opened until `start`. `on_report` is called on the board's thread and must not wait.

        `port` is named, or is found by USB. `wired` is what hangs on its inputs (None: as the board has it), `uid` the
        only board to be taken, `neighbours` what it shares with the other boards of this host, by its `bridge`.
        """
        self._wanted = port
        self._bridge = bridge or str(port)
        self._uid = uid
        self._neighbours = neighbours or Neighbours()
        self._search = Search(self._bridge, port, plugged_in or PluggedIn(), self._neighbours)
        self._port: Path | None = port if isinstance(port, Path) else None
        self._on_report = on_report
        self._link = HostLink(wired, uid, lambda *heard: self._neighbours.name(self._bridge, *heard))
        self._guard = threading.Lock()
        self._stopping = False
        self._opened_ns = time.monotonic_ns()
        self._said: dict[str, int] = {}
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        name = port.name if isinstance(port, Path) else self._bridge
        self._thread = threading.Thread(target=self._run, name=f"board-{name}", daemon=True)

    def start(self) -> None:
        """Open the port as soon as it is there, and begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Close the port and end the thread. Raises RuntimeError when it hangs. Safe to call twice."""
        self._stopping = True
        if self._thread.ident is None:
            return
        self._wake()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise RuntimeError(f"the thread {self._thread.name} did not stop in {timeout_s} s")

    def acknowledge(self, board_uid: str, boot_id: int, event_id: int) -> None:
        """The event with this key is committed. From any thread, any number of times; never waits for the line."""
        with self._guard:
            self._link.acknowledge(board_uid, boot_id, event_id)
        self._wake()

    def output(self, siren: bool, led: bool) -> None:
        """Drive the outputs so, now and after every reconnection. From any thread."""
        with self._guard:
            self._link.output(siren, led, time.monotonic_ns())
        self._wake()

    def try_output(self, siren: bool, led: bool, seconds: int) -> bool:
        """Drive the outputs beside what `output` says; the board ends that itself. From any thread. False: it is not
        heard."""
        with self._guard:
            told = self._link.try_output(siren, led, seconds, time.monotonic_ns())
        self._wake()
        return told

    def status(self) -> BoardStatus:
        """How the link does. From any thread."""
        with self._guard:
            link = self._link
            since_ns = link.heard_ns or self._opened_ns
            return BoardStatus(
                port=str(self._port or self._wanted),
                up=link.up,
                uid=link.board_uid,
                firmware=link.firmware,
                boot_id=link.hello.boot_id if link.hello else None,
                silent_s=max(0.0, (time.monotonic_ns() - since_ns) / 1e9),
                frames=link.frames,
                crc_errors=link.bad_frames,
                resent=link.resent + link.repeats_heard,
                heartbeat=dict(link.heartbeat),
                troubles=link.troubles,
            )

    # -- the thread --

    def _run(self) -> None:
        said = ""
        while not self._stopping:
            reason = self._once()
            if reason != said and not self._stopping:
                self._say(logging.WARNING, reason)
                said = reason
            with self._guard:
                reports = self._link.close(reason, time.monotonic_ns())
            self._neighbours.released(self._bridge)
            self._tell(reports)
            if not self._stopping:
                self._wait(None, 0, REOPEN_AFTER_S)
        with self._guard:
            reports = self._link.close("stopped", time.monotonic_ns())
        self._tell(reports)
        os.close(self._wake_read)
        with self._guard:
            write, self._wake_write = self._wake_write, -1
        os.close(write)

    def _once(self) -> str:
        """Find the port, turn the link until the port is gone, and say why it ended."""
        try:
            self._port = None
            self._port = self._search.port()
            with contextlib.closing(self._opened(self._port)) as port:
                self._say(logging.INFO, f"port {self._port} is open")
                self._turn(port)
        except StillWaiting as error:
            return str(error)
        except FileNotFoundError as error:
            return f"port_missing: {error}"
        except _LeftPort as error:
            self._search.left(self._port, str(error))
            return str(error)
        except (OSError, serial.SerialException) as error:
            return f"port_lost: {error}" if self._link_open() else f"port_missing: {error}"
        except Exception as error:  # noqa: BLE001  # the top of the board's thread: logged, and begun anew
            self._say(logging.ERROR, f"on {self._port}: {type(error).__name__}: {error}", error)
            return f"port_lost: a fault of this program, see the log: {type(error).__name__}"
        return "stopped"

    def _say(self, level: int, text: str, error: Exception | None = None) -> None:
        now_ns = time.monotonic_ns()
        if now_ns - self._said.get(text, -(1 << 62)) < _SAY_AGAIN_S * 1e9:
            return
        if len(self._said) >= 32:
            self._said.clear()
        self._said[text] = now_ns
        log.log(level, "board: %s", text, exc_info=error)

    def _opened(self, path: Path) -> serial.Serial:
        port = serial.Serial(str(path), BAUD, timeout=0, exclusive=True)
        # Some USB adapters gather bytes for 16 ms; others, and pseudo-terminals, have nothing to set.
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            port.set_low_latency_mode(True)
        return port

    def _link_open(self) -> bool:
        with self._guard:
            return self._link.deadline_ns() is not None

    def _turn(self, port: serial.Serial) -> None:
        """Turn the link until `stop`. Raises OSError when the port is gone, _LeftPort when it is not the one."""
        fd = port.fileno()
        unsent = bytearray()
        with self._guard:
            reports = self._link.open(time.monotonic_ns())
        while not self._stopping:
            self._tell(reports)
            with self._guard:
                unsent += self._link.to_send()
                deadline_ns = self._link.deadline_ns()
            if unsent:
                self._write(fd, unsent)
            now_ns = time.monotonic_ns()
            wait_s = 1.0 if deadline_ns is None else max(0.0, (deadline_ns - now_ns) / 1e9)
            ready = self._wait(fd, select.POLLIN | (select.POLLOUT if unsent else 0), min(wait_s, 1.0))
            now_ns = time.monotonic_ns()
            reports = []
            if ready & (select.POLLIN | select.POLLHUP | select.POLLERR | select.POLLNVAL):
                data = _read(fd)
                with self._guard:
                    reports = self._link.receive(data, now_ns)
            with self._guard:
                reports += self._link.tick(now_ns)
            if isinstance(self._wanted, Wanted):
                self._leave_if_wrong(reports, now_ns)

    def _leave_if_wrong(self, reports: list[Report], now_ns: int) -> None:
        """Another board is here, or nobody answers and there is another port to try. Raises _LeftPort."""
        with self._guard:
            wrong, up, silent_ns = self._link.wrong_board, self._link.up, now_ns - self._link.heard_ns
        if wrong is not None:
            self._tell(reports)
            raise _LeftPort(f"wrong_board: {wrong}, not {self._uid}")
        if not up and silent_ns >= LEFT_AFTER_S * 1e9 and self._search.another(self._port):
            self._tell(reports)
            raise _LeftPort(f"no_answer: {self._port}")

    def _write(self, fd: int, unsent: bytearray) -> None:
        try:
            del unsent[: os.write(fd, unsent)]
        except BlockingIOError:
            if len(unsent) > _MOST_UNSENT_BYTES:
                raise OSError("the port takes no bytes") from None

    def _wait(self, fd: int | None, events: int, timeout_s: float) -> int:
        """Wait for the port, a call or the time; what happened on the port."""
        waiter = select.poll()
        waiter.register(self._wake_read, select.POLLIN)
        if fd is not None:
            waiter.register(fd, events)
        # Rounded up: rounding down would turn the last millisecond before a deadline into a busy loop.
        happened = dict(waiter.poll(int(timeout_s * 1000) + 1))
        if self._wake_read in happened:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
        return happened.get(fd, 0) if fd is not None else 0

    def _wake(self) -> None:
        with self._guard, contextlib.suppress(BlockingIOError):
            if self._wake_write >= 0:
                os.write(self._wake_write, b"\x00")

    def _tell(self, reports: list[Report]) -> None:
        for at, report in enumerate(reports):
            try:
                self._on_report(report)
            except BaseException:
                # What was not taken has not been heard: the session begins anew and the board tells it again.
                with self._guard:
                    self._link.not_taken(reports[at:])
                raise


def _read(fd: int) -> bytes:
    try:
        data = os.read(fd, _READ_BYTES)
    except BlockingIOError:
        return b""
    if not data:
        raise OSError("the port was unplugged")
    return data
