"""The index of a facility after 96 days: 8 cameras, a segment a minute, 1.1 million rows; made by the product's own
statements. What a page asks of it, what retention asks of it, how large it is, and whether `record` starts as fast."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from agent.footage import rows as statements
from agent.footage.disk.files import create_volume
from agent.footage.index import Index
from agent.footage.index_file import connect, prepare
from agent.footage.naming import camera_uuid, segment_path
from agent.footage.rows import SegmentRow
from agent.footage.timeline import NS, Gap, GapReason
from agent.footage.upkeep.hold import Hold, Protection
from agent.footage.upkeep.ledger import LONGEST_SEGMENT_NS, MOST_ROWS, read
from agent.footage.upkeep.retention import GB, Lines, Policy, Space
from agent.footage.upkeep.stock import next_step
from tests.bench.load import CLIP, FACILITY, make_clip
from tests.bench.row import Row
from tests.fakes.camera import RtspServer
from tests.fakes.waiting import until

CAMERAS = 8
SEGMENTS = 1_100_000
SEGMENT_S = 60
SEGMENT_BYTES = 30_000_000
NOW_NS = 1_795_000_000 * NS
AWAY = "0d1a6a7e-8f0e-4f6c-9f6e-3c1f9d8c2b11"
"""The rows lie on a volume that is not mounted: no file is made for them."""

DAY_MS, PLAN_MS = 5.0, 20.0
START_S = 0.5
"""Less than starts differ from each other."""

TIMES = 50
STARTS = 3
DAY_NS = 86400 * NS


def rows() -> Iterator[Row]:
    """The figures of this bench; about two minutes, most of it to make the index and to start."""
    make_clip(CLIP)
    with tempfile.TemporaryDirectory(prefix="index-") as name:
        folder = Path(name)
        path = folder / "footage.db"
        began = time.monotonic()
        fill(path)
        note = f"{SEGMENTS / 1e6:.1f} M segments, {CAMERAS} cameras; made in {time.monotonic() - began:.0f} s"
        yield Row("index: size on disk", path.stat().st_size / 1e6, "MB", None, None, note)
        yield from _queries(Index(path))
        yield from _writes(path)
        empty = [_first_byte_s(None) for _ in range(STARTS)]
        full = [_first_byte_s(path) for _ in range(STARTS)]
        grown = min(full) - min(empty)
        note = (
            f"the best of {STARTS} starts of record, one 1080p camera: {min(full):.2f} s with 1.1 M rows (worst"
            f" {max(full):.2f}), {min(empty):.2f} s with none (worst {max(empty):.2f})"
        )
        yield Row("index: start to first byte, growth by 1.1 M", grown, "s", START_S, grown < START_S, note)


def _queries(index: Index) -> Iterator[Row]:
    camera, midnight = _cameras()[3], NOW_NS - 40 * DAY_NS
    found = 0

    def day() -> None:
        nonlocal found
        with index.reading() as connection:
            decided = read(connection, (camera, "main"), midnight, midnight + DAY_NS, {}, NOW_NS)
            found = len(decided.ledger.spans) + len(decided.ledger.gaps)

    median, worst = _timed(day)
    note = (
        f"median of {TIMES}, worst {worst:.1f} ms; {found} spans and gaps of 1440 segments, a new connection each time"
    )
    yield Row("index: one camera's day, footage and gaps", median, "ms", DAY_MS, median < DAY_MS, note)

    def files() -> None:
        nonlocal found
        with index.reading() as connection:
            asked = (camera, "main", midnight, midnight + DAY_NS, MOST_ROWS)
            found = len(statements.segments_between(connection, *asked, LONGEST_SEGMENT_NS))

    median, worst = _timed(files)
    note = f"median of {TIMES}, worst {worst:.1f} ms; all that is known of {found} segments, as an export of a day asks"
    yield Row("index: one camera's day, every row whole", median, "ms", None, None, note)

    policy = Policy(30 * DAY_NS, {"main": 90 * DAY_NS, "sub": 90 * DAY_NS}, reserve_bytes=10 * GB)
    hold = Hold("h", _cameras()[0], 0, NOW_NS - 80 * DAY_NS, "principal", "", None, NOW_NS, None, None, None)
    reels = [(each, "main") for each in _cameras()]
    full = Space(AWAY, 4000 * GB, 1 * GB, 10 * GB, 12 * GB)
    for words, due_days in (("what is past its term", 90), ("room, when nothing is due", 200)):
        lines = Lines(NOW_NS, NOW_NS - 30 * DAY_NS, {"main": NOW_NS - due_days * DAY_NS, "sub": 0})
        gone = 0

        def plan(lines: Lines = lines) -> None:
            nonlocal gone
            with index.reading() as connection:
                gone = len(next_step(connection, policy, lines, reels, Protection([hold], NOW_NS), [full], 0).delete)

        median, worst = _timed(plan)
        note = f"median of {TIMES}, worst {worst:.1f} ms; {gone} segments chosen from {CAMERAS} reels, one with a hold"
        yield Row(f"index: plan of one step, {words}", median, "ms", PLAN_MS, median < PLAN_MS and gone > 0, note)


def _timed(do: Callable[[], None]) -> tuple[float, float]:
    """Median and worst of many, in milliseconds."""
    took: list[float] = []
    for _ in range(TIMES):
        began = time.perf_counter()
        do()
        took.append(1000 * (time.perf_counter() - began))
    return sorted(took)[TIMES // 2], max(took)


def _writes(path: Path) -> Iterator[Row]:
    index = Index(path)
    index.prepare()
    index.start()
    row = replace(next(_rows(1)), seq=10**7, start_ns=NOW_NS, end_ns=None, path="new/new", state="open")
    end = statements.End("closed", NOW_NS + 1, 1, 1, "", "")

    def one() -> None:
        index.submit(statements.put_segment(row)).done.wait(10)
        index.submit(statements.end_segment(AWAY, row.path, end)).done.wait(10)

    median, worst = _timed(one)
    index.submit(statements.drop_segment(AWAY, row.path)).done.wait(10)
    index.stop()
    note = f"median of {TIMES}, worst {worst:.1f} ms; two commits that reach the disk, as a file's begin and end"
    yield Row("index: rows of one segment written", median, "ms", None, None, note)


def _first_byte_s(index: Path | None) -> float:
    """From the start of `record` to the first byte on its volume."""
    with tempfile.TemporaryDirectory(prefix="index-start-") as name, ExitStack() as running:
        folder = Path(name)
        (folder / "data").mkdir()
        (folder / "run").mkdir()
        if index is not None:
            shutil.copy(index, folder / "data" / "footage.db")
        server = RtspServer(CLIP.parent)
        server.start()
        running.callback(server.stop)
        create_volume(folder / "footage", FACILITY)
        settings = folder / "facility.yaml"
        settings.write_text(
            f"facility: {{id: {FACILITY}, name: 测试园}}\npaths: {{data: data, runtime: run}}\n"
            "rooms: [{id: R0, name: 甲}]\n"
            f'cameras: [{{id: C0, name: 门, room: R0, main: "{server.url(CLIP.name)}"}}]\n'
            "footage: {volumes: [footage]}\nweb: {port: 0}\n",
            encoding="utf-8",
        )
        command = [sys.executable, "-m", "agent", "process", "record", "--config", str(settings)]
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        running.callback(process.wait, 30)
        running.callback(process.terminate)
        until(lambda: any(each.stat().st_size for each in (folder / "footage").rglob("*.mp4")), 60, "the first byte")
        return time.monotonic() - began


def fill(path: Path) -> None:
    """An index with the segments of all cameras, in the order of their recording."""
    prepare(path)
    sql, _ = statements.put_segment(next(_rows(1)))
    with closing(connect(path)) as connection:
        connection.execute("BEGIN")
        connection.executemany(sql, (statements.put_segment(row)[1] for row in _rows(SEGMENTS)))
        for camera in _cameras():
            connection.execute(*statements.put_camera(camera, camera[:4], camera[:4]))
            for day in range(96):
                gap = Gap(NOW_NS - day * 86400 * NS, NOW_NS - day * 86400 * NS + NS, GapReason.CONNECTION_LOST)
                connection.execute(*statements.put_gap(camera, "main", gap))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _cameras() -> list[str]:
    return [camera_uuid(FACILITY, f"C{number}") for number in range(CAMERAS)]


def _rows(count: int) -> Iterator[SegmentRow]:
    cameras = _cameras()
    each = count // CAMERAS + 1
    made, last = 0, dict.fromkeys(cameras, "")
    for number in range(each):
        for place, camera in enumerate(cameras):
            if made == count:
                return
            start_ns = NOW_NS - (each - number) * SEGMENT_S * NS + place * 7 * NS
            digest = f"{made:064x}"
            yield SegmentRow(
                camera, AWAY, "main", number // 600, number + 1, start_ns, start_ns + SEGMENT_S * NS, 1500,
                SEGMENT_BYTES, str(segment_path(camera, "main", start_ns, number + 1)), "h264", 1920, 1080,
                digest, last[camera], f"{made * 7:064x}", "closed",
            )  # fmt: skip
            last[camera] = digest
            made += 1
