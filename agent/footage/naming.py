"""PURE. What footage is called: the storage name of a camera, and the path of a segment below its volume.

Invariants
1. A path says camera, stream, start and sequence number within both; `parse_name` gives back what `segment_path`
   put in.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final

CAMERA_NAMESPACE: Final = uuid.UUID("6d0a3c1e-52b7-5f0e-9a41-3f2f6f0c8b17")
"""Fixed for ever: the storage name of a camera is a UUIDv5 in this namespace."""

PRODUCT_BEGAN_S: Final = 1_577_836_800
"""2020-01-01: nothing was recorded before."""

SHORTEST_SEGMENT_S: Final = 10

_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class SegmentName:
    """What the path of a segment says."""

    camera_uuid: str
    stream: str
    start_ns: int
    seq: int


def camera_uuid(facility_id: str, camera_id: str) -> str:
    """The storage name of a camera: the same for the same two ids on every machine, for ever."""
    return str(uuid.uuid5(CAMERA_NAMESPACE, f"{facility_id}/{camera_id}"))


def seq_beyond(wall_ns: int) -> int:
    """A number above every one that a reel can have been given until now: one for each `SHORTEST_SEGMENT_S` since this
    product began. For when the index is lost and a volume with higher numbers may come back."""
    return max(0, wall_ns // _NS - PRODUCT_BEGAN_S) // SHORTEST_SEGMENT_S


def segment_path(camera: str, stream: str, start_ns: int, seq: int) -> PurePosixPath:
    """The path of a segment below its volume; `start_ns` is UTC, `seq` counts the segments of one reel."""
    start = datetime.fromtimestamp(start_ns // _NS, UTC)
    name = f"{start:%Y%m%dT%H%M%S}.{start_ns % _NS:09d}Z-{seq:08d}.mp4"
    return PurePosixPath(camera, stream, f"{start:%Y}", f"{start:%m}", f"{start:%d}", f"{start:%H}", name)


def parse_name(path: PurePosixPath) -> SegmentName | None:
    """What a path below a volume says, or None when `segment_path` would never have made it."""
    if len(path.parts) != 7 or path.suffix != ".mp4":
        return None
    stamp, _, number = path.stem.partition("-")
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    try:
        start = datetime.strptime(whole, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        name = SegmentName(path.parts[0], path.parts[1], int(start.timestamp()) * _NS + int(fraction), int(number))
    except (ValueError, OverflowError):
        return None
    return name if segment_path(name.camera_uuid, name.stream, name.start_ns, name.seq) == path else None
