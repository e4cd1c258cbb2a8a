"""The core with an EEPROM that takes its time. Every image that it ever has is what a power cut would leave."""

import random

from firmware_bridge import eeprom
from firmware_bridge import messages as say
from firmware_bridge.frame import Frame, Kind
from firmware_bridge.messages import LineState, ResetCause
from tests.fakes.board_core import Core
from tests.firmware.twins import NORMAL, UID, pending

ALARM = 715
Cells = dict[tuple[int, int], eeprom.PanicCell]


class SlowEeprom:
    """A core whose EEPROM takes one byte per tick; every image that it ever has is judged as what a cut would leave."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.now_ms = 0
        self.adcs = [NORMAL] * core.inputs
        self.bytes_written = 0
        self._kept: Cells = {}
        self._committed: set[tuple[int, int]] = set()
        core.limits()
        core.load(eeprom.blank(UID))
        core.start(ResetCause.POWER_ON, 0)
        core.receive(Frame(Kind.RESET, 1, 0, 0, b"\x01").to_bytes(), 0)
        self._image = core.image()

    def pass_time(self, ms: int, bytes_per_tick: int = 1) -> None:
        """A tick each ms, a sample every ten; `bytes_per_tick` of EEPROM are written, and judged one by one."""
        for _ in range(ms):
            self.now_ms += 1
            if self.now_ms % 10 == 0:
                self.core.sample(self.adcs, self.now_ms)
            for _ in range(bytes_per_tick):
                self.core.limits(eeprom_credit=1)
                self.core.tick(self.now_ms)
                self._judge()

    def commit(self, event: say.Event) -> None:
        """The host has committed this event."""
        self._committed.add((event.boot_id, event.event_id))
        keys = say.Ack(((event.boot_id, event.event_id),)).to_payload()
        self.core.limits(eeprom_credit=0)
        self.core.receive(Frame(Kind.ACK, 1, 0, 0, keys).to_bytes(), self.now_ms)

    def _judge(self) -> None:
        image = self.core.image()
        if image == self._image:
            return
        self._image = image
        self.bytes_written += 1
        now = pending(image)
        for key, cell in self._kept.items():
            heirs = [each for each in now.values() if each.input_no == cell.input_no and each.count > cell.count]
            assert key in now or key in self._committed or heirs, f"at {self.now_ms} ms {cell} is lost; there is {now}"
        self._kept = now


def press_and_commit(core: Core, seed: int) -> int:
    """Buttons are pressed faster than EEPROM takes it, and committed late or never; how many bytes were written.
    Raises AssertionError when what was whole once, and is not committed, is gone after any byte."""
    chance = random.Random(seed)
    life = SlowEeprom(core)
    life.pass_time(60)
    panic = [number for number in range(core.inputs) if core.kind(number) is say.InputKind.PANIC]
    for _ in range(60):
        for number in chance.sample(panic, chance.randint(1, len(panic))):
            life.adcs[number] = ALARM if life.adcs[number] == NORMAL else NORMAL
        if chance.random() < 0.3:
            for event in core.held().events[: chance.randrange(5)]:
                life.commit(event)
        life.pass_time(chance.choice((35, 40, 45)), chance.choice((0, 0, 1, 1, 1)))
    life.pass_time(500)
    assert core.held().eeprom_waits == 0
    presses = {
        (event.boot_id, event.event_id): event.count
        for event in core.held().events
        if event.state is LineState.ALARM and event.input_no in panic
    }
    assert {key: cell.count for key, cell in pending(core.image()).items()} == presses
    return life.bytes_written
