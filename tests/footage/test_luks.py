"""Encrypted volumes: what forbids making one, the plan, and the real tools on a real block device.

Opening one needs the device mapper, which not every kernel has; the header, its keys and all refusals do not.
"""

import json
import os
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.access.console import Screen
from agent.access.volume_setup import VolumeWish, create
from agent.facts import Text
from agent.footage.disk.disk_setup import (
    SetupFailed,
    carry_out,
    has_device_mapper,
    install,
    key_file,
    place_on_stick,
    see_device,
)
from agent.footage.disk.luks import (
    KEY,
    RECOVERY,
    DeviceSeen,
    KeyKind,
    KeyPlace,
    Step,
    mapping_name,
    parse_key,
    plan,
    recovery_key,
    refusal,
    unit_name,
)
from tests.fakes.disks import Loop, LoopDisk, run

UUID = "0a3c1e52-52b7-4f0e-9a41-3f2f6f0c8b17"
ATTACH = "/usr/lib/systemd/systemd-cryptsetup"
STICK = KeyPlace(KeyKind.USB, "/media/stick/y.key", "AB-CD", "/y.key")
BIG = 1 << 40


def seen(**changed: object) -> DeviceSeen:
    return DeviceSeen(**{"path": "/dev/sdb", "is_block": True, "size_bytes": BIG, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("device", "erase", "refused"),
    [
        (seen(), None, ""),
        (seen(), "/dev/sdb", ""),
        (seen(holds=("ext4",)), "/dev/sdb", ""),
        (seen(is_block=False), None, "no block device"),
        (seen(read_only=True), "/dev/sdb", "read-only"),
        (seen(size_bytes=1 << 20), None, "too small"),
        (seen(holds=("ext4", "gpt")), None, "ext4, gpt"),
        (seen(holds=("ext4",)), "/dev/sda", "nothing was done"),
        (seen(), "/dev/sda", "nothing was done"),
        (seen(holds=("ext4",)), "sdb", "nothing was done"),
        (seen(in_use=("/srv",)), "/dev/sdb", "in use"),
    ],
)
def test_what_forbids_it(device: DeviceSeen, erase: str | None, refused: str) -> None:
    answer = refusal(device, erase)
    assert (answer is None) == (refused == "")
    if answer is not None:
        assert refused in answer.en


def test_keys_as_they_are_typed() -> None:
    assert parse_key("tpm") == KeyPlace(KeyKind.TPM)
    assert parse_key("passphrase") == KeyPlace(KeyKind.PASSPHRASE)
    assert parse_key("usb:/media/stick/a:b.key") == KeyPlace(KeyKind.USB, "/media/stick/a:b.key")
    for wrong in ("", "usb:", "usb:key", "secret", "tpm:2", "usb"):
        assert parse_key(wrong) is None


def test_a_recovery_key_can_be_typed() -> None:
    key = recovery_key(bytes(range(32)))
    assert re.fullmatch(r"([cbdefghijklnrtuv]{8}-){7}[cbdefghijklnrtuv]{8}", key)
    assert len({recovery_key(bytes([number]) * 32) for number in range(256)}) == 256


@pytest.mark.needs_debian("systemd-escape")
@pytest.mark.parametrize("path", ["/srv/footage", "/", "/var/lib/云/a-b c", "/.x/y", "/a/.b", "/srv//x/"])
def test_units_are_named_as_systemd_names_them(path: str) -> None:
    assert run("systemd-escape", "--path", "--suffix=mount", path) == unit_name(path)


@pytest.mark.parametrize("key", [KeyPlace(KeyKind.TPM), STICK, KeyPlace(KeyKind.PASSPHRASE)])
def test_the_plan(key: KeyPlace) -> None:
    made = plan("/dev/sdb", "/srv/footage", UUID, key, ATTACH, wipe=False)
    assert made.name == mapping_name("/srv/footage") == "yunjian_srv_footage"
    tools = [step.argv[0] for step in (*made.format, *made.mount)]
    assert "wipefs" not in tools
    assert plan("/dev/sdb", "/srv/footage", UUID, key, ATTACH, wipe=True).format[0].argv[0] == "wipefs"
    assert made.unit_name == "srv-footage.mount"
    assert "What=/dev/mapper/yunjian_srv_footage\nWhere=/srv/footage\n" in made.unit
    line = {
        KeyKind.TPM: f"yunjian_srv_footage UUID={UUID} none luks,nofail,tpm2-device=auto",
        KeyKind.USB: f"yunjian_srv_footage UUID={UUID} /y.key:UUID=AB-CD luks,nofail,keyfile-timeout=60s",
        KeyKind.PASSPHRASE: f"yunjian_srv_footage UUID={UUID} none luks,nofail",
    }[key.kind]
    assert made.crypttab == line
    opened = made.mount[0].argv
    # A start is what must work, so the volume is opened as a start opens it, not with the recovery key.
    assert RECOVERY not in opened
    assert (opened[0] == ATTACH) == (key.kind is KeyKind.TPM)


def test_what_systemd_reads_is_written_once(tmp_path: Path) -> None:
    crypttab = tmp_path / "etc" / "crypttab"
    crypttab.parent.mkdir()
    crypttab.write_text("# mine\nswap /dev/sdz /dev/urandom swap\n")
    for key in (STICK, KeyPlace(KeyKind.TPM)):
        made = plan("/dev/sdb", "/srv/footage", UUID, key, ATTACH, wipe=False)
        written = install(made, tmp_path)
    assert crypttab.read_text() == f"# mine\nswap /dev/sdz /dev/urandom swap\n{made.crypttab}\n"
    assert [path.read_text() for path in written] == [crypttab.read_text(), made.unit]
    assert not list(tmp_path.rglob("*.new"))


def test_key_files(tmp_path: Path) -> None:
    made = key_file(tmp_path / "y.key")
    assert len(made) == 64
    assert (tmp_path / "y.key").stat().st_mode & 0o777 == 0o400
    assert key_file(tmp_path / "y.key") == made
    (tmp_path / "short").write_bytes(b"x" * 31)
    with pytest.raises(SetupFailed):
        key_file(tmp_path / "short")
    assert (tmp_path / "short").read_bytes() == b"x" * 31


def test_keys_reach_the_tools_and_no_command_line(tmp_path: Path) -> None:
    secret = b"by no means on a command line"
    kept, line = tmp_path / "kept", tmp_path / "line"
    script = f"cat {KEY} > {kept}; tr '\\0' ' ' < /proc/$$/cmdline > {line}; env >> {line}"
    carry_out([Step(Text("x", "x"), ("sh", "-c", script))], {KEY: secret}, lambda _: None)
    assert kept.read_bytes() == secret
    assert secret not in line.read_bytes()
    with pytest.raises(SetupFailed, match="no such thing"):
        carry_out([Step(Text("x", "x"), ("sh", "-c", "echo no such thing >&2; exit 3"))], {}, lambda _: None)


# The real tools, on a block device that is a file.

real = [
    pytest.mark.needs_root,
    pytest.mark.needs_debian("cryptsetup", "mkfs.ext4", "losetup", "wipefs", "lsblk", "blkid"),
]


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    found = Loop(tmp_path / "disk.img", 1100)
    yield found
    found.close()


def one_partition() -> bytes:
    """The first sector of a disk with one partition of 100 MiB."""
    entry = struct.pack("<8BII", 0, 0, 0, 0, 0x83, 0, 0, 0, 2048, 204_800)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


def ends_of(loop: Loop) -> tuple[bytes, bytes]:
    """What a disk begins and ends with."""
    with loop.image.open("rb") as file:
        first = file.read(4 << 20)
        file.seek(-(2 << 20), os.SEEK_END)
        return first, file.read()


def opens(device: str, key: bytes) -> bool:
    command = ["cryptsetup", "open", "--test-passphrase", "--key-file", "-", device]
    return subprocess.run(command, input=key, capture_output=True, check=False).returncode == 0


class TestRealTools:
    pytestmark = real

    @pytest.mark.parametrize("kind", [KeyKind.USB, KeyKind.PASSPHRASE])
    def test_a_header_that_both_keys_open(self, loop: Loop, kind: KeyKind) -> None:
        assert see_device(loop.device).holds == ()
        daily = os.urandom(64) if kind is KeyKind.USB else "大门 sieben 7".encode()
        recovery = recovery_key(os.urandom(32)).encode()
        key = STICK if kind is KeyKind.USB else KeyPlace(kind)
        made = plan(loop.device, "/srv/footage", UUID, key, ATTACH, wipe=False)
        carry_out(made.format, {RECOVERY: recovery, KEY: daily}, lambda _: None)
        assert opens(loop.device, daily)
        assert opens(loop.device, recovery)
        assert not opens(loop.device, daily[:-1])
        assert not opens(loop.device, recovery + b"\n")
        assert run("cryptsetup", "luksUUID", loop.device) == UUID
        dump = json.loads(run("cryptsetup", "luksDump", "--dump-json-metadata", loop.device))
        derived = [slot["kdf"] for _, slot in sorted(dump["keyslots"].items())]
        assert [each["type"] for each in derived] == ["pbkdf2", "pbkdf2" if kind is KeyKind.USB else "argon2id"]
        if kind is KeyKind.PASSPHRASE:
            assert derived[1]["memory"] <= 64 * 1024, "a board of 1 GB must be able to open it at its start"
        assert dump["segments"]["0"]["encryption"] == "aes-xts-plain64"
        # And now it holds something: it is not made anew without its name typed again.
        after = see_device(loop.device)
        assert after.holds == ("crypto_LUKS",)
        assert refusal(after, None) is not None
        assert refusal(after, loop.device) is None
        again = plan(loop.device, "/srv/footage", UUID, key, ATTACH, wipe=True)
        carry_out(again.format, {RECOVERY: b"another recovery key", KEY: daily}, lambda _: None)
        assert not opens(loop.device, recovery)

    @pytest.mark.parametrize("what", ["ext4", "partitions", "bytes", "last bytes"])
    def test_a_device_that_holds_something_is_not_touched(self, loop: Loop, tmp_path: Path, what: str) -> None:
        if what == "ext4":
            run("mkfs.ext4", "-q", "-F", loop.device)
        elif what == "partitions":
            with Path(loop.device).open("r+b") as device:
                device.write(one_partition())
        else:
            with Path(loop.device).open("r+b") as device:
                device.seek(4096 if what == "bytes" else (1100 << 20) - 100)
                device.write(b"somebody's only copy")
        before = ends_of(loop)
        screen = Screen("en", errors=(tmp_path / "said").open("w"))
        wish = VolumeWish(tmp_path / "volume", loop.device, "passphrase")
        assert create(screen, wish, "f1", tmp_path, as_json=False) == 4
        screen.errors.close()
        assert f"--erase {loop.device}" in (tmp_path / "said").read_text()
        assert ends_of(loop) == before
        assert not wish.path.exists()

    def test_a_disk_in_use_is_not_touched(self, tmp_path: Path) -> None:
        disk = LoopDisk(tmp_path / "disk.img", 1100)
        try:
            disk.mount(tmp_path / "mounted")
            (tmp_path / "mounted" / "film").write_bytes(b"x")
            seen_now = see_device(disk.device)
            assert seen_now.in_use == (str(tmp_path / "mounted"),)
            wish = VolumeWish(tmp_path / "volume", disk.device, "passphrase", erase=disk.device)
            assert create(Screen("en"), wish, "f1", tmp_path, as_json=False) == 4
            assert (tmp_path / "mounted" / "film").read_bytes() == b"x"
        finally:
            disk.close()

    def test_a_disk_of_which_a_part_is_in_use_is_not_touched(self, loop: Loop, tmp_path: Path) -> None:
        with Path(loop.device).open("r+b") as device:
            device.write(one_partition())
        run("partx", "--add", loop.device)
        part = f"{loop.device}p1"
        try:
            assert see_device(loop.device).holds == (part, "dos")
            run("mkfs.ext4", "-q", "-F", part)
            run("mount", part, tmp_path)
            seen_now = see_device(loop.device)
            assert str(tmp_path) in seen_now.in_use
            assert "in use" in str(refusal(seen_now, loop.device))
        finally:
            run("umount", tmp_path, check=False)
            run("partx", "--delete", loop.device, check=False)

    def test_a_key_lies_on_a_stick_or_nowhere(self, tmp_path: Path) -> None:
        with pytest.raises(SetupFailed, match="not on a USB stick"):
            place_on_stick(KeyPlace(KeyKind.USB, "/proc/y.key"))
        stick = LoopDisk(tmp_path / "stick.img", 16)
        try:
            stick.mount(tmp_path / "stick")
            (tmp_path / "stick" / "keys").mkdir()
            placed = place_on_stick(KeyPlace(KeyKind.USB, str(tmp_path / "stick" / "keys" / "y.key")))
            assert placed.within == "/keys/y.key"
            assert placed.stick_uuid == run("blkid", "-s", "UUID", "-o", "value", stick.device)
        finally:
            stick.close()

    def test_nothing_is_begun_that_cannot_be_finished(self, loop: Loop, tmp_path: Path) -> None:
        """Without the device mapper the volume could not be opened: the disk stays as it is. With it, it is made."""
        can = has_device_mapper()
        wish = VolumeWish(tmp_path / "volume", loop.device, "tpm" if not Path("/dev/tpmrm0").exists() else "x")
        assert create(Screen("en"), wish, "f1", tmp_path, as_json=False) in (1, 2)
        assert see_device(loop.device).holds == ()
        if not can:
            wish = VolumeWish(tmp_path / "volume", loop.device, "passphrase")
            assert create(Screen("en"), wish, "f1", tmp_path, as_json=False) == 1
            assert see_device(loop.device).holds == ()
