"""A key of an event is never one that another event had, whatever became of the numbers in the EEPROM of a board."""

import itertools

import pytest

from firmware_bridge import eeprom
from firmware_bridge import messages as say
from firmware_bridge.names import BoardNames, Named
from firmware_bridge.reports import Trouble
from tests.firmware_bridge.world import MS, UID, World

S = 1000 * MS
MINUTE = 60 * S
NONE = (b"\xff" * 8, bytes(8))


def _names(*stored: tuple[str, int, int]) -> BoardNames:
    count = itertools.count(1)
    names = BoardNames(lambda: f"mark{next(count)}")
    names.take_over(stored)
    return names


def _name(names: BoardNames, bridge: str, hello: say.Hello, now_ns: int, late_ns: int = 5 * MS) -> Named:
    """Asked so long before the answer came."""
    return names.name(bridge, hello, now_ns - late_ns, now_ns)


def _hello(boot_id: int, t_ms: int = 0, uid: bytes = UID) -> say.Hello:
    return say.Hello(1, (0, 1, 0), uid, boot_id, say.ResetCause.POWER_ON, 2, 0, t_ms)


def test_a_board_in_good_order_goes_by_its_uid_for_ever() -> None:
    names = _names((UID.hex(), 7, 50 * S))
    assert _name(names, "B1", _hello(8), 100 * S) == Named(UID.hex())
    assert _name(names, "B1", _hello(8, 60_000), 160 * S) == Named(UID.hex()), "another session of the same boot"
    assert _name(names, "B1", _hello(9), 170 * S) == Named(UID.hex())
    names.gone("B1")
    assert _name(names, "B2", _hello(9, 10_000), 180 * S) == Named(UID.hex()), "behind another port"


def test_a_boot_that_outlives_the_host_keeps_its_name() -> None:
    names = _names((UID.hex(), 7, -20 * S))
    assert _name(names, "B1", _hello(7, 3_600_000), 100 * S) == Named(UID.hex())


@pytest.mark.parametrize("boot_id", [1, 6, 7])
def test_a_boot_counter_that_went_back_gets_another_name(boot_id: int) -> None:
    names = _names((UID.hex(), 7, 50 * S))
    first = _name(names, "B1", _hello(boot_id, 20), 100 * S)
    assert first == Named(f"{UID.hex()}~mark1", Trouble.BOOT_WENT_BACK)
    assert _name(names, "B1", _hello(boot_id, 60_020), 160 * S) == first, "the same boot, another session"
    assert _name(names, "B1", _hello(8), 170 * S) == Named(UID.hex()), "a number that nobody had"


def test_an_eeprom_erased_while_the_host_runs_is_noticed_though_the_number_is_the_same() -> None:
    names = _names()
    assert _name(names, "B1", _hello(1, 20), 100 * S) == Named(UID.hex())
    assert _name(names, "B1", _hello(1, 20), 160 * S).trouble is Trouble.BOOT_WENT_BACK


def test_a_board_in_the_place_of_another_that_started_a_moment_before_is_not_taken_for_it() -> None:
    for uid in (UID, NONE[0]):
        names = _names()
        first = _name(names, "B1", _hello(1, 800, uid), 100 * S)
        names.gone("B1")
        assert _name(names, "B1", _hello(1, 50, uid), 101 * S) != first


def test_an_answer_that_was_slow_to_come_is_of_the_same_boot() -> None:
    names = _names()
    first = _name(names, "B1", _hello(1, 800), 100 * S, late_ns=900 * MS)
    assert _name(names, "B1", _hello(1, 61_000), 160 * S) == first, "it started at 99 s"
    assert _name(names, "B1", _hello(1, 121_000), 220 * S + 900 * MS, late_ns=900 * MS) == first
    assert _name(names, "B1", _hello(1, 86_521_000), 86_620 * S + 400 * S) == first, "0.5 % of a day off"


def test_the_counter_of_milliseconds_may_wrap() -> None:
    names = _names()
    wrap = 1 << 32
    assert _name(names, "B1", _hello(1, wrap - 1000), 100 * S) == Named(UID.hex())
    assert _name(names, "B1", _hello(1, 1000), 102 * S) == Named(UID.hex())


def test_two_boards_with_one_uid_on_one_host() -> None:
    names = _names()
    assert _name(names, "B1", _hello(5), 100 * S) == Named(UID.hex())
    other = _name(names, "B2", _hello(9), 101 * S)
    assert other == Named(f"{UID.hex()}~mark1", Trouble.UID_TWICE)
    assert _name(names, "B1", _hello(6), 110 * S).trouble is Trouble.UID_TWICE, (
        "its next boot could be one of the other"
    )
    names.gone("B1")
    assert _name(names, "B2", _hello(9, 20_000), 121 * S) == other


def test_after_a_restart_of_the_host_the_other_of_the_two_comes_first() -> None:
    names = _names((UID.hex(), 5, 50 * S), (f"{UID.hex()}~mark0", 9, 50 * S))
    assert _name(names, "B2", _hello(4, 1000), 100 * S).trouble is Trouble.BOOT_WENT_BACK
    assert _name(names, "B1", _hello(5, 90_000), 100 * S).trouble is Trouble.UID_TWICE


@pytest.mark.parametrize("uid", NONE)
def test_a_board_without_a_uid_has_another_name_in_each_boot(uid: bytes) -> None:
    names = _names()
    first = _name(names, "B1", _hello(1, 0, uid), 100 * S)
    assert first == Named(f"{uid.hex()}~mark1", Trouble.UID_NONE)
    assert _name(names, "B1", _hello(1, 30_000, uid), 130 * S) == first
    names.gone("B1")
    assert _name(names, "B1", _hello(1, 40_000, uid), 140 * S) == first, "the plug was loose"
    assert _name(names, "B1", _hello(2, 0, uid), 150 * S).name == f"{uid.hex()}~mark2"
    assert _name(names, "B2", _hello(2, 0, uid), 150 * S).name == f"{uid.hex()}~mark3"


def _alarms(world: World) -> int:
    """Presses that somebody who keys on (name, boot, event) knows of."""
    return sum(event.state == "alarm" for event in world.store.committed.values())


def _troubles(world: World) -> tuple[Trouble, ...]:
    assert world.link is not None
    return world.link.troubles


@pytest.mark.parametrize("erased_while_the_host_is_down", [False, True])
@pytest.mark.parametrize("presses_before", [1, 3])
def test_a_press_after_the_eeprom_was_erased_is_told(erased_while_the_host_is_down: bool, presses_before: int) -> None:
    world = World()
    world.run(2 * S)
    for _ in range(presses_before):
        world.press()
    world.run(1 * S)
    assert _alarms(world) == presses_before
    world.run(30 * S)
    world.power_off()
    if erased_while_the_host_is_down:
        world.host_kill()
    world.image = eeprom.blank(UID)
    world.run(20 * S)
    world.power_on()
    if erased_while_the_host_is_down:
        world.host_start()
    world.run(2 * S)
    assert _troubles(world) == (Trouble.BOOT_WENT_BACK,)
    for number in range(1, 4):
        world.press()
        world.run(1 * S)
        assert _alarms(world) == presses_before + number, "each, and once"
    assert world.board is not None
    assert world.board.held == [], "it is acknowledged under the number that the board knows"


@pytest.mark.parametrize("uid", NONE)
def test_every_press_of_a_board_without_a_uid_is_told(uid: bytes) -> None:
    world = World(uid=uid)
    world.run(2 * S)
    told = 0
    for number in range(12):
        if number % 4 == 1:
            world.replug()
        elif number % 4 == 2:
            world.power_off()
            world.image = eeprom.blank(uid)  # the next board, also without one
            world.run(5 * S)
            world.power_on()
        elif number % 4 == 3:
            world.host_kill()
            world.run(1 * S)
            world.host_start()
        world.run(3 * S)
        world.press()
        world.run(1 * S)
        assert _troubles(world) == (Trouble.UID_NONE,)
        assert _alarms(world) > told
        told = _alarms(world)
    assert told == 12


def test_what_was_not_committed_when_the_host_died_may_be_told_twice_and_is_told() -> None:
    world = World(uid=NONE[0])
    world.run(2 * S)
    world.commit_after_ns = None
    world.press()
    world.host_kill()
    world.commit_after_ns = 0
    world.host_start()
    world.run(2 * S)
    assert _alarms(world) == 1
    assert world.board is not None
    assert world.board.held == []


def test_a_host_that_stops_and_starts_tells_a_good_board_no_press_twice() -> None:
    world = World()
    world.run(2 * S)
    for number in range(1, 6):
        world.press()
        world.host_kill()
        world.run(2 * S)
        world.host_start()
        world.run(2 * S)
        assert _alarms(world) == number
        assert _troubles(world) == ()
        if number == 3:
            world.power_off()
            world.power_on()
            world.run(2 * S)
