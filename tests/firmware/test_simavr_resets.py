"""Why the chip started, the watchdog that starts it anew, and the name it gets: real firmware in simavr."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge import eeprom
from firmware_bridge.messages import ResetCause
from tests.fakes.simavr import NEEDS_SIMAVR, Built, Loader, Lockstep, built
from tests.fakes.simavr.lockstep import SIREN

pytestmark = NEEDS_SIMAVR

PORF, EXTRF, BORF, WDRF = 1, 2, 4, 8
ADCSRA, ADSC, TIMSK0 = 0x7A, 0x40, 0x6E
UID = bytes.fromhex("0123456789abcdef")


@pytest.fixture
def board(parts: Built, tmp_path: Path) -> Iterator[Lockstep]:
    """A board that is up."""
    lockstep = Lockstep(parts, tmp_path)
    lockstep.plug()
    lockstep.up()
    yield lockstep
    lockstep.stop()


def _cause(board: Lockstep) -> ResetCause:
    assert board.link.hello is not None
    return ResetCause(board.link.hello.reset_cause)


@pytest.mark.parametrize(
    ("loader", "flags", "cause"),
    [
        (Loader.NONE, PORF, ResetCause.POWER_ON),
        (Loader.NONE, PORF | BORF | EXTRF, ResetCause.POWER_ON),
        (Loader.NONE, EXTRF, ResetCause.EXTERNAL),
        (Loader.NONE, BORF, ResetCause.BROWN_OUT),
        (Loader.NONE, WDRF, ResetCause.WATCHDOG),  # a hang with interrupts off leaves no mark in RAM
        (Loader.PASSES_ON, PORF, ResetCause.POWER_ON),
        (Loader.PASSES_ON, EXTRF | WDRF, ResetCause.EXTERNAL),  # the reset pin, then the boot loader's way out
        (Loader.PASSES_ON, WDRF, ResetCause.UNKNOWN),  # that way out of an older one, or a hang: nobody can tell
        (Loader.SILENT, EXTRF, ResetCause.UNKNOWN),
        (Loader.SILENT, PORF, ResetCause.UNKNOWN),
    ],
)
def test_the_cause_of_a_start(board: Lockstep, loader: Loader, flags: int, cause: ResetCause) -> None:
    board.chip.tell(f"boot {loader} 0")
    board.reset(flags)
    board.up()
    assert _cause(board) is cause


@pytest.mark.parametrize("loader", list(Loader))
def test_a_hang_is_ended_within_a_second_and_said_to_be_one(board: Lockstep, loader: Loader) -> None:
    board.chip.tell(f"boot {loader} 0")
    board.link.output(True, False, board._now_ns())
    board.until(lambda: board.driven, 1, "the siren")
    hung_s = board.now_s
    board.chip.tell("hang 1")
    board.until(lambda: board.status()["resets"] == 2, 2, "the watchdog")
    assert 0.9 < board.now_s - hung_s < 1.1
    assert board.driven[-1][1] == 0, "what it drove is off"
    board.up()
    assert _cause(board) is ResetCause.WATCHDOG
    board.until(lambda: board.driven[-1][1] == SIREN, 3, "and on again when the host says so")
    board.until(lambda: board.link.heartbeat.get("watchdog_resets") == 1, 3, "it is counted")


def test_an_adc_that_stops_is_a_hang(board: Lockstep) -> None:
    for _ in range(50):
        board.run(0.0003)
        if int(board.chip.tell(f"peek {ADCSRA} 1")["bytes"], 16) & ADSC:
            break
    board.chip.tell(f"poke {ADCSRA} 0")
    board.until(lambda: board.status()["resets"] == 2, 2, "the watchdog")
    board.up()
    assert _cause(board) is ResetCause.WATCHDOG
    board.set(0, "alarm")
    board.until(lambda: board.events("alarm"), 1, "inputs are read again")


def test_a_timer_that_stops_is_a_hang(board: Lockstep) -> None:
    board.chip.tell(f"poke {TIMSK0} 0")
    board.until(lambda: board.status()["resets"] == 2, 2, "the watchdog")
    board.up()
    assert _cause(board) is ResetCause.WATCHDOG


def test_presses_before_and_after_a_hang(board: Lockstep) -> None:
    """Pressed and held just before the hang, which hides the release; told once, and the next press is another."""
    board.commits = False
    board.set(1, "alarm")
    board.until(lambda: board.events("alarm"), 1, "the press")
    board.run(0.2)
    board.chip.tell("hang 1")
    board.run(0.3)
    board.set(1, "normal")
    board.up()
    board.run(2)
    (press,) = board.events("alarm")
    assert board.events("normal")
    board.commit_all()
    board.set(1, "alarm")
    board.until(lambda: len(board.events("alarm")) == 2, 1, "the second press")
    assert board.events("alarm")[1].boot_id == press.boot_id + 1


def test_a_board_that_nobody_named_says_so(parts: Built, tmp_path: Path) -> None:
    board = Lockstep(parts, tmp_path, image=b"\xff" * eeprom.IMAGE_BYTES)
    try:
        board.plug()
        board.run(1)
        assert board.status()["fault_led"], "lit, on a board that was not flashed as it should be"
        assert eeprom.uid_of(board.image()) == b"\xff" * 8
    finally:
        board.stop()


@pytest.fixture(scope="module")
def flashed(parts: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The image that `make flash` writes."""
    return built(tmp_path_factory.mktemp("flashed"), uid=UID, harness=parts.harness)


def test_a_flashed_board_gets_its_name_and_keeps_it(flashed: Built, tmp_path: Path) -> None:
    board = Lockstep(flashed, tmp_path, image=b"\xff" * eeprom.IMAGE_BYTES)
    try:
        board.plug()
        board.up()
        assert board.link.board_uid == UID.hex()
        assert not board.status()["fault_led"]
    finally:
        board.stop()
    old = bytes.fromhex("1111111111111111")
    board = Lockstep(flashed, tmp_path, image=eeprom.blank(old))
    try:
        board.plug()
        board.up()
        assert board.link.board_uid == old.hex(), "a board that is flashed again stays the same board"
    finally:
        board.stop()


def test_a_power_cut_while_the_name_is_written(flashed: Built, tmp_path: Path) -> None:
    chance = random.Random(11)
    for _ in range(6):
        board = Lockstep(flashed, tmp_path, image=b"\xff" * eeprom.IMAGE_BYTES)
        try:
            for _ in range(3):
                board.plug()
                board.run(chance.uniform(0.001, 0.03))
                board.unplug()
            board.plug()
            board.up()
            assert board.link.board_uid == UID.hex()
        finally:
            board.stop()


def test_boots_are_numbered_through_power_cuts_at_any_moment(board: Lockstep) -> None:
    """No number of a boot in which the board spoke is used twice."""
    spoke = [board.boot_id()]
    chance = random.Random(5)
    for _ in range(12):
        board.unplug()
        board.plug()
        board.run(chance.uniform(0.001, 0.25))
        hello = board.link.hello
        if board.link.up and hello is not None:
            spoke.append(hello.boot_id)
    assert len(spoke) > 4
    assert spoke == sorted(set(spoke))
