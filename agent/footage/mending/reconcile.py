"""PURE. The disk against the index, at start: what is to be done so that both say the same.

Two steps, because reading a file costs: `look` compares names and sizes and says which files must be walked;
`settle` says, file by file, what to do with what the walk found.

Invariants
1. A file that plays anywhere is kept. Only what plays nowhere and was never ended is removed; what is not ours, and
   what should play and does not, is quarantined.
2. A file is cut after its last whole fragment, and a place in it that makes no sense is covered by a box that players
   pass over; of one that was once ended a copy as it was goes to quarantine before.
3. What was once ended keeps its digest: a file that is another one now is `suspect`, and the evidence shows it.
4. After the actions every file has a row that agrees with it, and every row without a file is marked `lost`.
5. Footage that ended without its end being written is followed by a gap row, until now.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.footage.mp4.boxes_walk import Walked
from agent.footage.naming import SegmentName
from agent.footage.timeline import SLEW_PPM, GapReason

WHOLE_STATES = frozenset({"closed", "recovered"})
"""Files in these states are what their row says, as long as the size agrees."""

DELETING = "deleting"
"""A row of this state is about to go, and its file with it: that is retention's to finish."""

_BOX_HEAD = 8
"""Bytes that the smallest box has."""

ENDED_STATES = WHOLE_STATES | {"suspect"}
"""Rows in these states know when their footage ends."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the index says of one path."""

    path: str
    camera: str
    stream: str
    start_ns: int
    end_ns: int | None
    bytes: int
    state: str
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """The first step's answer: files to walk (with what the index says, if anything), and rows without a file."""

    walk: tuple[tuple[str, Known | None], ...]
    lost: tuple[Known, ...]


def look(files: Mapping[str, int], rows: Iterable[Known], anew: bool = False) -> Looked:
    """Compare paths and sizes in bytes with rows. `anew`: walk every file, whatever its row says."""
    known = {row.path: row for row in rows}
    walk: list[tuple[str, Known | None]] = []
    for path, size in sorted(files.items()):
        row = known.get(path)
        if row is not None and row.state == DELETING:
            continue
        if anew or row is None or row.state not in WHOLE_STATES or row.bytes != size:
            walk.append((path, row))
    lost = tuple(
        row for path, row in sorted(known.items()) if path not in files and row.state not in ("lost", DELETING)
    )
    return Looked(tuple(walk), lost)


@dataclass(frozen=True, slots=True)
class Next:
    """The segment after one of the same reel: its number and start, and the digest that it says the file before it has
    (None: it does not say)."""

    seq: int
    start_ns: int
    previous: str | None


@dataclass(frozen=True, slots=True)
class Recover:
    """Give the file a row in `state` that ends at `end_ns`; cut it to `keep_bytes` before, if `cut`, and put a copy of
    it into quarantine before that, if `copy`.

    `cover`: bytes [from, to) in it that players are to pass over; `holes`: times in it that do not play.
    `digest` is that of the file, None when it must be read for it. `expected` is the digest that it had when it was
    ended: a file that has another one is suspect, and keeps it.
    """

    path: str
    keep_bytes: int
    start_ns: int
    end_ns: int
    frames: int
    state: str
    cut: bool = False
    copy: bool = False
    cover: tuple[tuple[int, int], ...] = ()
    holes: tuple[tuple[int, int], ...] = ()
    digest: str | None = None
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class Remove:
    """Nothing in this file plays: delete it and its row."""

    path: str


@dataclass(frozen=True, slots=True)
class Quarantine:
    """This file is not what its name says: move it out of the way and keep it."""

    path: str
    why: str


Action = Recover | Remove | Quarantine


def settle(
    path: str, named: SegmentName | None, walked: Walked, row: Known | None, after: Next | None = None
) -> Action:
    """What to do with one walked file. `named` is what the path says, None when it is none of ours; `after` the next
    segment of the reel, as far as it is known."""
    if named is None:
        return Quarantine(path, "the name is none of ours")
    described = walked.description
    if described is not None and _text(described, "camera") != named.camera_uuid:
        return Quarantine(path, "the file says that it belongs to another camera")
    if described is not None and described.get("stream", named.stream) != named.stream:
        return Quarantine(path, "the file says that it belongs to another stream")
    if described is not None and not _is_named(described, named):
        return Quarantine(path, "the file says that it is another one of its camera")
    expected = _expected(named, row, after, described)
    ended = expected is not None or (row is not None and row.state != "open")
    if walked.fragments == 0 and not walked.later:
        return Quarantine(path, "nothing in it plays") if ended or walked.headless else Remove(path)
    if described is None and row is None:
        return Quarantine(path, "the file does not say what it is")
    start_ns = row.start_ns if row is not None else named.start_ns
    cover = _cover(walked)
    mended = bool(cover) or not walked.later
    whole_bytes = walked.later_bytes if cover else walked.keep_bytes
    cut = mended and whole_bytes < walked.size_bytes
    end_ns, holes = _times(walked, start_ns)
    if row is not None and row.state in ENDED_STATES and row.end_ns is not None and row.bytes <= walked.keep_bytes:
        end_ns = row.end_ns
    if row is None and after is not None:
        end_ns = snap(end_ns, end_ns - start_ns, after.start_ns, walked.frames)
    damaged = not mended or (ended and (cut or bool(cover)))
    return Recover(
        path,
        keep_bytes=whole_bytes if cut else walked.size_bytes,
        start_ns=start_ns,
        end_ns=end_ns,
        frames=walked.frames + sum(piece.frames for piece in walked.later),
        state="suspect" if damaged else "closed" if row is None and walked.finished else "recovered",
        cut=cut,
        cover=cover,
        copy=ended and (cut or bool(cover)),
        holes=holes,
        digest=expected if row is None and walked.finished else None,
        expected=expected,
    )


def _is_named(described: Mapping[str, Any], named: SegmentName) -> bool:
    """Whether a file says, as far as it says it, the number and the start that its name does."""
    return (described.get("seq", named.seq), described.get("start_ns", named.start_ns)) == (named.seq, named.start_ns)


def _cover(walked: Walked) -> tuple[tuple[int, int], ...]:
    """The damaged places of a file that plays after them."""
    begin = max(walked.keep_bytes, walked.head_bytes)
    found: list[tuple[int, int]] = []
    for piece in walked.later:
        found.append((begin, piece.offset))
        begin = piece.end
    return tuple(found) if all(_BOX_HEAD <= to - since < 1 << 32 for since, to in found) else ()


def _expected(
    named: SegmentName, row: Known | None, after: Next | None, described: Mapping[str, Any] | None
) -> str | None:
    """The digest of a file that was once ended, by its row or by the file after it. One that was let go with a disk
    that hung is passed over by the next, which names the same file before it as this one does."""
    if row is not None:
        return row.digest if row.state != "open" else None
    if after is not None and described is not None and after.previous == described.get("previous"):
        return None
    return after.previous if after is not None and after.seq == named.seq + 1 else None


def _times(walked: Walked, start_ns: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    """When the footage in a file ends, and the holes in it."""
    end = walked.ticks
    holes: list[tuple[int, int]] = []
    for piece in walked.later:
        if piece.from_ticks > end:
            holes.append((start_ns + walked.ns(end), start_ns + walked.ns(piece.from_ticks)))
        end = max(end, piece.to_ticks)
    return start_ns + walked.ns(end), tuple(holes)


def gap_reason(rebuilt: bool, was_open: bool) -> GapReason:
    """Why nothing follows the last footage of a camera, as far as the disk can tell."""
    if rebuilt:
        return GapReason.INDEX_LOST
    return GapReason.POWER_LOSS if was_open else GapReason.RESTART


def _text(described: dict[str, Any], key: str) -> str | None:
    value = described.get(key)
    return value if isinstance(value, str) else None


def snap(end_ns: int, length_ns: int, next_start_ns: int, frames: int) -> int:
    """The end of a segment, counted from its frames, or the start of the next one when they are the same.

    They differ by what wall time was drawn towards arrival (`SLEW_PPM`) and by less than two frames.
    """
    slack = 2 * length_ns // max(frames, 1) + length_ns * SLEW_PPM // 1_000_000
    return next_start_ns if abs(next_start_ns - end_ns) <= slack else end_ns
