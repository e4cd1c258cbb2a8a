"""The index against a volume of 100,000 real files: compared by names and sizes, and built again from the files alone.

The files are recorded ones: one was muxed by the product's own segment, a minute with a fragment a second, and each
other is that file with its own description (tests/fakes/filmed.py). Their pictures are small, which walking does not
see: it reads the head of each fragment and passes over the pictures. Figures are of files in the page cache; from a
cold disk the same work takes what the disk needs for about 130 small reads a file.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from agent.clock import SystemClock
from agent.footage.disk.files import check_volume, create_volume
from agent.footage.index import Index
from agent.footage.inspection.reindex import Told, Wanted, reindex
from agent.footage.mending.comparison import Comparison
from agent.footage.naming import camera_uuid
from tests.bench.load import CLIP, FACILITY, make_clip
from tests.bench.row import Row
from tests.fakes.camera import RtspServer
from tests.fakes.filmed import UP_SINCE_NS, film, write_reel
from tests.fakes.waiting import until

FILES = 100_000
REELS = 8
A_FACILITY = 1_100_000
"""Files of eight cameras in 96 days."""

START_S = 1.0
BEGIN_NS = UP_SINCE_NS + 2 * 10**16


def rows() -> Iterator[Row]:
    """The figures of this bench; about five minutes."""
    make_clip(CLIP)
    with tempfile.TemporaryDirectory(prefix="reindex-") as name:
        folder = Path(name)
        small = folder / "small.mp4"
        _make_still(small)
        filmed = film(small, times=60)
        volume = create_volume(folder / "footage", FACILITY)
        began = time.monotonic()
        for number in range(REELS):
            uuid = camera_uuid(FACILITY, f"C{number}")
            for _ in write_reel(filmed, volume.path, volume.uuid, uuid, BEGIN_NS, FILES // REELS):
                pass
        made_s = time.monotonic() - began
        note = (
            f"{FILES} files of {len(filmed.data) // 1000} kB, 60 fragments and {filmed.frames} frames each, written in"
            f" {made_s:.0f} s; files in the page cache"
        )
        index = folder / "data" / "footage.db"
        wanted = Wanted(index, (volume.path,), FACILITY, {})
        told = reindex(wanted, SystemClock(), lambda told: None, lambda: False)
        yield from _rate("reindex: the index built from the files", told, note)
        told = _compare(index, wanted)
        yield from _rate("reconcile: names and sizes compared", told, f"{note}; as a start does it, without its rests")
        yield _size(index, told)
        yield from _start(folder, index)


def _make_still(path: Path) -> None:
    """A second of 25 pictures that do not change: a few bytes each."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = 64, 48, "yuv420p", {"g": "25", "bf": "0"}
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _rate(name: str, told: Told, note: str) -> Iterator[Row]:
    rate = told.files / told.took_s
    whole = told.whole and told.files == FILES and not told.damaged
    yield Row(name, rate, "files/s", None, whole, f"{told.took_s:.1f} s; {note}")
    note = f"EXTRAPOLATED from {FILES} files; beside recording twice as long, because it rests as long as it works"
    yield Row(f"{name}, 1.1 M files", A_FACILITY / rate / 60, "min", None, None, note)


def _compare(path: Path, wanted: Wanted) -> Told:
    """What the comparison after a start does when nothing has changed."""
    index = Index(path)
    index.prepare()
    index.start()
    volume = check_volume(wanted.volumes[0], FACILITY)
    comparison = Comparison(volume, index, {}, False, SystemClock(), rest=False)
    began = time.monotonic()
    comparison.run()
    took_s = time.monotonic() - began
    index.stop()
    return Told(files=FILES, of=FILES, took_s=took_s, whole=comparison.whole and not comparison.found.recovered)


def _size(path: Path, told: Told) -> Row:
    return Row("reindex: index on disk", path.stat().st_size / told.of, "bytes", None, None, "for each segment")


def _start(folder: Path, index: Path) -> Iterator[Row]:
    """From the start of `record` to a new file, with the index, and without one while it is built again."""
    with_index = _first_byte_s(folder)
    index.unlink()
    for part in ("-wal", "-shm"):
        index.with_name(index.name + part).unlink(missing_ok=True)
    without = _first_byte_s(folder)
    note = f"{without:.2f} s without an index, {with_index:.2f} s with it; the {FILES} files are gone through meanwhile"
    grown = without - with_index
    yield Row("reindex: start to first byte, growth", grown, "s", START_S, grown < START_S, note)


def _first_byte_s(folder: Path) -> float:
    with ExitStack() as running:
        runtime = folder / "run"
        shutil.rmtree(runtime, ignore_errors=True)
        runtime.mkdir()
        server = RtspServer(CLIP.parent)
        server.start()
        running.callback(server.stop)
        settings = folder / "facility.yaml"
        settings.write_text(
            f"facility: {{id: {FACILITY}, name: 测试园}}\npaths: {{data: data, runtime: run}}\n"
            "rooms: [{id: R0, name: 甲}]\n"
            f'cameras: [{{id: C0, name: 门, room: R0, main: "{server.url(CLIP.name)}"}}]\n'
            "footage: {volumes: [footage]}\nweb: {port: 0}\n",
            encoding="utf-8",
        )
        reel = folder / "footage" / camera_uuid(FACILITY, "C0") / "main"
        year = time.strftime("%Y/%m/%d/%H", time.gmtime())
        before = set((reel / year).glob("*.mp4"))
        command = [sys.executable, "-m", "agent", "process", "record", "--config", str(settings)]
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        running.callback(process.wait, 60)
        running.callback(process.terminate)

        def records() -> bool:
            now = time.strftime("%Y/%m/%d/%H", time.gmtime())
            return any(each not in before and each.stat().st_size for each in (reel / now).glob("*.mp4"))

        until(records, 120, "the first byte")
        return time.monotonic() - began
