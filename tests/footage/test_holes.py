"""A hole as a power cut leaves it, anywhere in a file: found, and told by the fragment that has it."""

from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.footage.mending.segment_file import walk_file
from agent.footage.mp4.boxes_walk import walk
from agent.footage.mp4.holes import SECTOR, first_hole
from tests.fakes.camera import make_clip
from tests.fakes.encoded import START_CODE, nals, pictures

SMALLEST = 16
"""A hole of a few bytes, at the very end of a sector, may be no different from what stands beside it."""


@pytest.fixture(scope="module", params=["h264", "hevc"])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file as the recorder writes it, of pictures with little redundancy."""
    path = tmp_path_factory.mktemp("holes") / "a.mp4"
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "1000000"}
    message = (39, 40) if request.param == "hevc" else (6,)  # its bytes are the encoder's business
    units = [nal for each in pictures(4, (64, 48), request.param, noise=True) for nal in nals(each.data)]
    elementary = path.with_suffix(".bin")
    kept = [nal for nal in units if (nal[0] >> 1 & 63 if request.param == "hevc" else nal[0] & 31) not in message]
    elementary.write_bytes(b"".join(START_CODE + nal for nal in kept))
    with av.open(elementary, format=request.param) as source, av.open(path, "w", options=options) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux() if packet.size):
            packet.stream = stream
            packet.pts = packet.dts = number * 512
            packet.time_base = stream.time_base or packet.time_base
            target.mux(packet)
    return path.read_bytes()


def hole_in(data: bytes) -> int | None:
    def fetch(offset: int, size: int) -> bytes:
        return data[offset : offset + size]

    return first_hole(fetch, walk(fetch, len(data)).keep_bytes)


def fragments(data: bytes) -> Iterator[tuple[int, int]]:
    """Begin and end of each moof with its mdat."""
    at = begin = 0
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        begin = at if kind == b"moof" else begin
        at += length
        if kind == b"mdat":
            yield begin, at


def test_a_whole_file_has_no_hole(recorded: bytes) -> None:
    assert hole_in(recorded) is None
    assert len(list(fragments(recorded))) >= 4


@pytest.mark.parametrize("b_frames", [0, 2])
def test_other_pictures_have_no_hole(tmp_path: Path, b_frames: int) -> None:
    make_clip(tmp_path / "clip.mp4", fps=25, b_frames=b_frames)
    target = tmp_path / "a.mp4"
    with av.open(tmp_path / "clip.mp4") as source:
        options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        with av.open(target, "w", options=options) as container:
            stream = container.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    container.mux(packet)
    assert hole_in(target.read_bytes()) is None


PART = st.integers(0, 999_999)
"""Millionths of what there is to choose from."""


@given(which=st.integers(0, 3), part=PART, sectors=st.integers(1, 400))
def test_every_hole_is_found(recorded: bytes, which: int, part: int, sectors: int) -> None:
    begin, end = list(fragments(recorded))[which]
    media = begin + int.from_bytes(recorded[begin : begin + 4], "big") + 8
    first = media + part * (end - SMALLEST - media) // 1_000_000
    last = (first // SECTOR + sectors) * SECTOR
    last = min(last if last - first >= SMALLEST else last + SECTOR, len(recorded))
    assert hole_in(recorded[:first] + bytes(last - first) + recorded[last:]) == begin


@given(which=st.integers(0, 3), part=PART, beyond=PART)
def test_an_end_of_zeros_is_no_footage(recorded: bytes, which: int, part: int, beyond: int) -> None:
    """The length of the file came to the disk, its last bytes did not."""
    begin, end = list(fragments(recorded))[which]
    first = begin + 8 + part * (end - begin - 8) // 1_000_000
    until = end + beyond * (len(recorded) - end) // 1_000_000
    holed = recorded[:first] + bytes(until - first)
    kept = walk(lambda offset, size: holed[offset : offset + size], len(holed)).keep_bytes
    found = hole_in(holed)
    assert (kept if found is None else found) == begin or not kept


def test_what_may_not_be_synced_is_walked_to_its_hole(tmp_path: Path, recorded: bytes) -> None:
    *_, (before, _), (begin, end) = fragments(recorded)
    path = tmp_path / "a.mp4"
    path.write_bytes(recorded[: end - 5000] + bytes(5000))
    assert walk_file(path).keep_bytes == end
    doubtful = walk_file(path, synced=False)
    assert doubtful.keep_bytes == begin
    assert doubtful.frames == walk_file(path).frames - 25
    assert before < begin
