"""What people see, letter by letter, in both languages: tests/access/golden holds it."""

import io
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.access.alert_view import show_events, show_incidents
from agent.access.console import RED, Screen, language_wanted, padded, width
from agent.access.status_view import problems, show
from agent.access.watching import changes, watch_status
from tests.fakes.processes import ALARM, EVENTS, INCIDENTS, NOON_NS, RECORD, STATUSES, sockets

GOLDEN = Path(__file__).parent / "golden"
ZONE = ZoneInfo("Asia/Shanghai")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("language", ["zh", "en"])
def test_pages_are_as_they_were(language: str) -> None:
    out = io.StringIO()
    screen = Screen(language, out)
    show(screen, {**STATUSES, "web": None}, "/run/yunjian", NOON_NS, ZONE)
    screen.line("---")
    show(screen, dict.fromkeys(STATUSES), "/run/yunjian", NOON_NS, ZONE)
    screen.line("---")
    show_events(screen, EVENTS, ZONE)  # type: ignore[arg-type]
    screen.line("---")
    show_incidents(screen, INCIDENTS, ZONE, NOON_NS + 200_000_000_000)  # type: ignore[arg-type]
    show_incidents(screen, [], ZONE, NOON_NS)
    assert out.getvalue() == (GOLDEN / f"pages.{language}.txt").read_text(encoding="utf-8")
    assert "\x1b" not in out.getvalue()


def told(**changed: dict[str, Any]) -> list[tuple[str, bool]]:
    quiet = {**ALARM, "zones": [], "conditions": [], "incidents_open": 0}
    well = {**RECORD, "cameras": []}
    found = {**STATUSES, "alarm": quiet, "record": well}
    for name, change in changed.items():
        found[name] = {**(found[name] or {}), **change}
    return [(problem.subject, problem.alarm) for problem in problems(found, NOON_NS)]


def test_what_is_a_problem_and_what_is_not() -> None:
    assert told() == []
    assert told(alarm={"incidents_open": 2}) == [("incidents", True)]
    assert told(alarm={"store": {"ok": False, "detail": "disk"}}) == [("store/alarm", False)]
    assert told(alarm={"bridges": [{"id": "B1", "up": False}]}) == [("bridge/B1", False)]
    waits = {"id": "police", "connected": True, "waiting": 3}
    assert told(alarm={"platforms": [{**waits, "oldest_waiting_ns": NOON_NS - 61_000_000_000}]}) == [
        ("platform/police", False)
    ]
    assert told(alarm={"platforms": [{**waits, "oldest_waiting_ns": NOON_NS - 5_000_000_000}]}) == []
    assert told(alarm={"platforms": [{**waits, "connected": False}]}) == [("platform/police", False)]
    assert told(record={"volumes": [{"path": "/x", "ok": False, "detail": "no"}]}) == [("volume//x", False)]
    assert told(record={"cameras": [{"id": "C1", "state": "starting"}]}) == []
    assert told(record={"cameras": [{"id": "C1", "state": "refused"}]}) == [("camera/C1", False)]
    assert told(record={"index": {"ok": False, "detail": "x"}}) == [("process/record", False)]
    assert told(vision={"model": {"ok": False, "detail": "gone"}}) == [("model", False)]
    assert told(alarm={"zones": [{"id": "Z1", "type": "perimeter", "state": "alarm"}]}) == []
    assert told(alarm={"zones": [{"id": "Z1", "type": "panic_24h", "state": "alarm"}]}) == [("zone/Z1", True)]
    assert told(alarm={"zones": [{"id": "Z1", "type": "panic_24h", "state": "short"}]}) == [("zone/Z1", False)]


def test_a_room_over_capacity_tells_by_how_many() -> None:
    detail = {"count": 5, "capacity": 4, "camera": "C01"}
    condition = {
        "kind": "over_capacity",
        "subject": "room/R01",
        "text_zh": "超员",
        "text_en": "too many",
        "detail": detail,
    }
    alarm = {**ALARM, "zones": [], "incidents_open": 0, "conditions": [condition]}
    (problem,) = problems({**STATUSES, "alarm": alarm, "record": {}}, NOON_NS)
    assert problem.alarm
    assert problem.text == ("托大一班活动室：超员（现 5 人，核定 4 人）", "托大一班活动室: too many (now 5, allowed 4)")


def test_an_answer_of_another_version_is_shown_as_far_as_it_is_understood() -> None:
    out = io.StringIO()
    strange: dict[str, Any] = {"zones": "none", "platforms": [3], "rooms": [{}], "store": {}}
    show(Screen("zh", out), {"alarm": strange, "record": {}, "vision": {}, "web": {}}, "/run", NOON_NS, ZONE)
    assert "进程" in out.getvalue()


def test_a_name_cannot_write_to_the_terminal() -> None:
    out = Terminal()
    show_incidents(Screen("zh", out), [{"id": "1", "name": "\x1b[2J\x07bad", "state": "reset"}], ZONE, NOON_NS)
    assert "\x1b" not in out.getvalue()


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Screen("zh", Terminal()).painted("x", RED) == "\x1b[31;1mx\x1b[0m"
    assert Screen("zh", io.StringIO()).painted("x", RED) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Screen("zh", Terminal()).painted("x", RED) == "x"


def test_columns_count_chinese_twice() -> None:
    assert (width("门A"), width("é"), width("e\u0301")) == (3, 1, 1)
    assert padded("门", 4) == "门  "


@pytest.mark.parametrize(
    ("asked", "environment", "language"),
    [
        (None, {}, "zh"),
        (None, {"LANG": "en_US.UTF-8"}, "en"),
        (None, {"LANG": "en_US.UTF-8", "LC_ALL": "zh_CN.UTF-8"}, "zh"),
        (None, {"LANG": "C.UTF-8"}, "zh"),
        (None, {"LANG": "en_US.UTF-8", "YUNJIAN_LANG": "zh"}, "zh"),
        ("en", {"YUNJIAN_LANG": "zh"}, "en"),
        ("fr", {}, "zh"),
    ],
)
def test_the_language(asked: str | None, environment: dict[str, str], language: str) -> None:
    assert language_wanted(asked, environment) == language


def test_watching_sends_only_the_lines_that_changed() -> None:
    first = changes([], ["a", "b", "c"])
    assert first.startswith("\x1b[2J")
    again = changes(["a", "b", "c"], ["a", "B", "c"])
    assert again == "\x1b[2;1HB\x1b[K\x1b[4;1H\x1b[J"


def test_watching_draws_on_a_terminal_and_prints_elsewhere() -> None:
    with sockets("alarm", "record", "vision", "web") as agent:
        terminal, plain = Terminal(), io.StringIO()
        assert watch_status(Screen("zh", terminal), agent.runtime, as_json=False, turns=1) == 1
        assert watch_status(Screen("zh", plain), agent.runtime, as_json=False, turns=1) == 1
    assert terminal.getvalue().startswith("\x1b[2J")
    assert "\x1b" not in plain.getvalue()
    assert "阳光托育园" in plain.getvalue()
