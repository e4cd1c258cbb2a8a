"""PURE. Which footage goes, and what is done when none may go.

Every few seconds the chore `keeping.Retention` asks here for one small step. Ages are told by lines in time that only
real time moves (`due`), never by a clock alone.

Invariants
1. A segment that a hold overlaps is in no step, whatever the reason.
2. A segment younger than the minimum is in no step, but as `overwritten`, and that only when the policy says so.
3. Nothing goes for room before everything past its target is gone, and no more than room asks for.
4. What goes for room is taken from the reel that has kept the largest share of its own target: no camera is emptied
   for another.
5. When room is short and nothing may go, that is a breach: it is told, and less is recorded (degradation.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agent.footage.upkeep.due import DAY_NS, PRODUCT_BEGAN_NS
from agent.footage.upkeep.hold import Protection

GB: Final = 1_000_000_000

RESERVE_BYTES: Final = 2 * GB
RESERVE_SHARE: Final = 0.05
RESERVE_S: Final = 3600
"""reserve = max(2 GB, 5 %, one hour of measured ingest) (design, retention) ..."""

RESERVE_SHARE_MOST: Final = 0.10
"""... but, unless set, never more than this of a disk: 2 GB would be all of a small one."""

LAST_DITCH_TIMES: Final = 3
"""The reserve is at least this many times what the recorder stops at: it begins again at twice that."""

STAY_SHARE: Final = 0.05
"""Files go to another volume that has this much more of itself free (`spread`): then this one needs no room."""

QUOTA_PART: Final = 0.002
"""A quota that is exceeded is undercut by so much of it: some segments at a time."""

YOUNGEST_PART: Final = 24
"""Even the ring leaves the last day's 24th part, an hour: a disk filled by others is no reason to keep nothing."""

OVERLAP_NS: Final = 5 * 10**9
"""Segments of two runs may overlap by this much without anybody's clock being wrong."""


class Reason(StrEnum):
    """Why a segment goes: the reason in its tombstone."""

    EXPIRED = "expired"
    QUOTA = "quota"
    OVERWRITTEN = "overwritten"


@dataclass(frozen=True, slots=True)
class Policy:
    """How long footage is kept, and what may be done when it does not fit. Terms in nanoseconds, sizes in bytes.

    `targets_ns` has the term of each kind of stream, and of `main` at least. `overwrite` allows the ring.
    """

    minimum_ns: int
    targets_ns: Mapping[str, int]
    quota_bytes: int | None = None
    reserve_bytes: int | None = None
    overwrite: bool = False
    day_ns: int = DAY_NS
    rule: str = ""
    """Where the minimum stands, for people."""

    def target_ns(self, stream: str) -> int:
        """The term of a stream; one of an unknown kind is kept as `main` is."""
        return self.targets_ns.get(stream, self.targets_ns["main"])


@dataclass(frozen=True, slots=True)
class Stored:
    """A segment that ended. `dated_ns` is when it was recorded at the latest, for all that is known (`dated`)."""

    camera: str
    stream: str
    seq: int
    start_ns: int
    end_ns: int
    bytes: int
    volume: str
    path: str
    digest: str | None
    chain: str | None
    state: str
    dated_ns: int


@dataclass(frozen=True, slots=True)
class Space:
    """A volume that can be written to, in bytes. Once less than the reserve is free, room is made up to `aim_bytes`:
    some segments at a time, not one by one."""

    volume: str
    total_bytes: int
    free_bytes: int
    reserve_bytes: int
    aim_bytes: int = 0

    @property
    def free_share(self) -> float:
        """How much of it is free, 0 to 1."""
        return self.free_bytes / self.total_bytes if self.total_bytes else 0.0


@dataclass(frozen=True, slots=True)
class Lines:
    """What counts as old, in UTC nanoseconds.

    `now_ns` is the line in time itself (`due`), later than which no label is believed; footage before `minimum_ns` is
    past the minimum; `due_ns` says up to when the footage of each stream is due. `by_age` False: nothing expires now,
    because the clock is not believed; room is made still, since these lines are never ahead of the real time.
    """

    now_ns: int
    minimum_ns: int
    due_ns: Mapping[str, int]
    by_age: bool = True


@dataclass(frozen=True, slots=True)
class Breach:
    """Room is short, and nothing may go. `short_bytes` are wanted by `rule` (`reserve` or `quota`); in `wait_ns` the
    oldest that is not held is past the minimum, None: all is held."""

    rule: str
    short_bytes: int
    wait_ns: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """One small step: what goes, oldest first, and whether the policy is breached."""

    delete: tuple[tuple[Stored, Reason], ...]
    breach: Breach | None = None


def plan(
    policy: Policy,
    lines: Lines,
    reels: Sequence[Sequence[Stored]],
    protection: Protection,
    spaces: Sequence[Space],
    used_bytes: int,
    most: int,
) -> Step:
    """The next step, of at most `most` segments.

    `reels` has, for each camera and stream, some of the oldest segments that no hold protects, in the order of their
    recording; the footage of a whole reel is in it when its sequence is shorter than `most`. `spaces` are the volumes
    that can be written to, `used_bytes` what all footage takes: it counts against the quota.
    """
    there = {space.volume for space in spaces}
    free = [
        [
            each
            for each in reel
            if each.volume in there and protection.of(each.camera, each.start_ns, each.end_ns) is None
        ]
        for reel in reels
    ]
    if lines.by_age:
        due = [each for reel in free for each in reel if each.dated_ns <= _due(policy, lines, each)]
        if due:
            due.sort(key=lambda each: (each.dated_ns, each.camera, each.stream, each.seq))
            return Step(tuple((each, Reason.EXPIRED) for each in due[:most]))
    need = _Need(policy, spaces, used_bytes)
    if not need.short:
        return Step(())
    wish = _Need(policy, spaces, used_bytes, generous=True)
    chosen = _fairly(policy, lines, free, wish, lines.minimum_ns, most)
    if chosen:
        return Step(tuple((each, Reason.QUOTA) for each in chosen))
    oldest = min((reel[0].dated_ns for reel in free if reel), default=None)
    wait_ns = None if oldest is None else max(0, oldest - lines.minimum_ns)
    breach = Breach(need.rule, need.short_bytes, wait_ns)
    if not policy.overwrite:
        return Step((), breach)
    youngest_ns = lines.now_ns - policy.day_ns // YOUNGEST_PART
    ring = _fairly(policy, lines, free, need, youngest_ns, most)
    return Step(tuple((each, Reason.OVERWRITTEN) for each in ring), breach)


def _due(policy: Policy, lines: Lines, stored: Stored) -> int:
    return lines.due_ns.get(stored.stream, lines.due_ns["main"])


class _Need:
    """How many bytes are to go, from where: falls as segments are chosen."""

    def __init__(self, policy: Policy, spaces: Sequence[Space], used_bytes: int, generous: bool = False) -> None:
        self._over = 0 if policy.quota_bytes is None else used_bytes - policy.quota_bytes
        if generous and policy.quota_bytes is not None and self._over > 0:
            self._over += int(policy.quota_bytes * QUOTA_PART)
        self._missing: dict[str, int] = {}
        for each in spaces:
            if each.free_bytes < each.reserve_bytes and not _has_better(each, spaces):
                aim = max(each.aim_bytes, each.reserve_bytes) if generous else each.reserve_bytes
                self._missing[each.volume] = aim - each.free_bytes

    @property
    def short(self) -> bool:
        return self.short_bytes > 0

    @property
    def short_bytes(self) -> int:
        return max([self._over, *self._missing.values()], default=0)

    @property
    def rule(self) -> str:
        return "quota" if self._over >= self.short_bytes else "reserve"

    def is_helped_by(self, stored: Stored) -> bool:
        return self._over > 0 or self._missing.get(stored.volume, 0) > 0

    def take(self, stored: Stored) -> None:
        self._over -= stored.bytes
        if stored.volume in self._missing:
            self._missing[stored.volume] -= stored.bytes


def _has_better(space: Space, spaces: Sequence[Space]) -> bool:
    """Whether new files go to another volume anyway."""
    return any(other.free_share > space.free_share + STAY_SHARE for other in spaces)


def _fairly(
    policy: Policy, lines: Lines, reels: Sequence[Sequence[Stored]], need: _Need, before_ns: int, most: int
) -> list[Stored]:
    """Of the segments before a time, so many that the need is over: each time the oldest of the reel that has kept
    the largest share of its target."""
    places = [0] * len(reels)
    chosen: list[Stored] = []
    while need.short and len(chosen) < most:
        best: tuple[float, int] | None = None
        for number, reel in enumerate(reels):
            while places[number] < len(reel) and not need.is_helped_by(reel[places[number]]):
                places[number] += 1
            if places[number] >= len(reel) or reel[places[number]].dated_ns > before_ns:
                continue
            oldest = reel[places[number]]
            share = (lines.now_ns - oldest.dated_ns) / policy.target_ns(oldest.stream)
            if best is None or share > best[0]:
                best = share, number
        if best is None:
            break
        stored = reels[best[1]][places[best[1]]]
        places[best[1]] += 1
        chosen.append(stored)
        need.take(stored)
    return chosen


def dated(
    labels: Sequence[tuple[int, int]], now_ns: int, newest_ns: int | None = None, next_ns: int | None = None
) -> list[int | None]:
    """When segments were recorded, at the latest: from the labels (start, end) of segments in recording order.

    A label from before the end of what was recorded earlier (`newest_ns`: before the first of these), from the
    future, or from before there was this product, is that of a clock that was wrong: such a segment is taken to be as
    young as the next one that is believed (`next_ns`: after the last of these); None when there is none.
    """
    found: list[int | None] = []
    newest = newest_ns if newest_ns is not None and newest_ns <= now_ns else PRODUCT_BEGAN_NS
    for start_ns, end_ns in labels:
        believed = newest - OVERLAP_NS <= start_ns <= end_ns <= now_ns
        newest = max(newest, end_ns) if believed else newest
        found.append(newest if believed else None)
    after = next_ns if next_ns is not None and next_ns <= now_ns else None
    for place in range(len(found) - 1, -1, -1):
        if found[place] is None:
            found[place] = after
        after = found[place]
    return found


def reserve_bytes(total_bytes: int, ingest_bytes_s: float, asked_bytes: int | None, last_ditch_bytes: int) -> int:
    """What is to stay free on a volume. `asked_bytes` as set, `last_ditch_bytes` where the recorder stops."""
    least = LAST_DITCH_TIMES * last_ditch_bytes
    if asked_bytes is not None:
        return max(asked_bytes, least)
    wanted = max(RESERVE_BYTES, int(total_bytes * RESERVE_SHARE), int(ingest_bytes_s * RESERVE_S))
    return max(min(wanted, int(total_bytes * RESERVE_SHARE_MOST)), least)


@dataclass(frozen=True, slots=True)
class Forecast:
    """`steady_days`: how far back footage will reach once the disks are full, at the measured rate, or the target if
    that is less. `full_days`: in how many days the disks are full; None: never, footage expires before. None both
    while no rate is known."""

    steady_days: float | None
    full_days: float | None


def forecast(
    policy: Policy, room_bytes: int, used_bytes: int, free_bytes: int, kept_ns: int, ingest_bytes_s: float
) -> Forecast:
    """What becomes of it. `room_bytes` is all that footage may take (disks less reserve, or the quota), `free_bytes`
    what is left of that, `kept_ns` the age of the oldest footage."""
    if ingest_bytes_s <= 0:
        return Forecast(None, None)
    target_days = policy.target_ns("main") / policy.day_ns
    bytes_a_day = ingest_bytes_s * policy.day_ns / 1e9
    holds_days = room_bytes / bytes_a_day
    full_days = max(0, free_bytes) / bytes_a_day
    until_due = max(0.0, target_days - kept_ns / policy.day_ns)
    never = full_days > until_due or holds_days >= target_days
    return Forecast(min(holds_days, target_days), None if never else full_days)
