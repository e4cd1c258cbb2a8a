"""The firmware's core for as long as one likes: lives beside the Python board, cuts after every byte, noise."""

import random
import time

from tests.fakes.board_core import running_core
from tests.firmware.noise import feed_noise
from tests.firmware.slow_eeprom import press_and_commit
from tests.firmware.test_core_walks import Life


def soak_core(seconds: float, seed: int) -> int:
    """One life, one run of cuts and one run of noise after the other; how many of each. Raises AssertionError."""
    chance = random.Random(seed)
    end_s, rounds = time.monotonic() + seconds, 0
    with running_core() as core:
        while time.monotonic() < end_s:
            Life(core, chance.randrange(1 << 30)).live(250)
            press_and_commit(core, chance.randrange(1 << 30))
            feed_noise(core, chance.randrange(1 << 30), 300)
            rounds += 1
    return rounds
