"""Holding footage from the command line: the audit first, then the record process, and what people read."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.access import holding
from agent.access.console import Screen
from agent.facts import Text
from agent.wire import Reply, Request, Server, Verb

HOLD = {
    "id": "3f2a0000-1111", "camera": "C01", "from_ns": 1_795_000_000 * 10**9, "to_ns": 1_795_000_600 * 10**9,
    "who": "ann/1000", "why": "投诉", "incident": None, "until_ns": None, "released_ns": None, "released_by": None,
    "active": True,
}  # fmt: skip


class Agent:
    """Both processes, as far as these commands ask them."""

    def __init__(self, runtime: Path) -> None:
        self.runtime = runtime
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, dict[str, Any]] = {"audit": {"n": 7, "hash": "ab"}, "hold": {"holds": [HOLD]}}
        self.refused: set[str] = set()
        self._servers: list[Server] = []

    def start(self, *processes: str) -> None:
        verbs = {"alarm": ("audit", "status"), "record": ("hold", "holds", "release", "status")}
        for process in processes:
            server = Server(self.runtime / f"{process}.sock", {name: self._verb(name) for name in verbs[process]})
            server.start()
            self._servers.append(server)

    def stop(self) -> None:
        for server in self._servers:
            server.stop()

    def _verb(self, name: str) -> Verb:
        def answer(request: Request, reply: Reply) -> None:
            if name != "status":
                self.asked.append((name, request.args))
            if name in self.refused:
                reply.refuse("no", Text("不行", "no"))
            else:
                reply.done(self.answers.get(name, {}))

        return answer


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    found = Agent(tmp_path)
    yield found
    found.stop()


def screen(language: str = "en") -> Screen:
    return Screen(language, io.StringIO(), io.StringIO(), painted=False)


def test_a_hold_is_audited_first_and_then_made(agent: Agent) -> None:
    agent.start("alarm", "record")
    shown = screen()
    assert holding.hold(shown, agent.runtime, ["C01"], "2h", "+10m", "complaint", None, False) == 0
    assert [name for name, _ in agent.asked] == ["audit", "hold"]
    audit, asked = agent.asked[0][1], agent.asked[1][1]
    assert (audit["action"], audit["subject"], audit["detail"]["why"]) == ("footage.hold", "camera/C01", "complaint")
    assert (asked["cameras"], asked["why"], asked["days"]) == (["C01"], "complaint", None)
    assert asked["to_ns"] - asked["from_ns"] == 600 * 10**9
    assert asked["who"] == audit["who"]
    assert isinstance(shown.out, io.StringIO)
    assert "held 3f2a0000  C01" in shown.out.getvalue()
    assert "until released" in shown.out.getvalue()


def test_without_cameras_all_are_held_and_programs_get_the_row(agent: Agent) -> None:
    agent.start("alarm", "record")
    shown = screen()
    assert holding.hold(shown, agent.runtime, [], "2h", "now", "police", 365, True) == 0
    assert agent.asked[1][1]["cameras"] is None
    assert isinstance(shown.out, io.StringIO)
    assert json.loads(shown.out.getvalue())["audit"] == {"n": 7, "hash": "ab"}


def test_without_an_audit_nothing_is_held_or_released(agent: Agent) -> None:
    agent.start("record")
    assert holding.hold(screen(), agent.runtime, [], "2h", "now", "police", None, False) == 3
    assert holding.release(screen(), agent.runtime, "3f", "closed", False) == 3
    agent.start("alarm")
    agent.refused = {"audit"}
    assert holding.hold(screen(), agent.runtime, [], "2h", "now", "police", None, False) == 4
    assert [name for name, _ in agent.asked] == ["audit"]


@pytest.mark.parametrize(("why", "days", "end"), [(" ", None, "now"), ("x", 0, "now"), ("x", None, "yesterday 00:00")])
def test_what_is_typed_wrongly_asks_nobody(agent: Agent, why: str, days: int | None, end: str) -> None:
    agent.start("alarm", "record")
    assert holding.hold(screen(), agent.runtime, [], "2h", end, why, days, False) == 2
    assert agent.asked == []


def test_a_release_names_the_hold_and_says_by_whom(agent: Agent) -> None:
    agent.start("alarm", "record")
    agent.answers["release"] = {"hold": {**HOLD, "active": False, "released_ns": HOLD["to_ns"], "released_by": "bea"}}
    shown = screen("zh")
    assert holding.release(shown, agent.runtime, "3f2a", "已结案", False) == 0
    assert agent.asked[0][1]["subject"] == "hold/3f2a"
    assert isinstance(shown.out, io.StringIO)
    assert "由 bea 解除" in shown.out.getvalue()


def test_holds_are_listed_page_by_page(agent: Agent) -> None:
    agent.start("alarm", "record")
    agent.answers["holds"] = {"holds": [HOLD, {**HOLD, "id": "77", "camera": None, "to_ns": None}], "next": None}
    shown = screen()
    assert holding.holds(shown, agent.runtime, True, False) == 0
    assert isinstance(shown.out, io.StringIO)
    lines = shown.out.getvalue().splitlines()
    assert len(lines) == 2
    assert "all" in lines[1]
    assert "goes on" in lines[1]
    agent.answers["holds"] = {"holds": [{**HOLD, "incident": "i1", "to_ns": None}], "next": None}
    assert holding.holds(shown, agent.runtime, False, False) == 0
    assert "its incident lasts" in shown.out.getvalue()
    agent.answers["holds"] = {"holds": [], "next": None}
    assert holding.holds(shown, agent.runtime, False, False) == 0
    assert "no footage is held" in shown.out.getvalue()
