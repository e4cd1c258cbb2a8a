"""PURE. The vocabulary: what one part of the agent tells another.

Facts travel between processes as JSON (wire.py), so each is a frozen dataclass of plain values.
`encode` and `decode` are the only two doors; `decode` refuses what it does not know.

Invariants
1. A fact never changes once made; it is named by (process, boot, n) on the wire.
2. Nothing here reads a clock: whoever makes a fact passes the `Stamp`.
3. A `Condition` is a state that lasts. It is repeated every `CONDITION_REPEAT_S` while active, and lives
   `ttl_s` seconds at the receiver without a repeat, so that a restarted peer learns it.
"""

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

CONDITION_REPEAT_S = 5.0
"""A lasting state is told again this often (ARCHITECTURE, "How processes talk")."""

CONDITION_TTL_S = 15.0
"""A lasting state not repeated for this long is no longer known: three repeats."""

PULSE_EVERY_S = 5.0
"""`record`, `vision` and `web` show the alarm desk this often that their working loop turns."""


class Text(NamedTuple):
    """One message for people, in both languages. The edge that prints it chooses."""

    zh: str
    en: str

    def in_language(self, language: str) -> str:
        """The Chinese text for `zh`, else the English one."""
        return self.zh if language == "zh" else self.en


class ClockQuality(StrEnum):
    """How far the wall clock can be trusted."""

    NTP = "ntp"
    RTC = "rtc"
    LAST_GOOD = "last_good"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Stamp:
    """When something happened: wall time for people, monotonic time for intervals.

    `wall_ns` is UTC in nanoseconds since 1970. `mono_ns` is CLOCK_MONOTONIC, comparable between the
    processes of one machine during one boot, meaningless elsewhere.
    """

    wall_ns: int
    mono_ns: int
    quality: ClockQuality = ClockQuality.UNKNOWN


class InputState(StrEnum):
    """The state of one input of a board, as a supervised panel knows it."""

    NORMAL = "normal"
    ALARM = "alarm"
    OPEN = "open"
    SHORT = "short"
    FAULT = "fault"
    TAMPER = "tamper"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class InputChanged:
    """An input of a board went from one state to another.

    (`board_uid`, `boot_id`, `event_id`) names the change for ever: a repeat after a crash carries the same
    three. `late` marks a change found by comparing states after the host was down. `mono_ns` in `at` is when
    the host received the first byte that told it.
    """

    bridge_id: str
    board_uid: str
    boot_id: int
    event_id: int
    input_no: int
    previous: InputState
    state: InputState
    at: Stamp
    count: int = 1
    late: bool = False


@dataclass(frozen=True, slots=True)
class PeopleCounted:
    """How many people are in a room.

    `count` is the answer, `low` and `high` the interval it may be in; `frame_at` is when the newest frame
    that it rests on was received. `method`, `model` and `threshold` let a decision be made again from
    retained footage.
    """

    room_id: str
    camera_id: str
    count: int
    low: int
    high: int
    method: str
    model: str
    threshold: float
    frame_at: Stamp
    at: Stamp


class ConditionKind(StrEnum):
    """Every lasting state that the agent may report. `safety.conditions` says what each one means."""

    BRIDGE_SILENT = "bridge_silent"
    BOARD_MISCONFIGURED = "board_misconfigured"
    BOARD_NOT_UNIQUE = "board_not_unique"
    BOARD_OLD = "board_old"
    CAMERA_SILENT = "camera_silent"
    CAMERA_REFUSED = "camera_refused"
    CAMERA_NOT_VIDEO = "camera_not_video"
    RECORDING_GAP = "recording_gap"
    VOLUME_MISSING = "volume_missing"
    DISK_FULL = "disk_full"
    DISK_SLOW = "disk_slow"
    DISK_FAILED = "disk_failed"
    INDEX_REBUILT = "index_rebuilt"
    FOOTAGE_DAMAGED = "footage_damaged"
    FOOTAGE_UPKEEP_FAILING = "footage_upkeep_failing"
    RETENTION_BREACH = "retention_breach"
    RETENTION_CHANGE = "retention_change"
    DELETION_FAILING = "deletion_failing"
    MODEL_MISSING = "model_missing"
    VISION_BLIND = "vision_blind"
    OVER_CAPACITY = "over_capacity"
    UPLINK_DOWN = "uplink_down"
    RECEIPT_MISSING = "receipt_missing"
    STORE_FAILING = "store_failing"
    PROCESS_SILENT = "process_silent"
    CLOCK_UNKNOWN = "clock_unknown"
    EVIDENCE_BROKEN = "evidence_broken"
    ARMING_INCOMPLETE = "arming_incomplete"
    OUTPUT_FAILED = "output_failed"
    MAINS_LOST = "mains_lost"
    BATTERY_LOW = "battery_low"
    SHUTTING_DOWN = "shutting_down"
    TEST_DUE = "test_due"


@dataclass(frozen=True, slots=True)
class Condition:
    """A state that lasts has begun, is still there, or is over.

    `subject` is `camera/<id>`, `room/<id>`, `area/<id>`, `bridge/<id>`, `output/<id>`, `platform/<id>`,
    `process/<name>` or `volume/<path>`; (`kind`, `subject`) names the condition. `detail` holds plain values for people
    (never a secret): what was seen, an error text, counts.
    """

    kind: ConditionKind
    subject: str
    active: bool
    since: Stamp
    at: Stamp
    detail: dict[str, str | int | float | bool] = field(default_factory=dict)
    ttl_s: float = CONDITION_TTL_S


@dataclass(frozen=True, slots=True)
class Pulse:
    """The working loop of a process has turned. Its absence is an alert."""

    process: str
    at: Stamp


Fact = InputChanged | PeopleCounted | Condition | Pulse

_FACTS: dict[str, type[InputChanged] | type[PeopleCounted] | type[Condition] | type[Pulse]] = {
    "input_changed": InputChanged,
    "people_counted": PeopleCounted,
    "condition": Condition,
    "pulse": Pulse,
}
_NAMES = {kind: name for name, kind in _FACTS.items()}


class BadFact(ValueError):
    """A fact from outside is not in the vocabulary. The text says what is wrong with it."""


def encode(fact: Fact) -> dict[str, Any]:
    """The fact as JSON-ready values, with its kind under `fact`."""
    return {"fact": _NAMES[type(fact)], **dataclasses.asdict(fact)}


def decode(values: Any) -> Fact:
    """The fact that `encode` made these values from.

    Raises BadFact for anything else: an unknown kind, a missing or an extra key, a value of the wrong type.
    """
    if not isinstance(values, dict):
        raise BadFact(f"a fact is an object, not {type(values).__name__}")
    kind = _FACTS.get(str(values.get("fact")))
    if kind is None:
        raise BadFact(f"unknown fact {values.get('fact')!r}")
    given = {key: value for key, value in values.items() if key != "fact"}
    built: Fact = _build(kind, given)
    return built


def is_telemetry(fact: Fact) -> bool:
    """True for what may be dropped when a queue is full: it cannot raise an alert by itself."""
    return isinstance(fact, PeopleCounted | Pulse)


def _build(kind: type[Any], given: dict[str, Any]) -> Any:
    fields = {each.name: each for each in dataclasses.fields(kind)}
    if extra := sorted(given.keys() - fields.keys()):
        raise BadFact(f"{kind.__name__}: unknown key {extra[0]!r}")
    values: dict[str, Any] = {}
    for name, each in fields.items():
        if name not in given:
            if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
                raise BadFact(f"{kind.__name__}: {name} is missing")
            continue
        values[name] = _value(kind.__name__, name, each.type, given[name])
    return kind(**values)


def _value(owner: str, name: str, declared: Any, value: Any) -> Any:
    if declared is Stamp:
        if not isinstance(value, dict):
            raise BadFact(f"{owner}.{name}: a stamp is an object")
        return _build(Stamp, value)
    if isinstance(declared, type) and issubclass(declared, StrEnum):
        try:
            return declared(value)
        except ValueError as error:
            raise BadFact(f"{owner}.{name}: {value!r} is not one of {', '.join(declared)}") from error
    if declared is float and type(value) is int:
        return float(value)
    if declared in (str, int, float, bool):
        if type(value) is not declared:
            raise BadFact(f"{owner}.{name}: expected {declared.__name__}, got {value!r}")
        return value
    if not isinstance(value, dict) or any(
        not isinstance(key, str) or not isinstance(item, str | int | float | bool) for key, item in value.items()
    ):
        raise BadFact(f"{owner}.{name}: expected an object of plain values")
    return dict(value)
