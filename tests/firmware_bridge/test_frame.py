"""The codec: what goes in comes out, and noise is never taken for a frame."""

import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.frame import (
    MAX_FRAME_BYTES,
    MAX_PAYLOAD_BYTES,
    BadFrame,
    Deframer,
    Frame,
    Kind,
    cobs_decode,
    cobs_encode,
    crc16,
)

octets = st.integers(0, 255)
frames = st.builds(
    Frame,
    kind=st.sampled_from(Kind),
    session=st.integers(0, 15),
    tx_seq=octets,
    ack_seq=octets,
    payload=st.binary(max_size=MAX_PAYLOAD_BYTES),
    numbered=st.booleans(),
    repeated=st.booleans(),
)


def test_crc_is_ccitt_false() -> None:
    assert crc16(b"123456789") == 0x29B1
    assert crc16(b"") == 0xFFFF


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        (b"", "01"),
        (b"\x00", "0101"),
        (b"\x00\x00", "010101"),
        (b"\x11\x22\x00\x33", "0311220233"),
        (b"\x11\x22\x33\x44", "0511223344"),
        (b"\x11\x00\x00\x00", "0211010101"),
    ],
)
def test_cobs_of_the_published_examples(data: bytes, encoded: str) -> None:
    assert cobs_encode(data).hex() == encoded
    assert cobs_decode(bytes.fromhex(encoded)) == data


@given(st.binary(max_size=600))
def test_cobs_round_trip(data: bytes) -> None:
    encoded = cobs_encode(data)
    assert 0 not in encoded
    assert cobs_decode(encoded) == data


@given(frames)
def test_frame_round_trip(frame: Frame) -> None:
    on_wire = frame.to_bytes()
    assert len(on_wire) <= MAX_FRAME_BYTES
    assert on_wire.endswith(b"\x00")
    assert 0 not in on_wire[:-1]
    assert Frame.from_bytes(on_wire[:-1]) == frame


def test_a_known_frame_byte_by_byte() -> None:
    """The example of PROTOCOL.md: RESET of session 5, the first frame a host sends."""
    on_wire = Frame(Kind.RESET, 5, 0, 0, b"\x01").to_bytes()
    assert on_wire.hex() == KNOWN_RESET
    assert Frame.from_bytes(on_wire[:-1]) == Frame(Kind.RESET, 5, 0, 0, b"\x01")


KNOWN_RESET = "031750010401179800"


def test_a_payload_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="57 bytes"):
        Frame(Kind.EVENT, 1, 0, 0, bytes(MAX_PAYLOAD_BYTES + 1)).to_bytes()


@given(st.lists(frames, max_size=8), st.lists(st.integers(1, 40), max_size=60))
def test_frames_are_found_however_they_are_cut(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(frame.to_bytes() for frame in sent)
    deframer, found = Deframer(), []
    for size in cuts:
        found += deframer.feed(stream[:size])
        stream = stream[size:]
    found += deframer.feed(stream)
    assert found == sent
    assert (deframer.frames, deframer.bad_frames, deframer.garbage_bytes) == (len(sent), 0, 0)


@given(st.binary(max_size=400))
def test_nothing_raises_on_garbage(noise: bytes) -> None:
    deframer = Deframer()
    deframer.feed(noise)
    assert len(deframer._held) < MAX_FRAME_BYTES
    deframer.feed(b"\x00")
    frame = Frame(Kind.HEARTBEAT, 3, 1, 2, b"x")
    assert deframer.feed(frame.to_bytes()) == [frame], "a frame after a delimiter is heard whatever came before"


@given(st.binary(max_size=100))
def test_from_bytes_raises_bad_frame_only(noise: bytes) -> None:
    with contextlib.suppress(BadFrame):
        Frame.from_bytes(noise)


@given(st.binary(min_size=1, max_size=300).filter(lambda noise: b"\x00" not in noise), frames)
def test_noise_costs_no_more_than_the_frame_it_runs_into(noise: bytes, frame: Frame) -> None:
    deframer = Deframer()
    found = deframer.feed(noise + frame.to_bytes() + frame.to_bytes())
    assert found[-1:] == [frame]
    assert deframer.bad_frames <= 1


def test_no_single_flipped_bit_is_accepted() -> None:
    """Every single-bit error in 200 frames of all kinds and sizes: found, or it leaves nothing at all."""
    chance = random.Random(7)
    tried = 0
    for number in range(200):
        kind = list(Kind)[number % len(Kind)]
        payload = chance.randbytes(number % (MAX_PAYLOAD_BYTES + 1))
        good = Frame(kind, number % 16, number, 255 - number, payload, bool(number & 1)).to_bytes()
        for at in range(len(good[:-1]) * 8):
            bad = bytearray(good)
            bad[at // 8] ^= 1 << at % 8
            assert Deframer().feed(bytes(bad) + b"\x00") == []
            tried += 1
    assert tried > 50_000


@given(frames)
def test_a_flipped_delimiter_does_not_change_what_is_said(frame: Frame) -> None:
    """0x00 turned into 0x01 before another delimiter appends a zero, which a CRC without final XOR cannot see.

    PROTOCOL.md, 1: the frame is then one byte longer at its end, which every message ignores or refuses.
    """
    for found in Deframer().feed(frame.to_bytes()[:-1] + b"\x01\x00"):
        assert (found.kind, found.session, found.tx_seq, found.ack_seq) == (
            frame.kind, frame.session, frame.tx_seq, frame.ack_seq,
        )  # fmt: skip
        assert found.payload[:-1] == frame.payload


@settings(max_examples=300, derandomize=True)
@given(frames, st.data())
def test_spoilt_frames_are_not_accepted(frame: Frame, data: st.DataObject) -> None:
    """Bursts, lost and invented bytes. One in 65536 of such may pass a 16-bit CRC; none of these does."""
    good = frame.to_bytes()
    at = data.draw(st.integers(0, len(good) - 2))
    until = data.draw(st.integers(at, len(good) - 1))
    bad = good[:at] + data.draw(st.binary(max_size=8)) + good[until:]
    for found in Deframer().feed(bad):
        assert found == frame


def test_unknown_versions_and_types_are_dropped_and_counted() -> None:
    for first in (0x21, 0x10, 0x1F):
        body = bytes((first, 0, 0, 0))
        deframer = Deframer()
        assert deframer.feed(cobs_encode(body + crc16(body).to_bytes(2, "big")) + b"\x00") == []
        assert deframer.bad_frames == 1
