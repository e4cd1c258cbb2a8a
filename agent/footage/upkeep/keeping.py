"""The chore that keeps footage as long as it should be kept, and no longer.

Invariants
1. It asks `retention.plan` what goes, and `Deletion` alone takes it away, in small batches.
2. Nothing goes before the journal is known: holds may stand there that the index has lost.
3. What it waits for, and what it cannot do, is told as a condition: nothing is deleted or kept silently.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from agent.clock import Clock
from agent.facts import ConditionKind, Stamp
from agent.footage.custody.journal import Journal, JournalWaits
from agent.footage.custody.journal_chain import Kind
from agent.footage.disk.files import QUARANTINE, room_on, sync_directory
from agent.footage.fault import Fault
from agent.footage.index import Index
from agent.footage.recording.volumes import RESERVE_BYTES
from agent.footage.rows import is_rebuilding
from agent.footage.upkeep import stock
from agent.footage.upkeep.degradation import Degradation, Recorded, Reels, degrade, rungs
from agent.footage.upkeep.deletion import Deletion, DeletionWaits, expired_in_quarantine
from agent.footage.upkeep.due import PRODUCT_BEGAN_NS, WAIT_NS, Dues, advance_due, after_change, announced, lent_for
from agent.footage.upkeep.hold import Hold, Protection
from agent.footage.upkeep.retention import Breach, Lines, Policy, Space, Step, forecast, reserve_bytes
from agent.footage.upkeep.spare_room import SpareRoom
from agent.seldom import Seldom

log = logging.getLogger(__name__)

LOOK_NS: Final = 5 * 10**9
STEP_NS: Final = 5 * 10**8
"""A step that has more to delete ends after so long: other chores wait."""

NOTE_NS: Final = 60 * 10**9
STUCK_RETRY_NS: Final = 60 * 10**9

EXPIRE_PART: Final = 144
"""What is due goes every ten minutes (this part of a day): fewer and longer rows of the journal than one by one."""

QUARANTINE_DAYS: Final = 30
"""What is in quarantine stays so much longer than its target (design, recovery)."""

AIM_PART: Final = 8
"""Room is made for an eighth more than the reserve."""

SUBJECT: Final = "footage"


class Retention:
    """See the module."""

    name = "retention"
    every_s = 1.0

    def __init__(
        self,
        index: Index,
        journal: Journal,
        policy: Policy,
        clock: Clock,
        boot: str,
        *,
        volumes: Callable[[], Mapping[str, Path]],
        holds: Callable[[], Sequence[Hold] | None],
        recorded: Callable[[], Sequence[Recorded]],
        degrade: Callable[[Reels], None],
        last_ditch_bytes: int = RESERVE_BYTES,
        wait_ns: int = WAIT_NS,
    ) -> None:
        """`volumes` are those mounted, by uuid; `holds` all that are known and those who read just now, None while
        they are not known; `recorded` what is recorded at which rate; `degrade` is told what is not to be."""
        self._index, self._journal, self._policy, self._clock, self._boot = index, journal, policy, clock, boot
        self._volumes, self._holds, self._recorded, self._tell_degraded = volumes, holds, recorded, degrade
        self._last_ditch_bytes = last_ditch_bytes
        self._wait_ns = wait_ns
        self._room = SpareRoom(index.path)
        self._deletion = Deletion(index, journal, policy.minimum_ns // policy.day_ns)
        self._usage = stock.Usage()
        self._dues: Dues | None = None
        self._noted_ns = self._policy_day = -1
        self._breached_ns = self._next_ns = self._expire_ns = self._retry_ns = self._quarantine_ns = self._held_ns = 0
        self._held_bytes = 0
        self._hurry = False
        self._breach: Breach | None = None
        self._lasting: Breach | None = None
        self._change: tuple[tuple[str, str | int | float | bool], ...] = ()
        self._stuck: dict[str, str] = {}
        self._stuck_in_quarantine: dict[Path, str] = {}
        """Told once, and tried again after the next start."""
        self._degradation = Degradation()
        self._status: dict[str, Any] = {}
        self._seldom = Seldom(log, clock)

    def step(self, now: Stamp) -> None:
        """Look, and delete for at most half a second."""
        if self._index.failing is not None:
            self._room.give_up()
        holds = self._holds()
        if holds is None or self._journal.head is None:
            return
        volumes = dict(self._volumes())
        spaces = self._spaces(volumes)
        short = any(each.free_bytes < each.reserve_bytes for each in spaces)
        if now.mono_ns < self._next_ns and not self._hurry and not (short and self._breach is None):
            return
        self._next_ns = now.mono_ns + LOOK_NS
        with self._index.reading() as connection:
            if self._dues is None:
                self._dues = stock.known_dues(connection)
            reels = stock.reels(connection)
            newest_ns = stock.newest_end(connection, reels)
            self._usage.refresh(connection, there=volumes)
        dues = self._advance(now, newest_ns)
        protection = Protection(holds, dues.trusted_ns(now))
        try:
            if now.mono_ns >= self._retry_ns:
                self._finish(volumes, protection, dues, now)
            self._make_room(volumes, spaces, reels, protection, dues, now, short)
            self._clear_quarantine(volumes, protection, dues, now)
        except (DeletionWaits, JournalWaits) as error:
            self._seldom.say(logging.WARNING, "waits", f"nothing is deleted: {error}")
        if not short:
            self._room.keep()
        self._record_less(volumes, dues, now)
        self._look_back(reels, volumes, protection, dues, now)

    def faults(self) -> list[Fault]:
        """A breach of the policy, a change that is announced, and files that cannot be deleted."""
        found: list[Fault] = []
        if (breach := self._breach) is not None:
            wait = -1 if breach.wait_ns is None else breach.wait_ns / self._policy.day_ns
            detail = (
                ("rule", breach.rule), ("short_mb", breach.short_bytes // 1_000_000), ("wait_days", round(wait, 1)),
                ("level", self._degradation.level), ("overwrites", self._policy.overwrite),
            )  # fmt: skip
            found.append(Fault(ConditionKind.RETENTION_BREACH, SUBJECT, detail))
        if change := self._change:
            found.append(Fault(ConditionKind.RETENTION_CHANGE, SUBJECT, change))
        if stuck := self._stuck | {str(file): why for file, why in list(self._stuck_in_quarantine.items())}:
            path, why = next(iter(stuck.items()))
            told = (("files", len(stuck)), ("path", path), ("detail", why))
            found.append(Fault(ConditionKind.DELETION_FAILING, SUBJECT, told))
        return found

    def status(self) -> dict[str, Any]:
        """What is kept, for how long, and how long it will last."""
        return {"retention": dict(self._status)} if self._status else {}

    # Time.

    def _advance(self, now: Stamp, newest_ns: int | None) -> Dues:
        terms = {"minimum": self._policy.minimum_ns, **self._policy.targets_ns}
        before = self._dues
        dues = self._dues = advance_due(before, now, self._boot, terms, newest_ns, self._wait_ns)
        changed = before is None or {n: t.ns for n, t in before.terms.items()} != {
            n: t.ns for n, t in dues.terms.items()
        }
        if changed or now.mono_ns - self._noted_ns >= NOTE_NS:
            self._noted_ns = now.mono_ns
            self._index.submit(("INSERT OR REPLACE INTO note VALUES (?, ?)", (stock.DUES, json.dumps(dues.values()))))
        day = dues.trusted_ns(now) // self._policy.day_ns
        if (day != self._policy_day or changed) and announced(dues, now, self._wait_ns) is None:
            try:
                self._journal.append(Kind.POLICY, {"what": "dues", **dues.values()})
                self._policy_day = day
            except JournalWaits as error:
                self._seldom.say(logging.WARNING, "policy", f"the state of retention is not in the journal: {error}")
        return dues

    def _lines(self, dues: Dues, now: Stamp, by_age: bool) -> Lines:
        due = {stream: dues.due_ns(stream, now) for stream in self._policy.targets_ns}
        return Lines(dues.line.at_ns, dues.due_ns("minimum", now), due, by_age and dues.believed)

    # Deleting.

    def _spaces(self, volumes: Mapping[str, Path]) -> list[Space]:
        found: list[Space] = []
        rate = sum(each.rate_bytes_s for each in self._recorded()) / max(1, len(volumes))
        for uuid, path in volumes.items():
            try:
                room = room_on(path)
            except OSError:
                continue
            if room.read_only:
                continue
            reserve = reserve_bytes(room.total_bytes, rate, self._policy.reserve_bytes, self._last_ditch_bytes)
            found.append(Space(uuid, room.total_bytes, room.free_bytes, reserve, reserve + reserve // AIM_PART))
        return found

    def _finish(self, volumes: Mapping[str, Path], protection: Protection, dues: Dues, now: Stamp) -> None:
        least_ns = dues.due_ns("minimum", now)
        done = self._deletion.finish(volumes, protection, dues.trusted_ns(now), now.wall_ns, least_ns)
        self._stuck = done.stuck
        if done.stuck:
            self._retry_ns = now.mono_ns + STUCK_RETRY_NS

    def _make_room(
        self,
        volumes: Mapping[str, Path],
        spaces: Sequence[Space],
        reels: Sequence[tuple[str, str]],
        protection: Protection,
        dues: Dues,
        now: Stamp,
        short: bool,
    ) -> None:
        over = self._over_quota()
        by_age = short or over or self._hurry or now.mono_ns >= self._expire_ns
        self._hurry = False
        if not by_age:
            self._judge(Step(()), now)
            return
        lines = self._lines(dues, now, by_age)
        until_ns = self._clock.mono_ns() + STEP_NS
        while True:
            step = self._plan(lines, spaces, reels, protection)
            self._judge(step, now)
            if not step.delete:
                self._expire_ns = now.mono_ns + self._policy.day_ns // EXPIRE_PART if by_age else self._expire_ns
                return
            done = self._deletion.delete(step.delete, volumes, lines.now_ns, now.wall_ns)
            self._usage.less(done.gone)
            if done.stuck:
                self._stuck = {**self._stuck, **done.stuck}
                self._retry_ns = now.mono_ns + STUCK_RETRY_NS
            if self._clock.mono_ns() >= until_ns:
                self._hurry = True
                return
            spaces = self._spaces(volumes)
            # To write down what went, the journal may have taken over holds of a volume that just came.
            if (holds := self._holds()) is None:
                return
            protection = Protection(holds, dues.trusted_ns(now))

    def _judge(self, step: Step, now: Stamp) -> None:
        """A breach is told for an hour after it was seen last: what the ring has just made room for is no end of it.
        What is recorded goes by the breach that there is now."""
        self._lasting = step.breach
        if step.breach is not None:
            self._breach, self._breached_ns = step.breach, now.mono_ns
        elif now.mono_ns - self._breached_ns >= self._policy.day_ns // 24:
            self._breach = None

    def _plan(
        self, lines: Lines, spaces: Sequence[Space], reels: Sequence[tuple[str, str]], protection: Protection
    ) -> Step:
        with self._index.reading() as connection:
            policy = self._policy
            if policy.overwrite and any(is_rebuilding(connection, space.volume) for space in spaces):
                # A new index knows the newest files first: the oldest that it knows may be of today.
                policy = replace(policy, overwrite=False)
            return stock.next_step(
                connection, policy, lines, reels, protection, spaces,
                self._usage.total_bytes if self._usage.known else 0,
            )  # fmt: skip

    def _over_quota(self) -> bool:
        quota = self._policy.quota_bytes
        return quota is not None and self._usage.known and self._usage.total_bytes > quota

    def _clear_quarantine(self, volumes: Mapping[str, Path], protection: Protection, dues: Dues, now: Stamp) -> None:
        if now.mono_ns < self._quarantine_ns or not dues.believed:
            return
        self._quarantine_ns = now.mono_ns + self._policy.day_ns // 24
        before_ns = dues.due_ns("main", now) - QUARANTINE_DAYS * self._policy.day_ns
        for path in volumes.values():
            found = expired_in_quarantine(path / QUARANTINE, protection, before_ns, PRODUCT_BEGAN_NS)
            expired = [(file, size) for file, size in found if file not in self._stuck_in_quarantine]
            if not expired:
                continue
            told = [[file.name, size] for file, size in expired]
            self._journal.append(Kind.POLICY, {"what": "quarantine", "volume": str(path), "files": told})
            for file, _ in expired:
                try:
                    file.unlink(missing_ok=True)
                except OSError as error:
                    self._stuck_in_quarantine |= {file: error.strerror or str(error)}
            sync_directory(path / QUARANTINE)

    # Recording less.

    def _record_less(self, volumes: Mapping[str, Path], dues: Dues, now: Stamp) -> None:
        recorded = self._recorded()
        spaces = self._spaces(volumes)
        left = sum(max(0, each.free_bytes - self._last_ditch_bytes) for each in spaces)
        breach = self._lasting
        ends = (announced(dues, now, self._wait_ns), lent_for(dues, self._wait_ns))
        waits = min((each for each in ends if each is not None), default=None)
        if breach is not None and waits is not None and (breach.wait_ns is None or breach.wait_ns > waits):
            breach = replace(breach, wait_ns=waits)
        before = self._degradation
        room = sum(max(0, each.free_bytes - each.reserve_bytes) for each in spaces)
        if self._policy.quota_bytes is not None:
            room = min(room, max(0, self._policy.quota_bytes - self._usage.total_bytes) if self._usage.known else 0)
        self._degradation = degrade(
            before, breach, recorded, left, self._policy, now.mono_ns, self._policy.day_ns // 24, room
        )  # fmt: skip
        if self._degradation.level != before.level:
            log.warning("footage: room is short: recording at level %s of degradation", self._degradation.level)
            levels = rungs(recorded)
            self._tell_degraded(levels[min(self._degradation.level, len(levels) - 1)])

    # Telling.

    def _look_back(
        self,
        reels: Sequence[tuple[str, str]],
        volumes: Mapping[str, Path],
        protection: Protection,
        dues: Dues,
        now: Stamp,
    ) -> None:
        with self._index.reading() as connection:
            firsts = {reel: stock.first_start(connection, reel) for reel in reels}
            if now.mono_ns >= self._held_ns:
                self._held_ns = now.mono_ns + self._policy.day_ns // EXPIRE_PART
                self._held_bytes = sum(
                    stock.bytes_between(connection, reel, *span) for reel in reels for span in protection.spans(reel[0])
                )
        self._look_ahead(firsts, dues, now)
        spaces = self._spaces(volumes)
        policy, rate = self._policy, sum(each.rate_bytes_s for each in self._recorded())
        at_ns = max(dues.trusted_ns(now), now.wall_ns) if dues.believed else dues.trusted_ns(now)
        kept = {reel: max(0, at_ns - first) for reel, first in firsts.items() if first is not None}
        free = sum(max(0, each.free_bytes - each.reserve_bytes) for each in spaces)
        used = self._usage.total_bytes
        room = used + free
        if policy.quota_bytes is not None:
            room, free = min(room, policy.quota_bytes), min(free, max(0, policy.quota_bytes - used))
        longest = max(kept.values(), default=0)
        seen = forecast(policy, room, used, free, longest, rate)
        self._status = {
            "minimum_days": policy.minimum_ns // policy.day_ns,
            "target_days": {stream: ns // policy.day_ns for stream, ns in policy.targets_ns.items()},
            "rule": policy.rule,
            "overwrite": policy.overwrite,
            "quota_bytes": policy.quota_bytes,
            "reserve_bytes": sum(each.reserve_bytes for each in spaces),
            "used_bytes": used if self._usage.known else None,
            "held_bytes": self._held_bytes,
            "kept_days": round(longest / policy.day_ns, 1),
            "reels": [
                {"camera": reel[0], "stream": reel[1], "oldest_ns": firsts[reel], "bytes": self._usage.of(reel),
                 "kept_days": round(ns / policy.day_ns, 1)}
                for reel, ns in kept.items()
            ],
            "steady_days": None if seen.steady_days is None else round(seen.steady_days, 1),
            "full_days": None if seen.full_days is None else round(seen.full_days, 1),
            "breach": None if self._breach is None else self._breach.rule,
            "level": self._degradation.level,
            "change_in_s": None if (waits := announced(dues, now, self._wait_ns)) is None else waits // 10**9,
            "clock_believed": dues.believed,
        }  # fmt: skip

    def _look_ahead(self, firsts: Mapping[tuple[str, str], int | None], dues: Dues, now: Stamp) -> None:
        """Tell of a change that waits, when it would delete anything."""
        waits = announced(dues, now, self._wait_ns)
        then = {stream: after_change(dues, now, stream) for stream in self._policy.targets_ns}
        hit = [
            first for (_, stream), first in firsts.items()
            if first is not None and PRODUCT_BEGAN_NS <= first < then.get(stream, then["main"])
        ]  # fmt: skip
        if waits is None or not hit:
            self._change = ()
            return
        self._change = (
            ("hours", round(waits / 3.6e12, 1)),
            ("deletes_from", _date(min(hit))),
            ("deletes_to", _date(max(then.values()))),
        )


def _date(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%d %H:%M} UTC"
