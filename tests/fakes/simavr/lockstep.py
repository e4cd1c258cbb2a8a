"""The real firmware and the host's link, in a time that goes as fast as the machine can and is the same each run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from firmware_bridge import eeprom
from firmware_bridge import messages as say
from firmware_bridge.link import HostLink
from firmware_bridge.reports import InputEvent, LinkChanged, Report, Snapshot
from tests.fakes.simavr.chip import DEFAULT_UID, FLAGS_OF, MV_OF, Built, Chip, Loader, eeprom_file

_STEP_US: Final = 5000
_START_NS: Final = 10_000_000_000
"""The host's clock when the chip's is 0: any will do."""

SIREN: Final = 0x10
STROBE: Final = 0x20
FAULT_LED: Final = 0x40
"""Bits of `driven`: port D."""


class Lockstep:
    """A board with 8 inputs, all normal, and the host. Times in seconds of the chip since it was first powered.

    `reports` is what the link told, each with its time; `driven` every change of the outputs, with its time.
    """

    def __init__(self, parts: Built, folder: Path, *, uid: bytes = DEFAULT_UID, image: bytes | None = None) -> None:
        """Without power. `image` is what EEPROM holds at the beginning."""
        self.eeprom_path = folder / "board.eeprom"
        if image is None:
            eeprom_file(self.eeprom_path, uid)
        else:
            self.eeprom_path.write_bytes(image)
        self.chip = Chip(parts, self.eeprom_path, folder / "board.jsonl")
        self.link = HostLink()
        self.reports: list[tuple[float, Report]] = []
        self.driven: list[tuple[float, int]] = []
        self.commits = True
        self.host_alive = True
        self.now_s = 0.0
        self._presses = 0
        self._loader = Loader.NONE

    def stop(self) -> None:
        """End it."""
        self.chip.stop()

    # -- what happens to the board --

    def plug(self, cause: say.ResetCause = say.ResetCause.POWER_ON) -> None:
        """Power; the host opens the port."""
        self.chip.tell(f"plug {FLAGS_OF[cause]}")
        self._take(self.link.open(self._now_ns()))

    def unplug(self, torn: bool = True) -> None:
        """No power; the port is gone."""
        self.chip.tell(f"unplug {int(torn)}")
        self._take(self.link.close("port_lost", self._now_ns()))

    def reset(self, flags: int) -> None:
        """A reset that leaves `flags` in MCUSR."""
        self.chip.tell(f"reset {flags}")

    def set(self, input_no: int, state: str, bounce_us: int = 4000) -> None:
        """An input moves."""
        self.move(input_no, MV_OF[state], bounce_us)

    def move(self, input_no: int, mv: int, bounce_us: int = 4000) -> None:
        """An input moves to a voltage."""
        self.chip.tell(f"move {input_no} {mv} {bounce_us} set any")

    def press(self, input_no: int = 0, hold_s: float = 0.2) -> None:
        """A button is pressed for a time."""
        self._presses += 1
        self.chip.tell(f"press {self._presses} {input_no} {MV_OF['alarm']} {MV_OF['normal']} {int(hold_s * 1e6)} 4000")

    # -- the host --

    def commit_all(self) -> None:
        """Everything that was told so far is on disk; from now on at once."""
        self.commits = True
        for event in self.events():
            self.link.acknowledge(event.board_uid, event.boot_id, event.event_id)

    def restart_host(self) -> None:
        """Another host, which knows nothing, opens the port."""
        self.link = HostLink()
        self._take(self.link.open(self._now_ns()))

    # -- time --

    def run(self, seconds: float) -> None:
        """Let time go by."""
        end_s = self.now_s + seconds
        while end_s - self.now_s > 1e-6:
            self._step(min(_STEP_US, max(1, round((end_s - self.now_s) * 1e6))))

    def until(self, condition: Callable[[], object], seconds: float, what: str) -> float:
        """Let time go by until `condition`; when that was. Fails after `seconds`."""
        end_s = self.now_s + seconds
        while not condition():
            assert self.now_s < end_s, f"not within {seconds} s of the chip's time: {what}; {self.reports[-5:]}"
            self._step(1000)
        return self.now_s

    def up(self) -> None:
        """Until a session is up and its snapshot was told."""
        before = len(self.of(Snapshot))
        self.until(lambda: self.link.up and len(self.of(Snapshot)) > before, 5, "link and snapshot")

    def feed(self, data: bytes) -> None:
        """Bytes on the line to the board that the host did not send."""
        self._step(_STEP_US, data)

    # -- what came of it --

    def of(self, kind: type[Any]) -> list[Any]:
        """The reports of one kind, without their times."""
        return [each for _, each in self.reports if isinstance(each, kind)]

    def events(self, state: str | None = None, input_no: int | None = None) -> list[InputEvent]:
        """What the inputs did, as the host was told."""
        return [
            each for each in self.of(InputEvent)
            if state in (None, each.state) and input_no in (None, each.input_no)
        ]  # fmt: skip

    def downs(self) -> list[str]:
        """Why the link went down, each time."""
        return [each.reason for each in self.of(LinkChanged) if not each.up]

    def image(self) -> bytes:
        """What EEPROM holds now."""
        return self.eeprom_path.read_bytes()

    def boot_id(self) -> int:
        """The newest boot that EEPROM counts."""
        return eeprom.next_boot(self.image())[0] - 1

    def status(self) -> dict[str, Any]:
        """What the harness says."""
        return self.chip.tell("status")

    def _now_ns(self) -> int:
        return _START_NS + round(self.now_s * 1e9)

    def _step(self, most_us: int, more: bytes = b"") -> None:
        data = (self.link.to_send() if self.host_alive else b"") + more
        told = self.chip.tell(f"run {most_us} {data.hex() or '-'}")
        self.now_s = told["us"] / 1e6
        self.driven += [(at_us / 1e6, bits) for at_us, bits in told["outputs"]]
        if self.host_alive:
            self._take(self.link.receive(bytes.fromhex(told["sent"]), self._now_ns()))
            self._take(self.link.tick(self._now_ns()))

    def _take(self, reports: list[Report]) -> None:
        for report in reports:
            self.reports.append((self.now_s, report))
            if self.commits and isinstance(report, InputEvent):
                self.link.acknowledge(report.board_uid, report.boot_id, report.event_id)
