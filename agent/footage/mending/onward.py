"""Where a reel goes on when no index can be asked: by its newest file, which says itself what stands before it.

Invariants
1. Nothing is changed: what a power cut tore is recovered once the index is there.
2. A file that was not finished is passed over: what it will be after recovery is not known yet (damage.py).
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from agent.footage.chain import ALGORITHMS, SHA256, UnknownHash, link
from agent.footage.disk.files import list_directory, segment_directories
from agent.footage.mending.segment_file import hash_file, walk_file
from agent.footage.naming import SegmentName, parse_name
from agent.footage.rows import Last

log = logging.getLogger(__name__)

MOST_FILES: Final = 4
"""So many of the newest files may say nothing of themselves: their heads never reached the disk."""

_DIRECTORIES: Final = 3
"""The newest file of all lies in one of the newest directories of its volume, unless the clock was set back."""


def last_on(volumes: Iterable[Path], camera: str, stream: str) -> Last | None:
    """What `rows.last_of` would say of a reel (camera uuid, stream) but for times, by the newest of its files on these
    volumes; None when there is none that tells. It reads one file of each reel whole."""
    named: list[tuple[SegmentName, Path]] = []
    for volume in volumes:
        with suppress(OSError):
            for directory in islice(segment_directories(volume, f"{camera}/{stream}"), _DIRECTORIES):
                for inside in list_directory(volume, directory):
                    name = parse_name(PurePosixPath(inside))
                    if name is not None:
                        named.append((name, volume / inside))
    named.sort(key=lambda each: each[0].seq, reverse=True)
    for name, path in named[:MOST_FILES]:
        try:
            found = _after(name, path)
        except (OSError, UnknownHash) as error:
            log.warning("%s does not say where its reel goes on: %s", path.name, error)
            continue
        if found is not None:
            return Last(named[0][0].seq, None, *found)
    return None


def _after(name: SegmentName, path: Path) -> tuple[str | None, str] | None:
    """Digest of the file that the next one names as the one before it, and the head of the chain before the next."""
    walked = walk_file(path, synced=False)
    told = walked.description or {}
    before, previous = told.get("chain"), told.get("previous")
    of_it = (told.get("camera"), told.get("stream"), told.get("seq"))
    if not isinstance(before, str) or of_it != (name.camera_uuid, name.stream, name.seq):
        return None
    if not walked.finished or walked.keep_bytes != walked.size_bytes:
        return (previous if isinstance(previous, str) and previous else None), before
    algorithm = told["hash"] if told.get("hash") in ALGORITHMS else SHA256
    digest = hash_file(path, algorithm)
    head = link(algorithm, before, name.camera_uuid, name.stream, name.seq, name.start_ns, walked.size_bytes, digest)
    return digest, head
