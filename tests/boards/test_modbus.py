"""Modules on a pseudo-terminal that misbehave in every way that is known."""

import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.boards.bus import Bus
from agent.boards.contract import new_boot_id, trouble_of
from agent.boards.modbus import ModbusBoard, ModuleAt
from agent.boards.turns import Wire
from agent.clock import SystemClock
from firmware_bridge.reports import InputEvent, Snapshot
from tests.boards.desk import Taker
from tests.boards.modules import FakeBus, FakeModule, Spoil, as_is, nothing, sealed
from tests.fakes.waiting import until

WIRE = Wire(baud=115_200, answer_ms=80)
GOOD, BAD = 1, 2


class Pair:
    """Modules on one bus, two unless told otherwise, with a taker of reports each."""

    def __init__(self, folder: Path, echoes: bool = False, units: tuple[int, ...] = (GOOD, BAD)) -> None:
        self.modules = {unit: FakeModule() for unit in units}
        self.line = FakeBus(folder / "rs485", self.modules, echoes)
        self.clock = SystemClock()
        self.bus = Bus(folder / "rs485", WIRE, self.clock)
        self.takers = {unit: Taker() for unit in self.modules}
        self.boards = {unit: self.board(ModuleAt(unit)) for unit in self.modules}

    def board(self, at: ModuleAt) -> ModbusBoard:
        return ModbusBoard(self.bus, at, new_boot_id(), self.takers[at.unit].take, self.clock)

    def start(self) -> None:
        for board in self.boards.values():
            board.start()
        until(lambda: all(taker.up_now() for taker in self.takers.values()), 10, "both are up")

    def stop(self) -> None:
        for board in self.boards.values():
            board.stop()
        self.line.stop()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.stop()


def resealed(change: Callable[[bytearray], None]) -> Spoil:
    """An answer that is wrong in itself and sound on the wire."""

    def spoil(answer: bytes) -> bytes:
        body = bytearray(answer[:-2])
        change(body)
        return sealed(bytes(body))

    return spoil


def unit_99(body: bytearray) -> None:
    body[0] = 99


def coils_instead(body: bytearray) -> None:
    body[1] = 1


def two_bytes(body: bytearray) -> None:
    body[2:] = b"\x02\x00\x00"


FAULTS: dict[str, tuple[Spoil, str]] = {
    "says nothing": (nothing, "silent"),
    "a wrong checksum": (lambda answer: answer[:-1] + bytes((answer[-1] ^ 1,)), "garbled"),
    "a flipped input": (lambda answer: answer[:3] + bytes((answer[3] ^ 1,)) + answer[4:], "garbled"),
    "half an answer": (lambda answer: answer[:3], "garbled"),
    "a missing byte": (lambda answer: answer[:2] + answer[3:], "garbled"),
    "noise": (lambda _answer: random.Random(1).randbytes(30), "garbled"),
    "zeros": (lambda _answer: bytes(12), "garbled"),
    "a unit that was not asked": (resealed(unit_99), "wrong"),
    "the unit of the other module": (resealed(lambda body: body.__setitem__(0, GOOD)), "wrong"),
    "another function": (resealed(coils_instead), "wrong"),
    "another length": (resealed(two_bytes), "wrong"),
    "the answer twice": (lambda answer: answer * 2, "late"),
    "an exception": (lambda answer: sealed(bytes((answer[0], answer[1] | 0x80, 2))), "refused"),
    "the question itself": (lambda answer: sealed(bytes((answer[0], 2, 0, 0, 0, 8))), "silent"),
}


def test_faulty_modules_are_down_not_normal_and_hold_up_no_other(tmp_path: Path) -> None:
    """All kinds of them on one bus with a good one."""
    units = dict(zip(range(2, 2 + len(FAULTS)), FAULTS.values(), strict=True))
    pair = Pair(tmp_path, units=(GOOD, *units))
    try:
        pair.start()
        for unit in units:
            pair.modules[unit].inputs[3] = True
        until(lambda: all(pair.takers[unit].events(3, "alarm") for unit in units), 20, "every press")
        for unit, (spoil, _) in units.items():
            pair.modules[unit].spoil = spoil
        until(lambda: all(pair.takers[unit].downs() for unit in units), 20, "their silence is told")
        assert {unit: pair.takers[unit].downs() for unit in units} == {
            unit: [told] for unit, (_, told) in units.items()
        }
        before = {unit: len(pair.takers[unit].reports) for unit in units}
        for unit in units:
            pair.modules[unit].inputs[3:5] = [False, True]
        good = pair.takers[GOOD]
        for at in range(1, 4):
            pair.modules[GOOD].inputs[0] = at % 2 == 1
            until(lambda: len(good.events(0)) == at, 10, "the good module is read")  # noqa: B023
        assert good.downs() == []
        for unit in units:
            told = pair.takers[unit].reports[before[unit] :]
            assert [each for each in told if isinstance(each, InputEvent | Snapshot)] == []
            pair.modules[unit].spoil = as_is
        until(lambda: all(len(pair.takers[unit].snapshots()) == 2 for unit in units), 20, "they are back")
        for unit in units:
            late = pair.takers[unit].events()[1:]
            assert [(each.input_no, each.state, each.late) for each in late] == [
                (3, "normal", True),
                (4, "alarm", True),
            ]
            assert pair.takers[unit].snapshots()[1].states[4] == "alarm"
    finally:
        pair.stop()


@pytest.mark.parametrize("late_s", [0.12, 0.18, 0.25])
def test_a_module_that_is_late_is_never_read_as_what_it_was(pair: Pair, late_s: float) -> None:
    """What it says late is what it was before the press."""
    pair.start()
    bad = pair.takers[BAD]
    pair.modules[BAD].late_s = late_s
    pair.modules[BAD].inputs[0] = True
    until(lambda: bad.downs() == ["late"], 10, "its lateness is told")
    asked = pair.modules[BAD].asked
    pair.modules[GOOD].inputs[0] = True
    until(lambda: pair.takers[GOOD].events(0, "alarm"), 10, "the other module is read")
    until(lambda: pair.modules[BAD].asked > asked + 1, 10, "it is asked again and again")
    assert len(bad.ups()) == 1
    assert bad.events(state="normal") == []
    assert pair.boards[BAD].status().heartbeat["missed_late"] > 0
    pair.modules[BAD].late_s = 0.0
    until(lambda: bad.events(0, "alarm"), 10, "on time again, the press is told")


def test_a_line_full_of_noise_is_no_normal_state(pair: Pair) -> None:
    pair.start()
    pair.modules[BAD].inputs[0] = True
    until(lambda: pair.takers[BAD].events(0, "alarm"), 10, "the press")
    noise = random.Random(7)
    ended = threading.Event()

    def babble() -> None:
        while not ended.wait(0.002):
            pair.line.inject(noise.randbytes(noise.randrange(1, 40)))

    for module in pair.modules.values():
        module.spoil = lambda answer: answer[:2] + b"\xff" + answer[2:]
    babbler = threading.Thread(target=babble, daemon=True)
    babbler.start()
    try:
        until(lambda: pair.takers[BAD].downs() and pair.takers[GOOD].downs(), 20, "both are down")
    finally:
        ended.set()
        babbler.join(5)
    for module in pair.modules.values():
        module.spoil = as_is
    until(lambda: len(pair.takers[BAD].snapshots()) == 2, 10, "they are back")
    assert pair.takers[BAD].events(0, "normal") == []
    assert pair.takers[BAD].snapshots()[1].states[0] == "alarm"
    assert pair.boards[BAD].status().crc_errors > 0


def test_noise_before_an_answer_spoils_nothing(pair: Pair) -> None:
    """A line that is switched from sending to hearing often invents a byte."""
    for module in pair.modules.values():
        module.spoil = lambda answer: b"\x00" + answer + b"\xff"
    pair.start()
    pair.modules[GOOD].inputs[7] = True
    until(lambda: pair.takers[GOOD].events(7, "alarm"), 10, "the press")
    assert pair.takers[GOOD].downs() == []


def test_an_adapter_that_hears_itself(tmp_path: Path) -> None:
    pair = Pair(tmp_path, echoes=True)
    pair.boards[GOOD] = pair.board(ModuleAt(GOOD, siren=0))
    pair.boards[BAD] = pair.board(ModuleAt(BAD, siren=2, strobe=3))
    try:
        pair.start()
        for unit in (GOOD, BAD):
            pair.boards[unit].output(True, True)
        until(lambda: pair.modules[GOOD].coils[0] and pair.modules[BAD].coils[2:4] == [True, True], 10, "all sound")
        until(lambda: driven(pair, GOOD) and driven(pair, BAD), 10, "read back")
        pair.modules[GOOD].powered = False
        until(lambda: pair.takers[GOOD].downs() == ["silent"], 10, "its own echo is no answer")
        assert pair.takers[BAD].downs() == []
    finally:
        pair.stop()


def driven(pair: Pair, unit: int) -> bool:
    return bool(pair.boards[unit].status().heartbeat["outputs_driven"])


def test_coils_that_a_module_forgot_are_driven_again(pair: Pair) -> None:
    pair.boards[GOOD] = pair.board(ModuleAt(GOOD, siren=5, strobe=1))
    pair.start()
    module = pair.modules[GOOD]
    module.coils[5] = True
    until(lambda: module.asked > 5, 10, "it is asked")
    assert module.coils[5], "before anybody says what they are to be, coils stay as they are"
    pair.boards[GOOD].output(False, True)
    until(lambda: (module.coils[5], module.coils[1]) == (False, True), 10, "driven")
    until(lambda: driven(pair, GOOD), 10, "read back")
    module.coils[1] = False
    until(lambda: module.coils[1], 10, "driven again")
    assert not any(module.coils[at] for at in (0, 2, 3, 4, 5, 6, 7))


def test_a_coil_that_is_refused_is_told_and_the_inputs_go_on(pair: Pair) -> None:
    pair.boards[GOOD] = pair.board(ModuleAt(GOOD, siren=300))
    pair.start()
    pair.boards[GOOD].output(True, False)
    until(lambda: "illegal address" in str(told(pair, "outputs_trouble")), 10, "the refusal is told")
    assert told(pair, "outputs_driven") is False
    assert "illegal address" in trouble_of(pair.boards[GOOD].status())
    pair.modules[GOOD].inputs[1] = True
    until(lambda: pair.takers[GOOD].events(1, "alarm"), 10, "inputs are read")
    assert pair.takers[GOOD].downs() == []


def told(pair: Pair, key: str) -> object:
    return pair.boards[GOOD].status().heartbeat[key]


def test_inputs_from_another_address_and_contacts_that_rest_closed(pair: Pair) -> None:
    pair.modules[GOOD].inputs = [False] * 20 + [True, False] + [False] * 10
    pair.boards[GOOD] = pair.board(ModuleAt(GOOD, inputs=10, first_address=20, resting_closed=frozenset({0})))
    pair.start()
    taker = pair.takers[GOOD]
    assert set(taker.snapshots()[0].states.values()) == {"normal"}
    pair.modules[GOOD].inputs[20] = False
    pair.modules[GOOD].inputs[29] = True
    until(lambda: taker.events(0, "alarm") and taker.events(9, "alarm"), 10, "one opened, one closed")


def test_one_board_stops_and_the_other_goes_on(pair: Pair) -> None:
    pair.start()
    pair.boards[BAD].stop()
    assert pair.takers[BAD].downs() == ["stopped"]
    asked = pair.modules[BAD].asked
    pair.modules[GOOD].inputs[0] = True
    until(lambda: pair.takers[GOOD].events(0, "alarm"), 10, "the press")
    assert pair.modules[BAD].asked == asked
    assert any(thread.name == "modbus-rs485" for thread in threading.enumerate())
    pair.boards[GOOD].stop()
    assert not any(thread.name == "modbus-rs485" for thread in threading.enumerate())


def test_a_second_owner_is_kept_out(pair: Pair, tmp_path: Path) -> None:
    pair.start()
    taker = Taker()
    other = Bus(tmp_path / "rs485", WIRE, pair.clock)
    board = ModbusBoard(other, ModuleAt(3), new_boot_id(), taker.take, pair.clock)
    board.start()
    try:
        until(lambda: taker.downs() == ["port_missing"], 10, "the port is locked")
    finally:
        board.stop()
    assert pair.takers[GOOD].downs() == []


def test_a_port_that_is_no_serial_port(tmp_path: Path) -> None:
    (tmp_path / "rs485").write_text("no port")
    clock, taker = SystemClock(), Taker()
    board = ModbusBoard(Bus(tmp_path / "rs485", WIRE, clock), ModuleAt(1), new_boot_id(), taker.take, clock)
    board.start()
    until(lambda: taker.downs() == ["port_missing"], 10, "it is told")
    board.stop()
    assert os.path.lexists(tmp_path / "rs485")
