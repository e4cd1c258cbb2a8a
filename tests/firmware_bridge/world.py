"""A board, a bad line, a host and a store that commits, all in simulated time. What a press must survive."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from firmware_bridge import eeprom
from firmware_bridge.board import Board, Outputs, default_config
from firmware_bridge.configuration import Wired
from firmware_bridge.link import HostLink
from firmware_bridge.messages import Config, Event, InputKind, LineState, ResetCause
from firmware_bridge.names import BoardNames
from firmware_bridge.reports import InputEvent, LinkChanged, Report, Snapshot
from tests.fakes.serial_line import Badness, SerialLine

MS = 1_000_000
SAMPLE_NS = 10 * MS
NORMAL, ALARM = 511, 715
UID = bytes.fromhex("0123456789abcdef")
Key = tuple[str, int, int]


@dataclass
class Store:
    """The durable half of the host: what has been committed, by key. Survives the host."""

    committed: dict[Key, InputEvent] = field(default_factory=dict)

    def newest(self) -> list[tuple[str, int, int]]:
        """(name, newest boot, when its newest event came) of each board: what a start of the host reads."""
        boots = sorted({(name, boot) for name, boot, _ in self.committed})
        return [
            (name, boot, max(each.received_mono_ns for key, each in self.committed.items() if key[:2] == (name, boot)))
            for name, boot in dict(boots).items()
        ]


class AnyBoard(Protocol):
    """What the world needs of a board: the Python one has it, and so has the core of the firmware."""

    made: list[Event]

    @property
    def held(self) -> list[Event]: ...
    @property
    def states(self) -> list[LineState]: ...
    def receive(self, data: bytes, now_ns: int) -> None: ...
    def sample(self, adcs: Sequence[int], now_ns: int) -> None: ...
    def tick(self, now_ns: int) -> None: ...
    def to_send(self) -> bytes: ...
    def take_writes(self) -> list[eeprom.Write]: ...
    def outputs(self, now_ns: int) -> Outputs: ...
    def deadline_ns(self) -> int: ...


MakeBoard = Callable[[bytes, Sequence[Config], ResetCause], AnyBoard]


class World:
    """One board and one host. `commit_after_ns` is how long the store takes; None while its disk is dead."""

    def __init__(
        self,
        badness: Badness | None = None,
        seed: int = 0,
        inputs: int = 2,
        make_board: MakeBoard = Board,
        *,
        wired: Mapping[int, Wired] | None = None,
        uid: bytes = UID,
    ) -> None:
        self.now_ns = 5_000 * MS
        self.commit_after_ns: int | None = 5 * MS
        self.store = Store()
        self.reports: list[Report] = []
        self.told_snapshot: Snapshot | None = None
        self.uid = uid
        self.wired = wired
        self.image = eeprom.blank(uid)
        self.adcs = [NORMAL] * inputs
        self.made: list[tuple[Key, int, LineState]] = []
        self.dropped_uncommitted: list[Key] = []
        self._configs = [
            default_config(number, InputKind.PANIC if number == 0 else InputKind.CONTACT) for number in range(inputs)
        ]
        self._make_board = make_board
        self._badness = badness or Badness()
        self._seeds = random.Random(seed)
        self._due: list[tuple[int, InputEvent]] = []
        self._sample_ns = self.now_ns
        self._cable()
        self.board: AnyBoard | None = None
        self.link: HostLink | None = None
        self.power_on()
        self.host_start()

    # -- what happens to them --

    def power_on(self, cause: ResetCause = ResetCause.POWER_ON) -> None:
        """The board starts. Its clock starts at 0."""
        self._power_ns = self.now_ns
        self.board = self._make_board(self.image, self._configs, cause)
        self._writes()

    def power_off(self) -> None:
        """The board loses its power: its ring and what was on the line are gone."""
        self.board = None
        self._cable()

    def host_start(self) -> None:
        """The host process starts and opens the port."""
        self.names = BoardNames(lambda: f"{self._seeds.getrandbits(32):08x}")
        self.names.take_over(self.store.newest())
        self.link = HostLink(self.wired, None, lambda *heard: self.names.name("B1", *heard))
        self._reported(self.link.open(self.now_ns))

    def host_kill(self) -> None:
        """kill -9: nothing uncommitted survives."""
        self.link = None
        self._due.clear()

    def replug(self, stale: bool = False) -> None:
        """The cable to the host is pulled and put back; the board has power of its own. With `stale`, what was under
        way both ways is not lost: it comes after what belongs to the new session began, as out of an adapter's buffer.
        """
        assert self.link is not None
        self._reported(self.link.close("port_lost", self.now_ns))
        self.names.gone("B1")
        if not stale:
            self._cable()
        self._reported(self.link.open(self.now_ns))
        if stale:
            self._to_host.delay_what_is_there(self.now_ns + 30 * MS)

    def hold(self, input_no: int, adc: int, for_ns: int) -> None:
        """Put an input into a state and let time pass."""
        self.adcs[input_no] = adc
        self.run(for_ns)

    def press(self, input_no: int = 0, hold_ns: int = 100 * MS, after_ns: int = 100 * MS) -> None:
        """Press and release."""
        self.hold(input_no, ALARM, hold_ns)
        self.hold(input_no, NORMAL, after_ns)

    def run(self, for_ns: int) -> None:
        """Let time pass."""
        end_ns = self.now_ns + for_ns
        while self.now_ns < end_ns:
            self._turn()
            self.now_ns = max(self.now_ns + 1, min(end_ns, self._next_ns()))
        self._turn()

    # -- what came of it --

    def events(self) -> list[InputEvent]:
        """What was reported, repeats to a restarted host included."""
        return [each for each in self.reports if isinstance(each, InputEvent)]

    def changes(self) -> list[LinkChanged]:
        return [each for each in self.reports if isinstance(each, LinkChanged)]

    def snapshots(self) -> list[Snapshot]:
        return [each for each in self.reports if isinstance(each, Snapshot)]

    def presses_made(self) -> list[Key]:
        """Every press of a panic button that the board has seen."""
        return [key for key, input_no, state in self.made if input_no == 0 and state is LineState.ALARM]

    # -- one moment --

    def _turn(self) -> None:
        age_ns = self.now_ns - self._power_ns
        heard = self._to_board.take(self.now_ns)
        if self.board is not None:
            for byte in heard:
                self.board.receive(bytes((byte,)), age_ns)
            if self.now_ns >= self._sample_ns:
                self.board.sample(self.adcs, age_ns)
            self.board.tick(age_ns)
            self._writes()
            self._to_host.put(self.board.to_send(), self.now_ns)
            for event in self.board.made:
                self.made.append(((self.uid.hex(), event.boot_id, event.event_id), event.input_no, event.state))
            self.board.made.clear()
        if self.now_ns >= self._sample_ns:
            self._sample_ns = self.now_ns + SAMPLE_NS
        arrived = self._to_host.take(self.now_ns)
        if self.link is not None:
            for byte in arrived:
                self._reported(self.link.receive(bytes((byte,)), self.now_ns))
            self._reported(self.link.tick(self.now_ns))
            self._commit()
            self._to_board.put(self.link.to_send(), self.now_ns)

    def _reported(self, reports: list[Report]) -> None:
        for report in reports:
            self.reports.append(report)
            if isinstance(report, Snapshot):
                self.told_snapshot = report
            elif isinstance(report, InputEvent):
                self._due.append((self.now_ns, report))

    def _commit(self) -> None:
        assert self.link is not None
        if self.commit_after_ns is None:
            return
        for came_ns, event in list(self._due):
            if self.now_ns - came_ns >= self.commit_after_ns:
                key = (event.board_uid, event.boot_id, event.event_id)
                self.store.committed.setdefault(key, event)
                self.link.acknowledge(*key)
                self._due.remove((came_ns, event))

    def _writes(self) -> None:
        assert self.board is not None
        for write in self.board.take_writes():
            self.image = eeprom.written(self.image, write)

    def _next_ns(self) -> int:
        times = [self._sample_ns]
        if self.board is not None:
            times.append(self._power_ns + self.board.deadline_ns())
        if self.link is not None and (deadline := self.link.deadline_ns()) is not None:
            times.append(deadline)
        times += [at for at in (self._to_host.next_ns(), self._to_board.next_ns()) if at is not None]
        if self.commit_after_ns is not None:
            times += [came_ns + self.commit_after_ns for came_ns, _ in self._due]
        return min(times)

    def _cable(self) -> None:
        self._to_host = SerialLine(self._badness, self._seeds.randrange(1 << 30))
        self._to_board = SerialLine(self._badness, self._seeds.randrange(1 << 30))
