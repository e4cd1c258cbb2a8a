"""The alarm desk with a real database, two scripted routes and a clock that the test moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agent.delivery.payload import Identity
from agent.delivery.rows import InputKey
from agent.delivery.store import AlarmStore
from agent.desk import Desk
from agent.facts import Condition, ConditionKind, Fact, InputChanged, InputState, PeopleCounted
from agent.inbox import AreaAsk, Call, FactReport, InputReport, LinkReport, PersonAsks, Site
from agent.safety.arming import Act
from agent.safety.incidents import Happening, Incident
from agent.safety.zones import Zone, ZoneType
from firmware_bridge.serial_port import BoardStatus
from tests.fakes.clock import MovedClock
from tests.fakes.route import ScriptedRoute
from tests.fakes.waiting import until

UID = "cd072cd8be6f9f62"
SITE = Site(
    zones=(
        Zone("Z01", "托大一班一键报警", ZoneType.PANIC_24H, "B1", 0, "R01", ("C01",)),
        Zone("Z02", "大门门磁", ZoneType.PERIMETER, "B1", 1),
    ),
    names={"room/R01": "托大一班", "camera/C01": "托大一班摄像机"},
    processes=("vision",),
    bridges=("B1",),
)


class Outlet:
    """The outputs of a board, without one: what they were told, in order. A `clocked` one ends a test by itself."""

    def __init__(self) -> None:
        self.told: list[tuple[bool, bool]] = []
        self.tried: list[tuple[bool, bool, int]] = []
        self.clocked = self.raises = False
        self.up = True
        self.trouble = ""

    @property
    def siren(self) -> bool:
        return bool(self.told) and self.told[-1][0]

    @property
    def strobe(self) -> bool:
        return bool(self.told) and self.told[-1][1]

    def start(self) -> None: ...

    def stop(self, timeout_s: float = 5.0) -> None: ...

    def acknowledge(self, board_uid: str, boot_id: int, event_id: int) -> None: ...

    def output(self, siren: bool, led: bool) -> None:
        if self.raises:
            raise OSError("the board has a fault of its own")
        self.told.append((siren, led))

    def try_output(self, siren: bool, led: bool, seconds: int) -> bool:
        self.tried.append((siren, led, seconds))
        return self.clocked

    def status(self) -> BoardStatus:
        heartbeat = {"outputs_trouble": self.trouble}
        return BoardStatus("outlet", self.up, None, None, None, 0.0, 0, 0, 0, heartbeat)


class Office:
    """A desk at work. `acknowledged` are the events that boards were told are safe; `outlets` are the outputs of the
    boards that the site has, by their bridges."""

    def __init__(self, path: Path, site: Site = SITE, clock: MovedClock | None = None) -> None:
        self.path = path
        self.clock = clock or MovedClock()
        self.shut_downs: list[int] = []
        self.acknowledged: list[InputKey] = []
        self.outlets = {output.bridge_id: Outlet() for output in site.outputs}
        self.police, self.cloud = ScriptedRoute("police"), ScriptedRoute("cloud")
        identity = Identity("F0012", "edge-0001", ZoneInfo("Asia/Shanghai"), "boot-1")
        self.store = AlarmStore(path, self.clock, lambda opened: self.desk.post(opened))
        self.desk = Desk(
            site, identity, self.store, self.clock, lambda _bridge, key: self.acknowledged.append(key), lambda: None,
            lambda: self.shut_downs.append(self.clock.mono_ns()), self.outlets,
        )  # fmt: skip
        for route in (self.police, self.cloud):
            route.post = self.desk.post
            self.desk.dispatch.add(route, "public_security", receipts_required=True)
        self._n = 0

    def connect(self) -> None:
        """Both platforms, the board and vision are there."""
        self.police.connect()
        self.cloud.connect()
        self.desk.post(LinkReport("B1", True, "heard"))
        self.settle()

    def settle(self) -> None:
        """Until the desk and the store have nothing to do."""

        def idle() -> bool:
            done: list[bool] = []
            self.desk.post(Call(lambda: done.append(True)))
            until(lambda: done, 10, "the desk answers", every_s=0.002)
            return self.store.waiting() == 0

        until(lambda: idle() and idle() and idle(), 10, "the desk is idle", every_s=0.002)

    def turn(self, seconds: float = 0.0) -> None:
        """Time passes, and the desk looks at its deadlines."""
        self.clock.move(seconds)
        self.desk.post(Call(self.desk.turn))
        self.settle()

    def change(self, event_id: int, state: InputState, input_no: int = 0, settle: bool = True) -> InputKey:
        """The board tells a change of an input."""
        at = self.clock.stamp()
        before = InputState.NORMAL if state is InputState.ALARM else InputState.ALARM
        fact = InputChanged("B1", UID, 1, event_id, input_no, before, state, at)
        self.desk.post(InputReport(fact, at.mono_ns - 35_000_000))
        if settle:
            self.settle()
        return (UID, 1, event_id)

    def tell(self, fact: Fact, n: int | None = None) -> list[str]:
        """Vision tells a fact; the list is filled once it was taken."""
        self._n = self._n + 1 if n is None else n
        taken: list[str] = []
        self.desk.post(FactReport(("vision", "b", self._n), fact, lambda: taken.append("taken")))
        self.settle()
        return taken

    def condition(self, active: bool, kind: ConditionKind = ConditionKind.OVER_CAPACITY) -> Condition:
        at = self.clock.stamp()
        return Condition(kind, "room/R01", active, at, at, {"count": 25, "capacity": 20})

    def people(self, count: int) -> PeopleCounted:
        at = self.clock.stamp()
        return PeopleCounted("R01", "C01", count, count, count + 1, "median", "nanodet", 0.3, at, at)

    def person(self, happening: Happening, incident_id: str, why: str = "") -> Any:
        """A person asks; the incident, or (code, text)."""
        answers: list[Any] = []
        self.desk.post(PersonAsks(happening, incident_id, "王芳", why, answers.append))
        until(lambda: answers, 10, "the person is answered", every_s=0.002)
        self.settle()
        return answers[0]

    def act(self, act: Act, area_id: str = "") -> Any:
        """A person arms, disarms or bypasses; the area, or (code, text)."""
        answers: list[Any] = []
        self.desk.post(AreaAsk(area_id, act, answers.append))
        until(lambda: answers, 10, "the person is answered", every_s=0.002)
        self.settle()
        return answers[0]

    def incidents(self) -> list[Incident]:
        return self.desk.panel.open_incidents()


@contextmanager
def office(path: Path, connected: bool = True, site: Site = SITE, clock: MovedClock | None = None) -> Iterator[Office]:
    """A desk with the database at `path`, at work; a restart goes on with the clock of the start before."""
    made = Office(path, site, clock)
    assert made.store.start(10)
    made.desk.start()
    try:
        if connected:
            made.connect()
        made.settle()
        yield made
    finally:
        made.desk.stop()
        made.store.stop()
