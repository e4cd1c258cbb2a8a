"""`yunjian footage verify` and `yunjian footage fingerprint`: the chain of evidence, in words."""

import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

from agent.access.bar import Bar
from agent.access.console import FAINT, GREEN, RED, YELLOW, Screen, counted
from agent.access.evidence import time_range
from agent.access.times import BadTime, parse, shown
from agent.facts import Text
from agent.fingerprint import fingerprint, is_same
from agent.footage.chain import UnknownHash
from agent.footage.custody.device_key import public_key
from agent.footage.custody.evidence import UNPROVED, Finding, FindingKind
from agent.footage.custody.verify import Rebuilding, Report, Wanted, verify
from agent.footage.disk.files import VolumeRefused, check_volume
from agent.footage.naming import camera_uuid

OK, WRONG, USAGE, REFUSED = 0, 1, 2, 4

WORDS: Final = {
    FindingKind.ALTERED: Text("内容被改动", "altered"),
    FindingKind.MISSING: Text("文件不见了", "the file is missing"),
    FindingKind.REMOVED: Text("违规删除", "removed outside policy"),
    FindingKind.REORDERED: Text("顺序被调换", "reordered"),
    FindingKind.CHAIN_BROKEN: Text("证据链断开", "the chain is broken"),
    FindingKind.CHECKPOINT_BROKEN: Text("与签名的检查点不符", "not what a checkpoint signed"),
    FindingKind.JOURNAL_BROKEN: Text("日志被改动", "the journal is broken"),
    FindingKind.UNINDEXED: Text("索引里没有的文件", "a file that the index does not know"),
    FindingKind.DAMAGED: Text("断电或磁盘损坏，当时已签名", "damaged by a cut or a disk, signed as it was left"),
    FindingKind.UNVOUCHED: Text("断电或磁盘损坏，没有签名可证", "damaged by a cut or a disk, and not proved"),
    FindingKind.UNSIGNED: Text("此后长时间没有签名", "nothing was signed for hours from here on"),
}

_EXPECTED: Final = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed: ids of cameras, times, fingerprints and checkpoints (`number:hash`) from outside."""

    cameras: Sequence[str] = ()
    start: str | None = None
    end: str | None = None
    quick: bool = False
    fingerprints: Sequence[str] = ()
    checkpoints: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """What is verified, from the settings: footage.db, volumes, and whose they are."""

    index: Path
    volumes: Sequence[Path]
    facility: str
    where: tzinfo


def run(screen: Screen, place: Place, asked: Asked, as_json: bool) -> int:
    """Verify and tell: 0 nothing found, 1 something found or not all could be read, 2 usage, 4 not now."""
    try:
        wanted, away = _wanted(place, asked)
    except BadTime as bad:
        screen.problem(bad.text)
        return USAGE
    bar = Bar(screen)
    try:
        report = verify(wanted, bar)
    except Rebuilding:
        zh, en = "索引正在从录像文件重建，请稍后再验证", "the index is being built from the files: verify later"
        screen.problem(Text(zh, en))
        return REFUSED
    except (sqlite3.Error, OSError, UnknownHash) as error:
        screen.problem(Text(f"无法验证：{error}", f"cannot verify: {error}"))
        return WRONG
    finally:
        bar.clear()
    for path, why in away.items():
        report.unread.setdefault(f"{path}: {why}", 0)
    verdict = judge(report, asked.fingerprints)
    if as_json:
        screen.json(_for_programs(report, verdict))
    else:
        _for_people(screen, report, verdict, place.where, asked)
    return OK if verdict in ("consistent", "authentic") else WRONG


def tell_fingerprint(screen: Screen, data: Path, as_json: bool) -> int:
    """Print the fingerprint of the device; 1 when it has no key yet."""
    public = public_key(data)
    if public is None:
        zh, en = (
            "还没有设备密钥：录像进程第一次启动时生成",
            "no device key yet: the record process makes it at its first start",
        )
        screen.problem(Text(zh, en))
        return WRONG
    named = fingerprint(public)
    if as_json:
        screen.json({"fingerprint": named, "public_key_hex": public.hex()})
    else:
        screen.line(named)
    return OK


def judge(report: Report, fingerprints: Sequence[str]) -> str:
    """`broken`, `incomplete` (not all could be read, or what should be is not proved by a signature), `other_key`,
    `consistent` or, with fingerprints that people brought from outside and that all signatures are of, `authentic`."""
    if any(each.kind not in UNPROVED for each in report.findings):
        return "broken"
    if report.unread or report.unread_rows or report.findings:
        return "incomplete"
    if not fingerprints:
        return "consistent"
    signers = [each.fingerprint for each in report.review.signers.values() if each.checkpoints]
    if any(not any(is_same(typed, each) for typed in fingerprints) for each in signers):
        return "other_key"
    return "authentic" if signers else "incomplete"


def _wanted(place: Place, asked: Asked) -> tuple[Wanted, Mapping[Path, str]]:
    volumes: dict[str, Path] = {}
    away: dict[Path, str] = {}
    for path in place.volumes:
        try:
            volumes[check_volume(path, place.facility).uuid] = path
        except VolumeRefused as error:
            away[path] = error.detail
    from_ns = to_ns = None
    if asked.start is not None:
        from_ns, to_ns = time_range(asked.start, asked.end or "now", place.where)
    elif asked.end is not None:
        to_ns = parse(asked.end, time.time_ns(), place.where)
    cameras = frozenset(camera_uuid(place.facility, each) for each in asked.cameras) or None
    expected: dict[int, str] = {}
    for each in asked.checkpoints:
        found = _EXPECTED.fullmatch(each.strip().lower())
        if found is None:
            raise BadTime(Text(f"检查点应为 序号:摘要：{each}", f"a checkpoint is written number:hash, not {each}"))
        expected[int(found[1])] = found[2]
    for each in asked.fingerprints:
        if sum(letter.isdigit() for letter in each) != 40:
            raise BadTime(Text(f"指纹是 40 个数字：{each}", f"a fingerprint has 40 digits: {each}"))
    return Wanted(place.index, volumes, cameras, from_ns, to_ns, asked.quick, expected, not away), away


def _for_people(screen: Screen, report: Report, verdict: str, where: tzinfo, asked: Asked) -> None:
    review = report.review
    for found in report.first.values():
        screen.line(_finding(screen, report, found, where), RED)
    more = len(report.findings) - len(report.first)
    if more:
        screen.line(screen.t(f"另有 {more} 处；--json 列出全部", f"{more} more; --json lists all"), FAINT)
    for found in report.notes:
        screen.line(_finding(screen, report, found, where), YELLOW)
    for why, count in report.unread.items():
        files = (
            screen.t(f"{count} 个文件", counted(count, "file", "files")) if count else screen.t("整卷", "the volume")
        )
        screen.line(screen.t(f"没有读到 {files}：{why}", f"not read, {files}: {why}"), YELLOW)
    for first, last in report.unread_rows:
        zh, en = (
            f"日志第 {first} 到 {last} 行不在现有的卷上",
            f"journal rows {first} to {last} are on no volume that is here",
        )
        screen.line(screen.t(zh, en), YELLOW)
    size = f"{report.read_bytes / 1e9:.1f} GB"
    zh = f"录像 {report.segments} 段，另有 {report.deleted} 段已删除并有记录，读了 {size}"
    en = f"{counted(report.segments, 'segment', 'segments')}, {report.deleted} deleted with a tombstone, {size} read"
    screen.line(screen.t(zh, en))
    newest = review.newest
    when = shown(newest.at_ns, where) if newest else screen.t("无", "none")
    zh = f"日志 {review.head.n} 行，检查点 {review.checkpoints} 个，最新 {when}"
    zh += f"；此后录像 {report.unsigned} 段、删除 {report.unsigned_deleted} 段尚未签名"
    en = f"journal: {review.head.n} rows, {review.checkpoints} checkpoints, newest {when}"
    en += f"; not signed yet: {report.unsigned} segments recorded since, {report.unsigned_deleted} deleted"
    screen.line(screen.t(zh, en))
    if report.unlinked:
        zh = f"{report.unlinked} 段由旧版本录制，不在证据链里，只比对摘要"
        screen.line(screen.t(zh, f"{report.unlinked} segments of the first version: compared by digest alone"), FAINT)
    for n in review.forks:
        screen.line(
            screen.t(f"日志第 {n} 行：某卷的日志曾不一致，已另存", f"journal row {n}: a copy was another one, kept"),
            YELLOW,
        )
    for n in review.exposed:
        zh, en = f"日志第 {n} 行：设备密钥曾可被其他用户读取", f"journal row {n}: other users could read the device key"
        screen.line(screen.t(zh, en), YELLOW)
    for each in review.signers.values():
        since = shown(each.since_ns, where)
        signed = screen.t(f"{each.checkpoints} 次签名，始于 {since}", f"{each.checkpoints} signatures since {since}")
        screen.line(f"{screen.t('密钥', 'key')}  {each.fingerprint}  {signed}  {each.why}", FAINT)
    screen.line(screen.say(_verdict(verdict, asked.quick)), GREEN if verdict in ("consistent", "authentic") else RED)


def _finding(screen: Screen, report: Report, found: Finding, where: tzinfo) -> str:
    parts: list[str] = []
    if found.camera:
        parts.append(f"{report.names.get(found.camera, found.camera)} {found.stream}")
    if found.seq:
        parts.append(screen.t(f"第 {found.seq} 段", f"segment {found.seq}"))
    if found.at_ns is not None:
        parts.append(shown(found.at_ns, where))
    if found.n:
        parts.append(screen.t(f"日志第 {found.n} 行", f"journal row {found.n}"))
    parts.append(screen.say(WORDS[found.kind]))
    parts += [each for each in (screen.say(found.detail), found.path) if each]
    return "  ".join(parts)


def _verdict(verdict: str, quick: bool) -> Text:
    read = Text("（未读文件内容）", " (no file was read)") if quick else Text("", "")
    return {
        "broken": Text("不一致：录像或其记载被改动过", "NOT CONSISTENT: footage or what is said of it was changed"),
        "incomplete": Text(
            "结论不完整：没有全部读到，或有录像没有签名可证",
            "INCOMPLETE: not all could be read, or some footage is not proved by a signature",
        ),
        "other_key": Text(
            "签名不是这个指纹的密钥所签", "NOT AUTHENTIC: signed with another key than this fingerprint's"
        ),
        "consistent": Text(
            f"前后一致{read.zh}。是否真实，须用安装时抄下的设备指纹核对：--fingerprint",
            f"CONSISTENT{read.en}. Whether it is authentic shows only with the fingerprint noted at installation:"
            " --fingerprint",
        ),
        "authentic": Text(
            f"前后一致{read.zh}，签名与指纹相符", f"CONSISTENT and AUTHENTIC{read.en}: signed by this device"
        ),
    }[verdict]


def _for_programs(report: Report, verdict: str) -> dict[str, Any]:
    review = report.review
    newest = review.newest
    return {
        "ok": verdict in ("consistent", "authentic"),
        "verdict": verdict,
        "findings": [_told(report, each) for each in report.findings],
        "notes": [_told(report, each) for each in report.notes],
        "first": [_told(report, each) for each in report.first.values()],
        "segments": report.segments, "deleted": report.deleted, "read_bytes": report.read_bytes,
        "unread": report.unread, "unlinked": report.unlinked, "unsigned": report.unsigned,
        "unsigned_deleted": report.unsigned_deleted, "unread_rows": [list(each) for each in report.unread_rows],
        "journal": {
            "n": review.head.n, "hash": review.head.hash, "checkpoints": review.checkpoints,
            "newest_checkpoint": {"n": newest.n, "at_ns": newest.at_ns} if newest else None, "forks": review.forks,
            "key_was_open": review.exposed,
        },
        "keys": [
            {
                "fingerprint": each.fingerprint,
                "since_ns": each.since_ns,
                "why": each.why,
                "checkpoints": each.checkpoints,
            }
            for each in review.signers.values()
        ],
    }  # fmt: skip


def _told(report: Report, found: Finding) -> dict[str, Any]:
    return {
        "kind": found.kind.value, "camera_id": report.names.get(found.camera, found.camera) or None,
        "camera": found.camera or None, "stream": found.stream or None, "seq": found.seq or None,
        "journal_n": found.n or None, "at_ns": found.at_ns, "path": found.path or None,
        "detail_zh": found.detail.zh, "detail_en": found.detail.en,
    }  # fmt: skip
