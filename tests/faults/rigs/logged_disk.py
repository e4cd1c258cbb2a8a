"""A disk of its own for a test, that keeps a log of every write and flush, with an ext4 file system on it.

`qemu-storage-daemon` writes the log and offers the disk as a file (FUSE); a loop device makes it a block device, and
the kernel's ext4 does the rest, as on a real machine. Needs root, /dev/fuse and a free loop device.
"""

import itertools
import os
import random
import subprocess
import tempfile
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.fakes.waiting import until
from tests.faults.rigs.write_log import Cut, Replay, copy_sparse, read_entries

NEEDS: Final = ("qemu-storage-daemon", "mkfs.ext4", "losetup")
"""Programs; of the Debian packages qemu-system-common, e2fsprogs and mount."""

LOOK_EVERY_S: Final = 0.01


def scratch_folder() -> Path | None:
    """Where disks are kept while they are tried: in memory, where there is such a place. None: wherever usual."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and os.access(memory, os.W_OK) else None


def run(*command: str | Path) -> str:
    """What a program printed. Raises AssertionError with what it complained of."""
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(str(each) for each in command)}: {done.stderr.strip()}"
    return done.stdout.strip()


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """A file system in a file, mounted at a directory."""
    at.mkdir(exist_ok=True)
    run("mount", "-o", "loop", image, at)
    try:
        yield at
    finally:
        unmount(at)


def unmount(at: Path) -> None:
    """Unmount a directory, even if somebody still has a file of it open; then AssertionError is raised, too."""
    try:
        run("umount", at)
    except AssertionError:
        run("umount", "--lazy", at)
        raise


class LoggedDisk:
    """An ext4 file system at `mount`, and what was written to its disk up to any moment."""

    def __init__(self, size_mib: int = 8192, image: Path | None = None) -> None:
        """A new file system of this size, or the one in `image`, which stays as it is. It takes what is written
        only; on a small one the product saves room, and records less."""
        self._size_mib = size_mib
        self._image = image
        self._running = ExitStack()
        self._looks: list[tuple[int, int]] = []
        self._stop = threading.Event()
        self._looker = threading.Thread(target=self._look, name="logged-disk", daemon=True)

    def __enter__(self) -> Self:
        with ExitStack() as making:
            name = making.enter_context(tempfile.TemporaryDirectory(prefix="power-", dir=scratch_folder()))
            self.folder = Path(name)
            self.mount = self.folder / "mount"
            self.initial = self.folder / "initial.img"
            self.log = self.folder / "writes.log"
            self._make(making)
            making.callback(self._looker.join, 10)
            making.callback(self._stop.set)
            self._looker.start()
            self._running = making.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def position(self) -> int:
        """How long the log is now, in bytes."""
        return self.log.stat().st_size

    def freeze(self) -> None:
        """Look no more: `entries` is every request so far. What is written later does not count."""
        self._stop.set()
        self._looker.join(10)
        end = self._looks[-1][1]
        self.entries = [entry for entry in read_entries(self.log) if entry.end <= end]
        self._ends = [entry.end for entry in self.entries]

    # What follows needs it frozen.

    def count_at(self, wall_ns: int) -> int:
        """How many requests had been made at this time, at least."""
        place = bisect_right(self._looks, wall_ns, key=lambda look: look[0])
        return bisect_right(self._ends, self._looks[max(place - 1, 0)][1])

    def cut_at(self, wall_ns: int, seed: int) -> Cut:
        """The power goes at this time."""
        count = self.count_at(wall_ns)
        return Cut(seed, count, self._ends[count - 1] if count else 0, wall_ns)

    def cut_after(self, count: int, seed: int) -> Cut:
        """The power goes after so many requests, as late as it may have been."""
        position = self._ends[count - 1] if count else 0
        return Cut(seed, count, position, self.not_before(position))

    def left_by(self, cuts: list[Cut]) -> Iterator[tuple[Cut, Path]]:
        """The file system that each of these cuts leaves, mounted meanwhile. `cuts` are in the order of requests."""
        with tempfile.TemporaryDirectory(prefix="cut-", dir=self.folder) as name:
            folder = Path(name)
            replay = Replay(self.log, self.entries, self.initial, folder / "safe.img")
            try:
                for place, cut in enumerate(cuts):
                    # A file of its own: whoever holds the loop device of the last one, holds what it had in its cache.
                    image = folder / f"cut-{place}.img"
                    replay.cut(cut.count, random.Random(cut.seed), image)
                    with mounted(image, folder / "mount") as mount:
                        yield cut, mount
                    image.unlink()
            finally:
                replay.close()

    def not_before(self, position: int) -> int:
        """The wall time (ns) until which the log may have been no longer than this: when more was first seen."""
        place = bisect_right(self._looks, position, key=lambda look: look[1])
        return self._looks[min(place, len(self._looks) - 1)][0]

    def stalled_s(self, wall_ns: int, over_s: float = 5.0) -> float:
        """The longest time that this process itself did not get to run in the seconds before: what is late
        then is late by the machine."""
        times = [at for at, _ in self._looks if wall_ns - over_s * 1e9 <= at <= wall_ns]
        return max((after - before for before, after in itertools.pairwise(times)), default=0) / 1e9

    def _make(self, making: ExitStack) -> None:
        image, offered = self.folder / "disk.img", self.folder / "disk"
        if self._image is not None:
            copy_sparse(self._image, image)
        else:
            with image.open("wb") as file:
                file.truncate(self._size_mib << 20)
            # Everything is laid out at once: no thread of the kernel writes tables into the log later on.
            options = (
                "-E",
                "nodiscard,lazy_itable_init=0,lazy_journal_init=0",
                "-b",
                "4096",
                "-N",
                "4096",
                "-J",
                "size=8",
            )
            run("mkfs.ext4", "-q", "-F", *options, image)
        copy_sparse(image, self.initial)
        self.log.touch()
        offered.touch()
        daemon = subprocess.Popen(
            [
                "qemu-storage-daemon",
                "--blockdev", f"driver=file,filename={image},node-name=image",
                "--blockdev", "driver=raw,file=image,node-name=disk",
                "--blockdev", f"driver=file,filename={self.log},node-name=log-file",
                "--blockdev", "driver=raw,file=log-file,node-name=log",
                "--blockdev", "driver=blklogwrites,file=disk,log=log,node-name=logged",
                "--export", f"type=fuse,id=disk,node-name=logged,mountpoint={offered},writable=on",
            ],
            stderr=subprocess.PIPE,
        )  # fmt: skip
        making.callback(_end, daemon)
        until(lambda: _offered(daemon, offered), 10, "the disk is offered")
        loop = run("losetup", "--find", "--show", offered)
        making.callback(run, "losetup", "--detach", loop)
        self.mount.mkdir()
        run("mount", loop, self.mount)
        making.callback(unmount, self.mount)

    def _look(self) -> None:
        while True:
            stopping = self._stop.is_set()
            self._looks.append((time.time_ns(), self.position()))
            if stopping:
                return
            self._stop.wait(LOOK_EVERY_S)


def _offered(daemon: "subprocess.Popen[bytes]", offered: Path) -> bool:
    assert daemon.poll() is None, f"no disk: {daemon.stderr.read().decode() if daemon.stderr else ''}"
    return offered.stat().st_size > 0


def _end(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.terminate()
    try:
        daemon.wait(10)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait(10)
    if daemon.stderr is not None:
        daemon.stderr.close()
