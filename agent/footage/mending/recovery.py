"""Makes disk and index agree: what must be known before anything is recorded.

`settling` does it for one directory; `comparison` goes through the rest meanwhile.

Invariants
1. After `recover` every film that was being written plays from its first frame to its last, or is in quarantine, or is
   named as one that the disk does not let be read or mended.
2. The time that it takes does not grow with the volume, nor with what else lies in a directory.
"""

import logging
from collections.abc import Callable, Collection, Iterable
from itertools import islice

from agent.camera_words import Why, detail
from agent.footage import lasting_gap, rows
from agent.footage.disk.files import Volume, reels_on, segment_directories
from agent.footage.index import Index
from agent.footage.mending.reconcile import gap_reason
from agent.footage.mending.settling import Found, settle_directory, wait_for_commit
from agent.footage.rows import NO_CLOCK, RowClock
from agent.footage.timeline import FAR_OFF_NS, Gap, GapReason

log = logging.getLogger(__name__)


def recover(volume: Volume, index: Index, rebuilt: bool, progress: Callable[[], None]) -> Found:
    """Settle what was being written and the newest files of each reel, in a time that does not grow with the
    volume. Raises OSError or VolumeRefused when the volume cannot be read or changed, sqlite3.Error when the index
    cannot be read. `rebuilt` says that the index was just made and knows nothing. `progress` is called once a file.
    """
    with index.reading() as connection:
        were_open = rows.open_segments(connection, volume.uuid)
        rebuilt = rebuilt or rows.is_rebuilding(connection, volume.uuid)
    reels = list(reels_on(volume.path))
    if rebuilt and not reels:
        rebuilt = False
        index.submit(rows.put_rebuilt(volume.uuid))  # nothing was ever recorded here
    found = Found(rebuilt, were_open={(row.camera, row.stream) for row in were_open})
    directories = {row.path.rpartition("/")[0] for row in were_open}
    for reel in reels:
        try:
            directories.update(islice(segment_directories(volume.path, reel), 1))
        except OSError as error:
            found.leave(volume, reel, error)
    for directory in sorted(directories, reverse=True):
        settle_directory(volume, index, directory, found, progress)
    found.is_late = found.is_late or not wait_for_commit(index, found.wait_s)
    found.log()
    return found


def open_gaps(
    index: Index,
    reels: Iterable[tuple[str, str]],
    were_open: Collection[tuple[str, str]],
    rebuilt: bool,
    now_ns: int,
    clock: RowClock = NO_CLOCK,
) -> None:
    """A gap that lasts for each of these reels (camera uuid, stream), from the end of its footage, or from now where
    the clock was set back since. `clock` is what tells `now_ns`. Raises sqlite3.Error when the index cannot be read."""
    with index.reading() as connection:
        for camera, stream in reels:
            last = rows.last_of(connection, camera, stream)
            if last.end_ns is None:
                gap, told = Gap(now_ns, None, GapReason.STARTING), clock
            else:
                reason = gap_reason(rebuilt, (camera, stream) in were_open)
                # In one boot the machine was on all the time: whatever cut the footage off took the recorder alone.
                killed = reason is GapReason.POWER_LOSS and last.clock.boot == clock.boot != ""
                # Where another clock told the end, what lies between is told by when the recorder ran (ledger.py).
                is_other = last.end_ns - now_ns > FAR_OFF_NS or last.clock.boot not in ("", clock.boot)
                gap, told = (
                    (Gap(now_ns, None, GapReason.STARTING), clock)
                    if is_other and clock.boot
                    else (Gap(last.end_ns, None, reason, detail(Why.RECORDER_KILLED) if killed else ""), last.clock)
                )
            index.submit(
                *lasting_gap.end_by_footage(camera, stream, clock.boot), rows.put_gap(camera, stream, gap, told)
            )
