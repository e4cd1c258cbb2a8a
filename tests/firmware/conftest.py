"""The firmware and its core, compiled once for all tests."""

from collections.abc import Iterator

import pytest

from tests.fakes.board_core import Core, running_core
from tests.fakes.simavr import Built, built


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


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The firmware as built for the chip, and the harness that runs it in simavr."""
    return built(tmp_path_factory.mktemp("firmware"))
