"""One sector of a disk cannot be read any more: the film that lies on it is told, and nothing waits for it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.footage.disk.files import create_volume, newest_seq
from agent.footage.index import Index
from agent.footage.mending.recovery import recover
from agent.footage.timeline import NS
from tests.fakes.camera import make_clip
from tests.fakes.disks import LoopDisk, place_on_disk, run, with_bad_sector
from tests.footage.test_recovery import CAMERA, HOUR, T0, Disk

pytestmark = [
    pytest.mark.needs_root, pytest.mark.needs_debian("mkfs.ext4", "debugfs", "losetup", "qemu-storage-daemon"),
]  # fmt: skip


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    made = Index(tmp_path / "footage.db")
    made.prepare()
    made.start()
    yield made
    made.stop()


def test_the_film_that_was_being_written_cannot_be_read(index: Index, tmp_path: Path) -> None:
    """Before, the volume was never recorded to again: each start stumbled over that film."""
    make_clip(tmp_path / "a.mp4")
    image, at = tmp_path / "disk.img", tmp_path / "volume"
    sound = LoopDisk(image, 64)
    try:
        sound.mount(at)
        disk = Disk(create_volume(at, "f1"), index, tmp_path / "a.mp4")
        paths = [disk.record(n + 1, T0 + n * 4 * NS) for n in range(3)]
        disk.compare(3)
        index.submit(
            ("UPDATE segment SET state = 'open', end_ns = NULL, digest = NULL WHERE seq = 2", ()),
            ("DELETE FROM segment WHERE seq = 3", ()),
        ).done.wait(5)
        os.sync()
        bad = place_on_disk(at / paths[1], (at / paths[1]).stat().st_size // 2)
        sound.unmount()
    finally:
        sound.close()
    with with_bad_sector(image, bad) as device:
        run("mount", device, at)
        try:
            found = recover(disk.volume, index, False, lambda: None)
            assert found.recovered == [paths[2]]
            assert list(found.left) == found.damaged == [paths[1]]
            assert disk.states() == {1: "closed", 2: "open", 3: "closed"}
            (at / "film that comes").write_bytes(bytes(100_000))
            assert list(disk.compare(3).left) == [paths[1]]
        finally:
            run("umount", at)


def test_the_directory_of_the_newest_hour_cannot_be_read(index: Index, tmp_path: Path) -> None:
    """What is in it is told as one thing that cannot be read, none of it is lost, and the rest is gone through."""
    make_clip(tmp_path / "a.mp4")
    image, at = tmp_path / "disk.img", tmp_path / "volume"
    sound = LoopDisk(image, 64)
    try:
        sound.mount(at)
        disk = Disk(create_volume(at, "f1"), index, tmp_path / "a.mp4")
        paths = [disk.record(n + 1, T0 + n * HOUR) for n in range(3)]
        disk.compare(3)
        index.submit(("DELETE FROM segment WHERE seq = 1", ())).done.wait(5)
        newest = paths[2].rpartition("/")[0]
        block_bytes = os.statvfs(at).f_bsize
        sound.unmount()
        bad = int(run("debugfs", "-R", f"blocks /{newest}", sound.device).split()[-1]) * block_bytes
    finally:
        sound.close()
    with with_bad_sector(image, bad) as device:
        run("mount", device, at)
        try:
            found = recover(disk.volume, index, False, lambda: None)
            assert (list(found.left), found.recovered) == ([newest], [])
            assert newest_seq(at, CAMERA, "main") == 2
            found = disk.compare(3)
            assert (list(found.left), found.recovered) == ([newest], [paths[0]])
            assert disk.states() == dict.fromkeys(range(1, 4), "closed")
        finally:
            run("umount", at)
