"""How often a camera is asked with a user and password that it refused.

Cameras lock a user out after a handful of wrong passwords in half an hour (Dahua: 5, Hikvision: 7), the people who
use the same account among them, and stay locked after the password is mended. So:

- The first attempt of each stream with a password is free: a stream that was never refused waits for nobody.
- Once refused, all streams of one host and user share a tally, across processes, of refusals since the last
  acceptance: the next attempt is due after 10 s, then after 60 s, then every 15 minutes, whoever makes it.
- A password file that changed, and a start of the process (settings that changed), make the next attempt free.

A lone stream asks four times in half an hour, and so do the main and sub stream and vision together. The price:
after the password was changed on the camera, back to ours, it may take 15 minutes until footage goes on (touching the
password file ends the wait). After our side was mended it takes two seconds.

Invariants
1. No password, and nothing made from one, is kept or written: a password is known by the stamp of its file.
2. What cannot be read or written here holds up no attempt: then each process keeps its own tally.
"""

import hashlib
import json
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agent.camera_address import Address
from agent.clock import Clock

WAITS_S: Final = (10.0, 60.0, 900.0)
"""After the first, the second and every further refusal."""

_RTSP_PORT: Final = 554
"""Another port is another device: several may stand behind one address. One found by ONVIF is taken to use this."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Refusals of one host and user since the last acceptance. `stamp` is that of the password file."""

    refused: int
    last_ns: int
    stamp: str


def is_due(tally: Tally, now_ns: int) -> bool:
    """Whether the next attempt may be made. One that lies in the future is of a former start of the machine."""
    wait_s = WAITS_S[min(tally.refused, len(WAITS_S)) - 1]
    return not 0 <= now_ns - tally.last_ns < wait_s * 1e9


class Logins:
    """The tallies of this machine, one small file to a host and user in `folder`; in memory without one."""

    def __init__(self, folder: Path | None, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._guard = threading.Lock()
        self._memory: dict[str, Tally] = {}

    def login(self, address: Address) -> "Login":
        """The way in of one stream."""
        return Login(self, address, self._clock)

    def read(self, key: str) -> Tally | None:
        """The tally of one host and user."""
        with self._guard:
            if self._folder is not None:
                try:
                    known = json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8"))
                    return Tally(int(known["refused"]), int(known["last_ns"]), str(known["stamp"]))
                except FileNotFoundError:
                    return None if self._folder.is_dir() else self._memory.get(key)
                except (OSError, ValueError, TypeError, KeyError):
                    return self._memory.get(key)
            return self._memory.get(key)

    def write(self, key: str, tally: Tally | None) -> None:
        """Keep it; None: the last attempt was accepted."""
        with self._guard:
            if tally is None:
                self._memory.pop(key, None)
            else:
                self._memory[key] = tally
            if self._folder is None:
                return
            path = self._folder / f"{key}.json"
            with suppress(OSError):
                if tally is None:
                    path.unlink(missing_ok=True)
                    return
                self._folder.mkdir(mode=0o700, exist_ok=True)
                draft = path.with_suffix(f".{threading.get_native_id()}")
                draft.write_text(json.dumps(asdict(tally)), encoding="utf-8")
                draft.replace(path)


class Login:
    """One stream's attempts. Used by one thread at a time."""

    def __init__(self, logins: Logins, address: Address, clock: Clock) -> None:
        self._logins = logins
        self._address = address
        self._clock = clock
        parts = urlsplit(address.url)
        port = (parts.port or _RTSP_PORT) if parts.scheme.startswith("rtsp") else _RTSP_PORT
        who = f"{address.username or ''}@{parts.hostname}:{port}"
        self._key = hashlib.sha256(who.encode()).hexdigest()[:16]
        self._refused_with: str | None = None
        self._stamp = ""

    def may_try(self) -> bool:
        """Whether to ask the camera now. A True is an attempt: it is to be made, and its outcome told."""
        self._stamp = self._address.password_stamp()
        if self._refused_with != self._stamp:
            return True
        tally, now_ns = self._logins.read(self._key), self._clock.mono_ns()
        if tally is None or tally.stamp != self._stamp:
            return True
        if not is_due(tally, now_ns):
            return False
        self._logins.write(self._key, Tally(tally.refused, now_ns, tally.stamp))
        return True

    def refused(self) -> None:
        """The camera refused the user or the password."""
        self._refused_with = self._stamp
        tally = self._logins.read(self._key)
        before = tally.refused if tally is not None and tally.stamp == self._stamp else 0
        self._logins.write(self._key, Tally(before + 1, self._clock.mono_ns(), self._stamp))

    def accepted(self) -> None:
        """The camera let the stream in."""
        if self._refused_with is not None or self._logins.read(self._key) is not None:
            self._refused_with = None
            self._logins.write(self._key, None)
