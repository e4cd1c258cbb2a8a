"""A simulated microcontroller board: the firmware's own logic behind a pseudo-terminal, in real time.

What it keeps of the physics: inputs are sampled every 10 ms through an ADC with noise, contacts bounce for a few
milliseconds, bytes take their time at 115200 baud both ways, EEPROM is a file with fsync, unplugging the board
takes its power, and bytes that nobody reads are lost.

Invariants
1. The thread `demo-board` alone touches the pure board; others put wishes into `_wishes`.
2. Every press is written to the log before the contact moves: the log is what benches judge by.
"""

import argparse
import contextlib
import json
import logging
import os
import pty
import queue
import random
import select
import signal
import sys
import threading
import tty
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from agent.clock import Clock, SystemClock
from agent.demo.chip import EepromFile, Line
from agent.demo.contacts import ADC_OF, SAMPLE_NS, Contacts
from agent.facts import Text
from agent.wire import Reply, Request, Server
from firmware_bridge.board import Board, default_config
from firmware_bridge.messages import Config, InputKind, ResetCause

log = logging.getLogger(__name__)

PANIC_INPUT: Final = 0
DOOR_INPUT: Final = 1
TWO_INPUTS: Final = (default_config(PANIC_INPUT, InputKind.PANIC), default_config(DOOR_INPUT, InputKind.CONTACT))
"""The demonstration board: a panic button and a door contact."""


class SimulatedBoard:
    """One board with its wires. Safe to use from any thread between `start` and `stop`."""

    def __init__(
        self,
        port_link: Path,
        log_path: Path,
        *,
        seed: int = 0,
        eeprom_path: Path | None = None,
        inputs: Sequence[Config] = TWO_INPUTS,
        clock: Clock | None = None,
    ) -> None:
        """The board appears at `port_link`, a symbolic link to its pseudo-terminal.

        `log_path` gets one JSON object a line for each press, door movement and event. `seed` fixes the noise
        and, for a new EEPROM, the uid of the board. `eeprom_path` is by default beside the link.
        """
        self._link = port_link
        self._log_path = log_path
        self._random = random.Random(seed)
        self._clock = clock or SystemClock()
        self._inputs = tuple(inputs)
        self._eeprom_path = eeprom_path or port_link.with_name(f"{port_link.name}.eeprom")
        self._eeprom: EepromFile | None = None
        self._wishes: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = False
        self._guard = threading.Lock()
        self._presses = 0
        self._status: dict[str, Any] = {}
        self._contacts = Contacts(self._inputs, self._clock, self._random, self._note)
        self._board: Board | None = None
        self._power_ns = 0
        self._fds: tuple[int, int] | None = None
        self._to_host, self._to_board = Line(), Line()
        self._thread = threading.Thread(target=self._run, name="demo-board", daemon=True)

    def start(self) -> None:
        """Power the board. When this returns the port is there."""
        self._link.parent.mkdir(parents=True, exist_ok=True)
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        self._eeprom = EepromFile(self._eeprom_path, self._random.randbytes(8))
        self._plug(ResetCause.POWER_ON)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Cut the power. Raises RuntimeError when the thread hangs."""
        self._stopping = True
        self._wake()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                raise RuntimeError("the simulated board did not stop")
        self._unplug()
        if self._eeprom is not None:
            self._eeprom.close()
        with self._guard:
            ends, self._wake_read, self._wake_write = (self._wake_read, self._wake_write), -1, -1
        for end in ends:
            if end >= 0:
                os.close(end)

    def press(self, input_no: int = PANIC_INPUT, hold_s: float = 0.3) -> int:
        """Press a button for `hold_s` seconds; the number of this press in the log.

        Pressing a button that is held down is no press: the log calls it `held`. The firmware sees a press when
        the contact is closed, and was open before, for longer than its debounce time.
        """
        self._check(input_no, "alarm")
        with self._guard:
            self._presses += 1
            number = self._presses
        self._wish(lambda: self._contacts.press(number, input_no, hold_s))
        return number

    def door(self, is_open: bool) -> None:
        """Open or close the door. Its contact opening puts both resistors into the line: the state `alarm`."""
        self.set(DOOR_INPUT, "alarm" if is_open else "normal")

    def set(self, input_no: int, state: str) -> None:
        """Put an input into normal, alarm, open (line cut), short or fault. Raises ValueError."""
        self._check(input_no, state)
        self._wish(lambda: self._contacts.move(input_no, state))

    def unplug(self) -> None:
        """Pull the plug: the port vanishes and the board loses its power."""
        self._and_wait(self._unplug)

    def plug(self) -> None:
        """Put the plug back in: another pseudo-terminal, a new boot."""
        self._and_wait(lambda: self._plug(ResetCause.POWER_ON))

    def restart(self, cause: ResetCause = ResetCause.WATCHDOG) -> None:
        """The microcontroller resets; the port stays."""
        self._and_wait(lambda: self._boot(cause))

    def inject(self, data: bytes) -> None:
        """Noise on the line to the host."""
        self._wish(lambda: self._to_host.put(data, self._clock.mono_ns()))

    def status(self) -> dict[str, Any]:
        """What the board holds and drives."""
        with self._guard:
            return dict(self._status)

    # -- from other threads --

    def _check(self, input_no: int, state: str) -> None:
        if not 0 <= input_no < len(self._inputs):
            raise ValueError(f"the board has inputs 0 to {len(self._inputs) - 1}")
        if state not in ADC_OF:
            raise ValueError(f"{state!r} is not one of {', '.join(ADC_OF)}")

    def _wish(self, wish: Callable[[], None]) -> None:
        self._wishes.put(wish)
        self._wake()

    def _and_wait(self, wish: Callable[[], None]) -> None:
        done = threading.Event()

        def carry_out() -> None:
            try:
                wish()
            finally:
                done.set()

        self._wish(carry_out)
        if not done.wait(10):
            raise RuntimeError("the simulated board does not answer")

    def _wake(self) -> None:
        with self._guard, contextlib.suppress(BlockingIOError):
            if self._wake_write >= 0:
                os.write(self._wake_write, b"\x00")

    # -- the thread --

    def _run(self) -> None:
        next_sample_ns = self._clock.mono_ns()
        with self._log_path.open("a", encoding="utf-8", buffering=1) as self._log:
            while not self._stopping:
                while not self._wishes.empty():
                    self._wishes.get()()
                now_ns = self._clock.mono_ns()
                self._contacts.release_due(now_ns, self._board is not None)
                if now_ns >= next_sample_ns:
                    self._sample(now_ns)
                    next_sample_ns = max(next_sample_ns + SAMPLE_NS, now_ns)
                self._turn(now_ns)
                self._wait(next_sample_ns)

    def _turn(self, now_ns: int) -> None:
        """Bytes in, bytes out, EEPROM writes."""
        board = self._board
        if board is None:
            return
        age_ns = now_ns - self._power_ns
        if data := self._to_board.take(now_ns):
            board.receive(data, age_ns)
        if age_ns >= board.deadline_ns():
            board.tick(age_ns)
        self._to_host.put(board.to_send(), now_ns)
        if self._fds is not None and (data := self._to_host.take(now_ns)):
            with contextlib.suppress(BlockingIOError):  # nobody reads: the bytes are lost, as on a real line
                os.write(self._fds[0], data)
        for event in board.made:
            mono_ns = self._power_ns + event.t_ms * 1_000_000
            self._note(
                "event", event.input_no, event.state.name.lower(), mono_ns, boot_id=event.boot_id,
                event_id=event.event_id,
            )  # fmt: skip
        board.made.clear()
        assert self._eeprom is not None
        for write in board.take_writes():
            self._eeprom.write(write)
        outputs = board.outputs(age_ns)
        with self._guard:
            self._status = {
                "uid": board.uid.hex(),
                "boot_id": board.boot_id,
                "plugged": self._fds is not None,
                "in_session": board.in_session,
                "inputs": list(self._contacts.states),
                "settled": [state.name.lower() for state in board.states],
                "uncommitted": len(board.held),
                "presses": self._presses,
                "siren": outputs.siren,
                "led": outputs.led,
                "fault_led": outputs.fault_led,
            }

    def _wait(self, next_sample_ns: int) -> None:
        now_ns = self._clock.mono_ns()
        times = [next_sample_ns, *self._contacts.next_ns(now_ns)]
        times += [at for at in (self._to_host.next_ns(), self._to_board.next_ns()) if at is not None]
        wait_s = max(0, min(times) - now_ns) / 1e9
        reads = [self._wake_read] if self._fds is None else [self._wake_read, self._fds[0]]
        ready, _, _ = select.select(reads, [], [], wait_s)
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        if self._fds is not None and self._fds[0] in ready:
            with contextlib.suppress(OSError):
                self._to_board.put(os.read(self._fds[0], 4096), self._clock.mono_ns())

    def _sample(self, now_ns: int) -> None:
        if self._board is not None:
            self._board.sample(self._contacts.sample(now_ns), self._age(now_ns))

    def _age(self, now_ns: int) -> int:
        return now_ns - self._power_ns

    def _note(self, what: str, input_no: int, state: str, mono_ns: int, **more: int | float) -> None:
        assert self._eeprom is not None
        wall_ns = self._clock.wall_ns() - (self._clock.mono_ns() - mono_ns)
        line = {"what": what, "input": input_no, "state": state, "wall_ns": wall_ns, "mono_ns": mono_ns, **more}
        if self._board is not None:
            line["board_uid"] = self._board.uid.hex()
        print(json.dumps(line), file=self._log)

    def _boot(self, cause: ResetCause) -> None:
        assert self._eeprom is not None
        if self._board is not None:
            for write in self._board.take_writes():
                self._eeprom.write(write)
        self._board = Board(self._eeprom.image(), self._inputs, cause)
        self._power_ns = self._clock.mono_ns()
        self._to_host, self._to_board = Line(), Line()
        for write in self._board.take_writes():
            self._eeprom.write(write)
        self._eeprom.image()

    def _plug(self, cause: ResetCause) -> None:
        if self._fds is not None:
            return
        board_end, host_end = pty.openpty()
        tty.setraw(host_end)
        os.set_blocking(board_end, False)
        self._fds = (board_end, host_end)
        self._boot(cause)
        fresh = self._link.with_name(f".{self._link.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(host_end))
        fresh.replace(self._link)

    def _unplug(self) -> None:
        if self._fds is None:
            return
        self._link.unlink(missing_ok=True)
        for fd in self._fds:
            os.close(fd)
        self._fds = None
        if self._board is not None and self._eeprom is not None:
            for write in self._board.take_writes():
                self._eeprom.write(write)
        self._board = None


def serve(board: SimulatedBoard, path: Path) -> Server:
    """A control socket for `board` at `path`, already listening: press, door, set, unplug, plug, restart, status."""

    def press(request: Request, reply: Reply) -> None:
        args = request.args
        _answer(reply, lambda: {"n": board.press(int(args.get("input", PANIC_INPUT)), float(args.get("hold_s", 0.3)))})

    def door(request: Request, reply: Reply) -> None:
        _answer(reply, lambda: board.door(bool(request.args.get("open", True))))

    def set_input(request: Request, reply: Reply) -> None:
        _answer(reply, lambda: board.set(int(request.args["input"]), str(request.args["state"])))

    server = Server(
        path,
        {
            "press": press,
            "door": door,
            "set": set_input,
            "unplug": lambda _, reply: _answer(reply, board.unplug),
            "plug": lambda _, reply: _answer(reply, board.plug),
            "restart": lambda _, reply: _answer(reply, board.restart),
            "status": lambda _, reply: _answer(reply, board.status),
        },
    )
    server.start()
    return server


def _answer(reply: Reply, act: Callable[[], dict[str, Any] | None]) -> None:
    try:
        reply.done(act())
    except (ValueError, KeyError, TypeError) as error:
        reply.refuse("bad_request", Text(f"请求有误：{error}", f"bad request: {error}"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one simulated board until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m agent.demo.board", description=main.__doc__)
    parser.add_argument("--port-link", type=Path, required=True, help="where the serial port is to appear")
    parser.add_argument("--control", type=Path, required=True, help="where the control socket is to be")
    parser.add_argument("--log", type=Path, required=True, help="list of presses and events, one JSON object a line")
    parser.add_argument("--eeprom", type=Path, help="the file that stands for EEPROM (default: beside the port)")
    parser.add_argument("--seed", type=int, default=0, help="fixes noise, and the uid of a new board")
    given = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    board = SimulatedBoard(given.port_link, given.log, seed=given.seed, eeprom_path=given.eeprom)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    board.start()
    server = serve(board, given.control)
    stopping.wait()
    server.stop()
    board.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
