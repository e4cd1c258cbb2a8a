"""What `config check` and `config schema` print."""

import json
import shutil
from pathlib import Path
from typing import Any, Final, TextIO

from agent.facts import Text
from agent.settings.load import Findings, examine
from agent.settings.mistakes import Mistake
from agent.settings.models import Settings
from agent.settings.wording import schema

ASSUMED_KBIT_S: Final = 4000.0
"""A 1080p camera as delivered: 3 to 6 Mbit/s of H.264 is what makers preset."""


def schema_text() -> str:
    """The JSON Schema of a settings file, as configs/facility.schema.json holds it."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema(), "title": "yunjian facility"}
    return json.dumps(head, ensure_ascii=False, indent=2) + "\n"


def check_file(
    out: TextIO, language: str, file: Path, as_json: bool, kbit_s: float | None, record: dict[str, Any] | None
) -> int:
    """Check one file and print what was found; 0 when it can be used, 1 when not.

    `kbit_s` is assumed per camera; else the rates in `record`, the record process's status, are used.
    """
    findings = examine(file)
    room = None if findings.settings is None else disk_days(findings.settings, kbit_s, record)
    if as_json:
        out.write(json.dumps(_for_programs(findings, room), ensure_ascii=False) + "\n")
    else:
        _for_people(out, language, findings, room)
    return 1 if findings.mistakes else 0


def disk_days(settings: Settings, kbit_s: float | None, record: dict[str, Any] | None) -> dict[str, Any] | None:
    """How many days of footage the whole disks of the volumes hold; None when one is not there.

    `days` is the disks whole, as though nothing else lay on it, `free_days` what is free now. `kbit_s` is all cameras
    together and `source` where that rate is from.
    """
    recorded = [camera.id for camera in settings.cameras if camera.record]
    try:
        disks = [shutil.disk_usage(volume) for volume in settings.footage.volumes]
    except OSError:
        return None
    total, free = sum(disk.total for disk in disks), sum(disk.free for disk in disks)
    if not recorded:
        return None
    measured = _measured(record)
    source = (
        "given" if kbit_s is not None else "measured" if all(camera in measured for camera in recorded) else "assumed"
    )
    if kbit_s is None:
        rate = sum(measured.get(camera, ASSUMED_KBIT_S) for camera in recorded)
    else:
        rate = kbit_s * len(recorded)
    if rate <= 0:
        return None
    bytes_a_day = rate * 1000 / 8 * 86400
    return {
        "days": round(total / bytes_a_day, 1),
        "total_bytes": total,
        "free_days": round(free / bytes_a_day, 1),
        "free_bytes": free,
        "kbit_s": round(rate, 1),
        "source": source,
    }


def _measured(record: dict[str, Any] | None) -> dict[str, float]:
    cameras = (record or {}).get("cameras")
    return {
        str(camera.get("id")): float(camera["kbit_s"])
        for camera in (cameras if isinstance(cameras, list) else ())
        if isinstance(camera, dict) and isinstance(camera.get("kbit_s"), int | float) and camera["kbit_s"] > 0
    }


def _for_programs(findings: Findings, room: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "ok": not findings.mistakes,
        "file": str(findings.file),
        "mistakes": [_plain(mistake) for mistake in findings.mistakes],
        "warnings": [_plain(warning) for warning in findings.warnings],
        "footage": room,
    }


def _plain(mistake: Mistake) -> dict[str, Any]:
    return {
        "line": mistake.line,
        "column": mistake.column,
        "key": mistake.key,
        "zh": mistake.text.zh,
        "en": mistake.text.en,
    }


def _for_people(out: TextIO, language: str, findings: Findings, room: dict[str, Any] | None) -> None:
    for mistake in findings.mistakes:
        out.write(mistake.in_language(findings.file, language) + "\n")
    label = Text("提醒", "warning").in_language(language)
    for warning in findings.warnings:
        out.write(f"{label}: {warning.in_language(findings.file, language)}\n")
    if room is not None and findings.settings is not None:
        out.write(_about_days(room, findings.settings).in_language(language) + "\n")
    wrong, warned = len(findings.mistakes), len(findings.warnings)
    if wrong:
        summary = Text(
            f"{wrong} 处错误，{warned} 处提醒", f"{_counted(wrong, 'mistake')}, {_counted(warned, 'warning')}"
        )
    else:
        summary = Text(f"可以使用，{warned} 处提醒", f"can be used, {_counted(warned, 'warning')}")
    out.write(f"{findings.file}: {summary.in_language(language)}\n")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _about_days(room: dict[str, Any], settings: Settings) -> Text:
    source = {
        "given": Text("给定", "as given"),
        "measured": Text("实测", "measured"),
        "assumed": Text("估计", "assumed"),
    }[room["source"]]
    target, least = settings.footage.target_days, settings.footage.minimum_days
    short = Text("", "")
    if room["days"] < least:
        short = Text(f"，不足规定的 {least} 天", f", less than the required {least}")
    elif room["days"] < target:
        short = Text(f"，不足目标 {target} 天", f", less than the target of {target}")
    rate, size, free = room["kbit_s"] / 1000, room["total_bytes"] / 1e9, room["free_bytes"] / 1e9
    return Text(
        f"录像：{rate:.1f} Mbit/s（{source.zh}），{size:.0f} GB 的盘约存 {room['days']:.1f} 天{short.zh}；"
        f"现有空闲 {free:.0f} GB 约 {room['free_days']:.1f} 天",
        f"footage: {rate:.1f} Mbit/s ({source.en}), a disk of {size:.0f} GB holds {room['days']:.1f} days{short.en};"
        f" the {free:.0f} GB free now, {room['free_days']:.1f} days",
    )
