"""`yunjian footage reindex`: the index built again from the files, by `record` when it runs, else here."""

import sqlite3
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

from agent.access import control
from agent.access.bar import Bar
from agent.access.console import FAINT, GREEN, RED, Screen
from agent.clock import SystemClock
from agent.facts import Text
from agent.footage.custody.journal import JournalWaits
from agent.footage.index_file import IndexBusy
from agent.footage.inspection.reindex import NothingToRead, Told, Wanted, reindex
from agent.wire import Refused, WireError

OK, WRONG, NOT_RUNNING, REFUSED = 0, 1, 3, 4

_ASK_EVERY_S: Final = 0.5
_LOOK_EVERY_S: Final = 2.0
"""Whether `record` was started meanwhile."""


def reindex_footage(screen: Screen, runtime: Path, wanted: Wanted, as_json: bool) -> int:
    """Build the index again and tell; 1 when a file is not what it was, or not every file was gone through."""
    bar = Bar(screen, in_bytes=False)
    try:
        told, beside = _by_record(runtime, bar), True
        if told is None:
            told, beside = _here(runtime, wanted, bar), False
            if not told.whole and (record := _by_record(runtime, bar)) is not None:
                told, beside = record, True  # it was started meanwhile, and finishes the work
    except Refused as error:
        bar.clear()
        screen.problem(error.text)
        return REFUSED
    except IndexBusy:
        bar.clear()
        zh, en = (
            "另一个进程正在写索引，但 record 不应答",
            "another process writes the index, and record does not answer",
        )
        screen.problem(Text(zh, en))
        return NOT_RUNNING
    except (NothingToRead, JournalWaits, WireError, OSError, sqlite3.Error) as error:
        bar.clear()
        screen.problem(Text(f"索引没有重建：{error}", f"the index was not built: {error}"))
        for path, why in getattr(error, "refused", {}).items():
            screen.problem(Text(f"{path}：{why}", f"{path}: {why}"))
        return WRONG
    bar.clear()
    if as_json:
        screen.json({**asdict(told), "beside_recording": beside})
    else:
        _for_people(screen, told, beside)
    return OK if told.whole and not told.damaged and not told.quarantined and not told.refused else WRONG


def _by_record(runtime: Path, bar: Bar) -> Told | None:
    """Have `record` do it, and wait; None when it does not run. Raises Refused, and WireError when it ends."""
    try:
        told = _told(control.reindex(runtime, start=True))
    except WireError:
        return None
    while told.running:
        bar(told.files, told.of)
        time.sleep(_ASK_EVERY_S)
        told = _told(control.reindex(runtime, start=False))
    return told


def _told(answer: dict[str, Any]) -> Told:
    known = {each.name for each in fields(Told)}
    return Told(**{name: value for name, value in answer.items() if name in known})


def _here(runtime: Path, wanted: Wanted, bar: Bar) -> Told:
    looked_s = time.monotonic()

    def taken() -> bool:
        nonlocal looked_s
        if time.monotonic() - looked_s < _LOOK_EVERY_S:
            return False
        looked_s = time.monotonic()
        return control.status_of(runtime, "record") is not None

    return reindex(wanted, SystemClock(), lambda told: bar(told.files, told.of), taken)


def _for_people(screen: Screen, told: Told, beside: bool) -> None:
    rate = told.files / told.took_s if told.took_s else 0.0
    zh = f"读了 {told.files} 个文件（{told.took_s:.1f} 秒，每秒 {rate:.0f} 个），写了 {told.written} 行"
    en = f"{told.files} files read ({told.took_s:.1f} s, {rate:.0f} a second), {told.written} rows written"
    screen.line(screen.t(zh, en))
    if beside:
        screen.line(screen.t("录像没有中断", "recording went on meanwhile"), FAINT)
    for path, why in told.refused.items():
        screen.line(screen.t(f"没有读 {path}：{why}", f"{path} was not read: {why}"), RED)
    if told.removed:
        screen.line(screen.t(f"删除了 {told.removed} 个空文件", f"{told.removed} empty files were removed"), FAINT)
    if told.quarantined:
        zh, en = f"{told.quarantined} 个文件放进了隔离区", f"{told.quarantined} files were put in quarantine"
        screen.line(screen.t(zh, en), RED)
    for path in told.damaged:
        screen.line(screen.t(f"与录下时不同：{path}", f"not what it was when it was recorded: {path}"), RED)
    if told.whole:
        screen.line(screen.t("索引已重建", "the index is built again"), GREEN)
    else:
        screen.line(screen.t("没有读完，下次启动接着做", "not to the end: the next start goes on"), RED)
