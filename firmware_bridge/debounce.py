"""PURE. From ADC counts to a settled state of an input, as the firmware does it (PROTOCOL.md, 10).

Invariants
1. A settled state changes only after `debounce_ms` of unbroken agreement between samples.
2. The time of a change is the first sample that showed it, not the end of the wait.
3. Entering and leaving a band differ by `HYSTERESIS_COUNTS`, so that a value at an edge does not chatter.
"""

from dataclasses import dataclass, replace
from typing import Final

from firmware_bridge.messages import InputMode, LineState

SAMPLE_EVERY_MS: Final = 10
"""Every input is sampled this often (bridge design)."""

PANIC_DEBOUNCE_MS: Final = 30
CONTACT_DEBOUNCE_MS: Final = 50

HYSTERESIS_COUNTS: Final = 10
"""A state is kept until the value is this far outside its band: one per cent of full scale, above ADC noise."""

_DRY_THRESHOLD: Final = 512
"""A dry contact is read against a pull-up: half of full scale tells closed from open."""


@dataclass(frozen=True, slots=True)
class Bands:
    """ADC counts of 1023 for a 4k7/4k7 end-of-line pair; between the bands the line has drifted: FAULT."""

    short_below: int = 150
    normal_from: int = 490
    normal_to: int = 570
    alarm_from: int = 631
    alarm_to: int = 800
    open_above: int = 930


@dataclass(frozen=True, slots=True)
class Settled:
    """One input as it is known now. `pending` has been seen since `since_ms` and is not settled yet."""

    state: LineState = LineState.UNKNOWN
    pending: LineState = LineState.UNKNOWN
    since_ms: int = 0
    adc: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A settled change; `at_ms` is the first sample that showed it."""

    previous: LineState
    state: LineState
    at_ms: int
    adc: int


def classify(adc: int, mode: InputMode, bands: Bands, before: LineState) -> LineState:
    """What `adc` means on this input; `before` is what the last sample meant and is kept near its edges."""
    if mode is not InputMode.END_OF_LINE:
        margin = HYSTERESIS_COUNTS if before is _dry(mode, closed=False) else -HYSTERESIS_COUNTS
        return _dry(mode, closed=adc < _DRY_THRESHOLD - margin)
    edges = {
        LineState.SHORT: (-1, bands.short_below - 1),
        LineState.NORMAL: (bands.normal_from, bands.normal_to),
        LineState.ALARM: (bands.alarm_from, bands.alarm_to),
        LineState.OPEN: (bands.open_above + 1, 1024),
    }
    if before in edges:
        low, high = edges[before]
        if low - HYSTERESIS_COUNTS <= adc <= high + HYSTERESIS_COUNTS:
            return before
    inside = HYSTERESIS_COUNTS if before is LineState.FAULT else 0
    for state, (low, high) in edges.items():
        if low + (inside if low > 0 else 0) <= adc <= high - (inside if high < 1023 else 0):
            return state
    return LineState.FAULT


def step(known: Settled, seen: LineState, adc: int, now_ms: int, debounce_ms: int) -> tuple[Settled, Change | None]:
    """One sample. `now_ms` must not go back."""
    if seen is known.state:
        return replace(known, pending=seen, since_ms=now_ms, adc=adc), None
    if seen is not known.pending:
        return replace(known, pending=seen, since_ms=now_ms, adc=adc), None
    if now_ms - known.since_ms < debounce_ms:
        return replace(known, adc=adc), None
    change = Change(known.state, seen, known.since_ms, adc)
    return Settled(seen, seen, now_ms, adc), change


def _dry(mode: InputMode, closed: bool) -> LineState:
    return LineState.ALARM if closed == (mode is InputMode.CLOSES_ON_ALARM) else LineState.NORMAL
