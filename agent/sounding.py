"""Sirens, strobes, lamps and relays at work. Used by the alarm desk's thread alone.

Invariants
1. Nothing else drives an output: what each shall be is decided in safety/outputs.py, from the panel and the time.
2. Nothing is switched off before it is known what earlier starts stored, or `UNKNOWN_FOR_S` went by: a restart silences
   no siren.
3. A board is told when its outputs are to change; it keeps to that through resets and reconnections by itself
   (boards/contract.py, 6).
4. Silencing and testing take effect after their commit, with their audit row in it; neither ends a latch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from agent.audit import Deed
from agent.boards.contract import Board, trouble_of
from agent.clock import Clock, stamp
from agent.delivery import rows
from agent.delivery.outgoing import Outgoing
from agent.facts import Text
from agent.safety import outputs
from agent.safety.arming import Phase
from agent.safety.incidents import Incident
from agent.safety.outputs import Call, Doubt, Output, Pin, Rules, Stand
from agent.safety.panel import Panel

UNKNOWN_FOR_S: Final = 10.0
"""A database that is not open by then is not waited for."""

TEST_S: Final = 10
"""The longest test of an output."""

CHIRP_S: Final = 0.2
"""A chirp is switched off at the desk's next turn after this: within 0.7 s."""

_DELAYS: Final = (Phase.EXIT_DELAY, Phase.ENTRY_DELAY)
_NO_SUCH: Final = ("no_such_output", Text("没有这个输出", "no such output"))
_NOT_STORED: Final = ("store_failing", Text("告警存储失败，无法执行", "alerts cannot be stored: not done"))


@dataclass(frozen=True, slots=True)
class OutputTest:
    """A person wants one output on for so many seconds; `answer` gets it as `status` shows it, or (code, text)."""

    output_id: str
    seconds: int
    who: str
    answer: Callable[[dict[str, Any] | tuple[str, Text]], None]


class Sounding:
    """Every output of one facility."""

    def __init__(
        self,
        all_outputs: tuple[Output, ...],
        rules: Rules,
        panel: Panel,
        boards: Mapping[str, Board],
        out: Outgoing,
        clock: Clock,
    ) -> None:
        """`boards` are those behind the outputs, by the ids of their bridges; looked up at each use."""
        self._outputs = all_outputs
        self._rules = rules
        self._panel = panel
        self._boards = boards
        self._out = out
        self._clock = clock
        self._bridges = tuple(dict.fromkeys(output.bridge_id for output in all_outputs))
        self._started_ns = clock.mono_ns()
        self._known = False
        self._sounds: outputs.Sounds = {}
        self._silenced: frozenset[str] = frozenset()
        self._told: dict[str, tuple[bool, bool]] = {}
        self._on: frozenset[str] = frozenset()
        self._tested: dict[str, int] = {}
        self._switched: frozenset[str] = frozenset()
        self._doubts = {output.id: Doubt("not heard yet", self._started_ns) for output in all_outputs}
        self._failed: frozenset[str] = frozenset()

    def opened(self) -> None:
        """What earlier starts stored is known now."""
        self._known = True

    def turn(self) -> None:
        """After each item and each tick: bring every output to where it belongs."""
        if not self._outputs:
            return
        now_ns = self._clock.mono_ns()
        calls = [self._call(incident) for incident in self._panel.open_incidents()]
        self._sounds = outputs.step(self._sounds, calls, self._silenced, self._rules, now_ns)
        self._silenced = frozenset()
        self._tested = {each: until_ns for each, until_ns in self._tested.items() if now_ns < until_ns}
        self._switched &= self._tested.keys()
        areas = self._panel.areas
        delayed = any(areas.state_of(area.id).phase in _DELAYS for area in areas.all)
        self._on = outputs.wanted(self._outputs, calls, self._sounds, delayed, self._failed)
        self._drive(self._on | self._switched, now_ns)

    def _call(self, incident: Incident) -> Call:
        kind, _, key = incident.subject.partition("/")
        zone = self._panel.zone_named(key) if kind == "zone" else None
        drill = self._panel.drills.running
        return outputs.call_of(incident, zone, self._rules, drill.kind if drill is not None else None)

    def _drive(self, on: frozenset[str], now_ns: int) -> None:
        known = self._known or now_ns - self._started_ns >= UNKNOWN_FOR_S * 1e9
        for bridge_id in self._bridges:
            board = self._boards.get(bridge_id)
            siren, strobe = (self._is_on(bridge_id, pin, on) for pin in (Pin.SIREN, Pin.STROBE))
            idle = not (siren or strobe or known or bridge_id in self._told)
            if board is None or idle or self._told.get(bridge_id) == (siren, strobe):
                continue
            board.output(siren, strobe)
            self._told[bridge_id] = (siren, strobe)

    def _is_on(self, bridge_id: str, pin: Pin, on: frozenset[str]) -> bool:
        return any(each.id in on and (each.bridge_id, each.pin) == (bridge_id, pin) for each in self._outputs)

    def look(self) -> list[tuple[str, bool | None, dict[str, str | int | float | bool]]]:
        """Each output as a subject of conditions, whether it has failed (None: not known yet), and why."""
        now_ns, found = self._clock.mono_ns(), list[tuple[str, bool | None, dict[str, str | int | float | bool]]]()
        for output in self._outputs:
            doubt = outputs.doubted(self._doubts[output.id], self._trouble(output), now_ns)
            self._doubts[output.id] = doubt
            has_failed = outputs.failed(doubt, now_ns)
            self._failed = self._failed | {output.id} if has_failed else self._failed - {output.id}
            found.append((f"output/{output.id}", has_failed, {"reason": doubt.why} if has_failed else {}))
        return found

    def _trouble(self, output: Output) -> str:
        """Why this output may not be as it shall be, now."""
        board = self._boards.get(output.bridge_id)
        return "there is no such board" if board is None else trouble_of(board.status())

    def sounds(self, incident_id: str) -> bool:
        """Whether sirens sound for this incident now."""
        sound = self._sounds.get(incident_id)
        return sound is not None and sound.stand is Stand.SOUNDING

    def silence(self, incident_id: str) -> None:
        """A person has silenced this incident, and that is stored."""
        self._silenced |= {incident_id}

    def test(self, ask: OutputTest) -> None:
        """A person wants to hear or see one output."""
        found = [output for output in self._outputs if output.id == ask.output_id]
        if not found:
            known = ", ".join(output.id for output in self._outputs)
            code, text = _NO_SUCH
            ask.answer((code, Text(f"{text.zh}；已有：{known or '无'}", f"{text.en}; there are: {known or 'none'}")))
            return
        output, now = found[0], stamp(self._clock)
        if why := self._trouble(output):
            ask.answer(("output_failed", Text(f"输出不可用：{why}", f"the output does not work: {why}")))
            return
        seconds = min(max(ask.seconds, 1), TEST_S)
        detail: dict[str, Any] = {"seconds": seconds}
        deed = Deed(now.wall_ns, ask.who, "output.test", f"output/{output.id}", detail)
        write = rows.Write(deed=deed, at_ns=now.wall_ns)
        after = partial(self._begin_test, output, seconds, ask.answer)
        self._out.bring_out([], write, at_once=False, after=after, refused=lambda: ask.answer(_NOT_STORED))

    def _begin_test(
        self, output: Output, seconds: int, answer: Callable[[dict[str, Any] | tuple[str, Text]], None]
    ) -> None:
        board = self._boards[output.bridge_id]
        self._tested[output.id] = self._clock.mono_ns() + seconds * 1_000_000_000
        siren = output.pin is Pin.SIREN
        if not board.try_output(siren, not siren, seconds):
            self._switched |= {output.id}
        answer(self._values(output))

    def chirp(self) -> None:
        """Every siren that is no spare is heard for a moment: a walk test has seen a zone."""
        until_ns = self._clock.mono_ns() + round(CHIRP_S * 1e9)
        for output in self._outputs:
            if output.pin is Pin.SIREN and not output.standby:
                self._tested[output.id] = max(until_ns, self._tested.get(output.id, 0))
                self._switched |= {output.id}

    def values(self) -> list[dict[str, Any]]:
        """Every output, as the verb `status` shows it."""
        return [self._values(output) for output in self._outputs]

    def _values(self, output: Output) -> dict[str, Any]:
        left_ns = self._tested.get(output.id, 0) - self._clock.mono_ns()
        return {
            "id": output.id,
            "name": output.name,
            "kind": str(output.kind),
            "bridge": output.bridge_id,
            "output": str(output.pin),
            "standby": output.standby,
            "on": output.id in self._on,
            "tested_s": round(max(0, left_ns) / 1e9, 1),
            "trouble": self._trouble(output) or None,
        }
