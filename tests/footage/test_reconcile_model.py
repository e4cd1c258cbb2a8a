"""Random lives of a volume and its index, against a small model: whatever happens to either, after a start both say
the same, nothing that plays is gone, and what is missing is explained.

Real files, a real index and the product's own recovery; a crash may happen between any two steps of it.
"""

import hashlib
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.footage import rows
from agent.footage.chain import SHA256, link
from agent.footage.disk.files import QUARANTINE, create_volume, segment_directories
from agent.footage.index import Index
from agent.footage.mending.recovery import recover
from agent.footage.mending.segment_file import hash_file, walk_file
from agent.footage.mending.settling import Found, settle_directory
from agent.footage.mp4.boxes_walk import Walked
from agent.footage.naming import camera_uuid, segment_path
from agent.footage.rows import SegmentRow
from agent.footage.timeline import NS
from tests.fakes.camera import make_clip
from tests.fakes.filmed import FIRST_SEQ, UP_SINCE_NS, Film, film
from tests.fakes.gap_rows import gaps_between

CAMERAS = [camera_uuid("f1", name) for name in ("one", "two")]
T0 = UP_SINCE_NS + 2 * 10**16


@dataclass
class Reel:
    """What was recorded of one camera so far: where the next file begins, and what it must name."""

    seq: int = FIRST_SEQ - 1
    at_ns: int = T0
    previous: str = ""
    chain: str = ""


class Volumes(RuleBasedStateMachine):
    """A volume, its index, and what must be there."""

    filmed: ClassVar[Film]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="reconcile-"))
        self.volume = create_volume(self.folder / "volume", "f1")
        self.reels = {camera: Reel() for camera in CAMERAS}
        self.closed: dict[str, SegmentRow] = {}
        self.altered: set[str] = set()
        """Files of which bytes were changed, and not their number."""
        """What was written to its end, by path, as long as nobody touched it."""
        self.playing: dict[str, int] = {}
        """Frames that play in every file that is there, before what follows."""
        self.strangers = 0
        self.index = self._open()
        self.settled = False

    @initialize()
    def begin(self) -> None:
        self.start(None)

    def _open(self) -> Index:
        index = Index(self.folder / "data" / "footage.db")
        index.prepare()
        index.start()
        return index

    # What the recorder does.

    @rule(camera=st.sampled_from(CAMERAS), gap_s=st.sampled_from([0, 0, 0, 7]))
    def write(self, camera: str, gap_s: int) -> None:
        """A file from its row `open` to its row `closed`."""
        row, data = self._next(camera, gap_s)
        self._put(row.path, data)
        self.index.submit(rows.put_segment(row)).done.wait(5)
        self.closed[row.path] = row
        self.playing[row.path] = row.frames
        self.settled = False

    @rule(camera=st.sampled_from(CAMERAS), part=st.floats(0, 1), with_row=st.booleans())
    def crash_while_writing(self, camera: str, part: float, with_row: bool) -> None:
        """The file ends anywhere; its row says `open`, or never came to the disk."""
        before = replace(self.reels[camera])
        row, data = self._next(camera, 0)
        self.reels[camera] = replace(self.reels[camera], previous=before.previous, chain=before.chain)
        self._put(row.path, data[: int(len(data) * part)])
        if with_row:
            opened = replace(row, state="open", end_ns=None, digest=None, chain=None, frames=0, bytes=0)
            self.index.submit(rows.put_segment(opened)).done.wait(5)
        self._look(row.path)
        self.start(None)

    def _next(self, camera: str, gap_s: int) -> tuple[SegmentRow, bytes]:
        reel, found = self.reels[camera], self.filmed
        reel.seq += 1
        begin_ns = reel.at_ns + gap_s * NS
        data = found.copy(camera, "main", reel.seq, begin_ns, reel.previous, reel.chain)
        path = str(segment_path(camera, "main", begin_ns, reel.seq))
        digest = _sha256(data)
        chain = link(SHA256, reel.chain, camera, "main", reel.seq, begin_ns, len(data), digest)
        row = SegmentRow(
            camera, self.volume.uuid, "main", 1, reel.seq, begin_ns, begin_ns + found.length_ns, found.frames,
            len(data), path, "h264", 0, 0, digest, reel.previous or None, chain, "closed",
        )  # fmt: skip
        reel.at_ns, reel.previous, reel.chain = begin_ns + found.length_ns, digest, chain
        return row, data

    # What happens to disks and indexes.

    @precondition(lambda self: self.playing)
    @rule(which=st.integers(0, 99), how=st.sampled_from(["cut", "zeros", "flip", "longer"]), at=st.floats(0, 1))
    def damage(self, which: int, how: str, at: float) -> None:
        path = self._pick(which)
        if path is None:
            return
        data = bytearray((self.volume.path / path).read_bytes())
        if not data:
            return
        place = int((len(data) - 1) * at)
        if how == "cut":
            del data[place:]
        elif how == "zeros":
            data[place : place + 600] = bytes(len(data[place : place + 600]))
        elif how == "flip":
            data[place] ^= 64
        else:
            data += b"garbage at the end of it"
        (self.volume.path / path).write_bytes(data)
        if how in ("zeros", "flip"):
            self.altered.add(path)
        self._look(path)
        self.closed.pop(path, None)
        self.settled = False

    @precondition(lambda self: self.playing)
    @rule(which=st.integers(0, 99))
    def delete(self, which: int) -> None:
        path = self._pick(which)
        if path is None:
            return
        (self.volume.path / path).unlink()
        self.playing.pop(path)
        self.closed.pop(path, None)
        self.settled = False

    @precondition(lambda self: self.playing)
    @rule(which=st.integers(0, 99), to=st.sampled_from(["stranger", "other camera"]))
    def rename(self, which: int, to: str) -> None:
        path = self._pick(which)
        if path is None:
            return
        old = self.volume.path / path
        self.strangers += 1
        if to == "stranger":
            new = old.with_name(f"holiday{self.strangers}.mp4")
        else:
            other = CAMERAS[CAMERAS[0] in path]
            new = self.volume.path / other / Path(*Path(path).parts[1:])
            new.parent.mkdir(parents=True, exist_ok=True)
            if new.exists():
                return
        old.rename(new)
        self.playing.pop(path)
        self.closed.pop(path, None)
        self.settled = False

    @rule(how=st.sampled_from(["delete", "garbage", "forget rows"]), which=st.integers(0, 99))
    def lose_index(self, how: str, which: int) -> None:
        self.index.stop()
        path = self.folder / "data" / "footage.db"
        if how == "forget rows":
            self.index = self._open()
            self.index.submit(("DELETE FROM segment WHERE seq % 3 = ?", (which % 3,))).done.wait(5)
        else:
            for part in ("", "-wal", "-shm"):
                path.with_name(path.name + part).unlink(missing_ok=True)
            if how == "garbage":
                path.write_bytes(b"garbage " * 999)
            self.index = self._open()
        self.settled = False

    @rule(stop_after=st.one_of(st.none(), st.integers(0, 5)))
    def start(self, stop_after: int | None) -> None:
        """A start of the recorder: recovery and comparison; a crash may end it after some files."""
        left = stop_after

        def progress() -> None:
            nonlocal left
            if left is not None:
                if left == 0:
                    raise _Crash
                left -= 1

        try:
            recover(self.volume, self.index, False, progress)
            found = Found()
            with self.index.reading() as connection:
                found.rebuilt = rows.is_rebuilding(connection, self.volume.uuid)
                known = list(rows.directories_of(connection, self.volume.uuid))
            here = list(segment_directories(self.volume.path))
            for directory in [*here, *(each for each in known if each not in here)]:
                settle_directory(self.volume, self.index, directory, found, progress)
        except _Crash:
            self.index.stop()
            self.index = self._open()
            return
        self.index.submit(rows.put_rebuilt(self.volume.uuid)).done.wait(5)
        self.settled = True

    # What must hold.

    @invariant()
    def nothing_that_plays_is_gone(self) -> None:
        """In place or in quarantine, with every frame that played before."""
        kept = [each.name for each in (self.volume.path / QUARANTINE).glob("*.mp4")]
        for path, frames in self.playing.items():
            file = self.volume.path / path
            if file.exists():
                now = _frames(walk_file(file))
                assert now >= frames or path.replace("/", "_") in kept, f"{path}: {now} of {frames} frames"
            elif frames:
                assert path.replace("/", "_") in {
                    each.name for each in (self.volume.path / QUARANTINE).glob("*.mp4")
                }, f"{path} is gone"

    @invariant()
    def disk_and_index_agree(self) -> None:
        if not self.settled:
            return
        with self.index.reading() as connection:
            names = ", ".join(SegmentRow.__dataclass_fields__)
            stored = [SegmentRow(*row) for row in connection.execute(f"SELECT {names} FROM segment")]
            gaps = {camera: gaps_between(connection, camera, "main", 0, 2 * T0, 9999) for camera in CAMERAS}
        files = {
            str(each.relative_to(self.volume.path))
            for camera in CAMERAS
            for each in (self.volume.path / camera).rglob("*.mp4")
        }
        assert {row.path for row in stored if row.state != "lost"} == files
        for row in stored:
            file = self.volume.path / row.path
            if row.state == "lost":
                told = {gap.reason for gap in gaps[row.camera] if gap.detail == row.path}
                assert told & {"file_missing", "file_damaged"}, f"{row.path} is lost and nothing says so"
                continue
            assert row.camera in row.path
            assert row.state in ("closed", "recovered", "suspect")
            assert row.end_ns is not None
            if row.path in self.closed or row.state != "suspect":
                assert row.bytes == file.stat().st_size, row
            if row.path in self.closed:  # nobody touched it: all is as the recorder wrote it
                was = self.closed[row.path]
                for name in ("seq", "start_ns", "end_ns", "frames", "bytes", "digest", "previous", "chain"):
                    assert getattr(row, name) == getattr(was, name), name
            elif row.state == "recovered" and row.path not in self.altered:
                # What was altered is of the same size as before: only the digests tell (verify).
                assert hash_file(file) == row.digest
                assert walk_file(file).whole

    def _put(self, path: str, data: bytes) -> None:
        target = self.volume.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def _pick(self, which: int) -> str | None:
        there = sorted(path for path in self.playing if (self.volume.path / path).exists())
        return there[which % len(there)] if there else None

    def _look(self, path: str) -> None:
        self.playing[path] = _frames(walk_file(self.volume.path / path))

    def teardown(self) -> None:
        self.start(None)
        self.nothing_that_plays_is_gone()
        self.disk_and_index_agree()
        self.index.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class _Crash(Exception):
    pass


def _frames(walked: Walked) -> int:
    return walked.frames + sum(piece.frames for piece in walked.later)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _filmed() -> Film:
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "a.mp4"
        make_clip(clip, seconds=3, fps=5, size=(64, 48))
        return film(clip)


Volumes.filmed = _filmed()
Volumes.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestVolumes = Volumes.TestCase
