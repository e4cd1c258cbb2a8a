"""The power goes at hundreds of moments of a recording: what it costs, and what it never costs."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.fakes.waiting import until
from tests.faults.power_cut import MOST_LOSS_S, PoweredRun, three_cameras
from tests.faults.rigs.careless import CarelessRecording
from tests.faults.rigs.judge import Verdict
from tests.faults.rigs.logged_disk import NEEDS
from tests.faults.rigs.write_log import Cut

CUTS = 210
CONTROL_CUTS = 24
AGAIN_CUTS = 12
RUN_S = 30.0
"""Three segments of each camera, and what follows."""

pytestmark = [pytest.mark.needs_debian(*NEEDS), pytest.mark.timeout(300)]


@dataclass
class Recorded:
    """A run with syncing and one without, of the same cameras in the same seconds."""

    seed: int
    from_ns: int
    to_ns: int
    run: PoweredRun
    careless: PoweredRun

    def cuts(self, number: int) -> list[Cut]:
        return self.run.cuts(number, self.seed, self.from_ns, self.to_ns)


@pytest.fixture(scope="module")
def recorded() -> Iterator[Recorded]:
    with ExitStack() as running:
        cameras = running.enter_context(three_cameras())
        run = running.enter_context(PoweredRun(cameras))
        from_ns = time.time_ns()
        careless = running.enter_context(PoweredRun(cameras, recording=CarelessRecording))
        for each in (run, careless):
            until(lambda each=each: each.recording.is_recording(*cameras), 15, "all are recorded")  # type: ignore[misc]
        time.sleep(RUN_S)
        to_ns = time.time_ns()
        run.end()
        careless.end()
        yield Recorded(random.randrange(10_000), from_ns, to_ns, run, careless)


def told(verdict: Verdict) -> str:
    """What a failure says: enough to try this cut again."""
    return f"seed {verdict.cut.seed}, after {verdict.cut.count} requests: {verdict.loss_s} {verdict.broken}"


def test_a_power_cut_costs_three_seconds_and_no_promise(recorded: Recorded) -> None:
    run = recorded.run
    assert len({closed.path.partition("/")[0] for closed in run.witness.closed}) == len(run.cameras)
    assert len(run.witness.closed) >= 6
    verdicts = list(run.judge(recorded.cuts(CUTS)))
    assert len(verdicts) == CUTS
    assert [told(each) for each in verdicts if each.broken] == []
    # A machine that stands still takes its time from the camera, the recorder and the rig alike.
    late = [
        told(each)
        for each in verdicts
        if max(each.loss_s.values()) > MOST_LOSS_S + run.disk.stalled_s(each.cut.wall_ns)
    ]
    assert late == []


def test_without_syncing_the_same_checks_find_what_is_lost(recorded: Recorded) -> None:
    run = recorded.careless
    late_ns = recorded.to_ns - int(RUN_S / 2 * 1e9)
    verdicts = list(run.judge(run.cuts(CONTROL_CUTS, recorded.seed, late_ns, recorded.to_ns)))
    assert any("a closed segment is gone" in what for each in verdicts for what in each.broken)
    assert max(loss_s for each in verdicts for loss_s in each.loss_s.values()) > 2 * MOST_LOSS_S


def test_the_power_goes_again_while_a_start_recovers(recorded: Recorded) -> None:
    chance = random.Random(recorded.seed)
    for cut in chance.sample(recorded.cuts(CUTS), 3):
        verdicts = list(recorded.run.judge_again(cut, AGAIN_CUTS))
        assert [told(each) for each in verdicts if each.broken] == []
        losses = {tuple(each.loss_s.values()) for each in verdicts}
        assert len(losses) == 1, f"a second cut cost more than the first: {told(verdicts[0])} {losses}"


def test_the_record_process_goes_on_after_a_power_cut(recorded: Recorded) -> None:
    chance = random.Random(recorded.seed)
    late = [cut for cut in recorded.cuts(CUTS) if cut.wall_ns > recorded.from_ns + 8e9]
    for cut in chance.sample(late, 2):
        with recorded.run.restarted(cut) as (recording, judge):
            until(lambda r=recording: r.is_recording(*recorded.run.cameras), 15, "all are recorded again")  # type: ignore[misc]
            for name in recorded.run.cameras:
                answer = recording.spans(name, recorded.from_ns)
                gap = next(each for each in answer["gaps"] if each["reason"] == "power_loss")
                lost_s = (cut.wall_ns - gap["from_ns"]) / 1e9
                assert lost_s <= MOST_LOSS_S + recorded.run.disk.stalled_s(cut.wall_ns), f"seed {cut.seed}: {lost_s} s"
                assert gap["to_ns"] > recorded.to_ns
            assert recording.stop() == 0
            judge.compare()
            assert judge.verdict.broken == [], told(judge.verdict)
