"""`yunjian footage volume create`: a folder, or a whole encrypted disk, becomes a volume that footage goes to."""

import getpass
import os
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.access.console import YELLOW, Screen
from agent.facts import Text
from agent.footage.disk.block_devices import is_encrypted
from agent.footage.disk.disk_setup import (
    SetupFailed,
    carry_out,
    check_tools,
    close,
    enable,
    has_device_mapper,
    install,
    key_file,
    place_on_stick,
    see_device,
)
from agent.footage.disk.encryption import Encrypted
from agent.footage.disk.files import VolumeRefused, create_volume
from agent.footage.disk.luks import (
    KEY,
    RECOVERY,
    RECOVERY_BYTES,
    SHORTEST_PASSPHRASE,
    KeyKind,
    KeyPlace,
    Plan,
    parse_key,
    plan,
    recovery_key,
    refusal,
)

OK, WRONG, USAGE, REFUSED = 0, 1, 2, 4


@dataclass(frozen=True, slots=True)
class VolumeWish:
    """What was asked for. `device` is None for a folder as it is; `key` and `erase` as typed."""

    path: Path
    device: str | None = None
    key: str = ""
    erase: str | None = None
    install: bool = False


_KEYS: Final = Text("--key 应为 tpm、usb:/路径/文件 或 passphrase", "--key must be tpm, usb:/PATH/FILE or passphrase")


def create(screen: Screen, wish: VolumeWish, agent_id: str, owner: Path, as_json: bool) -> int:
    """Make the volume of the facility `agent_id`; it will belong to whoever owns `owner`, where that can be done."""
    try:
        if wish.device is None:
            return _folder(screen, wish.path, agent_id, owner, as_json)
        return _disk(screen, wish, wish.device, agent_id, owner, as_json)
    except SetupFailed as failed:
        screen.problem(failed.text)
    except (OSError, VolumeRefused) as error:
        screen.problem(Text(f"建立录像盘失败：{error}", f"the volume was not made: {error}"))
    return WRONG


def _folder(screen: Screen, path: Path, agent_id: str, owner: Path, as_json: bool) -> int:
    made = create_volume(path, agent_id, time.time_ns())
    _give_to(path, owner)
    found = is_encrypted(path)
    if as_json:
        screen.json({"path": str(path), "uuid": made.uuid, "encrypted": found.value})
        return OK
    screen.line(screen.t(f"录像盘已建立：{path}", f"volume made: {path}"))
    if found is Encrypted.NO:
        zh = "提醒：这块盘未加密，被盗的话录像可被读取；加密：--luks 设备 --key tpm"
        en = "note: this disk is not encrypted, a thief can read the footage; to encrypt: --luks DEVICE --key tpm"
        screen.line(screen.t(zh, en), YELLOW)
    return OK


def _disk(screen: Screen, wish: VolumeWish, device: str, agent_id: str, owner: Path, as_json: bool) -> int:
    key = parse_key(wish.key)
    if key is None:
        screen.problem(_KEYS)
        return USAGE
    seen = see_device(device)
    if (why := refusal(seen, wish.erase)) is not None:
        screen.problem(why)
        return REFUSED
    attach = check_tools(key.kind)
    if not has_device_mapper():
        text = Text("这个内核没有 device mapper，打不开加密盘", "this kernel has no device mapper: it cannot be opened")
        raise SetupFailed(text)
    _mount_point(wish.path)
    key, daily = _daily_key(screen, key)
    recovery = recovery_key(os.urandom(RECOVERY_BYTES))
    keys = {RECOVERY: recovery.encode()} | ({KEY: daily} if daily is not None else {})
    made = plan(device, str(wish.path), str(uuid.uuid4()), key, attach, bool(seen.holds))

    def say(text: Text) -> None:
        if not as_json:
            screen.line(screen.say(text) + " …")
            screen.flush()

    carry_out(made.format, keys, say)
    try:
        carry_out(made.mount, keys, say)
    except SetupFailed:
        close(made)
        raise
    volume = create_volume(wish.path, agent_id, time.time_ns())
    _give_to(wish.path, owner)
    written = install(made) if wish.install else []
    if wish.install:
        enable(made)
    if as_json:
        screen.json(
            {
                "path": str(wish.path), "uuid": volume.uuid, "encrypted": is_encrypted(wish.path).value,
                "device": device, "luks_uuid": made.uuid, "recovery_key": recovery, "crypttab": made.crypttab,
                "unit_name": made.unit_name, "unit": made.unit, "installed": [str(path) for path in written],
            }
        )  # fmt: skip
    else:
        _tell(screen, made, wish.path, recovery, bool(written))
    return OK


def _tell(screen: Screen, made: Plan, path: Path, recovery: str, installed: bool) -> None:
    screen.line(screen.t(f"加密录像盘已建立：{path}", f"encrypted volume made: {path}"))
    screen.line(
        screen.t(
            "恢复密钥（只显示这一次；抄下来，离开机器存放；丢了它和日常密钥，录像就读不了）：",
            "recovery key (shown this once; write it down and keep it away from the machine):",
        )
    )
    screen.line(f"  {recovery}", YELLOW)
    if installed:
        screen.line(screen.t("开机时自动打开并挂载", "it is opened and mounted at every start"))
        return
    screen.line(screen.t("开机自动挂载，请加入 /etc/crypttab：", "to mount it at every start, add to /etc/crypttab:"))
    screen.line(f"  {made.crypttab}")
    screen.line(
        screen.t(f"以及 /etc/systemd/system/{made.unit_name}：", f"and as /etc/systemd/system/{made.unit_name}:")
    )
    for line in made.unit.splitlines():
        screen.line(f"  {line}".rstrip())
    screen.line(f"systemctl daemon-reload && systemctl enable '{made.unit_name}'")


def _mount_point(path: Path) -> None:
    if not path.is_absolute():
        raise SetupFailed(Text(f"请写完整路径（{path}）", f"write the whole path (got {path})"))
    path.mkdir(parents=True, exist_ok=True)
    if path.is_mount() or any(path.iterdir()):
        raise SetupFailed(Text(f"{path} 不是空目录", f"{path} is not an empty folder"))


def _daily_key(screen: Screen, key: KeyPlace) -> tuple[KeyPlace, bytes | None]:
    if key.kind is KeyKind.TPM:
        return key, None
    if key.kind is KeyKind.USB:
        placed = place_on_stick(key)
        return placed, key_file(Path(key.file))
    return key, _passphrase(screen).encode()


def _passphrase(screen: Screen) -> str:
    if not sys.stdin.isatty():
        typed = sys.stdin.readline().rstrip("\n")
    else:
        typed = getpass.getpass(screen.t("口令：", "passphrase: "))
        if getpass.getpass(screen.t("再输一次：", "once more: ")) != typed:
            raise SetupFailed(Text("两次输入不同", "the two are not the same"))
    if len(typed) < SHORTEST_PASSPHRASE:
        few = f"口令至少 {SHORTEST_PASSPHRASE} 个字符"
        raise SetupFailed(Text(few, f"a passphrase has at least {SHORTEST_PASSPHRASE} characters"))
    return typed


def _give_to(path: Path, owner: Path) -> None:
    """Root makes volumes, another user records to them."""
    if os.geteuid() != 0 or not owner.exists():
        return
    seen = owner.stat()
    for each in (path, *path.glob("VOLUME.json")):
        os.chown(each, seen.st_uid, seen.st_gid)
