"""Folders like /dev and /sys, with serial ports behind USB plugged in and out."""

import shutil
from pathlib import Path

from firmware_bridge.ports import PluggedIn


class UsbTree:
    """Where a test plugs things in. `folder` must be empty."""

    def __init__(self, folder: Path) -> None:
        self.dev, self.sys = folder / "dev", folder / "sys"
        (self.dev / "serial" / "by-id").mkdir(parents=True)
        (self.sys / "class" / "tty").mkdir(parents=True)
        (self.sys / "class" / "tty" / "ttyS0").mkdir()
        self.plugged_in = PluggedIn(self.dev, self.sys)

    def plug(self, name: str, terminal: Path, serial: str = "", usb_id: str = "2341:0043") -> None:
        """`terminal` becomes the port `name` (ttyACM0); `serial` is empty for a device without a number."""
        device = self.sys / "devices" / "usb1" / f"1-{name}"
        (device / f"1-{name}:1.0" / "tty" / name).mkdir(parents=True)
        vendor, _, product = usb_id.partition(":")
        for file, text in (("idVendor", vendor), ("idProduct", product), ("product", "Board")):
            (device / file).write_text(f"{text}\n")
        if serial:
            (device / "serial").write_text(f"{serial}\n")
            (self._by_id(serial)).symlink_to(Path("..") / ".." / name)
        entry = self.sys / "class" / "tty" / name
        entry.mkdir()
        (entry / "device").symlink_to(device / f"1-{name}:1.0")
        (self.dev / name).symlink_to(terminal)

    def unplug(self, name: str) -> None:
        """Everything that the kernel and udev made for it goes."""
        device = self.sys / "devices" / "usb1" / f"1-{name}"
        if (device / "serial").exists():
            self._by_id((device / "serial").read_text().strip()).unlink()
        (self.dev / name).unlink()
        shutil.rmtree(self.sys / "class" / "tty" / name)
        shutil.rmtree(device)

    def _by_id(self, serial: str) -> Path:
        return self.dev / "serial" / "by-id" / f"usb-Maker_Board_{serial}-if00"
