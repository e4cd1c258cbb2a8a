"""PURE. Mains and battery: when they are lost, and when the machine is to be shut down before the battery is empty.

Invariants
1. Mains and battery are told after `LOST_AFTER_S`, and as restored after `BACK_AFTER_S`: a relay that chatters, or a
   battery that recovers as its load falls, is told once.
2. A zone that nobody sees stays as it was last seen.
3. The machine is shut down only while the battery is known to be low and, where a zone watches the mains, the mains to
   be lost, for the whole of the time; power that comes back before it was asked for ends it.
4. Platforms are told, and what was told is stored, before the machine is asked to shut down; neither is waited for
   longer than `TOLD_WITHIN_S`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from agent.facts import ConditionKind, InputState
from agent.safety.zones import Zone, ZoneState

LOST_AFTER_S: Final = 3.0
BACK_AFTER_S: Final = 10.0

TOLD_WITHIN_S: Final = 10.0
"""A battery that is low waits for no platform longer than this."""

ASK_AGAIN_S: Final = 60.0
"""A machine that was asked to shut down and still runs is asked again this often."""

KINDS: Final[Mapping[str, ConditionKind]] = {
    "mains": ConditionKind.MAINS_LOST,
    "battery": ConditionKind.BATTERY_LOW,
}


@dataclass(frozen=True, slots=True)
class Supply:
    """What one zone tells of the power: `lost` as told, and since when (monotonic ns) it reads otherwise."""

    lost: bool | None = None
    other_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Lasts:
    """Whether a condition of the power lasts; None: not known since the start."""

    kind: ConditionKind
    zone: str
    active: bool | None


class Ask(StrEnum):
    """What is to be done about a battery that runs empty."""

    TELL = "tell"
    SHUT_DOWN = "shut_down"


@dataclass(frozen=True, slots=True)
class Power:
    """All that is known of the power. `empty_since_ns` is since when the machine runs from a battery that is low,
    `told_ns` when that it shuts down was told and `asked_ns` when it was asked to (monotonic)."""

    supplies: Mapping[str, Supply] = field(default_factory=dict)
    empty_since_ns: int | None = None
    told_ns: int | None = None
    asked_ns: int | None = None

    @property
    def shutting_down(self) -> bool:
        """It was told that the machine shuts down."""
        return self.told_ns is not None


def step(
    power: Power,
    zones: Iterable[Zone],
    states: Mapping[str, ZoneState],
    shutdown_after_s: float | None,
    all_told: bool,
    now_ns: int,
) -> tuple[Power, tuple[Lasts, ...], Ask | None]:
    """The power now, what lasts of it, and what is to be done. `all_told`: what was told is stored and delivered;
    `shutdown_after_s` None: the machine is never shut down."""
    watched = [zone for zone in zones if zone.kind in KINDS]
    supplies = {zone.id: _seen(power.supplies.get(zone.id, Supply()), states[zone.id], now_ns) for zone in watched}
    lasts = tuple(Lasts(KINDS[zone.kind], zone.id, supplies[zone.id].lost) for zone in watched)
    after = replace(power, supplies=supplies)
    if shutdown_after_s is None:
        return after, lasts, None
    low = [supplies[zone.id].lost for zone in watched if zone.kind == "battery"]
    mains = [supplies[zone.id].lost for zone in watched if zone.kind == "mains"]
    seen = all(states[zone.id].known for zone in watched)
    empty = any(low) and (not mains or any(mains)) and seen
    after, ask = _countdown(after, empty, shutdown_after_s, all_told, now_ns)
    return after, lasts, ask


def _seen(supply: Supply, state: ZoneState, now_ns: int) -> Supply:
    if not state.known or state.input not in (InputState.ALARM, InputState.NORMAL):
        return replace(supply, other_ns=None)
    lost = state.input is InputState.ALARM
    if lost is supply.lost:
        return replace(supply, other_ns=None)
    if supply.lost is None and not lost:
        return Supply(lost=False)
    since_ns = now_ns if supply.other_ns is None else supply.other_ns
    if now_ns - since_ns >= (LOST_AFTER_S if lost else BACK_AFTER_S) * 1e9:
        return Supply(lost=lost)
    return replace(supply, other_ns=since_ns)


def _countdown(power: Power, empty: bool, after_s: float, all_told: bool, now_ns: int) -> tuple[Power, Ask | None]:
    if power.asked_ns is not None:
        if now_ns - power.asked_ns >= ASK_AGAIN_S * 1e9:
            return replace(power, asked_ns=now_ns), Ask.SHUT_DOWN
        return power, None
    if not empty:
        return replace(power, empty_since_ns=None, told_ns=None), None
    since_ns = now_ns if power.empty_since_ns is None else power.empty_since_ns
    power = replace(power, empty_since_ns=since_ns)
    if power.told_ns is None:
        if now_ns - since_ns >= after_s * 1e9:
            return replace(power, told_ns=now_ns), Ask.TELL
        return power, None
    if all_told or now_ns - power.told_ns >= TOLD_WITHIN_S * 1e9:
        return replace(power, asked_ns=now_ns), Ask.SHUT_DOWN
    return power, None
