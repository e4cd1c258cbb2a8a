"""PURE. A lasting state as the recorder and its chores see it; the process makes a `Condition` of it."""

from dataclasses import dataclass

from agent.facts import ConditionKind


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, with what, and the plain values that its text needs."""

    kind: ConditionKind
    subject: str
    detail: tuple[tuple[str, str | int | float | bool], ...] = ()
