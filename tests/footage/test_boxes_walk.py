"""The walk over what a recorder left, cut anywhere."""

import io
import itertools
import json
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.footage.mp4.boxes_walk import MAX_BOXES, Walked, walk
from tests.fakes.camera import make_clip

SAID = {"camera": "c", "seq": 7}
KINDS = [
    b"ftyp",
    b"moov",
    b"trak",
    b"mdhd",
    b"trex",
    b"moof",
    b"mfhd",
    b"traf",
    b"tfhd",
    b"tfdt",
    b"trun",
    b"mdat",
    b"mfra",
]


class Film(bytes):
    """A file that does not fill the screen when a test fails."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


def walk_bytes(data: bytes) -> Walked:
    """Walk, and count what was fetched for it: however damaged, the work is bounded."""
    fetched = calls = 0

    def fetch(offset: int, size: int) -> bytes:
        nonlocal fetched, calls
        found = data[offset : offset + size]
        calls, fetched = calls + 1, fetched + len(found)
        return found

    walked = walk(fetch, len(data))
    assert fetched <= 4 * len(data) + (1 << 24)
    assert calls <= 8 * MAX_BOXES
    assert_sense(walked, len(data))
    return walked


def assert_sense(walked: Walked, size: int) -> None:
    """What a walk may say of any bytes."""
    assert 0 <= walked.keep_bytes <= size
    assert bool(walked.keep_bytes) == bool(walked.fragments)
    assert 0 <= walked.length_ns() <= 61 * 10**9 * max(2 * walked.fragments, 1)
    at = walked.keep_bytes
    for piece in walked.later:
        assert at <= piece.offset < piece.end <= size
        assert 0 <= piece.from_ticks <= piece.to_ticks
        assert piece.fragments > 0
        at = piece.end


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
    return Film(held.getvalue())


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


def boxes_of(data: bytes) -> list[tuple[str, int, int]]:
    """Kind, offset and size of every box at the top of a whole file."""
    found, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        found.append((kind.decode("latin-1"), at, size))
        at += size
    return found


def test_a_file_that_was_closed_ends_with_its_index(recorded: bytes) -> None:
    assert walk_bytes(recorded).finished
    kind, at, _ = boxes_of(recorded)[-1]
    assert kind == "mfra"
    cut = walk_bytes(recorded[:at])
    assert (cut.keep_bytes, cut.finished) == (at, False)


def test_what_plays_after_a_damaged_place_is_found(recorded: bytes) -> None:
    moofs = [each for each in boxes_of(recorded) if each[0] == "moof"]
    for number, (_, at, size) in enumerate(moofs):
        damaged = recorded[:at] + bytes(size) + recorded[at + size :]
        walked = walk_bytes(damaged)
        assert not walked.finished
        assert walked.fragments == number
        assert sum(piece.fragments for piece in walked.later) == 3 - number
        if number < 3:
            later = walked.later[0]
            assert later.offset == moofs[number + 1][1]
            assert walked.ns(later.from_ticks) == (number + 1) * 10**9
            assert walked.ns(later.to_ticks) == 4 * 10**9
            assert frames_of(damaged[: walked.head_bytes] + damaged[later.offset : later.end]) == later.frames


def test_an_mdat_that_is_said_to_be_huge_hides_nothing(recorded: bytes) -> None:
    _, at, _ = [each for each in boxes_of(recorded) if each[0] == "mdat"][1]
    for said in (0, 1, 7, 9, 0x7FFFFFFF, 0xFFFFFFFF):
        walked = walk_bytes(recorded[:at] + struct.pack(">I", said) + recorded[at + 4 :])
        assert walked.fragments == 1
        assert [piece.fragments for piece in walked.later] == [2]


def test_fragments_without_their_head_are_told(recorded: bytes) -> None:
    at = recorded.index(b"moov")
    walked = walk_bytes(recorded[:at] + b"\0\0\0\0" + recorded[at + 4 :])
    assert walked.headless
    assert (walked.keep_bytes, walked.fragments, walked.later) == (0, 0, ())
    assert not walk_bytes(bytes(5000)).headless


def test_a_time_that_was_damaged_makes_no_footage_of_hours(recorded: bytes) -> None:
    place = recorded.rindex(b"tfdt") + 8
    walked = walk_bytes(recorded[:place] + b"\x40" + recorded[place + 1 :])
    assert walked.length_ns() <= 4 * 10**9


def test_sound_beside_the_picture_changes_nothing(recorded: bytes) -> None:
    for sound_first in (False, True):
        walked = walk_bytes(_with_sound(recorded, sound_first))
        assert walked.frames == 40
        assert abs(walked.length_ns() - 4 * 10**9) < 10**8
        assert walked.finished


def _with_sound(recorded: bytes, sound_first: bool) -> bytes:
    """The same pictures with a track of AAC, before or after that of the picture."""
    held = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "1000000"}
    with av.open(io.BytesIO(recorded), "r") as source, av.open(held, "w", format="mp4", options=options) as target:
        sound = target.add_stream("aac", rate=16000) if sound_first else None
        picture = target.add_stream_from_template(source.streams.video[0])
        sound = sound or target.add_stream("aac", rate=16000)
        spoken = AudioFrame.from_ndarray(np.zeros((1, 64000), np.float32), format="fltp", layout="mono")
        spoken.sample_rate, spoken.pts, spoken.time_base = 16000, 0, Fraction(1, 16000)
        packets = [each for each in source.demux(source.streams.video[0]) if each.dts is not None]
        for packet in packets:
            packet.stream = picture
        both = [*packets, *sound.encode(spoken), *sound.encode(None)]
        for packet in sorted(both, key=lambda each: float((each.dts or 0) * each.time_base)):
            target.mux(packet)
    return held.getvalue()


def test_many_boxes_that_look_like_fragments_are_not_walked_for_ever(recorded: bytes) -> None:
    moov_end = walk_bytes(recorded).head_bytes
    moof = struct.pack(">I4sI4sI", 1 << 19, b"moof", 16, b"mfhd", 0)
    walk_bytes(recorded[:moov_end] + moof * 50_000)
    walk_bytes(recorded[:moov_end] + b"moof" * 300_000)
    walk_bytes(struct.pack(">I4s", 8, b"free") * (MAX_BOXES + 1000))


@given(st.binary(max_size=400))
def test_any_bytes_are_walked_without_an_error(data: bytes) -> None:
    walk_bytes(data)


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=60), st.integers(-9, 9)), max_size=12))
def test_any_boxes_are_walked_without_an_error(recorded: bytes, boxes: list[tuple[bytes, bytes, int]]) -> None:
    """After a real head: so that what follows is looked at."""
    data = recorded[: walk_bytes(recorded).head_bytes]
    for kind, body, off in boxes:
        data += struct.pack(">I4s", max(0, len(body) + 8 + off), kind) + body
    walk_bytes(data)


DAMAGE = st.one_of(
    st.tuples(st.just("flip"), st.integers(0, 10**6), st.integers(0, 7)),
    st.tuples(st.just("set"), st.integers(0, 10**6), st.integers(0, 255)),
    st.tuples(st.just("size"), st.integers(0, 10**6), st.sampled_from([0, 1, 7, 8, 15, 16, 0x7FFFFFFF, 0xFFFFFFFF])),
    st.tuples(st.just("zero"), st.integers(0, 10**6), st.integers(1, 8192)),
    st.tuples(st.just("drop"), st.integers(0, 10**6), st.integers(1, 8192)),
    st.tuples(st.just("twice"), st.integers(0, 10**6), st.integers(1, 8192)),
    st.tuples(st.just("end"), st.integers(0, 10**6), st.just(0)),
)


def damaged(data: bytes, damage: list[tuple[str, int, int]]) -> bytes:
    """A file after all that can happen to one: bits and bytes changed, box sizes, blocks lost, doubled, cut."""
    for kind, where, value in damage:
        if not data:
            break
        at = where % len(data)
        if kind == "flip":
            data = data[:at] + bytes([data[at] ^ 1 << value]) + data[at + 1 :]
        elif kind == "set":
            data = data[:at] + bytes([value]) + data[at + 1 :]
        elif kind == "size":
            names = [place for name in KINDS if (place := data.find(name, at)) >= 4]
            at = min(names, default=4) - 4
            data = data[:at] + struct.pack(">I", value) + data[at + 4 :]
        elif kind == "zero":
            data = data[:at] + bytes(len(data[at : at + value])) + data[at + value :]
        elif kind == "drop":
            data = data[:at] + data[at + value :]
        elif kind == "twice":
            data = data[: at + value] + data[at:]
        else:
            data = data[:at]
    return data


@settings(max_examples=400)
@given(st.lists(DAMAGE, min_size=1, max_size=6))
def test_any_damage_is_walked_without_an_error(recorded: bytes, damage: list[tuple[str, int, int]]) -> None:
    walk_bytes(damaged(recorded, damage))


@settings(max_examples=100)
@given(at=st.integers(0, 10**6), size=st.integers(1, 4096))
def test_a_lost_block_costs_no_fragment_but_its_own(recorded: bytes, at: int, size: int) -> None:
    """Of the fragments that the block does not touch, every one is told as playable."""
    head = walk_bytes(recorded).head_bytes
    at = head + at % (len(recorded) - head)
    end = min(at + size, len(recorded))
    walked = walk_bytes(recorded[:at] + bytes(end - at) + recorded[end:])
    told = [(0, walked.keep_bytes), *((piece.offset, piece.end) for piece in walked.later)]
    boxes = boxes_of(recorded)
    for (kind, begin, _), (_, middle, length) in itertools.pairwise(boxes):
        if kind == "moof" and (middle + length <= at or begin >= end):
            assert any(low <= begin and middle + length <= high for low, high in told)
