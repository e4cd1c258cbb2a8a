"""The host in simulated time: the product's own link, desk and store, turned by hand instead of by their threads."""

import queue
import random
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from agent.delivery.payload import Identity
from agent.delivery.rows import InputKey
from agent.delivery.store import AlarmStore, Opened
from agent.desk import TURN_S, Desk
from agent.facts import ClockQuality
from agent.inbox import Site
from agent.processes.alarm import report_of
from agent.safety.zones import Zone, ZoneType
from firmware_bridge.link import HostLink
from firmware_bridge.reports import Report
from tests.soak.uplink import Uplink

MS: Final = 1_000_000
SECTOR: Final = 512
BOARD: Final = "B1"
PANIC_INPUTS: Final = (0, 1, 2, 3, 4, 5)
DOOR: Final = 6
TAMPER: Final = 7
SITE: Final = Site(
    zones=(
        *(Zone(f"Z{number}", f"一键报警 {number}", ZoneType.PANIC_24H, BOARD, number) for number in PANIC_INPUTS),
        Zone("Z6", "大门门磁", ZoneType.PERIMETER, BOARD, DOOR),
        Zone("Z7", "箱体防拆", ZoneType.TAMPER_24H, BOARD, TAMPER),
    ),
    names={},
    processes=(),
    bridges=(BOARD,),
)

START_WALL_NS: Final = 1_795_000_000_000_000_000
_START_MONO_NS: Final = 7_000 * MS
"""A process starts so long after its machine."""


class DayClock:
    """The clocks of the host. `now_ns` is the time of the simulation; CLOCK_MONOTONIC begins anew with each `boot`."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._booted_ns = 0

    def boot(self) -> None:
        """The machine starts."""
        self._booted_ns = self.now_ns

    def wall_ns(self) -> int:
        return START_WALL_NS + self.now_ns

    def mono_ns(self) -> int:
        return self.now_ns - self._booted_ns + _START_MONO_NS

    def quality(self) -> ClockQuality:
        return ClockQuality.NTP

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        raise AssertionError("nothing waits in simulated time")


class SteppedStore(AlarmStore):
    """The store, opened and committed by hand."""

    _db: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the database; `opened` is told."""
        self._db = self._open()

    def commit(self) -> None:
        """Commit all that waits, and tell who waits."""
        assert self._db is not None
        while self._jobs:
            self._commit(self._db)
        self._state = type(self._state)(ok=True)

    def commit_untold(self) -> None:
        """Commit all that waits; nobody lives to be told."""
        self._jobs.extend((self._jobs.popleft()[0], None) for _ in range(len(self._jobs)))
        self.commit()

    def fail(self) -> None:
        """The disk takes nothing now."""
        self._failed(sqlite3.OperationalError("disk I/O error"))

    def drop(self) -> None:
        """Forget all that waits, and let go of the file."""
        self._jobs.clear()
        if self._db is not None:
            self._db.close()


class Host:
    """One life of the alarm process."""

    def __init__(self, folder: Path, life: int, clock: DayClock, uplink: Uplink, chance: random.Random) -> None:
        """Start with the database in `folder`."""
        self._folder = folder
        self._clock = clock
        self._uplink = uplink
        self._chance = chance
        self._commit_due_ns: int | None = None
        self._turned_ns = clock.mono_ns()
        self.disk_ok = True
        self.link = HostLink()
        self.store = SteppedStore(folder / "alarm.db", clock, self._opened)
        identity = Identity("F0012", "edge-0001", ZoneInfo("Asia/Shanghai"), f"life-{life}")
        self.desk = Desk(SITE, identity, self.store, clock, self._acknowledge, lambda: None)
        self.desk.dispatch.add(uplink, "public_security", receipts_required=True)
        self._report = report_of(BOARD, self.desk, clock)
        self.store.open()
        uplink.attach(self.desk.post)
        self.open_port()

    def open_port(self) -> None:
        """The board's port is there."""
        self._tell(self.link.open(self._clock.mono_ns()))

    def lose_port(self) -> None:
        """The board's port is gone."""
        self._tell(self.link.close("port_lost", self._clock.mono_ns()))

    def hear(self, data: bytes) -> None:
        """Bytes of the board."""
        self._tell(self.link.receive(data, self._clock.mono_ns()))

    def turn(self) -> bytes:
        """Whatever is due now; bytes for the board."""
        now_ns = self._clock.mono_ns()
        self._tell(self.link.tick(now_ns))
        self._work()
        if not self.store.waiting():
            self._commit_due_ns = None
        elif self._commit_due_ns is None:
            self._commit_due_ns = now_ns + self._chance.choice((2, 5, 20, 200)) * MS
        elif now_ns >= self._commit_due_ns and self.disk_ok:
            self.store.commit()
            self._commit_due_ns = None
            self._work()
        due_ns = self.desk.dispatch.next_due_ns()
        if now_ns - self._turned_ns >= TURN_S * 1e9 or (due_ns is not None and now_ns >= due_ns):
            self.desk.turn()
            self._turned_ns = now_ns
            self._work()
        return self.link.to_send()

    def next_in_ns(self) -> int:
        """How long until something is due."""
        times = [self._turned_ns + round(TURN_S * 1e9)]
        if self.store.waiting() and self.disk_ok:
            times.append(self._commit_due_ns or 0)
        for due_ns in (self.link.deadline_ns(), self.desk.dispatch.next_due_ns()):
            if due_ns is not None:
                times.append(due_ns)
        return min(times) - self._clock.mono_ns()

    def kill(self, into: Path, power_cut: bool) -> None:
        """kill -9, or the power: what is on the disk then is what the next life finds in `into`.

        A commit that was under way is there or not, told to nobody; a power cut leaves any of the sectors that it had
        not yet waited for.
        """
        self._uplink.detach()
        kept = self._files()
        if self.disk_ok and self.store.waiting() and self._chance.random() < 0.5:
            before = kept
            self.store.commit_untold()
            kept = self._files()
            if power_cut:
                kept = torn(before, kept, self._chance)
        self.store.drop()
        into.mkdir()
        for name, content in kept.items():
            (into / name).write_bytes(content)
        shutil.rmtree(self._folder)

    def _files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self._folder.iterdir() if not path.name.endswith("-shm")}

    def _opened(self, found: Opened) -> None:
        self.desk.post(found)

    def _acknowledge(self, _bridge_id: str, key: InputKey) -> None:
        self.link.acknowledge(*key)

    def _tell(self, reports: list[Report]) -> None:
        for report in reports:
            self._report(report)

    def _work(self) -> None:
        """The loop of the desk, as long as its inbox holds something."""
        while True:
            try:
                item = self.desk._inbox.get_nowait()
            except queue.Empty:
                return
            assert item is not None
            self.desk.take(item)


def torn(before: dict[str, bytes], after: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """What a power cut may leave of one commit: SQLite waits for its log before it writes the database, and for that
    before it begins the log anew."""
    log, database = "alarm.db-wal", "alarm.db"
    if before.get(database) != after[database] and chance.random() < 0.5:
        return {**after, database: _mixed(before.get(database, b""), after[database], chance)}
    mixed = _mixed(before.get(log, b""), after.get(log, b""), chance)
    return {**before, log: mixed}


def _mixed(before: bytes, after: bytes, chance: random.Random) -> bytes:
    share = chance.random()
    before = before.ljust(len(after), b"\x00")
    return b"".join(
        (after if chance.random() < share else before)[at : at + SECTOR] for at in range(0, len(after), SECTOR)
    )
