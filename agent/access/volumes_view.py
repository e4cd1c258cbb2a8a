"""`yunjian footage volumes`: where footage lies, how much room there is, whether a thief could read it."""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from agent.access import control
from agent.access.console import FAINT, YELLOW, Screen
from agent.facts import Text
from agent.footage.disk.block_devices import is_encrypted
from agent.footage.disk.files import VolumeRefused, check_volume, room_on

OK, WRONG = 0, 1

_DAY_NS: Final = 86_400 * 1_000_000_000
_STATES: Final = {
    "recording": Text("录像中", "recording"),
    "ready": Text("可用", "ready"),
    "closed": Text("不录", "not recorded to"),
    "missing": Text("不可用", "cannot be used"),
    "away": Text("不在设置里", "not in the settings"),
}
_ENCRYPTED: Final = {
    "yes": Text("已加密", "encrypted"),
    "no": Text("未加密", "not encrypted"),
    "unknown": Text("加密未知", "encryption unknown"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One volume. `state` is one of `_STATES`, `detail` says more; `days` is the age of its oldest footage."""

    path: str
    uuid: str | None
    state: str
    detail: str
    total_bytes: int
    free_bytes: int
    encrypted: str
    segments: int
    footage_bytes: int
    oldest_ns: int | None
    days: float | None


def volumes(screen: Screen, runtime: Path, index: Path, paths: Sequence[Path], agent_id: str, as_json: bool) -> int:
    """Show every volume, whether `record` runs or not; 1 when one of them is not recorded to."""
    lines = _lines(runtime, index, paths, agent_id, time.time_ns())
    if as_json:
        screen.json({"volumes": [asdict(line) for line in lines]})
    else:
        _show(screen, lines)
    return OK if all(line.state in ("recording", "ready", "away") for line in lines) else WRONG


def _lines(runtime: Path, index: Path, paths: Sequence[Path], agent_id: str, now_ns: int) -> list[Line]:
    record = control.status_of(runtime, "record")
    told = {str(each.get("path")): each for each in (record or {}).get("volumes", ())}
    known = _known(index)
    lines = []
    for path in paths:
        try:
            volume, room = check_volume(path, agent_id), room_on(path)
        except (VolumeRefused, OSError) as error:
            lines.append(Line(str(path), None, "missing", str(error), 0, 0, "unknown", 0, 0, None, None))
            continue
        said = told.get(str(path))
        state = "ready" if said is None else "recording" if said.get("ok") else "closed"
        detail = str(said.get("detail") or "") if said is not None else ""
        _, segments, size, oldest = known.pop(volume.uuid, ("", 0, 0, None))
        lines.append(
            Line(
                str(path), volume.uuid, state, detail, room.total_bytes, room.free_bytes, is_encrypted(path).value,
                segments, size, oldest, _days(oldest, now_ns),
            )
        )  # fmt: skip
    here = {str(path) for path in paths}
    for uuid, (where, segments, size, oldest) in sorted(known.items()):
        if where not in here:
            lines.append(Line(where, uuid, "away", "", 0, 0, "unknown", segments, size, oldest, _days(oldest, now_ns)))
    return lines


def _known(index: Path) -> dict[str, tuple[str, int, int, int | None]]:
    """What the index knows of each volume: last path, segments, bytes, oldest start. Nothing when it cannot be read."""
    query = """
        SELECT volume, (SELECT path FROM volume AS v WHERE v.uuid = segment.volume), COUNT(*), SUM(bytes), MIN(start_ns)
        FROM segment WHERE state NOT IN ('lost', 'deleting') GROUP BY volume"""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(index))}?mode=ro", uri=True, timeout=5.0)) as connection:
            return {row[0]: (row[1] or row[0], row[2], row[3], row[4]) for row in connection.execute(query)}
    except sqlite3.Error:
        return {}


def _days(oldest_ns: int | None, now_ns: int) -> float | None:
    return None if oldest_ns is None else round((now_ns - oldest_ns) / _DAY_NS, 1)


def _show(screen: Screen, lines: Sequence[Line]) -> None:
    rows: list[Sequence[str]] = []
    colours = []
    for line in lines:
        size = screen.t("共", "of")
        room = f"{screen.t('空闲', 'free')} {_gb(line.free_bytes)} {size} {_gb(line.total_bytes)}"
        rows.append(
            (
                line.path,
                screen.say(_STATES[line.state]),
                room if line.total_bytes else "",
                screen.say(_ENCRYPTED[line.encrypted]) if line.total_bytes else "",
                screen.t(f"录像 {_gb(line.footage_bytes)}", f"footage {_gb(line.footage_bytes)}"),
                screen.t(f"{line.days} 天", f"{line.days} days") if line.days is not None else "",
            )
        )
        colours.append(YELLOW if line.state in ("closed", "missing") or line.encrypted == "no" else "")
    screen.table(rows, colours=colours)
    for line in lines:
        if line.detail:
            screen.line(f"{line.path}: {line.detail}", YELLOW)
        if line.uuid is not None:
            screen.line(f"{line.path}  {line.uuid}", FAINT)


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
