"""The settings of a facility as closed, frozen models.

Every key here must stand, with a comment, in configs/facility.example.yaml: a test compares the two. Rules
that span several keys are in `checks.py`; the loader (`load.py`) turns every mistake into one message with
file, line and column.
"""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from agent.settings.base import Closed as _Closed
from agent.settings.base import Identifier, Name
from agent.settings.base import told as _told
from agent.settings.models_outputs import Alarms, Output


def _from_the_file(path: Path, info: ValidationInfo) -> Path:
    """A relative path starts at the folder of the settings file, wherever the process was started."""
    folder = (info.context or {}).get("folder")
    return path if folder is None else Path(folder) / path


FOUND_BY_USB: Final = Path("auto")
"""What `port` says where the board is looked for among all that is plugged in."""


def _port_from_the_file(path: Path, info: ValidationInfo) -> Path:
    """A port that is to be found has no folder."""
    return path if path == FOUND_BY_USB else _from_the_file(path, info)


File = Annotated[Path, AfterValidator(_from_the_file)]
"""A path; a relative one starts at the folder of the settings file."""

SerialPort = Annotated[
    Path,
    AfterValidator(_port_from_the_file),
    Field(json_schema_extra=_told("串口的路径，或 auto", "the path of a serial port, or auto")),
]
"""A serial port: a path, or `auto` for what is found by USB."""

Usb = Annotated[
    str,
    Field(
        pattern=r"^[!-~]{1,126}$",
        json_schema_extra=_told(
            "USB 序列号，或 2341:0043 这样的厂商与产品号", "a USB serial number, or vendor:product as in 2341:0043"
        ),
    ),
]
"""What a USB device says of itself: its serial number (at most 126 characters, by USB 2.0), or vendor:product."""

BoardUid = Annotated[
    str,
    Field(
        pattern=r"^[0-9A-Fa-f]{16}$",
        json_schema_extra=_told(
            "板卡自报的 16 位十六进制编号（yunjian boards）", "the 16 hex digits that the board tells (yunjian boards)"
        ),
    ),
]
"""The uid of a board."""

BrokerUrl = Annotated[
    str,
    Field(
        pattern=r"^mqtts?://(\[[0-9A-Fa-f:.]+\]|[^/@\s:\[\]?#]+)(:\d{1,5})?$",
        max_length=300,
        json_schema_extra=_told(
            "mqtt://主机[:端口] 或 mqtts://主机[:端口]", "mqtt://host[:port] or mqtts://host[:port]"
        ),
    ),
]
"""mqtt://host[:1883] or mqtts://host[:8883]; user and password have keys of their own."""

CameraUrl = Annotated[
    str,
    Field(
        pattern=r"^(rtsps?://[^@\s/?#]+(/[^@\s]*)?|onvif://(\[[0-9A-Fa-f:.]+\]|[^/@\s:\[\]?#]+)(:\d{1,5})?(/[^@\s?#]*)?)$",
        max_length=1000,
        json_schema_extra=_told(
            "rtsp://主机[:端口]/路径 或 onvif://主机[:端口]", "rtsp://host[:port]/path or onvif://host[:port]"
        ),
    ),
]
"""An RTSP address, or a device that tells it by ONVIF (with the token of a profile as its path, if need be), without
user and password, which have keys of their own and never enter a log."""


class Location(_Closed):
    """Where the facility stands; goes into every alarm."""

    address: str = ""
    longitude: Annotated[float, Field(ge=-180, le=180)] = 0.0
    latitude: Annotated[float, Field(ge=-90, le=90)] = 0.0


class Facility(_Closed):
    """Who this is: the identity that both platforms know."""

    id: Identifier
    edge: Identifier = "edge-0001"
    name: Name
    org_code: str = ""
    grade: Annotated[int, Field(ge=1, le=5)] | None = None
    time_zone: str = "Asia/Shanghai"
    location: Location = Location()


class Paths(_Closed):
    """Where the agent keeps its state."""

    data: File = Path("/var/lib/yunjian")
    runtime: File = Path("/run/yunjian")
    models: File | None = None


class Room(_Closed):
    """One room for children."""

    id: Identifier
    name: Name
    group: Literal["infant", "toddler", "senior_toddler", "mixed", "other"] = "other"
    capacity: Annotated[int, Field(ge=1, le=500)] | None = None


class Camera(_Closed):
    """One camera, or one channel of an NVR."""

    id: Identifier
    name: Name
    room: Identifier | None = None
    main: CameraUrl
    sub: CameraUrl | None = None
    transport: Literal["tcp", "udp", "multicast"] = "tcp"
    username: str | None = None
    password_file: File | None = None
    record: bool = True
    importance: Annotated[int, Field(ge=1, le=9)] = 5
    record_sub: bool = False
    record_sound: bool = False
    count_people: bool = True
    threshold: Annotated[float, Field(ge=0.14, le=0.45)] | None = None


class Footage(_Closed):
    """Recording and how long it is kept."""

    volumes: Annotated[tuple[File, ...], Field(min_length=1, max_length=16)] = (Path("/var/lib/yunjian/footage"),)
    segment_s: Annotated[int, Field(ge=10, le=600)] = 60
    sync_every_s: Annotated[float, Field(ge=1, le=10)] = 1.0
    silent_after_s: Annotated[float, Field(ge=2, le=8)] = 5.0
    hash: Literal["sha256", "sm3"] = "sha256"
    minimum_days: Annotated[int, Field(ge=30, le=3650)] = 30
    minimum_rule: str = "济宁市工作方案 14"
    target_days: Annotated[int, Field(ge=30, le=3650)] = 90
    sub_target_days: Annotated[int, Field(ge=30, le=3650)] | None = None
    quota_gb: Annotated[float, Field(ge=1, le=1_000_000)] | None = None
    reserve_gb: Annotated[float, Field(ge=0.1, le=100_000)] | None = None
    overwrite: Literal["never", "oldest"] = "never"
    incident_hold_days: Annotated[int, Field(ge=30, le=3650)] = 180


_LineNumber = Annotated[int, Field(ge=0, le=1023)]
_CoilAddress = Annotated[int, Field(ge=0, le=65535)]


class Bridge(_Closed):
    """One board with inputs: a microcontroller on a serial port, a Modbus-RTU module, or lines of a GPIO chip.

    Which keys belong to which kind, and which of them it must have, is in checks_bridges.py.
    """

    id: Identifier
    kind: Literal["tyb", "modbus", "gpio"] = "tyb"
    port: SerialPort | None = None
    usb: Usb | None = None
    uid: BoardUid | None = None
    unit: Annotated[int, Field(ge=1, le=247)] | None = None
    inputs: Annotated[int, Field(ge=1, le=32)] = 8
    first_address: _CoilAddress = 0
    baud: Annotated[int, Field(ge=1200, le=256_000)] = 9600
    parity: Literal["none", "even", "odd"] = "none"
    poll_ms: Annotated[int, Field(ge=20, le=200)] = 100
    answer_ms: Annotated[int, Field(ge=10, le=150)] = 40
    chip: File | None = None
    lines: Annotated[tuple[_LineNumber, ...], Field(min_length=1, max_length=32)] | None = None
    bias: Literal["pull_up", "pull_down", "none", "as_is"] = "pull_up"
    active: Literal["low", "high"] = "low"
    siren: _CoilAddress | None = None
    strobe: _CoilAddress | None = None


SPAN_PATTERN: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
"""What looks like a span of a day; checks_areas.py looks at the rest."""

DAYS_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(/[0-9]{4}-[0-9]{2}-[0-9]{2})?$"
"""What looks like a day, or a first and a last one."""

Spans = tuple[
    Annotated[
        str,
        Field(
            pattern=SPAN_PATTERN,
            json_schema_extra=_told("如 07:30-18:00 的时段", "a time of day, written as in 07:30-18:00"),
        ),
    ],
    ...,
]
"""Spans of one day, such as 07:30-18:00; 24:00 is midnight at its end. An empty list is a day that is closed."""

Days = Annotated[
    str,
    Field(
        pattern=DAYS_PATTERN,
        json_schema_extra=_told(
            "日期 2026-10-01 或起止日期 2026-10-01/2026-10-07", "a day 2026-10-01, or days 2026-10-01/2026-10-07"
        ),
    ),
]
"""A day, or a first and a last one."""


class Week(_Closed):
    """When the area is open on each day of the week; a day that is left out is closed."""

    monday: Spans = ()
    tuesday: Spans = ()
    wednesday: Spans = ()
    thursday: Spans = ()
    friday: Spans = ()
    saturday: Spans = ()
    sunday: Spans = ()


class AreaCalendar(_Closed):
    """When an area is open: it arms by itself at closing, and disarms at opening only where `disarms` says so."""

    week: Week = Week()
    holidays: Annotated[tuple[Days, ...], Field(max_length=200)] = ()
    open_days: dict[str, Spans] = Field(default_factory=dict, max_length=200)
    disarms: bool = False


class Area(_Closed):
    """Perimeter zones that are armed and disarmed together."""

    id: Identifier
    name: Name
    exit_delay_s: Annotated[int, Field(ge=0, le=255)] = 45
    entry_delay_s: Annotated[int, Field(ge=0, le=255)] = 30
    calendar: AreaCalendar | None = None
    rooms: tuple[Identifier, ...] | None = None


class Zone(_Closed):
    """One input that can raise an alarm."""

    id: Identifier
    name: Name
    type: Literal["panic_24h", "tamper_24h", "perimeter", "environment"]
    bridge: Identifier
    input: Annotated[int, Field(ge=0, le=31)]
    room: Identifier | None = None
    cameras: tuple[Identifier, ...] = ()
    line: Literal["end_of_line", "closes_on_alarm", "opens_on_alarm"] = "end_of_line"
    area: Identifier | None = None
    entry: bool = False
    held_open_s: Annotated[int, Field(ge=0, le=86400)] = 120
    kind: Literal["gas", "smoke", "water", "mains", "battery", "other"] = "other"
    silent: bool = False


class Tls(_Closed):
    """Certificates for one platform's brokers."""

    ca_file: File
    certificate_file: File | None = None
    key_file: File | None = None


class Platform(_Closed):
    """One platform that consumes alerts."""

    id: Identifier
    role: Literal["public_security", "smart_cloud"]
    brokers: Annotated[tuple[BrokerUrl, ...], Field(min_length=1)]
    topic_prefix: Annotated[
        str,
        Field(
            pattern=r"^[^#+\s/]([^#+\s]*[^#+\s/])?$",
            max_length=100,
            json_schema_extra=_told(
                "不含 # + 与空格、首尾不是 / 的主题前缀", "a topic prefix without # + or spaces, no / at either end"
            ),
        ),
    ] = "tyj/v1"
    username: str | None = None
    password_file: File | None = None
    tls: Tls | None = None
    receipts: Literal["required", "puback"] = "required"
    keepalive_s: Annotated[int, Field(ge=5, le=600)] = 30


class Vision(_Closed):
    """Counting people."""

    model: Identifier = "nanodet-int8"
    looks_per_s: Annotated[float, Field(gt=0, le=10)] = 2.0
    threshold: Annotated[float, Field(ge=0.14, le=0.45)] = 0.30
    threads: Annotated[int, Field(ge=1, le=8)] = 1


class Web(_Closed):
    """The pages; only a health page so far."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8440


class Tests(_Closed):
    """Tests of buttons."""

    every_days: Annotated[int, Field(ge=0, le=365)] = 7


class Power(_Closed):
    """What becomes of the machine when its battery runs empty."""

    shutdown_after_battery_low_s: Annotated[int, Field(ge=10, le=86400)] | None = None
    command: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...], Field(max_length=50)] = ()


class Settings(_Closed):
    """One facility, whole."""

    language: Literal["zh", "en"] = "zh"
    facility: Facility
    paths: Paths = Paths()
    rooms: tuple[Room, ...] = ()
    cameras: tuple[Camera, ...] = ()
    footage: Footage = Footage()
    bridges: tuple[Bridge, ...] = ()
    areas: tuple[Area, ...] = ()
    zones: tuple[Zone, ...] = ()
    outputs: tuple[Output, ...] = ()
    alarms: Alarms = Alarms()
    tests: Tests = Tests()
    power: Power = Power()
    platforms: tuple[Platform, ...] = ()
    vision: Vision = Vision()
    web: Web = Web()
