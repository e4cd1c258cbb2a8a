"""The real firmware in real time, with the face of the simulated board (agent/demo/board.py)."""

from pathlib import Path
from typing import Any, Final

from firmware_bridge import eeprom
from firmware_bridge.messages import LineState, ResetCause
from tests.fakes.simavr.chip import DEFAULT_UID, FLAGS_OF, MV_OF, Built, Chip, Loader, eeprom_file

PANIC_INPUT: Final = 0
DOOR_INPUT: Final = 1
_BOUNCE_US: Final = 4000
"""A push button bounces for a few milliseconds; a conversion that falls into it reads anything."""


class SimavrBoard:
    """One board with its wires, at `port_link`. Safe to use from any thread between `start` and `stop`."""

    def __init__(
        self,
        port_link: Path,
        log_path: Path,
        parts: Built,
        *,
        eeprom_path: Path | None = None,
        uid: bytes = DEFAULT_UID,
        boot_ms: int = 0,
    ) -> None:
        """`log_path` gets one JSON object a line, as the simulated board writes it, without lines `event`: what the
        firmware thinks only its own frames tell. With `boot_ms` opening the port resets the chip, as it does on an
        Uno, and a boot loader eats what comes for so long.
        """
        self._link = port_link
        self._log_path = log_path
        self._parts = parts
        self._places = parts.places()
        self._eeprom_path = eeprom_path or port_link.with_name(f"{port_link.name}.eeprom")
        self._uid = uid
        self._boot_ms = boot_ms
        self._chip: Chip | None = None
        self._presses = 0
        self._states = ["normal"] * 8

    def start(self) -> None:
        """Power the board. When this returns the port is there."""
        self._link.parent.mkdir(parents=True, exist_ok=True)
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        eeprom_file(self._eeprom_path, self._uid)
        self._chip = Chip(self._parts, self._eeprom_path, self._log_path, self._link)
        if self._boot_ms:
            self._tell(f"boot {Loader.PASSES_ON} {self._boot_ms}")
        for input_no, state in enumerate(self._states):
            self._tell(f"move {input_no} {MV_OF[state]} 0 set {state}")
        self.plug()

    def stop(self) -> None:
        """Cut the power. Safe to call twice."""
        if self._chip is not None:
            self._chip.stop()

    @property
    def pid(self) -> int:
        """The process that simavr runs in."""
        assert self._chip is not None, "the board was not started"
        return self._chip.pid

    def kill(self) -> None:
        """A power cut at any moment, by kill -9; `start` powers the board again."""
        assert self._chip is not None
        self._chip.kill()
        self._link.unlink(missing_ok=True)

    def press(self, input_no: int = PANIC_INPUT, hold_s: float = 0.3) -> int:
        """Press a button for `hold_s` seconds; the number of this press in the log."""
        self._presses += 1
        held_us = int(hold_s * 1e6)
        self._tell(f"press {self._presses} {input_no} {MV_OF['alarm']} {MV_OF['normal']} {held_us} {_BOUNCE_US}")
        return self._presses

    def door(self, is_open: bool) -> None:
        """Open or close the door."""
        self.set(DOOR_INPUT, "alarm" if is_open else "normal")

    def set(self, input_no: int, state: str) -> None:
        """Put an input into normal, alarm, open, short or fault. Raises ValueError."""
        if state not in MV_OF:
            raise ValueError(f"{state!r} is not one of {', '.join(MV_OF)}")
        self._states[input_no] = state
        self._tell(f"move {input_no} {MV_OF[state]} {_BOUNCE_US} set {state}")

    def chatter(self, input_no: int, edges_per_s: int, state: str = "alarm") -> None:
        """A loose contact: so many edges a second between what the input is in and `state`; 0: it rests again."""
        self._tell(f"chatter {input_no} {MV_OF[state]} {edges_per_s}")

    def lose(self, permille: int) -> None:
        """So many of a thousand bytes are lost on the line, both ways."""
        self._tell(f"loss {permille}")

    def unplug(self) -> None:
        """Pull the plug: the port vanishes and the board loses its power."""
        self._tell("unplug 1")

    def plug(self) -> None:
        """Put the plug back in: another pseudo-terminal, a new boot."""
        self._tell(f"plug {FLAGS_OF[ResetCause.POWER_ON]}")

    def restart(self, cause: ResetCause = ResetCause.WATCHDOG) -> None:
        """The microcontroller resets; the port stays. WATCHDOG: the program hangs, and is reset within a second."""
        self._tell("hang 1" if cause is ResetCause.WATCHDOG else f"reset {FLAGS_OF[cause]}")

    def inject(self, data: bytes) -> None:
        """Noise on the line to the host."""
        self._tell(f"inject {data.hex()}")

    def status(self) -> dict[str, Any]:
        """What the board holds (read out of its RAM) and drives, and how the harness does."""
        image = self._eeprom_path.read_bytes()
        places = self._places
        step = places.second_state - places.first_state
        return {
            **self._tell("status"),
            "uid": eeprom.uid_of(image).hex(),
            "boot_id": eeprom.next_boot(image)[0] - 1,
            "in_session": self._peek(places.session) != 0,
            "inputs": list(self._states),
            "settled": [LineState(self._peek(places.first_state + step * number)).name.lower() for number in range(8)],
            "uncommitted": self._peek(places.events),
            "presses": self._presses,
        }

    def _peek(self, address: int) -> int:
        return int(self._tell(f"peek {address} 1")["bytes"], 16)

    def _tell(self, command: str) -> dict[str, Any]:
        assert self._chip is not None, "the board was not started"
        return self._chip.tell(command)
