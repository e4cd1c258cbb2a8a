"""Exporting footage from the command line.

Invariants
1. The audit row is on disk before the first byte of footage is read; no audit, no export.
2. A file that is there already is never written over, and a failed or interrupted export leaves none.
"""

import hashlib
import time
from dataclasses import dataclass, fields
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

from agent.access import control
from agent.access.bar import Bar
from agent.access.console import Screen
from agent.access.evidence import REASONS, length, time_range
from agent.access.times import NS, BadTime, iso, shown
from agent.access.watching import who, zone
from agent.facts import Text
from agent.footage.exporting.export import ExportFailed, ExportResult, NoFootage, export_mp4
from agent.footage.timeline import Gap, GapReason, SegmentRef
from agent.wire import Refused, WireError

OK, WRONG, USAGE, NOT_RUNNING, REFUSED = 0, 1, 2, 3, 4

LONGEST_EXPORT_S: Final = 24 * 3600
"""A day per file: players and FAT disks choke on more."""

NOT_YET_NS: Final = 3 * NS
"""Up to now, the last moments are not there yet: footage comes fragment by fragment, of about a second each."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked to be exported; times as typed."""

    camera_id: str
    start: str
    end: str
    output: Path
    why: str = ""
    stream: str = "main"
    sound: bool = True


def export(screen: Screen, runtime: Path, wish: Wish, as_json: bool) -> int:
    """Write one range of one camera as an MP4, after its audit row is on disk."""
    where = zone(runtime)
    try:
        from_ns, to_ns = time_range(wish.start, wish.end, where)
        until_now = time.time_ns() - to_ns < NOT_YET_NS
        if to_ns - from_ns > LONGEST_EXPORT_S * NS:
            raise BadTime(Text("一次最多导出 24 小时", "at most 24 hours at once"))
    except BadTime as bad:
        screen.problem(bad.text)
        return USAGE
    if (wrong := _output_refused(wish.output)) is not None:
        screen.problem(wrong)
        return USAGE
    segments = control.segments(runtime, wish.camera_id, from_ns, to_ns, wish.stream)
    if not segments:
        asked = f"{shown(from_ns, where)} – {shown(to_ns, where)}"
        screen.problem(Text(f"{wish.camera_id} 在 {asked} 没有录像", f"{wish.camera_id} has no footage at {asked}"))
        return WRONG
    gaps = control.missing(runtime, wish.camera_id, from_ns, to_ns, wish.stream)
    detail = {
        "camera_id": wish.camera_id, "stream": wish.stream, "from": iso(from_ns, where), "to": iso(to_ns, where),
        "why": wish.why, "file": str(wish.output.absolute()), "segments": len(segments),
    }  # fmt: skip
    try:
        row = control.audit(runtime, "footage.export", f"camera/{wish.camera_id}", who(), detail)
    except (WireError, Refused) as error:
        reason = error.text if isinstance(error, Refused) else Text(str(error), str(error))
        zh, en = f"无法记入审计，因此不导出：{reason.zh}", f"not exported, because it cannot be audited: {reason.en}"
        screen.problem(Text(zh, en))
        return REFUSED if isinstance(error, Refused) else NOT_RUNNING
    bar = Bar(screen)
    try:
        result = export_mp4(
            [_reference(segment) for segment in segments],
            from_ns,
            to_ns,
            wish.output,
            bar,
            known_gaps=_known(gaps),
            comment={"camera": wish.camera_id, "stream": wish.stream},
            sound=wish.sound,
        )
    except (NoFootage, ExportFailed) as error:
        bar.clear()
        screen.problem(error.text)
        return WRONG
    except KeyboardInterrupt:
        bar.clear()
        screen.problem(Text("已中断，没有留下文件", "interrupted, no file is left"))
        raise
    bar.clear()
    sums = {each.path: _sha256(each.path) for each in result.files}
    if as_json:
        screen.json(_for_programs(wish, result, sums, row, where))
    else:
        _for_people(screen, result, sums, row, where, until_now)
    return OK


def _output_refused(output: Path) -> Text | None:
    if output.exists():
        return Text(f"文件已存在，不覆盖：{output}", f"is there already, not written over: {output}")
    if not output.parent.is_dir():
        return Text(f"没有这个目录：{output.parent}", f"no such folder: {output.parent}")
    if output.suffix.lower() != ".mp4":
        return Text(f"文件名应以 .mp4 结尾：{output}", f"the name must end in .mp4: {output}")
    return None


def _reference(segment: control.Segment) -> SegmentRef:
    known = {each.name for each in fields(SegmentRef)}
    values: dict[str, Any] = {key: value for key, value in segment.items() if key in known}
    try:
        return SegmentRef(**values)
    except TypeError as error:
        raise WireError(f"an answer without all of a segment: {error}") from error


def _known(gaps: list[control.Gap]) -> list[Gap]:
    names = set(GapReason)
    return [
        Gap(gap["from_ns"], gap["to_ns"], GapReason(gap["reason"]), gap.get("detail", ""))
        for gap in gaps
        if gap.get("reason") in names
    ]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _for_programs(
    wish: Wish, result: ExportResult, sums: dict[Path, str], row: dict[str, Any], where: tzinfo
) -> dict[str, Any]:
    return {
        "camera_id": wish.camera_id,
        "requested": {"from_ns": result.requested_from_ns, "to_ns": result.requested_to_ns},
        "actual": {"from_ns": result.from_ns, "to_ns": result.to_ns},
        "time_zone": str(where),
        "files": [
            {
                "path": str(each.path.absolute()), "bytes": each.bytes, "frames": each.frames, "from_ns": each.from_ns,
                "to_ns": each.to_ns, "sha256": sums[each.path],
            }
            for each in result.files
        ],
        "gaps": [
            {"from_ns": gap.from_ns, "to_ns": gap.to_ns, "reason": str(gap.reason), "detail": gap.detail}
            for gap in result.gaps
        ],
        "audit": {"n": row.get("n"), "hash": row.get("hash")},
    }  # fmt: skip


def gap_line(screen: Screen, gap: Gap, where: tzinfo, now_ns: int | None) -> str:
    """A gap in words. `now_ns` is the end of a range up to now: what is missing just before it comes yet."""
    if gap.to_ns is None:
        lasted, end = "", ""
    else:
        lasted, end = screen.say(length(gap.to_ns - gap.from_ns)), shown(gap.to_ns, where, with_date=False)
        if gap.to_ns == now_ns and now_ns - gap.from_ns < NOT_YET_NS:
            return screen.t(f"最后 {lasted}尚未录到，不是中断", f"the last {lasted}: not recorded yet, no gap")
    words = screen.say(REASONS.get(str(gap.reason), Text(str(gap.reason), str(gap.reason))))
    return f"{screen.t('中断', 'gap')}  {shown(gap.from_ns, where)} – {end}  {lasted}  {words}"


def _for_people(
    screen: Screen, result: ExportResult, sums: dict[Path, str], row: dict[str, Any], where: tzinfo, until_now: bool
) -> None:
    ranges = (
        (screen.t("要求", "asked"), result.requested_from_ns, result.requested_to_ns),
        (screen.t("实际", "got"), result.from_ns, result.to_ns),
    )
    screen.table(
        (name, f"{shown(start, where)} – {shown(end, where)}", screen.say(length(end - start)))
        for name, start, end in ranges
    )
    for gap in result.gaps:
        screen.line(gap_line(screen, gap, where, result.requested_to_ns if until_now else None))
    for each in result.files:
        screen.line(f"{screen.t('文件', 'file')}  {each.path}  {each.bytes / 1e6:.1f} MB")
        screen.line(f"SHA-256  {sums[each.path]}")
    screen.line(screen.t(f"审计第 {row.get('n')} 条", f"audit row {row.get('n')}"))
