"""Every message comes out of its payload as it went in, and PROTOCOL.md says how long each one is."""

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import messages as say
from firmware_bridge.frame import MAX_PAYLOAD_BYTES, BadFrame, Frame, Kind

u8, u16, u32 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
states = st.sampled_from(say.LineState)
inputs = st.integers(0, say.MAX_INPUTS - 1)

from_board = st.one_of(
    st.builds(
        say.Hello, protocol=u8, firmware=st.tuples(u8, u8, u8), uid=st.binary(min_size=8, max_size=8), boot_id=u32,
        reset_cause=u8, inputs=st.integers(0, say.MAX_INPUTS), config_crc=u16, t_ms=u32,
    ),
    st.builds(
        say.Event, boot_id=u32, event_id=u32, t_ms=u32, input_no=inputs, previous=states, state=states, adc=u16,
        count=u16, from_latch=st.booleans(), lost_before=st.booleans(),
    ),
    st.builds(
        say.StateOfInputs, boot_id=u32, t_ms=u32, last_event_id=u32, lost_events=st.booleans(),
        states=st.lists(states, max_size=say.MAX_INPUTS).map(tuple),
    ),
    st.builds(say.BoardHeartbeat, u32, u16, u16, u8, u16, u16, u16, u16, u16),
    st.builds(say.Ack, st.lists(st.tuples(u32, u32), max_size=say.MAX_ACKED_KEYS).map(tuple)),
    st.builds(say.Nak, u8),
    st.builds(say.SyncReply, u32, u32),
    st.builds(say.Error, u8, u8),
)  # fmt: skip
from_host = st.one_of(
    st.just(say.HostHeartbeat()),
    st.builds(say.Ack, st.lists(st.tuples(u32, u32), max_size=say.MAX_ACKED_KEYS).map(tuple)),
    st.builds(say.Nak, u8),
    st.builds(say.Reset, u8),
    st.builds(say.Config, u8, u8, u8, u16, u16, u16, u16, u16, u16, u16),
    st.builds(say.Get, u8),
    st.builds(say.Output, st.booleans(), st.booleans()),
    st.builds(say.Sync, u32),
    st.builds(say.Test, st.booleans(), st.booleans(), u8),
)


def _frame(message: say.FromBoard | say.FromHost) -> Frame:
    return Frame(message.KIND, 1, 0, 0, message.to_payload())


@given(from_board)
def test_board_messages_round_trip(message: say.FromBoard) -> None:
    frame = Frame.from_bytes(_frame(message).to_bytes()[:-1])
    assert say.from_board(frame) == message


@given(from_host)
def test_host_messages_round_trip(message: say.FromHost) -> None:
    frame = Frame.from_bytes(_frame(message).to_bytes()[:-1])
    assert say.from_host(frame) == message


@given(st.sampled_from(Kind), st.binary(max_size=MAX_PAYLOAD_BYTES))
def test_any_payload_is_a_message_or_a_bad_frame(kind: Kind, payload: bytes) -> None:
    for read in (say.from_board, say.from_host):
        with contextlib.suppress(BadFrame):
            read(Frame(kind, 1, 0, 0, payload))


def test_a_message_in_the_wrong_direction_is_refused() -> None:
    with pytest.raises(BadFrame, match="for the board"):
        say.from_board(_frame(say.Reset(1)))
    with pytest.raises(BadFrame, match="for the host"):
        say.from_host(_frame(say.Error(1, 1)))


def test_a_newer_peer_may_say_more() -> None:
    longer = say.SyncReply(1, 2).to_payload() + b"news"
    assert say.from_board(Frame(Kind.SYNC_REPLY, 1, 0, 0, longer)) == say.SyncReply(1, 2)


LENGTHS = {
    "HELLO": say.Hello._LAYOUT.size,
    "EVENT": say.Event._LAYOUT.size,
    "SNAPSHOT": say.StateOfInputs._LAYOUT.size,
    "HEARTBEAT": say.BoardHeartbeat._LAYOUT.size,
    "ACK": say.Ack._LAYOUT.size,
    "NAK": say.Nak._LAYOUT.size,
    "RESET": say.Reset._LAYOUT.size,
    "CONFIG": say.Config._LAYOUT.size,
    "GET": say.Get._LAYOUT.size,
    "OUTPUT": say.Output._LAYOUT.size,
    "SYNC": say.Sync._LAYOUT.size,
    "SYNC_REPLY": say.SyncReply._LAYOUT.size,
    "ERROR": say.Error._LAYOUT.size,
    "TEST": say.Test._LAYOUT.size,
}


def test_the_protocol_document_has_every_message_with_its_length() -> None:
    text = (Path(say.__file__).parent / "PROTOCOL.md").read_text(encoding="utf-8")
    for kind in Kind:
        section = re.search(rf"^### {kind.name} = {kind.value}\b.*?(?=^#|\Z)", text, re.M | re.S)
        assert section, f"PROTOCOL.md has no section for {kind.name} = {kind.value}"
        rows = re.findall(r"^\| (\d+) \| (\d+) \|", section.group(), re.M)
        assert rows, kind.name
        end = 0
        for offset, width in rows:
            assert int(offset) == end, f"{kind.name}: a hole before offset {offset}"
            end = int(offset) + int(width)
        assert end == LENGTHS[kind.name], f"{kind.name}: {end} bytes in PROTOCOL.md, {LENGTHS[kind.name]} in code"


@pytest.mark.parametrize("values", [say.LineState, say.ResetCause, say.ResetReason, say.InputKind, say.InputMode])
def test_the_protocol_document_has_every_value(values: type) -> None:
    text = (Path(say.__file__).parent / "PROTOCOL.md").read_text(encoding="utf-8")
    for value in values:  # type: ignore[attr-defined]
        assert f"{value.value} {value.name.lower()}" in text, value
