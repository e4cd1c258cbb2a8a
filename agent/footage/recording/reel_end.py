"""Where the footage of a reel ends, by which clock, and the gap that lasts from there.

Used by the recording thread alone.

Invariants
1. In one turn of the recorder there is one wall clock: what is set meanwhile is seen at the next turn, by everything.
2. The end and the clock that told it change together; a clock that was set moves the end, never the footage.
3. A gap that lasts is told when it begins, when its reason changes, and every `TELL_AGAIN_NS`: not every turn.
"""

from copy import copy
from typing import Final

from agent.clock import stamp
from agent.facts import Stamp
from agent.footage import rows
from agent.footage.gaps import set_forward
from agent.footage.index import Pending
from agent.footage.recording.store import Store
from agent.footage.timeline import FAR_OFF_NS, NS, Gap, GapReason, clock_stepped

TELL_AGAIN_NS: Final = 60 * NS
"""Whatever became of the row of a gap, it is there again after this time."""

_TAKES_DETAIL: Final = (GapReason.STARTING, GapReason.CONNECTION_LOST)
"""Of a gap with another reason the first detail stays (rows.mark_gap)."""


class ReelEnd:
    """The end of the footage of the reel `key` (camera uuid, stream)."""

    def __init__(self, key: tuple[str, str], store: Store) -> None:
        self.at_ns: int | None = None
        """Where the footage ends, for all that is known."""
        self._key = key
        self._store = store
        self._now_offset_ns = store.clock.wall_ns() - store.clock.mono_ns()
        """Wall minus monotonic time, this turn."""
        self._offset_ns: int | None = None
        """The same by which `at_ns` was told; None where that was in another boot."""
        self._quality = ""
        self._lasting: tuple[GapReason, str] | None = None
        """Why there is no footage now."""
        self._told: Pending | None = None
        self._told_mono_ns = 0

    def elsewhere(self) -> "ReelEnd":
        """The same for a reel that goes on on another volume: what the first one does no longer counts."""
        return copy(self)

    def is_at(self, at_ns: int, offset_ns: int | None, quality: str) -> None:
        """Footage ends at `at_ns`, told by a clock of this `offset_ns` and quality."""
        self.at_ns, self._offset_ns, self._quality = at_ns, offset_ns, quality

    def resume(self, at_ns: int | None, offset_ns: int | None, quality: str) -> None:
        """Go on after what is known; what rows say of gaps may have been changed."""
        self.at_ns, self._offset_ns, self._quality, self._told = at_ns, offset_ns, quality, None

    def look_at_clock(self, now: Stamp, is_open: bool) -> None:
        """A turn begins at `now`. Unless a file `is_open`, a gap that lasts goes on by the clock of now, if that was
        set."""
        before_offset_ns, self._now_offset_ns = self._now_offset_ns, now.wall_ns - now.mono_ns
        if is_open or not clock_stepped(before_offset_ns, self._now_offset_ns):
            return
        before_ns = now.mono_ns + before_offset_ns
        self._store.index.submit(*rows.split_gap(*self._key, before_ns, now.wall_ns, self._clock_of(now)))
        if self.at_ns is not None and self._offset_ns is not None:
            self.at_ns += now.wall_ns - before_ns
            self._offset_ns += now.wall_ns - before_ns

    def keep_up_with_clock(self) -> None:
        """Where the clock was set since the footage ended, its end is from now on the same moment by the new clock;
        what was left out by setting it forward is a gap of its own."""
        if self.at_ns is None or self._offset_ns is None or not clock_stepped(self._offset_ns, self._now_offset_ns):
            return
        at_ns = self.at_ns + self._now_offset_ns - self._offset_ns
        if at_ns > self.at_ns:
            left_out = Gap(self.at_ns, at_ns, GapReason.CLOCK_STEP, set_forward(at_ns - self.at_ns))
            clock = rows.RowClock(self._store.boot, self._offset_ns, self._quality)
            self._store.index.submit(rows.put_gap(*self._key, left_out, clock))
        self.at_ns, self._offset_ns = at_ns, self._now_offset_ns

    def gap(self, reason: GapReason, detail: str) -> None:
        """There is no footage from its end on, for this reason; a gap that lasts already takes it."""
        mono_ns = self._store.clock.mono_ns()
        if self._knows(reason, detail, mono_ns):
            return
        now = Stamp(mono_ns + self._now_offset_ns, mono_ns, stamp(self._store.clock).quality)
        self.keep_up_with_clock()
        # An end that lies far in the future was told by another clock, in an earlier life of the machine.
        begin = now.wall_ns if self.at_ns is None or self.at_ns - now.wall_ns > FAR_OFF_NS else self.at_ns
        statements = rows.mark_gap(*self._key, begin, now.wall_ns, reason, detail, self._clock_of(now))
        self._told, self._told_mono_ns = self._store.index.submit(*statements), mono_ns
        self._lasting = (reason, detail)

    def end_gap(self, at_ns: int) -> None:
        """Footage goes on."""
        self._lasting = self._told = None
        self._store.index.submit(*rows.end_gap(*self._key, at_ns))

    def tell_again(self) -> None:
        """The index was begun anew: it is told why there is no footage, if there is none."""
        self._told = None
        if self._lasting is not None:
            self.gap(*self._lasting)

    def _knows(self, reason: GapReason, detail: str, mono_ns: int) -> bool:
        if self._lasting is None or self._told is None or self._told.refused:
            return False
        if self._lasting[0] is not reason or (reason in _TAKES_DETAIL and self._lasting[1] != detail):
            return False
        return mono_ns - self._told_mono_ns < TELL_AGAIN_NS

    def _clock_of(self, now: Stamp) -> rows.RowClock:
        return rows.RowClock(self._store.boot, now.wall_ns - now.mono_ns, now.quality.value)
