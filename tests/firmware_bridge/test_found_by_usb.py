"""Boards found by USB: unplugged, plugged in elsewhere, told apart by their uid. Pseudo-terminals are the ports."""

import os
import pty
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.demo.board import SimulatedBoard
from firmware_bridge.neighbours import Neighbours
from firmware_bridge.ports import NoSysfs, PluggedIn, Wanted
from firmware_bridge.reports import InputEvent, LinkChanged, Report
from firmware_bridge.serial_port import SerialBoard
from tests.fakes.usb_tree import UsbTree
from tests.fakes.waiting import until

UNO, NANO = "2341:0043", "1a86:7523"


class Bridge:
    """A board of the host and what it reports; each event is committed at once."""

    def __init__(self, name: str, tree: UsbTree, neighbours: Neighbours, wanted: Wanted, uid: str | None) -> None:
        self.reports: list[Report] = []
        self.board = SerialBoard(
            wanted, self._take, bridge=name, uid=uid, neighbours=neighbours, plugged_in=tree.plugged_in
        )
        self.board.start()

    def _take(self, report: Report) -> None:
        self.reports.append(report)
        if isinstance(report, InputEvent):
            self.board.acknowledge(report.board_uid, report.boot_id, report.event_id)

    def port(self) -> str:
        """The name of the port while the link is up."""
        status = self.board.status()
        return Path(status.port).name if status.up else ""

    def pressed(self) -> list[str]:
        return [each.board_uid for each in self.reports if isinstance(each, InputEvent) and each.state == "alarm"]

    def reasons(self) -> list[str]:
        return [each.reason for each in self.reports if isinstance(each, LinkChanged) and not each.up]


class Room:
    """A host and what is plugged into it."""

    def __init__(self, folder: Path) -> None:
        self.tree = UsbTree(folder / "kernel")
        self._folder = folder
        self._neighbours = Neighbours()
        self._stops: list[Callable[[], None]] = []

    def simulated(self, name: str, seed: int) -> SimulatedBoard:
        board = SimulatedBoard(self._folder / name, self._folder / f"{name}.jsonl", seed=seed)
        board.start()
        self._stops.append(board.stop)
        return board

    def plug(self, name: str, port: str, serial: str = "", usb_id: str = UNO) -> None:
        self.tree.plug(port, self._folder / name, serial, usb_id)

    def bridge(self, name: str, wanted: Wanted, uid: str | None = None) -> Bridge:
        bridge = Bridge(name, self.tree, self._neighbours, wanted, uid)
        self._stops.insert(0, bridge.board.stop)
        return bridge

    def stop(self) -> None:
        for stop in self._stops:
            stop()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.stop()


def _uid(board: SimulatedBoard) -> str:
    return str(board.status()["uid"])


def test_what_is_plugged_in_is_told_with_its_numbers(room: Room) -> None:
    room.simulated("one", 1)
    room.simulated("two", 2)
    room.plug("one", "ttyACM0", "75830303934351F0B1A1")
    room.plug("two", "ttyUSB0", usb_id=NANO)
    uno, nano = room.tree.plugged_in.ports()
    assert (uno.usb_id, uno.serial, uno.product) == (UNO, "75830303934351F0B1A1", "Board")
    assert uno.by_id is not None
    assert uno.by_id.name.endswith("75830303934351F0B1A1-if00")
    assert (nano.path.name, nano.usb_id, nano.serial, nano.by_id) == ("ttyUSB0", NANO, "", None)
    assert Wanted().fits(uno)
    assert Wanted().fits(nano)
    assert Wanted(UNO).fits(uno)
    assert not Wanted(UNO).fits(nano)
    assert Wanted("75830303934351F0B1A1").fits(uno)
    assert not Wanted("").fits(nano)


def test_a_modem_is_not_asked_whether_it_is_a_board(room: Room) -> None:
    room.simulated("one", 1)
    room.plug("one", "ttyUSB0", usb_id="12d1:1506")
    (modem,) = room.tree.plugged_in.ports()
    assert not Wanted().fits(modem)
    assert Wanted("12D1:1506").fits(modem), "unless the settings say so"


def test_unplugged_and_plugged_into_another_port(room: Room) -> None:
    simulated = room.simulated("one", 1)
    bridge = room.bridge("B1", Wanted())
    until(lambda: bridge.reasons() == ["port_missing: nothing that is plugged in fits: auto"], 5, "nothing is there")
    room.plug("one", "ttyACM0")
    until(lambda: bridge.port() == "ttyACM0", 10, "it is found")
    simulated.press(hold_s=0.2)
    until(lambda: len(bridge.pressed()) == 1, 5, "a press")
    room.tree.unplug("ttyACM0")
    simulated.unplug()
    until(lambda: not bridge.board.status().up, 5, "it is gone")
    simulated.plug()
    room.plug("one", "ttyACM1")
    until(lambda: bridge.port() == "ttyACM1", 10, "it is found again")
    simulated.press(hold_s=0.2)
    until(lambda: bridge.pressed() == [_uid(simulated)] * 2, 5, "a press after the return")
    assert bridge.board.status().port.endswith("ttyACM1")


def test_by_serial_number_whatever_the_port(room: Room) -> None:
    one, two = room.simulated("one", 1), room.simulated("two", 2)
    room.plug("one", "ttyACM0", "AAA")
    room.plug("two", "ttyACM1", "BBB")
    first, second = room.bridge("B1", Wanted("BBB")), room.bridge("B2", Wanted("AAA"))
    until(lambda: (first.port(), second.port()) == ("ttyACM1", "ttyACM0"), 10, "each has its own")
    assert first.board.status().uid == _uid(two)
    assert second.board.status().uid == _uid(one)


def test_boards_that_only_their_uid_tells_apart_are_found_wherever_they_are(room: Room) -> None:
    one, two = room.simulated("one", 1), room.simulated("two", 2)
    room.plug("one", "ttyUSB0", usb_id=NANO)
    room.plug("two", "ttyUSB1", usb_id=NANO)
    first, second = room.bridge("B1", Wanted(), _uid(two)), room.bridge("B2", Wanted(NANO), _uid(one))
    until(lambda: (first.port(), second.port()) == ("ttyUSB1", "ttyUSB0"), 30, "each has its own")
    for simulated, bridge in ((one, second), (two, first)):
        simulated.press(hold_s=0.2)
        until(lambda: bridge.pressed() == [_uid(simulated)], 10, "a press of the right board")  # noqa: B023


def test_the_wrong_board_alone_is_said_and_nothing_of_it_is_taken(room: Room) -> None:
    simulated = room.simulated("one", 1)
    room.plug("one", "ttyACM0")
    bridge = room.bridge("B1", Wanted(), "00000000000000a1")
    wanted = f"wrong_board: {_uid(simulated)}, not 00000000000000a1"
    until(lambda: bridge.reasons() == [wanted], 10, "who is there, and who is wanted")
    simulated.press(hold_s=0.2)
    right = room.simulated("two", 2)
    until(lambda: simulated.status()["uncommitted"] == 2, 5, "the press waits on the board")
    assert bridge.pressed() == []
    assert bridge.reasons() == [wanted], "said once"
    assert _uid(right) != _uid(simulated)


def test_a_port_that_the_settings_give_to_another_is_left_alone(tmp_path: Path) -> None:
    tree = UsbTree(tmp_path / "kernel")
    simulated = SimulatedBoard(tmp_path / "one", tmp_path / "one.jsonl", seed=1)
    simulated.start()
    tree.plug("ttyUSB0", tmp_path / "one", usb_id="0403:6001")
    bridge = Bridge("B1", tree, Neighbours([tree.dev / "ttyUSB0"]), Wanted(), None)
    try:
        until(lambda: len(bridge.reasons()) == 1, 5, "nothing is left")
        assert bridge.reasons() == ["port_missing: what is plugged in and fits belongs to other bridges: auto"]
    finally:
        bridge.board.stop()
        simulated.stop()


def test_without_sysfs_it_is_said_what_to_do(tmp_path: Path) -> None:
    tree = UsbTree(tmp_path / "kernel")
    tree.plugged_in = PluggedIn(tree.dev, tmp_path / "nothing")
    with pytest.raises(NoSysfs):
        tree.plugged_in.must_be_told()
    bridge = Bridge("B1", tree, Neighbours(), Wanted(), None)
    try:
        until(lambda: len(bridge.reasons()) == 1, 5, "it cannot look")
        assert bridge.reasons()[0].startswith("port_missing: ")
        assert bridge.reasons()[0].endswith("name the port in the settings")
    finally:
        bridge.board.stop()


def test_a_port_with_nobody_behind_it_is_left_for_the_next_one(room: Room) -> None:
    silent_end, port_end = pty.openpty()
    tty.setraw(port_end)
    one = room.simulated("one", 2)
    room.tree.plug("ttyACM0", Path(os.ttyname(port_end)))
    room.plug("one", "ttyACM1")
    try:
        bridge = room.bridge("B1", Wanted())
        until(lambda: bridge.port() == "ttyACM1", 20, "the board behind the other port")
        assert bridge.board.status().uid == _uid(one)
        assert bridge.reasons()[-1].startswith("no_answer: ")
    finally:
        os.close(silent_end)
        os.close(port_end)
