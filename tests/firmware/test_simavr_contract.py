"""What the serial port's thread is held to with the simulated board, with the real firmware: the same tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.simavr import NEEDS_SIMAVR, Built, SimavrBoard
from tests.firmware_bridge.test_serial_port import (
    desk,
    test_a_loose_plug_makes_no_flood_of_lines,
    test_a_press_comes_through_and_is_forgotten_after_its_commit,
    test_a_report_that_was_not_taken_is_told_again,
    test_a_second_owner_is_kept_out,
    test_garbage_on_the_line,
    test_half_a_frame_and_then_nothing,
    test_the_microcontroller_resets,
    test_unplugged_and_back,
)

__all__ = [
    "desk",
    "test_a_loose_plug_makes_no_flood_of_lines",
    "test_a_press_comes_through_and_is_forgotten_after_its_commit",
    "test_a_report_that_was_not_taken_is_told_again",
    "test_a_second_owner_is_kept_out",
    "test_garbage_on_the_line",
    "test_half_a_frame_and_then_nothing",
    "test_the_microcontroller_resets",
    "test_unplugged_and_back",
]

pytestmark = NEEDS_SIMAVR


@pytest.fixture
def simulated(tmp_path: Path, parts: Built) -> Iterator[SimavrBoard]:
    """The real firmware in place of the simulated board."""
    board = SimavrBoard(tmp_path / "board0", tmp_path / "presses.jsonl", parts)
    board.start()
    yield board
    board.stop()
