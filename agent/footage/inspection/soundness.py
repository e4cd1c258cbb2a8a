"""PURE. The numbered invariants of footage on the disk and in the index, and what breaks them.

`yunjian footage check` reads (survey.py) and these functions judge. `INVARIANTS` says each number in words.
Every finding names the invariant, the thing, what is wrong with it, and what to do.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent.facts import Text
from agent.footage.mp4.boxes_walk import Walked
from agent.footage.naming import SegmentName
from agent.footage.timeline import CLOCK_STEP_NS, NS, SLEW_PPM, Gap, GapReason, Span, ledger
from agent.footage.upkeep.rectify import RECTIFIED

INVARIANTS: Final = {
    1: Text("录像盘是这个机构的，各不相同", "each volume is this facility's, and no two are the same"),
    2: Text("索引数据库完好", "the index is a sound database"),
    3: Text("每个文件在索引里恰有一行", "every file has exactly one row in the index"),
    4: Text("索引的每一行有其文件，大小一致", "every row has its file, of the same size"),
    5: Text("分段状态合法，最多一个在写", "states are legal, and at most the newest segment is open"),
    6: Text("路径、索引行、时长一致", "path, row and length agree"),
    7: Text("序号与起点递增（时钟被调除外）", "numbers and starts rise, unless the clock was set"),
    8: Text("同一时钟下分段不重叠", "no two segments of one clock overlap"),
    9: Text("文件的数据盒完整到末尾", "the boxes of a file are whole to its end"),
    10: Text("文件的自我描述与索引一致", "what a file says of itself agrees with its row"),
    11: Text("前后文件的摘要相连", "each file names the hash of the one before it"),
    12: Text("证据链相连", "the evidence chain links"),
    13: Text("中断记录合法，最多一条未结束", "gap rows are legal, and at most one lasts"),
    14: Text("每一刻或有录像或有原因", "every instant is footage or a gap with a reason"),
    15: Text("封存指向已知摄像机", "holds are of known cameras"),
    16: Text("删除记录不与现存分段重叠", "what was deleted is not there"),
    17: Text("录像盘可写、有余量", "each volume can be written to and has room"),
}

STATES: Final = frozenset({"open", "closed", "recovered", "suspect", "lost", "deleting"})
_WITHOUT_FILE: Final = frozenset({"lost", "deleting"})
_WHOLE: Final = frozenset({"closed", "recovered"})

_MAY_BE_PASSED: Final = frozenset({"recovered", "suspect", "lost"})
MOST_PASSED: Final = 4
"""A file that the disk refused is bound to those before it, but what follows may not be bound to it: its bytes were not
known then. The chain goes over so many of them at most."""

LENGTH_SLACK_NS: Final = NS
"""A row's end is the wall time of the packet after the last one; a file's length is counted from its frames."""

MOST_HOLES: Final = 20
"""Holes in the ledger of one stream that are named one by one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that breaks invariant `number`. `where` is a path, a camera or a volume."""

    number: int
    where: str
    what: Text
    do: Text


@dataclass(frozen=True, slots=True)
class Row:
    """What the index says of one segment. `named` is its path, read; None when it is none of ours."""

    volume: str
    path: str
    camera: str
    stream: str
    run: int | None
    seq: int
    start_ns: int
    end_ns: int | None
    frames: int
    bytes: int
    state: str
    digest: str | None
    previous: str | None
    chain: str | None
    named: SegmentName | None


@dataclass(frozen=True, slots=True)
class Run:
    """One unbroken sequence of packets: the boot it was in, both clocks at its beginning, and by which clock that is
    known."""

    boot: str
    wall_ns: int
    mono_ns: int
    quality: str


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A run of deleted segments of one stream, by their numbers."""

    first_seq: int
    last_seq: int


Link = Callable[[str, Row], str]
"""(chain head before, segment) -> chain head after."""

_REINDEX: Final = Text(
    "重启 record 会核对并改正；仍有则 yunjian footage reindex",
    "a restart of record compares and mends it; if it stays: yunjian footage reindex",
)
_VERIFY: Final = Text("yunjian footage verify 说明改了什么", "yunjian footage verify says what was changed")
_REPORT: Final = Text("保留现场，请报告这个缺陷", "leave things as they are and report this defect")


def judge_stream(
    rows: Iterable[Row], runs: Mapping[int, Run], damaged: Collection[str], link: Link
) -> Iterator[Finding]:
    """5, 6, 7, 8, 11, 12 for the segments of one reel, in the order of their numbers. `damaged` are the paths of files
    that are known to have lost a part since they were closed: what follows them links to what they were."""
    before: Row | None = None
    heads: list[Row | None] = [None]
    left_open: Row | None = None
    for row in rows:
        yield from _judge_row(row, runs)
        if left_open is not None:
            yield Finding(5, left_open.path, Text("不是最新却仍在写", "open, but not the newest"), _REINDEX)
        left_open = row if row.state == "open" else None
        if before is not None:
            yield from _judge_order(before, row, runs)
            if before.path not in damaged:
                yield from _judge_links(heads, row, link)
        heads = [*(heads if row.state in _MAY_BE_PASSED else []), row][-MOST_PASSED:]  # None: the beginning
        before = row


def _judge_row(row: Row, runs: Mapping[int, Run]) -> Iterator[Finding]:
    if row.state not in STATES:
        yield Finding(5, row.path, Text(f"状态 {row.state}", f"state {row.state}"), _REINDEX)
    if row.named is None:
        yield Finding(6, row.path, Text("不是录像路径", "no path of footage"), _REINDEX)
    elif (row.named.camera_uuid, row.named.stream, row.named.seq) != (row.camera, row.stream, row.seq):
        yield Finding(
            6, row.path, Text("路径与索引行说的不是同一分段", "path and row speak of different segments"), _REINDEX
        )
    elif row.named.start_ns != row.start_ns and not _was_moved(row, runs):
        yield Finding(6, row.path, Text("起点与路径不同", "its start is not that of its path"), _REPORT)
    if row.state == "open":
        return
    if row.end_ns is None or row.end_ns < row.start_ns or (row.end_ns == row.start_ns and row.state in _WHOLE):
        yield Finding(6, row.path, Text("终点不在起点之后", "it does not end after it begins"), _REINDEX)
    if row.state in _WHOLE and (row.frames <= 0 or row.bytes <= 0 or not row.digest):
        yield Finding(6, row.path, Text("没有帧数、大小或摘要", "frames, size or hash are missing"), _REINDEX)


def _judge_order(before: Row, row: Row, runs: Mapping[int, Run]) -> Iterator[Finding]:
    if row.seq <= before.seq:
        yield Finding(7, row.path, Text(f"序号 {row.seq} 重复", f"number {row.seq} is given twice"), _REPORT)
    if _clock_was_set(before, row, runs):
        return
    if row.start_ns <= before.start_ns:
        yield Finding(7, row.path, Text("起点早于前一分段", "it begins before the segment before it"), _REPORT)
    elif before.end_ns is not None and row.start_ns < before.end_ns:
        over_ms = (before.end_ns - row.start_ns) / 1e6
        text = Text(f"与前一分段重叠 {over_ms:.3f} 毫秒", f"overlaps the segment before it by {over_ms:.3f} ms")
        yield Finding(8, row.path, text, _REPORT)


def _clock_was_set(before: Row, row: Row, runs: Mapping[int, Run]) -> bool:
    """Whether the order of two segments says nothing: another boot, a clock that was set, runs that are unknown."""
    if before.run is not None and before.run == row.run:
        return False
    one, other = runs.get(before.run or 0), runs.get(row.run or 0)
    if one is None or other is None or one.boot != other.boot:
        return True
    return abs((one.wall_ns - one.mono_ns) - (other.wall_ns - other.mono_ns)) > CLOCK_STEP_NS


def _was_moved(row: Row, runs: Mapping[int, Run]) -> bool:
    """Whether the times of a segment may be other than those of its path: its clock was found to be wrong."""
    run = runs.get(row.run or 0)
    return run is None or run.quality == RECTIFIED


def _judge_links(heads: Sequence[Row | None], row: Row, link: Link) -> Iterator[Finding]:
    """`heads` ends with the segment before; before it stand those that the chain may go over to reach it, and None for
    the beginning of the reel."""
    last = heads[-1]
    if last is None or row.seq != last.seq + 1:
        return
    digests = {each.digest if each is not None else "" for each in heads}
    if None not in digests and row.previous and row.previous not in digests:
        what = Text("所记前一文件的摘要与索引不符", "names another hash for the file before it than the index")
        yield Finding(11, row.path, what, _VERIFY)
    chains = {each.chain if each is not None else "" for each in heads}
    known = None not in chains and row.chain is not None and row.digest is not None
    if known and all(row.chain != link(each or "", row) for each in chains):
        yield Finding(12, row.path, Text("证据链在此断开", "the evidence chain breaks here"), _VERIFY)


def judge_directory(files: Mapping[str, int], rows: Sequence[Row], ours: Callable[[str], bool]) -> Iterator[Finding]:
    """3 and 4 for one directory of a volume: path -> size in bytes, and the rows of that volume below it.

    `ours` says whether a path is one that footage has.
    """
    known = {row.path: row for row in rows}
    for path in sorted(files.keys() - known.keys()):
        what = Text("索引里没有", "not in the index") if ours(path) else Text("不是录像文件", "not footage")
        yield Finding(3, path, what, _REINDEX)
    for path, row in sorted(known.items()):
        size = files.get(path)
        if size is None and row.state not in _WITHOUT_FILE:
            yield Finding(4, path, Text("文件不见了", "the file is missing"), _REINDEX)
        elif size is not None and row.state == "lost":
            yield Finding(4, path, Text("记为丢失，文件却在", "counted as lost, but it is there"), _REINDEX)
        elif size is not None and row.state in _WHOLE and size != row.bytes:
            what = Text(f"{size} 字节，索引记 {row.bytes}", f"{size} bytes, {row.bytes} in the index")
            yield Finding(4, path, what, _REINDEX)


def judge_file(row: Row, walked: Walked, size: int) -> Iterator[Finding]:
    """9 and 10 for one file that is not being written, of `size` bytes."""
    if row.state == "suspect":
        return
    if walked.keep_bytes != size or walked.fragments == 0:
        what = Text(
            f"{size} 字节中只有 {walked.keep_bytes} 完整", f"of {size} bytes only {walked.keep_bytes} are whole"
        )
        yield Finding(9, row.path, what, _REINDEX)
        return
    if walked.frames != row.frames:
        what = Text(f"{walked.frames} 帧，索引记 {row.frames}", f"{walked.frames} frames, {row.frames} in the index")
        yield Finding(9, row.path, what, _REINDEX)
    if row.end_ns is not None:
        off = abs(row.end_ns - row.start_ns - walked.length_ns())
        if off > LENGTH_SLACK_NS + walked.length_ns() * SLEW_PPM // 1_000_000:
            what = Text(f"时长差 {off / NS:.1f} 秒", f"its length differs by {off / NS:.1f} s")
            yield Finding(6, row.path, what, _REINDEX)
    told = walked.description
    if told is None:
        yield Finding(10, row.path, Text("没有说明自己是什么", "does not say what it is"), _VERIFY)
        return
    named = row.named
    said = {"camera": row.camera, "stream": row.stream, "seq": row.seq}
    if named is not None:
        said["start_ns"] = named.start_ns
    wrong = [key for key, value in said.items() if told.get(key) != value]
    if wrong:
        keys = ", ".join(wrong)
        yield Finding(10, row.path, Text(f"自述的 {keys} 不同", f"says otherwise of {keys}"), _VERIFY)
    if (told.get("previous") or None) != (row.previous or None):
        yield Finding(10, row.path, Text("自述的前一摘要不同", "says otherwise of the hash before it"), _VERIFY)


def judge_gaps(subject: str, gaps: Iterable[Gap], is_recorded: bool, is_open: bool) -> Iterator[Finding]:
    """13 for the gap rows of one reel. `is_recorded`: it is in the settings; `is_open`: a segment of
    it is being written."""
    lasting = 0
    for gap in gaps:
        where = f"{subject} gap from {gap.from_ns}"
        if gap.to_ns is None:
            lasting += 1
        elif gap.to_ns <= gap.from_ns:
            yield Finding(13, where, Text("终点不在起点之后", "it does not end after it begins"), _REPORT)
        if gap.reason not in GapReason.__members__.values():
            yield Finding(13, where, Text(f"原因 {gap.reason}", f"reason {gap.reason}"), _REPORT)
    if lasting > 1:
        yield Finding(13, subject, Text(f"{lasting} 条未结束", f"{lasting} of them last"), _REPORT)
    if is_recorded and not is_open and lasting == 0:
        what = Text("没有在写的分段，也没有未结束的中断", "no segment is open, and no gap lasts")
        yield Finding(13, subject, what, _REINDEX)


def judge_ledger(subject: str, spans: Iterable[Span], gaps: Iterable[Gap], from_ns: int, to_ns: int) -> list[Finding]:
    """14 for one reel between two instants."""
    holes = [each for each in ledger(spans, gaps, from_ns, to_ns).gaps if each.reason == GapReason.UNRECORDED]
    found = []
    for hole in holes[:MOST_HOLES]:
        length_s = ((hole.to_ns or to_ns) - hole.from_ns) / NS
        what = Text(
            f"从 {hole.from_ns} 起 {length_s:.3f} 秒，无录像也无原因",
            f"{length_s:.3f} s from {hole.from_ns}: neither footage nor a reason",
        )
        found.append(Finding(14, subject, what, _REPORT))
    if len(holes) > MOST_HOLES:
        more = len(holes) - MOST_HOLES
        found.append(Finding(14, subject, Text(f"还有 {more} 处", f"{more} more"), _REPORT))
    return found


def judge_holds(holds: Iterable[tuple[str, str | None]], cameras: frozenset[str]) -> Iterator[Finding]:
    """15: (id, camera; None for all) against the cameras that the index knows."""
    for name, camera in holds:
        if camera is not None and camera not in cameras:
            what = Text(f"指向未知摄像机 {camera}", f"is of the unknown camera {camera}")
            yield Finding(15, f"hold/{name}", what, _REPORT)


def judge_tombstones(subject: str, stones: Sequence[Tombstone], living: Iterable[Row]) -> Iterator[Finding]:
    """16 for one reel: `stones` by number, and the segments whose numbers are within one."""
    last: Tombstone | None = None
    for stone in stones:
        if stone.last_seq < stone.first_seq or (last is not None and stone.first_seq <= last.last_seq):
            where = f"{subject} {stone.first_seq}-{stone.last_seq}"
            yield Finding(16, where, Text("删除记录互相重叠", "tombstones overlap"), _REPORT)
        last = stone
    for row in living:
        if row.state not in _WITHOUT_FILE:
            yield Finding(16, row.path, Text("记为已删除，却还在", "counted as deleted, but it is there"), _REPORT)
