"""`make firmware` and `make flash`, with a programmer that keeps what it is told to write; the chip then runs that."""

import subprocess
from pathlib import Path

from firmware_bridge import eeprom
from tests.fakes.simavr import NEEDS_SIMAVR, Built, Lockstep
from tests.fakes.simavr.chip import FIRMWARE, NAME, without_make

pytestmark = NEEDS_SIMAVR

PROGRAMMER = """\
#!/bin/sh
echo "$@" >"$KEPT.arguments"
for each; do case $each in flash:w:*) each=${each#flash:w:}; cp "${each%:i}" "$KEPT.hex" ;; esac; done
"""


def _make(*arguments: str, kept: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**without_make(), "KEPT": str(kept)}
    command = ["make", "-s", "-C", str(FIRMWARE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def _flashed(tmp_path: Path, number: int, *more: str) -> Path:
    """What the chip runs after `make flash`."""
    programmer = tmp_path / "programmer"
    programmer.write_text(PROGRAMMER, encoding="utf-8")
    programmer.chmod(0o755)
    kept = tmp_path / f"board{number}"
    done = _make("flash", "PORT=/dev/ttyUSB0", "BOARD=nano-old", f"AVRDUDE={programmer}", *more, kept=kept)
    assert done.returncode == 0, done.stderr
    arguments = kept.with_suffix(".arguments").read_text(encoding="utf-8")
    assert arguments.startswith("-p m328p -c arduino -P /dev/ttyUSB0 -b 57600 -U flash:w:")
    elf = kept.with_suffix(".elf")
    subprocess.run(
        ["avr-objcopy", "-I", "ihex", "-O", "elf32-avr", "--rename-section", ".sec1=.text,contents,alloc,load,code",
         str(kept.with_suffix(".hex")), str(elf)],
        check=True,
    )  # fmt: skip
    return elf


def test_a_board_with_the_uid_of_another_gets_a_new_one_where_it_is_asked_for(parts: Built, tmp_path: Path) -> None:
    old = bytes.fromhex("0123456789abcdef")
    uids = []
    for number, more in enumerate(((), ("NEW_UID=1",)), start=1):
        folder = tmp_path / str(number)
        folder.mkdir()
        elf = _flashed(tmp_path, number, *more)
        board = Lockstep(Built(parts.harness, elf), folder, image=eeprom.blank(old))
        try:
            for _ in range(2):
                board.plug()
                board.up()
                uids.append(board.link.board_uid)
                board.unplug()
        finally:
            board.stop()
    assert uids[:2] == [old.hex()] * 2, "it keeps the one that it has"
    assert uids[2] == uids[3] not in (old.hex(), "ff" * 8), "and a new one, once"


def test_each_board_that_is_flashed_gets_another_name(parts: Built, tmp_path: Path) -> None:
    names = set()
    for number in (1, 2):
        elf = _flashed(tmp_path, number)
        folder = tmp_path / str(number)
        folder.mkdir()
        board = Lockstep(Built(parts.harness, elf), folder, image=b"\xff" * eeprom.IMAGE_BYTES)
        try:
            board.plug()
            board.up()
            assert board.link.hello is not None
            assert board.link.hello.inputs == 8
            names.add(board.link.board_uid)
        finally:
            board.stop()
    assert len(names) == 2
    assert "ff" * 8 not in names


def test_an_uno_gets_six_inputs(tmp_path: Path) -> None:
    done = _make("flash", "PORT=/dev/ttyACM0", "AVRDUDE=echo")
    assert done.returncode == 0
    assert f"{NAME}-6in.hex:i" in done.stdout


def test_flashing_says_what_is_missing(tmp_path: Path) -> None:
    without = _make("flash", "PORT=/dev/ttyACM0", f"AVRDUDE={tmp_path}/avrdude")
    assert without.returncode != 0
    assert "avrdude is not installed: apt install avrdude" in without.stderr
    assert "PORT=/dev/ttyACM0 is missing" in _make("flash", "AVRDUDE=echo").stderr
    assert "BOARD=uno|nano|nano-old" in _make("flash", "PORT=x", "BOARD=mega", "AVRDUDE=echo").stderr


def test_a_firmware_that_grows_too_large_fails_the_build(tmp_path: Path) -> None:
    assert _make(f"OUT={tmp_path}").returncode == 0
    for limit in ("MOST_FLASH_BYTES=1000", "MOST_RAM_BYTES=1000"):
        done = _make(f"OUT={tmp_path}", limit)
        assert done.returncode != 0
        assert "too large" in done.stderr
