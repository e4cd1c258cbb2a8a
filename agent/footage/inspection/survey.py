"""Reads volumes and index for `soundness` to judge, beside a recorder that may be running.

Invariants
1. Nothing is written.
2. What the recorder is just doing is no finding: what looks wrong is looked at again, and counts if it stays.
"""

import os
import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final
from zlib import crc32

from agent.facts import Text
from agent.footage.chain import UnknownHash, algorithm_of, link
from agent.footage.disk.block_devices import is_encrypted
from agent.footage.disk.encryption import Encrypted
from agent.footage.disk.files import (
    QUARANTINE,
    Volume,
    VolumeRefused,
    check_volume,
    list_directory,
    room_on,
    segment_directories,
)
from agent.footage.inspection.recorded_rows import RecordedRows, Reel, ReelRows
from agent.footage.inspection.soundness import (
    Finding,
    Row,
    judge_directory,
    judge_file,
    judge_gaps,
    judge_holds,
    judge_ledger,
    judge_stream,
    judge_tombstones,
)
from agent.footage.mending.segment_file import walk_file
from agent.footage.migrations import MIGRATIONS
from agent.footage.naming import parse_name
from agent.footage.recording.volumes import RESERVE_BYTES
from agent.footage.timeline import NS, Gap, GapReason, Span
from agent.footage.upkeep.old_indexes import old_indexes

LOOK_AGAIN_S: Final = 1.5
LOOKS: Final = 4
"""A file is closed, synced and given its row within a second or two; a slow disk gets three more looks."""

DAY_NS: Final = 86_400 * NS

Unit = Callable[[], list[Finding]]


@dataclass
class Report:
    """What was found, what is worth knowing, and how much was looked at."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[Text] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"volumes": 0, "segments": 0, "files_walked": 0, "gaps": 0})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is checked: the index, the volumes of the facility, and the reels (camera uuid, stream) that its settings
    say are recorded. `deep` reads the boxes of every file, not of the newest and a sample."""

    index: Path
    volumes: Sequence[Path]
    agent_id: str
    recorded: Collection[tuple[str, str]]
    deep: bool = False


def survey(
    wanted: Wanted, now_ns: Callable[[], int], wait: Callable[[float], None], progress: Callable[[int, int], None]
) -> Report:
    """Check everything. `wait` is given seconds, `progress` how many pieces of work are done, of how many."""
    made = _Survey(wanted, now_ns)
    if broken := made.index():
        made.report.findings += broken
        return made.report
    units: list[Unit] = [*made.directories(), *made.reels(), made.rest]
    bad: list[tuple[Unit, list[Finding]]] = []
    for number, unit in enumerate(units):
        if found := made.tried(unit):
            bad.append((unit, found))
        progress(number + 1, len(units))
    counts = dict(made.report.counts)
    for _ in range(LOOKS - 1):
        if not bad:
            break
        wait(LOOK_AGAIN_S)
        again = [(unit, _both(found, made.tried(unit))) for unit, found in bad]
        bad = [(unit, found) for unit, found in again if found]
    made.report.counts = counts
    made.report.findings += [each for _, found in bad for each in found]
    made.report.findings.sort(key=lambda each: (each.number, each.where))
    return made.report


def _both(before: list[Finding], now: list[Finding]) -> list[Finding]:
    """What was found both times, as it is said now."""
    known = {(each.number, each.where) for each in before}
    return [each for each in now if (each.number, each.where) in known]


class _Survey:
    def __init__(self, wanted: Wanted, now_ns: Callable[[], int]) -> None:
        self.report = Report()
        self._wanted = wanted
        self._now_ns = now_ns
        self._newest: set[str] = set()
        self._salt = os.urandom(4)  # another sample at every check, the same at every look
        self._rows = RecordedRows(wanted.index)
        self._volumes = self._mounted()

    def index(self) -> list[Finding]:
        """2."""
        path, do = self._wanted.index, _REBUILD
        if not path.exists():
            return [Finding(2, str(path), Text("没有索引", "there is no index"), do)]
        try:
            problems, version = self._rows.problems(), self._rows.version()
        except sqlite3.Error as error:
            return [Finding(2, str(path), Text(str(error), str(error)), do)]
        found = [Finding(2, str(path), Text(text, text), do) for text in problems]
        if version != len(MIGRATIONS):
            text = Text(
                f"版本 {version}，程序是 {len(MIGRATIONS)}", f"version {version}, the program's is {len(MIGRATIONS)}"
            )
            found.append(Finding(2, str(path), text, Text("重启 record", "restart record")))
        return found

    def directories(self) -> list[Unit]:
        """3, 4, 9, 10, directory by directory: of files, and of rows whose directory is gone."""
        units: list[Unit] = []
        for volume in self._volumes:
            try:
                on_disk = list(segment_directories(volume.path))
            except OSError as error:
                text = Text(f"读不了：{error.strerror}", f"cannot be read: {error.strerror}")
                self.report.findings.append(Finding(1, str(volume.path), text, _DISK))
                continue
            reels: set[str] = set()
            for directory in on_disk:  # of each reel the newest comes first
                reel = "/".join(directory.split("/")[:2])
                if reel not in reels:
                    self._newest.add(f"{volume.uuid}:{directory}")
                    reels.add(reel)
            known = set(on_disk) | set(self._rows.directories(volume.uuid))
            units += [partial(self._directory, volume, directory) for directory in sorted(known)]
        return units

    def reels(self) -> list[Unit]:
        """5 to 8, 11 to 14 and 16, reel by reel."""
        return [partial(self._reel, reel) for reel in self._rows.reels()]

    def rest(self) -> list[Finding]:
        """15, what lies on volumes that are not there, and indexes that were set aside."""
        for where, number in self._rows.away([volume.uuid for volume in self._volumes]):
            zh, en = (
                f"{number} 个分段在 {where} 上，这块盘现在不在",
                f"{number} segments are on {where}, which is not here",
            )
            self.report.notes.append(Text(zh, en))
        if old := old_indexes(self._wanted.index):
            size, names = sum(each.bytes for each in old), ", ".join(each.files[0].name for each in old[-3:])
            self.report.notes.append(
                Text(f"移开的旧索引 {len(old)} 个，{size} 字节（{names}）",
                     f"{len(old)} indexes that were set aside, {size} bytes ({names})")
            )  # fmt: skip
        return list(judge_holds(self._rows.holds(), self._rows.cameras()))

    def tried(self, unit: Unit) -> list[Finding]:
        """What a unit finds; an index that cannot be read is a finding of its own."""
        try:
            return unit()
        except sqlite3.Error as error:
            return [Finding(2, str(self._wanted.index), Text(str(error), str(error)), _REBUILD)]

    def _mounted(self) -> list[Volume]:
        found: list[Volume] = []
        for path in self._wanted.volumes:
            try:
                volume = check_volume(path, self._wanted.agent_id)
                room = room_on(path)
            except (VolumeRefused, OSError) as error:
                self.report.findings.append(Finding(1, str(path), Text(str(error), str(error)), _DISK))
                continue
            twin = next((each for each in found if each.uuid == volume.uuid), None)
            if twin is not None:
                what = Text(f"与 {twin.path} 是同一块盘或其副本", f"the same volume as {twin.path}, or a copy of it")
                do = Text("设置里只留一个；副本要另建 VOLUME.json", "leave one of the two in the settings")
                self.report.findings.append(Finding(1, str(path), what, do))
                continue
            if room.read_only:
                self.report.findings.append(Finding(17, str(path), Text("只读", "mounted read-only"), _DISK))
            elif room.free_bytes < RESERVE_BYTES:
                what = Text(f"只剩 {room.free_bytes} 字节", f"{room.free_bytes} bytes are free")
                self.report.findings.append(Finding(17, str(path), what, _ROOM))
            found.append(volume)
            self._note(volume)
        self.report.counts["volumes"] = len(found)
        return found

    def _note(self, volume: Volume) -> None:
        if is_encrypted(volume.path) is Encrypted.NO:
            self.report.notes.append(Text(f"{volume.path} 未加密", f"{volume.path} is not encrypted"))
        folder = volume.path / QUARANTINE
        kept = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
        if kept:
            size = sum(path.stat().st_size for path in kept)
            names = ", ".join(path.name for path in kept[:3])
            self.report.notes.append(
                Text(
                    f"隔离区 {folder}：{len(kept)} 个文件，{size} 字节（{names}）",
                    f"quarantine {folder}: {len(kept)} files, {size} bytes ({names})",
                )
            )

    def _directory(self, volume: Volume, directory: str) -> list[Finding]:
        try:
            files = list_directory(volume.path, directory)  # before the rows: a row comes before its file
        except OSError as error:
            text = Text(f"读不了：{error.strerror}", f"cannot be read: {error.strerror}")
            return [Finding(1, f"{volume.path}/{directory}", text, _DISK)]
        rows = self._rows.inside(volume.uuid, directory)
        found = list(judge_directory(files, rows, lambda path: parse_name(PurePosixPath(path)) is not None))
        wrong = {each.where for each in found}
        whole = [row for row in rows if row.path in files and row.path not in wrong and row.state not in _MOVING]
        if not self._wanted.deep and f"{volume.uuid}:{directory}" not in self._newest:
            whole = sorted(whole, key=lambda row: crc32(self._salt + row.path.encode()))[:1]
        for row in whole:
            found += self._file(volume, row)
        return found

    def _file(self, volume: Volume, row: Row) -> Iterator[Finding]:
        path = volume.path / row.path
        try:
            walked, size = walk_file(path), path.stat().st_size
        except OSError as error:
            text = Text(f"读不了：{error.strerror}", f"cannot be read: {error.strerror}")
            yield Finding(9, row.path, text, _DISK)
            return
        self.report.counts["files_walked"] += 1
        yield from judge_file(row, walked, size)

    def _reel(self, reel: Reel) -> list[Finding]:
        of = self._rows.of(reel)
        spans: list[Span] = []
        opened: list[int] = []
        damaged = {gap.detail for gap in of.gaps if gap.reason == GapReason.FILE_DAMAGED}
        found = list(judge_stream(self._noted(reel, spans, opened), of.runs, damaged, _link))
        found += judge_gaps(of.name, of.gaps, reel in self._wanted.recorded, bool(opened))
        found += judge_tombstones(of.name, of.tombstones, self._rows.under(reel, of.tombstones))
        found += self._ledger(reel, of, spans, min(opened, default=None))
        self.report.counts["gaps"] += len(of.gaps)
        return found

    def _noted(self, reel: Reel, spans: list[Span], opened: list[int]) -> Iterator[Row]:
        """The segments of a reel in order; spans of footage and starts of open files are collected on the way."""
        for row in self._rows.by_seq(reel):
            self.report.counts["segments"] += 1
            if row.state == "open":
                opened.append(row.start_ns)
            elif row.end_ns is not None and row.state not in ("lost", "deleting"):
                if spans and spans[-1].to_ns == row.start_ns:
                    spans[-1] = Span(spans[-1].from_ns, row.end_ns)
                else:
                    spans.append(Span(row.start_ns, row.end_ns))
            yield row

    def _ledger(self, reel: Reel, of: ReelRows, spans: list[Span], opened_ns: int | None) -> list[Finding]:
        """14, from the first word about the reel to the last; day by day, for the work to grow with the days alone, and
        with those alone in which anything is told: a clock that was not set begins in 1970."""
        gaps, subject = of.gaps, of.name
        begins = [*(span.from_ns for span in spans), *(gap.from_ns for gap in gaps)]
        first = min(begins, default=None)
        if first is None:
            return []
        if opened_ns is not None:
            last = opened_ns
        elif any(gap.to_ns is None for gap in gaps):
            last = self._now_ns()
        else:
            last = max(*(span.to_ns for span in spans), *(gap.to_ns or 0 for gap in gaps), first)
        found: list[Finding] = []
        for start, end in _days(sorted([*begins, *(gap.from_ns for gap in of.buried)]), first, last):
            inside = [span for span in spans if span.from_ns < end and span.to_ns > start]
            reasons = [
                gap for gap in [*of.buried, *gaps] if gap.from_ns < end and (gap.to_ns is None or gap.to_ns > start)
            ]
            holes = judge_ledger(subject, inside, reasons, start, end)
            if holes:  # what no row tells may be told by when the recorder ran
                reasons += self._concluded(reel, start, end)
                holes = judge_ledger(subject, inside, reasons, start, end)
            found += holes
        return found

    def _concluded(self, reel: Reel, from_ns: int, to_ns: int) -> list[Gap]:
        found = self._rows.concluded(reel, from_ns, to_ns, self._now_ns())
        return [gap for gap in found if gap.reason != GapReason.INDEX_LOST]


def _days(begins: Sequence[int], first_ns: int, last_ns: int) -> Iterator[tuple[int, int]]:
    """The days from `first_ns` to `last_ns`, those in which nothing of `begins` begins as one with those after them."""
    start = first_ns
    while start < last_ns:
        end = start + DAY_NS
        at = bisect_left(begins, start)
        if at == len(begins) or begins[at] >= end:
            end = begins[at] if at < len(begins) else last_ns
        yield start, min(end, last_ns)
        start = end


_MOVING: Final = frozenset({"open", "lost", "deleting"})
_REBUILD: Final = Text(
    "重启 record：坏的索引移开，从文件重建", "restart record: a broken index is built again from files"
)
_DISK: Final = Text("接好、挂上这块盘，查 dmesg", "see to the disk: plugged in, mounted, dmesg")
_ROOM: Final = Text("加盘，或缩短 target_days", "add a disk, or lower target_days")


def _link(before: str, row: Row) -> str:
    """The chain head after a segment; what its row says when that cannot be computed here (no sm3)."""
    if row.named is None or row.digest is None or row.chain is None:
        return row.chain or ""
    try:
        return link(
            algorithm_of(row.chain), before, row.camera, row.stream, row.seq, row.named.start_ns, row.bytes, row.digest
        )
    except UnknownHash:
        return row.chain
