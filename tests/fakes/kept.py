"""Footage that lies on a real disk and stands in a real index, without a camera: small files, made in an instant."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agent.facts import ClockQuality, Stamp
from agent.footage import chain, rows
from agent.footage.custody.journal import Journal
from agent.footage.custody.journal_chain import Row
from agent.footage.disk.files import create_volume
from agent.footage.index import Index
from agent.footage.inspection.effects import effects
from agent.footage.naming import camera_uuid, segment_path
from agent.footage.rows import SegmentRow, put_rebuilt
from agent.footage.upkeep.degradation import Recorded, Reels
from agent.footage.upkeep.hold import Hold
from agent.footage.upkeep.holds import put_hold, read_holds
from agent.footage.upkeep.keeping import Retention
from agent.footage.upkeep.retention import Policy
from tests.fakes.clock import MovedClock

S = 10**9
DAY_S = 1440
"""A day of these tests: retention is told so, and nothing else knows."""

MINUTE_S = 60


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder for hundreds of commits: what a disk makes of them is tried elsewhere."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


class Kept:
    """One facility's footage in a folder."""

    def __init__(self, folder: Path, volume: Path | None = None) -> None:
        self.folder = folder
        self.clock = MovedClock()
        self.volume = volume or folder / "volume"
        self.volume.mkdir(exist_ok=True)
        self.uuid = create_volume(self.volume, "f1", self.clock.wall_ns()).uuid
        self.a, self.b = camera_uuid("f1", "A"), camera_uuid("f1", "B")
        self.holds: list[Hold] | None = []
        self.recorded: list[Recorded] = []
        self.spared: Reels = frozenset()
        self.heads: dict[tuple[str, str], tuple[int, str, str]] = {}
        self.begin()
        self.index.submit(put_rebuilt(self.uuid)).done.wait(5)

    def begin(self) -> None:
        """As after a start of the process."""
        self.index = Index(self.folder / "footage.db")
        self.index.prepare()
        self.index.start()
        self.journal = Journal(self.index, lambda: [self.volume], self.clock, effects)
        self.journal.step(self.now)

    def close(self) -> None:
        self.index.stop()

    def restart(self) -> None:
        self.close()
        self.begin()

    @property
    def now(self) -> Stamp:
        return self.clock.stamp()

    def volumes(self) -> dict[str, Path]:
        return {self.uuid: self.volume}

    def add(
        self, camera: str | None = None, stream: str = "main", size_bytes: int = 1000, length_s: float = MINUTE_S
    ) -> SegmentRow:
        """A segment that ended just now."""
        reel = (camera or self.a, stream)
        seq, digest, head = self.heads.get(reel, (0, "", ""))
        end_ns = self.clock.wall_ns()
        start_ns = end_ns - round(length_s * S)
        seq += 1
        path = segment_path(*reel, start_ns, seq)
        target = self.volume / path
        target.parent.mkdir(parents=True, exist_ok=True)
        content = f"{reel}{seq}".encode().ljust(size_bytes, b".")
        target.write_bytes(content)
        own = hashlib.sha256(content).hexdigest()
        head = chain.link(chain.SHA256, head, *reel, seq, start_ns, size_bytes, own)
        row = SegmentRow(
            reel[0], self.uuid, stream, 1, seq, start_ns, end_ns, 10, size_bytes, str(path), "h264", 64, 64, own,
            digest, head, "closed",
        )  # fmt: skip
        self.index.submit(rows.put_segment(row)).done.wait(5)
        self.heads[reel] = (seq, own, head)
        return row

    def hold(self, hold: Hold) -> None:
        self.journal.append("hold", hold.values(), put_hold(hold))

    def known_holds(self) -> list[Hold] | None:
        with self.index.reading() as connection:
            return None if self.holds is None else [*self.holds, *read_holds(connection)]

    def retention(self, policy: Policy, **rest: Any) -> Retention:
        """The chore, on a day of 24 minutes."""
        return Retention(
            self.index, self.journal, policy, self.clock, "boot", volumes=self.volumes, holds=self.known_holds,
            recorded=lambda: self.recorded, degrade=self._spare,
            **{"last_ditch_bytes": 0, "wait_ns": DAY_S * S, **rest},
        )  # fmt: skip

    def _spare(self, reels: Reels) -> None:
        self.spared = reels

    def live(
        self, chore: Retention, seconds: float, each: Callable[[], object] | None = None, step_s: float = 30
    ) -> None:
        """Time passes; `each` happens at the end of every minute of it, and the chore turns."""
        passed = 0.0
        while passed < seconds:
            self.clock.move(step_s)
            passed += step_s
            if each is not None and passed % MINUTE_S == 0:
                each()
            chore.step(self.now)

    def files(self, camera: str | None = None) -> list[Path]:
        """Films on the volume, in order of their names."""
        found = [path for path in self.volume.rglob("*.mp4") if camera is None or camera in path.parts]
        return sorted(found)

    def rows(self) -> list[tuple[str, str, int, str]]:
        with self.index.reading() as connection:
            found = connection.execute("SELECT camera, stream, seq, state FROM segment ORDER BY camera, stream, seq")
            return [tuple(row) for row in found]

    def tombstones(self) -> list[dict[str, Any]]:
        with self.index.reading() as connection:
            found = connection.execute("SELECT * FROM tombstone ORDER BY camera, stream, first_seq")
            return [dict(row) for row in found]

    def journal_rows(self, kind: str) -> list[Row]:
        from agent.footage.custody.journal_rows import rows_after

        with self.index.reading() as connection:
            return rows_after(connection, 0, 100_000, kind)


def policy(minimum: float = 3, target: float = 6, sub: float | None = None, **rest: Any) -> Policy:
    """Days of these tests."""
    day = DAY_S * S
    targets = {"main": round(target * day), "sub": round((sub or target) * day)}
    return Policy(round(minimum * day), targets, day_ns=day, **rest)


def seqs(found: Sequence[tuple[str, str, int, str]], camera: str) -> list[int]:
    return [seq for name, _, seq, _ in found if name == camera]


NTP, UNKNOWN = ClockQuality.NTP, ClockQuality.UNKNOWN
