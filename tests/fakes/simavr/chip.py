"""One chip in the harness: a process that is told by lines what happens to it."""

import contextlib
import json
import os
import re
import struct
import subprocess
import threading
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from firmware_bridge import eeprom
from firmware_bridge.messages import ResetCause

ROOT: Final = Path(__file__).resolve().parents[3]
FIRMWARE: Final = ROOT / "firmware_bridge" / "firmware"
NAME: Final = "yunjian-atmega328p"

MV_OF: Final = {"normal": 2500, "alarm": 3333, "open": 5000, "short": 0, "fault": 2932}
"""What an input of a 4k7/4k7 end-of-line pair reads at 5 V: NORMAL half, ALARM two thirds; FAULT lies between them."""

FLAGS_OF: Final = {
    ResetCause.POWER_ON: 1,
    ResetCause.EXTERNAL: 2,
    ResetCause.BROWN_OUT: 4,
    ResetCause.WATCHDOG: 8,
    ResetCause.UNKNOWN: 0,
}
"""What MCUSR holds after each kind of reset (data sheet, 11.9)."""

DEFAULT_UID: Final = bytes.fromhex("59756e4a69616e21")


class Loader(IntEnum):
    """What a boot loader does with MCUSR."""

    NONE = 0
    PASSES_ON = 1
    SILENT = 2


@dataclass(frozen=True, slots=True)
class Places:
    """Addresses of variables of the core in data space."""

    first_state: int
    second_state: int
    events: int
    session: int


@dataclass(frozen=True)
class Built:
    """The harness and the firmware, compiled."""

    harness: Path
    elf: Path

    def symbol(self, name: str) -> int:
        """The address of a variable of the firmware in data space."""
        listing = subprocess.run(["avr-nm", str(self.elf)], check=True, capture_output=True, text=True).stdout
        found = re.search(rf"^0080([0-9a-f]{{4}}) \S {name}$", listing, re.MULTILINE)
        assert found is not None, f"the firmware has no variable {name}"
        return int(found[1], 16)

    def places(self) -> Places:
        """Where the firmware's core keeps what tests look into: measured by the compiler of the chip."""
        probe, fields = self.elf.with_suffix(".probe.o"), Places.__dataclass_fields__
        wanted = ["inputs[0].state", "inputs[1].state", "ring.n", "numbering.session"]
        source = '#include <stddef.h>\n#include "board.h"\nconst unsigned at[] = {' + ", ".join(
            f"offsetof(struct board, {each})" for each in wanted
        )
        subprocess.run(
            ["avr-gcc", "-mmcu=atmega328p", "-std=c11", f"-I{FIRMWARE / 'core'}", "-c", "-x", "c", "-", "-o",
             str(probe)],
            input=source + "};\n", text=True, check=True,
        )  # fmt: skip
        raw = probe.with_suffix(".bin")
        subprocess.run(["avr-objcopy", "-O", "binary", "-j", ".rodata", str(probe), str(raw)], check=True)
        offsets = struct.unpack("<4H", raw.read_bytes())
        start = self.symbol("board")
        assert len(fields) == len(offsets)
        return Places(*(start + each for each in offsets))


def built(folder: Path, inputs: int = 8, uid: bytes | None = None, harness: Path | None = None) -> Built:
    """Compile the firmware into `folder`, and the harness unless it is there; with `uid` as `make flash` does."""
    if harness is None:
        harness = folder / "harness"
        sources = [str(Path(__file__).with_name(each)) for each in ("harness.c", "chip.c", "wires.c")]
        subprocess.run(
            ["gcc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-I/usr/include/simavr", *sources,
             "-lsimavr", "-lelf", "-lutil", "-o", str(harness)],
            check=True,
        )  # fmt: skip
    name = NAME if inputs == 8 else f"{NAME}-{inputs}in"
    more = [] if uid is None else ["FLASHED_UID=" + ",".join(f"0x{byte:02x}" for byte in uid)]
    command = ["make", "-s", "-C", str(FIRMWARE), f"OUT={folder}", f"INPUTS={inputs}", *more]
    subprocess.run(command, check=True, env=without_make(), stdout=subprocess.DEVNULL)
    return Built(harness, folder / f"{name}.elf")


def without_make() -> dict[str, str]:
    """The environment for a make of its own, whether or not a make runs the tests."""
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}


class Chip:
    """A chip without power. Commands from any thread."""

    def __init__(self, parts: Built, eeprom_path: Path, log_path: Path, link: Path | None = None) -> None:
        """`eeprom_path` must exist; `link` as harness.c says."""
        command = [str(parts.harness), str(parts.elf), str(eeprom_path), str(log_path)]
        self._guard = threading.Lock()
        self._process = subprocess.Popen(
            [*command, str(link)] if link else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Of the harness."""
        return self._process.pid

    def tell(self, command: str) -> dict[str, Any]:
        """Carry out one command of the harness."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._guard:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        assert answer, f"the harness ended at {command!r}"
        told: dict[str, Any] = json.loads(answer)
        assert "error" not in told, f"{command!r}: {told['error']}"
        return told

    def kill(self) -> None:
        """kill -9: no more than what was in EEPROM is left."""
        self._process.kill()
        self._end()

    def stop(self) -> None:
        """End it in order. Safe to call twice."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._end()

    def _end(self) -> None:
        try:
            self._process.wait(10)
        finally:
            self._process.kill()  # nothing of a rig is left running
            self._process.wait()
        for end in (self._process.stdin, self._process.stdout):
            if end is not None:
                with contextlib.suppress(BrokenPipeError):
                    end.close()


def eeprom_file(path: Path, uid: bytes = DEFAULT_UID) -> None:
    """The EEPROM of a board that was just flashed, unless there is one already."""
    if not path.exists():
        path.write_bytes(eeprom.blank(uid))
