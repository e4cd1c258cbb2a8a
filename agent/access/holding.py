"""Holding footage from the command line: what must not be deleted, who wanted that, and why.

Invariants
1. The audit row is on disk before the record process is asked; no audit, no hold and no release.
"""

from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

from agent.access import control
from agent.access.console import FAINT, YELLOW, Screen
from agent.access.evidence import time_range
from agent.access.times import BadTime, iso, shown
from agent.access.watching import who, zone
from agent.facts import Text
from agent.wire import Refused, WireError, call

OK, WRONG, USAGE, NOT_RUNNING, REFUSED = 0, 1, 2, 3, 4

TIMEOUT_S: Final = 15.0
"""The keeper answers after its step under way and a commit."""

_SHOWN: Final = 8
"""Characters of an id that people see: enough to name one."""

Values = dict[str, Any]


def hold(
    screen: Screen,
    runtime: Path,
    cameras: list[str],
    start: str,
    end: str,
    why: str,
    days: int | None,
    as_json: bool,
) -> int:
    """Hold a range of one, several or (none named) all cameras, until released or for some days."""
    where = zone(runtime)
    try:
        from_ns, to_ns = time_range(start, end, where)
    except BadTime as bad:
        screen.problem(bad.text)
        return USAGE
    if (wrong := _wrong(why, days)) is not None:
        screen.problem(wrong)
        return USAGE
    detail = {"cameras": cameras, "from": iso(from_ns, where), "to": iso(to_ns, where), "why": why, "days": days}
    subject = "camera/" + ",".join(cameras) if cameras else "camera/*"
    asked = {"cameras": cameras or None, "from_ns": from_ns, "to_ns": to_ns, "why": why, "days": days}
    answer = _deed(screen, runtime, ("footage.hold", subject[:200], detail), ("hold", asked))
    if isinstance(answer, int):
        return answer
    made = answer.get("holds", [])
    if as_json:
        screen.json({"holds": made, "audit": answer["audit"]})
        return OK
    for each in made:
        screen.line(screen.t(f"已封存 {_line(screen, each, where)}", f"held {_line(screen, each, where)}"))
    return OK


def release(screen: Screen, runtime: Path, hold_id: str, why: str, as_json: bool) -> int:
    """End a hold; the beginning of its id will do."""
    if (wrong := _wrong(why, None)) is not None:
        screen.problem(wrong)
        return USAGE
    deed = ("footage.release", f"hold/{hold_id}"[:200], {"why": why})
    answer = _deed(screen, runtime, deed, ("release", {"id": hold_id, "why": why}))
    if isinstance(answer, int):
        return answer
    if as_json:
        screen.json({"hold": answer.get("hold"), "audit": answer["audit"]})
    else:
        told = _line(screen, answer.get("hold") or {}, zone(runtime))
        screen.line(screen.t(f"已解除封存 {told}", f"released {told}"))
    return OK


def holds(screen: Screen, runtime: Path, show_all: bool, as_json: bool) -> int:
    """List the holds, the newest footage first; with `show_all` those that are over as well."""
    found: list[Values] = []
    start: int | None = 0
    while start is not None:
        page = call(runtime / "record.sock", "holds", {"all": show_all, "start": start}, timeout_s=TIMEOUT_S)
        found += [each for each in page.get("holds", []) if isinstance(each, dict)]
        after = page.get("next")
        start = after if isinstance(after, int) and after > start else None
    if as_json:
        screen.json({"holds": found})
        return OK
    where = zone(runtime)
    if not found:
        screen.line(screen.t("没有封存的录像", "no footage is held"))
        return OK
    rows = [_row(screen, each, where) for each in found]
    colours = ["" if each.get("active") else FAINT for each in found]
    screen.table(rows, colours=[YELLOW if each.get("active") and each.get("to_ns") is None else colour
                                for each, colour in zip(found, colours, strict=True)])  # fmt: skip
    return OK


def _wrong(why: str, days: int | None) -> Text | None:
    if not why.strip():
        return Text("请写明原因：--why", "say why: --why")
    if days is not None and not 1 <= days <= 36500:
        return Text(f"--days 应为 1 到 36500（{days}）", f"--days must be from 1 to 36500 (got {days})")
    return None


def _deed(
    screen: Screen, runtime: Path, audit: tuple[str, str, Values], verb: tuple[str, Values]
) -> dict[str, Any] | int:
    """Write the audit row, then ask; the answer with the row under `audit`, or the exit status."""
    action, subject, detail = audit
    try:
        row = control.audit(runtime, action, subject, who(), detail)
    except (WireError, Refused) as error:
        reason = error.text if isinstance(error, Refused) else Text(str(error), str(error))
        zh, en = f"无法记入审计，因此没有做：{reason.zh}", f"not done, because it cannot be audited: {reason.en}"
        screen.problem(Text(zh, en))
        return REFUSED if isinstance(error, Refused) else NOT_RUNNING
    name, args = verb
    answer = call(runtime / "record.sock", name, {**args, "who": who()}, timeout_s=TIMEOUT_S)
    return {**answer, "audit": {"n": row.get("n"), "hash": row.get("hash")}}


def _row(screen: Screen, each: Values, where: tzinfo) -> tuple[str, ...]:
    camera = each.get("camera") or screen.t("全部", "all")
    reason = str(each.get("why", ""))
    return (str(each.get("id", ""))[:_SHOWN], str(camera), _range(screen, each, where), _term(screen, each, where),
            str(each.get("who", "")), reason)  # fmt: skip


def _line(screen: Screen, each: Values, where: tzinfo) -> str:
    return "  ".join(_row(screen, each, where)[:4])


def _range(screen: Screen, each: Values, where: tzinfo) -> str:
    to_ns = each.get("to_ns")
    end = screen.t("未结束", "goes on") if to_ns is None else shown(to_ns, where)
    return f"{shown(each.get('from_ns', 0), where)} – {end}"


def _term(screen: Screen, each: Values, where: tzinfo) -> str:
    if each.get("released_ns") is not None:
        at, by = shown(each["released_ns"], where)[:10], each.get("released_by") or ""
        return screen.t(f"{at} 由 {by} 解除", f"released {at} by {by}")
    until_ns = each.get("until_ns")
    if each.get("incident") and each.get("to_ns") is None:
        return screen.t("警情未复位", "its incident lasts")
    if until_ns is None:
        return screen.t("直到解除", "until released")
    day = shown(until_ns, where)[:10]
    return screen.t(f"到 {day}", f"until {day}") if each.get("active") else screen.t(f"{day} 已到期", f"over {day}")
