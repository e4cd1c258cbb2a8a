"""Configuration of the inputs: computed from what is wired, pushed, verified; nothing is lost meanwhile."""

from collections.abc import Sequence

import pytest

from firmware_bridge import eeprom
from firmware_bridge import messages as say
from firmware_bridge.board import Board
from firmware_bridge.configuration import Wired, config_crc, configs, unused
from firmware_bridge.debounce import Bands, classify
from firmware_bridge.link import HostLink
from firmware_bridge.messages import Config, InputKind, InputMode, LineState, ResetCause
from firmware_bridge.reports import InputEvent, LinkChanged, Snapshot, Trouble
from tests.fakes.serial_line import Badness
from tests.firmware_bridge.world import ALARM, MS, NORMAL, World

S = 1000 * MS
PANIC = Wired(InputKind.PANIC)
BARE = Wired(InputKind.PANIC, InputMode.CLOSES_ON_ALARM)
DOOR = Wired(InputKind.CONTACT, InputMode.OPENS_ON_ALARM)
CLOSED, OPEN = 3, 1020


def _stored(world: World) -> list[Config | None]:
    return [eeprom.config_of(world.image, number) for number in range(len(world.adcs))]


def _resets(world: World) -> int:
    """How many sessions the board has begun since it was powered."""
    assert isinstance(world.board, Board)
    return world.board._numbering.session


def test_the_board_gets_what_is_wired_and_says_that_it_has_it() -> None:
    world = World(inputs=3, wired={0: BARE, 1: DOOR})
    world.adcs = [OPEN, CLOSED, 600]
    world.run(2 * S)
    assert _stored(world) == list(configs(3, {0: BARE, 1: DOOR}))
    assert world.link is not None
    assert world.link.hello is not None
    assert world.link.hello.config_crc == config_crc(configs(3, {0: BARE, 1: DOOR}))
    assert world.link.troubles == ()
    assert [type(each) for each in world.reports if not isinstance(each, InputEvent)] == [
        LinkChanged,
        Snapshot,
        Snapshot,
    ]
    assert world.board is not None
    assert world.board.states == [LineState.NORMAL] * 3, "an unused input is normal, too"
    assert {each.input_no: each.state for each in world.events()} == dict.fromkeys(range(3), "normal"), "and it is told"
    assert not [each for each in world.events() if each.state == "alarm"], "none of this was a press"
    world.hold(0, CLOSED, 100 * MS)
    assert world.events()[-1].state == "alarm"


def test_what_the_board_has_is_not_told_again() -> None:
    world = World(wired={0: PANIC, 1: DOOR})
    world.run(2 * S)
    image, sessions = world.image, _resets(world)
    world.host_kill()
    world.host_start()
    world.run(20 * S)
    assert world.image == image, "EEPROM bears 100000 writes"
    assert _resets(world) == 1
    assert sessions == 2, "one to open, one to verify"
    world.power_off()
    world.power_on()
    world.run(2 * S)
    assert _stored(world) == list(configs(2, {0: PANIC, 1: DOOR}))


def test_other_settings_are_told_at_the_next_start() -> None:
    world = World(wired={0: PANIC, 1: DOOR})
    world.run(2 * S)
    world.host_kill()
    world.wired = {1: BARE}
    world.host_start()
    world.run(2 * S)
    assert _stored(world) == list(configs(2, {1: BARE}))
    events = len(world.events())
    for adc in (0, 100, 480, 600, 715, 900, 1023, NORMAL):
        world.hold(0, adc, 200 * MS)
    assert len(world.events()) == events, "nothing hangs on input 0 any more"


def test_an_unused_input_is_normal_whatever_it_reads() -> None:
    config = unused(0)
    bands = Bands(
        config.short_below, config.normal_from, config.normal_to, config.alarm_from, config.alarm_to, config.open_above
    )
    for before in (LineState.UNKNOWN, LineState.NORMAL, LineState.ALARM, LineState.FAULT):
        for adc in range(1024):
            assert classify(adc, InputMode(config.mode), bands, before) is LineState.NORMAL


def test_an_input_with_an_uncommitted_press_is_left_alone_until_the_commit() -> None:
    world = World(wired=None)
    world.run(1 * S)
    world.host_kill()
    world.press()
    world.wired = {1: DOOR}
    world.commit_after_ns = None
    world.host_start()
    world.run(10 * S)
    assert [each.state for each in world.events()] == ["alarm", "normal"]
    assert _stored(world) == [None, configs(2, {1: DOOR})[1]], "the other input did not wait"
    world.power_off()
    world.power_on()
    world.run(10 * S)
    assert world.board is not None
    held = [(each.boot_id, each.event_id) for each in world.board.held]
    assert held == [(1, 1), (2, 1)], "the press, and the release that the restart forgot, are held all the same"
    world.commit_after_ns = 0
    world.run(10 * S)
    assert (world.uid.hex(), 1, 1) in world.store.committed
    assert _stored(world) == list(configs(2, {1: DOOR}))
    assert world.board.held == []


class _Forgetful(Board):
    """A board that answers CONFIG and does not take it."""

    pushed = 0

    def _configure(self, config: Config) -> None:
        _Forgetful.pushed += 1


def test_a_board_that_does_not_keep_it_is_a_trouble_and_its_eeprom_is_spared() -> None:
    _Forgetful.pushed = 0
    world = World(wired={0: BARE}, make_board=_Forgetful)
    world.run(120 * S)
    assert _Forgetful.pushed == 2 * 2, "two rounds of two inputs, and then no more"
    assert world.link is not None
    assert world.link.troubles == (Trouble.CONFIG_REFUSED,)
    assert world.link.up, "what it tells is taken all the same"
    world.press()
    assert [each.state for each in world.events()] == ["alarm", "normal"]


def test_a_zone_on_an_input_that_the_board_does_not_have_is_a_trouble() -> None:
    world = World(inputs=2, wired={0: PANIC, 7: DOOR})
    world.run(5 * S)
    assert world.link is not None
    assert world.link.troubles == (Trouble.CONFIG_REFUSED,)
    assert _stored(world) == list(configs(2, {0: PANIC}))


class _Old(Board):
    """A board with the firmware of yesterday."""

    def _hello(self, now_ns: int) -> say.Hello:
        hello = super()._hello(now_ns)
        return say.Hello(
            hello.protocol, (0, 0, 9), hello.uid, hello.boot_id, hello.reset_cause, hello.inputs, hello.config_crc,
            hello.t_ms,
        )  # fmt: skip


def test_old_firmware_is_a_trouble() -> None:
    world = World(make_board=_Old)
    world.run(1 * S)
    assert world.link is not None
    assert world.link.troubles == (Trouble.FIRMWARE_OLD,)
    assert world.link.firmware == "0.0.9"


def test_a_board_that_vanishes_while_it_is_told_is_told_again() -> None:
    for after_ms in range(20, 400, 20):
        world = World(inputs=8, wired={0: BARE, 1: DOOR})
        world.run(after_ms * MS)
        world.power_off()
        world.run(1 * S)
        world.power_on()
        world.run(4 * S)
        assert _stored(world) == list(configs(8, {0: BARE, 1: DOOR})), after_ms


@pytest.mark.parametrize("seed", range(4))
def test_over_a_bad_line_no_press_is_lost_to_it(seed: int) -> None:
    world = World(Badness(loss=0.2, corruption=0.1, delay_ns=10 * MS), seed, wired={0: PANIC, 1: DOOR})
    for number in range(20):
        if number % 5 == 4:
            world.host_kill()
            world.wired = {0: PANIC} if number % 2 else {0: PANIC, 1: BARE}
            world.host_start()
        world.press(hold_ns=60 * MS, after_ns=340 * MS)
    world.run(60 * S)
    told = {key for key, event in world.store.committed.items() if (event.input_no, event.state) == (0, "alarm")}
    assert told == set(world.presses_made())
    assert len(told) == 20
    assert world.wired is not None
    assert _stored(world) == list(configs(2, world.wired))
    assert world.link is not None
    assert world.link.troubles == ()


def test_the_round_that_verifies_is_no_loss_of_the_link() -> None:
    world = World(wired={0: BARE, 1: DOOR})
    world.run(30 * S)
    assert [(each.up, each.reason) for each in world.changes()] == [(True, "heard")]
    world.power_off()
    world.run(5 * S)
    assert [(each.up, each.reason) for each in world.changes()][1:] == [(False, "silent")]


def test_a_board_that_never_answers_the_verifying_reset_is_told_as_silent() -> None:
    world = World(wired={0: BARE})
    assert world.link is not None
    for wanted in (True, False):
        for _ in range(1000):
            if world.link.up is wanted:
                break
            world.run(1 * MS)
        assert world.link.up is wanted
    world.power_off()
    world.run(5 * S)
    assert [each.up for each in world.changes()] == [True, False]
    assert world.changes()[-1].reason == "no_answer"


def _defaults(image: bytes, configs: Sequence[Config], cause: ResetCause) -> Board:
    return Board(image, configs, cause)


def test_a_torn_configuration_is_noticed_at_the_next_start_of_the_board() -> None:
    world = World(wired={0: BARE, 1: DOOR}, make_board=_defaults)
    world.run(2 * S)
    at = eeprom.config_write(configs(2, {0: BARE, 1: DOOR})[1]).address
    world.image = world.image[: at + 2] + b"\xff" + world.image[at + 3 :]
    world.power_off()
    world.power_on()
    world.run(3 * S)
    assert _stored(world) == list(configs(2, {0: BARE, 1: DOOR}))


def test_another_board_on_the_port_is_not_taken_when_a_uid_is_wanted() -> None:
    world = World()
    world.link = HostLink(None, "f" * 15 + "0")
    world.reports.clear()
    world.link.open(world.now_ns)
    world.adcs[0] = ALARM
    world.run(5 * S)
    assert [(each.up, each.reason.split(":")[0]) for each in world.changes()] == [(False, "wrong_board")]
    assert world.events() == []
    assert world.link.wrong_board == world.uid.hex()
