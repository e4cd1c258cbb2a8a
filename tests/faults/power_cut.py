"""A power cut, at any moment of a recording, as often as wanted: record once, then judge the disks that cuts leave.

The record process runs on a disk that logs every write and flush (rigs/logged_disk.py). For each cut the disk is made
as the power would have left it (rigs/write_log.py), mounted, recovered by the product's own code, and compared with
three witnesses that are not the index: the log that the cameras kept of what they sent and when, the numbers hidden in
the pictures, and what a consumer had been told was closed before the power went.
"""

import hashlib
import random
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agent.wire import WireError
from tests.fakes.encoded import pictures
from tests.fakes.recording import Recording
from tests.faults.rigs.judge import Closed, EndlessCamera, Judge, Verdict
from tests.faults.rigs.logged_disk import LoggedDisk, mounted
from tests.faults.rigs.write_log import FLUSH, Cut, Replay

MOST_LOSS_S: Final = 3.0
"""What a cut may cost a camera: a fragment of 1 s, syncing every 1 s, and the way there."""

ASK_EVERY_S: Final = 0.1


@contextmanager
def three_cameras() -> Iterator[dict[str, EndlessCamera]]:
    """One with a key picture each second, one with B-frames and a key picture every four, one with H.265 and sound."""
    cameras = {
        "one": EndlessCamera(pictures(8, (160, 120), noise=True)),
        "two": EndlessCamera(pictures(8, (160, 120), noise=True, b_frames=2, key_every=100)),
        "three": EndlessCamera(pictures(8, (160, 120), "hevc", noise=True), "hevc", with_sound=True),
    }
    try:
        yield cameras
    finally:
        for camera in cameras.values():
            camera.stop()


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
        self,
        cameras: dict[str, EndlessCamera],
        segment_s: int = 10,
        recording: type[Recording] = Recording,
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
        self.disk.freeze()
        self.recording.kill()
        self.witness.stop()

    def cuts(self, number: int, seed: int, from_ns: int, to_ns: int) -> list[Cut]:
        """Moments between two wall times, in order: half of them evenly spread in time, a quarter among the
        requests to the disk, and a quarter right behind a flush, where a promise was just made."""
        disk, chance = self.disk, random.Random(seed)
        first, last = disk.count_at(from_ns), disk.count_at(to_ns)
        flushes = [place + 1 for place in range(first, last) if disk.entries[place].flags & FLUSH]
        found = []
        for place in range(number):
            own = seed * 100_000 + place
            if place % 4 in (0, 1):
                found.append(disk.cut_at(chance.randrange(from_ns, to_ns), own))
            else:
                count = chance.choice(flushes) if place % 4 == 2 else chance.randrange(first, last) + 1
                found.append(disk.cut_after(count, own))
        return sorted(found, key=lambda cut: cut.count)

    def judge(self, cuts: list[Cut]) -> Iterator[Verdict]:
        """Cut, recover and compare, one after the other; `cuts` are in order."""
        for cut, mount in self.disk.left_by(cuts):
            yield self._judge(mount, cut).judge()

    def judge_again(self, cut: Cut, number: int) -> Iterator[Verdict]:
        """The power comes back after `cut`, and goes again at `number` moments while the product recovers."""
        with self._left_by(cut) as image, LoggedDisk(image=image) as disk:
            self._judge(disk.mount, cut).recover()
            disk.freeze()
            chance = random.Random(cut.seed)
            counts = sorted(chance.randrange(len(disk.entries) + 1) for _ in range(number))
            again = [disk.cut_after(count, cut.seed + place) for place, count in enumerate(counts)]
            for _, mount in disk.left_by(again):
                yield self._judge(mount, cut).judge()

    @contextmanager
    def restarted(self, cut: Cut) -> Iterator[tuple[Recording, Judge]]:
        """The real record process, begun again on the disk that `cut` left, with the cameras as they are."""
        with self._left_by(cut) as image, mounted(image, image.with_name("mount")) as mount:
            recording = self._facility(image.parent, mount)
            try:
                recording.start()
                yield recording, self._judge(mount, cut)
            finally:
                recording.close()

    @contextmanager
    def _left_by(self, cut: Cut) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="cut-", dir=self.disk.folder) as name:
            image = Path(name) / "cut.img"
            replay = Replay(self.disk.log, self.disk.entries, self.disk.initial, image.with_name("safe.img"))
            replay.cut(cut.count, random.Random(cut.seed), image)
            replay.close()
            yield image

    def _judge(self, mount: Path, cut: Cut) -> Judge:
        return Judge(mount, cut, self.cameras, self.witness.closed)

    def _facility(self, folder: Path, mount: Path) -> Recording:
        """A facility whose footage and index lie on the disk; sockets, settings and log lie beside it."""
        for name in ("data", "volume"):
            (folder / name).symlink_to(mount / name)
        urls = {name: camera.url() for name, camera in self.cameras.items()}
        return self._recording_type(folder, urls, self._segment_s, extra=", record_sound: true")
