"""`yunjian footage check`: the invariants of footage, judged on the real data, in words."""

import time
from collections.abc import Callable
from typing import Any, Final

from agent.access.bar import Bar
from agent.access.console import FAINT, GREEN, RED, Screen
from agent.footage.inspection.soundness import INVARIANTS
from agent.footage.inspection.survey import Report, Wanted, survey

OK, WRONG = 0, 1

MOST_SHOWN: Final = 50
"""Findings that are shown of one invariant; --json has them all."""


def check(screen: Screen, wanted: Wanted, as_json: bool, wait: Callable[[float], None] = time.sleep) -> int:
    """Check and tell; 1 when anything breaks an invariant. `wait` is given seconds."""
    bar = Bar(screen, in_bytes=False)
    try:
        report = survey(wanted, time.time_ns, wait, bar)
    finally:
        bar.clear()
    if as_json:
        screen.json(_for_programs(report))
    else:
        _for_people(screen, report)
    return WRONG if report.findings else OK


def _for_people(screen: Screen, report: Report) -> None:
    told = 0
    for number, title in INVARIANTS.items():
        found = [each for each in report.findings if each.number == number]
        if not found:
            continue
        told += len(found)
        screen.line(f"{number:2d}  {screen.say(title)}", RED)
        for each in found[:MOST_SHOWN]:
            screen.line(f"    {each.where}: {screen.say(each.what)}")
        if len(found) > MOST_SHOWN:
            more = len(found) - MOST_SHOWN
            screen.line(screen.t(f"    还有 {more} 处；--json 列出全部", f"    {more} more; --json lists all"), FAINT)
        for text in dict.fromkeys(screen.say(each.do) for each in found):
            screen.line(f"    → {text}", FAINT)
    for note in report.notes:
        screen.line(screen.say(note), FAINT)
    counts = report.counts
    read = counts["files_walked"]
    zh = f"{counts['volumes']} 块盘，{counts['segments']} 个分段，{counts['gaps']} 条中断，读了 {read} 个文件"
    en = f"{counts['volumes']} volumes, {counts['segments']} segments, {counts['gaps']} gaps, {read} files read"
    if told:
        screen.line(screen.t(f"{zh}：{told} 处有问题", f"{en}: {told} findings"), RED)
    else:
        screen.line(screen.t(f"{zh}：全部一致", f"{en}: all in order"), GREEN)


def _for_programs(report: Report) -> dict[str, Any]:
    return {
        "ok": not report.findings,
        "findings": [
            {
                "invariant": each.number,
                "where": each.where,
                "what_zh": each.what.zh,
                "what_en": each.what.en,
                "do_zh": each.do.zh,
                "do_en": each.do.en,
            }
            for each in report.findings
        ],
        "notes": [{"zh": each.zh, "en": each.en} for each in report.notes],
        **report.counts,
    }
