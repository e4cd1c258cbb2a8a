"""`yunjian footage verify` beside `sha256sum` over the same files: cold (out of the page cache) and warm, in turn.

The files are of the size of a minute of 1080p25 at 4 Mbit/s. What they hold is no film, so none says what it is;
reading, hashing, linking and comparing are what they are in the field. verify gives way to everybody (nice 19, idle
disk priority), which costs nothing on a quiet machine. Time is wall time of the whole command, its start included; the
median of three rounds counts.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from agent.footage import rows as tables
from agent.footage.chain import FIRST, hash_bytes, link
from agent.footage.disk.files import Volume, create_volume
from agent.footage.index import Index
from agent.footage.index_file import prepare
from agent.footage.naming import camera_uuid, segment_path
from agent.footage.rows import SegmentRow
from tests.bench.row import Row

FILES = 20
FILE_BYTES = 30_000_000
"""600 MB in all: 20 minutes of one camera."""

ROUNDS = 3

_NS = 1_000_000_000
_BEGIN_NS = 1_790_000_000 * _NS


def rows() -> Iterator[Row]:
    """The figures of this bench; about a minute."""
    with tempfile.TemporaryDirectory(prefix="verify-", dir=Path.cwd()) as name:
        for algorithm in ("sha256", "sm3"):
            place = _Place(Path(name) / algorithm, algorithm)
            for state in ("cold", "warm"):
                ours, theirs = _side_by_side(place, state, algorithm == "sha256")
                note = f"{FILES} files of {FILE_BYTES // 1_000_000} MB"
                if theirs:
                    yield Row(f"sha256sum, {state}", theirs, "MB/s", note=note)
                    yield Row(f"verify, {algorithm}, {state}", ours, "MB/s", theirs, ours >= 0.9 * theirs, note)
                else:
                    yield Row(f"verify, {algorithm}, {state}", ours, "MB/s", note=note)
            if algorithm == "sha256":
                quick = _seconds([*place.command, "--quick"])
                yield Row("verify --quick", FILES / quick, "files/s", note="mostly the start of the command")


def _side_by_side(place: "_Place", state: str, beside: bool) -> tuple[float, float]:
    """MB/s of ours and of sha256sum (0: not asked for), in turn."""
    size_mb = FILES * FILE_BYTES / 1e6
    ours, theirs = [], []
    for _ in range(ROUNDS):
        if beside:
            place.cache(state)
            theirs.append(size_mb / _seconds(["sha256sum", *map(str, place.files)]))
        place.cache(state)
        ours.append(size_mb / _seconds(place.command))
    return median(ours), median(theirs) if theirs else 0.0


class _Place:
    """A volume with one camera's files, and its index."""

    def __init__(self, folder: Path, algorithm: str) -> None:
        folder.mkdir()
        self.volume: Volume = create_volume(folder / "volume", "bench")
        self.files: list[Path] = []
        settings = folder / "facility.yaml"
        settings.write_text(
            f"facility: {{id: bench, name: bench}}\npaths: {{data: {folder}, runtime: {folder}}}\n"
            f"footage: {{volumes: [{self.volume.path}]}}\nrooms: [{{id: r1, name: one}}]\n"
            "cameras: [{id: one, name: one, room: r1, main: 'rtsp://127.0.0.1:9/a'}]\n",
            encoding="utf-8",
        )
        program = [sys.executable, "-m", "agent", "footage", "verify", "--config", str(settings)]
        self.command = program
        self._fill(folder / "footage.db", algorithm)

    def _fill(self, path: Path, algorithm: str) -> None:
        prepare(path)
        index = Index(path)
        index.start()
        camera, head = camera_uuid("bench", "one"), FIRST
        index.submit(tables.put_rebuilt(self.volume.uuid))
        for seq in range(1, FILES + 1):
            start_ns = _BEGIN_NS + seq * 60 * _NS
            name = segment_path(camera, "main", start_ns, seq)
            data = os.urandom(FILE_BYTES)
            digest = hash_bytes(algorithm, data)
            head = link(algorithm, head, camera, "main", seq, start_ns, FILE_BYTES, digest)
            target = self.volume.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            self.files.append(target)
            row = SegmentRow(
                camera, self.volume.uuid, "main", None, seq, start_ns, start_ns + 60 * _NS, 1500, FILE_BYTES, str(name),
                "h264", 1920, 1080, digest, None, head, "closed",
            )  # fmt: skip
            index.submit(tables.put_segment(row))
        index.stop()
        os.sync()

    def cache(self, state: str) -> None:
        """Have all files in the page cache, or none."""
        for path in self.files:
            with path.open("rb") as file:
                if state == "warm":
                    while file.read(1 << 20):
                        pass
                else:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _seconds(command: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began
