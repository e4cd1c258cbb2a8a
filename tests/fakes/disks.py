"""Disks of a test: files behind loop devices, with a real ext4 file system. Needs root."""

import errno
import fcntl
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.fakes.waiting import until


def run(*command: str | Path, check: bool = True) -> str:
    """What a program printed. Raises AssertionError with what it complained of."""
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{' '.join(str(each) for each in command)}: {done.stderr.strip()}"
    return done.stdout.strip()


class Loop:
    """A block device that is a file of `size_mib`, which takes room only where something was written."""

    def __init__(self, image: Path, size_mib: int) -> None:
        self.image = image
        with image.open("wb") as file:
            file.truncate(size_mib << 20)
        self.device = run("losetup", "--find", "--show", image)

    def close(self) -> None:
        """Let go of it."""
        run("losetup", "--detach", self.device, check=False)


@contextmanager
def with_bad_sector(image: Path, offset: int) -> Iterator[str]:
    """The block device of a disk at `image` of which the sector at a byte `offset` cannot be read any more."""
    offered = image.with_suffix(".offered")
    offered.touch()
    failing = f"inject-error.0.iotype=read,inject-error.0.errno={errno.EIO},inject-error.0.sector={offset // 512}"
    daemon = subprocess.Popen(
        [
            "qemu-storage-daemon",
            "--blockdev", f"driver=file,filename={image},node-name=image",
            "--blockdev", f"driver=blkdebug,image=image,node-name=bad,inject-error.0.event=none,{failing}",
            "--blockdev", "driver=raw,file=bad,node-name=disk",
            "--export", f"type=fuse,id=disk,node-name=disk,mountpoint={offered},writable=on",
        ],
    )  # fmt: skip
    try:
        size = image.stat().st_size
        until(lambda: offered.stat().st_size == size, 10, "the disk is offered")
        device = run("losetup", "--find", "--show", offered)
        try:
            yield device
        finally:
            run("losetup", "--detach", device, check=False)
    finally:
        daemon.terminate()
        daemon.wait(20)


def place_on_disk(path: Path, offset: int) -> int:
    """Where the byte at `offset` of a file lies on its disk (FIBMAP, ioctl_list(2))."""
    with path.open("rb") as file:
        (block_bytes,) = struct.unpack("i", fcntl.ioctl(file, _FIGETBSZ, struct.pack("i", 0)))
        (block,) = struct.unpack("i", fcntl.ioctl(file, _FIBMAP, struct.pack("i", offset // block_bytes)))
    return int(block * block_bytes)


_FIBMAP, _FIGETBSZ = 1, 2


class StallingLoop(Loop):
    """A block device that answers no more while it is `frozen`, as a failing disk does for half a minute at a time:
    qemu-storage-daemon offers the file, and is stopped."""

    def __init__(self, image: Path, size_mib: int) -> None:
        with image.open("wb") as file:
            file.truncate(size_mib << 20)
        offered = image.with_suffix(".offered")
        offered.touch()
        self._daemon = subprocess.Popen(
            [
                "qemu-storage-daemon",
                "--blockdev", f"driver=file,filename={image},node-name=image",
                "--blockdev", "driver=raw,file=image,node-name=disk",
                "--export", f"type=fuse,id=disk,node-name=disk,mountpoint={offered},writable=on",
            ],
        )  # fmt: skip
        until(lambda: offered.stat().st_size == size_mib << 20, 10, "the disk is offered")
        self.image = image
        self.device = run("losetup", "--find", "--show", offered)

    def freeze(self) -> None:
        """Answer no more."""
        self._daemon.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Answer what was asked meanwhile."""
        self._daemon.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Let go of it."""
        self.thaw()
        super().close()
        self._daemon.terminate()
        self._daemon.wait(20)


class LoopDisk:
    """An ext4 file system of `size_mib`, to be mounted at any folder, filled, broken down, and taken away."""

    def __init__(self, image: Path, size_mib: int, loop: Loop | None = None) -> None:
        self._loop = loop or Loop(image, size_mib)
        self.device = self._loop.device
        self.at: Path | None = None
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-i", "65536", self.device)

    def mount(self, at: Path) -> None:
        """Mount it."""
        at.mkdir(parents=True, exist_ok=True)
        run("mount", "-o", "errors=remount-ro", self.device, at)
        self.at = at

    def unmount(self, lazily: bool = False) -> None:
        """Take it away; `lazily` as a cable that is pulled: open files stay open."""
        assert self.at is not None
        run("umount", *(["--lazy"] if lazily else []), self.at)
        self.at = None

    def break_down(self) -> None:
        """What the kernel does after an error of the disk: at once it can only be read, open files or not."""
        assert self.at is not None
        run("mount", "-o", "remount,abort", self.at)

    def close(self) -> None:
        """Unmount it, whatever its state, and let go of the device."""
        if self.at is not None:
            with suppress(AssertionError):
                self.unmount(lazily=True)
        self._loop.close()
