"""kill -9 of each of the four processes in a running facility: the others go on, and nothing is lost or doubled."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.main import PROCESSES
from tests.fakes.facility import Facility
from tests.fakes.waiting import until

SEED = 20261121


@pytest.fixture(scope="module")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    facility = Facility(tmp_path_factory.mktemp("killed") / "var")
    facility.start()
    yield facility
    assert facility.stop() == 0, facility.console()
    assert facility.left_running() == ""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("victim", PROCESSES)
def test_a_killed_process_comes_back_alone_and_a_press_meanwhile_arrives(facility: Facility, victim: str) -> None:
    others = {name: facility.pid(name) for name in PROCESSES if name != victim}
    before = {platform: len(facility.presses_received(platform)) for platform in ("police", "cloud")}
    killed = facility.kill(victim)
    facility.press()
    for platform, count in before.items():
        until(
            lambda p=platform, n=count: len(facility.presses_received(p)) == n + 1,  # type: ignore[misc]
            30,
            f"the press made while {victim} was down is at {platform}",
        )
    until(lambda: facility.pid(victim) not in (None, killed), 60, f"{victim} is back")
    facility.wait_until_working()
    assert {name: facility.pid(name) for name in others} == others


@pytest.mark.timeout(240)
def test_presses_under_random_kills_arrive_once_each(facility: Facility, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    before = set(facility.presses_received("police"))
    presses = 12
    for _ in range(presses):
        victim = chance.choice(PROCESSES)
        if facility.pid(victim) is not None:
            facility.kill(victim)
        time.sleep(chance.uniform(0, 0.4))
        facility.press()
        time.sleep(chance.uniform(0.3, 1.5))
    for platform in ("police", "cloud"):
        until(
            lambda p=platform: len(set(facility.presses_received(p)) - before) >= presses,  # type: ignore[misc]
            60,
            f"all {presses} presses are at {platform} (seed {SEED})",
        )
        received = [key for key in facility.presses_received(platform) if key not in before]
        assert len(received) == len(set(received)) == presses
    facility.wait_until_working()
