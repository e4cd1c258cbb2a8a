"""Everything that can happen to a link at once, to a board of whatever make. What comes of it is asserted here."""

import random

from firmware_bridge.configuration import Wired, configs
from firmware_bridge.eeprom import config_of
from firmware_bridge.messages import InputKind, InputMode
from tests.fakes.serial_line import Badness
from tests.firmware_bridge.world import MS, MakeBoard, World

S = 1000 * MS
WIRED = {0: Wired(InputKind.PANIC), 1: Wired(InputKind.CONTACT, InputMode.OPENS_ON_ALARM)}


def survives(make_board: MakeBoard, seed: int, rounds: int) -> None:
    """Byte by byte, 20 % of the frames lost, 10 % spoilt, late; reconnected with and without what was under way;
    hosts killed, disks dead, power cut; configured anew meanwhile. Each press is stored once, in order, none is lost,
    and the board ends up with the configuration of the last host."""
    chance = random.Random(seed)
    world = World(Badness(loss=0.2, corruption=0.1, delay_ns=5 * MS), seed, make_board=make_board, wired=WIRED)
    world.run(2 * S)
    for _ in range(rounds):
        match chance.randrange(8):
            case 0:
                world.replug()
            case 1 | 2:
                world.replug(stale=True)
            case 3:
                world.host_kill()
                world.run(chance.randrange(2000) * MS)
                world.wired = WIRED if chance.random() < 0.7 else {0: WIRED[0]}
                world.host_start()
            case 4:
                world.run(120 * MS)  # EEPROM takes 15 bytes of a press and one of another, 3.4 ms each
                world.power_off()
                world.run(chance.randrange(500) * MS)
                world.power_on()
                world.run(60 * MS)
            case 5:
                world.commit_after_ns = None
            case _:
                world.commit_after_ns = chance.randrange(200) * MS
        if world.board is not None and len(world.board.held) < 10:
            world.press(hold_ns=50 * MS, after_ns=chance.randrange(60, 400) * MS)
    world.commit_after_ns = 5 * MS
    world.run(90 * S)
    made = world.presses_made()
    assert len(made) > rounds // 4
    alarms = {key for key, event in world.store.committed.items() if (event.input_no, event.state) == (0, "alarm")}
    assert alarms == set(made), "each press once, by key"
    assert world.board is not None
    assert world.board.held == []
    assert world.link is not None
    assert world.link.up
    assert world.link.troubles == ()
    assert world.wired is not None
    assert [config_of(world.image, number) for number in range(2)] == list(configs(2, world.wired))
