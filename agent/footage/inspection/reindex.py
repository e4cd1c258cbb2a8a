"""Builds the whole index again from the files alone: for `yunjian footage reindex`, while `record` does not run.

Invariants
1. The index that was there is set aside, never deleted, and only when a volume was found to read.
2. The journal is taken over first: holds hold, and what was deleted is known, before any file has its row.
3. It ends as soon as `record` runs: that records at once, and finishes the work itself, beside it.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from agent.clock import Clock, stamp
from agent.facts import Text
from agent.footage import rows
from agent.footage.custody.journal import Journal
from agent.footage.disk.files import Volume, VolumeRefused, check_volume, newest_seq, reels_on
from agent.footage.index import Index
from agent.footage.index_file import set_aside, take_lock
from agent.footage.inspection.effects import effects
from agent.footage.mending.comparison import Comparison
from agent.footage.mending.settling import wait_for_commit
from agent.footage.recording.recorder import Recorder
from agent.wire import Refused

_LOOK_S: Final = 0.2
_STOP_S: Final = 60.0
"""A file that is being walked is walked to its end."""


@dataclass
class Told:
    """What is told of passes through all files, by the process that makes them."""

    running: bool = False
    files: int = 0
    of: int = 0
    counted: bool = False
    took_s: float = 0.0
    written: int = 0
    """Rows that were made or changed."""
    removed: int = 0
    quarantined: int = 0
    damaged: list[str] = field(default_factory=list)
    """The first of the files that are not what they were."""
    whole: bool = False
    """Whether every file was gone through."""
    refused: dict[str, str] = field(default_factory=dict)
    """Volume -> why it was not read."""


MOST_NAMED: Final = 20


class NothingToRead(Exception):
    """No volume can be read; `refused` says why of each."""

    def __init__(self, refused: dict[str, str]) -> None:
        super().__init__("no volume can be read")
        self.refused = refused


def told_of(passes: list[Comparison]) -> Told:
    """What these passes have come to. May be called by any thread."""
    seen = [each.progress for each in passes]
    return Told(
        running=any(not each.over for each in seen),
        files=sum(each.files for each in seen),
        of=sum(each.of for each in seen),
        counted=all(each.counted for each in seen),
        took_s=max((each.took_s for each in seen), default=0.0),
        written=sum(len(each.found.recovered) for each in passes),
        removed=sum(len(each.found.removed) for each in passes),
        quarantined=sum(len(each.found.quarantined) for each in passes),
        damaged=[path for each in passes for path in each.found.damaged[:MOST_NAMED]][:MOST_NAMED],
        whole=bool(passes) and all(each.whole for each in passes),
    )


def answer_reindex(recorder: Recorder, start: bool) -> dict[str, Any]:
    """What `record` answers: begin to walk every file anew, if `start`, and how far that is. Raises Refused when there
    is no volume to read."""
    if start and not recorder.mounted():
        raise Refused("no_volume", Text("没有可读的录像盘", "there is no footage volume to read"))
    if start:
        recorder.reindex()
    passes = recorder.reindexing()
    return asdict(Told(running=True) if passes is None else told_of(passes))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be indexed: volumes of a facility, into the database at `index`. `cameras`: uuid -> id and name."""

    index: Path
    volumes: tuple[Path, ...]
    facility: str
    cameras: Mapping[str, tuple[str, str]]


def reindex(wanted: Wanted, clock: Clock, show: Callable[[Told], None], taken: Callable[[], bool]) -> Told:
    """Build the index anew. `show` is called now and then; `taken` says that another process records now.

    Raises IndexBusy when another process writes the index, NothingToRead, JournalWaits, OSError and sqlite3.Error.
    """
    refused: dict[str, str] = {}
    volumes: list[Volume] = []
    for path in wanted.volumes:
        try:
            volumes.append(check_volume(path, wanted.facility))
        except VolumeRefused as error:
            refused[str(path)] = error.detail
    if not volumes:
        raise NothingToRead(refused)
    set_old_aside(wanted.index, clock)
    index = Index(wanted.index)
    index.prepare()
    index.start()
    try:
        told = _fill(index, volumes, wanted, clock, show, taken)
    finally:
        index.stop(_STOP_S)
    told.refused = refused
    return told


def set_old_aside(path: Path, clock: Clock) -> None:
    """Move the index that is there out of the way. Raises IndexBusy when another process writes it."""
    lock = take_lock(path)
    try:
        now = datetime.fromtimestamp(clock.wall_ns() // 1_000_000_000, UTC)
        set_aside(path, f"{now:%Y%m%dT%H%M%SZ}", "before-reindex")
    finally:
        os.close(lock)


def _fill(
    index: Index,
    volumes: list[Volume],
    wanted: Wanted,
    clock: Clock,
    show: Callable[[Told], None],
    taken: Callable[[], bool],
) -> Told:
    journal = Journal(index, lambda: [volume.path for volume in volumes], clock, effects)
    journal.step(stamp(clock))
    while journal.is_taking_over:
        journal.step(stamp(clock))
    for uuid, (camera_id, name) in wanted.cameras.items():
        index.submit(rows.put_camera(uuid, camera_id, name))
    passes: list[Comparison] = []
    for volume in volumes:
        index.submit(rows.put_volume(volume.uuid, volume.path, volume.agent_id, volume.created_ns))
        last = {reel: newest_seq(volume.path, *reel) for reel in reels_of(volume)}
        passes.append(Comparison(volume, index, last, True, clock, rest=False))
    wait_for_commit(index)
    for each in passes:
        each.start()
    try:
        while any(not each.progress.over for each in passes):
            show(told_of(passes))
            if taken():
                break
            time.sleep(_LOOK_S)
    finally:
        for each in passes:
            each.ask_to_stop()
        for each in passes:
            each.join(_STOP_S)
    wait_for_commit(index)
    return told_of(passes)


def reels_of(volume: Volume) -> list[tuple[str, str]]:
    """Camera uuid and stream of every reel on a volume."""
    return [(camera, stream) for camera, _, stream in (reel.partition("/") for reel in reels_on(volume.path))]
