"""Cores of the firmware, compiled once for all tests."""

from collections.abc import Iterator

import pytest

from tests.fakes.board_core import Core, running_core


@pytest.fixture(scope="session")
def core() -> Iterator[Core]:
    """Eight inputs, the first four of them panic buttons."""
    with running_core() as found:
        yield found


@pytest.fixture(scope="session")
def core_of_two() -> Iterator[Core]:
    """A panic button and a contact."""
    with running_core(2, 0x01) as found:
        yield found
