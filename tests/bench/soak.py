"""`make soak`: a demonstration facility under random kill -9, judged by the platforms' databases and by the footage.

Before it, `record` alone with four cameras is killed `KILLS` times, and `yunjian footage check` judges after each; then
the power of its disk is cut at `CUTS` moments (tests/faults/power_cut.py; needs root); then the core of the firmware
lives beside the Python board, under the sanitizers; and the panel (tests/bench/panel_soak.py) lives a day in simulated
time, then an hour under faults and an hour beside a contact that chatters with the firmware in simavr. Ends with status
1 when a press was lost or doubled, when the index disagrees with the disk, when the core does something else, or when
something does not come back.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from agent.main import PROCESSES
from tests.bench.panel_soak import soak_panel
from tests.fakes.facility import Facility
from tests.fakes.waiting import until
from tests.faults.power_cut import MOST_LOSS_S, PoweredRun, three_cameras
from tests.faults.record_kills import checked, kill_again_and_again, told, under_load
from tests.faults.rigs.logged_disk import NEEDS
from tests.firmware.soak import soak_core

KILLS = 50
CUTS = 1000
CUTS_WITHIN_S = 60.0
CORE_S = 120.0


def main() -> int:
    """Run the trial; the exit status."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--panel-seconds", type=float, default=3600, help="of each trial of the panel in real time")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", choices=("panel",))
    options = parser.parse_args()
    print(f"soak: {options.seconds:.0f} s, seed {options.seed}")
    if options.only == "panel":
        return 0 if soak_panel(options.panel_seconds, options.seed) else 1
    _kill_record(options.seed)
    _cut_power(options.seed)
    _live_core(options.seed)
    panel_sound = soak_panel(options.panel_seconds, options.seed)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="yunjian-soak-") as folder:
        facility = Facility(Path(folder) / "var")
        facility.start()
        presses, kills = _trouble(facility, chance, options.seconds)
        wrong = _judge(facility, presses)
        facility.wait_until_working()
        status = facility.stop()
    print(
        f"soak: {presses} presses, kills {kills}, {'; '.join(wrong) or 'none lost, none doubled'}, exit status {status}"
    )
    return 1 if wrong or status or not panel_sound else 0


def _kill_record(seed: int) -> None:
    with tempfile.TemporaryDirectory(prefix="yunjian-soak-") as folder, under_load(Path(folder)) as recording:
        kills, early = kill_again_and_again(recording, seed, 24 * 3600, KILLS)
        status = recording.stop()
        found = told(checked(recording, deep=True).findings)
    assert not found, found
    assert status == 0, f"record did not stop: {status}"
    print(f"soak: record killed {kills} times, {early} of them while it started; footage check clean each time")


def _cut_power(seed: int) -> None:
    missing = [name for name in NEEDS if shutil.which(name) is None]
    if missing:
        print(f"soak: no power is cut: {', '.join(missing)} is missing")
        return
    with three_cameras() as cameras, PoweredRun(cameras) as run:
        from_ns = time.time_ns()
        time.sleep(CUTS_WITHIN_S)
        to_ns = time.time_ns()
        run.end()
        most_s = 0.0
        for verdict in run.judge(run.cuts(CUTS, seed, from_ns, to_ns)):
            assert not verdict.broken, f"cut {verdict.cut}: {verdict.broken}"
            most_s = max(most_s, *verdict.loss_s.values())
    assert most_s <= MOST_LOSS_S, f"a power cut cost {most_s:.1f} s"
    print(f"soak: the power was cut at {CUTS} moments, and cost {most_s:.1f} s at most")


def _live_core(seed: int) -> None:
    if shutil.which("gcc") is None:
        print("soak: the core of the firmware does not run: gcc is missing")
        return
    rounds = soak_core(CORE_S, seed)
    print(f"soak: the core of the firmware lived, was cut and was fuzzed {rounds} times beside the Python board")


def _trouble(facility: Facility, chance: random.Random, seconds: float) -> tuple[int, dict[str, int]]:
    kills = dict.fromkeys(PROCESSES, 0)
    presses, end_s = 0, time.monotonic() + seconds
    while time.monotonic() < end_s:
        victim = chance.choice(PROCESSES)
        if facility.pid(victim) is not None:
            facility.kill(victim)
            kills[victim] += 1
        for _ in range(chance.randint(1, 3)):
            time.sleep(chance.uniform(0, 1.5))
            facility.press()
            presses += 1
        time.sleep(chance.uniform(0, 4))
    return presses, kills


def _judge(facility: Facility, presses: int) -> list[str]:
    wrong = []
    for platform in ("police", "cloud"):
        try:
            until(lambda p=platform: len(facility.presses_received(p)) >= presses, 60, platform)  # type: ignore[misc]
        except AssertionError:
            wrong.append(f"{platform}: {len(facility.presses_received(platform))} of {presses} presses")
            continue
        received = facility.presses_received(platform)
        if len(received) != presses or len(set(received)) != presses:
            wrong.append(f"{platform}: {len(received)} rows, {len(set(received))} ids for {presses} presses")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
