"""PURE. A contact that chatters: one incident with a count, told at once and then now and then.

Invariants
1. The first alert of an incident is never held back.
2. What is held back is told within `UPDATE_EVERY_S`, with the count; the restore once the contact has kept quiet.
3. Nothing here is used for panic: each press is told.
"""

from dataclasses import dataclass, replace
from typing import Final

SWINGS: Final = 3
"""More triggers than this within `WITHIN_S` are a chatter: a door that is used, or a person who tries it, does less."""

DOOR_SWINGS: Final = 60
"""More openings than this of a door that is not armed are no people: one in a second, for a minute."""

WITHIN_S: Final = 60.0

UPDATE_EVERY_S: Final = 10.0
"""One alert with the count this often, and quiet for this long is the end of it."""


@dataclass(frozen=True, slots=True)
class Swing:
    """One kind of incident of one zone. Times are monotonic ns.

    `triggers_ns` are the newest triggers; `told_ns` is when an alert of `incident_id` last went out; `untold` counts
    the triggers since then; `restored_ns` is when its cause ended, while that is not told.
    """

    triggers_ns: tuple[int, ...] = ()
    told_ns: int = 0
    incident_id: str = ""
    untold: int = 0
    restored_ns: int | None = None


def swings(swing: Swing, now_ns: int, most: int = SWINGS) -> bool:
    """Whether the contact chatters: more than `most` triggers within a minute."""
    return sum(now_ns - each <= WITHIN_S * 1e9 for each in swing.triggers_ns) > most


def is_over(swing: Swing, now_ns: int) -> bool:
    """Whether nothing of it matters any more."""
    return not any(now_ns - each <= WITHIN_S * 1e9 for each in swing.triggers_ns)


def triggered(swing: Swing, incident_id: str, now_ns: int, most: int = SWINGS) -> tuple[Swing, bool]:
    """After one more trigger, which belongs to the incident; whether it is told now."""
    after = replace(swing, triggers_ns=(*swing.triggers_ns[-most:], now_ns), restored_ns=None)
    held_back = (
        swings(after, now_ns, most)
        and incident_id == swing.incident_id
        and now_ns - swing.told_ns < UPDATE_EVERY_S * 1e9
    )
    if held_back:
        return replace(after, untold=swing.untold + 1), False
    return replace(after, told_ns=now_ns, incident_id=incident_id, untold=0), True


def restored(swing: Swing, now_ns: int, most: int = SWINGS) -> tuple[Swing, bool]:
    """After its cause ended; whether that is so now, or waits for the contact to keep quiet."""
    if swings(swing, now_ns, most):
        return replace(swing, restored_ns=now_ns), False
    return replace(swing, untold=0, restored_ns=None), True


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be told now, and how many triggers were held back for it."""

    update: bool = False
    restore: bool = False
    untold: int = 0


def tick(swing: Swing, now_ns: int) -> tuple[Swing, Due]:
    """What time brings."""
    if swing.restored_ns is not None and now_ns - swing.restored_ns >= UPDATE_EVERY_S * 1e9:
        return replace(swing, untold=0, restored_ns=None), Due(restore=True, untold=swing.untold)
    if swing.untold and now_ns - swing.told_ns >= UPDATE_EVERY_S * 1e9:
        return replace(swing, untold=0, told_ns=now_ns), Due(update=True, untold=swing.untold)
    return swing, Due()
