"""What `config check` and `config schema` print."""

import json
from pathlib import Path
from typing import Any, TextIO

from agent.facts import Text
from agent.settings.load import Findings, examine
from agent.settings.mistakes import Mistake
from agent.settings.room import about_days, disk_days
from agent.settings.wording import schema


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
        for line in about_days(room, findings.settings):
            out.write(line.in_language(language) + "\n")
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
