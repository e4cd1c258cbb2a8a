"""Exporting a package from the command line: footage of several cameras in a folder or a zip.

Invariants
1. The audit row is on disk before the first byte of footage is read; no audit, no export.
2. The footage is held while it is copied, where the recorder can hold it; the hold is let go in the end.
3. What is interrupted is told with its place, and goes on with the range that was meant at first.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import tzinfo
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Final

from agent.access import control
from agent.access.bar import Bar
from agent.access.console import Screen
from agent.access.evidence import REASONS, time_range
from agent.access.export import LONGEST_EXPORT_S, NOT_RUNNING, OK, REFUSED, USAGE, WRONG
from agent.access.package_evidence import Evidence, held
from agent.access.package_view import Told, for_people, for_programs
from agent.access.package_words import README
from agent.access.times import NS, BadTime, iso, shown
from agent.access.watching import who, zone_of
from agent.facts import Text
from agent.footage.disk.files import room_on
from agent.footage.exporting.export import ExportFailed, NoFootage
from agent.footage.exporting.manifest import PAGE, Circumstances, Film, Source
from agent.footage.exporting.package import NOT_YET, Built, Wanted, build, needed_bytes
from agent.footage.exporting.package_target import note, open_target, refuse_target, remove_staged, staged
from agent.footage.timeline import Gap, GapReason
from agent.wire import Refused, WireError

LONGEST_PACKAGE_S: Final = 31 * 86400
"""A month: more is for another disk, not for a package."""

LARGE_BYTES: Final = 20_000_000_000
"""From here on the size is told before: it does not fit onto what people carry about, and takes minutes."""


@dataclass(frozen=True, slots=True)
class PackageWish:
    """What was asked to be packed; times as typed. `password` only for a zip."""

    cameras: tuple[str, ...]
    streams: tuple[str, ...]
    start: str
    end: str
    output: Path
    why: str = ""
    joined: bool = False
    resume: bool = False
    password: bytes | None = None
    sound: bool = True
    """Of the joined files; recorded segments are as they are."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be packed, decided; kept beside what an interrupted export left."""

    cameras: tuple[str, ...]
    streams: tuple[str, ...]
    from_ns: int
    to_ns: int
    joined: bool


def export_package(screen: Screen, runtime: Path, wish: PackageWish, as_json: bool) -> int:
    """Write the package, after its audit row is on disk."""
    alarm = control.status_of(runtime, "alarm") or {}
    where = zone_of(alarm)
    try:
        asked = _decide(wish, where)
    except BadTime as bad:
        screen.problem(bad.text)
        return USAGE
    films = list(_films(runtime, asked))
    if not any(film.sources for film in films):
        times = f"{shown(asked.from_ns, where)} – {shown(asked.to_ns, where)}"
        screen.problem(Text(f"{', '.join(asked.cameras)} 在 {times} 没有录像", f"no footage of them at {times}"))
        return WRONG
    if (wrong := _room(films, asked, wish.output)) is not None:
        screen.problem(wrong)
        return WRONG
    _tell_before(screen, wish, asked, films, where)
    try:
        refuse_target(wish.output, wish.resume)
        row = _audit(runtime, wish, asked, films, where)
        target = open_target(wish.output, wish.resume, wish.password)
    except ExportFailed as error:
        screen.problem(error.text)
        return USAGE
    except _NotAudited as error:
        screen.problem(error.text)
        return error.status
    except OSError as error:
        screen.problem(Text(f"无法写入：{error}", f"cannot be written: {error}"))
        return WRONG
    try:
        note(wish.output).write_text(json.dumps(asdict(asked)), encoding="utf-8")
        around = _around(alarm, where, wish, asked, row)
        wanted = Wanted(tuple(films), around, asked.joined, page(), README.encode(), _words(), wish.sound)
        bar = Bar(screen)
        with held(runtime, films, wish.output):
            evidence = Evidence(runtime, _subject(asked), wish.why)
            try:
                built = build(wanted, target, evidence.prove, evidence.sign, bar)
            finally:
                bar.clear()
        _note_end(screen, runtime, wish, asked, built)
    except NoFootage as error:
        screen.problem(error.text)
        target.leave()
        remove_staged(wish.output)
        return WRONG
    except ExportFailed as error:
        screen.problem(error.text)
        _what_is_left(screen, wish.output)
        return WRONG
    except KeyboardInterrupt:
        screen.problem(Text("已中断", "interrupted"))
        _what_is_left(screen, wish.output)
        raise
    finally:
        target.leave()
    told = Told(wish.output, asked.from_ns, asked.to_ns, built, row, evidence.problems)
    if as_json:
        screen.json(for_programs(screen, told))
    else:
        for_people(screen, told, where)
    return WRONG if built.altered or built.signature is None else OK


def page() -> bytes:
    """The page that checks a package, the same in every package of this version."""
    return (resources.files("agent.access") / PAGE).read_bytes()


class _NotAudited(Exception):
    """No audit, no export."""

    def __init__(self, text: Text, status: int) -> None:
        super().__init__(text.en)
        self.text = text
        self.status = status


def _decide(wish: PackageWish, where: tzinfo) -> _Asked:
    """The range and the rest. Raises BadTime for what cannot be."""
    output = wish.output
    if not output.absolute().parent.is_dir():
        raise BadTime(Text(f"没有这个目录：{output.parent}", f"no such folder: {output.parent}"))
    if wish.password is not None and output.suffix.lower() != ".zip":
        raise BadTime(Text("加密码时文件名应以 .zip 结尾", "with a password the name must end in .zip"))
    cameras, streams = tuple(dict.fromkeys(wish.cameras)), tuple(dict.fromkeys(wish.streams))
    if wish.resume and note(output).exists():
        before = _noted(output)
        if before is not None and (before.cameras, before.streams, before.joined) == (cameras, streams, wish.joined):
            return before
        raise BadTime(
            Text(
                f"与中断的那次导出要求不同；删除 {staged(output)} 和 {note(output)} 后重来",
                f"not what the interrupted export was asked for; delete {staged(output)} and {note(output)}",
            )
        )
    from_ns, to_ns = time_range(wish.start, wish.end, where)
    if wish.joined and to_ns - from_ns > LONGEST_EXPORT_S * NS:
        raise BadTime(Text("合成文件一次最多 24 小时", "at most 24 hours in joined files"))
    if to_ns - from_ns > LONGEST_PACKAGE_S * NS:
        raise BadTime(Text("一次最多导出 31 天", "at most 31 days at once"))
    return _Asked(cameras, streams, from_ns, to_ns, wish.joined)


def _noted(output: Path) -> _Asked | None:
    try:
        told = json.loads(note(output).read_text(encoding="utf-8"))
        return _Asked(
            tuple(told["cameras"]), tuple(told["streams"]), int(told["from_ns"]), int(told["to_ns"]),
            bool(told["joined"]),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _films(runtime: Path, asked: _Asked) -> Iterator[Film]:
    status = control.status_of(runtime, "record") or {}
    names = {str(each.get("id")): str(each.get("name") or "") for each in status.get("cameras", ())}
    for camera in asked.cameras:
        for stream in asked.streams:
            segments = control.segments(runtime, camera, asked.from_ns, asked.to_ns, stream)
            gaps = control.missing(runtime, camera, asked.from_ns, asked.to_ns, stream)
            sources = tuple(_source(segment) for segment in segments)
            uuid = str(segments[0].get("name", "")).partition("/")[0] if segments else ""
            yield Film(camera, names.get(camera, ""), uuid, stream, sources, (), tuple(_gap(gap) for gap in gaps))


def _source(segment: Mapping[str, Any]) -> Source:
    try:
        size = int(segment["bytes"])
        if segment["state"] == "open":
            size = max(size, _size(str(segment["path"])))
        return Source(
            str(segment["path"]), int(segment.get("seq") or 0), int(segment["start_ns"]), int(segment["end_ns"]),
            str(segment.get("codec", "")), int(segment.get("width") or 0), int(segment.get("height") or 0), size,
            str(segment["state"]), segment.get("digest"), segment.get("chain"),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"an answer without all of a segment: {error!r}") from error


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _gap(gap: control.Gap) -> Gap:
    reason = gap.get("reason", "")
    known = reason if reason in set(GapReason) else GapReason.UNRECORDED
    return Gap(gap["from_ns"], gap["to_ns"], GapReason(known), gap.get("detail", ""))


def _room(films: list[Film], asked: _Asked, output: Path) -> Text | None:
    """Why there is not room enough, if so; what an interrupted export left counts as room."""
    need, free = needed_bytes(films, asked.joined), room_on(output.absolute().parent).free_bytes
    stage = staged(output)
    left = [stage] if stage.is_file() else [each for each in stage.rglob("*") if each.is_file()]
    free += sum(each.stat().st_size for each in left)
    if need <= free:
        return None
    parts = f"{need / 1e9:.1f} GB", f"{free / 1e9:.1f} GB"
    return Text(f"空间不足：需要 {parts[0]}，只有 {parts[1]}", f"not enough room: {parts[0]} needed, {parts[1]} free")


def _tell_before(screen: Screen, wish: PackageWish, asked: _Asked, films: list[Film], where: tzinfo) -> None:
    """What somebody may want to stop it for."""
    if wish.resume and staged(wish.output).exists():
        times = f"{shown(asked.from_ns, where)} – {shown(asked.to_ns, where)}"
        screen.problem(Text(f"继续中断的导出：{times}", f"going on with the interrupted export: {times}"))
    need = needed_bytes(films, asked.joined)
    if need > LARGE_BYTES:
        screen.problem(Text(f"约 {need / 1e9:.0f} GB，需要较长时间", f"about {need / 1e9:.0f} GB, this takes a while"))


def _audit(runtime: Path, wish: PackageWish, asked: _Asked, films: list[Film], where: tzinfo) -> dict[str, Any]:
    detail = {
        "cameras": list(asked.cameras), "streams": list(asked.streams), "from": iso(asked.from_ns, where),
        "to": iso(asked.to_ns, where), "why": wish.why, "file": str(wish.output.absolute()),
        "segments": sum(len(film.sources) for film in films), "joined": asked.joined,
        "encrypted": wish.password is not None, "resumed": staged(wish.output).exists() and wish.resume,
    }  # fmt: skip
    try:
        return control.audit(runtime, "footage.export", _subject(asked), who(), detail)
    except (WireError, Refused) as error:
        reason = error.text if isinstance(error, Refused) else Text(str(error), str(error))
        zh, en = f"无法记入审计，因此不导出：{reason.zh}", f"not exported, because it cannot be audited: {reason.en}"
        raise _NotAudited(Text(zh, en), REFUSED if isinstance(error, Refused) else NOT_RUNNING) from error


def _subject(asked: _Asked) -> str:
    return "camera/" + ",".join(asked.cameras)


def _around(
    alarm: Mapping[str, Any], where: tzinfo, wish: PackageWish, asked: _Asked, row: Mapping[str, Any]
) -> Circumstances:
    facility = {"id": str(alarm.get("facility", "")), "name": str(alarm.get("facility_name", ""))}
    audit = {"n": row.get("n"), "hash": row.get("hash")}
    tool = f"yunjian {metadata.version('yunjian')}"
    return Circumstances(facility, where, asked.from_ns, asked.to_ns, time.time_ns(), who(), wish.why, tool, audit)


def _words() -> dict[str, dict[str, str]]:
    words = {**REASONS, NOT_YET: Text("尚未录到，不是中断", "not recorded yet, no gap")}
    return {name: {"zh": text.zh, "en": text.en} for name, text in words.items()}


def _note_end(screen: Screen, runtime: Path, wish: PackageWish, asked: _Asked, built: Built) -> None:
    detail = {
        "file": str(wish.output.absolute()), "bytes": built.bytes, "files": len(built.files),
        "manifest": built.manifest_sha256, "signed": built.signature is not None, "altered": len(built.altered),
    }  # fmt: skip
    try:
        control.audit(runtime, "footage.exported", _subject(asked), who(), detail)
    except (WireError, Refused) as error:
        screen.problem(Text(f"结束未能记入审计：{error}", f"its end could not be audited: {error}"))


def _what_is_left(screen: Screen, output: Path) -> None:
    stage = staged(output)
    if stage.exists():
        screen.problem(
            Text(
                f"未完成的部分在 {stage}；加 --resume 继续，或删除它",
                f"what is not complete is in {stage}; go on with --resume, or delete it",
            )
        )
