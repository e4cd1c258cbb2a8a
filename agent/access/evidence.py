"""Finding and exporting footage from the command line.

Invariants
1. The audit row is on disk before the first byte of footage is read; no audit, no export.
2. A file that is there already is never written over, and a failed export leaves none.
"""

import time
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

from agent.access import control
from agent.access.console import FAINT, YELLOW, Screen
from agent.access.control import Gap, Segment, Span
from agent.access.times import NS, BadTime, duration, parse, shown
from agent.access.watching import who, zone
from agent.facts import Text
from agent.wire import Refused, WireError

OK: Final = 0
WRONG: Final = 1
USAGE: Final = 2
NOT_RUNNING: Final = 3

LONGEST_EXPORT_S: Final = 24 * 3600
"""A day per file: players and FAT disks choke on more."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked to be exported; times as typed."""

    camera_id: str
    start: str
    end: str
    output: Path
    why: str = ""


def find(screen: Screen, runtime: Path, camera_id: str | None, start: str, end: str, as_json: bool) -> int:
    """Show which footage there is between two times, and why it is broken where it is; 1 when there is none."""
    where = zone(runtime)
    try:
        from_ns, to_ns = _range(start, end, where)
    except BadTime as bad:
        screen.problem(bad.text)
        return USAGE
    cameras = [camera_id] if camera_id else _cameras(runtime)
    found = {camera: control.spans(runtime, camera, from_ns, to_ns) for camera in cameras}
    if as_json:
        rows = [{"camera_id": camera, "spans": spans, "gaps": gaps} for camera, (spans, gaps) in found.items()]
        screen.json({"from_ns": from_ns, "to_ns": to_ns, "cameras": rows})
    else:
        screen.line(f"{shown(from_ns, where)} – {shown(to_ns, where)}", FAINT)
        for camera, (spans, gaps) in found.items():
            _show_camera(screen, camera, spans, gaps, where)
    return OK if any(spans for spans, _ in found.values()) else WRONG


def _cameras(runtime: Path) -> list[str]:
    status = control.status_of(runtime, "record")
    if status is None:
        raise WireError(f"{runtime / 'record.sock'} does not answer")
    return [str(camera.get("id")) for camera in status.get("cameras", ())]


def _show_camera(screen: Screen, camera: str, spans: list[Span], gaps: list[Gap], where: tzinfo) -> None:
    total = sum(span["to_ns"] - span["from_ns"] for span in spans) / NS
    missing = sum(gap["to_ns"] - gap["from_ns"] for gap in gaps) / NS
    if not spans:
        screen.line(screen.t(f"{camera}  没有录像", f"{camera}  no footage"), YELLOW)
    else:
        lengths = duration(total), duration(missing)
        screen.line(
            screen.t(
                f"{camera}  录像 {lengths[0].zh}" + (f"，中断 {lengths[1].zh}" if gaps else ""),
                f"{camera}  footage {lengths[0].en}" + (f", gaps {lengths[1].en}" if gaps else ""),
            )
        )
    rows: list[tuple[int, tuple[str, ...], str]] = []
    for span in spans:
        rows.append(
            (span["from_ns"], _row(screen, span["from_ns"], span["to_ns"], screen.t("录像", "footage"), where), "")
        )
    for gap in gaps:
        why = " ".join(part for part in (str(gap.get("reason", "")), str(gap.get("detail") or "")) if part)
        label = screen.t(f"中断：{why}", f"gap: {why}")
        rows.append((gap["from_ns"], _row(screen, gap["from_ns"], gap["to_ns"], label, where), YELLOW))
    rows.sort(key=lambda row: row[0])
    screen.table([row for _, row, _ in rows], indent=2, colours=[colour for _, _, colour in rows])


def _row(screen: Screen, from_ns: int, to_ns: int, what: str, where: tzinfo) -> tuple[str, ...]:
    start, end = shown(from_ns, where), shown(to_ns, where)
    end = end[11:] if start[:10] == end[:10] else end
    return (f"{start} – {end}", screen.say(duration((to_ns - from_ns) / NS)), what)


def export(screen: Screen, runtime: Path, wish: Wish, as_json: bool) -> int:
    """Write one range of one camera as an MP4, after its audit row is on disk."""
    where = zone(runtime)
    try:
        from_ns, to_ns = _range(wish.start, wish.end, where)
        if to_ns - from_ns > LONGEST_EXPORT_S * NS:
            raise BadTime(Text("一次最多导出 24 小时", "at most 24 hours at once"))
    except BadTime as bad:
        screen.problem(bad.text)
        return USAGE
    if (wrong := _output_refused(wish.output)) is not None:
        screen.problem(wrong)
        return USAGE
    segments = control.segments(runtime, wish.camera_id, from_ns, to_ns)
    if not segments:
        none = f"{shown(from_ns, where)} – {shown(to_ns, where)}"
        screen.problem(Text(f"{wish.camera_id} 在 {none} 没有录像", f"{wish.camera_id} has no footage at {none}"))
        return WRONG
    detail = {
        "camera_id": wish.camera_id, "from_ns": from_ns, "to_ns": to_ns, "why": wish.why,
        "file": str(wish.output.absolute()), "segments": len(segments),
    }  # fmt: skip
    try:
        row = control.audit(runtime, "export", f"camera/{wish.camera_id}", who(), detail)
    except WireError as error:
        screen.problem(
            Text(f"无法记入审计，因此不导出：{error}", f"not exported, because it cannot be audited: {error}")
        )
        return NOT_RUNNING
    except Refused as refusal:
        screen.problem(
            Text(
                f"审计被拒绝，因此不导出：{refusal.text.zh}", f"not exported, the audit was refused: {refusal.text.en}"
            )
        )
        return 4
    return _write(screen, wish, segments, from_ns, to_ns, row, as_json, where)


def _range(start: str, end: str, where: tzinfo) -> tuple[int, int]:
    now_ns = time.time_ns()
    from_ns = parse(start, now_ns, where)
    to_ns = parse(end, now_ns, where, after_ns=from_ns)
    if to_ns <= from_ns:
        times = shown(from_ns, where), shown(to_ns, where)
        raise BadTime(
            Text(
                f"止（{times[1]}）不晚于起（{times[0]}）",
                f"the end ({times[1]}) is not after the beginning ({times[0]})",
            )
        )
    return from_ns, to_ns


def _output_refused(output: Path) -> Text | None:
    if output.exists():
        return Text(f"文件已存在，不覆盖：{output}", f"is there already, not written over: {output}")
    if not output.parent.is_dir():
        return Text(f"没有这个目录：{output.parent}", f"no such folder: {output.parent}")
    return None


def _write(
    screen: Screen,
    wish: Wish,
    segments: list[Segment],
    from_ns: int,
    to_ns: int,
    row: dict[str, Any],
    as_json: bool,
    where: tzinfo,
) -> int:
    raise NotImplementedError
