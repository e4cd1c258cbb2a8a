"""Makes an encrypted footage volume as `luks` plans it: looks at the device, runs the tools, writes what systemd reads.

Invariants
1. Nothing is written to a device before `luks.refusal` had nothing against it and every tool that will be needed was
   found: a volume is made to the end or not begun.
2. Keys are handed to the tools by descriptors of memory files, and stand in no file but the one asked for.
"""

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from agent.facts import Text
from agent.footage.disk.block_devices import read_mounts
from agent.footage.disk.encryption import mount_of
from agent.footage.disk.files import sync_directory
from agent.footage.disk.luks import (
    KEY,
    KEY_FILE_BYTES,
    LONGEST_KEY_FILE,
    RECOVERY,
    SHORTEST_KEY_FILE,
    DeviceSeen,
    KeyKind,
    KeyPlace,
    Plan,
    Step,
)

_BLANK_BYTES: Final = 1 << 20
_STEP_S: Final = 600.0
"""mkfs.ext4 of 20 TB over USB needs minutes; nothing needs more."""

_ATTACH: Final = (
    "/usr/bin/systemd-cryptsetup",
    "/usr/lib/systemd/systemd-cryptsetup",
    "/lib/systemd/systemd-cryptsetup",
)
_TOOLS: Final = {"cryptsetup": "cryptsetup", "mkfs.ext4": "e2fsprogs", "wipefs": "util-linux", "lsblk": "util-linux"}


class SetupFailed(Exception):
    """The volume was not made; `text` says what to do."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


def see_device(path: str) -> DeviceSeen:
    """What a device is and holds. Raises SetupFailed when it cannot be looked at."""
    try:
        seen = os.stat(path)  # noqa: PTH116 - its mode is asked for, of a path that may be any string
    except OSError as error:
        raise SetupFailed(Text(f"{path}：{error.strerror}", f"{path}: {error.strerror}")) from error
    if not stat.S_ISBLK(seen.st_mode):
        return DeviceSeen(path, False)
    columns = "PATH,TYPE,SIZE,RO,MOUNTPOINTS,FSTYPE,PTTYPE"
    whole, *others = json.loads(_output("lsblk", "--json", "--bytes", "--output", columns, path))["blockdevices"]
    parts = [each for device in (whole, *others) for each in _below(device)] + others  # a tree, or a plain list
    in_use = {str(where) for each in [whole, *parts] for where in each["mountpoints"] if where}
    in_use |= {each["path"] for each in parts if each["type"] != "part"}
    in_use |= {line.split()[0] for line in _swaps() if line.split()[0] in {each["path"] for each in [whole, *parts]}}
    signatures = json.loads(_output("wipefs", "--no-act", "--json", path) or "{}").get("signatures", [])
    holds = {str(each["type"]) for each in signatures} | {each["path"] for each in parts if each["type"] == "part"}
    if not holds and not _is_blank(path):
        holds = {"data"}
    return DeviceSeen(path, True, int(whole["size"]), bool(whole["ro"]), tuple(sorted(in_use)), tuple(sorted(holds)))


def check_tools(key: KeyKind) -> str:
    """Where systemd-cryptsetup lies. Raises SetupFailed when anything that will be needed is not there."""
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            raise SetupFailed(Text(f"没有 {tool}：apt install {package}", f"no {tool}: apt install {package}"))
    attach = next((each for each in _ATTACH if Path(each).exists()), None)
    if attach is None:
        raise SetupFailed(Text("没有 systemd-cryptsetup：apt install systemd", "no systemd-cryptsetup in this system"))
    if key is KeyKind.TPM:
        if shutil.which("systemd-cryptenroll") is None:
            raise SetupFailed(Text("没有 systemd-cryptenroll", "no systemd-cryptenroll in this system"))
        if not Path("/dev/tpmrm0").exists():
            raise SetupFailed(Text("这台机器没有可用的 TPM 2.0", "this machine has no TPM 2.0 that can be used"))
    return attach


def has_device_mapper() -> bool:
    """Whether this kernel can open encrypted devices; the module is loaded if it is there."""
    if shutil.which("modprobe") is not None:
        subprocess.run(["modprobe", "--quiet", "dm_crypt"], check=False, capture_output=True, timeout=30)
    return Path("/sys/class/misc/device-mapper").exists() or Path("/dev/mapper/control").exists()


def place_on_stick(key: KeyPlace) -> KeyPlace:
    """The key file of a USB stick, with the stick's uuid. Raises SetupFailed when it does not lie on a stick."""
    folder = Path(key.file).parent
    mount = mount_of(os.path.realpath(folder), read_mounts())
    if mount is None or mount.where == "/" or not mount.source.startswith("/dev/") or not folder.is_dir():
        what = Text(f"{folder} 不在已挂载的 U 盘上", f"{folder} is not on a USB stick that is mounted")
        raise SetupFailed(what)
    found = subprocess.run(
        ["blkid", "--match-tag", "UUID", "--output", "value", mount.source],
        check=False, capture_output=True, text=True, timeout=30,
    ).stdout.strip()  # fmt: skip
    if not found:
        raise SetupFailed(Text(f"{mount.source} 没有 UUID", f"{mount.source} has no uuid"))
    within = os.path.realpath(key.file).removeprefix(mount.where.rstrip("/"))
    return replace(key, stick_uuid=found, within=within)


def key_file(path: Path) -> bytes:
    """The key in `path`, made there if there is none. Raises SetupFailed when it is no key, OSError."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
    except FileExistsError:
        data = path.read_bytes()
        if not SHORTEST_KEY_FILE <= len(data) <= LONGEST_KEY_FILE:
            text = Text(f"{path} 已存在，但不是密钥文件", f"{path} is there already and is no key file")
            raise SetupFailed(text) from None
        return data
    data = os.urandom(KEY_FILE_BYTES)
    with open(number, "wb") as file:  # noqa: PTH123 - a descriptor, for its mode
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)
    return data


def carry_out(steps: Sequence[Step], keys: Mapping[str, bytes], say: Callable[[Text], None]) -> None:
    """Run the steps in order; `keys` are those of `RECOVERY` and `KEY`. Raises SetupFailed at the first that fails."""
    for step in steps:
        say(step.does)
        with ExitStack() as stack:
            paths = {name: _memory_file(stack, data) for name, data in keys.items()}
            argv = [_filled(part, paths) for part in step.argv]
            try:
                done = subprocess.run(
                    argv, check=False, capture_output=True, text=True, timeout=_STEP_S, stdin=subprocess.DEVNULL,
                    pass_fds=[int(path.rpartition("/")[2]) for path in paths.values()],
                )  # fmt: skip
            except (OSError, subprocess.TimeoutExpired) as error:
                raise SetupFailed(Text(f"{step.does.zh}：{error}", f"{step.does.en}: {error}")) from error
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            why = said[-1] if said else f"exit status {done.returncode}"
            raise SetupFailed(Text(f"{step.does.zh}：{why}", f"{step.does.en}: {why}"))


def close(plan: Plan) -> None:
    """Let go of a device that was opened but not mounted, so that it can be tried again."""
    subprocess.run(["cryptsetup", "close", plan.name], check=False, capture_output=True, timeout=60)


def install(plan: Plan, root: Path = Path("/")) -> list[Path]:
    """Put the line into /etc/crypttab and the unit where systemd finds it; the files that were written.

    A line of the same name or disk is written anew. systemd is told by the caller. Raises OSError.
    """
    crypttab = root / "etc" / "crypttab"
    old = crypttab.read_text(encoding="utf-8").splitlines() if crypttab.exists() else []
    kept = [line for line in old if line.split()[:1] != [plan.name] and f"UUID={plan.uuid}" not in line.split()]
    unit = root / "etc" / "systemd" / "system" / plan.unit_name
    for path, text in ((crypttab, "\n".join([*kept, plan.crypttab]) + "\n"), (unit, plan.unit)):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f"{path.name}.new")
        with staged.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        staged.rename(path)
        sync_directory(path.parent)
    return [crypttab, unit]


def enable(plan: Plan) -> None:
    """Let systemd mount the volume at every start. Raises SetupFailed."""
    steps = [
        Step(Text("重读 systemd 单元", "reading the units of systemd anew"), ("systemctl", "daemon-reload")),
        Step(Text("开机挂载", "mounting it at every start"), ("systemctl", "enable", plan.unit_name)),
    ]
    carry_out(steps, {}, lambda _: None)


def _memory_file(stack: ExitStack, data: bytes) -> str:
    number = os.memfd_create("key", os.MFD_CLOEXEC)
    stack.callback(os.close, number)
    os.write(number, data)
    return f"/proc/self/fd/{number}"


def _filled(part: str, paths: Mapping[str, str]) -> str:
    for name in (RECOVERY, KEY):
        if name in part:
            return part.replace(name, paths[name])
    return part


def _output(*argv: str) -> str:
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise SetupFailed(Text(f"{argv[0]}：{done.stderr.strip()}", f"{argv[0]}: {done.stderr.strip()}"))
    return done.stdout


def _below(device: Mapping[str, Any]) -> list[Any]:
    children = device.get("children", [])
    return [*children, *(each for child in children for each in _below(child))]


def _swaps() -> list[str]:
    try:
        return Path("/proc/swaps").read_text(encoding="utf-8").splitlines()[1:]
    except OSError:
        return []


def _is_blank(path: str) -> bool:
    with Path(path).open("rb") as device:
        if any(device.read(_BLANK_BYTES)):
            return False
        device.seek(0, os.SEEK_END)
        device.seek(max(0, device.tell() - _BLANK_BYTES))
        return not any(device.read(_BLANK_BYTES))
