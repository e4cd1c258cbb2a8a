"""The Python board and the C core side by side: the same samples, bytes and times, and the same answers."""

import random
from collections.abc import Sequence

from firmware_bridge import eeprom
from firmware_bridge import messages as say
from firmware_bridge.board import Board, default_config
from firmware_bridge.frame import Frame, Kind, cobs_encode, crc16
from firmware_bridge.link import HostLink
from firmware_bridge.messages import ResetCause
from firmware_bridge.reports import InputEvent
from tests.fakes.board_core import Core

MS = 1_000_000
UID = bytes.fromhex("0123456789abcdef")
NORMAL = 511
Kept = tuple[list[eeprom.PanicCell], int, int, list[say.Config | None]]


def meaning(image: bytes, inputs: int) -> Kept:
    """What an EEPROM says, whatever place it says it in: cells, boots, watchdog resets, configuration."""
    cells = [cell for cell in eeprom.cells_of(image) if cell is not None]
    cells.sort(key=lambda cell: (cell.boot_id, cell.event_id, cell.committed))
    resets, _ = eeprom.watchdog_resets(image, one_more=False)
    return cells, eeprom.next_boot(image)[0], resets, [eeprom.config_of(image, number) for number in range(inputs)]


def pending(image: bytes) -> dict[tuple[int, int], eeprom.PanicCell]:
    """The uncommitted presses in an EEPROM, by key."""
    cells = [cell for cell in eeprom.cells_of(image) if cell is not None and not cell.committed]
    return {(cell.boot_id, cell.event_id): cell for cell in cells}


class Twins:
    """Both boards, and one real host that hears the first of them and talks to both."""

    def __init__(self, core: Core, seed: int) -> None:
        self.core = core
        self.image = eeprom.blank(UID)
        self.adcs = [NORMAL] * core.inputs
        self.now_ms = 0
        self.host_ns = 1_000_000 * MS
        self.link = HostLink()
        self.to_host_ok = True
        self.to_board_ok = True
        self.reported: list[InputEvent] = []
        self.committed: set[tuple[int, int]] = set()
        self._configs = [default_config(number, core.kind(number)) for number in range(core.inputs)]
        self._chance = random.Random(seed)
        self.core.limits()
        self.core.load(self.image)
        self.start(ResetCause.POWER_ON)
        self._tell(self.link.open(self.host_ns))

    def start(self, cause: ResetCause) -> None:
        """Both boards start from the EEPROM of the core."""
        self.image = self.core.image()
        self.now_ms = 0
        self.core.limits()
        assert self.core.start(cause, 0) == b""
        self.board = Board(self.image, self._configs, cause)
        self.pass_time(0)

    def durable(self) -> dict[tuple[int, int], eeprom.PanicCell]:
        """The presses that the core's EEPROM holds whole and the host has not committed."""
        return pending(self.core.image())

    def assert_kept(self, before: dict[tuple[int, int], eeprom.PanicCell], image: bytes) -> None:
        """Every press that was whole in EEPROM and is not committed is still there, or counted into a younger one."""
        now = pending(image)
        for key, cell in before.items():
            heirs = [each for each in now.values() if each.input_no == cell.input_no and each.count > cell.count]
            assert key in now or key in self.committed or heirs, f"{cell} is lost; there is {now}"

    def near_the_wrap(self, before_ms: int) -> None:
        """The boards' time comes to so many ms before it wraps."""
        wrap_ms = 1 << 32
        target_ms = (self.now_ms // wrap_ms + 1) * wrap_ms - before_ms
        while self.now_ms < target_ms:
            self.pass_time(min(1 << 30, target_ms - self.now_ms))
            self.turn(0)

    def turn(self, ms: int, cut: bool = False) -> None:
        """`ms` pass at once; then a sample. With `cut`, the core's EEPROM is no longer what the Python board's is."""
        self.now_ms += ms
        self.host_ns += ms * MS
        said, same = bytearray(), bytearray()
        self._both_tick(said, same)
        data = self.link.to_send()
        if self.to_board_ok:
            self._both_receive(data, said, same)
        self.board.sample(self.adcs, self.now_ms * MS)
        same += self.core.sample(self.adcs, self.now_ms)
        self._both_tick(said, same)
        if not cut:
            self._write()
        self._equal(said, same)
        if self.to_host_ok:
            self._tell(self.link.receive(bytes(said), self.host_ns))
        self._tell(self.link.tick(self.host_ns))

    def pass_time(self, ms: int) -> None:
        """Time passes for the boards alone; the host notices nothing of it."""
        self.now_ms += ms
        said, same = bytearray(), bytearray()
        self._both_tick(said, same)
        self._write()
        self._equal(said, same)

    def hear(self, data: bytes) -> None:
        """These bytes come in on the line to the boards."""
        said, same = bytearray(), bytearray()
        self._both_tick(said, same)
        self._both_receive(data, said, same)
        self._both_tick(said, same)
        self._write()
        self._equal(said, same)

    def frame(
        self, kind: int, seq: int, ack: int, payload: bytes, flags: tuple[bool, bool], this_session: bool
    ) -> bytes:
        """A frame near what the board expects; `seq` and `ack` count from there."""
        numbering = self.board._numbering
        session = numbering.session if this_session else (numbering.session + 1) % 16
        return Frame(
            Kind(kind), session, (numbering._expected + seq) % 256, (numbering._next + ack) % 256, payload, *flags
        ).to_bytes()

    def strange(self, first: int, payload: bytes) -> bytes:
        """Sound COBS and a sound CRC, and a first byte (version and type) that may be none."""
        numbering = self.board._numbering
        body = bytes((first, numbering.session << 4 | 1, numbering._expected, numbering._next)) + payload
        return cobs_encode(body + crc16(body).to_bytes(2, "big")) + b"\x00"

    def spoil(self, data: bytes) -> bytes:
        """One bit or one byte of these is wrong."""
        spoilt = bytearray(data)
        at = self._chance.randrange(len(spoilt))
        if self._chance.random() < 0.5:
            spoilt[at] ^= 1 << self._chance.randrange(8)
        elif self._chance.random() < 0.5:
            del spoilt[at]
        else:
            spoilt.insert(at, self._chance.randrange(256))
        return bytes(spoilt)

    def commit(self, number: int) -> None:
        """The host has committed one of the events that it was told."""
        event = self.reported.pop(number % len(self.reported))
        self.committed.add((event.boot_id, event.event_id))
        self.link.acknowledge(event.board_uid, event.boot_id, event.event_id)

    def restart_host(self) -> None:
        """Another host process: it knows of nothing."""
        self.link = HostLink()
        self.reported.clear()
        self._tell(self.link.open(self.host_ns))

    def assert_same(self) -> None:
        """Ring, states, outputs and EEPROM are the same on both sides."""
        held = self.core.held()
        assert held.events == self.board.held
        assert held.states == self.board.states
        assert held.lost == self.board._ring.lost
        assert held.eeprom_waits == 0
        assert self.core.outputs(self.now_ms) == self.board.outputs(self.now_ms * MS)
        assert meaning(self.core.image(), self.core.inputs) == meaning(self.image, self.core.inputs)

    # -- one side and the other --

    def _both_tick(self, said: bytearray, same: bytearray) -> None:
        self.board.tick(self.now_ms * MS)
        said += self.board.to_send()
        same += self.core.tick(self.now_ms)

    def _both_receive(self, data: bytes, said: bytearray, same: bytearray) -> None:
        for byte in data:
            self.board.receive(bytes((byte,)), self.now_ms * MS)
        same += self.core.receive(data, self.now_ms)

    def _write(self) -> None:
        for write in self.board.take_writes():
            self.image = eeprom.written(self.image, write)

    def _equal(self, said: bytearray, same: bytearray) -> None:
        said += self.board.to_send()
        assert same.split(b"\x00") == said.split(b"\x00")

    def _tell(self, reports: Sequence[object]) -> None:
        self.reported += [each for each in reports if isinstance(each, InputEvent)]
