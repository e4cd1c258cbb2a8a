"""Exporting a package from the command line: footage of several cameras in a folder or a zip.

Invariants
1. The audit row is on disk before the first byte of footage is read; no audit, no export.
2. The footage is held while it is copied, where the recorder can hold it; the hold is let go in the end.
3. What is interrupted is told with its place, and goes on with the range that was meant at first.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
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
from agent.footage.exporting.export import ExportFailed, NoFootage, refused
from agent.footage.exporting.manifest import PAGE, Circumstances, Film, Source, safe
from agent.footage.exporting.package import NOT_YET, Built, Wanted, build, needed_bytes
from agent.footage.exporting.package_target import (
    PackageTarget,
    note,
    open_target,
    refuse_target,
    remove_staged,
    staged,
)
from agent.footage.timeline import Gap, GapReason
from agent.wire import Refused, WireError

LONGEST_PACKAGE_S: Final = 31 * 86400
"""A month: more is for another disk, not for a package."""

LARGE_BYTES: Final = 20_000_000_000
"""From here on the size is told before: it does not fit onto what people carry about, and takes minutes."""


_SCRIPTS: Final = ("verify_hashes.js", "verify_proof.js")


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


@dataclass(frozen=True, slots=True)
class _Work:
    """A package that is to be written: what was asked, of which films, and its audit row."""

    wish: PackageWish
    asked: _Asked
    films: tuple[Film, ...]
    around: Circumstances
    row: Mapping[str, Any]


class _Stop(Exception):
    """The export ends here: what to tell, and the exit status."""

    def __init__(self, status: int, *texts: Text) -> None:
        super().__init__(*(text.en for text in texts))
        self.status = status
        self.texts = texts


def export_package(screen: Screen, runtime: Path, wish: PackageWish, as_json: bool) -> int:
    """Write the package, after its audit row is on disk."""
    alarm = control.status_of(runtime, "alarm") or {}
    where = zone_of(alarm)
    try:
        asked, films = _plan(screen, runtime, wish, where)
        row, target = _begin(runtime, wish, asked, films, where)
        work = _Work(wish, asked, films, _around(alarm, where, wish, asked, row), row)
        built, problems, is_proved = _write(screen, runtime, work, target)
    except _Stop as stop:
        for text in stop.texts:
            screen.problem(text)
        return stop.status
    _note_end(screen, runtime, work, built)
    told = Told(wish.output, asked.from_ns, asked.to_ns, built, row, problems, wish.password is not None)
    if as_json:
        screen.json(for_programs(screen, told))
    else:
        for_people(screen, told, where)
    return OK if is_proved and built.signature is not None and not built.altered else WRONG


def _plan(screen: Screen, runtime: Path, wish: PackageWish, where: tzinfo) -> tuple[_Asked, tuple[Film, ...]]:
    """What is to be packed, once it is known that it can be. Raises _Stop."""
    try:
        asked = _decide(wish, where)
    except BadTime as bad:
        raise _Stop(USAGE, bad.text) from bad
    films = tuple(_films(runtime, asked))
    if not any(film.sources for film in films):
        times = f"{shown(asked.from_ns, where)} – {shown(asked.to_ns, where)}"
        raise _Stop(WRONG, Text(f"{', '.join(asked.cameras)} 在 {times} 没有录像", f"no footage of them at {times}"))
    if (wrong := _room(films, asked, wish.output)) is not None:
        raise _Stop(WRONG, wrong)
    _tell_before(screen, wish, asked, films, where)
    return asked, films


def _begin(
    runtime: Path, wish: PackageWish, asked: _Asked, films: Sequence[Film], where: tzinfo
) -> tuple[Mapping[str, Any], PackageTarget]:
    """The audit row, and the package begun after it. Raises _Stop."""
    try:
        refuse_target(wish.output, wish.resume)
        row = _audit(runtime, wish, asked, films, where)
        return row, open_target(wish.output, wish.resume, wish.password)
    except ExportFailed as error:
        raise _Stop(USAGE, error.text) from error
    except OSError as error:
        raise _Stop(WRONG, Text(f"无法写入：{error}", f"cannot be written: {error}")) from error


def _write(screen: Screen, runtime: Path, work: _Work, target: PackageTarget) -> tuple[Built, list[Text], bool]:
    """The package, what the recorder refused, and whether it proved what it could. Raises _Stop; what is not complete
    is told then, and stays for `--resume`."""
    wish, asked, output = work.wish, work.asked, work.wish.output
    wanted = Wanted(work.films, work.around, asked.joined, page(), README.encode(), _words(), wish.sound)
    bar = Bar(screen)
    try:
        _note_down(output, asked)
        with held(runtime, work.films, output) as not_held:
            evidence = Evidence(runtime, _subject(asked), wish.why)
            built = build(wanted, target, evidence.prove, evidence.sign, bar, evidence.vouch)
        bar.clear()
        problems = [*evidence.problems, *([not_held] if not_held else [])]
        return built, problems, not evidence.problems
    except NoFootage as error:
        bar.clear()
        target.leave()
        remove_staged(output)
        raise _Stop(WRONG, error.text) from error
    except (ExportFailed, OSError) as error:
        bar.clear()
        failed = error if isinstance(error, ExportFailed) else refused(error)
        raise _Stop(WRONG, failed.text, *_what_is_left(output)) from error
    except KeyboardInterrupt:
        bar.clear()
        for text in (Text("已中断", "interrupted"), *_what_is_left(output)):
            screen.problem(text)
        raise
    finally:
        target.leave()


def page() -> bytes:
    """The page that checks a package, the same in every package of this version: one file, with its scripts in it."""
    folder = resources.files("agent.access")
    content = (folder / PAGE).read_text(encoding="utf-8").replace(" file:;", ";")
    for name in _SCRIPTS:
        script = (folder / name).read_text(encoding="utf-8")
        content = content.replace(f'<script src="{name}"></script>', f"<script>\n{script}</script>")
    return content.encode()


def _decide(wish: PackageWish, where: tzinfo) -> _Asked:
    """The range and the rest. Raises BadTime for what cannot be."""
    output = wish.output
    if not output.absolute().parent.is_dir():
        raise BadTime(Text(f"没有这个目录：{output.parent}", f"no such folder: {output.parent}"))
    if wish.password is not None and output.suffix.lower() != ".zip":
        raise BadTime(Text("加密码时文件名应以 .zip 结尾", "with a password the name must end in .zip"))
    cameras, streams = tuple(dict.fromkeys(wish.cameras)), tuple(dict.fromkeys(wish.streams))
    if len({safe(each).lower() for each in cameras}) < len(cameras):
        zh = "这些摄像机的文件夹名在 Windows 和 U 盘上相同，请分开导出"
        raise BadTime(Text(zh, "their folders would be the same on Windows and on sticks: export them one by one"))
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


def _note_down(output: Path, asked: _Asked) -> None:
    """Keep what was asked beside what is written, whole or not at all. Raises OSError."""
    fresh = note(output).with_suffix(".new")
    try:
        fresh.write_text(json.dumps(asdict(asked)), encoding="utf-8")
        fresh.rename(note(output))
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


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
            str(segment["state"]), segment.get("digest"), segment.get("chain"), volume=str(segment.get("volume") or ""),
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


def _room(films: Sequence[Film], asked: _Asked, output: Path) -> Text | None:
    """Why there is not room enough, if so; what an interrupted export left counts as room."""
    need, free = needed_bytes(films, asked.joined), room_on(output.absolute().parent).free_bytes
    stage = staged(output)
    left = [stage] if stage.is_file() else [each for each in stage.rglob("*") if each.is_file()]
    free += sum(each.stat().st_size for each in left)
    if need <= free:
        return None
    parts = f"{need / 1e9:.1f} GB", f"{free / 1e9:.1f} GB"
    return Text(f"空间不足：需要 {parts[0]}，只有 {parts[1]}", f"not enough room: {parts[0]} needed, {parts[1]} free")


def _tell_before(screen: Screen, wish: PackageWish, asked: _Asked, films: Sequence[Film], where: tzinfo) -> None:
    """What somebody may want to stop it for."""
    if wish.resume and staged(wish.output).exists():
        times = f"{shown(asked.from_ns, where)} – {shown(asked.to_ns, where)}"
        screen.problem(Text(f"继续中断的导出：{times}", f"going on with the interrupted export: {times}"))
    need = needed_bytes(films, asked.joined)
    if need > LARGE_BYTES:
        screen.problem(Text(f"约 {need / 1e9:.0f} GB，需要较长时间", f"about {need / 1e9:.0f} GB, this takes a while"))


def _audit(runtime: Path, wish: PackageWish, asked: _Asked, films: Sequence[Film], where: tzinfo) -> dict[str, Any]:
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
        raise _Stop(REFUSED if isinstance(error, Refused) else NOT_RUNNING, Text(zh, en)) from error


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


def _note_end(screen: Screen, runtime: Path, work: _Work, built: Built) -> None:
    detail = {
        "file": str(work.wish.output.absolute()), "bytes": built.bytes, "files": len(built.files),
        "manifest": built.manifest_sha256, "signed": built.signature is not None, "altered": len(built.altered),
    }  # fmt: skip
    try:
        control.audit(runtime, "footage.exported", _subject(work.asked), who(), detail)
    except (WireError, Refused) as error:
        screen.problem(Text(f"结束未能记入审计：{error}", f"its end could not be audited: {error}"))


def _what_is_left(output: Path) -> list[Text]:
    stage = staged(output)
    if not stage.exists():
        return []
    return [
        Text(
            f"未完成的部分在 {stage}；加 --resume 继续，或删除它",
            f"what is not complete is in {stage}; go on with --resume, or delete it",
        )
    ]
