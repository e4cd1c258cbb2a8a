"""PURE. The disk against the index, at start: what is to be done so that both say the same.

Two steps, because reading a file costs: `look` compares names and sizes and says which files must be walked;
`settle` says, file by file, what to do with what the walk found.

Invariants
1. A file that plays is kept; only what plays nowhere is removed, only what is not ours is quarantined.
2. After the actions every file has a row that agrees with it, and every row without a file is marked `lost`.
3. Footage that ended without its end being written is followed by a gap row, until now.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.footage.boxes_walk import Walked
from agent.footage.naming import SegmentName
from agent.footage.timeline import SLEW_PPM, GapReason

WHOLE_STATES = frozenset({"closed", "recovered"})
"""Files in these states are what their row says, as long as the size agrees."""

DELETING = "deleting"
"""A row of this state is about to go, and its file with it: that is retention's to finish."""

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


@dataclass(frozen=True, slots=True)
class Looked:
    """The first step's answer: files to walk (with what the index says, if anything), and rows without a file."""

    walk: tuple[tuple[str, Known | None], ...]
    lost: tuple[Known, ...]


def look(files: Mapping[str, int], rows: Iterable[Known]) -> Looked:
    """Compare paths and sizes in bytes with rows."""
    known = {row.path: row for row in rows}
    walk: list[tuple[str, Known | None]] = []
    for path, size in sorted(files.items()):
        row = known.get(path)
        if row is not None and row.state == DELETING:
            continue
        if row is None or row.state not in WHOLE_STATES or row.bytes != size:
            walk.append((path, row))
    lost = tuple(
        row for path, row in sorted(known.items()) if path not in files and row.state not in ("lost", DELETING)
    )
    return Looked(tuple(walk), lost)


@dataclass(frozen=True, slots=True)
class Recover:
    """Cut the file to `keep_bytes`, hash it, and give it a row in `state` that ends at `end_ns`."""

    path: str
    keep_bytes: int
    start_ns: int
    end_ns: int
    frames: int
    state: str


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


def settle(path: str, named: SegmentName | None, walked: Walked, row: Known | None) -> Action:
    """What to do with one walked file. `named` is what the path says, None when it is none of ours."""
    if named is None:
        return Quarantine(path, "the name is none of ours")
    described = walked.description
    if described is not None and _text(described, "camera") != named.camera_uuid:
        return Quarantine(path, "the file says that it belongs to another camera")
    if described is not None and described.get("stream", named.stream) != named.stream:
        return Quarantine(path, "the file says that it belongs to another stream")
    if walked.fragments == 0:
        return Remove(path) if row is None or row.state == "open" else Quarantine(path, "nothing in it plays")
    if described is None and row is None:
        return Quarantine(path, "the file does not say what it is")
    start_ns = row.start_ns if row is not None else named.start_ns
    known_end = row.end_ns if row is not None and row.state in ENDED_STATES and row.bytes <= walked.keep_bytes else None
    end_ns = known_end if known_end is not None else start_ns + walked.length_ns()
    return Recover(
        path,
        keep_bytes=walked.keep_bytes,
        start_ns=start_ns,
        end_ns=end_ns,
        frames=walked.frames,
        state="recovered",
    )


def gap_reason(rebuilt: bool, was_open: bool) -> GapReason:
    """Why nothing follows the last footage of a camera, as far as the disk can tell."""
    if rebuilt:
        return GapReason.INDEX_LOST
    return GapReason.POWER_LOSS if was_open else GapReason.STOPPED


def _text(described: dict[str, Any], key: str) -> str | None:
    value = described.get(key)
    return value if isinstance(value, str) else None


def snap(end_ns: int, length_ns: int, next_start_ns: int, frames: int) -> int:
    """The end of a segment, counted from its frames, or the start of the next one when they are the same.

    They differ by what wall time was drawn towards arrival (`SLEW_PPM`) and by less than two frames.
    """
    slack = 2 * length_ns // max(frames, 1) + length_ns * SLEW_PPM // 1_000_000
    return next_start_ns if abs(next_start_ns - end_ns) <= slack else end_ns
