"""The key of this device: made at the first start, read by the record process alone.

`device.key` (mode 0600) is the private key, `device.pub` the public one for everybody, both in the data directory.

Invariants
1. A private key is never written over: one that cannot be used is kept as `device.key.damaged-<time>`.
2. A new key is made only where there is none or a damaged one; a disk that cannot be read makes none.
3. The private key is in no memory but that of `signer`, a child that lives for one signature.
4. A private key that others could read is closed to them at once, and that it was open is told.
"""

import base64
import binascii
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.fingerprint import KEY_BYTES, NoPublicKey, fingerprint, from_pem, to_pem

log = logging.getLogger(__name__)

KEY_FILE: Final = "device.key"
PUBLIC_FILE: Final = "device.pub"

_SIGN_WAIT_S: Final = 30.0
"""A board under load needs two seconds to start the child."""

_GONE: Final = 2
_DAMAGED: Final = 3
"""What `signer` ends with when the file is not there, and when it is no key."""


class KeyUnusable(Exception):
    """The key can be neither read nor made now. The text says why; nothing in it is secret."""


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """The key of this device. `lost` says why a new one was made although there had been another: `damaged`,
    `gone`, or "" when there was none to lose. `was_open`: other users could have read it until now."""

    path: Path
    public: bytes
    lost: str = ""
    was_open: bool = field(default=False, compare=False)

    @property
    def fingerprint(self) -> str:
        """What people compare."""
        return fingerprint(self.public)

    def sign(self, data: bytes) -> bytes:
        """The Ed25519 signature of `data`. Raises KeyUnusable, also when the file no longer is the key it was."""
        answer = _ask("sign", self.path, data)
        if answer[:KEY_BYTES] != self.public:
            raise KeyUnusable(f"{self.path} is another key than at the start")
        return answer[KEY_BYTES:]


def device_key(folder: Path, stamp: str) -> DeviceKey:
    """The key in `folder`, made when there is none. `stamp` names a damaged one that is put aside.

    Raises KeyUnusable when the disk refuses.
    """
    path, told = folder / KEY_FILE, folder / PUBLIC_FILE
    lost = ""
    try:
        public = _ask("public", path)
    except _NotThere:
        lost = "gone" if told.exists() else ""
        public = _make(path)
    except _NoKey as error:
        lost = "damaged"
        aside = path.with_name(f"{path.name}.damaged-{stamp}")
        log.error("the device key cannot be used (%s): it is kept as %s, and a new one is made", error, aside.name)  # noqa: TRY400
        _on_disk(lambda: path.rename(aside))
        public = _make(path)
    was_open = close_to_others(path)
    if public_key(folder) != public:
        _on_disk(lambda: _tell(told, public))
    return DeviceKey(path, public, lost, was_open)


def close_to_others(path: Path) -> bool:
    """Make the private key readable by its user alone; whether it was readable by others. Raises KeyUnusable."""
    found: list[bool] = []
    _on_disk(lambda: found.append(_close(path)))
    return found[0]


def public_key(folder: Path) -> bytes | None:
    """The raw public key of the device whose data directory this is, as any process may read it; None when it has
    made none yet, or it cannot be read."""
    try:
        return from_pem((folder / PUBLIC_FILE).read_text(encoding="ascii"))
    except (OSError, NoPublicKey, UnicodeDecodeError):
        return None


class _NotThere(KeyUnusable):
    """There is no such file."""


class _NoKey(KeyUnusable):
    """The file is no key."""


def _make(path: Path) -> bytes:
    public = _ask("make", path)
    log.warning("a device key was made: its fingerprint is %s", fingerprint(public))
    return public


def _ask(verb: str, path: Path, data: bytes = b"") -> bytes:
    command = [sys.executable, "-m", "agent.footage.custody.signer", verb, str(path)]
    try:
        ended = subprocess.run(command, input=data, capture_output=True, timeout=_SIGN_WAIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KeyUnusable(f"the signer could not be run: {type(error).__name__}") from error
    reason = ended.stderr.decode(errors="replace").strip()[-200:]
    if ended.returncode == _GONE:
        raise _NotThere(reason)
    if ended.returncode == _DAMAGED:
        raise _NoKey(reason)
    if ended.returncode:
        raise KeyUnusable(reason or f"the signer ended with {ended.returncode}")
    try:
        return base64.b64decode(ended.stdout.strip(), validate=True)
    except binascii.Error as error:
        raise KeyUnusable("the signer said something else than a key") from error


def _close(path: Path) -> bool:
    is_open = bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    if is_open:
        log.error("%s could be read by others; its mode is 0600 again", path)
        path.chmod(0o600)
    return is_open


def _tell(path: Path, public: bytes) -> None:
    staged = path.with_name(f"{path.name}.new")
    with staged.open("w", encoding="ascii") as file:
        file.write(to_pem(public))
        file.flush()
        os.fsync(file.fileno())
    staged.chmod(0o644)
    staged.rename(path)


def _on_disk(act: Callable[[], object]) -> None:
    try:
        act()
    except OSError as error:
        raise KeyUnusable(str(error)) from error
