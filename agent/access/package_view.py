"""What is told of a package that was written."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any

from agent.access.console import YELLOW, Screen
from agent.access.evidence import length
from agent.access.export import NOT_YET_NS, gap_line
from agent.access.package_words import NAMES_SHOW, SPOILT, UNSIGNED
from agent.access.times import shown
from agent.facts import Text
from agent.footage.exporting.package import Built


@dataclass(frozen=True, slots=True)
class Told:
    """The package, what was asked for, its audit row, and what the recorder refused."""

    output: Path
    from_ns: int
    to_ns: int
    built: Built
    row: Mapping[str, Any]
    problems: Sequence[Text]
    encrypted: bool = False


def for_programs(screen: Screen, told: Told) -> dict[str, Any]:
    """The package as plain values."""
    return {
        "path": str(told.output.absolute()),
        "bytes": told.built.bytes,
        "requested": {"from_ns": told.from_ns, "to_ns": told.to_ns},
        "cameras": [
            {
                "camera_id": film.camera_id, "stream": film.stream, "segments": len(film.sources),
                "spans": [asdict(span) for span in film.spans], "gaps": [asdict(gap) for gap in film.gaps],
            }
            for film in told.built.films
        ],
        "manifest_sha256": told.built.manifest_sha256,
        "fingerprint": (told.built.signature or {}).get("fingerprint"),
        "altered": list(told.built.altered),
        "resumed": told.built.resumed,
        "problems": [screen.say(each) for each in told.problems],
        "audit": {"n": told.row.get("n"), "hash": told.row.get("hash")},
    }  # fmt: skip


def for_people(screen: Screen, told: Told, where: tzinfo) -> None:
    """The package in a few lines."""
    until_now = time.time_ns() - told.to_ns < NOT_YET_NS
    screen.line(f"{shown(told.from_ns, where)} – {shown(told.to_ns, where)}")
    for film in told.built.films:
        name = f"{film.camera_id}/{film.stream}"
        count, lasts = len(film.sources), length(sum(span.to_ns - span.from_ns for span in film.spans))
        screen.line(screen.t(f"{name}  {count} 段，{lasts.zh}", f"{name}  {count} segments, {lasts.en}"))
        for gap in film.gaps:
            screen.line("  " + gap_line(screen, gap, where, told.to_ns if until_now else None), YELLOW)
    for each in told.built.altered:
        screen.line(screen.say(SPOILT) + f"  {each}", YELLOW)
    if told.built.resumed:
        screen.line(
            screen.t(f"续传：{told.built.resumed} 段已在", f"resumed: {told.built.resumed} segments were there")
        )
    screen.line(f"{screen.t('文件', 'file')}  {told.output}  {told.built.bytes / 1e6:.1f} MB")
    for problem in [*([UNSIGNED] if told.built.signature is None else []), *told.problems]:
        screen.problem(problem)
    if told.encrypted:
        screen.line(screen.say(NAMES_SHOW), YELLOW)
    if told.built.signature is not None:
        screen.line(f"{screen.t('设备指纹', 'device fingerprint')}  {told.built.signature.get('fingerprint')}")
    screen.line(f"manifest.json SHA-256  {told.built.manifest_sha256}")
    screen.line(screen.t(f"审计第 {told.row.get('n')} 条", f"audit row {told.row.get('n')}"))
