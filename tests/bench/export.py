"""Exports of half an hour beside `ffmpeg -f concat -c copy` of the same files, in turns, each as a whole process.

The files are what the recorder writes of a 1080p25 stream of 4 Mbit/s, 30 of 60 s. `ffmpeg` is run twice: as it
is, which leaves the tables at the end of the file, and with `-movflags faststart`, which moves them to the front as
ours stand there at once. Files are in the page cache for both. CPU is user and system time of the process and of its
children; the least of several rounds, for the machine does other things as well.
"""

import hashlib
import os
import pickle
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.footage.chain import link
from agent.footage.exporting.export import export_mp4
from agent.footage.exporting.manifest import Source
from agent.footage.exporting.package import Wanted, build
from agent.footage.exporting.package_target import open_target
from agent.footage.timeline import NS, SegmentRef
from tests.bench.load import CLIP, make_clip
from tests.bench.row import Row
from tests.fakes.counted import make_counted, numbers
from tests.fakes.evidence import T0, Device, around, record

MINUTES = 30
ROUNDS = 3
STARTS = 40
FPS = 25

_OURS = """
import pickle, sys
from pathlib import Path
from agent.footage.exporting.export import export_mp4
segments, from_ns, to_ns, target = pickle.loads(sys.stdin.buffer.read())
result = export_mp4(segments, from_ns, to_ns, Path(target))
assert len(result.files) == 1 and not result.gaps, result
"""


def rows() -> Iterator[Row]:
    """The figures of this bench; about a minute."""
    with tempfile.TemporaryDirectory(prefix="export-") as name:
        folder = Path(name)
        segments = _half_hour(folder)
        yield from _joined(folder, segments)
        yield from _accuracy(folder)
        yield from _packed(folder, segments)


def _half_hour(folder: Path) -> list[SegmentRef]:
    """Thirty files of a minute; each is three times the clip of 20 s."""
    make_clip(CLIP)
    minute = folder / "minute.mp4"
    (folder / "minute.txt").write_text(f"file '{CLIP}'\n" * 3)
    _run(
        [
            "ffmpeg",
            "-y",
            *_QUIET,
            "-f",
            "concat",
            "-safe",
            "0",
            "-i",
            str(folder / "minute.txt"),
            "-c",
            "copy",
            str(minute),
        ]
    )
    first = record(minute, folder / "00.mp4", T0)
    length_ns = first.end_ns - first.start_ns
    segments = []
    for number in range(MINUTES):
        path = folder / f"{number:02d}.mp4"
        if number:
            shutil.copy(folder / "00.mp4", path)
        start_ns = T0 + number * length_ns
        segments.append(
            SegmentRef(str(path), start_ns, start_ns + length_ns, first.codec, first.width, first.height, first.bytes)
        )
    return segments


_QUIET = ("-nostdin", "-loglevel", "error")


def _joined(folder: Path, segments: Sequence[SegmentRef]) -> Iterator[Row]:
    listed = folder / "list.txt"
    listed.write_text("".join(f"file '{each.path}'\n" for each in segments))
    target = folder / "out.mp4"
    asked = pickle.dumps((list(segments), T0 + 300_000_000, segments[-1].end_ns, str(target)))
    theirs = ["ffmpeg", *_QUIET, "-f", "concat", "-safe", "0", "-i", str(listed), "-c", "copy"]
    commands: dict[str, tuple[list[str], bytes]] = {
        "ours": ([sys.executable, "-c", _OURS], asked),
        "ffmpeg": ([*theirs, str(target)], b""),
        "faststart": ([*theirs, "-movflags", "faststart", str(target)], b""),
    }
    cpu: dict[str, list[float]] = {name: [] for name in commands}
    wall: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, (command, given) in commands.items():
            target.unlink(missing_ok=True)
            began_s, before_s = time.monotonic(), _children_s()
            _run(command, given)
            cpu[name].append(_children_s() - before_s)
            wall[name].append(time.monotonic() - began_s)
    size = sum(each.bytes for each in segments)
    target.unlink(missing_ok=True)
    least = {name: min(values) for name, values in cpu.items()}
    note = (
        f"{size / 1e6:.0f} MB; ours {least['ours']:.2f} s with the start of Python, ffmpeg {least['ffmpeg']:.2f} s, "
        f"with faststart {least['faststart']:.2f} s; wall {min(wall['ours']):.2f}, {min(wall['ffmpeg']):.2f}, "
        f"{min(wall['faststart']):.2f} s"
    )
    ratio = least["ours"] / least["ffmpeg"]
    yield Row("export: CPU of 30 min against ffmpeg concat copy", ratio, "x", 1.1, ratio <= 1.1, note)
    ratio = least["ours"] / least["faststart"]
    yield Row("export: the same, ffmpeg with faststart", ratio, "x", None, None, "tables first, as ours")


def _accuracy(folder: Path) -> Iterator[Row]:
    """How far the first picture shown is from the one that was seen at the start, in frames, at worst."""
    worst = 0
    for kind, b_frames in (("plain", 0), ("b", 2)):
        make_counted(folder / f"{kind}.mp4", 250, FPS, b_frames=b_frames)
        segment = record(folder / f"{kind}.mp4", folder / f"{kind}-recorded.mp4", T0)
        for number in range(STARTS):
            start_ns = number * 9_700_000_000 // STARTS + 3_000_000
            target = folder / "start.mp4"
            export_mp4([segment], T0 + start_ns, T0 + 10 * NS, target)
            worst = max(worst, abs(numbers(target)[0] - start_ns * FPS // NS))
            target.unlink()
    note = f"{2 * STARTS} starts, with and without B-frames, by the number burnt into the picture"
    yield Row("export: start, worst", worst, "frames", 1, worst <= 1, note)


def _packed(folder: Path, segments: Sequence[SegmentRef]) -> Iterator[Row]:
    device = Device(folder, Path(segments[0].path))
    digest, before = hashlib.sha256(Path(segments[0].path).read_bytes()).hexdigest(), ""
    for seq, each in enumerate(segments, start=1):
        head = link("sha256", before, device.uuid, "main", seq, each.start_ns, each.bytes, digest)
        device.links.append((seq, each.start_ns, each.bytes, digest, head))
        device.sources.append(
            Source(each.path, seq, each.start_ns, each.end_ns, each.codec, each.width, each.height, each.bytes,
                   "closed", digest, head)
        )  # fmt: skip
        before = head
    size = sum(each.bytes for each in segments)
    plain_s = _copied_and_hashed(folder, segments)
    wanted = Wanted((device.film(),), around(T0, segments[-1].end_ns), False, b"", b"", {})
    for name, what, password in (
        ("p", "folder", None),
        ("p.zip", "zip", None),
        ("s.zip", "zip with a password", b"x" * 12),
    ):
        target = folder / name
        before_s = time.process_time()
        built = build(wanted, open_target(target, False, password), device.prove, device.sign)
        used_s = time.process_time() - before_s
        assert built.signature is not None
        note = f"{size / used_s / 1e6:.0f} MB a CPU second; `cp` and `sha256sum` {plain_s:.2f} s"
        yield Row(f"export: CPU of a package of 30 min, {what}", used_s, "s", None, None, note)
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()


def _copied_and_hashed(folder: Path, segments: Sequence[SegmentRef]) -> float:
    """CPU of `cp` and then `sha256sum` of the same files."""
    (folder / "cp").mkdir()
    before_s = _children_s()
    _run(["cp", *(each.path for each in segments), str(folder / "cp")])
    _run(["sha256sum", *(str(path) for path in sorted((folder / "cp").iterdir()))])
    used_s = _children_s() - before_s
    shutil.rmtree(folder / "cp")
    return used_s


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(command: Sequence[str], given: bytes = b"") -> None:
    done = subprocess.run(command, input=given, capture_output=True, check=False, env={**os.environ, "PYTHONPATH": "."})
    assert done.returncode == 0, done.stderr.decode(errors="replace")
