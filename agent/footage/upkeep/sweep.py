"""The ledger's chore: sees that every instant since the first recording is explained, and that it stays so.

What `ledger.read` explains at the moment of a question is written here as gap rows, a few at a time, so that the
reason survives what it was concluded from. Beside it stands the recorder's own life (gaps.Stretch), noted down every
half minute, and each closed gap goes into the journal, from which a lost index gets its reasons back.

Used by the keeper's thread, but for `faults`, `status` and `end`.

Invariants
1. A gap row is written only for what no row of footage or gap covers, never reaches beyond now, and rests on a clock
   that is trusted.
2. After a start the whole time of every reel is gone through once, a day at each step; from then on only what is new.
"""

import logging
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any, Final

from agent.camera_words import Why, detail
from agent.clock import Clock, stamp
from agent.facts import ClockQuality, ConditionKind, Stamp
from agent.footage import lasting_gap, rows
from agent.footage.coverage import day_of, midnight_ns
from agent.footage.custody.journal import Journal, JournalWaits
from agent.footage.custody.journal_chain import Kind
from agent.footage.fault import Fault
from agent.footage.gaps import ENDED_STEP, ENDED_STOPPED, ENDED_UNTOLD, Stretch, between
from agent.footage.index import Index
from agent.footage.rows import RowClock, Statement
from agent.footage.timeline import NS, Gap, GapReason, Span, clock_stepped
from agent.footage.upkeep.ledger import STRETCH, first_ns, is_doubtful, read, stretches

log = logging.getLogger(__name__)

LAG_NS: Final = 60 * NS
"""Rows are on their way for a while: what is newer is not yet looked at."""

NOTE_NS: Final = 30 * NS
DAY_NS: Final = 86400 * NS
COVERAGE_NS: Final = 60 * NS
JOURNAL_NS: Final = 3600 * NS
COMMIT_WAIT_S: Final = 5.0
MOST_GAPS: Final = 200
"""In one row of the journal."""

MOST_STRETCHES: Final = 500
"""Older ones are forgotten: what they explain has rows by then."""

TELL_AFTER_NS: Final = 15 * NS
"""A gap that lasts this long, and has no condition of its own, is told."""

_TOLD_OTHERWISE: Final = frozenset(
    {
        GapReason.CAMERA_SILENT, GapReason.CAMERA_REFUSED, GapReason.CAMERA_NOT_VIDEO, GapReason.DISK_FULL,
        GapReason.DISK_FAILED, GapReason.DISK_SLOW, GapReason.VOLUME_MISSING, GapReason.DEGRADED,
        GapReason.CONFIGURATION,
    }
)  # fmt: skip
"""Reasons that have a condition of their own while they last, or that somebody chose."""

Reel = tuple[str, str]


@dataclass
class _Place:
    """How far one reel was gone through: what was there at the start by `seen_ns`, up to `old_until_ns`, and what came
    since by `new_ns`."""

    seen_ns: int | None = None
    new_ns: int | None = None
    old_until_ns: int = 0


class Sweep:
    """Goes through the ledger of every reel."""

    name = "ledger"
    every_s = 5.0

    def __init__(
        self,
        index: Index,
        clock: Clock,
        boot: str,
        reels: Mapping[Reel, str],
        live_ends: Callable[[str, str], dict[str, int]],
        zone: tzinfo,
        journal: Journal | None = None,
    ) -> None:
        """`reels` (camera uuid, stream) -> what conditions are told of, for those that are recorded."""
        self._index = index
        self._clock = clock
        self._boot = boot
        self._reels = dict(reels)
        self._live_ends = live_ends
        self._zone = zone
        self._journal = journal
        self._began_mono_ns = clock.mono_ns()
        self._stretch: Stretch | None = None
        self._noted_ns = self._covered_ns = self._journaled_ns = 0
        self._known: list[Reel] = []
        self._doubtful = True
        """Whether rows of this boot may yet be moved."""
        self._places: dict[Reel, _Place] = {}
        self._lasting: list[Fault] = []
        self._coverage: dict[str, float] = {}

    def begin(self) -> None:
        """The recorder starts: settle what lasts since its end. Before anything is recorded, so that nothing is lost of
        what an earlier life knew; where the index cannot be read, `step` does it later."""
        try:
            self._live(stamp(self._clock))
        except sqlite3.Error as error:
            log.warning("the ledger begins later: %s", error)

    def step(self, now: Stamp) -> None:
        """Note that the recorder runs, and go a piece further. Raises sqlite3.Error."""
        self._live(now)
        with self._index.reading() as connection:
            if now.mono_ns >= self._covered_ns or not self._known:
                self._known = sorted({*_all_reels(connection), *self._reels})
            self._doubtful = is_doubtful(connection, self._boot)
            statements = [each for reel in self._known for each in self._new(connection, reel, now)]
            statements += self._old(connection, now)
            self._lasting = list(self._look_at_lasting(connection, now))
            if now.mono_ns >= self._covered_ns:
                self._covered_ns = now.mono_ns + COVERAGE_NS
                self._coverage = self._today(connection, now)
        if statements:
            self._index.submit(*statements).done.wait(COMMIT_WAIT_S)
        if self._journal is not None and now.mono_ns >= self._journaled_ns:
            written = self._write_journal(self._journal)
            self._journaled_ns = now.mono_ns + (JOURNAL_NS if written < MOST_GAPS else 0)

    def look_again(self) -> None:
        """Rows were moved: go through everything once more. On the keeper's thread."""
        self._places.clear()
        self._known = []

    def end(self) -> None:
        """The recorder stops in order. Called before the index stops."""
        if self._stretch is not None:
            self._note(stamp(self._clock), ENDED_STOPPED)

    def faults(self) -> list[Fault]:
        """Gaps that last and have no condition of their own."""
        return self._lasting

    def status(self) -> dict[str, Any]:
        """The share of footage in today so far, of each stream by its subject."""
        return {"coverage": dict(self._coverage)}

    # The recorder's own life.

    def _live(self, now: Stamp) -> None:
        if self._stretch is None:
            with self._index.reading() as connection:
                known = stretches(connection)
                statements = _after_start(connection, known[-1] if known else None, self._reels, now, self._boot)
            self._index.submit(*statements)
            self._begin(known[-1].number + 1 if known else 1, now)
        elif clock_stepped(self._stretch.from_ns - self._stretch.from_mono_ns, now.wall_ns - now.mono_ns):
            before = self._stretch
            # By the old clock it went on until now.
            at = Stamp(now.mono_ns + before.from_ns - before.from_mono_ns, now.mono_ns, now.quality)
            self._note(at, ENDED_STEP)
            self._begin(before.number + 1, now)
        elif now.mono_ns - self._noted_ns >= NOTE_NS:
            self._note(now, ENDED_UNTOLD)

    def _begin(self, number: int, now: Stamp) -> None:
        reels = tuple(sorted("/".join(reel) for reel in self._reels))
        self._stretch = Stretch(
            number, self._boot, now.wall_ns, now.wall_ns, now.mono_ns, now.mono_ns, now.quality.value, reels
        )
        self._note(now, ENDED_UNTOLD)

    def _note(self, at: Stamp, ended: str) -> None:
        assert self._stretch is not None
        self._noted_ns = at.mono_ns
        self._stretch = replace(self._stretch, to_ns=at.wall_ns, to_mono_ns=at.mono_ns, ended=ended)
        if ended == ENDED_UNTOLD and self._stretch.quality != at.quality:
            self._stretch = replace(self._stretch, quality=at.quality.value)
        forget = f"{STRETCH}{self._stretch.number - MOST_STRETCHES:08d}"
        self._index.submit(
            put_stretch(self._stretch), ("DELETE FROM note WHERE name >= ? AND name < ?", (STRETCH, forget))
        )

    # What no row explains.

    def _new(self, connection: sqlite3.Connection, reel: Reel, now: Stamp) -> list[Statement]:
        """Explain what came since the last step."""
        place = self._places.setdefault(reel, _Place())
        until_ns = now.wall_ns - LAG_NS
        if place.new_ns is None or place.new_ns > until_ns:  # the start, or the clock was set back
            place.new_ns = place.old_until_ns = until_ns - LAG_NS
        statements, place.new_ns = self._explain(connection, reel, place.new_ns, until_ns, now)
        return statements

    def _old(self, connection: sqlite3.Connection, now: Stamp) -> list[Statement]:
        """Explain a day of a reel that was not yet gone through."""
        for reel in self._known:
            place = self._places.setdefault(reel, _Place())
            if place.seen_ns is None:
                place.seen_ns = first_ns(connection, reel)
            until_ns = place.old_until_ns
            if place.seen_ns is not None and place.seen_ns < until_ns:
                end_ns = min(until_ns, max(place.seen_ns + DAY_NS, _next_ns(connection, reel, place.seen_ns + DAY_NS)))
                statements, place.seen_ns = self._explain(connection, reel, place.seen_ns, end_ns, now)
                if end_ns == until_ns:
                    place.seen_ns = until_ns
                return statements
        return []

    def _explain(
        self, connection: sqlite3.Connection, reel: Reel, from_ns: int, to_ns: int, now: Stamp
    ) -> tuple[list[Statement], int]:
        decided = read(connection, reel, from_ns, to_ns, self._live_ends(*reel), now.wall_ns)
        # By a clock that may yet be corrected, nothing is concluded for ever.
        concluded = list(decided.concluded) if now.quality is ClockQuality.NTP and not self._doubtful else []
        end_ns = decided.to_ns
        while concluded and concluded[-1].to_ns == end_ns:  # it may go on: it is written when it is over
            end_ns = concluded.pop().from_ns
        # What nothing tells is no row: a volume that comes later may bring its reason.
        told = [gap for gap in concluded if gap.reason != GapReason.INDEX_LOST]
        return [rows.put_gap(*reel, gap) for gap in told], end_ns

    # What is told.

    def _look_at_lasting(self, connection: sqlite3.Connection, now: Stamp) -> Sequence[Fault]:
        found: list[Fault] = []
        for reel, subject in self._reels.items():
            row = connection.execute(
                "SELECT from_ns, reason, detail FROM gap WHERE camera = ? AND stream = ? AND to_ns IS NULL", reel
            ).fetchone()
            if row is None or row[1] in _TOLD_OTHERWISE:
                continue
            if min(now.wall_ns - row[0], now.mono_ns - self._began_mono_ns) < TELL_AFTER_NS:
                continue
            if self._live_ends(*reel):
                continue
            found.append(Fault(ConditionKind.RECORDING_GAP, subject, (("reason", row[1]), ("detail", row[2]))))
        return found

    def _today(self, connection: sqlite3.Connection, now: Stamp) -> dict[str, float]:
        begin = midnight_ns(day_of(now.wall_ns, self._zone), self._zone)
        told: dict[str, float] = {}
        for reel, subject in self._reels.items():
            live = self._live_ends(*reel)
            end_ns = min(now.wall_ns, *live.values()) if live else now.wall_ns
            decided = read(connection, reel, begin, end_ns, live, now.wall_ns)
            whole = decided.to_ns - decided.from_ns
            if whole > 0:
                told[subject] = _total(decided.ledger.spans) / whole
        return told

    def _write_journal(self, journal: Journal) -> int:
        with self._index.reading() as connection:
            found = connection.execute(
                "SELECT id, camera, stream, from_ns, to_ns, reason, detail, boot, offset_ns, quality FROM gap"
                " WHERE journaled = 0 AND to_ns IS NOT NULL ORDER BY id LIMIT ?",
                (MOST_GAPS,),
            ).fetchall()
        if found:
            marks = ", ".join("?" for _ in found)
            written = (f"UPDATE gap SET journaled = 1 WHERE id IN ({marks})", [row[0] for row in found])
            try:
                journal.append(Kind.GAP, {"gaps": [list(row)[1:] for row in found]}, written)
            except JournalWaits as error:
                log.debug("gaps are not yet in the journal: %s", error)
                return 0
        return len(found)


def _after_start(
    connection: sqlite3.Connection, before: Stretch | None, recorded: Collection[Reel], now: Stamp, boot: str
) -> list[Statement]:
    """What a gap that lasts could not know: that the recorder ended meanwhile, that its camera is recorded no more,
    or is recorded again."""
    statements: list[Statement] = []
    for reel in {*_all_reels(connection), *recorded}:
        clock = RowClock(boot, now.wall_ns - now.mono_ns, now.quality.value)
        row = connection.execute(
            "SELECT from_ns, reason FROM gap WHERE camera = ? AND stream = ? AND to_ns IS NULL", reel
        ).fetchone()
        if row is not None and before is not None:
            statements += _since(before, reel, row[0], now, clock)
        if reel not in recorded:
            statements += lasting_gap.turn(*reel, now.wall_ns, GapReason.CONFIGURATION, clock)
            statements.append(rows.put_gap(*reel, Gap(now.wall_ns, None, GapReason.CONFIGURATION), clock))
        elif row is not None and row[1] == GapReason.CONFIGURATION:
            statements += lasting_gap.turn(*reel, now.wall_ns, GapReason.STARTING, clock)
    return statements


def _since(before: Stretch, reel: Reel, from_ns: int, now: Stamp, clock: RowClock) -> list[Statement]:
    """What becomes of a gap that lasts since `from_ns`, now that the recorder runs again."""
    if before.boot != clock.boot:
        return lasting_gap.begin_anew(*reel, before.to_ns, now.wall_ns, clock)
    told = RowClock(before.boot, before.from_ns - before.from_mono_ns, before.quality)
    statements: list[Statement] = []
    if before.ended == ENDED_UNTOLD and from_ns < before.to_ns:
        killed = detail(Why.RECORDER_KILLED)  # the machine was on: it is the same boot
        statements += lasting_gap.turn(*reel, before.to_ns, GapReason.POWER_LOSS, told, killed)
    # Where the clock was set back meanwhile, the gap goes on from now.
    statements.append(lasting_gap.pull(*reel, now.wall_ns, clock))
    after = Stretch(0, clock.boot, now.wall_ns, now.wall_ns, now.mono_ns, now.mono_ns, "", ())
    away = between(before, after)
    if away and away[-1].reason == GapReason.CLOCK_STEP:
        statements += lasting_gap.turn(*reel, away[-1].from_ns, GapReason.CLOCK_STEP, told)
        statements += lasting_gap.turn(*reel, now.wall_ns, GapReason.STARTING, clock)
    return statements


def put_stretch(stretch: Stretch) -> Statement:
    """A stretch as a note."""
    return ("INSERT OR REPLACE INTO note VALUES (?, ?)", (f"{STRETCH}{stretch.number:08d}", stretch.to_text()))


def _all_reels(connection: sqlite3.Connection) -> list[Reel]:
    """Every reel that the index knows, in a few steps for each: the tables are long."""
    found: set[Reel] = set()
    for table in ("segment", "gap", "tombstone"):
        camera: str | None = ""
        while camera is not None:
            stream: str | None = ""
            while stream is not None:
                where = f"FROM {table} WHERE camera = ? AND stream > ?"
                stream = connection.execute(f"SELECT MIN(stream) {where}", (camera, stream)).fetchone()[0]
                if stream is not None:
                    found.add((camera, stream))
            camera = connection.execute(f"SELECT MIN(camera) FROM {table} WHERE camera > ?", (camera,)).fetchone()[0]
    return sorted(found)


def _next_ns(connection: sqlite3.Connection, reel: Reel, after_ns: int) -> int:
    """Where the next row of a reel begins: nothing is looked for in between."""
    found = [
        connection.execute(
            f"SELECT MIN({column}) FROM {table} WHERE camera = ? AND stream = ? AND {column} >= ?", (*reel, after_ns)
        ).fetchone()[0]
        for table, column in (("segment", "start_ns"), ("gap", "from_ns"))
    ]
    return min((each for each in found if each is not None), default=1 << 62)


def _total(spans: Sequence[Span]) -> int:
    return sum(each.to_ns - each.from_ns for each in spans)
