"""The power goes at hundreds of moments of a recording: what it costs, and what it never costs."""

import random
import time
from collections.abc import Iterator

import pytest

from tests.fakes.encoded import pictures
from tests.fakes.waiting import until
from tests.faults.power_cut import MOST_LOSS_S, EndlessCamera, PoweredRun, Verdict
from tests.faults.rigs.logged_disk import NEEDS

CUTS = 260
RUN_S = 34.0
"""Three segments of each camera, and what follows."""

pytestmark = pytest.mark.needs_debian(*NEEDS)


@pytest.fixture(scope="module")
def cameras() -> Iterator[dict[str, EndlessCamera]]:
    """One with a key picture each second, one with B-frames and a key picture every four seconds: 2 Mbit/s each."""
    found = {
        "one": EndlessCamera(pictures(8, (160, 120), noise=True)),
        "two": EndlessCamera(pictures(8, (160, 120), noise=True, b_frames=2, key_every=100)),
    }
    yield found
    for camera in found.values():
        camera.stop()


def told(verdict: Verdict) -> str:
    """What a failure says: enough to try this cut again."""
    return f"seed {verdict.cut.seed}, after {verdict.cut.count} requests: {verdict.loss_s} {verdict.broken}"


@pytest.mark.timeout(300)
def test_a_power_cut_costs_three_seconds_and_no_promise(cameras: dict[str, EndlessCamera]) -> None:
    seed = random.randrange(10_000)
    with PoweredRun(cameras) as run:
        began_ns = time.time_ns()
        until(lambda: run.recording.is_recording(*cameras), 15, "both cameras are recorded")
        time.sleep(RUN_S)
        run.end()
        assert len({closed.path.partition("/")[0] for closed in run.witness.closed}) == 2
        cuts = run.cuts(CUTS, seed, began_ns, time.time_ns())
        verdicts = list(run.judge(cuts))
        assert len(verdicts) == CUTS
        assert [told(each) for each in verdicts if each.broken] == []
        # A machine that stands still takes its time from the camera, the recorder and the rig alike.
        late = [
            told(each)
            for each in verdicts
            if max(each.loss_s.values()) > MOST_LOSS_S + run.disk.stalled_s(each.cut.wall_ns)
        ]
        assert late == []
