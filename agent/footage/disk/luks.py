"""PURE. How an encrypted footage volume is made: what forbids it, the steps, and what the system is told of it.

LUKS2 with two keys: a recovery key that is printed once, and the one that opens the volume at every start (a TPM, a
file on a USB stick, or a passphrase). What has 256 random bits needs no slow key derivation; a passphrase gets
argon2id with memory that a board of 1 GB can spare at its start (systemd-cryptenroll and cryptsetup do the same).

Invariants
1. A device that holds anything is not touched unless its name was typed once more; one in use is not touched at all.
2. No key stands on a command line or in an environment: steps name keys by `RECOVERY` and `KEY`, and whoever carries
   them out passes descriptors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agent.facts import Text

RECOVERY: Final = "{recovery}"
KEY: Final = "{key}"
"""Stand in the arguments of a step for the path where the key can be read."""

MODHEX: Final = "cbdefghijklnrtuv"
"""Sixteen letters that lie alike on every keyboard, for the recovery key."""

_GROUPS: Final = 8
RECOVERY_BYTES: Final = 32

KEY_FILE_BYTES: Final = 64
SHORTEST_KEY_FILE: Final = 32
LONGEST_KEY_FILE: Final = 8192
SHORTEST_PASSPHRASE: Final = 12

SMALLEST_BYTES: Final = 1 << 30
"""Less is no disk for footage, but a slip of the hand: 1 GB is half an hour of one camera."""

ARGON_KIB: Final = 64 * 1024
ARGON_PASSES: Final = 10
"""RFC 9106 recommends 64 MiB, 3 passes and 4 lanes where memory is short; cryptsetup's own measure takes up to 1 GiB,
which a small board does not have when it starts. Ten passes are two seconds of such a board."""

_RANDOM_KEY: Final = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
_TYPED_KEY: Final = (
    "--pbkdf", "argon2id", "--pbkdf-memory", str(ARGON_KIB), "--pbkdf-parallel", "4",
    "--pbkdf-force-iterations", str(ARGON_PASSES),
)  # fmt: skip

_BYTES_PER_INODE: Final = 262_144
"""A segment of 10 s of a sub stream is as small as this; ext4's default of 16 KiB wastes 1.5 % of the disk."""


class KeyKind(StrEnum):
    """What opens the volume at a start."""

    TPM = "tpm"
    USB = "usb"
    PASSPHRASE = "passphrase"


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where the key is. For USB: `file` as it is mounted now, `stick_uuid` of the stick's file system and `within`,
    the file's path on it."""

    kind: KeyKind
    file: str = ""
    stick_uuid: str = ""
    within: str = ""


@dataclass(frozen=True, slots=True)
class DeviceSeen:
    """What is known of a block device before anything is done to it."""

    path: str
    is_block: bool
    size_bytes: int = 0
    read_only: bool = False
    in_use: tuple[str, ...] = ()
    """Where it, or a part of it, is mounted, swapped to or held."""
    holds: tuple[str, ...] = ()
    """Signatures and partitions found on it, or `data` for bytes that nobody knows."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and what it does."""

    does: Text
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How the volume is made. `format` writes keys and header, `mount` opens it and makes the file system; then what
    stands in /etc/crypttab and in the mount unit."""

    name: str
    uuid: str
    format: tuple[Step, ...]
    mount: tuple[Step, ...]
    crypttab: str
    unit_name: str
    unit: str


def parse_key(text: str) -> KeyPlace | None:
    """`tpm`, `usb:/media/stick/yunjian.key` or `passphrase`; None for anything else."""
    if text in (KeyKind.TPM, KeyKind.PASSPHRASE):
        return KeyPlace(KeyKind(text))
    kind, _, path = text.partition(":")
    return KeyPlace(KeyKind.USB, path) if kind == KeyKind.USB and path.startswith("/") else None


def recovery_key(random: bytes) -> str:
    """`RECOVERY_BYTES` random bytes as people can type them: eight groups of eight letters."""
    letters = "".join(MODHEX[each >> 4] + MODHEX[each & 15] for each in random)
    size = len(letters) // _GROUPS
    return "-".join(letters[at : at + size] for at in range(0, len(letters), size))


def refusal(seen: DeviceSeen, erase: str | None) -> Text | None:
    """Why this device is not made a volume, None when nothing forbids it. `erase`: the name typed to confirm."""
    path = seen.path
    if not seen.is_block:
        return Text(f"{path} 不是块设备", f"{path} is no block device")
    if seen.in_use:
        used = ", ".join(seen.in_use)
        return Text(
            f"{path} 正在使用（{used}），先卸载；--erase 也不行",
            f"{path} is in use ({used}): unmount it first; --erase does not help",
        )
    if seen.read_only:
        return Text(f"{path} 只读", f"{path} is read-only")
    if seen.size_bytes < SMALLEST_BYTES:
        return Text(f"{path} 太小（{seen.size_bytes} 字节）", f"{path} is too small ({seen.size_bytes} bytes)")
    if seen.holds and erase is None:
        held = ", ".join(seen.holds)
        return Text(
            f"{path} 上有内容（{held}）。确定全部清除：--erase {path}",
            f"{path} holds something ({held}). To wipe all of it: --erase {path}",
        )
    if erase is not None and erase != path:
        return Text(
            f"--erase 写的是 {erase}，设备却是 {path}：什么都没有做",
            f"--erase names {erase}, the device is {path}: nothing was done",
        )
    return None


def mapping_name(path: str) -> str:
    """The name of the opened device for the folder it is mounted on: one that systemd need not escape."""
    plain = "".join(each if each.isalnum() and each.isascii() else "_" for each in path.strip("/").lower())
    return f"yunjian_{plain}"[:64]


def unit_name(path: str) -> str:
    """The name of the mount unit of a folder, as systemd-escape --path --suffix=mount gives it."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return "-.mount"
    escaped = ["".join(_escaped(byte) for byte in part.encode()) for part in parts]
    if escaped[0].startswith("."):
        escaped[0] = r"\x2e" + escaped[0][1:]
    return "-".join(escaped) + ".mount"


def plan(device: str, path: str, uuid: str, key: KeyPlace, attach: str, wipe: bool) -> Plan:
    """The steps that make `device` the volume at `path` (absolute), with this LUKS uuid. `attach` is where
    systemd-cryptsetup lies, `wipe` whether the device holds something that is to go."""
    name = mapping_name(path)
    mapped = f"/dev/mapper/{name}"
    steps = []
    if wipe:
        steps.append(
            Step(Text("清除原有标记", "wiping what it was"), ("wipefs", "--quiet", "--all", "--force", device))
        )
    steps.append(
        Step(
            Text("写加密头", "writing the header of the encryption"),
            (
                "cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", "--uuid", uuid, "--label", name,
                *_RANDOM_KEY, "--key-file", RECOVERY, device,
            ),
        )
    )  # fmt: skip
    steps.append(_enrol(device, key))
    steps.append(_tested(device, RECOVERY, Text("试恢复密钥", "trying the recovery key")))
    if key.kind is not KeyKind.TPM:
        steps.append(_tested(device, KEY, Text("试日常密钥", "trying the key of every day")))
    mount = [
        Step(Text("打开加密盘", "opening it with the key of every day"), _opened(device, name, key, attach)),
        Step(
            Text("建立文件系统", "making the file system"),
            ("mkfs.ext4", "-q", "-F", "-m", "1", "-i", str(_BYTES_PER_INODE), "-L", "footage", mapped),
        ),
        Step(Text("挂载", "mounting it"), ("mount", "-o", _OPTIONS, mapped, path)),
    ]
    crypttab = f"{name} UUID={uuid} {_key_field(key)} {','.join(_options(key))}"
    return Plan(name, uuid, tuple(steps), tuple(mount), crypttab, unit_name(path), _unit(name, path))


def _enrol(device: str, key: KeyPlace) -> Step:
    if key.kind is KeyKind.TPM:
        argv: Sequence[str] = (
            "systemd-cryptenroll", f"--unlock-key-file={RECOVERY}", "--tpm2-device=auto", "--tpm2-pcrs=7", device,
        )  # fmt: skip
        return Step(Text("把密钥交给 TPM", "sealing a key in the TPM"), tuple(argv))
    slow = _TYPED_KEY if key.kind is KeyKind.PASSPHRASE else _RANDOM_KEY
    argv = ("cryptsetup", "luksAddKey", "--batch-mode", *slow, "--key-file", RECOVERY, device, KEY)
    return Step(Text("加入日常密钥", "adding the key of every day"), tuple(argv))


def _tested(device: str, key: str, does: Text) -> Step:
    return Step(does, ("cryptsetup", "open", "--test-passphrase", "--key-file", key, device))


def _opened(device: str, name: str, key: KeyPlace, attach: str) -> tuple[str, ...]:
    if key.kind is KeyKind.TPM:  # the way of a start, so that what is proven is a start
        return (attach, "attach", name, device, "-", "luks,tpm2-device=auto,headless=true")
    return ("cryptsetup", "open", "--key-file", KEY, device, name)


def _key_field(key: KeyPlace) -> str:
    return f"{key.within}:UUID={key.stick_uuid}" if key.kind is KeyKind.USB else "none"


def _options(key: KeyPlace) -> list[str]:
    more = {
        KeyKind.TPM: ["tpm2-device=auto"],
        KeyKind.USB: ["keyfile-timeout=60s"],
        KeyKind.PASSPHRASE: [],
    }[key.kind]
    return ["luks", "nofail", *more]


_OPTIONS: Final = "noatime,nodev,nosuid,noexec"


def _unit(name: str, path: str) -> str:
    return f"""\
[Unit]
Description=Footage volume {path}
Requires=systemd-cryptsetup@{name}.service
After=systemd-cryptsetup@{name}.service
Before=yunjian-record.service

[Mount]
What=/dev/mapper/{name}
Where={path}
Type=ext4
Options={_OPTIONS}

[Install]
WantedBy=multi-user.target
"""


def _escaped(byte: int) -> str:
    letter = chr(byte)
    return letter if (letter.isalnum() and byte < 128) or letter in ":_." else f"\\x{byte:02x}"
