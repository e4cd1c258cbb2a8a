"""PURE. One GPIO input line: from edges that the kernel has debounced to changes, with none lost unnoticed.

The kernel (gpio character device, v2) starts its debounce anew with every raw edge and reports the level once the line
was still for the whole period. So
- an edge is stamped at the end of the wait: the contact came to rest one period earlier;
- a contact that never rests for one period is never reported: a loose wire that chatters without pause keeps the state
  it had. That is what a debounce is; a board with end-of-line resistors tells such a line from a sound one.

Edges wait in the kernel for their reader, the oldest are dropped when there are too many, and the number of each one
within its line shows how many. Edges of one line take turns, so their number also tells how many presses there were.

Invariants
1. The same line is never told in the same state twice, except a press that came and went among lost edges.
2. What was lost between two edges is told as the presses it was (`count`), before the edge that shows the loss.
3. A line that cannot be had is in FAULT, never normal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from agent.boards.telling import Change
from agent.facts import InputState

_SEQNOS: Final = 1 << 32
"""Numbers of edges are 32 bits wide and begin again at 0."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The kernel saw the line settle: active or not. `at_ns` is CLOCK_MONOTONIC, `seqno` counts the line's edges from 1
    since it was requested."""

    active: bool
    at_ns: int
    seqno: int


@dataclass(frozen=True, slots=True)
class Line:
    """One input: what was last told (None: nothing yet), the last edge's number, and whether a look disagreed."""

    input_no: int
    alarm_when: bool = True
    told: InputState | None = None
    seqno: int = 0
    doubted: bool = False

    def state_of(self, active: bool) -> InputState:
        """What an active, or inactive, line means. A bare line cannot tell a cut wire."""
        return InputState.ALARM if active is self.alarm_when else InputState.NORMAL


def opened(line: Line, active: bool, now_ns: int) -> tuple[Line, tuple[Change, ...]]:
    """The line was requested, and is so. A difference to what was told came while nobody watched."""
    return _now(replace(line, seqno=0, doubted=False), line.state_of(active), now_ns, late=True)


def unavailable(line: Line, now_ns: int) -> tuple[Line, tuple[Change, ...]]:
    """The line cannot be had: somebody else holds it."""
    return _now(replace(line, seqno=0, doubted=False), InputState.FAULT, now_ns, late=True)


def moved(line: Line, edges: Sequence[Edge], debounce_ns: int, now_ns: int) -> tuple[Line, tuple[Change, ...], int]:
    """Edges were read. The third is how many were lost before or between them."""
    changes: list[Change] = []
    all_lost = 0
    for edge in edges:
        lost = (edge.seqno - line.seqno - 1) % _SEQNOS
        all_lost += lost
        state, first_ns = line.state_of(edge.active), min(edge.at_ns - debounce_ns, now_ns)
        changes += _change(line, state, lost, first_ns)
        line = replace(line, told=state, seqno=edge.seqno, doubted=False)
    return line, tuple(changes), all_lost


def looked(line: Line, active: bool, now_ns: int) -> tuple[Line, tuple[Change, ...]]:
    """The line was read while no edge waited. Two looks in a row that disagree with what was told: an interrupt was
    lost. After one, its edge may still be on its way."""
    if line.told is line.state_of(active) or line.told is InputState.FAULT:
        return replace(line, doubted=False), ()
    if not line.doubted:
        return replace(line, doubted=True), ()
    return _now(replace(line, doubted=False), line.state_of(active), now_ns, late=False)


def _now(line: Line, state: InputState, now_ns: int, late: bool) -> tuple[Line, tuple[Change, ...]]:
    after = replace(line, told=state)
    if line.told is None or line.told is state:
        return after, ()
    return after, (Change(line.input_no, line.told, state, now_ns, late=late),)


def _change(line: Line, state: InputState, lost: int, first_ns: int) -> list[Change]:
    """The edge to `state`, and the presses among `lost` edges before it, oldest first."""
    before = line.told or InputState.NORMAL
    if lost == 0:
        return [] if state is before else [Change(line.input_no, before, state, first_ns)]
    # Edges take turns: of an even number, half begin an alarm; of an odd one, the kind that came first has one more.
    first_is_alarm = before is not InputState.ALARM
    presses = (lost + 1) // 2 if first_is_alarm else lost // 2
    if state is InputState.ALARM:
        return [Change(line.input_no, InputState.NORMAL, state, first_ns, count=presses + 1)]
    found = []
    if presses:
        found.append(Change(line.input_no, InputState.NORMAL, InputState.ALARM, first_ns, count=presses))
    if presses or before is not state:
        found.append(Change(line.input_no, InputState.ALARM if presses else before, state, first_ns))
    return found
