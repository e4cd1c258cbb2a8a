"""The real firmware, as built for the chip, in simavr: a board behind a pseudo-terminal, or in a time of its own.

`built` compiles it and the harness (harness.c says what that keeps of the physics); `SimavrBoard` runs in real time
and has the face of agent.demo.board.SimulatedBoard; `Lockstep` joins it to a HostLink, second for second as fast as
the machine can, and gives the same result each time.
"""

import pytest

from tests.fakes.simavr.board import SimavrBoard
from tests.fakes.simavr.chip import MV_OF, Built, Chip, Loader, built
from tests.fakes.simavr.lockstep import Lockstep

__all__ = ["MV_OF", "NEEDS_SIMAVR", "Built", "Chip", "Loader", "Lockstep", "SimavrBoard", "built"]

NEEDS_SIMAVR = pytest.mark.needs_debian("avr-gcc", "avr-libc", "simavr", "libsimavr-dev", "libelf-dev", "gcc")
