"""What the alarm desk takes into its inbox."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.delivery import mqtt
from agent.delivery.rows import FactKey
from agent.delivery.store import Opened
from agent.facts import Fact, InputChanged, InputState, Stamp, Text
from agent.safety import presence
from agent.safety.arming import Act, Area
from agent.safety.calendar import Calendar
from agent.safety.drills import DrillKind
from agent.safety.incidents import Happening, Incident
from agent.safety.outputs import Output, Rules
from agent.safety.zones import Zone


@dataclass(frozen=True, slots=True)
class Site:
    """What is watched: zones, names of subjects for people, which processes and boards are expected; areas, and the
    calendars of those that have one, by their id.

    `machine_boot` names the boot of this machine, `test_every_days` is how often a button is tested (0: nobody is
    reminded), and so long after its battery is low the machine is shut down (None: never). `room_areas` are the
    areas of each room, and so long people are seen in one that is armed before that is told (0: never)."""

    zones: tuple[Zone, ...]
    names: Mapping[str, str]
    processes: tuple[str, ...]
    bridges: tuple[str, ...]
    areas: tuple[Area, ...] = ()
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    machine_boot: str = ""
    test_every_days: int = 0
    shutdown_after_battery_low_s: float | None = None
    outputs: tuple[Output, ...] = ()
    sound_rules: Rules = field(default_factory=Rules)
    room_areas: Mapping[str, frozenset[str]] = field(default_factory=dict)
    presence_s: int = presence.AFTER_S


@dataclass(frozen=True, slots=True)
class InputReport:
    """An event of a board. `pressed_mono_ns` is when the contact changed, as far as the board can tell."""

    fact: InputChanged
    pressed_mono_ns: int


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """What every input of a board is now, told after the link came up."""

    bridge_id: str
    states: dict[int, InputState]
    at: Stamp


@dataclass(frozen=True, slots=True)
class LinkReport:
    """The link to a board came up or went silent."""

    bridge_id: str
    up: bool
    reason: str


@dataclass(frozen=True, slots=True)
class FactReport:
    """A fact of another process; `taken` is called once it is safe."""

    key: FactKey
    fact: Fact
    taken: Callable[[], None]


@dataclass(frozen=True, slots=True)
class PersonAsks:
    """A person acknowledges (`why` empty) or resets an incident; `answer` gets the incident, or (code, text)."""

    happening: Happening
    incident_id: str
    who: str
    why: str
    answer: Callable[[Incident | tuple[str, Text]], None]


@dataclass(frozen=True, slots=True)
class AreaAsk:
    """A person arms, disarms or bypasses; no `area_id` is the only area there is. `answer` gets the area as `status`
    shows it, or (code, text)."""

    area_id: str
    act: Act
    answer: Callable[[dict[str, Any] | tuple[str, Text]], None]


@dataclass(frozen=True, slots=True)
class DrillAsk:
    """A person begins a drill of `target` (drills.chosen), or ends the one there is (`kind` None). `answer` gets the
    drill as `status` shows it, or (code, text)."""

    kind: DrillKind | None
    target: str
    seconds: float
    who: str
    answer: Callable[[dict[str, Any] | tuple[str, Text]], None]


@dataclass(frozen=True, slots=True)
class Call:
    """Something to be run on the desk's thread."""

    run: Callable[[], None]


Item = (
    InputReport
    | SnapshotReport
    | LinkReport
    | FactReport
    | PersonAsks
    | AreaAsk
    | DrillAsk
    | Call
    | Opened
    | mqtt.Report
)
