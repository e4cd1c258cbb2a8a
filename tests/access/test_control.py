"""Asking the processes, over real sockets."""

from pathlib import Path

import pytest

from agent.access import control
from agent.wire import Refused, Reply, Request, WireError
from tests.fakes.processes import ALARM, RECORD, Sockets, sockets

MINUTE_NS = 60 * 1_000_000_000


def test_a_process_that_is_gone_or_hangs_is_none_and_the_others_answer() -> None:
    with sockets("alarm", "record") as agent:
        agent.start("vision", status=lambda _, reply: None)
        found = control.statuses(agent.runtime, timeout_s=0.3)
    assert found == {"alarm": ALARM, "record": RECORD, "vision": None, "web": None}


def test_nothing_runs(tmp_path: Path) -> None:
    assert not any(control.statuses(tmp_path / "none").values())
    with pytest.raises(WireError):
        control.events(tmp_path / "none")


def test_a_refusal_is_told_as_such() -> None:
    with sockets("alarm") as agent, pytest.raises(Refused) as caught:
        control.acknowledge(agent.runtime, "zzz", "me/1")
    assert caught.value.code == "no_such_incident"


def test_an_answer_that_is_none_is_no_list() -> None:
    with sockets() as agent:
        agent.start("alarm", events=lambda _, reply: reply.done({"events": "no"}))
        with pytest.raises(WireError):
            control.events(agent.runtime)


def serve_segments(agent: Sockets, minutes: int) -> None:
    """A record process with one segment per minute, from 0 on, that answers 120 at a time."""

    def segments(request: Request, reply: Reply) -> None:
        first = request.args["from_ns"] // MINUTE_NS
        numbers = range(first, min(first + 120, minutes))
        found = [
            {"path": f"/{n}", "start_ns": n * MINUTE_NS, "end_ns": (n + 1) * MINUTE_NS, "codec": "h264"}
            for n in numbers
        ]
        reply.done({"segments": found, "next_ns": (first + 120) * MINUTE_NS if len(numbers) == 120 else None})

    def spans(request: Request, reply: Reply) -> None:
        start, end = request.args["from_ns"], min(request.args["from_ns"] + 120 * MINUTE_NS, minutes * MINUTE_NS)
        reply.done({"spans": [{"from_ns": start, "to_ns": end}], "gaps": [], "next_ns": end})

    agent.start("record", segments=segments, spans=spans)


def test_a_day_of_segments_comes_whole_though_no_answer_may_be_long() -> None:
    with sockets() as agent:
        serve_segments(agent, 24 * 60)
        found = control.segments(agent.runtime, "C01", 30_000_000_000, 24 * 60 * MINUTE_NS)
        spans, gaps = control.spans(agent.runtime, "C01", 0, 24 * 60 * MINUTE_NS)
    assert [segment["start_ns"] // MINUTE_NS for segment in found] == list(range(24 * 60))
    assert (spans, gaps) == ([{"from_ns": 0, "to_ns": 24 * 60 * MINUTE_NS}], [])


def test_a_peer_that_never_comes_to_an_end_is_left() -> None:
    with sockets() as agent:
        agent.start("record", segments=lambda _, reply: reply.done({"segments": [], "next_ns": 5}))
        assert control.segments(agent.runtime, "C01", 0, 10) == []
