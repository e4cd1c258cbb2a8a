"""PURE. What lasts, and who is silent: conditions of other processes and the desk's own, in one place.

Invariants
1. Every condition that began is told over: by its sender, by what the desk sees itself, or by its time to live.
2. A condition stored before this start stays as it was until the desk knows better (`None` in `own`).
"""

from collections.abc import Iterable, Mapping
from typing import Final

from agent.facts import ClockQuality, Condition, ConditionKind, Stamp
from agent.safety import conditions, silence
from agent.safety.incidents import Incident

CLOCK_UNKNOWN_AFTER_S: Final = 60.0
"""A clock not synchronised for this long is a fault: time servers answer within seconds."""

START_GRACE_S: Final = 15.0
"""Processes that start with this one may be silent for this much longer: models take time to load."""

Detail = Mapping[str, str | int | float | bool]
Result = conditions.Raised | conditions.Over

_KINDS: Final = frozenset(str(kind) for kind in ConditionKind)


class Watch:
    """Conditions and expected voices of one facility. Used by one thread. Times are monotonic ns."""

    def __init__(self, processes: Iterable[str], bridges: Iterable[str], now_ns: int) -> None:
        """`processes` and `bridges` are to be heard; `now_ns` is the start."""
        self._known = conditions.NOTHING
        self._voices: silence.Voices = {
            **silence.expected({f"bridge/{name}": silence.BRIDGE_FAULT_AFTER_S for name in bridges}, now_ns),
            **silence.expected(
                {f"process/{name}": silence.PROCESS_SILENT_AFTER_S for name in processes},
                now_ns + round(START_GRACE_S * 1e9),
            ),
        }
        self._heard: set[str] = set()
        self._links_up: set[str] = set()
        self._reasons: dict[str, str] = {}
        self._clock_unknown_ns = now_ns

    def take_over(self, stored: Iterable[Incident], now: Stamp) -> None:
        """Know again the conditions whose incidents were open before this start, until they are told or lapse."""
        for incident in stored:
            if incident.kind not in _KINDS:
                continue
            key = (ConditionKind(incident.kind), incident.subject)
            if key not in self._known.active:
                since = Stamp(incident.triggered_ns, now.mono_ns, now.quality)
                condition = Condition(*key, True, since, Stamp(now.wall_ns, 0, now.quality))
                self._known, _ = conditions.step(self._known, condition, now.mono_ns)

    def active(self) -> list[Condition]:
        """Everything that lasts, oldest first."""
        return sorted((each.last for each in self._known.active.values()), key=lambda each: each.since.wall_ns)

    def pulse(self, process: str, now_ns: int) -> None:
        """A process is heard."""
        self._hear(f"process/{process}", now_ns)

    def link(self, bridge_id: str, up: bool, reason: str) -> None:
        """The link to a board came up or went silent."""
        if up:
            self._links_up.add(bridge_id)
        else:
            self._links_up.discard(bridge_id)
            self._reasons[f"bridge/{bridge_id}"] = reason

    def take(self, condition: Condition, now_ns: int) -> tuple[Result, ...]:
        """Another process tells a condition."""
        self._known, results = conditions.step(self._known, condition, now_ns)
        return results

    def own(
        self, kind: ConditionKind, subject: str, active: bool | None, detail: Detail, now: Stamp
    ) -> tuple[Result, ...]:
        """The desk itself sees whether a condition lasts; None: it cannot know yet."""
        held = self._known.active.get((kind, subject))
        if active is None:
            active = held is not None
        if not active and held is None:
            return ()
        since = held.last.since if held else now
        return self.take(Condition(kind, subject, active, since, now, dict(detail)), now.mono_ns)

    def turn(self, now: Stamp) -> list[Result]:
        """What time alone, silence and the clock's quality begin or end."""
        for bridge_id in self._links_up:
            self._hear(f"bridge/{bridge_id}", now.mono_ns)
        self._voices, _ = silence.step(self._voices, silence.Tick(), now.mono_ns)
        results: list[Result] = []
        for name, voice in self._voices.items():
            kind = ConditionKind.BRIDGE_SILENT if name.startswith("bridge/") else ConditionKind.PROCESS_SILENT
            active = True if voice.silent else False if name in self._heard else None
            detail = {"reason": self._reasons[name]} if name in self._reasons else {}
            results += self.own(kind, name, active, detail, now)
        if now.quality is ClockQuality.NTP:
            self._clock_unknown_ns = now.mono_ns
        unknown_s = (now.mono_ns - self._clock_unknown_ns) / 1e9
        unknown = True if unknown_s > CLOCK_UNKNOWN_AFTER_S else None if unknown_s > 0 else False
        results += self.own(ConditionKind.CLOCK_UNKNOWN, "process/alarm", unknown, {}, now)
        self._known, lapsed = conditions.step(self._known, conditions.Tick(), now.mono_ns)
        return [*results, *lapsed]

    def _hear(self, name: str, now_ns: int) -> None:
        self._heard.add(name)
        self._voices, _ = silence.step(self._voices, silence.Heard(name), now_ns)
