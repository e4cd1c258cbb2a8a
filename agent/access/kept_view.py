"""PURE. How long footage is kept, in words: the line of `yunjian status`, and what the conditions of retention add."""

from typing import Any

from agent.access.console import clean
from agent.facts import Text

MUCH_JOURNAL_BYTES = 100_000_000
"""The journal is told of from this size on: three weeks of 16 cameras."""

MUCH_OLD_BYTES = 100_000_000
"""Indexes that were set aside are told of from this size on, all together: one of a million segments has 123 MB."""


def kept_words(record: dict[str, Any]) -> Text | None:
    """`保存 41 天（目标 90，至少 30：规定）`, and what will become of it; None while the process does not say."""
    told = record.get("retention")
    if not isinstance(told, dict) or not isinstance(told.get("target_days"), dict):
        return None
    target, least = told["target_days"].get("main", "?"), told.get("minimum_days", "?")
    rule = clean(told.get("rule") or "")
    zh = f"保存 {_days(told.get('kept_days'))} 天（目标 {target}，至少 {least}{'：' + rule if rule else ''}）"
    en = f"kept {_days(told.get('kept_days'))} days (target {target}, at least {least}{': ' + rule if rule else ''})"
    steady, full = told.get("steady_days"), told.get("full_days")
    if isinstance(full, int | float):
        zh, en = f"{zh}，约 {_days(full)} 天后盘满", f"{en}, full in {_days(full)} days"
    if isinstance(steady, int | float) and isinstance(target, int) and steady < target:
        zh, en = f"{zh}，盘满后可存 {_days(steady)} 天", f"{en}, then {_days(steady)} days fit"
        if isinstance(least, int) and steady < least:
            zh, en = f"{zh}，不足规定的 {least} 天", f"{en}: less than the required {least}"
    if held := told.get("held_bytes"):
        zh, en = f"{zh}，封存 {held / 1e9:.1f} GB", f"{en}, {held / 1e9:.1f} GB held"
    journal = record.get("journal")
    size = journal.get("bytes") if isinstance(journal, dict) else None
    if isinstance(size, int) and size >= MUCH_JOURNAL_BYTES:
        zh, en = (
            f"{zh}，日志每卷 {size / 1e9:.1f} GB（不清理）",
            f"{en}, a journal of {size / 1e9:.1f} GB (never pruned)",
        )
    old = record.get("old_indexes")
    files, size = (old.get("files"), old.get("bytes")) if isinstance(old, dict) else (None, None)
    if isinstance(files, int) and isinstance(size, int) and size >= MUCH_OLD_BYTES:
        zh, en = (
            f"{zh}，移开的旧索引 {files} 个共 {size / 1e9:.1f} GB",
            f"{en}, {files} indexes set aside with {size / 1e9:.1f} GB",
        )
    return Text(zh, en)


def kept_why(detail: dict[str, Any]) -> Text | None:
    """What the detail of a condition of retention says, None when it is of another kind."""
    if "deletes_to" in detail:
        hours, to = clean(detail.get("hours")), clean(detail["deletes_to"])
        return Text(f"（{hours} 小时后删除 {to} 之前的录像）", f" (in {hours} h footage before {to} will be deleted)")
    if "wait_days" in detail and "rule" in detail:
        quota = detail["rule"] == "quota"
        zh = "超出限额" if quota else "空间不足"
        en = "over the quota" if quota else "too little room"
        level = detail.get("level")
        if detail.get("overwrites"):
            zh, en = f"{zh}，正在覆盖最旧的录像", f"{en}; the oldest footage is overwritten"
        elif level:
            zh, en = f"{zh}，部分画面停录", f"{en}; some streams are not recorded"
        return Text(f"（{zh}）", f" ({en})")
    if "files" in detail and "path" in detail and "detail" in detail:
        count, path, why = clean(detail["files"]), clean(detail["path"]), clean(detail["detail"])
        return Text(f"（{count} 个文件，如 {path}：{why}）", f" ({count} files, such as {path}: {why})")
    return None


def _days(value: Any) -> str:
    return f"{value:.0f}" if isinstance(value, int | float) else "?"
