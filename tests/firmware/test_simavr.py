"""The firmware as built for the chip, in simavr, with the host's own link: what a board promises, second for second."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge import eeprom
from firmware_bridge import messages as say
from firmware_bridge.board import default_config
from firmware_bridge.frame import crc16
from firmware_bridge.messages import InputKind, ResetCause
from firmware_bridge.reports import Snapshot
from tests.fakes.simavr import MV_OF, NEEDS_SIMAVR, Built, Lockstep, built
from tests.fakes.simavr.chip import DEFAULT_UID
from tests.fakes.simavr.lockstep import FAULT_LED, SIREN, STROBE

pytestmark = NEEDS_SIMAVR

INPUTS = 8


@pytest.fixture
def board(parts: Built, tmp_path: Path) -> Iterator[Lockstep]:
    """A board that is up."""
    lockstep = Lockstep(parts, tmp_path)
    lockstep.plug()
    lockstep.up()
    yield lockstep
    lockstep.stop()


def test_it_says_who_it_is(board: Lockstep) -> None:
    hello = board.link.hello
    assert hello is not None
    assert (hello.protocol, hello.uid, hello.boot_id, hello.inputs) == (1, DEFAULT_UID, 1, INPUTS)
    assert hello.reset_cause == ResetCause.POWER_ON
    as_python = b"".join(default_config(number, InputKind.PANIC).to_payload() for number in range(INPUTS))
    assert hello.config_crc == crc16(as_python), "the same bands and times as firmware_bridge/debounce.py"
    board.until(lambda: board.link.heartbeat, 3, "a heartbeat")
    assert abs(board.link.heartbeat["supply_mv"] - 5000) < 30
    assert board.link.bad_frames == 0


def test_a_press_is_told_soon_after_its_debounce_and_forgotten_after_its_commit(board: Lockstep) -> None:
    board.commits = False
    pressed_s = board.now_s
    board.press(hold_s=0.15)
    told_s = board.until(lambda: board.events("alarm"), 1, "the press")
    assert 0.030 <= told_s - pressed_s < 0.060, "bounce, 30 ms of agreement, one round of samples, one frame"
    board.until(lambda: board.events("normal"), 1, "the release")
    (press,) = board.events("alarm")
    assert (press.input_no, press.previous, press.count, press.late) == (0, "normal", 1, False)
    assert abs(press.adc - 682) <= 3
    moved_s = press.pressed_mono_ns / 1e9 - 10
    assert -0.002 < moved_s - pressed_s < 0.020, "the first sample that showed it, by the host's clock"
    (cell,) = [cell for cell in eeprom.cells_of(board.image()) if cell is not None]
    assert (cell.boot_id, cell.event_id, cell.committed) == (1, press.event_id, False), "Python reads what C wrote"
    board.commit_all()
    board.run(1.5)
    assert board.link.heartbeat["queue_depth"] == 0
    assert eeprom.cells_of(board.image()) == [None] * eeprom.CELLS
    assert len(board.events()) == 2


def test_every_state_of_every_input(board: Lockstep) -> None:
    wanted = []
    for state in ("alarm", "open", "fault", "short", "normal"):
        for input_no in range(INPUTS):
            board.set(input_no, state)
            board.run(0.005)
        wanted += [(input_no, state) for input_no in range(INPUTS)]
        board.until(lambda: len(board.events()) == len(wanted), 2, f"all inputs are {state}")  # noqa: B023
    assert sorted((each.input_no, each.state) for each in board.events()) == sorted(wanted)
    assert board.driven == [], "no input drives an output while the host is there"


@pytest.mark.parametrize(
    ("counts", "state"),
    [(149, "short"), (160, "fault"), (489, "fault"), (500, "normal"), (560, "normal"), (600, "fault"), (641, "alarm"),
     (790, "alarm"), (815, "fault"), (929, "fault"), (941, "open")],
)  # fmt: skip
def test_the_edges_of_the_bands(board: Lockstep, counts: int, state: str) -> None:
    board.chip.tell("noise 0")
    board.set(3, "open" if state in ("short", "normal") else "short")
    board.run(0.2)
    board.move(3, -(-counts * 5000 // 1023))
    board.run(0.2)
    assert board.events(input_no=3)[-1].state == state


def test_inputs_do_not_move_with_the_supply_and_the_supply_is_told(board: Lockstep) -> None:
    board.set(1, "alarm")
    board.run(0.2)
    board.chip.tell("supply 4600")
    board.run(2)
    assert abs(board.link.heartbeat["supply_mv"] - 4600) < 30
    assert [(each.input_no, each.state) for each in board.events()] == [(1, "alarm")]


def test_the_snapshot_tells_all_inputs(board: Lockstep) -> None:
    states = ["alarm", "open", "fault", "short", "normal", "alarm", "normal", "open"]
    for input_no, state in enumerate(states):
        board.set(input_no, state)
    board.run(0.3)
    board.link.close("port_lost", board._now_ns())
    board.link.open(board._now_ns())
    board.up()
    assert board.of(Snapshot)[-1].states == dict(enumerate(states))


def test_a_reset_while_the_button_is_held_makes_no_second_press(board: Lockstep) -> None:
    board.set(0, "alarm")
    board.until(lambda: board.events("alarm"), 1, "the press")
    board.run(0.5)
    board.reset(2)
    board.up()
    assert board.downs()[-1] == "board_restarted: external"
    board.run(0.5)
    assert len(board.events("alarm")) == 1
    assert board.of(Snapshot)[-1].states[0] == "alarm"
    board.set(0, "normal")
    board.until(lambda: board.events("normal"), 1, "the release")
    board.set(0, "alarm")
    board.until(lambda: len(board.events("alarm")) == 2, 1, "the next press is one")


@pytest.mark.parametrize("committed", [False, True])
def test_a_power_cut_while_a_press_is_kept(board: Lockstep, committed: bool) -> None:
    board.commits = committed
    board.press(hold_s=0.1)
    board.until(lambda: board.events("alarm"), 1, "the press")
    board.run(0.8)
    board.unplug()
    board.run(3)
    board.plug()
    board.up()
    board.run(1)
    assert board.boot_id() == 2
    assert len(board.events("alarm")) == 1, "it comes again under its key, if at all"
    if not committed:
        assert board.events("normal")[-1].boot_id == 2, "the release, told anew: only presses survive"
        board.commit_all()
        board.run(1.5)
        assert board.link.heartbeat["queue_depth"] == 0, "and was recognised by it"


def test_no_moment_of_a_power_cut_loses_a_press_or_makes_two_of_it(parts: Built, tmp_path: Path) -> None:
    """The power goes at some moment between contact and 130 ms later: noticed, told, its cell half written, written."""
    same = 0
    for cut_ms in range(0, 131, 10):
        folder = tmp_path / str(cut_ms)
        folder.mkdir()
        board = Lockstep(parts, folder)
        try:
            board.commits = False
            board.plug()
            board.up()
            board.set(0, "alarm")
            board.run(cut_ms / 1000)
            told_before = {(each.boot_id, each.event_id) for each in board.events("alarm")}
            board.unplug()
            board.run(0.2)
            board.plug()
            board.until(lambda: board.link.hello and board.link.hello.boot_id == 2, 5, "the board is back")  # noqa: B023
            board.run(1)
            assert board.events("alarm"), f"cut after {cut_ms} ms: the button is still held, and nobody was told"
            keys = {(each.boot_id, each.event_id) for each in board.events("alarm")}
            if cut_ms >= 110:  # 30 ms of debounce, 16 bytes of 3.4 ms
                assert keys == told_before, f"cut after {cut_ms} ms: two keys for one press"
            same += keys == told_before
        finally:
            board.stop()
    assert same >= 3


def test_nothing_is_driven_by_a_start_or_a_reset(board: Lockstep) -> None:
    board.set(0, "alarm")
    board.run(0.5)
    for flags in (2, 4, 8):
        board.reset(flags)
        board.up()
    board.chip.tell("hang 1")
    board.up()
    board.unplug()
    board.plug()
    board.up()
    board.run(3)
    assert board.driven == []


def test_the_host_drives_the_outputs_and_a_reset_switches_them_off(board: Lockstep) -> None:
    board.link.output(True, False, board._now_ns())
    board.until(lambda: board.driven, 1, "the siren")
    assert board.driven[-1][1] == SIREN
    board.link.output(False, True, board._now_ns())
    board.until(lambda: len(board.driven) == 2, 1, "the strobe")
    assert board.driven[-1][1] == STROBE
    board.reset(2)
    board.run(0.001)
    assert board.driven[-1][1] == 0
    board.until(lambda: board.driven[-1][1] == STROBE, 3, "as the host wants it, again")


def test_a_silent_host_and_a_press_sound_the_siren(board: Lockstep) -> None:
    board.host_alive = False
    silent_s = board.now_s
    board.run(8)
    board.press(hold_s=0.3)
    board.run(8)
    siren_s = next(at_s for at_s, bits in board.driven if bits & SIREN)
    assert 9 < siren_s - silent_s < 11.5, "10 s after the host was last heard"
    assert len([bits for _, bits in board.driven if bits & FAULT_LED]) >= 5, "the fault LED blinks"
    assert board.status()["siren"], "and goes on sounding after the button was let go"
    board.press(1)
    board.run(0.06)
    board.host_alive = True
    board.until(lambda: len(board.events("alarm")) == 2, 15, "both presses are told once the host is back")
    assert {each.input_no for each in board.events("alarm")} == {0, 1}
    board.run(12)
    assert board.link.up
    assert not board.status()["siren"]


def test_a_press_while_the_host_has_long_been_silent_sounds_at_once(board: Lockstep) -> None:
    board.host_alive = False
    board.run(11)
    pressed_s = board.now_s
    board.press(2)
    board.run(0.3)
    siren_s = next(at_s for at_s, bits in board.driven if bits & SIREN)
    assert siren_s - pressed_s < 0.08


def test_a_configuration_survives_and_python_reads_it(board: Lockstep) -> None:
    dry = say.Config(5, InputKind.CONTACT, say.InputMode.CLOSES_ON_ALARM, 50, 150, 400, 570, 631, 800, 930)
    board.link._later(dry)
    board.run(1)
    assert eeprom.config_of(board.image(), 5) == dry
    before = board.link.hello
    board.unplug()
    board.plug()
    board.up()
    after = board.link.hello
    assert before is not None
    assert after is not None
    configs = [default_config(number, InputKind.PANIC) for number in range(INPUTS)]
    configs[5] = dry
    assert after.config_crc == crc16(b"".join(each.to_payload() for each in configs)) != before.config_crc
    board.move(5, 5000)
    board.run(0.3)
    board.move(5, 0)
    board.run(0.3)
    assert board.events(input_no=5)[-1].state == "alarm", "closed"
    board.move(5, 5000)
    board.run(0.3)
    assert board.events(input_no=5)[-1].state == "normal"


def test_garbage_by_the_thousand(board: Lockstep) -> None:
    chance = random.Random(7)
    board.set(4, "alarm")
    for _ in range(150):
        board.feed(chance.randbytes(chance.randrange(1, 200)) + (b"\x00" if chance.random() < 0.3 else b""))
    board.until(lambda: board.events("alarm", 4), 10, "a press through the noise")
    board.run(3)
    assert board.link.up
    assert board.link.heartbeat["bad_frames"] > 20
    assert board.status()["resets"] == 1, "it never fell over"
    board.set(4, "normal")
    board.until(lambda: board.events("normal", 4), 2, "it goes on")


def test_the_stack_keeps_far_from_the_variables(board: Lockstep) -> None:
    """All inputs at once, every message, garbage, a full ring: the paint that is left says how deep the stack went."""
    board.commits = False
    for turn in range(6):
        for input_no in range(INPUTS):
            board.set(input_no, "alarm" if turn % 2 else "normal")
        board.run(0.1)
    board.feed(random.Random(3).randbytes(600))
    board.link._later(default_config(2, InputKind.CONTACT))
    board.link._later(say.Test(True, True, 1))
    board.link._later(say.Get(say.Wanted.HEARTBEAT))
    board.run(3)
    assert board.link.heartbeat["queue_depth"] == 16
    board.commit_all()
    board.run(2)
    assert board.link.heartbeat["queue_depth"] == 0
    assert board.link.heartbeat["free_ram_bytes"] > 256


def test_the_time_wraps_in_the_middle_of_a_session(parts: Built, board: Lockstep) -> None:
    at = parts.symbol("ms")
    for offset, byte in enumerate((2**32 - 4000).to_bytes(4, "little")):
        board.chip.tell(f"poke {at + offset} {byte}")
    board.restart_host()
    board.up()
    before = len(board.downs())
    for number in range(1, 12):
        board.press(hold_s=0.2)
        board.until(lambda: len(board.events("normal")) == number, 2, f"press {number}")  # noqa: B023
        board.run(0.4)
    assert int.from_bytes(bytes.fromhex(board.chip.tell(f"peek {at} 4")["bytes"]), "little") < 100_000, "it wrapped"
    assert len(board.downs()) == before
    assert len(board.events("alarm")) == 11
    assert all(abs(each.received_mono_ns - each.pressed_mono_ns) < 100_000_000 for each in board.events("alarm"))


def test_an_uno_has_six_inputs(parts: Built, tmp_path: Path) -> None:
    board = Lockstep(built(tmp_path, inputs=6, harness=parts.harness), tmp_path)
    try:
        board.plug()
        board.up()
        assert board.link.hello is not None
        assert board.link.hello.inputs == 6
        board.move(7, 1234)
        board.set(5, "alarm")
        board.run(0.3)
        assert [(each.input_no, each.state) for each in board.events()] == [(5, "alarm")]
        assert sorted(board.of(Snapshot)[-1].states) == list(range(6))
    finally:
        board.stop()


def test_the_voltages_of_the_test_are_those_of_the_wiring() -> None:
    assert MV_OF["normal"] == 5000 * 4700 // (4700 + 4700)
    assert MV_OF["alarm"] == 5000 * 9400 // (4700 + 9400)
