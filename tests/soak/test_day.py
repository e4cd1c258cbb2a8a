"""Ten minutes of a panel under faults that come every few seconds; `make soak` lives whole days of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.board_core import Core, running_core
from tests.soak.day import Day

pytestmark = pytest.mark.needs_debian("gcc")

TEN_MINUTES_H = 1 / 6


@pytest.fixture(scope="module")
def core() -> Iterator[Core]:
    with running_core(8, 0xFF) as made:
        yield made


@pytest.mark.parametrize("seed", range(3))
def test_every_press_reaches_the_consumer_once(core: Core, tmp_path: Path, seed: int) -> None:
    verdict = Day(core, tmp_path, seed, trouble_every_s=15, press_every_s=5).live(TEN_MINUTES_H)
    assert verdict.lost == [], f"seed {seed}"
    assert verdict.doubled == [], f"seed {seed}"
    assert verdict.presses > 80
    assert len(verdict.faults) > 5, verdict.faults


def test_the_judge_misses_no_press_that_is_lost_or_told_under_another_id(core: Core, tmp_path: Path) -> None:
    day = Day(core, tmp_path, 7, trouble_every_s=1e9, press_every_s=5)
    verdict = day.live(0.02)
    assert (verdict.lost, verdict.doubled, verdict.cut_short) == ([], [], 0)
    (source, told), *_ = (key for key in day.received if key[1] in day.told)
    del day.received[source, told]
    assert len(day.judged(0.02).lost) == 1
    day.received[source, "another"] = 1
    day.told["another"] = day.told[told]
    assert len(day.judged(0.02).doubled) == 1
