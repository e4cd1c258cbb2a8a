"""PURE. How the inputs of a board are to be wired and judged, and what of it has still to be told to the board.

Invariants
1. A CONFIG is sent only after a SNAPSHOT of this session: by then the host knows every event that the board held.
2. An input whose alarm is not committed gets no CONFIG before the commit.
3. When all were sent a new session is begun, and its HELLO says whether the board has them. `TRIES` such rounds in one
   boot of a board and no more: EEPROM bears 100000 writes.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from firmware_bridge.debounce import CONTACT_DEBOUNCE_MS, PANIC_DEBOUNCE_MS, Bands
from firmware_bridge.frame import crc16
from firmware_bridge.messages import Config, Hello, InputKind, InputMode

NEEDED_FIRMWARE: Final = (0, 1, 0)
"""The oldest firmware that does all that this host relies on."""

TRIES: Final = 2

_NEVER: Final = 2000
"""No ADC of 10 bits reads this."""


@dataclass(frozen=True, slots=True)
class Wired:
    """What hangs on an input."""

    kind: InputKind
    mode: InputMode = InputMode.END_OF_LINE


def config_of(input_no: int, wired: Wired) -> Config:
    """How an input is judged on which this hangs: the bands of a 4k7/4k7 pair, the times of its kind."""
    bands = Bands()
    wait_ms = PANIC_DEBOUNCE_MS if wired.kind is InputKind.PANIC else CONTACT_DEBOUNCE_MS
    return Config(
        input_no, wired.kind, wired.mode, wait_ms, bands.short_below, bands.normal_from, bands.normal_to,
        bands.alarm_from, bands.alarm_to, bands.open_above,
    )  # fmt: skip


def unused(input_no: int) -> Config:
    """An input on which nothing hangs: a contact that is normal whatever it reads, so that noise on a free terminal
    makes no event, fills no ring, wears no EEPROM and sounds no siren."""
    return Config(
        input_no, InputKind.CONTACT, InputMode.END_OF_LINE, CONTACT_DEBOUNCE_MS, 0, 0, 1023, _NEVER, _NEVER, 1023
    )


def configs(inputs: int, wired: Mapping[int, Wired]) -> tuple[Config, ...]:
    """The configuration of a board with so many inputs. What hangs on an input that it does not have is left out."""
    return tuple(config_of(each, wired[each]) if each in wired else unused(each) for each in range(inputs))


def config_crc(whole: Collection[Config]) -> int:
    """What HELLO tells of this configuration."""
    return crc16(b"".join(each.to_payload() for each in whole))


class Configuring:
    """What a board has still to be told. Used by one link; `wired` None: nothing, ever."""

    def __init__(self, wired: Mapping[int, Wired] | None) -> None:
        self._wired = wired
        self._to_send: dict[int, Config] = {}
        self._under_way = False
        self._snapshot = False
        self._tried: tuple[bytes, int] | None = None
        self._tries = 0
        self.refused = False
        """The board was told `TRIES` times, and says another CRC, or it has not the inputs that are wired."""

    def hello(self, hello: Hello) -> None:
        """A session has begun."""
        self._snapshot = self._under_way = False
        self._to_send = {}
        if self._wired is None:
            return
        wanted = configs(hello.inputs, self._wired)
        absent = any(each >= hello.inputs for each in self._wired)
        if self._tried != (hello.uid, hello.boot_id):
            self._tried, self._tries = (hello.uid, hello.boot_id), 0
        if config_crc(wanted) == hello.config_crc:
            self.refused = absent
        elif self._tries < TRIES:
            self._to_send = {each.input_no: each for each in wanted}
        else:
            self.refused = True

    def snapshot(self) -> None:
        """The board has told everything that it held when the session began."""
        self._snapshot = True

    def next(self, in_alarm: Callable[[], Collection[int]]) -> Config | None:
        """The CONFIG to send now. `in_alarm` tells the inputs with an alarm that is not committed."""
        if not self._snapshot or not self._to_send:
            return None
        waiting = in_alarm()
        number = next((each for each in self._to_send if each not in waiting), None)
        if number is None:
            return None
        self._under_way = True
        return self._to_send.pop(number)

    def all_sent(self) -> bool:
        """True once, when the board has received all that it was to be told: now its HELLO is to be asked for."""
        if not self._under_way or self._to_send:
            return False
        self._under_way = False
        self._tries += 1
        return True
