"""A panel lives for hours in seconds: the core of the firmware, two bad lines, the host and a platform, and what can
happen to them. The log of presses is the judge's; what they became is read from the consumer's table.

Nothing here does what the product does: firmware_bridge/firmware/core (C), firmware_bridge.link, agent.desk,
agent.delivery and its store on a file are turned by hand (host.py, tests/fakes/board_core.py).
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from agent.delivery.payload import input_alert_id
from firmware_bridge import eeprom
from firmware_bridge.messages import LineState, ResetCause
from tests.fakes.board_core import Core
from tests.fakes.serial_line import Badness, SerialLine
from tests.soak.host import DOOR, MS, PANIC_INPUTS, START_WALL_NS, TAMPER, DayClock, Host
from tests.soak.uplink import Uplink

NORMAL: Final = 511
ALARM: Final = 715
OPEN: Final = 1010
UID: Final = bytes.fromhex("0123456789abcdef")

MOST_WAITING: Final = 10
"""Nobody presses while more events than this wait in the board: of 16 places, with a burst on top. What a full ring
does (two presses count as one) is tests/firmware/test_simavr_walks.py."""

CUT_SHORT_MS: Final = 250
"""30 ms of debounce, up to 10 of sampling, then 16 bytes of 3.4 ms for each press at once are written: a press so
shortly before the power goes may be seen in no way, or, held through it, twice."""

CUT_SHORT_EACH_MS: Final = 100
"""More for each press within the last second: their cells are written one after the other."""

STARTING_MS: Final = 60
"""A board that has just started and finds a press of this input in its EEPROM cannot know, before a contact has rested,
whether it was let go meanwhile and pressed again."""

SETTLED_AFTER_S: Final = 150.0
"""At the end, without faults: every wait of outbox and ring is over."""


@dataclass
class Press:
    """One press as the finger knows it. Times in ms of the simulation. `cut_short`: the power went beside it."""

    input_no: int
    at_ms: int
    until_ms: int
    cut_short: bool = False
    ids: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Verdict:
    """`lost` and `doubled` tell each press that went wrong; `cut_short` counts those that the power was too short for,
    with how many of them were never told and told twice."""

    presses: int
    hours: float
    faults: Counter[str]
    lost: list[str]
    doubled: list[str]
    cut_short: int
    cut_short_lost: int
    cut_short_twice: int
    repeated: int

    @property
    def told(self) -> str:
        """In one line."""
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        return (
            f"{self.hours:.2f} h simulated, {self.presses} presses on the firmware's core (0 on simavr pins),"
            f" {len(self.lost)} lost, {len(self.doubled)} doubled; {self.repeated} came again under their id;"
            f" {self.cut_short} at most {CUT_SHORT_MS} ms before the board lost its power or within"
            f" {STARTING_MS} ms of its return: {self.cut_short_lost} not told, {self.cut_short_twice} told twice;"
            f" faults: {faults}"
        )


class Day:
    """See the top. `trouble_every_s` is the mean time between two faults, `press_every_s` between two presses."""

    def __init__(
        self, core: Core, folder: Path, seed: int, trouble_every_s: float = 60.0, press_every_s: float = 20.0
    ) -> None:
        """The core must have eight panic inputs, as the firmware is built for the chip."""
        assert (core.inputs, core.panic_inputs) == (8, 0xFF)
        self.presses: list[Press] = []
        self.faults: Counter[str] = Counter()
        self._core = core
        self._folder = folder
        self._chance = random.Random(seed)
        self._trouble_every_s, self._press_every_s = trouble_every_s, press_every_s
        self._clock = DayClock()
        self._uplink = Uplink(self._chance)
        self._adcs = [NORMAL] * core.inputs
        self._image = eeprom.blank(UID)
        self._script: list[tuple[int, int, Callable[[], None]]] = []
        self._n = 0
        self._lives = 0
        self._powered_ms: int | None = None
        self._boot_id, self._last_event_id = 0, 0
        self._host: Host | None = None
        self._port = True
        self._badness = Badness()
        self._cable()
        self._data = folder / "life-0"
        self._data.mkdir()
        self._power_on()
        self._start_host()

    @property
    def received(self) -> Counter[tuple[str, str]]:
        """The consumer's table: how often each (source, id) came."""
        return self._uplink.received

    @property
    def told(self) -> dict[str, dict[str, Any]]:
        """The presses in it, by their ids."""
        return self._uplink.presses

    @property
    def now_ms(self) -> int:
        return self._clock.now_ns // MS

    def live(self, hours: float) -> Verdict:
        """Live for so long with presses and faults, then in peace until everything is told."""
        end_ms = self.now_ms + round(hours * 3_600_000)
        self._each(self._press_every_s, end_ms, self._press)
        self._each(self._trouble_every_s, end_ms, self._trouble)
        self._each(60, end_ms, self._move_contact)
        self._run(end_ms)
        self._heal()
        self._run(end_ms + round(SETTLED_AFTER_S * 1000))
        verdict = self.judged(hours)
        if self._host is not None:
            self._host.store.drop()
        return verdict

    # -- people --

    def _press(self) -> None:
        if self._powered_ms is None or len(self._core.held().events) > MOST_WAITING:
            return
        free = [number for number in PANIC_INPUTS if self._adcs[number] == NORMAL]
        fingers = self._chance.choice((1, 1, 1, 1, 1, 2, 4))
        for input_no in self._chance.sample(free, min(fingers, len(free))):
            held_ms = self._chance.choice((60, 120, 120, 300, 2000, 20_000))
            self._adcs[input_no] = ALARM
            starting = self.now_ms - self._powered_ms < STARTING_MS
            self.presses.append(Press(input_no, self.now_ms, self.now_ms + held_ms, cut_short=starting))
            self._at(self.now_ms + held_ms, partial(self._let_go, input_no))

    def _let_go(self, input_no: int) -> None:
        # The next press is not before the release has settled.
        self._adcs[input_no] = NORMAL - 1
        self._at(self.now_ms + 100, lambda: self._adcs.__setitem__(input_no, NORMAL))

    def _move_contact(self) -> None:
        input_no = self._chance.choice((DOOR, DOOR, TAMPER))
        self._adcs[input_no] = self._chance.choice((NORMAL, ALARM if input_no == DOOR else OPEN))

    # -- faults --

    def _trouble(self) -> None:
        kinds: dict[str, Callable[[], None]] = {
            "line loss and corruption": self._spoil_line,
            "noise": self._noise,
            "unplug": self._unplug,
            "host kill -9": lambda: self._end_host(power_cut=False),
            "power cut of the host": lambda: self._end_host(power_cut=True),
            "power cut of the board": lambda: self._power_off(self._chance.choice((20, 300, 5000, 60_000))),
            "reset of the board": lambda: self._power_off(0, self._chance.choice(list(ResetCause))),
            "power cut of both": self._dark,
            "dead disk": self._lose_disk,
            "uplink broken": self._uplink.lose,
            "broker gone": self._lose_broker,
        }
        name = self._chance.choice(list(kinds))
        self.faults[name] += 1
        kinds[name]()

    def _spoil_line(self) -> None:
        self._badness = Badness(
            loss=self._chance.choice((0, 0.02, 0.2)),
            corruption=self._chance.choice((0, 0.02, 0.1)),
            delay_ns=self._chance.choice((0, 5, 30)) * MS,
        )
        self._to_host.badness = self._to_board.badness = self._badness

    def _noise(self) -> None:
        line = self._chance.choice((self._to_host, self._to_board))
        line.put(self._chance.randbytes(self._chance.randrange(1, 200)) + b"\x00", self._clock.now_ns)

    def _unplug(self) -> None:
        if not self._port:
            return
        self._port = False
        self._cable()
        if self._chance.random() < 0.5:
            self._power_off(None)
        if self._host is not None:
            self._host.lose_port()
        self._after(self._chance.choice((100, 3000, 30_000)), self._plug)

    def _plug(self) -> None:
        self._port = True
        self._cable()
        if self._powered_ms is None:
            self._power_on()
        elif self._chance.random() < 0.5:
            self._power_off(0, ResetCause.EXTERNAL)  # opening the port pulls the reset line of many boards
        if self._host is not None:
            self._host.open_port()

    def _end_host(self, power_cut: bool, for_ms: int | None = None) -> None:
        if self._host is None:
            return
        self._lives += 1
        into = self._folder / f"life-{self._lives}"
        self._host.kill(into, power_cut)
        self._host, self._data = None, into
        self._cable()
        self._after(for_ms or self._chance.choice((300, 3000, 30_000)), lambda: self._start_host(power_cut))

    def _dark(self) -> None:
        for_ms = self._chance.choice((100, 5000, 60_000))
        self._power_off(for_ms)
        self._end_host(power_cut=True, for_ms=for_ms + 5000)

    def _lose_disk(self) -> None:
        host = self._host
        if host is None or not host.disk_ok:
            return

        def mend() -> None:
            host.disk_ok = True

        host.disk_ok = False
        host.store.fail()
        self._after(self._chance.choice((500, 5000, 30_000)), mend)

    def _lose_broker(self) -> None:
        self._uplink.broker_up = False
        self._uplink.lose()
        self._after(self._chance.choice((3000, 60_000)), lambda: setattr(self._uplink, "broker_up", True))

    def _heal(self) -> None:
        self._badness = Badness()
        self._to_host.badness = self._to_board.badness = self._badness
        for input_no in (DOOR, TAMPER):
            self._adcs[input_no] = NORMAL

    # -- power --

    def _power_on(self, cause: ResetCause = ResetCause.POWER_ON) -> None:
        if self._powered_ms is not None:
            return
        self._powered_ms = self.now_ms
        self._core.limits()
        self._core.load(self._image)
        self._core.start(cause, 0)
        self._boot_id, self._last_event_id = self._core.held().boot_id, 0

    def _power_off(self, for_ms: int | None, cause: ResetCause = ResetCause.POWER_ON) -> None:
        """Without power for so long; 0: it starts anew at once; None: until somebody gives it some."""
        if self._powered_ms is None:
            return
        if for_ms != 0:
            self._core.cut(self.now_ms - self._powered_ms)
        self._image = self._core.image()
        self._powered_ms = None
        newest = [press for press in self.presses[-40:] if press.at_ms > self.now_ms - 1000]
        window_ms = CUT_SHORT_MS + CUT_SHORT_EACH_MS * len(newest)
        for press in newest:
            press.cut_short |= press.at_ms > self.now_ms - window_ms
        self._cable()
        if for_ms == 0:
            self._power_on(cause)
        elif for_ms is not None:
            self._after(for_ms, self._power_on)

    def _start_host(self, boots: bool = False) -> None:
        if boots:
            self._clock.boot()
        self._uplink.now_ns = self._clock.now_ns
        self._host = Host(self._data, self._lives, self._clock, self._uplink, self._chance)
        if not self._port:
            self._host.lose_port()

    def _cable(self) -> None:
        """What is under way on the lines is lost."""
        self._to_host = SerialLine(self._badness, self._chance.randrange(1 << 30))
        self._to_board = SerialLine(self._badness, self._chance.randrange(1 << 30))

    # -- time --

    def _at(self, at_ms: int, action: Callable[[], None]) -> None:
        self._n += 1
        heapq.heappush(self._script, (at_ms, self._n, action))

    def _after(self, ms: int, action: Callable[[], None]) -> None:
        self._at(self.now_ms + ms, action)

    def _each(self, mean_s: float, end_ms: int, action: Callable[[], None]) -> None:
        at_ms = self.now_ms
        while (at_ms := at_ms + 1 + round(self._chance.expovariate(1 / mean_s) * 1000)) < end_ms:
            self._at(at_ms, action)

    def _run(self, end_ms: int) -> None:
        while self.now_ms < end_ms:
            while self._script and self._script[0][0] <= self.now_ms:
                heapq.heappop(self._script)[2]()
            self._turn()
            self._pass(max(1, min(self._next_ms(), end_ms) - self.now_ms))

    def _pass(self, most_ms: int) -> None:
        """Time goes by, until the board says something."""
        if self._powered_ms is None:
            self._clock.now_ns += most_ms * MS
            return
        age_ms = self.now_ms - self._powered_ms
        passed_ms, last_event_id, said = self._core.live(self._adcs, age_ms, most_ms)
        self._clock.now_ns += passed_ms * MS
        if self._port:
            self._to_host.put(said, self._clock.now_ns)
        if last_event_id != self._last_event_id:
            self._note_made(last_event_id)

    def _turn(self) -> None:
        now_ns = self._clock.now_ns
        self._uplink.now_ns = now_ns
        self._uplink.turn()
        heard, told = self._to_host.take(now_ns), self._to_board.take(now_ns)
        if self._host is not None:
            if heard:
                self._host.hear(heard)
            said = self._host.turn()
            if self._port:
                self._to_board.put(said, now_ns)
        if told and self._powered_ms is not None:
            said = self._core.receive(told, self.now_ms - self._powered_ms)
            if self._port:
                self._to_host.put(said, now_ns)

    def _next_ms(self) -> int:
        times = [self._script[0][0] * MS] if self._script else []
        for next_ns in (self._to_host.next_ns(), self._to_board.next_ns(), self._uplink.next_ns()):
            if next_ns is not None:
                times.append(next_ns)
        if self._host is not None:
            times.append(self._clock.now_ns + self._host.next_in_ns())
        return -(-min(times, default=self._clock.now_ns + 1000 * MS) // MS)

    # -- the judge --

    def _note_made(self, last_event_id: int) -> None:
        """The key that the firmware gave to a press, by when it gave it."""
        for event in self._core.held().events:
            new = event.boot_id == self._boot_id and event.event_id > self._last_event_id and not event.from_latch
            if not new or event.state is not LineState.ALARM or event.input_no not in PANIC_INPUTS:
                continue
            mine = [
                press for press in self.presses[-40:]
                if press.input_no == event.input_no and press.at_ms <= self.now_ms <= press.until_ms + 100
            ]  # fmt: skip
            assert mine, f"a press of input {event.input_no} at {self.now_ms} ms that nobody made: {event}"
            mine[-1].ids.add(input_alert_id(UID.hex(), event.boot_id, event.event_id))
        self._last_event_id = last_event_id

    def _seen_late(self, body: dict[str, Any]) -> Press | None:
        """The press that no event told of, and a snapshot did: one that the board took for the one before it."""
        if not body["data"]["late"]:
            return None
        at_ms = round(datetime.fromisoformat(body["time"]).timestamp() * 1000) - START_WALL_NS // MS
        for press in self.presses:
            mine = press.cut_short and not press.ids and body["subject"] == f"zone/Z{press.input_no}"
            if mine and press.at_ms <= at_ms <= press.until_ms + 1000:
                return press
        return None

    def judged(self, hours: float) -> Verdict:
        """What the consumer has against what was pressed."""
        got = {event_id for _, event_id in self.received if event_id in self.told}
        for event_id in got - {each for press in self.presses for each in press.ids}:
            press = self._seen_late(self.told[event_id])
            if press is not None:
                press.ids.add(event_id)
        lost, doubled, cut_short = [], [], []
        for press in self.presses:
            told = len(press.ids & got)
            what = f"input {press.input_no} at {press.at_ms} ms for {press.until_ms - press.at_ms} ms, ids {press.ids}"
            if press.cut_short:
                cut_short.append(told)
            elif told == 0:
                lost.append(what)
            elif told > 1:
                doubled.append(what)
        known = {each for press in self.presses for each in press.ids}
        doubled += [f"no press has the id {event_id}: {self.told[event_id]}" for event_id in got - known]
        return Verdict(
            presses=len(self.presses),
            hours=hours,
            faults=self.faults,
            lost=lost,
            doubled=doubled,
            cut_short=len(cut_short),
            cut_short_lost=sum(told == 0 for told in cut_short),
            cut_short_twice=sum(told > 1 for told in cut_short),
            repeated=sum(times > 1 for (_, event_id), times in self.received.items() if event_id in self.told),
        )
