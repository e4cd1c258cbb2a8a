"""PURE. Sirens, strobes, lamps and relays: what each of them shall be, by what is open and by the time.

What sounds is silenced by a person, or pauses after its longest time; the latch and the light stay until the reset.
`LIFE` and `SOUNDS_AGAIN` are the whole rule (GB 50394 5.2: no alarm is missed, and what is not reset sounds again).

Invariants
1. An incident that nobody acknowledged is never silent for longer than `Rules.resound_s`, restored or not; nor is one
   whose input is still in alarm, whoever acknowledged it.
2. A new trigger sounds at once, whatever was silenced before.
3. What asks for silence (duress, a silent button) drives no output at all.
4. An output that is on by rule stays on for as long as one incident asks for it: silencing one silences no other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from agent.safety.drills import DrillKind
from agent.safety.incidents import DURESS, Incident
from agent.safety.zones import Meaning, Zone

SIREN_S: Final = 180
"""A siren sounds for three minutes: long enough to be found, short enough for the neighbours and its battery."""

RESOUND_S: Final = 30
"""Silence before what is not reset sounds again (design of alarms)."""

FAILED_AFTER_S: Final = 2.0
"""An output in trouble for this long is a fault; a link that is silent was waited for 3 s before (design of alarms)."""

START_GRACE_S: Final = 10.0
"""A board that resets when its port is opened takes seconds until it is heard."""


class Level(StrEnum):
    """What an incident asks for: everything, light alone, or nothing."""

    SIREN = "siren"
    STROBE = "strobe"
    NONE = "none"


DEFAULT_LEVELS: Final[Mapping[str, Level]] = {
    "panic": Level.SIREN,
    "tamper": Level.SIREN,
    "intrusion": Level.SIREN,
    "door_forced": Level.SIREN,
    "after_hours_presence": Level.SIREN,
    "gas": Level.SIREN,
    "smoke": Level.SIREN,
    "water": Level.STROBE,
    "other": Level.SIREN,
}
"""By kind of incident; of the environment by what the zone watches. Water is no reason to leave the house at a run."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`siren_s` is the longest sounding, `resound_s` the longest silence of what is not reset, `levels` by kind."""

    siren_s: int = SIREN_S
    resound_s: int = RESOUND_S
    levels: Mapping[str, Level] = field(default_factory=lambda: DEFAULT_LEVELS)


def level_of(incident: Incident, zone: Zone | None, rules: Rules, drill: DrillKind | None = None) -> Level:
    """What an open incident asks for; `zone` is the one that it is about. Faults and what clears itself ask for
    nothing: those are told, not sounded.

    `drill` is the one under way. Its incidents sound as real ones do, so that people know the sound; those of a walk
    test and of a button's test sound nothing: whoever walks from door to door needs no siren.
    """
    if not incident.latched or incident.kind == DURESS:
        return Level.NONE
    if incident.drill and drill is not DrillKind.DRILL:
        return Level.NONE
    if zone is not None and zone.silent and incident.kind == Meaning.PANIC:
        return Level.NONE
    kind = incident.kind
    if kind == Meaning.ENVIRONMENT:
        kind = (zone.kind if zone is not None else "") or "other"
    return rules.levels.get(kind, DEFAULT_LEVELS.get(kind, Level.SIREN))


@dataclass(frozen=True, slots=True)
class Call:
    """An open incident as outputs see it. `count` is how often it was triggered."""

    id: str
    level: Level
    acknowledged: bool
    restored: bool
    count: int


def call_of(incident: Incident, zone: Zone | None, rules: Rules, drill: DrillKind | None = None) -> Call:
    """The incident as outputs see it. `drill` is the one under way."""
    acknowledged, restored = bool(incident.acknowledged_ns), bool(incident.restored_ns)
    return Call(incident.id, level_of(incident, zone, rules, drill), acknowledged, restored, incident.count)


class Stand(StrEnum):
    """Where the sound of one incident stands."""

    SOUNDING = "sounding"
    PAUSED = "paused"
    SILENCED = "silenced"


class Happening(StrEnum):
    """What may happen to it."""

    TRIGGER = "trigger"
    SILENCE = "silence"
    SETTLED = "settled"
    TOO_LONG = "too_long"
    AGAIN = "again"


LIFE: Final[Mapping[tuple[Stand, Happening], Stand]] = {
    (Stand.SOUNDING, Happening.TRIGGER): Stand.SOUNDING,  # its longest time begins anew
    (Stand.SOUNDING, Happening.SILENCE): Stand.SILENCED,
    (Stand.SOUNDING, Happening.SETTLED): Stand.SILENCED,  # acknowledged, and now restored, too
    (Stand.SOUNDING, Happening.TOO_LONG): Stand.PAUSED,
    (Stand.PAUSED, Happening.TRIGGER): Stand.SOUNDING,
    (Stand.PAUSED, Happening.SILENCE): Stand.SILENCED,
    (Stand.PAUSED, Happening.AGAIN): Stand.SOUNDING,
    (Stand.SILENCED, Happening.TRIGGER): Stand.SOUNDING,
    (Stand.SILENCED, Happening.SILENCE): Stand.SILENCED,  # its silence begins anew
    (Stand.SILENCED, Happening.AGAIN): Stand.SOUNDING,
}
"""What stands in no row changes nothing."""

SOUNDS_AGAIN: Final[Mapping[tuple[bool, bool], bool]] = {
    (False, False): True,
    (False, True): True,  # pressed and released, and nobody has come
    (True, False): True,  # somebody knows of it, and it goes on
    (True, True): False,  # somebody knows of it, and it is over but for the reset
}
"""By (acknowledged, restored): whether what is silent, and not reset, sounds again after `Rules.resound_s`."""


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound of one incident: where it stands since when (monotonic ns), and which call it has answered."""

    stand: Stand
    since_ns: int
    count: int
    acknowledged: bool


Sounds = Mapping[str, Sound]
"""By the id of the incident. One that is new sounds, unless it was acknowledged before this start."""


def step(
    sounds: Sounds, calls: Iterable[Call], silenced: frozenset[str], rules: Rules, now_ns: int
) -> dict[str, Sound]:
    """The sounds of the incidents that are open. `silenced` are those that a person has silenced since the last step;
    `now_ns` is monotonic."""
    after: dict[str, Sound] = {}
    for call in calls:
        if call.level is Level.NONE:
            continue  # what becomes louder later, as a drill that turns out to be real, is new then
        known = sounds.get(call.id)
        if known is None:
            first = Stand.SILENCED if call.acknowledged else Stand.SOUNDING
            after[call.id] = Sound(first, now_ns, call.count, call.acknowledged)
            continue
        moved = known
        for happening in _happened(known, call, call.id in silenced):
            moved = _moved(moved, happening, now_ns)
        for happening in _due(moved, call, rules, now_ns):
            moved = _moved(moved, happening, now_ns)
        after[call.id] = replace(moved, count=call.count, acknowledged=call.acknowledged)
    return after


def _happened(sound: Sound, call: Call, silenced: bool) -> list[Happening]:
    """What others did, in the order in which it can have come: a trigger takes an acknowledgement back."""
    triggered = call.count != sound.count
    happened = [Happening.TRIGGER] if triggered else []
    if call.acknowledged and (triggered or silenced or not sound.acknowledged):
        happened.append(Happening.SILENCE)
    if call.acknowledged and call.restored and sound.stand is Stand.SOUNDING:
        happened.append(Happening.SETTLED)
    return happened


def _due(sound: Sound, call: Call, rules: Rules, now_ns: int) -> list[Happening]:
    """What time brings."""
    lasted_s = (now_ns - sound.since_ns) / 1e9
    if sound.stand is Stand.SOUNDING:
        return [Happening.TOO_LONG] if lasted_s >= rules.siren_s else []
    again = SOUNDS_AGAIN[call.acknowledged, call.restored] and lasted_s >= rules.resound_s
    return [Happening.AGAIN] if again else []


def _moved(sound: Sound, happening: Happening, now_ns: int) -> Sound:
    stand = LIFE.get((sound.stand, happening))
    return sound if stand is None else replace(sound, stand=stand, since_ns=now_ns)


class OutputKind(StrEnum):
    """What hangs on an output."""

    SIREN = "siren"
    STROBE = "strobe"
    LED = "led"
    RELAY = "relay"


class Pin(StrEnum):
    """Which of the two outputs of a board."""

    SIREN = "siren"
    STROBE = "strobe"


@dataclass(frozen=True, slots=True)
class Output:
    """One output of one board. A `standby` one is driven only while another of its kind does not work."""

    id: str
    name: str
    kind: OutputKind
    bridge_id: str
    pin: Pin
    standby: bool = False


def wanted(
    outputs: Iterable[Output], calls: Iterable[Call], sounds: Sounds, delayed: bool, failed: frozenset[str]
) -> frozenset[str]:
    """The outputs that are to be on. `delayed`: an area is being left or entered; `failed` are those in trouble.

    Sirens are on while something sounds; strobes and relays until the reset of all that asked for light; lamps then,
    and during delays, too.
    """
    asking = [call for call in calls if call.level is not Level.NONE]
    loud = any(call.level is Level.SIREN and sounds[call.id].stand is Stand.SOUNDING for call in asking)
    by_kind = {
        OutputKind.SIREN: loud,
        OutputKind.STROBE: bool(asking),
        OutputKind.LED: bool(asking) or delayed,
        OutputKind.RELAY: bool(asking),
    }
    every = tuple(outputs)
    lost = {output.kind for output in every if output.id in failed}
    return frozenset(
        output.id for output in every if by_kind[output.kind] and (not output.standby or output.kind in lost)
    )


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is known of an output: why it is in trouble (nothing: it works) and since when (monotonic ns); `proven` says
    that it worked since this start."""

    why: str
    since_ns: int
    proven: bool = False


def doubted(doubt: Doubt, why: str, now_ns: int) -> Doubt:
    """After a look at it."""
    if not why:
        return Doubt("", now_ns, proven=True)
    return replace(doubt, why=why, since_ns=doubt.since_ns if doubt.why else now_ns)


def failed(doubt: Doubt, now_ns: int) -> bool | None:
    """Whether the output is a fault; None while that is not known yet."""
    if not doubt.why:
        return False
    patience_s = FAILED_AFTER_S if doubt.proven else START_GRACE_S
    if now_ns - doubt.since_ns >= patience_s * 1e9:
        return True
    return False if doubt.proven else None
