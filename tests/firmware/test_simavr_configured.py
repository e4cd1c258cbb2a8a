"""The firmware as built for the chip, told by the host how its inputs are wired, with the power cut in between."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge import eeprom
from firmware_bridge.configuration import Wired, config_crc, configs
from firmware_bridge.link import HostLink
from firmware_bridge.messages import InputKind, InputMode
from firmware_bridge.reports import LinkChanged
from tests.fakes.simavr import NEEDS_SIMAVR, Built, Lockstep

pytestmark = NEEDS_SIMAVR

WIRED = {0: Wired(InputKind.PANIC), 5: Wired(InputKind.PANIC, InputMode.CLOSES_ON_ALARM)}
WHOLE = configs(8, WIRED)


@pytest.fixture
def board(parts: Built, tmp_path: Path) -> Iterator[Lockstep]:
    lockstep = Lockstep(parts, tmp_path)
    lockstep.link = HostLink(WIRED)
    yield lockstep
    lockstep.stop()


def _has_it(board: Lockstep) -> bool:
    return board.link.hello is not None and board.link.hello.config_crc == config_crc(WHOLE)


def test_the_firmware_gets_what_is_wired_and_is_asked_whether_it_has_it(board: Lockstep) -> None:
    board.plug()
    board.move(5, 5000)
    took_s = board.until(lambda: _has_it(board), 5, "the verifying HELLO")
    assert took_s < 3
    board.run(2)
    assert [eeprom.config_of(board.image(), number) for number in range(8)] == list(WHOLE)
    assert board.link.troubles == ()
    assert [each.up for each in board.of(LinkChanged)] == [True]
    assert board.events("alarm") == []
    told = len(board.events())
    for mv in (0, 1500, 2932, 3333, 5000, 2500):
        board.move(3, mv)
        board.run(0.2)
    assert len(board.events()) == told, "nothing hangs on input 3"
    board.move(5, 0)
    board.until(lambda: board.events("alarm", 5), 1, "a press of the bare contact")
    board.run(1)
    board.unplug()
    board.plug()
    board.up()
    board.run(2)
    assert len(board.events("alarm", 5)) == 1, "held all the while, it is no second press"
    assert _has_it(board)


@pytest.mark.parametrize("cut_after_s", [0.05, 0.15, 0.3, 0.5])
def test_the_power_is_cut_while_it_is_told(board: Lockstep, cut_after_s: float) -> None:
    board.plug()
    board.up()
    board.run(cut_after_s)
    board.unplug()
    board.run(0.2)
    board.plug()
    board.until(lambda: _has_it(board), 8, "the whole configuration")
    board.press(0)
    board.until(lambda: board.events("alarm", 0), 2, "a press")
    board.run(3)
    assert [eeprom.config_of(board.image(), number) for number in range(8)] == list(WHOLE)
    assert board.link.troubles == ()
