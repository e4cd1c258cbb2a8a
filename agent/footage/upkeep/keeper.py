"""What is done about footage that is already on the disk: retention, checkpoints, holds, the ledger.

One thread with a list of chores, so that no slow disk and no mistake in one of them reaches the recording thread.

Invariants
1. A chore that fails is told as a fault, tried again at its next turn, and holds up no other chore.
2. Chores run one at a time: two of them never change the same rows at once.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Any, Final, Protocol

from agent.clock import Clock, stamp
from agent.facts import ConditionKind, Stamp
from agent.footage.fault import Fault

log = logging.getLogger(__name__)

TURN_S: Final = 0.5


class Chore(Protocol):
    """One duty of the keeper. Its methods but `step` may be called by any thread."""

    name: str
    every_s: float

    def step(self, now: Stamp) -> None:
        """Do a piece of the work that is due; short enough that the next chore need not wait for long."""

    def faults(self) -> list[Fault]:
        """Every state that is to be told as a condition, now."""

    def status(self) -> dict[str, Any]:
        """What the verb `status` tells of it; keys must be its own."""


class Keeper:
    """Runs the chores, each at its own pace."""

    def __init__(self, chores: Sequence[Chore], clock: Clock) -> None:
        self._chores = list(chores)
        self._clock = clock
        self._due_ns = {chore.name: 0 for chore in self._chores}
        self._failed: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="footage-keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 8.0) -> None:
        """Finish the step under way. Raises RuntimeError when the disk holds it up for longer."""
        self._stop.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise RuntimeError("the keeper of the footage did not stop: the disk does not answer")

    def faults(self) -> list[Fault]:
        """What the chores report, and those of them that fail."""
        found = [fault for chore in self._chores for fault in chore.faults()]
        failed = [Fault(ConditionKind.FOOTAGE_UPKEEP_FAILING, f"chore/{name}", (("detail", text),))
                  for name, text in list(self._failed.items())]  # fmt: skip
        return [*found, *failed]

    def status(self) -> dict[str, Any]:
        """What all chores tell, in one object."""
        told: dict[str, Any] = {}
        for chore in self._chores:
            told.update(chore.status())
        return told

    def _run(self) -> None:
        while not self._clock.wait(self._stop, TURN_S):
            for chore in self._chores:
                now = stamp(self._clock)
                if now.mono_ns >= self._due_ns[chore.name] and not self._stop.is_set():
                    self._due_ns[chore.name] = now.mono_ns + int(chore.every_s * 1e9)
                    self._step(chore, now)

    def _step(self, chore: Chore, now: Stamp) -> None:
        try:
            chore.step(now)
        except Exception as error:  # top of one chore's work: the others go on
            text = f"{type(error).__name__}: {error}"
            if self._failed.get(chore.name) != text:
                log.exception("footage: %s failed; tried again in %s s", chore.name, chore.every_s)
            self._failed[chore.name] = text
        else:
            self._failed.pop(chore.name, None)
