"""pymodbus's own server behind a pseudo-terminal: what is asked is Modbus, and not only our reading of it."""

import asyncio
import os
import pty
import threading
import tty
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from agent.boards.bus import Bus
from agent.boards.contract import new_boot_id
from agent.boards.modbus import ModbusBoard, ModuleAt
from agent.boards.turns import Wire
from agent.clock import SystemClock
from tests.boards.desk import Taker
from tests.fakes.waiting import until

T = TypeVar("T")


class Served:
    """A server of two units. What `join` carries between the two terminals is all they have in common."""

    def __init__(self, folder: Path) -> None:
        self._ends = [pty.openpty() for _ in range(2)]
        for ours, theirs in self._ends:
            tty.setraw(theirs)
            os.set_blocking(ours, False)
        (folder / "rs485").symlink_to(os.ttyname(self._ends[0][1]))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._thread.start()

    def set(self, unit: int, at: int, value: bool) -> None:
        """Move an input."""
        self._wait(self._server.async_setValues(unit, 2, at, [value]))

    def coils(self, unit: int) -> list[bool]:
        """The first eight coils."""
        return [bool(each) for each in self._wait(self._server.async_getValues(unit, 1, 0, 8))]

    def _wait(self, asked: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)
        for ours, theirs in self._ends:
            os.close(ours)
            os.close(theirs)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        (ours, _), (far, served) = self._ends
        self._loop.add_reader(ours, carry, ours, far)
        self._loop.add_reader(far, carry, far, ours)
        units = [device(unit) for unit in (3, 17)]
        self._server = ModbusSerialServer(units, port=os.ttyname(served), baudrate=115_200)
        serving = asyncio.create_task(self._server.serve_forever())
        await self._ended.wait()
        await self._server.shutdown()  # type: ignore[no-untyped-call]
        await asyncio.gather(serving, return_exceptions=True)
        for fd in (ours, far):
            self._loop.remove_reader(fd)


def carry(source: int, target: int) -> None:
    os.write(target, os.read(source, 4096))


def device(unit: int) -> SimDevice:
    """32 coils and 32 inputs, and the registers that the library wants beside them."""
    coils, inputs = (SimData(0, count=32, values=False, datatype=DataType.BITS) for _ in range(2))
    registers = [SimData(0, values=0, datatype=DataType.REGISTERS)]
    return SimDevice(unit, simdata=([coils], [inputs], registers, registers))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.stop()


def test_inputs_and_coils_of_two_units(served: Served, tmp_path: Path) -> None:
    clock = SystemClock()
    bus = Bus(tmp_path / "rs485", Wire(baud=115_200, answer_ms=80), clock)
    takers = {unit: Taker() for unit in (3, 17)}
    spots = {3: ModuleAt(3, siren=2), 17: ModuleAt(17, inputs=12, first_address=4, siren=0, strobe=1)}
    boards = [ModbusBoard(bus, at, new_boot_id(), takers[unit].take, clock) for unit, at in spots.items()]
    for board in boards:
        board.start()
    try:
        until(lambda: all(taker.up_now() for taker in takers.values()), 20, "both are up")
        served.set(3, 7, True)
        served.set(17, 15, True)
        until(lambda: takers[3].events(7, "alarm") and takers[17].events(11, "alarm"), 10, "both presses")
        for board in boards:
            board.output(True, True)
        until(lambda: served.coils(3)[2] and served.coils(17)[:2] == [True, True], 10, "all sound")
        until(lambda: all(board.status().heartbeat["outputs_driven"] for board in boards), 10, "and are read back")
        assert served.coils(3).count(True) == 1
        assert [taker.downs() for taker in takers.values()] == [[], []]
    finally:
        for board in boards:
            board.stop()


def test_an_address_that_is_not_there_is_refused(served: Served, tmp_path: Path) -> None:
    clock, taker = SystemClock(), Taker()
    bus = Bus(tmp_path / "rs485", Wire(baud=115_200, answer_ms=80), clock)
    board = ModbusBoard(bus, ModuleAt(3, first_address=900), new_boot_id(), taker.take, clock)
    board.start()
    try:
        until(taker.downs, 20, "it is told")
        assert taker.links()[0].reason == "refused: exception 2 (illegal address)"
    finally:
        board.stop()
