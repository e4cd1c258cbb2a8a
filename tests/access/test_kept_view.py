"""How long footage is kept, in words."""

from typing import Any

from agent.access.kept_view import kept_why, kept_words
from agent.facts import Text


def told(**changed: Any) -> dict[str, Any]:
    retention = {
        "minimum_days": 30, "target_days": {"main": 90, "sub": 90}, "rule": "济宁市工作方案 14", "kept_days": 41.3,
        "steady_days": 90.0, "full_days": None, "held_bytes": 0,
    }  # fmt: skip
    return {"retention": {**retention, **changed}}


def why(**detail: Any) -> Text:
    found = kept_why(detail)
    assert found is not None
    return found


def words(record: dict[str, Any]) -> tuple[str, str]:
    found = kept_words(record)
    assert found is not None
    return found


def test_the_days_kept_stand_with_what_is_wanted_and_who_requires_it() -> None:
    zh, en = words(told())
    assert zh == "保存 41 天（目标 90，至少 30：济宁市工作方案 14）"
    assert en == "kept 41 days (target 90, at least 30: 济宁市工作方案 14)"


def test_a_disk_that_fills_before_the_target_is_said() -> None:
    zh, en = words(told(full_days=12.2, steady_days=55.0, held_bytes=2_500_000_000))
    assert zh.endswith("，约 12 天后盘满，盘满后可存 55 天，封存 2.5 GB")
    assert en.endswith(", full in 12 days, then 55 days fit, 2.5 GB held")


def test_a_journal_that_has_grown_is_said() -> None:
    assert words({**told(), "journal": {"bytes": 900_000}}) == words(told())
    zh, en = words({**told(), "journal": {"bytes": 474_613_217}})
    assert zh.endswith("，日志每卷 0.5 GB（不清理）")
    assert en.endswith(", a journal of 0.5 GB (never pruned)")
    assert words({**told(), "journal": "x"}) == words(told())


def test_a_disk_that_is_too_small_for_the_law_is_said() -> None:
    zh, en = words(told(full_days=5.0, steady_days=5.0))
    assert zh.endswith("盘满后可存 5 天，不足规定的 30 天")
    assert en.endswith("then 5 days fit: less than the required 30")


def test_a_process_that_says_nothing_of_it_gives_no_line() -> None:
    assert kept_words({}) is None
    assert kept_words({"retention": {}}) is None


def test_the_conditions_of_retention_say_what_will_happen() -> None:
    change = why(hours=23.5, deletes_from="2026-08-01 00:00 UTC", deletes_to="2026-10-01 00:00 UTC")
    assert change.en == " (in 23.5 h footage before 2026-10-01 00:00 UTC will be deleted)"
    breach = {"rule": "reserve", "short_mb": 5, "wait_days": 3.0, "level": 1, "overwrites": False}
    assert why(**breach).en == " (too little room; some streams are not recorded)"
    assert why(**{**breach, "overwrites": True}).zh == "（空间不足，正在覆盖最旧的录像）"
    assert why(**{**breach, "rule": "quota", "level": 0}).en == " (over the quota)"
    assert why(files=2, path="/v/a.mp4", detail="Read-only").zh == "（2 个文件，如 /v/a.mp4：Read-only）"
    assert kept_why({"detail": "x"}) is None


def test_indexes_that_were_set_aside_are_told_of_once_they_are_large() -> None:
    zh, en = words(told() | {"old_indexes": {"files": 3, "bytes": 1_240_000_000}})
    assert zh.endswith("，移开的旧索引 3 个共 1.2 GB")
    assert en.endswith(", 3 indexes set aside with 1.2 GB")
    assert words(told() | {"old_indexes": {"files": 1, "bytes": 5_000_000}}) == words(told())
