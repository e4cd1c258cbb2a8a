"""Waiting for something that really happens, with a deadline and a name for the failure."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T | None], timeout_s: float, what: str, every_s: float = 0.02) -> T:
    """The first true value that `condition` gives. Fails the test, naming `what`, after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}; last seen {value!r}")
        time.sleep(every_s)
