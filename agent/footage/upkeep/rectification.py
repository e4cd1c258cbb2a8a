"""The chore that brings footage of a wrong clock to the right time, once that is known (rectify.py decides).

Used by the keeper's thread, but for `faults` and `status`.

Invariants
1. Segments, gaps, runs and the recorder's stretches of one boot are moved together, in one commit, with a row of the
   journal: an index that is built again from the files moves them in the same way.
2. A run that is being written is not moved: its file is closed first.
3. What was held is held where it is moved to: that is written before it is moved.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from agent.facts import Stamp
from agent.footage.custody.journal import Journal, JournalWaits
from agent.footage.custody.journal_chain import Kind
from agent.footage.fault import Fault
from agent.footage.index import Index
from agent.footage.rows import Statement
from agent.footage.timeline import CLOCK_STEP_NS, GapReason
from agent.footage.upkeep.hold import Hold, carried
from agent.footage.upkeep.holds import put_hold, read_holds
from agent.footage.upkeep.ledger import stretches
from agent.footage.upkeep.rectify import RECTIFIED, TRUSTED, Move, RunClock, Settled, moves, right_offsets
from agent.footage.upkeep.sweep import put_stretch

log = logging.getLogger(__name__)

LONGEST_BOOT_NS: Final = 400 * 86400 * 1_000_000_000
"""Segments of a run begin within this time after it: a bound for the search, no limit of what is right."""

COMMIT_WAIT_S: Final = 10.0

LOOK_AGAIN_NS: Final = 600 * 1_000_000_000
"""What nothing told may be told by files that come later: a volume that was away, an index that is built again."""


class Rectification:
    """Moves what was recorded before the time was known."""

    name = "rectification"
    every_s = 5.0

    def __init__(
        self, index: Index, boot: str, moved: Callable[[], None] = lambda: None, journal: Journal | None = None
    ) -> None:
        """`moved` is called after rows were moved."""
        self._index = index
        self._boot = boot
        self._moved = moved
        self._journal = journal
        self._settled = Settled()
        self._runs = self._untrusted = 0
        self._unknown: set[str] = set()
        """Boots of which nothing tells the right time."""
        self._look_again_ns = 0

    def step(self, now: Stamp) -> None:
        """Look whether there is anything to move, and by how much. Raises sqlite3.Error."""
        self._settled = self._settled.step(now.wall_ns, now.mono_ns, now.quality)
        with self._index.reading() as connection:
            doubtful = _runs(connection, "quality NOT IN ('ntp', 'rectified')")
            self._untrusted = len(doubtful)
            boots = {run.boot for run in doubtful} | _doubtful_boots(connection)
            if now.mono_ns >= self._look_again_ns:
                self._look_again_ns, self._unknown = now.mono_ns + LOOK_AGAIN_NS, set()
            boots -= self._unknown
            if not boots:
                return
            offsets = self._offsets(connection, boots, now)
            self._unknown |= boots - offsets.keys() - {self._boot}
            statements: list[Statement] = []
            done: dict[str, int] = {}
            holds: list[Hold] = []
            for boot, offset in offsets.items():
                of_boot = [run for run in doubtful if run.boot == boot]
                found = moves(of_boot, {boot: offset})
                if any(move.by_ns and _is_open(connection, move) for move in found):
                    continue
                statements += [each for move in found for each in _move(connection, move)]
                statements += [*_move_gaps(boot, offset), *_move_stretches(connection, boot, offset)]
                holds += [each for move in found for each in _carried(connection, move)]
                done[boot] = offset
        if done and self._commit(done, statements, holds):
            self._runs += sum(run.boot in done for run in doubtful)
            self._moved()

    def faults(self) -> list[Fault]:
        """None: that the clock is not known is told by the alarm desk."""
        return []

    def status(self) -> dict[str, Any]:
        """How many runs were brought to the right time since the start, and how many wait for it."""
        return {"clock": {"rectified_runs": self._runs, "untrusted_runs": self._untrusted}}

    def _offsets(self, connection: sqlite3.Connection, boots: set[str], now: Stamp) -> dict[str, int]:
        marks = ", ".join("?" for _ in boots)
        found = connection.execute(
            f"SELECT id, boot, wall_ns, mono_ns, quality FROM run WHERE quality = 'ntp' AND boot IN ({marks})",
            sorted(boots),
        )
        told = list(_told(connection, boots))
        if self._settled.believed(now.mono_ns):
            told.append((self._boot, now.wall_ns - now.mono_ns))
        # Of this boot, the clock itself knows best, and may yet be set again.
        past = (RunClock(*row) for row in found if row[1] != self._boot)
        return {boot: offset for boot, offset in right_offsets(past, told).items() if boot in boots}

    def _commit(self, done: dict[str, int], statements: list[Statement], holds: list[Hold]) -> bool:
        log.info("footage of %s starts of this machine is brought to the right time", len(done))
        if self._journal is not None:
            try:
                for hold in holds:
                    detail = {key: value for key, value in hold.values().items() if not key.startswith("released")}
                    self._journal.append(Kind.HOLD, detail, put_hold(hold))
                for boot, offset in sorted(done.items()):
                    self._journal.append(Kind.RECTIFY, {"boot": boot, "offset_ns": offset}, *statements)
                    statements = []
            except JournalWaits as error:
                log.debug("nothing is moved yet: %s", error)
                return False
            return True
        pending = self._index.submit(*statements)
        return pending.done.wait(COMMIT_WAIT_S) and not pending.refused


def _runs(connection: sqlite3.Connection, where: str) -> list[RunClock]:
    found = connection.execute(f"SELECT id, boot, wall_ns, mono_ns, quality FROM run WHERE {where} AND boot != ''")
    return [RunClock(*row) for row in found]


def _doubtful_boots(connection: sqlite3.Connection) -> set[str]:
    """Boots in which the recorder ran by a clock that is not trusted."""
    return {each.boot for each in stretches(connection) if each.quality not in TRUSTED and each.boot}


def _told(connection: sqlite3.Connection, boots: Iterable[str]) -> Iterable[tuple[str, int]]:
    """What the journal says of these boots: the index may have been built again since it was written."""
    for boot in boots:
        row = connection.execute(
            "SELECT json_extract(detail, '$.offset_ns') FROM journal WHERE kind = ? AND"
            " json_extract(detail, '$.boot') = ? ORDER BY n DESC LIMIT 1",
            (Kind.RECTIFY, boot),
        ).fetchone()
        if row is not None and isinstance(row[0], int):
            yield boot, row[0]


def _is_open(connection: sqlite3.Connection, move: Move) -> bool:
    found = connection.execute("SELECT 1 FROM segment WHERE state = 'open' AND run = ? LIMIT 1", (move.run,))
    return found.fetchone() is not None


_OF_RUN: Final = "camera = ? AND stream = ? AND start_ns >= ? AND start_ns < ? AND run = ?"


def _of_run(connection: sqlite3.Connection, move: Move) -> tuple[Any, ...]:
    """The values of `_OF_RUN`."""
    camera, stream, wall_ns = connection.execute(
        "SELECT camera, stream, wall_ns FROM run WHERE id = ?", (move.run,)
    ).fetchone()
    # A run that was made anew from its files may have segments before the one that it was made of.
    from_ns = wall_ns if move.run >= 0 else wall_ns - LONGEST_BOOT_NS
    return camera, stream, from_ns, wall_ns + LONGEST_BOOT_NS, move.run


def _carried(connection: sqlite3.Connection, move: Move) -> list[Hold]:
    """Holds of what is moved."""
    if not move.by_ns:
        return []
    of_run = _of_run(connection, move)
    from_ns, to_ns = connection.execute(
        f"SELECT MIN(start_ns), MAX(end_ns) FROM segment WHERE {_OF_RUN}", of_run
    ).fetchone()
    if from_ns is None or to_ns is None:
        return []
    new = carried(read_holds(connection), of_run[0], from_ns, to_ns, move.by_ns)
    known = {row[0] for row in connection.execute("SELECT id FROM hold")} if new else set()
    return [each for each in new if each.id not in known]


def _move(connection: sqlite3.Connection, move: Move) -> Iterable[Statement]:
    if move.by_ns:
        yield (
            f"UPDATE segment SET start_ns = start_ns + ?, end_ns = end_ns + ? WHERE {_OF_RUN}",
            (move.by_ns, move.by_ns, *_of_run(connection, move)),
        )
    yield ("UPDATE run SET wall_ns = wall_ns + ?, quality = ? WHERE id = ?", (move.by_ns, RECTIFIED, move.run))


def _move_gaps(boot: str, offset_ns: int) -> Iterable[Statement]:
    doubtful = "boot = ? AND offset_ns IS NOT NULL AND quality NOT IN ('ntp', 'rectified')"
    # What was left out when the clock was set right is no time any more.
    yield (
        f"DELETE FROM gap WHERE {doubtful} AND reason = ? AND to_ns IS NOT NULL AND ABS(? - offset_ns) > ?",
        (boot, GapReason.CLOCK_STEP, offset_ns, CLOCK_STEP_NS),
    )
    yield (
        f"""UPDATE gap SET from_ns = from_ns + ? - offset_ns, to_ns = to_ns + ? - offset_ns, offset_ns = ?, quality = ?
        WHERE {doubtful} AND ABS(? - offset_ns) > ?""",
        (offset_ns, offset_ns, offset_ns, RECTIFIED, boot, offset_ns, CLOCK_STEP_NS),
    )
    yield (f"UPDATE gap SET quality = ? WHERE {doubtful}", (RECTIFIED, boot))


def _move_stretches(connection: sqlite3.Connection, boot: str, offset_ns: int) -> Iterable[Statement]:
    for each in stretches(connection):
        if each.boot != boot or each.quality in TRUSTED:
            continue
        by_ns = offset_ns - (each.from_ns - each.from_mono_ns)
        if abs(by_ns) <= CLOCK_STEP_NS:
            by_ns = 0
        yield put_stretch(replace(each, from_ns=each.from_ns + by_ns, to_ns=each.to_ns + by_ns, quality=RECTIFIED))
