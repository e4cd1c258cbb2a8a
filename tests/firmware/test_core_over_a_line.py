"""A real host and the firmware's core over lines that lose, spoil, delay and are cut. What a press must survive."""

import random
from collections.abc import Sequence

import pytest

from firmware_bridge import eeprom
from firmware_bridge.configuration import Wired, configs
from firmware_bridge.messages import Config, InputKind, InputMode, LineState, ResetCause
from firmware_bridge.reports import Trouble
from tests.fakes.board_core import Core, CoreBoard
from tests.fakes.serial_line import Badness
from tests.firmware_bridge.end_to_end import survives
from tests.firmware_bridge.world import ALARM, MS, NORMAL, MakeBoard, World

pytestmark = pytest.mark.needs_debian("gcc")

S = 1000 * MS
ALL = Badness(loss=0.2, corruption=0.1, delay_ns=30 * MS)


def _made_of(core: Core, as_the_chip: bool) -> MakeBoard:
    def make(image: bytes, configs: Sequence[Config], cause: ResetCause) -> CoreBoard:
        return CoreBoard(core, image, configs, cause, as_the_chip)

    return make


@pytest.mark.parametrize("line", [Badness(), Badness(loss=0.2), ALL], ids=["good", "lossy", "all"])
@pytest.mark.parametrize("as_the_chip", [False, True], ids=["at once", "as the chip"])
def test_every_press_arrives_once_over_a_bad_line(core_of_two: Core, line: Badness, as_the_chip: bool) -> None:
    world = World(line, 1, make_board=_made_of(core_of_two, as_the_chip))
    world.run(5 * S)
    for _ in range(20):
        world.press(hold_ns=60 * MS, after_ns=540 * MS)
    world.run(30 * S)
    assert len(world.presses_made()) == 20
    told = [(each.board_uid, each.boot_id, each.event_id) for each in world.events() if each.state == "alarm"]
    assert told == world.presses_made(), "each once, in order"
    assert world.board is not None
    assert world.board.held == []


@pytest.mark.parametrize("seed", range(4))
def test_every_press_survives_every_fault(core_of_two: Core, seed: int) -> None:
    """Loss, corruption, cut cables, host kills, dead disks, power cuts of the board: none of them loses a press."""
    chance = random.Random(seed)
    world = World(
        Badness(loss=0.1, corruption=0.1, delay_ns=5 * MS), seed, make_board=_made_of(core_of_two, seed % 2 == 1)
    )
    world.run(2 * S)
    for _ in range(30):
        match chance.choice([0, 1, 2, 3, 4, 4, 4, 5]):
            case 0:
                world.replug()
            case 1:
                world.host_kill()
                world.run(chance.randrange(2000) * MS)
                world.host_start()
            case 2:
                world.run(120 * MS)  # 15 bytes of a press and one of another that is cleared, 3.4 ms each
                world.power_off()
                world.run(chance.randrange(500) * MS)
                world.power_on()
                world.run(60 * MS)
            case 3:
                world.commit_after_ns = None
            case 4:
                world.commit_after_ns = chance.randrange(200) * MS
            case _:
                world.hold(1, chance.choice([NORMAL, ALARM]), 100 * MS)
        if world.board is not None and len(world.board.held) < 10:
            world.press(hold_ns=50 * MS, after_ns=chance.randrange(60, 400) * MS)
    world.commit_after_ns = 5 * MS
    world.run(60 * S)
    assert len(world.presses_made()) > 5
    alarms = {key for key, event in world.store.committed.items() if (event.input_no, event.state) == (0, "alarm")}
    assert alarms == set(world.presses_made()), "at least once and, by key, exactly once"
    assert world.board is not None
    assert world.board.held == []


@pytest.mark.parametrize("seed", range(4))
def test_everything_at_once(core_of_two: Core, seed: int) -> None:
    survives(_made_of(core_of_two, seed % 2 == 1), seed, 30)


def test_the_core_keeps_the_configuration_that_it_is_told(core_of_two: Core) -> None:
    wired = {0: Wired(InputKind.PANIC, InputMode.CLOSES_ON_ALARM)}
    world = World(make_board=_made_of(core_of_two, True), wired=wired)
    world.adcs = [1020, 600]
    world.run(5 * S)
    assert [eeprom.config_of(world.image, number) for number in range(2)] == list(configs(2, wired))
    assert world.board is not None
    assert world.board.states == [LineState.NORMAL, LineState.NORMAL]
    assert world.link is not None
    assert world.link.troubles == ()
    world.hold(0, 3, 100 * MS)
    assert [each.state for each in world.events() if each.input_no == 0] == ["normal", "alarm"]
    image = world.image
    for _ in range(3):
        world.host_kill()
        world.host_start()
        world.run(3 * S)
    assert [eeprom.config_of(image, number) for number in range(2)] == list(configs(2, wired))
    assert world.link.troubles == ()


def test_a_press_after_the_eeprom_of_the_core_was_erased_is_told(core_of_two: Core) -> None:
    world = World(make_board=_made_of(core_of_two, True))
    world.run(2 * S)
    world.press()
    world.run(1 * S)
    world.power_off()
    world.image = eeprom.blank(world.uid)
    world.run(10 * S)
    world.power_on()
    world.run(2 * S)
    world.press()
    world.run(1 * S)
    assert sum(event.state == "alarm" for event in world.store.committed.values()) == 2
    assert world.board is not None
    assert world.board.held == []
    assert world.link is not None
    assert world.link.troubles == (Trouble.BOOT_WENT_BACK,)


def test_a_latched_press_reaches_a_new_host_under_its_key(core_of_two: Core) -> None:
    world = World(make_board=_made_of(core_of_two, True))
    world.run(2 * S)
    world.host_kill()
    world.press()
    world.power_off()
    world.run(1 * S)
    world.power_on(ResetCause.BROWN_OUT)
    world.host_start()
    world.run(1 * S)
    (alarm, *rest) = [event for event in world.events() if event.state == "alarm"]
    assert (alarm.boot_id, alarm.late, rest) == (1, True, [])
    assert world.board is not None
    assert world.board.held == []


def test_a_stuck_input_does_not_hold_up_the_others(core_of_two: Core) -> None:
    world = World(make_board=_made_of(core_of_two, True))
    world.run(1 * S)
    world.commit_after_ns = None
    for _ in range(30):
        world.hold(1, ALARM, 70 * MS)
        world.hold(1, NORMAL, 70 * MS)
    pressed_ns = world.now_ns
    world.press()
    alarm = next(event for event in world.events() if event.input_no == 0)
    assert alarm.received_mono_ns - pressed_ns <= 60 * MS
    world.run(100 * MS)
    assert world.snapshots()[-1].received_mono_ns > pressed_ns, "an overflow forces a snapshot"


def test_without_a_host_the_board_sounds_the_siren_itself(core_of_two: Core) -> None:
    world = World(make_board=_made_of(core_of_two, True))
    world.run(2 * S)
    world.host_kill()
    world.run(11 * S)
    assert world.board is not None
    assert not world.board.outputs(13 * S).siren
    world.press()
    assert world.board.outputs(13 * S + 200 * MS).siren
    world.host_start()
    world.run(1 * S)
    assert not world.board.outputs(14 * S + 200 * MS).siren, "the host has it now"
