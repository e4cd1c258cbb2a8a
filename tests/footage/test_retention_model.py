"""Retention against a model of ten lines: random footage, holds, clocks, settings and disks.

A day is 24 minutes here, and a segment is one minute: "an hour" of such a day. What is asked after every step is asked
with the true time of each segment, which retention never sees.
"""

import sqlite3
from dataclasses import dataclass, replace

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.facts import ClockQuality, Stamp
from agent.footage.migrations import MIGRATIONS
from agent.footage.upkeep.due import Dues, advance_due
from agent.footage.upkeep.hold import Hold, Protection
from agent.footage.upkeep.retention import Lines, Policy, Reason, Space, Stored
from agent.footage.upkeep.stock import next_step

S = 10**9
HOUR = 60 * S
DAY = 24 * HOUR
START_NS = 1_795_000_000 * S
REELS = [("a", "main"), ("a", "sub"), ("b", "main"), ("c", "main")]
SIZES = {("a", "main"): 8, ("a", "sub"): 1, ("b", "main"): 8, ("c", "main"): 4}
SMALL_NS = 2 * HOUR
"""Clocks that are off by less than what a day's credit and a correction may add up to."""


@dataclass(frozen=True)
class Recorded:
    """What the model knows of a segment: when it was really recorded."""

    camera: str
    label: tuple[int, int]
    true_end_ns: int


class RetentionModel(RuleBasedStateMachine):
    @initialize(
        size=st.integers(2000, 9000), overwrite=st.booleans(), quota=st.one_of(st.none(), st.integers(1000, 6000))
    )
    def begin(self, size: int, overwrite: bool, quota: int | None) -> None:
        self.true_ns, self.mono_ns, self.off_ns = START_NS, 10**12, 0
        self.boot, self.quality = "a", ClockQuality.NTP
        self.policy = Policy(3 * DAY, {"main": 6 * DAY, "sub": 9 * DAY}, quota, None, overwrite, DAY)
        self.longest_minimum = self.policy.minimum_ns
        self.size, self.others = size, 0
        self.dues: Dues | None = None
        self.holds: list[Hold] = []
        self.known: dict[tuple[tuple[str, str], int], Recorded] = {}
        self.seq = self.used = 0
        self.doubted: set[tuple[str, str]] = set()
        """Reels with a label that is not true: what stands beside it may be taken for younger than it is."""
        self.breached = False
        self.database = sqlite3.connect(":memory:", isolation_level=None)
        self.database.row_factory = sqlite3.Row
        for migration in MIGRATIONS:
            self.database.executescript(migration)
        self._pass(2 * 24)

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()

    # What happens.

    @rule(hours=st.integers(1, 40))
    def record(self, hours: int) -> None:
        self._pass(hours)

    @rule(hours=st.integers(60, 120))
    def record_long(self, hours: int) -> None:
        self._pass(hours)

    @rule(
        days=st.sampled_from([-400, -20, -2, 2, 9, 400, 20_000]), hours=st.integers(1, 20), synchronised=st.booleans()
    )
    def clock_is_wrong_for_a_while(self, days: int, hours: int, synchronised: bool) -> None:
        self.off_ns = days * DAY
        self.quality = ClockQuality.NTP if synchronised else ClockQuality.UNKNOWN
        self._pass(hours)
        self.off_ns, self.quality = 0, ClockQuality.NTP
        self._pass(1)  # what is wrong for longer than a day in a row is told for a day, and then followed

    @rule(off=st.integers(1, 60), slow=st.booleans())
    def machine_is_off(self, off: int, slow: bool) -> None:
        self.true_ns += off * HOUR
        self.mono_ns, self.boot = 10**9, self.boot + "'"
        if slow:
            self.quality = ClockQuality.UNKNOWN
            self._pass(3)
            self.quality = ClockQuality.NTP

    @rule(minimum=st.integers(2, 5), more=st.integers(0, 6))
    def settings_change(self, minimum: int, more: int) -> None:
        targets = {"main": (minimum + more) * DAY, "sub": (minimum + more + 2) * DAY}
        self.policy = replace(self.policy, minimum_ns=minimum * DAY, targets_ns=targets)
        self.longest_minimum = max(self.longest_minimum, self.policy.minimum_ns)
        self._retain()

    @rule(camera=st.sampled_from(["a", "b", "c", None]), back=st.integers(0, 200), length=st.integers(1, 60),
          days=st.one_of(st.none(), st.integers(1, 20)))  # fmt: skip
    def hold(self, camera: str | None, back: int, length: int, days: int | None) -> None:
        from_ns = self.wall_ns - back * HOUR
        until_ns = None if days is None else self.wall_ns + days * DAY
        name = f"h{len(self.holds)}"
        self.holds.append(Hold(name, camera, from_ns, from_ns + length * HOUR, "x", "y", None, 0, until_ns))

    @rule(which=st.integers(0, 20))
    def release(self, which: int) -> None:
        if self.holds:
            place = which % len(self.holds)
            self.holds[place] = replace(self.holds[place], released_ns=self.wall_ns)

    @rule(share=st.integers(0, 60))
    def others_use_the_disk(self, share: int) -> None:
        self.others = min(self.size * share // 100, self.size - self.used)
        self._retain()

    @precondition(lambda self: self.breached)
    @rule()
    def disk_grows(self) -> None:
        self.size = self.size * 3 // 2

    # The world.

    @property
    def wall_ns(self) -> int:
        return max(0, self.true_ns + self.off_ns)

    @property
    def now(self) -> Stamp:
        return Stamp(self.wall_ns, self.mono_ns, self.quality)

    def _pass(self, hours: int) -> None:
        for _ in range(hours):
            start_ns = self.wall_ns
            self.true_ns += HOUR
            self.mono_ns += HOUR
            for reel in REELS:
                if self.size - self.others - self.used >= SIZES[reel]:
                    self._add(reel, start_ns)
            self._retain()

    def _add(self, reel: tuple[str, str], start_ns: int) -> None:
        self.seq += 1
        label = (start_ns, max(start_ns, self.wall_ns))
        self.used += SIZES[reel]
        if label[1] != self.true_ns:
            self.doubted.add(reel)
        self.known[(reel, self.seq)] = Recorded(reel[0], label, self.true_ns)
        self.database.execute(
            "INSERT INTO segment (camera, volume, stream, seq, start_ns, end_ns, bytes, path, codec, width, height,"
            " state) VALUES (?, 'v', ?, ?, ?, ?, ?, ?, '', 0, 0, 'closed')",
            (*reel, self.seq, *label, SIZES[reel], f"{self.seq}"),
        )

    def _retain(self) -> None:
        newest = self.database.execute("SELECT end_ns FROM segment ORDER BY id DESC LIMIT 1").fetchone()
        terms = {"minimum": self.policy.minimum_ns, **self.policy.targets_ns}
        self.dues = advance_due(self.dues, self.now, self.boot, terms, newest[0] if newest else None, DAY)
        trusted = self.dues.trusted_ns(self.now)
        self.lines = Lines(
            self.dues.line.at_ns, self.dues.due_ns("minimum", self.now),
            {stream: self.dues.due_ns(stream, self.now) for stream in ("main", "sub")}, self.dues.believed,
        )  # fmt: skip
        self.protection = Protection(self.holds, trusted)
        while True:
            step = next_step(
                self.database, self.policy, self.lines, REELS, self.protection, [self._space()], self.used, most=16
            )
            self.breached = step.breach is not None
            if not step.delete:
                return
            for stored, reason in step.delete:
                self._may_go(stored, reason)
                self.used -= stored.bytes
                self.database.execute("DELETE FROM segment WHERE volume = 'v' AND path = ?", (stored.path,))
                self.database.execute(
                    "INSERT OR REPLACE INTO tombstone VALUES (?, ?, ?, ?, ?, ?, 1, ?, '', '', ?, 0)",
                    (stored.camera, stored.stream, stored.seq, stored.seq, stored.start_ns, stored.end_ns, stored.bytes,
                     reason),
                )  # fmt: skip

    def _space(self) -> Space:
        return Space("v", self.size, self.size - self.others - self.used, self.size // 20, self.size // 16)

    # The ten lines.

    def _may_go(self, stored: Stored, reason: Reason) -> None:
        known = self.known[((stored.camera, stored.stream), stored.seq)]
        age = self.true_ns - known.true_end_ns
        for hold in self.holds:
            alive = hold.released_ns is None and (hold.until_ns is None or hold.until_ns > self.wall_ns)
            if alive and abs(self.off_ns) < SMALL_NS:
                assert not hold.covers(known.camera, *known.label), f"a held segment goes: {stored} {hold}"
        if reason is Reason.OVERWRITTEN:
            assert self.policy.overwrite
        else:
            assert age >= min(self.policy.minimum_ns, self.dues.terms["minimum"].ns) - SMALL_NS, f"{age / DAY} days"  # type: ignore[union-attr]
        if reason is Reason.EXPIRED:
            assert age >= self.policy.targets_ns[stored.stream] - SMALL_NS, f"{age / DAY} days"

    @invariant()
    def the_disk_is_not_over_while_something_may_go(self) -> None:
        if not hasattr(self, "database"):
            return
        space = self._space()
        over = self.policy.quota_bytes is not None and self.used > self.policy.quota_bytes
        if space.free_bytes >= space.reserve_bytes and not over:
            return
        for row in self.database.execute("SELECT camera, stream, seq, start_ns, end_ns FROM segment"):
            known = self.known[((row["camera"], row["stream"]), row["seq"])]
            held = self.protection.of(row["camera"], row["start_ns"], row["end_ns"])
            if held is None and (row["camera"], row["stream"]) not in self.doubted:
                assert known.true_end_ns > self.lines.minimum_ns, f"{dict(row)} could go"


RetentionModel.TestCase.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
TestRetentionModel = RetentionModel.TestCase


def test_what_lies_behind_a_hold_is_dated_by_what_went_before_it() -> None:
    """A clock that was two days behind labelled footage as if it came right after the held one."""
    model = RetentionModel()
    model.begin(size=8000, overwrite=True, quota=None)
    model.hold(camera="a", back=0, length=27, days=None)
    model.record_long(hours=65)
    model.clock_is_wrong_for_a_while(days=-2, hours=16, synchronised=False)
    model.record_long(hours=60)
    model.record_long(hours=99)
    model.teardown()
