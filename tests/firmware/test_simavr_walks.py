"""Everything at once: presses, power cuts, hangs, resets, noise and hosts that come and go. No press is lost."""

import random
from pathlib import Path

import pytest

from tests.fakes.simavr import NEEDS_SIMAVR, Built, Lockstep

pytestmark = NEEDS_SIMAVR

HELD_S = 0.15
"""Longer than the debounce (30 ms) and the writing of a cell (16 bytes of 3.4 ms)."""


def _something_happens(board: Lockstep, chance: random.Random) -> None:
    match chance.randrange(8):
        case 0:
            board.unplug()
            board.run(chance.uniform(0.01, 1))
            board.plug()
            board.run(0.2)
        case 1:
            board.chip.tell("hang 1")
            board.run(1.3)
        case 2:
            board.reset(2)
            board.run(0.2)
        case 3:
            board.feed(chance.randbytes(chance.randrange(1, 300)))
        case 4:
            board.restart_host()
        case 5:
            board.host_alive = not board.host_alive
        case 6:
            if board.commits:
                board.commits = False
            else:
                board.commit_all()
        case 7:
            board.run(chance.uniform(0, 3))


@pytest.mark.parametrize("seed", range(4))
def test_every_press_is_told_once(parts: Built, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    board = Lockstep(parts, tmp_path)
    try:
        board.plug()
        board.up()
        presses = 0
        for _ in range(30):
            for _ in range(chance.randrange(3)):
                input_no = chance.randrange(8)
                board.set(input_no, "alarm")
                board.run(HELD_S)
                board.set(input_no, "normal")
                board.run(HELD_S)
                presses += 1
            _something_happens(board, chance)
        board.host_alive = True
        board.commit_all()
        board.restart_host()
        board.run(12)
        assert board.link.up
        assert board.link.heartbeat["queue_depth"] == 0
        told = {(each.boot_id, each.event_id): each.count for each in board.events("alarm")}
        assert len(told) <= presses, "no key without a press"
        assert sum(told.values()) >= presses, "more only where one was told before it went into a sum"
        assert sum(told.values()) == presses or max(told.values()) > 1
        assert not board.status()["siren"]
    finally:
        board.stop()
