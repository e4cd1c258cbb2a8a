"""A Modbus-RTU module with inputs, and perhaps a siren and a strobe on its coils, as a board.

Invariants
1. `_module`, `_coils` and `_teller` are changed under `_guard`; reports are told outside it, by the bus's thread.
2. Everything the module says or fails to say goes through `polled.step`; the outputs never decide whether it is heard,
   except by a question that was not answered at all.
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from agent.boards import coils, polled, rtu
from agent.boards.bus import Bus
from agent.boards.polled import Answer, Lost, Miss, Missed, Stray
from agent.boards.rtu import Bits, Question, Refused, Written
from agent.boards.telling import Teller, Up
from agent.boards.turns import Due
from agent.clock import Clock
from firmware_bridge.reports import Report
from firmware_bridge.serial_port import BoardStatus

_NEVER_NS: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class ModuleAt:
    """Where a module is and what it has. Addresses count from 0, as they are on the wire (10001 of a manual is 0).

    `resting_closed` are inputs whose contact is closed while all is well: those are in alarm when it opens.
    """

    unit: int
    inputs: int = 8
    first_address: int = 0
    poll_ms: int = 100
    siren: int | None = None
    strobe: int | None = None
    resting_closed: frozenset[int] = frozenset()


class ModbusBoard:
    """One module on a bus that others may share."""

    def __init__(self, bus: Bus, at: ModuleAt, boot_id: int, on_report: Callable[[Report], None], clock: Clock) -> None:
        """Nothing is asked until `start`. `on_report` is called on the bus's thread and must not wait."""
        self.unit = at.unit
        self._bus = bus
        self._at = at
        self._clock = clock
        self._on_report = on_report
        self._guard = threading.Lock()
        self._teller = Teller(f"modbus:{bus.port.name}:{at.unit}", boot_id)
        self._module = polled.module(at.inputs, at.poll_ms, clock.mono_ns())
        self._coils = coils.Coils((at.siren, at.strobe))
        self._step: coils.Write | coils.Read | None = None
        self._counted: Counter[str] = Counter()
        self._joined = False

    def start(self) -> None:
        """Ask the module from now on, as soon as the port is there."""
        self._joined = True
        self._bus.join(self)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Ask it no more; its outputs stay as they are. Raises RuntimeError when the bus hangs. Safe to call twice."""
        if not self._joined:
            return
        self._joined = False
        self._bus.leave(self, timeout_s)

    def acknowledge(self, board_uid: str, boot_id: int, event_id: int) -> None:
        """Nothing to forget: the module keeps no events."""

    def output(self, siren: bool, led: bool) -> None:
        """Drive the coils so, now and after every reconnection. From any thread."""
        with self._guard:
            self._coils = self._coils.want(siren, led, self._clock.mono_ns())
        self._bus.wake()

    def try_output(self, siren: bool, led: bool, seconds: int) -> bool:
        """A module has no clock for that."""
        return False

    def status(self) -> BoardStatus:
        """How the module does. From any thread. `heartbeat` counts misses by kind and what others said in its name
        (`strays`), and tells of the outputs."""
        with self._guard:
            counted = dict(self._counted)
            outputs = self._coils
            told: dict[str, Any] = {f"missed_{why}": counted.get(why, 0) for why in Miss}
            told["strays"] = counted.get("strays", 0)
            if outputs.due_ns() is not None:
                told |= {"outputs_driven": outputs.driven, "outputs_trouble": outputs.trouble}
            return BoardStatus(
                port=f"{self._bus.port}#{self.unit}",
                up=self._module.up,
                uid=self._teller.uid,
                firmware=None,
                boot_id=self._teller.boot_id,
                silent_s=max(0.0, (self._clock.mono_ns() - self._module.heard_ns) / 1e9),
                frames=counted.get("frames", 0),
                crc_errors=counted.get(Miss.GARBLED, 0),
                resent=sum(counted.get(why, 0) for why in Miss),
                heartbeat=told,
            )

    # -- for the bus --

    def due(self) -> Due:
        """When to ask it: for its inputs, or for its outputs while it is heard well."""
        with self._guard:
            ask_ns = self._module.ask_ns
            if not self._module.doubtful:
                due_ns = self._coils.due_ns()
                ask_ns = min(ask_ns, _NEVER_NS if due_ns is None else due_ns)
            return Due(ask_ns, self._module.doubtful)

    def question(self, now_ns: int) -> Question:
        """The inputs, unless an output is due and the inputs are not, or were asked last."""
        with self._guard:
            due_ns = self._coils.due_ns()
            outputs = due_ns is not None and due_ns <= now_ns and not self._module.doubtful
            if outputs and (self._step is None or self._module.ask_ns > now_ns):
                self._step = step = self._coils.next()
                if isinstance(step, coils.Write):
                    return rtu.write_coils(self.unit, step.address, step.values)
                return rtu.read_coils(self.unit, step.address, step.count)
            self._step = None
            return rtu.read_inputs(self.unit, self._at.first_address, self._at.inputs)

    def answered(self, answer: Bits | Written | Refused, asked_ns: int, now_ns: int) -> None:
        """The answer to the last question came in time."""
        with self._guard:
            self._counted["frames"] += 1
            step = self._step
            if step is not None:
                self._coils = self._output_answered(step, answer, now_ns)
            elif isinstance(answer, Bits):
                closed = enumerate(answer.values)
                alarms = tuple(each is not (number in self._at.resting_closed) for number, each in closed)
                self._turn(Answer(alarms, asked_ns, now_ns), now_ns)
            else:
                self._counted[Miss.REFUSED] += 1
                self._turn(Missed(Miss.REFUSED, now_ns, str(answer)), now_ns)

    def missed(self, why: Miss, detail: str, now_ns: int) -> None:
        """No good answer came."""
        with self._guard:
            self._counted[why] += 1
            if self._step is not None:
                self._coils = self._coils.failed(f"{why} {detail}".strip(), now_ns)
            self._turn(Missed(why, now_ns, detail), now_ns)

    def stray(self, now_ns: int) -> None:
        """It said something that nobody waited for."""
        with self._guard:
            self._counted[Miss.LATE if self._module.unanswered else "strays"] += 1
            self._turn(Stray(now_ns), now_ns)

    def lost(self, reason: str, now_ns: int) -> None:
        """The port is gone."""
        with self._guard:
            self._turn(Lost(reason, now_ns), now_ns)

    def tell(self) -> None:
        """Tell what was found out. What raises is told again at the next call."""
        while True:
            with self._guard:
                report = self._teller.first()
            if report is None:
                return
            self._on_report(report)
            with self._guard:
                self._teller.taken()

    def _turn(self, fact: Answer | Missed | Stray | Lost, now_ns: int) -> None:
        self._module, results = polled.step(self._module, fact)
        self._teller.put(results, now_ns)
        if any(isinstance(result, Up) for result in results):
            self._coils = self._coils.anew(now_ns)

    def _output_answered(
        self, step: coils.Write | coils.Read, answer: Bits | Written | Refused, now_ns: int
    ) -> coils.Coils:
        match step, answer:
            case coils.Write(), Written():
                return self._coils.written(step, now_ns)
            case coils.Read(), Bits(values):
                return self._coils.read(step, values, now_ns)
            case _:
                return self._coils.failed(str(answer), now_ns)
