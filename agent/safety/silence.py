"""PURE. Who went quiet: each expected voice is to be heard again within its own time.

Invariants
1. A voice is told silent once, and back once, in turn.
2. Only expected voices count: what is not expected is never missed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

PROCESS_SILENT_AFTER_S = 15.0
"""Three pulses of 5 s missed (facts.PULSE_EVERY_S)."""

BRIDGE_FAULT_AFTER_S = 2.0
"""A link that was reported down (3 s without a heartbeat) is a fault 2 s later (design of alarms)."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One expected voice: how long it may pause, when it was last heard (monotonic ns), whether it is missed."""

    pause_s: float
    heard_ns: int
    silent: bool = False


Voices = Mapping[str, Voice]


@dataclass(frozen=True, slots=True)
class Heard:
    """`name` was heard."""

    name: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Silent:
    """`name` is missed; it was last heard at `heard_ns` (monotonic)."""

    name: str
    heard_ns: int


@dataclass(frozen=True, slots=True)
class Back:
    """`name` is heard again after it was missed."""

    name: str


def expected(names: Mapping[str, float], now_ns: int) -> Voices:
    """Voices that may each pause for the given seconds, counted from `now_ns` (monotonic)."""
    return {name: Voice(pause_s, now_ns) for name, pause_s in names.items()}


def step(voices: Voices, fact: Heard | Tick, now_ns: int) -> tuple[Voices, tuple[Silent | Back, ...]]:
    """The voices after the fact, and who went silent or came back. `now_ns` is monotonic."""
    if isinstance(fact, Heard):
        voice = voices.get(fact.name)
        if voice is None:
            return voices, ()
        back = (Back(fact.name),) if voice.silent else ()
        return {**voices, fact.name: replace(voice, heard_ns=now_ns, silent=False)}, back
    lost = [
        name for name, voice in voices.items() if not voice.silent and now_ns - voice.heard_ns > voice.pause_s * 1e9
    ]
    if not lost:
        return voices, ()
    after = {name: replace(voice, silent=True) if name in lost else voice for name, voice in voices.items()}
    return after, tuple(Silent(name, voices[name].heard_ns) for name in lost)
