"""Finding footage from the command line: what there is, where it is broken, and why."""

import time
from datetime import tzinfo
from pathlib import Path
from typing import Final

from agent.access import control
from agent.access.console import FAINT, YELLOW, Screen
from agent.access.control import Gap, Span
from agent.access.times import NS, BadTime, duration, parse, shown
from agent.access.watching import zone
from agent.camera_words import words
from agent.facts import Text
from agent.wire import WireError

OK: Final = 0
WRONG: Final = 1
USAGE: Final = 2


REASONS: Final = {
    "starting": Text("启动", "starting"),
    "restart": Text("程序停止或重启", "stopped or restarted"),
    "configuration": Text("当时未设置录像", "not set to be recorded"),
    "degraded": Text("磁盘不足，停录次要画面", "spared: the disk is short"),
    "before_first": Text("尚未开始录像", "before the first recording"),
    "expired": Text("到期删除", "expired and deleted"),
    "overwritten": Text("磁盘不足，被覆盖", "overwritten: the disk was short"),
    "stopped": Text("已停止录像", "stopped"),
    "camera_silent": Text("摄像机无画面", "camera silent"),
    "camera_refused": Text("摄像机拒绝连接", "camera refused"),
    "camera_not_video": Text("不是视频", "not video"),
    "camera_clock": Text("摄像机时钟跳变", "camera clock jumped"),
    "not_recordable": Text("画面数据无法写入文件", "cannot be written into a file"),
    "clock_step": Text("本机时钟调整", "clock was set"),
    "connection_lost": Text("连接中断", "connection lost"),
    "disk_full": Text("磁盘已满", "disk full"),
    "disk_slow": Text("磁盘过慢", "disk slow"),
    "disk_failed": Text("磁盘故障", "disk failed"),
    "volume_missing": Text("录像盘不可用", "volume missing"),
    "power_loss": Text("断电或程序崩溃", "power loss or crash"),
    "file_missing": Text("文件缺失", "file missing"),
    "file_damaged": Text("文件损坏", "file damaged"),
    "index_lost": Text("索引丢失", "index lost"),
    "unrecorded": Text("未录像", "not recorded"),
}
"""footage.timeline.GapReason in words."""


def find(screen: Screen, runtime: Path, camera_id: str | None, start: str, end: str, as_json: bool) -> int:
    """Show which footage there is between two times, and why it is broken where it is; 1 when there is none."""
    where = zone(runtime)
    try:
        from_ns, to_ns = time_range(start, end, where)
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
        reason = str(gap.get("reason", ""))
        told = screen.say(REASONS.get(reason, Text(reason, reason)))
        why = f"{told} ({screen.say(words(str(gap['detail'])))})" if gap.get("detail") else told
        label = screen.t(f"中断：{why}", f"gap: {why}")
        rows.append((gap["from_ns"], _row(screen, gap["from_ns"], gap["to_ns"], label, where), YELLOW))
    rows.sort(key=lambda row: row[0])
    screen.table([row for _, row, _ in rows], indent=2, colours=[colour for _, _, colour in rows])


def _row(screen: Screen, from_ns: int, to_ns: int, what: str, where: tzinfo) -> tuple[str, ...]:
    start, end = shown(from_ns, where), shown(to_ns, where)
    end = end[11:] if start[:10] == end[:10] else end
    return (f"{start} – {end}", screen.say(length(to_ns - from_ns)), what)


def length(ns: int) -> Text:
    """How long something is; with a tenth of a second where that matters."""
    if ns < 10 * NS:
        return Text(f"{ns / NS:.1f} 秒", f"{ns / NS:.1f} s")
    return duration(ns / NS)


def time_range(start: str, end: str, where: tzinfo) -> tuple[int, int]:
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
