"""Disks of a test: files behind loop devices, with a real ext4 file system. Needs root."""

import subprocess
from contextlib import suppress
from pathlib import Path


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


class LoopDisk:
    """An ext4 file system of `size_mib`, to be mounted at any folder, filled, made read-only, and taken away."""

    def __init__(self, image: Path, size_mib: int) -> None:
        self._loop = Loop(image, size_mib)
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
