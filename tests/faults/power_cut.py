"""A power cut, at any moment of a recording, as often as wanted: record once, then judge the disks that cuts leave.

The record process runs on a disk that logs every write and flush (rigs/logged_disk.py). For each cut the disk is made
as the power would have left it (rigs/write_log.py), mounted, recovered by the product's own code, and compared with
three witnesses that are not the index: the log that the cameras kept of what they sent and when, the numbers hidden in
the pictures, and what a consumer had been told was closed before the power went.
"""

import hashlib
import random
import threading
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agent.wire import WireError
from tests.fakes.recording import Recording
from tests.faults.rigs.judge import Closed, Cut, EndlessCamera, Judge, Verdict
from tests.faults.rigs.logged_disk import LoggedDisk, mounted
from tests.faults.rigs.write_log import Replay

MOST_LOSS_S: Final = 3.0
"""What a cut may cost a camera: a fragment of 1 s, syncing every 1 s, and the way there."""

ASK_EVERY_S: Final = 0.1


class Witness:
    """Asks the record process what is closed, again and again, and keeps the answer with the log's length then."""

    def __init__(self, recording: Recording, disk: LoggedDisk, cameras: list[str]) -> None:
        self.closed: list[Closed] = []
        self._recording = recording
        self._disk = disk
        self._cameras = cameras
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        seen: set[str] = set()
        while not self._stop.wait(ASK_EVERY_S):
            for name in self._cameras:
                with suppress(WireError):
                    told = self._recording.segments(name, 0)
                    position = self._disk.position()
                    for each in told:
                        if each["state"] == "closed" and each["path"] not in seen:
                            seen.add(each["path"])
                            path = Path(each["path"])
                            below = str(path.relative_to(self._recording.volume))
                            self.closed.append(Closed(below, hashlib.sha256(path.read_bytes()).hexdigest(), position))


class PoweredRun:
    """The record process on a disk whose power can be cut afterwards, as often as wanted.

    Within the context it records; `end` kills it, and the cuts are judged then.
    """

    def __init__(
        self, cameras: dict[str, EndlessCamera], segment_s: int = 10, recording: type[Recording] = Recording
    ) -> None:
        self.cameras = cameras
        self._segment_s = segment_s
        self._recording_type = recording
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as making:
            self.disk = making.enter_context(LoggedDisk())
            for name in ("data", "volume"):
                (self.disk.mount / name).mkdir()
            folder = self.disk.folder / "facility"
            folder.mkdir()
            self.recording = self._facility(folder, self.disk.mount)
            making.callback(self.recording.close)
            self.recording.make_volume()
            self.witness = Witness(self.recording, self.disk, list(self.cameras))
            self.recording.start()
            self.began_position = self.disk.position()
            self.witness.start()
            making.callback(self.witness.stop)
            self._running = making.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def end(self) -> None:
        """The run is over: kill the process, and look at what it wrote."""
        self.entries = self.disk.freeze()
        self.recording.kill()
        self.witness.stop()
        self._ends = [entry.end for entry in self.entries]

    def cuts(self, number: int, seed: int, from_ns: int, to_ns: int) -> list[Cut]:
        """Moments between two wall times, in order: half of them evenly spread in time, a quarter among the
        requests to the disk, and a quarter right behind a flush, where a promise was just made."""
        chance = random.Random(seed)
        first, last = self._count_at(from_ns), self._count_at(to_ns)
        flushes = [place + 1 for place in range(first, last) if self.entries[place].flags & 1]
        found = []
        for place in range(number):
            own = seed * 100_000 + place
            if place % 4 in (0, 1):
                wall_ns = chance.randrange(from_ns, to_ns)
                count = self._count_at(wall_ns)
                found.append(Cut(own, count, self._ends[count - 1], wall_ns))
            else:
                count = chance.choice(flushes) if place % 4 == 2 else chance.randrange(first, last) + 1
                position = self._ends[count - 1]
                found.append(Cut(own, count, position, min(self.disk.not_before(position), to_ns)))
        return sorted(found, key=lambda cut: cut.count)

    def judge(self, cuts: list[Cut]) -> Iterator[Verdict]:
        """Cut, recover and compare, one after the other; `cuts` are in order."""
        folder = self.disk.folder / f"cut-{cuts[0].seed}"
        folder.mkdir()
        replay = Replay(self.disk.log, self.entries, self.disk.initial, folder / "safe.img")
        try:
            for cut in cuts:
                image = folder / "cut.img"
                replay.cut(cut.count, random.Random(cut.seed), image)
                with mounted(image, folder / "mount") as mount:
                    yield self._judge(mount, cut).judge()
        finally:
            replay.close()

    def judge_again(self, cut: Cut, number: int) -> Iterator[Verdict]:
        """The power comes back after `cut`, and goes again at `number` moments while the product recovers."""
        folder = self.disk.folder / f"again-{cut.seed}"
        folder.mkdir()
        replay = Replay(self.disk.log, self.entries, self.disk.initial, folder / "safe.img")
        replay.cut(cut.count, random.Random(cut.seed), folder / "cut.img")
        replay.close()
        with LoggedDisk(image=folder / "cut.img") as disk:
            self._judge(disk.mount, cut).recover()
            entries = disk.freeze()
            chance = random.Random(cut.seed + 1)
            replay = Replay(disk.log, entries, disk.initial, folder / "safe-again.img")
            try:
                for count in sorted(chance.randrange(len(entries) + 1) for _ in range(number)):
                    replay.cut(count, chance, folder / "again.img")
                    with mounted(folder / "again.img", folder / "mount") as mount:
                        yield self._judge(mount, cut).judge()
            finally:
                replay.close()

    @contextmanager
    def restarted(self, cut: Cut) -> Iterator[tuple[Recording, Judge]]:
        """The real record process, begun again on the disk that `cut` left, with the cameras as they are."""
        folder = self.disk.folder / f"restart-{cut.seed}"
        folder.mkdir()
        replay = Replay(self.disk.log, self.entries, self.disk.initial, folder / "safe.img")
        replay.cut(cut.count, random.Random(cut.seed), folder / "cut.img")
        replay.close()
        with mounted(folder / "cut.img", folder / "mount") as mount:
            recording = self._facility(folder, mount)
            try:
                recording.start()
                yield recording, self._judge(mount, cut)
            finally:
                recording.close()

    def _judge(self, mount: Path, cut: Cut) -> Judge:
        return Judge(mount, cut, self.cameras, self.witness.closed)

    def _facility(self, folder: Path, mount: Path) -> Recording:
        """A facility whose footage and index lie on the disk; sockets, settings and log lie beside it."""
        for name in ("data", "volume"):
            (folder / name).symlink_to(mount / name)
        urls = {name: camera.url() for name, camera in self.cameras.items()}
        return self._recording_type(folder, urls, self._segment_s)

    def _count_at(self, wall_ns: int) -> int:
        return bisect_right(self._ends, self.disk.position_at(wall_ns))
