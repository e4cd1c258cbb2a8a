"""PURE. Holds: times of cameras that must not be deleted, whatever age, quota or disk say.

Invariants
1. A hold protects every segment whose time overlaps its own, of its camera or, with `camera` None, of all. One
   without an end protects everything from its beginning on.
2. A hold ends by its term or by a person's release, which says why; nothing else ends it. One of an incident that the
   alarm process knows no more is given the term that its end would have given it, and goes on if it is told of again.
3. The hold of an incident and a camera has one id for ever: told again, after whatever crash, it is the same one.
4. Footage that was held is held after it was brought to another time (`carried`).
"""

import uuid
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from agent.footage.upkeep.due import DAY_NS, PRODUCT_BEGAN_NS

NS: Final = 1_000_000_000

BEFORE_NS: Final = 30 * NS
"""Held before the first trigger of an incident: DB15/T 3968-2025 has the 30 s before an alarm sent along."""

AFTER_NS: Final = 60 * NS
"""Held after its end."""

ALARM_KINDS: Final = frozenset({"panic", "tamper", "environment", "intrusion", "door_forced", "after_hours_presence"})
"""Incidents that are alarms; a fault of a line or a device holds no footage."""

ALARM: Final = "alarm"
"""Who made the hold of an incident."""

NOT_TOLD: Final = "alarm, no longer told"
"""Who made the hold of an incident that the alarm process knows no more: its database was lost, or is an old one."""

ENDLESS_NS: Final = (1 << 63) - 1

_NAMESPACE: Final = uuid.UUID("8a4b1d0f-7a1e-5a57-9a4e-0f6f6d4b7d21")
"""Fixed for ever: the id of an incident's hold is a UUIDv5 in it."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One row of the table `hold`. `camera` is a storage name, None for all; times are UTC nanoseconds; `to_ns` None
    goes on, `until_ns` None until released."""

    id: str
    camera: str | None
    from_ns: int
    to_ns: int | None
    who: str
    why: str
    incident: str | None
    made_ns: int
    until_ns: int | None
    released_ns: int | None = None
    released_by: str | None = None

    def active(self, now_ns: int) -> bool:
        """Whether it protects anything. `now_ns` is a time that can be trusted."""
        return self.released_ns is None and (self.until_ns is None or self.until_ns > now_ns)

    def covers(self, camera: str, from_ns: int, to_ns: int) -> bool:
        """Whether footage of a camera from `from_ns` to `to_ns` overlaps it; what has no length is an instant."""
        mine = self.camera is None or self.camera == camera
        return mine and (self.to_ns is None or from_ns < self.to_ns) and max(to_ns, from_ns + 1) > self.from_ns

    def values(self) -> dict[str, Any]:
        """As plain values: the detail of its row in the journal."""
        return asdict(self)


def hold_of(values: Mapping[str, Any]) -> Hold:
    """The hold that `values` told of. Raises ValueError when they tell of none."""
    known = {each.name for each in fields(Hold)}
    try:
        hold = Hold(**{key: value for key, value in values.items() if key in known})
    except TypeError as error:
        raise ValueError(f"no hold: {error}") from error
    whole = [hold.from_ns, hold.made_ns]
    open_ = [hold.to_ns, hold.until_ns, hold.released_ns]
    texts = [hold.id, hold.who, hold.why]
    if (
        not all(type(each) is int for each in whole)
        or not all(each is None or type(each) is int for each in open_)
        or not all(isinstance(each, str) for each in texts)
        or not isinstance(hold.camera, str | None)
        or not isinstance(hold.incident, str | None)
    ):
        raise ValueError("no hold: a value of another kind")
    return hold


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Spans without overlap, in order."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def overlapped(self, from_ns: int, to_ns: int) -> tuple[int, int] | None:
        place = bisect_right(self.starts, max(to_ns, from_ns + 1) - 1) - 1
        if place < 0 or self.ends[place] <= from_ns:
            return None
        return self.starts[place], self.ends[place]


class Protection:
    """What a set of holds protects, quick to ask. Never changed once made."""

    def __init__(self, holds: Iterable[Hold], now_ns: int) -> None:
        """`now_ns` is a time that can be trusted: holds whose term is over then protect no more."""
        active = [each for each in holds if each.active(now_ns)]
        of_all = [each for each in active if each.camera is None]
        self._all = _merged(of_all)
        self._cameras = {
            camera: _merged([*of_all, *(each for each in active if each.camera == camera)])
            for camera in {each.camera for each in active if each.camera is not None}
        }

    def of(self, camera: str, from_ns: int, to_ns: int) -> tuple[int, int] | None:
        """The protected span that footage of this time overlaps, None when it is free."""
        return self._cameras.get(camera, self._all).overlapped(from_ns, to_ns)

    def spans(self, camera: str) -> list[tuple[int, int]]:
        """Every protected span of a camera, in order; one that goes on ends at `ENDLESS_NS`."""
        ranges = self._cameras.get(camera, self._all)
        return list(zip(ranges.starts, ranges.ends, strict=True))


def _merged(holds: Sequence[Hold]) -> _Ranges:
    spans: list[list[int]] = []
    for from_ns, to_ns in sorted((h.from_ns, ENDLESS_NS if h.to_ns is None else h.to_ns) for h in holds):
        if spans and from_ns <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], to_ns)
        elif to_ns > from_ns:
            spans.append([from_ns, to_ns])
    return _Ranges(tuple(span[0] for span in spans), tuple(span[1] for span in spans))


def hold_id(incident: str, camera: str | None) -> str:
    """The id of the hold of an incident on a camera."""
    return str(uuid.uuid5(_NAMESPACE, f"{incident}/{camera or '*'}"))


def incident_holds(incident: Mapping[str, Any], cameras: Sequence[str] | None, now_ns: int, term_ns: int) -> list[Hold]:
    """The holds that an incident asks for, one for each camera (storage names; None: one on all of them).

    `incident` is as the verb `incidents` tells it; one that is no alarm, or that cannot be read, asks for none.
    While it is open its holds go on and have no term; then they end `AFTER_NS` later and are kept for `term_ns`. One
    that ended by a clock that was never set has no term yet: by such a clock it would be over at once (`given_term`).

    Of one that began by a clock that was ahead, and was set back since, both times are held: those after the clock was
    set, and, as a hold of its own, the day from the wrong beginning on.
    """
    name, kind, first_ns = incident.get("id"), incident.get("kind"), incident.get("triggered_ns")
    if not isinstance(name, str) or kind not in ALARM_KINDS or type(first_ns) is not int or first_ns <= 0:
        return []
    end_ns = _end_of(incident)
    seen_ns = now_ns if end_ns is None else end_ns
    to_ns = None if end_ns is None else end_ns + AFTER_NS
    until_ns = None if to_ns is None or to_ns < PRODUCT_BEGAN_NS else to_ns + term_ns
    spans = [(name, min(first_ns, seen_ns) - BEFORE_NS, to_ns)]
    if seen_ns < first_ns:
        spans.append((f"{name}/ahead", first_ns - BEFORE_NS, first_ns + DAY_NS))
    why = f"{kind} {incident.get('subject', '')} {incident.get('name', '')}".strip()
    return [
        Hold(hold_id(key, each), each, since_ns, until, ALARM, why, name, now_ns, until_ns)
        for each in (cameras if cameras is not None else [None])
        for key, since_ns, until in spans
    ]


def wants_term(hold: Hold) -> bool:
    """Whether it is of an incident and has no term: it is given one as soon as its incident is not open."""
    return hold.incident is not None and hold.released_ns is None and hold.until_ns is None


def given_term(hold: Hold, now_ns: int, term_ns: int) -> Hold:
    """A hold that `wants_term`, of an incident that is over or is told of no more, with its term, counted from now.
    `now_ns` is a time that can be trusted."""
    if hold.to_ns is not None:
        return replace(hold, until_ns=now_ns + term_ns)
    return replace(hold, to_ns=now_ns + AFTER_NS, until_ns=now_ns + AFTER_NS + term_ns, who=NOT_TOLD)


def carried(holds: Iterable[Hold], camera: str, from_ns: int, to_ns: int, by_ns: int) -> list[Hold]:
    """The holds that are to be added when footage of a camera from `from_ns` to `to_ns` is moved by `by_ns`: what was
    held of it is held where it is then. A person's release ends them, and their term, if there is one: what was made by
    the clock that was wrong has a term by that clock, which moves as well."""
    found: list[Hold] = []
    for hold in holds:
        if hold.released_ns is not None or not hold.covers(camera, from_ns, to_ns):
            continue
        end_ns = to_ns if hold.to_ns is None else min(hold.to_ns, to_ns)
        key = str(uuid.uuid5(_NAMESPACE, f"{hold.id}/{camera}/{from_ns}/{by_ns}"))
        span = max(hold.from_ns, from_ns) + by_ns, max(end_ns, from_ns + 1) + by_ns
        is_alike = abs(hold.made_ns - to_ns) < abs(hold.made_ns - to_ns - by_ns)
        moved_ns = max(0, by_ns) if is_alike else 0  # never earlier
        until_ns = None if hold.until_ns is None else hold.until_ns + moved_ns
        made_ns = hold.made_ns + moved_ns
        found.append(Hold(key, camera, *span, hold.who, hold.why, hold.incident, made_ns, until_ns))
    return found


def _end_of(incident: Mapping[str, Any]) -> int | None:
    """When an incident ended, None while it is open."""
    if incident.get("state") not in ("reset", "closed"):
        return None
    ends = [incident.get(key) for key in ("reset_ns", "restored_ns", "last_ns", "triggered_ns")]
    return next((each for each in ends if type(each) is int and each > 0), None)


def cameras_of(
    subject: str, room: str | None, zones: Mapping[str, Sequence[str]], rooms: Mapping[str, Sequence[str]]
) -> Sequence[str] | None:
    """The cameras that see an incident: those of its zone, else those of its room, else None, which is all.

    `subject` is `zone/<id>`; `zones` and `rooms` give the storage names of the cameras of each.
    """
    return zones.get(subject.removeprefix("zone/")) or rooms.get(room or "") or None


def wanted_change(known: Hold | None, told: Hold) -> Hold | None:
    """What is to be written when an incident asks for `told` and `known` is the row of that id: None for nothing.

    A released hold stays released; one that was made keeps its beginning, unless an earlier one is told.
    """
    if known is None:
        return told
    if known.released_ns is not None:
        return None
    if known.who == NOT_TOLD and told.to_ns is None:  # it was open all the time
        return replace(told, from_ns=min(known.from_ns, told.from_ns), made_ns=known.made_ns)
    from_ns = min(known.from_ns, told.from_ns)
    changed = Hold(
        known.id, known.camera, from_ns, told.to_ns, known.who, known.why, known.incident, known.made_ns, told.until_ns
    )
    if known.to_ns is not None:  # an incident that ended stays ended
        changed = Hold(
            known.id, known.camera, from_ns, max(known.to_ns, told.to_ns or 0), known.who, known.why, known.incident,
            known.made_ns, known.until_ns if told.until_ns is None else max(known.until_ns or 0, told.until_ns),
        )  # fmt: skip
    return None if changed == known else changed


def replay(told: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Hold]:
    """The holds that rows of the journal (kind, detail), in order, leave: id -> hold. Other kinds change nothing, nor
    does a row that cannot be read."""
    holds: dict[str, Hold] = {}
    for kind, detail in told:
        if kind == "hold":
            try:
                hold = hold_of(detail)
            except ValueError:
                continue
            holds[hold.id] = hold
        elif kind == "release":
            known = holds.get(str(detail.get("id")))
            if known is not None:
                holds[known.id] = released(known, detail)
    return holds


def released(hold: Hold, detail: Mapping[str, Any]) -> Hold:
    """The hold after a release as the journal tells it: {id, released_ns, released_by, why}."""
    at_ns = detail.get("released_ns")
    return Hold(
        hold.id, hold.camera, hold.from_ns, hold.to_ns, hold.who, hold.why, hold.incident, hold.made_ns, hold.until_ns,
        at_ns if type(at_ns) is int else hold.made_ns, str(detail.get("released_by", "")),
    )  # fmt: skip
