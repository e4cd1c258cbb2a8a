"""What the core must not have, for it is to run in 2 KB of RAM on any chip: malloc, recursion, floats, a library."""

import re
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.fakes.board_core import CORE

pytestmark = pytest.mark.needs_debian("gcc")

HARDWARE = {
    "hardware_eeprom_read", "hardware_eeprom_write", "hardware_free_ram", "hardware_send", "hardware_send_room",
    "hardware_supply_mv",
}  # fmt: skip
FROM_THE_COMPILER = {"memcpy", "memset"}
"""What a C compiler may call where a structure is copied or cleared."""


def test_the_core_needs_nothing_but_the_hardware_and_calls_nothing_in_a_circle(tmp_path: Path) -> None:
    calls: dict[str, set[str]] = {}
    for source in sorted(CORE.glob("*.c")):
        output = tmp_path / f"{source.stem}.o"
        flags = ["-std=c11", "-O1", "-fno-inline", "-mgeneral-regs-only", "-fcallgraph-info"]
        subprocess.run(["gcc", *flags, "-c", str(source), "-o", str(output)], check=True)
        graph = output.with_suffix(".ci").read_text(encoding="utf-8")
        for caller, callee in re.findall(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', graph):
            calls.setdefault(_name(caller), set()).add(_name(callee))
    order = list(TopologicalSorter(calls).static_order())  # raises CycleError
    assert "board_tick" in order
    assert {name for name in order if name not in calls and name.startswith("hardware_")} == HARDWARE
    linked = tmp_path / "core.o"
    subprocess.run(["ld", "-r", "-o", str(linked), *map(str, tmp_path.glob("*.o"))], check=True)
    undefined = subprocess.run(["nm", "-u", str(linked)], check=True, capture_output=True, text=True).stdout
    names = {line.split()[-1] for line in undefined.splitlines()}
    assert HARDWARE <= names <= HARDWARE | FROM_THE_COMPILER


def test_the_core_includes_its_own_headers_and_two_of_the_standard() -> None:
    for path in CORE.iterdir():
        included = re.findall(r"#include [<\"]([^>\"]+)", path.read_text(encoding="utf-8"))
        own = {each.name for each in CORE.glob("*.h")}
        assert set(included) <= own | {"stdbool.h", "stdint.h"}, path.name


def test_nothing_in_the_core_is_long() -> None:
    for path in CORE.iterdir():
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) < 400, path.name
        assert max(map(len, lines)) <= 120, path.name


def _name(node: str) -> str:
    """A function of one file is named `file:function` in the graph."""
    return node.rsplit(":", 1)[-1]
