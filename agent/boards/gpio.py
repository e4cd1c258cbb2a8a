"""Lines of a GPIO chip as a board: the thread that holds them.

Invariants
1. The chip and its lines are touched by the thread `gpio-<chip>` alone; others change `_wanted` under `_guard`.
2. The thread sleeps until an edge, a call or the next look (`LOOK_EVERY_S`); it polls nothing faster than that.
3. A line that somebody else holds takes no other line with it: it is in FAULT, and asked for again at every look.
4. Output lines are off until `output` was called: a GPIO line that is requested is driven, one way or the other.
"""

import contextlib
import logging
import select
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from agent.boards import lines
from agent.boards.chip import DEBOUNCE_MS, Chip, InputLine, LineBusy, OutputLine
from agent.boards.lines import Line
from agent.boards.telling import Change, Down, Result, Teller, Up, Whole
from agent.boards.wakeable import Wakeable
from agent.clock import Clock
from agent.facts import InputState
from agent.seldom import Seldom
from firmware_bridge.reports import Report
from firmware_bridge.serial_port import BoardStatus

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
"""Every line is read this often, too: drivers lose interrupts, and older kernels wake nobody when a chip goes."""

REOPEN_AFTER_S: Final = 0.25
"""A missing chip is looked for this often."""

_DEBOUNCE_NS: Final = DEBOUNCE_MS * 1_000_000
_BROKEN: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL


@dataclass(frozen=True, slots=True)
class LinesAt:
    """Which lines are the inputs 0, 1, ... of the board, and which are its outputs. `resting_closed` are inputs whose
    contact is closed while all is well."""

    inputs: tuple[int, ...]
    siren: int | None = None
    strobe: int | None = None
    resting_closed: frozenset[int] = frozenset()


class GpioBoard:
    """Input and output lines of one chip."""

    def __init__(
        self, chip: Chip, at: LinesAt, boot_id: int, on_report: Callable[[Report], None], clock: Clock
    ) -> None:
        """Nothing is opened until `start`. `on_report` is called on the board's thread and must not wait."""
        self._chip = chip
        self._at = at
        self._clock = clock
        self._on_report = on_report
        self._seldom = Seldom(log, clock)
        self._guard = threading.Lock()
        self._teller = Teller(f"gpio:{chip.path.name}:{at.inputs[0]}", boot_id)
        self._lines = [Line(number, number not in at.resting_closed) for number in range(len(at.inputs))]
        self._requested: dict[int, InputLine] = {}
        self._outputs: dict[int, OutputLine] = {}
        self._wanted = (False, False)
        self._driven: dict[int, bool] = {}
        self._held: dict[int, str] = {}
        self._edges = self._edges_lost = 0
        self._heard_ns = clock.mono_ns()
        self._stopping = False
        self._wakeable = Wakeable()
        self._thread = threading.Thread(target=self._run, name=f"gpio-{chip.path.name}", daemon=True)

    def start(self) -> None:
        """Request the lines as soon as the chip is there, and begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Outputs off, lines let go, and the end. Raises RuntimeError when it hangs. Safe to call twice."""
        self._stopping = True
        if self._thread.ident is None:
            return
        self._wakeable.wake()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise RuntimeError(f"the thread {self._thread.name} did not stop in {timeout_s} s")

    def acknowledge(self, board_uid: str, boot_id: int, event_id: int) -> None:
        """Nothing to forget: a line keeps no events."""

    def output(self, siren: bool, led: bool) -> None:
        """Drive the output lines so, now and after every return of the chip. From any thread."""
        with self._guard:
            self._wanted = (siren, led)
        self._wakeable.wake()

    def try_output(self, siren: bool, led: bool, seconds: int) -> bool:
        """A line has no clock for that."""
        return False

    def status(self) -> BoardStatus:
        """How the lines do. From any thread. `heartbeat` names the lines that others hold."""
        with self._guard:
            return BoardStatus(
                port=str(self._chip.path),
                up=self._teller.up,
                uid=self._teller.uid,
                firmware=None,
                boot_id=self._teller.boot_id,
                silent_s=max(0.0, (self._clock.mono_ns() - self._heard_ns) / 1e9),
                frames=self._edges,
                crc_errors=0,
                resent=0,
                heartbeat={
                    "edges_lost": self._edges_lost,
                    "held": {str(line): holder for line, holder in self._held.items()},
                    "outputs_driven": all(line in self._driven for line in self._output_lines()),
                },
            )

    # -- the thread --

    def _run(self) -> None:
        while not self._stopping:
            was_open = False
            try:
                self._tell()
                self._chip.open()
                self._open_lines()
                was_open = True
                self._seldom.say(logging.INFO, "open", f"gpio: {self._chip.path} is open")
                self._serve()
                reason = "stopped"
            except FileNotFoundError:
                reason = f"port_missing: {self._chip.path}"
            except LineBusy as error:
                reason = f"line_busy: {error}"
            except OSError as error:
                reason = f"{'port_lost' if was_open else 'port_missing'}: {self._chip.path}: {error.strerror or error}"
            except Exception as error:  # noqa: BLE001  # the top of the board's thread: logged, and begun anew
                reason = f"port_lost: a fault of this program, see the log: {type(error).__name__}"
                text = f"gpio: on {self._chip.path}: {type(error).__name__}: {error}"
                self._seldom.say(logging.ERROR, text, text, error)
            self._close()
            if not self._stopping:
                self._seldom.say(logging.WARNING, reason, f"gpio: {reason}")
                self._put([Down(reason, self._heard_ns)])
                self._wakeable.wait({}, REOPEN_AFTER_S)
        self._put([Down("stopped", self._heard_ns)])
        self._tell()
        self._wakeable.close()

    def _open_lines(self) -> None:
        """Request everything. Raises LineBusy when not one input can be had, OSError when the chip is gone."""
        busy, changes = None, list[Change]()
        for number in range(len(self._lines)):
            try:
                changes += self._open_line(number)
            except LineBusy as error:
                busy = error
                changes += self._unavailable(number, error)
        if busy is not None and not self._requested:
            raise busy
        self._put([Up(), *changes, self._whole()])
        self._open_outputs()

    def _open_line(self, number: int) -> tuple[Change, ...]:
        """Request one input and read it. Its edges since then wait, and are read next."""
        line = self._chip.input(self._at.inputs[number])
        self._requested[number] = line
        with self._guard:
            self._held.pop(self._at.inputs[number], None)
        now_ns = self._clock.mono_ns()
        active = line.active()
        edges = line.edges()
        # Where an edge waits, the line was the other way before it, whatever it is now.
        before = not edges[0].active if edges and edges[0].seqno == 1 else active
        self._lines[number], changes = lines.opened(self._lines[number], before, now_ns)
        if edges:
            self._lines[number], more, _ = lines.moved(self._lines[number], edges, _DEBOUNCE_NS, now_ns)
            changes += more
        return changes

    def _unavailable(self, number: int, error: LineBusy) -> tuple[Change, ...]:
        with self._guard:
            self._held[error.line] = error.holder
        self._seldom.say(logging.ERROR, f"busy {error.line}", f"gpio: {self._chip.path}: {error}")
        self._lines[number], changes = lines.unavailable(self._lines[number], self._clock.mono_ns())
        return changes

    def _open_outputs(self) -> None:
        for line, active in self._output_lines().items():
            if line in self._outputs:
                continue
            try:
                self._outputs[line] = self._chip.output(line, active)
            except LineBusy as error:
                with self._guard:
                    self._held[error.line] = error.holder
                self._seldom.say(logging.ERROR, f"busy {error.line}", f"gpio: {self._chip.path}: {error}")
            else:
                with self._guard:
                    self._held.pop(line, None)
                    self._driven[line] = active

    def _output_lines(self) -> dict[int, bool]:
        """The connected outputs, and how they are to be."""
        pairs = zip((self._at.siren, self._at.strobe), self._wanted, strict=True)
        return {line: wanted for line, wanted in pairs if line is not None}

    def _serve(self) -> None:
        """Until `stop`. Raises OSError when the chip is gone."""
        looked_ns = self._clock.mono_ns()
        while not self._stopping:
            self._drive()
            self._tell()
            by_fd = {line.fd: number for number, line in self._requested.items()}
            left_s = LOOK_EVERY_S - (self._clock.mono_ns() - looked_ns) / 1e9
            happened = self._wakeable.wait(dict.fromkeys(by_fd, select.POLLIN), left_s)
            self._read(by_fd, happened)
            if self._clock.mono_ns() - looked_ns >= LOOK_EVERY_S * 1e9:
                self._look()
                looked_ns = self._clock.mono_ns()

    def _read(self, by_fd: Mapping[int, int], happened: Mapping[int, int]) -> None:
        changes: list[Change] = []
        all_lost = 0
        for fd, events in happened.items():
            if events & _BROKEN:
                raise OSError("the chip was unplugged")
            number = by_fd[fd]
            edges = self._requested[number].edges()
            now_ns = self._clock.mono_ns()
            self._lines[number], found, lost = lines.moved(self._lines[number], edges, _DEBOUNCE_NS, now_ns)
            changes += found
            all_lost += lost
            with self._guard:
                self._heard_ns = now_ns
                self._edges += len(edges)
                self._edges_lost += lost
        results: list[Result] = [*sorted(changes, key=lambda change: change.first_ns)]
        if all_lost:
            self._seldom.say(logging.WARNING, "edges lost", f"gpio: {self._chip.path}: {all_lost} edges were lost")
            results.append(self._whole())
        self._put(results)

    def _look(self) -> None:
        """Read every line, and ask again for those that others held."""
        results: list[Result] = []
        for number, line in self._requested.items():
            self._lines[number], changes = lines.looked(self._lines[number], line.active(), self._clock.mono_ns())
            results += changes
        for number in range(len(self._lines)):
            if number not in self._requested:
                with contextlib.suppress(LineBusy):
                    results += self._open_line(number)
        if results:
            self._put([*results, self._whole()])
        self._open_outputs()
        with self._guard:
            self._heard_ns = self._clock.mono_ns()

    def _drive(self) -> None:
        with self._guard:
            wanted = self._output_lines()
        for line, output in self._outputs.items():
            if self._driven.get(line) is not wanted[line]:
                output.set(wanted[line])
                with self._guard:
                    self._driven[line] = wanted[line]

    def _whole(self) -> Whole:
        return Whole(tuple((line.input_no, line.told or InputState.UNKNOWN) for line in self._lines))

    def _close(self) -> None:
        for line in self._closing():
            with contextlib.suppress(OSError):
                line.close()
        self._chip.close()

    def _closing(self) -> Iterator[InputLine | OutputLine]:
        yield from self._requested.values()
        for output in self._outputs.values():
            with contextlib.suppress(OSError):
                output.set(False)
            yield output
        self._requested.clear()
        self._outputs.clear()
        with self._guard:
            self._driven.clear()

    def _put(self, results: list[Result]) -> None:
        with self._guard:
            self._teller.put(results, self._clock.mono_ns())

    def _tell(self) -> None:
        """Tell what was found out. What raises is told again at the next call."""
        while (report := self._teller.first()) is not None:
            self._on_report(report)
            self._teller.taken()
