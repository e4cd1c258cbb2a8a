"""The walk over what a recorder left, cut anywhere."""

import io
import json

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.footage.boxes_walk import Walked, walk
from tests.fakes.camera import make_clip

SAID = {"camera": "c", "seq": 7}


def walk_bytes(data: bytes) -> Walked:
    return walk(lambda offset, size: data[offset : offset + size], len(data))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A fragmented file as the recorder writes it: 4 s, one fragment a second."""
    clip = tmp_path_factory.mktemp("clip") / "a.mp4"
    make_clip(clip)
    held = io.BytesIO()
    with (
        av.open(clip) as source,
        av.open(
            held,
            "w",
            format="mp4",
            options={"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "1000000"},
        ) as target,
    ):
        target.metadata["comment"] = json.dumps(SAID)
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return held.getvalue()


def frames_of(data: bytes) -> int:
    with av.open(io.BytesIO(data), "r") as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_whole_file(recorded: bytes) -> None:
    walked = walk_bytes(recorded)
    assert walked.keep_bytes == len(recorded)
    assert (walked.fragments, walked.frames) == (4, 40)
    assert walked.length_ns() == 4_000_000_000
    assert walked.description == SAID


def test_wherever_it_is_cut_what_is_kept_plays(recorded: bytes) -> None:
    seen = set()
    for end in range(0, len(recorded), 97):
        walked = walk_bytes(recorded[:end])
        assert walked.keep_bytes <= end
        if walked.keep_bytes not in seen and walked.keep_bytes:
            seen.add(walked.keep_bytes)
            assert frames_of(recorded[: walked.keep_bytes]) == walked.frames
    assert len(seen) == 4


def test_zeros_after_the_end_are_no_boxes(recorded: bytes) -> None:
    whole = walk_bytes(recorded)
    cut = recorded[: len(recorded) - 300]
    walked = walk_bytes(cut + bytes(5000))
    assert 0 < walked.keep_bytes < whole.keep_bytes


def test_nothing_plays() -> None:
    for data in (b"", b"\0" * 64, b"no film at all, only text", b"\0\0\0\x08ftyp"):
        assert walk_bytes(data).keep_bytes == 0


@given(st.binary(max_size=400))
def test_any_bytes_are_walked_without_an_error(data: bytes) -> None:
    assert walk_bytes(data).keep_bytes <= len(data)


@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_any_changed_byte_is_walked_without_an_error(recorded: bytes, place: int, value: int) -> None:
    data = bytearray(recorded)
    data[place % len(data)] = value
    assert walk_bytes(bytes(data)).keep_bytes <= len(data)
