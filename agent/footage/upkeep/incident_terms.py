"""PURE. The holds of incidents that would go on for ever: those whose incident the alarm process knows no more, and
those that were brought to another time while it was open.

They are given the term that the end of their incident would have given them, and nothing is released by it: the term
begins now, by a time that is trusted.

Invariants
1. Nothing is given a term while its incident is open, nor before the alarm process has answered for an hour without it.
2. Where the time is not trusted, nothing is given a term, and no term is over.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from agent.footage.upkeep.hold import NOT_TOLD, Hold, given_term, wants_term

MISSED_NS: Final = 3600 * 10**9
"""An alarm process that just started, or had its database given back, tells of its incidents sooner."""

PAUSE_MOST_NS: Final = 900 * 10**9
"""Answers that lie further apart are no hour of answers."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the alarm process answered: the incidents that are open, and all that it knows, None when not all were asked
    for."""

    open: Collection[str]
    known: Collection[str] | None


def are_unasked(holds: Iterable[Hold], are_open: Collection[str]) -> bool:
    """Whether all incidents must be asked for: there are holds that go on, and their incident is not open."""
    return any(wants_term(each) and each.to_ns is None and each.incident not in are_open for each in holds)


class IncidentTerms:
    """Since when (monotonic) each hold was found to want a term. Lost with the process: then the hour begins anew."""

    def __init__(self, term_ns: int) -> None:
        """`term_ns`: how long the footage of an incident is held after its end."""
        self._term_ns = term_ns
        self._since: dict[str, int] = {}
        self._last_ns = 0

    def step(self, holds: Iterable[Hold], answered: Answered, mono_ns: int, trusted_ns: int | None) -> list[Hold]:
        """The holds that are given their term now. `trusted_ns`: now, None when no clock is trusted."""
        if mono_ns - self._last_ns > PAUSE_MOST_NS:
            self._since.clear()
        self._last_ns = mono_ns
        since: dict[str, int] = {}
        given: list[Hold] = []
        for hold in holds:
            if not wants_term(hold) or hold.incident in answered.open:
                continue
            if hold.to_ns is None and answered.known is None:  # not asked for this time
                since |= {hold.id: self._since[hold.id]} if hold.id in self._since else {}
                continue
            if hold.to_ns is None and answered.known is not None and hold.incident in answered.known:
                continue
            since[hold.id] = self._since.get(hold.id, mono_ns)
            if trusted_ns is not None and mono_ns - since[hold.id] >= MISSED_NS:
                given.append(given_term(hold, trusted_ns, self._term_ns))
        self._since = since
        return given


def over(holds: Iterable[Hold], trusted_ns: int) -> list[Hold]:
    """Holds of incidents that are told of no more, whose term is over, with their end. `trusted_ns` is a time that is
    never ahead of the real one."""
    return [
        replace(each, released_ns=trusted_ns)
        for each in holds
        if each.who == NOT_TOLD and each.released_ns is None and each.until_ns is not None
        and each.until_ns <= trusted_ns
    ]  # fmt: skip
