"""The sockets between processes, with real sockets, real peers and garbage."""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import SystemClock
from agent.facts import Condition, ConditionKind, Fact, Pulse, Stamp, Text, decode
from agent.wire import (
    MAX_FRAME_BYTES,
    MOST_CONNECTIONS,
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
    # Only an acknowledged fact is forgotten: a desk that stops before its reply is out hears it again.
    until(lambda: sender.waiting() == 0, 5, "the first fact acknowledged")
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


class Kept:
    """A server whose replies are given later, by the thread of the test."""

    def __init__(self, path: Path) -> None:
        self.replies: list[Reply] = []
        self.server = Server(path, {"keep": lambda _request, reply: self.replies.append(reply), "echo": echo})
        self.server.start()

    def asked_by(self, connection: socket.socket, times: int) -> None:
        connection.connect(str(self.server.path))
        for number in range(times):
            connection.sendall(to_frame({"v": "1.0", "id": number, "verb": "keep"}))
        until(lambda: len(self.replies) == times, 5, "the requests are there")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path / "kept.sock")
    yield kept
    kept.server.stop()


def test_a_peer_that_reads_no_replies_blocks_nobody_and_is_dropped(kept: Kept) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        kept.asked_by(deaf, 40)

        def reply_to_all() -> None:
            for reply in kept.replies:
                reply.done({"x": "a" * 60_000})

        sender = threading.Thread(target=reply_to_all, daemon=True)
        sender.start()
        sender.join(5)
        assert not sender.is_alive(), "a reply waited for its reader"
        until(lambda: call(kept.server.path, "echo"), 5, "others are answered")
        deaf.settimeout(5)
        while deaf.recv(1 << 20):
            pass  # ends: the connection was dropped


def test_the_longest_reply_and_the_replies_to_a_batch_of_facts_fit(kept: Kept) -> None:
    with socket.socket(socket.AF_UNIX) as busy:
        kept.asked_by(busy, 65)
        kept.replies[0].done({"x": "a" * (MAX_FRAME_BYTES - 60)})
        for reply in kept.replies[1:]:
            reply.done()
        busy.settimeout(5)
        frames, got = Frames(), 0
        while got < 65:
            got += len(frames.feed(busy.recv(1 << 20)))


def test_a_reply_that_no_frame_holds_is_told(kept: Kept) -> None:
    with socket.socket(socket.AF_UNIX) as asker:
        kept.asked_by(asker, 1)
        kept.replies[0].done({"x": "a" * MAX_FRAME_BYTES})
        asker.settimeout(5)
        (answer,) = Frames().feed(asker.recv(4096))
        assert answer["error"]["code"] == "too_long"


def test_text_that_is_no_unicode_is_answered(server: Server) -> None:
    broken = b'{"v":"1.0","id":1,"verb":"\\ud800"}'
    with socket.socket(socket.AF_UNIX) as rude:
        rude.settimeout(5)
        rude.connect(str(server.path))
        rude.sendall(struct.pack(">I", len(broken)) + broken)
        (answer,) = Frames().feed(rude.recv(4096))
    assert answer["error"]["code"] == "unknown_verb"


def test_a_verb_that_fails_is_told_and_its_connection_lives(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_request: Request, _reply: Reply) -> None:
        raise LookupError("nothing there")

    server = Server(tmp_path / "t.sock", {"fail": fail, "echo": echo})
    server.start()
    for _ in range(5):
        with pytest.raises(Refused, match="nothing there"):
            call(server.path, "fail")
    assert call(server.path, "echo")
    server.stop()
    assert caplog.text.count("Traceback") == 1, "the same fault is logged once a minute"


def test_too_many_connections_are_turned_away_and_the_rest_is_served(server: Server) -> None:
    many = [socket.socket(socket.AF_UNIX) for _ in range(MOST_CONNECTIONS)]
    for each in many:
        each.settimeout(5)
        each.connect(str(server.path))
        each.sendall(to_frame({"v": "1.0", "id": 1, "verb": "echo"}))
        assert each.recv(4096)
    with pytest.raises(WireError):
        call(server.path, "echo")
    many[0].sendall(to_frame({"v": "1.0", "id": 2, "verb": "echo"}))
    assert many[0].recv(4096)
    for each in many:
        each.close()
    until(lambda: _answers(server), 5, "places are free again")


def _answers(server: Server) -> bool:
    try:
        return bool(call(server.path, "echo"))
    except WireError:
        return False


_OUT_OF_FILES = """
import resource, socket, sys
from pathlib import Path
from agent.health import notify
from agent.wire import Server, call
server = Server(Path(sys.argv[1]), {"echo": lambda _request, reply: reply.done()})
server.start()
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
held = []
try:
    while True:
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].connect(str(server.path))
except OSError:
    notify("WATCHDOG=1")  # called by the loop of the desk: must not raise
for each in held:
    each.close()
call(server.path, "echo", timeout_s=10)
server.stop()
"""


def test_a_server_without_file_descriptors_hears_again_when_some_are_free(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _OUT_OF_FILES, str(tmp_path / "t.sock")]
    done = subprocess.run(
        command, timeout=60, capture_output=True, text=True, env={**os.environ, "NOTIFY_SOCKET": "/nowhere"}
    )
    assert done.returncode == 0, done.stderr


def test_a_fact_that_cannot_be_sent_does_not_end_the_sender(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "alarm.sock")
    sender = FactSender(desk.server.path, "record", "b1", SystemClock())
    sender.send(replace(condition(1), detail={"path": "/footage/\udcff.mp4"}))
    sender.send(replace(condition(2), detail={"text": "a" * MAX_FRAME_BYTES}))
    sender.send(condition(3))
    sender.start()
    until(lambda: sender.waiting() == 0, 5, "everything is sent or given up")
    kept = sorted(desk.kept.values(), key=lambda fact: fact.subject if isinstance(fact, Condition) else "")
    assert [fact.subject for fact in kept if isinstance(fact, Condition)] == ["camera/C1", "camera/C3"]
    assert isinstance(kept[0], Condition)
    assert kept[0].detail == {"path": "/footage/?.mp4"}
    sender.stop()
    desk.server.stop()


def test_a_sender_stops_although_the_desk_does_not_reply(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "alarm.sock")
    desk.silent.set()
    sender = FactSender(desk.server.path, "record", "b1", SystemClock())
    sender.start()
    sender.send(condition(1))
    until(lambda: desk.told, 5, "the fact arrived")
    sender.stop(timeout_s=3)
    desk.server.stop()
