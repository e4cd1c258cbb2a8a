"""The sockets between processes, with real sockets, real peers and garbage."""

import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import SystemClock
from agent.facts import Condition, ConditionKind, Fact, Pulse, Stamp, Text, decode
from agent.wire import (
    MAX_FRAME_BYTES,
    FactSender,
    Frames,
    Peer,
    Refused,
    Reply,
    Request,
    Server,
    WireError,
    call,
    to_frame,
)
from tests.fakes.waiting import until

AT = Stamp(1, 2)


def refuse(_request: Request, reply: Reply) -> None:
    reply.refuse("not_now", Text("现在不行", "not now"))


def echo(request: Request, reply: Reply) -> None:
    reply.done({"args": request.args, "uid": request.peer.uid, "pid": request.peer.pid})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "run" / "test.sock", {"echo": echo, "refuse": refuse})
    server.start()
    yield server
    server.stop()


def test_a_question_is_answered_and_the_peer_is_known(server: Server) -> None:
    answer = call(server.path, "echo", {"一": [1, 2]})
    assert answer == {"args": {"一": [1, 2]}, "uid": os.getuid(), "pid": os.getpid()}


def test_a_refusal_carries_its_code_and_both_languages(server: Server) -> None:
    with pytest.raises(Refused) as caught:
        call(server.path, "refuse")
    assert caught.value.code == "not_now"
    assert caught.value.text == Text("现在不行", "not now")


def test_an_unknown_verb_is_refused(server: Server) -> None:
    with pytest.raises(Refused, match="unknown_verb"):
        call(server.path, "shutdown")


def test_a_peer_without_the_right_is_refused(tmp_path: Path) -> None:
    def only_echo(_peer: Peer, verb: str) -> bool:
        return verb == "echo"

    server = Server(tmp_path / "t.sock", {"echo": echo, "refuse": echo}, allow=only_echo)
    server.start()
    try:
        assert call(server.path, "echo")["args"] == {}
        with pytest.raises(Refused, match="forbidden"):
            call(server.path, "refuse")
    finally:
        server.stop()


def test_nobody_there_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(WireError, match=r"nobody\.sock"):
        call(tmp_path / "nobody.sock", "status")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xff\xff\xff",
        struct.pack(">I", 4) + b"abcd",
        struct.pack(">I", 2) + b"[]",
        to_frame({"v": "1.0"}),
        to_frame({"v": "2.0", "id": 1, "verb": "echo"}),
        to_frame({"v": "1.0", "id": "1", "verb": "echo"}),
        struct.pack(">I", 40000) + b"[" * 40000,
    ],
)
def test_garbage_ends_the_connection_and_not_the_server(server: Server, garbage: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as rude:
        rude.settimeout(5)
        rude.connect(str(server.path))
        rude.sendall(garbage)
        assert rude.recv(100) == b""
    assert call(server.path, "echo")["args"] == {}


def test_a_message_too_long_is_not_sent() -> None:
    with pytest.raises(WireError, match="longer than"):
        to_frame({"v": "1.0", "x": "a" * MAX_FRAME_BYTES})


messages = st.lists(st.dictionaries(st.text(max_size=5), st.integers(), max_size=3), max_size=5)


@given(messages, st.integers(1, 7))
def test_frames_come_out_whole_however_they_are_cut(bodies: list[dict[str, Any]], cut: int) -> None:
    sent = [{**body, "v": "1.0"} for body in bodies]
    stream = b"".join(to_frame(each) for each in sent)
    frames, got = Frames(), []
    for start in range(0, len(stream), cut):
        got += frames.feed(stream[start : start + cut])
    assert got == sent


class Desk:
    """Takes facts as the alarm process does: replies after it has kept them."""

    def __init__(self, path: Path) -> None:
        self.kept: dict[tuple[str, str, int], Fact] = {}
        self.told: list[int] = []
        self.silent = threading.Event()
        self.server = Server(path, {"fact": self._fact})
        self.server.start()

    def _fact(self, request: Request, reply: Reply) -> None:
        args = request.args
        self.told.append(args["n"])
        if self.silent.is_set():
            return
        self.kept[(args["process"], args["boot"], args["n"])] = decode(args["fact"])
        reply.done()


def condition(number: int) -> Condition:
    return Condition(ConditionKind.CAMERA_SILENT, f"camera/C{number}", True, AT, AT)


def test_facts_wait_for_the_desk_and_survive_its_restart(tmp_path: Path) -> None:
    path = tmp_path / "alarm.sock"
    sender = FactSender(path, "record", "b1", SystemClock())
    sender.start()
    sender.send(condition(1))
    desk = Desk(path)
    until(lambda: len(desk.kept) == 1, 5, "the fact sent before the desk was there")
    desk.server.stop()
    sender.send(condition(2))
    sender.send(condition(3))
    again = Desk(path)
    until(lambda: len(again.kept) == 2, 5, "the facts sent while the desk was away")
    until(lambda: sender.waiting() == 0, 5, "every fact acknowledged")
    assert [fact.subject for fact in again.kept.values() if isinstance(fact, Condition)] == ["camera/C2", "camera/C3"]
    sender.stop()
    again.server.stop()


def test_a_fact_is_sent_again_until_it_is_acknowledged(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "alarm.sock")
    desk.silent.set()
    sender = FactSender(desk.server.path, "record", "b1", SystemClock())
    sender.start()
    sender.send(condition(1))
    until(lambda: desk.told, 5, "the fact arrived")
    assert sender.waiting() == 1
    desk.silent.clear()
    until(lambda: sender.waiting() == 0, 12, "the fact was sent again and acknowledged")
    assert list(desk.kept) == [("record", "b1", 1)]
    assert set(desk.told) == {1}
    sender.stop()
    desk.server.stop()


def test_telemetry_gives_way_and_alerts_do_not(tmp_path: Path) -> None:
    sender = FactSender(tmp_path / "alarm.sock", "vision", "b1", SystemClock(), telemetry_places=2)
    for number in range(5):
        sender.send(Pulse(f"p{number}", AT))
        sender.send(condition(number))
    assert sender.waiting() == 2 + 5
    desk = Desk(tmp_path / "alarm.sock")
    sender.start()
    until(lambda: sender.waiting() == 0, 5, "everything acknowledged")
    pulses = sorted(fact.process for fact in desk.kept.values() if isinstance(fact, Pulse))
    assert pulses == ["p3", "p4"]
    assert sum(isinstance(fact, Condition) for fact in desk.kept.values()) == 5
    sender.stop()
    desk.server.stop()


def test_a_refused_fact_does_not_hold_up_the_next(tmp_path: Path) -> None:
    seen: list[str] = []

    def fact(request: Request, reply: Reply) -> None:
        seen.append(json.dumps(request.args["fact"]))
        if request.args["n"] == 1:
            reply.refuse("bad_fact", Text("不认识", "unknown"))
        else:
            reply.done()

    server = Server(tmp_path / "alarm.sock", {"fact": fact})
    server.start()
    sender = FactSender(server.path, "record", "b1", SystemClock())
    sender.send(condition(1))
    sender.send(condition(2))
    sender.start()
    until(lambda: sender.waiting() == 0, 5, "both facts are done with")
    assert len(seen) == 2
    sender.stop()
    server.stop()
