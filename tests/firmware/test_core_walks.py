"""Long random lives of the Python board and the C core side by side: full rings, spoilt lines, power cuts."""

import random
from collections.abc import Callable

import pytest

from firmware_bridge import messages as say
from firmware_bridge.eeprom import PLACES, cells_of
from firmware_bridge.frame import Kind
from firmware_bridge.messages import ResetCause
from tests.fakes.board_core import Core
from tests.firmware.twins import NORMAL, Twins

pytestmark = pytest.mark.needs_debian("gcc")

ALARM = 715
READINGS = (NORMAL, NORMAL, ALARM, ALARM, 40, 600, 1010, 565, 576, 586, 800, 815)


class Life:
    """What happens to the two, drawn from one seed."""

    def __init__(self, core: Core, seed: int) -> None:
        self.twins = Twins(core, seed)
        self.chance = random.Random(seed)
        self._deeds: list[tuple[int, Callable[[], None]]] = [
            (8, self._wait), (8, self._press), (3, self._read), (3, self._wires), (6, self._commit), (2, self._host),
            (6, self._say), (3, self._misnumbered), (3, self._noise), (2, self._spoilt), (2, self._reset),
            (3, self._cut), (1, self._long), (2, self._crowd), (1, self._wrap), (3, self._draw_out),
        ]  # fmt: skip

    def live(self, deeds: int) -> None:
        """So many things happen."""
        weights = [weight for weight, _ in self._deeds]
        for _ in range(deeds):
            (_, deed), *_ = self.chance.choices(self._deeds, weights)
            deed()
            self.twins.assert_same()

    def _turns(self, times: int) -> None:
        for _ in range(times):
            self.twins.turn(10)

    def _wait(self) -> None:
        self._turns(self.chance.choice((1, 3, 12, 45)))

    def _press(self) -> None:
        number = self.chance.randrange(self.twins.core.inputs)
        for _ in range(self.chance.choice((1, 1, 4))):
            for adc in (ALARM, NORMAL):
                self.twins.adcs[number] = adc
                self._turns(6)

    def _read(self) -> None:
        for number in range(self.twins.core.inputs):
            if self.chance.random() < 0.3:
                self.twins.adcs[number] = self.chance.choice(READINGS) + self.chance.randrange(-3, 4)
        self._turns(self.chance.randrange(8))

    def _crowd(self) -> None:
        """The host commits nothing while one button after the other is pressed: the ring fills with presses."""
        self.twins.reported.clear()
        for _ in range(self.chance.randrange(3, 25)):
            self.twins.adcs[self.chance.randrange(4)] = self.chance.choice((NORMAL, ALARM))
            self._turns(4)

    def _draw_out(self) -> None:
        """Whatever is to be said is asked for, sometimes the session begins anew, and then all of it is received."""
        for wanted in self.chance.choices((1, 2, 9), k=self.chance.randrange(7)):
            self.twins.hear(self.twins.frame(Kind.GET, 0, 0, bytes((wanted,)), (True, False), True))
        if self.chance.random() < 0.5:
            self.twins.hear(self.twins.frame(Kind.RESET, 0, 0, b"\x01", (False, False), True))
        for _ in range(self.chance.randrange(30)):
            self.twins.hear(self.twins.frame(Kind.HEARTBEAT, 0, 1, b"", (False, False), True))

    def _wires(self) -> None:
        self.twins.to_board_ok = self.chance.random() < 0.7
        self.twins.to_host_ok = self.chance.random() < 0.7

    def _commit(self) -> None:
        while self.twins.reported and self.chance.random() < 0.9:
            self.twins.commit(self.chance.randrange(16))
        self._turns(2)

    def _host(self) -> None:
        self.twins.restart_host()
        self._turns(self.chance.randrange(30))

    def _say(self) -> None:
        """Something that the host may say, under the number that the board expects."""
        kind, payload = self.chance.choice((
            (Kind.GET, bytes((self.chance.randrange(5),))),
            (Kind.NAK, bytes((self.chance.randrange(3),))),
            (Kind.OUTPUT, bytes((self.chance.randrange(4),))),
            (Kind.TEST, bytes((self.chance.randrange(4), self.chance.randrange(4)))),
            (Kind.SYNC, self.chance.randbytes(self.chance.randrange(6))),
            (Kind.CONFIG, self._config()),
            (Kind.RESET, b"\x01"),
            (Kind.HELLO, self.chance.randbytes(24)),
            (Kind.ACK, self._keys()),
        ))  # fmt: skip
        repeats = self.chance.choice((1, 1, 1, 7))
        for _ in range(repeats):
            numbered = kind in say.NUMBERED or self.chance.random() < 0.2
            flags = (numbered, False)
            self.twins.hear(self.twins.frame(kind, 0, self.chance.choice((0, 0, 1)), payload, flags, True))
        self._turns(1)

    def _config(self) -> bytes:
        edges = sorted(self.chance.randrange(1024) for _ in range(6))
        if self.chance.random() < 0.2:
            edges = [self.chance.randrange(0x10000) for _ in range(6)]
        config = say.Config(
            self.chance.randrange(9), self.chance.randrange(1, 4), self.chance.randrange(1, 5),
            self.chance.choice((0, 10, 30, 50, 65535)), *edges,
        )  # fmt: skip
        return config.to_payload()

    def _keys(self) -> bytes:
        held = self.twins.board.held
        keys = [(each.boot_id, each.event_id) for each in held if self.chance.random() < 0.5][:6]
        self.twins.committed.update(keys)
        return say.Ack((*keys, (99, 99))).to_payload()[: 56 - self.chance.randrange(3)]

    def _misnumbered(self) -> None:
        seq, ack = self.chance.choice((1, 2, 127, 128, 129, 255)), self.chance.choice((0, 1, 2, 255))
        flags = (self.chance.random() < 0.8, self.chance.random() < 0.5)
        payload = self.chance.randbytes(self.chance.randrange(57))
        this_session = self.chance.random() < 0.8
        kind = self.chance.choice([each for each in Kind if each is not Kind.ACK])
        self.twins.hear(self.twins.frame(kind, seq, ack, payload, flags, this_session))

    def _noise(self) -> None:
        for _ in range(self.chance.randrange(4)):
            self.twins.hear(self.chance.randbytes(self.chance.randrange(90)) + b"\x00")
            first = self.chance.choice((0x10, 0x1F, 0x05, 0x25, 0x15))
            self.twins.hear(self.twins.strange(first, self.chance.randbytes(self.chance.randrange(57))))
            self._turns(self.chance.randrange(3))

    def _spoilt(self) -> None:
        frame = self.twins.frame(Kind.GET, 0, 0, b"\x02" * self.chance.randrange(57), (True, False), True)
        self.twins.hear(self.twins.spoil(frame))
        self._turns(self.chance.randrange(8))

    def _reset(self) -> None:
        """A start; sometimes one input chatters through it, and the snapshot waits for that."""
        self.twins.start(self.chance.choice(list(ResetCause)))
        chatters = self.chance.randrange(2 * self.twins.core.inputs)
        for at in range(self.chance.choice((0, 5, 30, 60))):
            if chatters < self.twins.core.inputs:
                self.twins.adcs[chatters] = (NORMAL, ALARM)[at % 2]
            self.twins.turn(10)

    def _cut(self) -> None:
        """The power goes in the middle of the writes that some changes make."""
        before = self.twins.durable()
        for number in range(4):
            if self.chance.random() < 0.6:
                self.twins.adcs[number] = self.chance.choice((NORMAL, ALARM))
        if self.twins.reported and self.chance.random() < 0.5:
            self.twins.commit(0)
        left = self.chance.choice((0, 1, 2, 14, 15, 16, 17, 30, 31, self.chance.randrange(80)))
        self.twins.core.limits(power=left)
        for _ in range(6):
            self.twins.turn(10, cut=True)
        self.twins.assert_kept(before, self.twins.core.image())
        self.twins.start(ResetCause.BROWN_OUT)

    def _long(self) -> None:
        ms = self.chance.choice((99, 999, 1000, 9_990, 65_530, 131_073, 1 << 29))
        if self.chance.random() < 0.5:
            self.twins.turn(ms)
        else:
            self.twins.pass_time(ms)

    def _wrap(self) -> None:
        self.twins.near_the_wrap(self.chance.choice((10, 500, 3000)))


@pytest.mark.parametrize("seed", range(8))
def test_two_lives_are_one(core: Core, seed: int) -> None:
    Life(core, seed).live(250)


def test_a_full_ring_takes_the_cell_of_a_button_that_is_held(core: Core) -> None:
    twins = Twins(core, 0)
    twins.adcs[3] = ALARM
    for _ in range(60):
        twins.turn(10)
    twins.commit(0)
    twins.turn(10)
    assert [cell.committed for cell in cells_of(twins.image) if cell is not None] == [True]
    twins.to_host_ok = False
    for press in range(20):
        for adc in (ALARM, NORMAL):
            twins.adcs[press % 3] = adc
            for _ in range(5):
                twins.turn(10)
            twins.assert_same()
    assert [cell.committed for cell in cells_of(twins.image) if cell is not None] == [False] * PLACES
