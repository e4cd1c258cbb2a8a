"""Areas on the terminal, in both languages."""

import io
from typing import Any
from zoneinfo import ZoneInfo

from agent.access.area_view import left_out, phase_words, show_areas
from agent.access.console import Screen

ARMED: dict[str, Any] = {
    "id": "A1", "name": "全园", "phase": "armed", "who": "calendar", "since_ns": 1_795_000_000_000_000_000,
    "left_s": 0.0, "bypassed": ["Z03"], "waiting": ["Z02", "Z04"],
}  # fmt: skip
LEAVING: dict[str, Any] = {"id": "A2", "name": "后楼", "phase": "exit_delay", "who": "王芳", "left_s": 44.6}


def shown(language: str, *areas: dict[str, Any]) -> list[str]:
    out = io.StringIO()
    show_areas(Screen(language, out, io.StringIO()), list(areas), ZoneInfo("Asia/Shanghai"))
    return out.getvalue().splitlines()


def test_each_area_in_a_line() -> None:
    zh, en = shown("zh", ARMED, LEAVING), shown("en", ARMED, LEAVING)
    assert [line.split() for line in zh[1:]] == [
        ["A1", "全园", "已布防", "日历", "2026-11-18", "19:06:40", "旁路", "Z03；未关好", "Z02,", "Z04"],
        ["A2", "后楼", "布防中，请离开（45", "秒）", "王芳"],
    ]
    assert "armed" in en[1]
    assert "the calendar" in en[1]
    assert "without Z03; not closed Z02, Z04" in en[1]
    assert "arming, leave now (45 s)" in en[2]


def test_without_areas_nothing_is_said() -> None:
    assert shown("zh") == []


def test_what_another_version_says_is_shown_as_it_came() -> None:
    assert phase_words({"phase": "asleep", "left_s": "x"}).en == "asleep"
    assert left_out({"bypassed": "all", "waiting": None}).en == ""


def test_what_was_armed_for_want_of_the_time_says_so() -> None:
    blind = {**ARMED, "blind": True}
    assert phase_words(blind) == ("已布防（时钟不可信）", "armed (nobody knows the time)")
    assert phase_words({**LEAVING, "blind": True}) == phase_words(LEAVING), "how long is left is worth more"
