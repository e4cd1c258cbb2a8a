"""Any sequence of recording, silence, clocks that are set, stops, kills and reboots, against the true time line."""

import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.facts import ClockQuality
from agent.footage.timeline import NS, Gap, Span
from tests.fakes.camera import make_clip
from tests.fakes.reel_life import BUSY_S, ReelLife
from tests.fakes.waiting import until

_FOLDER = Path(tempfile.mkdtemp(prefix="ledger-model-"))
CLIP = _FOLDER / "clip.mp4"


def setup_module() -> None:
    make_clip(CLIP)


def teardown_module() -> None:
    shutil.rmtree(_FOLDER, ignore_errors=True)


class Ledger(RuleBasedStateMachine):
    """What is checked after every step holds whatever the clock says; what is checked at the end needs the clock to be
    right at last."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=_FOLDER))
        self.life = ReelLife(self.folder, CLIP)
        self.life.start()
        self.was_wrong_while_trusted = False
        self.lost = 0

    @rule(seconds=st.sampled_from([1.5, 4, 13]))
    def record(self, seconds: float) -> None:
        self.life.play(seconds)

    @rule(seconds=st.sampled_from([0.4, 3, 8, 40]))
    def silence(self, seconds: float) -> None:
        self.life.wait(seconds)

    @precondition(lambda self: self.life.is_on)
    @rule()
    def stop(self) -> None:
        self.life.stop()

    @precondition(lambda self: self.life.is_on)
    @rule()
    def kill(self) -> None:
        self.life.kill()
        self.lost += 1

    @precondition(lambda self: not self.life.is_on)
    @rule()
    def start(self) -> None:
        self.life.start()

    @precondition(lambda self: not self.life.is_on)
    @rule(off_s=st.sampled_from([20, 5000]), wall=st.sampled_from(["1970", "last", "right"]))
    def reboot(self, off_s: float, wall: str) -> None:
        right_ns = self.life.true_ns() + round(off_s * NS)
        at_ns, quality = {
            "1970": (0, ClockQuality.UNKNOWN),
            "last": (self.life.clock.wall_ns(), ClockQuality.LAST_GOOD),
            "right": (right_ns, ClockQuality.NTP),
        }[wall]
        self.life.reboot(at_ns, quality, off_s)

    @precondition(lambda self: self.life.clock.now_quality is not ClockQuality.NTP)
    @rule(by_s=st.sampled_from([-7200, -3, 2, 90, 86400 * 400]))
    def somebody_sets_a_wrong_clock(self, by_s: float) -> None:
        if self.life.clock.wall_ns() + by_s * NS > 0:
            self.life.clock.step_wall(by_s)

    @precondition(lambda self: self.life.clock.now_quality is not ClockQuality.NTP)
    @rule()
    def the_network_tells_the_time(self) -> None:
        self.life.set_right()

    @invariant()
    def every_instant_is_decided(self) -> None:
        if not self.life.is_on:
            return
        decided = self.life.decided()
        both: list[Span | Gap] = [*decided.ledger.spans, *decided.ledger.gaps]
        pieces = sorted((each.from_ns, each.to_ns or 0) for each in both)
        if pieces:
            assert (pieces[0][0], pieces[-1][1]) == (decided.from_ns, decided.to_ns)
        assert all(a[1] == b[0] for a, b in pairwise(pieces))
        told = {gap.reason for gap in decided.ledger.gaps}
        assert told.isdisjoint({"unrecorded", "index_lost"}), told

    def teardown(self) -> None:
        life = self.life
        try:
            if not life.is_on:
                life.start()
            life.play(3)
            life.set_right()
            life.play(100)
            until(lambda: len(life.track.live) <= 1, BUSY_S, "all but the file being written are closed")
            self.every_instant_is_decided()
            self._all_that_can_be_known_is_where_it_belongs()
        finally:
            if life.is_on:
                life.stop()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _all_that_can_be_known_is_where_it_belongs(self) -> None:
        life = self.life
        heard = sorted(sent.true_ns for sent in life.sent if sent.heard)
        with life.index.reading() as connection:
            right = {row[0] for row in connection.execute("SELECT id FROM run WHERE quality IN ('ntp', 'rectified')")}
        found = [(row, row.end_ns) for row in life.rows() if row.end_ns is not None and row.run in right]
        for (_, end_ns), (after, _) in pairwise(found):
            assert end_ns <= after.start_ns + NS  # a clock that is right to within a second is left alone
        for row, end_ns in found:
            slack = 1.1 * NS
            assert min(abs(row.start_ns - at) for at in heard) <= slack
            inside = sum(row.start_ns - slack <= at < end_ns + slack for at in heard)
            assert inside >= row.frames - 1
        files = list(life.volume.rglob("*.mp4"))
        assert len(files) == len(life.rows())
        recorded = sum(row.frames for row in life.rows())
        assert recorded <= len(heard)


Ledger.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLedger = Ledger.TestCase
