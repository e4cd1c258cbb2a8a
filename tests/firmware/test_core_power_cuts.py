"""The power of the core is cut after any byte of EEPROM: what it has kept once, it has for ever."""

from dataclasses import replace

import pytest

from firmware_bridge import eeprom
from firmware_bridge import messages as say
from firmware_bridge.board import default_config
from firmware_bridge.frame import Deframer, Frame, Kind, crc16
from firmware_bridge.messages import ResetCause
from tests.fakes.board_core import Core
from tests.firmware.slow_eeprom import ALARM, SlowEeprom, press_and_commit
from tests.firmware.twins import NORMAL, UID

_RESET = Frame(Kind.RESET, 1, 0, 0, b"\x01").to_bytes()

pytestmark = pytest.mark.needs_debian("gcc")


@pytest.mark.parametrize("seed", range(6))
def test_a_press_once_kept_is_kept_through_every_byte(core: Core, seed: int) -> None:
    assert press_and_commit(core, seed) > 300


@pytest.mark.parametrize("after_bytes", [0, 1, 2, 8, 15, 16, 17])
def test_a_button_held_through_a_cut_is_told_under_one_key(core: Core, after_bytes: int) -> None:
    """Its press is committed, and the power goes while that is being written."""
    life = SlowEeprom(core)
    life.pass_time(60)
    life.adcs[0] = ALARM
    life.pass_time(150)
    (pressed,) = core.held().events
    life.commit(pressed)
    life.pass_time(after_bytes)
    core.limits()
    core.start(ResetCause.POWER_ON, 0)
    core.receive(_RESET, 0)
    for now_ms in range(0, 200, 10):
        core.sample(life.adcs, now_ms)
        core.tick(now_ms)
    assert [each.event_id for each in core.held().events if each.boot_id != pressed.boot_id] == []
    assert [each.event_id for each in core.held().events] in ([], [pressed.event_id])


def test_the_boot_counter_survives_a_cut_after_any_byte(core: Core) -> None:
    core.limits()
    core.load(eeprom.blank(UID))
    newest = 0
    for boot in range(40):
        before = core.image()
        core.load(before)
        core.limits(power=boot % 13)
        core.start(ResetCause.WATCHDOG, 0)
        told = core.held().boot_id
        whole = eeprom.next_boot(core.image())[0] - 1
        assert told == newest + 1
        assert whole in (newest, newest + 1)
        newest = whole
    core.limits()
    core.start(ResetCause.WATCHDOG, 0)
    (hello,) = Deframer().feed(core.tick(0))
    assert say.Hello.from_payload(hello.payload).boot_id == newest + 1


def test_cells_wear_alike(core: Core) -> None:
    life = SlowEeprom(core)
    life.pass_time(60)
    used = []
    for _ in range(2 * eeprom.CELLS):
        life.adcs[0] = ALARM
        life.pass_time(60)
        used += [number for number, cell in enumerate(eeprom.cells_of(core.image())) if cell is not None]
        life.adcs[0] = NORMAL
        life.pass_time(60)
        for event in core.held().events:
            life.commit(event)
        life.pass_time(20)
    assert used == [*range(eeprom.CELLS)] * 2


def test_resets_by_the_watchdog_stop_at_their_highest_value(core: Core) -> None:
    image = eeprom.written(eeprom.blank(UID), eeprom.Write(20, _counted(0xFFFE)))
    core.limits()
    core.load(image)
    for cause, told in ((ResetCause.WATCHDOG, 0xFFFF), (ResetCause.WATCHDOG, 0xFFFF), (ResetCause.POWER_ON, 0xFFFF)):
        core.start(cause, 0)
        core.receive(_RESET, 0)
        (beat,) = Deframer().feed(core.tick(1000))
        assert say.BoardHeartbeat.from_payload(beat.payload).watchdog_resets == told


def test_a_configuration_that_changes_while_it_is_written_is_kept_as_it_became(core: Core) -> None:
    core.limits()
    core.load(eeprom.blank(UID))
    core.start(ResetCause.POWER_ON, 0)
    core.receive(_RESET, 0)
    wanted: dict[int, say.Config] = {}
    for number in range(60):
        config = replace(default_config(number % 3, say.InputKind.PANIC), debounce_ms=number)
        wanted[config.input_no] = config
        core.receive(Frame(Kind.CONFIG, 1, number, 0, config.to_payload(), numbered=True).to_bytes(), number)
        core.limits(eeprom_credit=number % 31)
        core.tick(number)
    core.limits()
    core.tick(1000)
    for number, config in wanted.items():
        assert eeprom.config_of(core.image(), number) == config


def test_a_board_whose_eeprom_is_dead_still_tells_of_a_press(core: Core) -> None:
    core.limits(eeprom_credit=0)
    core.load(eeprom.blank(UID))
    core.start(ResetCause.POWER_ON, 0)
    core.receive(_RESET, 0)
    said = b""
    for now_ms in range(0, 200, 10):
        said += core.sample([ALARM] * core.inputs, now_ms) + core.tick(now_ms)
    assert Kind.EVENT in [frame.kind for frame in Deframer().feed(said)]


def _counted(resets: int) -> bytes:
    body = resets.to_bytes(2, "big")
    return body + crc16(body).to_bytes(2, "big")
