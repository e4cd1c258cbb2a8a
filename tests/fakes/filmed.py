"""Many real files of footage in little time: one is recorded by the product's own segment, and each of the others is
that one with its own description, written over it byte for byte."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from agent.footage.chain import SHA256, link
from agent.footage.naming import segment_path
from agent.footage.recording.segment import Segment, create_file
from agent.footage.rows import SegmentRow
from agent.footage.timeline import NS, Sane

FIRST_SEQ = 10_000_001
"""Numbers of one length, so that descriptions have one length."""

BOOT = "0b0e1a52-0b3c-4f0e-9b7a-5a2a3a1f7c11"
UP_SINCE_NS = 1_770_000_000 * NS
"""Wall time at which the boot's monotonic clock began. Films begin 116 days later or more: times of one length."""


@dataclass(frozen=True)
class Film:
    """The bytes of one recorded file, and what it holds."""

    data: bytes
    at: int
    """Where its description begins."""
    told: dict[str, Any]
    frames: int
    length_ns: int

    def copy(self, camera: str, stream: str, seq: int, start_ns: int, previous: str, chain: str) -> bytes:
        """The same pictures as another file of a reel."""
        told = described(self.told, camera, stream, seq, start_ns, previous, chain)
        text = json.dumps(told, separators=(",", ":")).encode()
        # A first file has no file before it: blanks keep the length.
        blanks = len(json.dumps(self.told, separators=(",", ":"))) - len(text)
        assert blanks >= 0, "a longer description than that of the film"
        text += b" " * blanks
        return self.data[: self.at] + text + self.data[self.at + len(text) :]


def film(clip: Path, times: int = 1) -> Film:
    """`clip`, `times` times in a row, recorded as one file."""
    context = {"codec": "h264", "width": 0, "height": 0}
    base = {"id": "cam-000", "boot": BOOT, "quality": "ntp", "hash": SHA256, **context}
    told = described(base, "0" * 36, "main", FIRST_SEQ, UP_SINCE_NS + 10**16, "0" * 64, "0" * 64)
    with tempfile.TemporaryDirectory(prefix="film-") as folder, av.open(clip, "r") as container:
        stream = container.streams.video[0]
        packets = [each for each in container.demux(stream) if each.dts is not None and each.pts is not None]
        assert stream.average_rate is not None
        assert stream.time_base is not None
        tick = int(1 / (stream.average_rate * stream.time_base))
        first = packets[0].dts or 0
        segment = Segment(Path(folder) / "a.mp4", stream, told, create_file)
        for turn in range(times):
            for packet in packets:
                off = turn * len(packets) * tick - first
                copy = av.Packet(bytes(packet))
                copy.is_keyframe, copy.time_base = packet.is_keyframe, packet.time_base
                copy.duration = tick
                segment.write(copy, Sane((packet.pts or 0) + off, (packet.dts or 0) + off))
        segment.finish()
        data = segment.path.read_bytes()
        length_ns = int(segment.frames * tick * stream.time_base * NS)
    at = data.index(json.dumps(told, separators=(",", ":")).encode())
    return Film(data, at, told, segment.frames, length_ns)


def described(
    base: dict[str, Any], camera: str, stream: str, seq: int, start_ns: int, previous: str, chain: str
) -> dict[str, Any]:
    """What a file of a reel says of itself."""
    own = {"camera": camera, "stream": stream, "seq": seq, "start_ns": start_ns, "mono_ns": start_ns - UP_SINCE_NS}
    return {**base, **own, "previous": previous, "chain": chain}


def write_reel(
    film: Film, volume: Path, volume_uuid: str, camera: str, start_ns: int, count: int, stream: str = "main"
) -> Iterator[SegmentRow]:
    """`count` files of a reel, one after the other without a gap, and the row that the recorder would have made of
    each."""
    previous = chain = ""
    made: set[Path] = set()
    for number in range(count):
        seq, begin_ns = FIRST_SEQ + number, start_ns + number * film.length_ns
        data = film.copy(camera, stream, seq, begin_ns, previous, chain)
        path = segment_path(camera, stream, begin_ns, seq)
        target = volume / path
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        target.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        chain = link(SHA256, chain, camera, stream, seq, begin_ns, len(data), digest)
        yield SegmentRow(
            camera, volume_uuid, stream, 1, seq, begin_ns, begin_ns + film.length_ns, film.frames, len(data),
            str(path), "h264", 0, 0, digest, previous or None, chain, "closed",
        )  # fmt: skip
        previous = digest
