"""The rows that a film is given which was found on a volume, by what it says itself and what was known of it."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.footage import rows
from agent.footage.chain import ALGORITHMS, SHA256, UnknownHash, algorithm_of, link
from agent.footage.index import Index
from agent.footage.mending.reconcile import Known, Next, Recover
from agent.footage.mending.segment_file import hash_file
from agent.footage.mp4.boxes_walk import Walked
from agent.footage.naming import SegmentName
from agent.footage.rows import SegmentRow, Statement
from agent.footage.timeline import Gap, GapReason

log = logging.getLogger(__name__)

_ONE_CLOCK_NS: Final = 10_000_000_000
"""Files of one boot whose wall clock is this near to the monotonic one are taken for one run."""


@dataclass(frozen=True, slots=True)
class Film:
    """A film below the volume `uuid` at `volume`: what its name says, and what was found in it."""

    volume: Path
    uuid: str
    name: SegmentName
    walked: Walked

    @property
    def told(self) -> Mapping[str, Any]:
        """What it says of itself."""
        return self.walked.description or {}


@dataclass(frozen=True, slots=True)
class Given:
    """What is to be written for a film; `suspect`: it is not what it was when it was ended."""

    statements: tuple[Statement, ...]
    suspect: bool


def rows_for(film: Film, action: Recover, old: SegmentRow | None, follows: Gap | None) -> Given:
    """The row of a film, its run and its camera where they are new, and a gap row for what is missing in it. `old` is
    the row that it had, `follows` a gap after it. Reads the file when its digest is not known; raises OSError."""
    told, name = film.told, film.name
    digest, chain, state = _evidence(film, action, old)
    gaps: list[Gap] = []
    run = old.run if old is not None else None
    statements: list[Statement] = []
    if old is None or old.state != "suspect":
        gaps += [Gap(*hole, GapReason.FILE_DAMAGED, action.path) for hole in action.holes]
    if old is None:
        gaps += [follows] if follows is not None else []
        statements.append(rows.put_stranger(name.camera_uuid, text_of(told, "id") or name.camera_uuid))
        run, put_run = _run_of(name, told)
        statements += put_run
    elif old.end_ns is not None and action.end_ns < old.end_ns:
        gaps.append(Gap(action.end_ns, old.end_ns, GapReason.FILE_DAMAGED, action.path))
    row = SegmentRow(
        name.camera_uuid, film.uuid, name.stream, run, name.seq, action.start_ns, action.end_ns, action.frames,
        action.keep_bytes, action.path, text_of(told, "codec") or (old.codec if old else ""), _number(told, "width"),
        _number(told, "height"), digest, text_of(told, "previous"), chain, state,
    )  # fmt: skip
    put_gaps = [rows.put_gap(name.camera_uuid, name.stream, gap) for gap in gaps]
    return Given((rows.put_segment(row), *statements, *put_gaps), state == "suspect")


def index_lost_gap(index: Index, name: SegmentName, end_ns: int, after: Next | None) -> Gap | None:
    """The gap between a film that a lost index knew and the next one, unless a rule deleted what was there: then a
    tombstone says so."""
    if after is None or end_ns >= after.start_ns:
        return None
    if after.seq > name.seq + 1:
        with index.reading() as connection:
            if rows.is_buried(connection, name.camera_uuid, name.stream, name.seq + 1, after.seq - 1):
                return None
    return Gap(end_ns, after.start_ns, GapReason.INDEX_LOST)


def lost_rows(volume: str, lost: Known, reason: GapReason) -> list[Statement]:
    """What is written of a row whose film is gone, or is no film any more. One that was ended stays, with its digest
    and its place in the chain; its time is a gap."""
    if lost.state == "open":
        return [rows.drop_segment(volume, lost.path)]
    statements = [rows.lose_segment(volume, lost.path)]
    if lost.end_ns is not None and lost.end_ns > lost.start_ns:
        statements.append(rows.put_gap(lost.camera, lost.stream, Gap(lost.start_ns, lost.end_ns, reason, lost.path)))
    return statements


def text_of(told: Mapping[str, Any], key: str) -> str | None:
    """A text that a film says of itself, None when it does not say it."""
    value = told.get(key)
    return value if isinstance(value, str) and value else None


def _number(told: Mapping[str, Any], key: str) -> int:
    value = told.get(key)
    return value if type(value) is int else 0


def _evidence(film: Film, action: Recover, old: SegmentRow | None) -> tuple[str | None, str | None, str]:
    """Digest, head of the chain after it, and state. A film that is not what it was keeps what it had; one whose hash
    this machine cannot compute has what was known of it, and no more."""
    told, state = film.told, action.state
    known_chain = old.chain if old is not None else None
    try:
        algorithm = algorithm_of(action.expected) if action.expected else _algorithm(told)
        digest = action.digest or hash_file(film.volume / action.path, algorithm)
        if action.expected is not None and digest != action.expected:
            digest, state = action.expected, "suspect"
        if known_chain is not None and state == "suspect":
            return digest, known_chain, state
        return digest, _link(film.name, told, action.keep_bytes, digest, algorithm), state
    except UnknownHash as error:
        log.warning("%s cannot be hashed here: %s", action.path, error)
        return action.expected, known_chain, state


def _run_of(name: SegmentName, told: Mapping[str, Any]) -> tuple[int | None, list[rows.Statement]]:
    """The run of a file that the index does not know, by the clock that the file names. Its number is made of what all
    files of one clock share, and is below zero: no number that was ever given."""
    boot, mono_ns = text_of(told, "boot"), told.get("mono_ns")
    if boot is None or type(mono_ns) is not int:
        return None, []
    offset_s = round((name.start_ns - mono_ns) / _ONE_CLOCK_NS)
    quality = text_of(told, "quality") or "unknown"
    fed = hashlib.sha256(f"{name.camera_uuid}/{name.stream}/{boot}/{offset_s}/{quality}".encode()).digest()
    number = -1 - int.from_bytes(fed[:7], "big")
    return number, [rows.put_known_run(number, name.camera_uuid, name.stream, boot, name.start_ns, mono_ns, quality)]


def _algorithm(told: Mapping[str, Any]) -> str:
    """The hash that a file names; those of the first version name none."""
    value = told.get("hash")
    return value if value in ALGORITHMS else SHA256


def _link(name: SegmentName, told: Mapping[str, Any], size_bytes: int, digest: str, algorithm: str) -> str | None:
    """The head of the chain after a file, by what it says itself; None for those of the first version."""
    before = told.get("chain")
    if not isinstance(before, str):
        return None
    return link(algorithm, before, name.camera_uuid, name.stream, name.seq, name.start_ns, size_bytes, digest)
