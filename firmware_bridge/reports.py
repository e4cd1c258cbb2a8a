"""PURE. What a bridge tells the agent: the words of firmware_bridge upwards."""

from dataclasses import dataclass
from enum import StrEnum


class Trouble(StrEnum):
    """What is wrong with a board that answers."""

    CONFIG_REFUSED = "config_refused"
    """It was told how its inputs are wired, and does not keep it, or has not as many inputs."""
    FIRMWARE_OLD = "firmware_old"
    """Its firmware is older than what this host relies on."""
    UID_NONE = "uid_none"
    """It has no number of its own: it was not flashed as it should be."""
    UID_TWICE = "uid_twice"
    """Another board on this host has the same number."""
    BOOT_WENT_BACK = "boot_went_back"
    """Its boot counter is not above the one it had: its EEPROM was erased, or it has the number of another board."""


@dataclass(frozen=True, slots=True)
class InputEvent:
    """One input of a board changed. (`board_uid`, `boot_id`, `event_id`) names the change for ever; `board_uid` is the
    name of the board on this host, which is its uid as long as no other may have that (names.py).

    States are normal, alarm, open, short, fault, tamper or unknown. `adc` is the reading of 1023, `count` how
    many presses this one event stands for (1, more after an overflow of the board's ring). `late`: it happened
    while the link was down. Times are CLOCK_MONOTONIC of the host in ns: when the frame was complete here, and
    the best estimate of when the input moved (the time of reception when the board has lost it in a reset).
    """

    board_uid: str
    boot_id: int
    event_id: int
    input_no: int
    previous: str
    state: str
    adc: int
    count: int
    late: bool
    received_mono_ns: int
    pressed_mono_ns: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The debounced state of every input, after all events reported so far. First after every link-up."""

    board_uid: str
    boot_id: int
    states: dict[int, str]
    received_mono_ns: int


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """The link to the board came up or went down.

    `reason` begins with a word for programs, text for people may follow a colon: heard (up); no_answer, silent,
    deaf, board_restarted, not_taken, wrong_board, port_missing, port_lost, stopped (down).
    """

    up: bool
    reason: str
    board_uid: str | None
    firmware: str | None
    since_mono_ns: int


Report = InputEvent | Snapshot | LinkChanged
