"""What the kernel says of mounts and devices, and whether that is encrypted."""

import subprocess
from pathlib import Path

import pytest

from agent.footage.disk.block_devices import is_encrypted, look, read_mounts
from agent.footage.disk.encryption import BlockDevice, Encrypted, encrypted, mount_of, parse_mounts
from tests.fakes.disks import LoopDisk

MOUNTS = r"""
22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
30 22 253:0 / /srv/footage rw,noatime shared:9 - ext4 /dev/mapper/yunjian_srv_footage rw
31 22 253:2 / /srv/pool rw - xfs /dev/mapper/vg-pool rw
32 22 0:45 / /srv/nas rw - nfs4 nas:/export rw
33 22 0:46 / /srv/tree rw - btrfs /dev/mapper/tree rw
34 22 7:0 / /srv/loop rw - ext4 /dev/loop0 rw
35 22 7:1 / /srv/inner rw - ext4 /dev/loop1 rw
36 22 9:0 / /srv/raid rw - ext4 /dev/md0 rw
37 22 8:17 / /srv/with\040space rw - ext4 /dev/sdb1 rw
38 22 9:1 / /srv/half rw - ext4 /dev/md1 rw
39 22 8:33 / /srv/over rw - ext4 /dev/sdc1 rw
40 39 253:0 / /srv/over rw - ext4 /dev/mapper/yunjian_srv_footage rw
41 22 253:3 / /srv/verity rw - ext4 /dev/mapper/verity rw
garbage
"""

DISK = BlockDevice(None, ())
CRYPT = BlockDevice("CRYPT-LUKS2-0123-yunjian_srv_footage", ("8:1",))
DEVICES = {
    "8:1": DISK, "8:2": DISK, "8:17": BlockDevice(None, ("8:16",)), "8:16": DISK, "8:33": DISK,
    "253:0": CRYPT,
    "253:1": BlockDevice("CRYPT-PLAIN-x", ("8:1",)),
    "253:2": BlockDevice("LVM-abc", ("253:1",)),
    "253:3": BlockDevice("CRYPT_VERITY", ("8:1",)),
    "/dev/mapper/tree": CRYPT,
    "7:0": BlockDevice(None, (), "/srv/footage/disk.img"),
    "7:1": BlockDevice(None, (), "/root/disk.img"),
    "9:0": BlockDevice(None, ("253:0", "253:1")),
    "9:1": BlockDevice(None, ("253:0", "8:1")),
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/srv/footage", "yes"),
        ("/srv/footage/deep/below", "yes"),
        ("/srv/footage-2", "no"),
        ("/var/lib/yunjian", "no"),
        ("/srv/pool/x", "yes"),
        ("/srv/nas/x", "unknown"),
        ("/srv/tree", "yes"),
        ("/srv/loop", "yes"),
        ("/srv/inner", "no"),
        ("/srv/raid", "yes"),
        ("/srv/half", "no"),
        ("/srv/with space/x", "no"),
        ("/srv/over", "yes"),
        ("/srv/verity", "no"),
    ],
)
def test_what_lies_where_is_encrypted(path: str, answer: str) -> None:
    assert encrypted(path, parse_mounts(MOUNTS), DEVICES.get) == answer


def test_devices_that_lie_on_each_other_without_end_are_unknown() -> None:
    round_about = {"8:2": BlockDevice(None, ("8:2",))}
    assert encrypted("/x", parse_mounts(MOUNTS), round_about.get) is Encrypted.UNKNOWN


def test_nothing_is_known_without_mounts() -> None:
    assert mount_of("/x", []) is None
    assert encrypted("/x", [], DEVICES.get) is Encrypted.UNKNOWN


def test_of_this_machine() -> None:
    """The kernel's own words are understood: its root is a mount, and /proc lies on no disk."""
    mounts = read_mounts()
    root = mount_of("/", mounts)
    assert root is not None
    assert root.where == "/"
    assert is_encrypted(Path("/proc")) is Encrypted.UNKNOWN
    assert look("/dev/null") is None
    assert look("/dev/none") is None


@pytest.mark.needs_root
@pytest.mark.needs_debian("mkfs.ext4", "losetup")
def test_a_loop_is_what_its_file_lies_on(tmp_path: Path) -> None:
    disk = LoopDisk(tmp_path / "disk.img", 16)
    try:
        disk.mount(tmp_path / "disk")
        assert is_encrypted(tmp_path / "disk") is is_encrypted(tmp_path)
        seen = look(disk.device)
        assert seen is not None
        assert seen.backing_file == str(tmp_path / "disk.img")
        link = tmp_path / "link"
        link.symlink_to("/proc")
        assert is_encrypted(link) is Encrypted.UNKNOWN
    finally:
        disk.close()
    assert subprocess.run(["losetup", disk.device], capture_output=True, check=False).returncode != 0
