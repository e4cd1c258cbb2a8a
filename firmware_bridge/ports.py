"""Which serial ports stand behind USB, as the kernel tells in sysfs: who made it, what it is, its serial number."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KNOWN_VENDORS: Final = frozenset({"2341", "2a03", "1a86", "0403", "10c4", "067b"})
"""Who makes the boards, and the USB converters on them: Arduino (two numbers), QinHeng (CH340), FTDI, Silicon Labs
(CP210x), Prolific. Numbers of the list of USB vendors. A modem or a printer is not asked whether it is a board."""

_ID: Final = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}")


class NoSysfs(OSError):
    """The kernel does not tell what is plugged in."""


@dataclass(frozen=True, slots=True)
class UsbPort:
    """A serial port behind USB. `usb_id` is vendor:product as in `2341:0043`; `serial` is empty where the device has
    none; `by_id` is its lasting name, where udev makes one."""

    path: Path
    usb_id: str
    serial: str
    product: str
    by_id: Path | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A port that is looked for. `usb` is a vendor:product or a serial number; None is any board that is known."""

    usb: str | None = None

    def __str__(self) -> str:
        return f"usb {self.usb}" if self.usb else "auto"

    def fits(self, port: UsbPort) -> bool:
        """Whether `port` may be it."""
        if self.usb is None:
            return port.usb_id[:4] in KNOWN_VENDORS
        if _ID.fullmatch(self.usb):
            return port.usb_id == self.usb.lower()
        return port.serial == self.usb != ""


class PluggedIn:
    """What is plugged in. The folders are the kernel's; a test has its own."""

    def __init__(self, dev: Path = Path("/dev"), sys: Path = Path("/sys")) -> None:
        self._dev = dev
        self._sys = sys

    def ports(self) -> list[UsbPort]:
        """Every serial port behind USB now, by name; none where the kernel does not tell."""
        folder = self._sys / "class" / "tty"
        names = self._lasting_names()
        found = []
        for entry in sorted([*folder.glob("ttyACM*"), *folder.glob("ttyUSB*")], key=lambda each: each.name):
            device, path = self._usb_device(entry / "device"), self._dev / entry.name
            if device is None or not path.exists():
                continue
            usb_id = f"{_word(device / 'idVendor')}:{_word(device / 'idProduct')}".lower()
            by_id = names.get(os.path.realpath(path))
            found.append(UsbPort(path, usb_id, _word(device / "serial"), _word(device / "product"), by_id))
        return found

    def must_be_told(self) -> None:
        """Raises NoSysfs where the kernel does not tell what is plugged in."""
        folder = self._sys / "class" / "tty"
        if not folder.is_dir():
            raise NoSysfs(f"{folder} is not there, so what is plugged in cannot be seen: name the port in the settings")

    def _usb_device(self, device: Path) -> Path | None:
        """The device with the numbers: one of the folders above the port's own."""
        try:
            inner = device.resolve(strict=True)
        except OSError:
            return None
        top = self._sys.resolve()
        return next((each for each in (inner, *inner.parents) if each != top and (each / "idVendor").is_file()), None)

    def _lasting_names(self) -> dict[str, Path]:
        try:
            links = sorted((self._dev / "serial" / "by-id").iterdir())
        except OSError:
            return {}
        return {os.path.realpath(link): link for link in links}


def _word(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
