"""PURE. What `verify` judges, and what it may find.

Everything here comes from three places: the files, the rows of the index, and the journal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from agent.facts import Text

NOTHING: Final = Text("", "")


class FindingKind(StrEnum):
    """What is wrong."""

    ALTERED = "altered"
    """The bytes of a file are not those that were recorded."""
    MISSING = "missing"
    """The index has the segment and the disk has not."""
    REMOVED = "removed_outside_policy"
    """A segment is gone without a tombstone, or was deleted although it had to be kept."""
    REORDERED = "reordered"
    """A segment stands in the place of another."""
    CHAIN_BROKEN = "chain_broken"
    """What the index says of a segment is not what was said when it was recorded."""
    CHECKPOINT_BROKEN = "checkpoint_broken"
    """A signature is wrong, or the chain is not where it was when it was signed."""
    JOURNAL_BROKEN = "journal_broken"
    """A row of the journal was changed, taken out or put in."""
    UNINDEXED = "unindexed_file"
    """A file that the index does not know."""
    DAMAGED = "damaged"
    """A file lost its end in a power cut, or nothing that follows is bound to it: so it was told and signed then, and
    it is what was signed. A note: it is explained, and proved since."""
    UNVOUCHED = "damaged_unproved"
    """The same of a file for whose bytes no signature speaks: not yet, or because it was not whole when it ended."""
    UNSIGNED = "unsigned"
    """Footage of more hours than pass between checkpoints was recorded after the last one."""


NOTES: Final = frozenset({FindingKind.DAMAGED})
"""What an inspector is told although nothing is wrong with the evidence."""

UNPROVED: Final = frozenset({FindingKind.UNVOUCHED, FindingKind.UNSIGNED})
"""What is neither altered nor proved."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong. `seq` is the first segment that it concerns (0: none), `n` a row of the journal (0: none),
    `at_ns` when the segment starts as far as known, `detail` more in words."""

    kind: FindingKind
    camera: str = ""
    stream: str = ""
    seq: int = 0
    n: int = 0
    at_ns: int | None = None
    path: str = ""
    detail: Text = NOTHING


@dataclass(frozen=True, slots=True)
class Said:
    """What a file says of itself in its description."""

    camera: str
    stream: str
    seq: int
    start_ns: int
    before: str
    """The head of the chain before it."""
    boot: str = ""
    """In which boot of the machine it was recorded; "" when the file does not say it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found on the disk. `digest` and `said` are None when the file was not read."""

    size_bytes: int
    digest: str | None = None
    said: Said | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A segment that the index has. `previous` is the digest of the file before it, `chain` the head after it; each is
    "" when the index has none. `start_ns` and `named_seq` stand in the name of its file, `indexed_start_ns` in its
    row: they differ only when the clock was found wrong later (`rectified` says that the journal knows of it). `seen`
    is None when there is no file."""

    seq: int
    start_ns: int
    indexed_start_ns: int
    rectified: bool
    size_bytes: int
    digest: str
    previous: str
    chain: str
    path: str
    named_seq: int
    seen: Seen | None
    state: str = "closed"
    volume: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """One segment in a tombstone."""

    seq: int
    start_ns: int
    end_ns: int
    size_bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """A tombstone, from journal row `n`: consecutive segments that were deleted at `deleted_ns`.

    `overwriting` says whether the policy of that time allowed footage to be overwritten before its minimum.
    """

    n: int
    before: str
    after: str
    reason: str
    deleted_ns: int
    minimum_days: int
    segments: tuple[Gone, ...]
    overwriting: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A signed head of this camera and stream, from checkpoint row `n`."""

    seq: int
    head: str
    n: int


@dataclass(frozen=True, slots=True)
class HeldRange:
    """A hold of the journal: rows `since_n` to `to_n` of it (None: not released), ended by itself at `until_ns`."""

    camera: str | None
    from_ns: int
    to_ns: int | None
    since_n: int
    to_n: int | None
    until_ns: int | None

    def covers(self, camera: str, gone: Gone, deleted: Deleted) -> bool:
        """Whether this segment could not be deleted when it was."""
        if self.camera not in (None, camera) or not self.since_n < deleted.n or (self.to_n or deleted.n) < deleted.n:
            return False
        if self.until_ns is not None and self.until_ns <= deleted.deleted_ns:
            return False
        return gone.end_ns > self.from_ns and (self.to_ns is None or gone.start_ns < self.to_ns)


@dataclass(frozen=True, slots=True)
class Unbound:
    """A segment to which what follows need not be bound: `before` is the head before it, `chain` the one after it."""

    before: str | None
    chain: str
    seq: int
    start_ns: int
    digest: str
    volume: str
    path: str
    n: int = 0


@dataclass(frozen=True, slots=True)
class Doubt:
    """A cut that is believed only if the recorder began anew soon after: another boot or volume than these is met up to
    number `until_seq`. Then it is `cut`, otherwise `altered`."""

    cut: Finding
    altered: Finding
    boot: str
    volume: str
    until_seq: int


@dataclass(frozen=True, slots=True)
class Walk:
    """How far one camera and stream was judged. `head` is None while it is not known what stands before."""

    camera: str
    stream: str
    head: str | None
    last_seq: int = 0
    last: Recorded | None = None
    """The segment before, unless it was deleted."""
    other_head: str | None = None
    """What the head should be, when the index says another."""
    marks: Sequence[Mark] = ()
    mark_at: int = 0
    loose: Mapping[int, str] = field(default_factory=dict)
    """Segments that a checkpoint named as not closed when it first signed beyond them, with their heads ("": none)."""
    covered: int = 0
    """The highest number that was signed."""
    unbound: tuple[Unbound, ...] = ()
    """Those just before, without a break."""
    doubts: tuple[Doubt, ...] = ()
    undated: tuple[tuple[Gone, Deleted], ...] = ()
    """Deleted with a label later than their deletion: they are as old as what follows."""
