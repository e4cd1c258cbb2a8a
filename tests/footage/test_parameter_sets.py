from hypothesis import given
from hypothesis import strategies as st

from agent.footage.mp4.parameter_sets import parameter_sets

SLICE = b"\x00\x00\x01\x65\x88\x84"


def test_sets_before_the_first_slice_are_found_whatever_their_start_codes() -> None:
    long, short = b"\x00\x00\x00\x01", b"\x00\x00\x01"
    told = long + b"\x09\xf0" + long + b"\x67\x42\x00\x1f" + short + b"\x68\xce" + SLICE + long + b"\x67\x99"
    assert parameter_sets("h264", told) == long + b"\x67\x42\x00\x1f" + long + b"\x68\xce"
    assert parameter_sets("h264", SLICE) == b""


def test_those_of_h265() -> None:
    start = b"\x00\x00\x00\x01"
    sets = start + b"\x40\x01\x0c" + start + b"\x42\x01\x01" + start + b"\x44\x01\xc0"
    assert parameter_sets("hevc", sets + start + b"\x26\x01\xaf") == sets


@given(st.binary(max_size=200), st.sampled_from(["h264", "hevc"]))
def test_garbage_is_nothing_or_something_and_never_an_error(data: bytes, codec: str) -> None:
    assert isinstance(parameter_sets(codec, data), bytes)
