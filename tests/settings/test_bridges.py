"""Boards of three kinds: what each must have, must not have, and must not share."""

from pathlib import Path

import pytest

from agent.settings.checks_usb import not_plugged_in
from agent.settings.load import examine_bytes
from tests.fakes.usb_tree import UsbTree

FILE = Path("/nowhere/facility.yaml")

RIGHT = """\
facility: {id: F1, name: 阳光托育}
bridges:
  - {id: B1, port: /dev/null}
  - {id: B2, kind: modbus, port: /dev/zero, unit: 1, siren: 0, strobe: 1}
  - {id: B3, kind: modbus, port: /dev/zero, unit: 2, inputs: 4}
  - {id: B4, kind: gpio, chip: /dev/full, lines: [4, 5], siren: 6, bias: none, active: high}
zones:
  - {id: Z01, name: 一, type: panic_24h, bridge: B1, input: 0}
  - {id: Z02, name: 二, type: panic_24h, bridge: B2, input: 7, line: closes_on_alarm}
  - {id: Z03, name: 三, type: panic_24h, bridge: B3, input: 3, line: opens_on_alarm}
  - {id: Z04, name: 四, type: panic_24h, bridge: B4, input: 1, line: opens_on_alarm}
footage: {volumes: [/]}
"""


def said(text: str, language: str = "en") -> list[str]:
    found = examine_bytes(text.encode(), FILE)
    return [mistake.in_language("f", language).partition(" ")[2] for mistake in found.mistakes]


def test_three_kinds_beside_each_other() -> None:
    findings = examine_bytes(RIGHT.encode(), FILE)
    assert findings.mistakes == []
    assert findings.settings is not None
    assert [bridge.kind for bridge in findings.settings.bridges] == ["tyb", "modbus", "modbus", "gpio"]
    assert findings.settings.bridges[1].poll_ms == 100


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("port: /dev/null", "kind: tyb", "bridges[0].port: is missing, must be the path of a serial port, or auto"),
        ("port: /dev/null", "port: /dev/null, unit: 3", "bridges[0].unit: a board of the kind tyb has no such key"),
        (", unit: 1", "", "bridges[1].unit: is missing, must be an integer from 1 to 247"),
        ("unit: 1,", "unit: 248,", "bridges[1].unit: must be an integer from 1 to 247 (got 248)"),
        ("unit: 1,", "unit: 1, poll_ms: 250,", "bridges[1].poll_ms: must be an integer from 20 to 200 (got 250)"),
        ("unit: 2", "unit: 1", "bridges[2].unit: is the unit of bridges[1] on this bus too"),
        (
            "unit: 2",
            "unit: 2, baud: 19200",
            "bridges[2].baud: must be as in bridges[1] on the same bus, 9600 (got 19200)",
        ),
        ("unit: 2", "unit: 2, poll_ms: 50", "bridges[2].poll_ms: this bus takes about 94 ms to be asked once: raise"),
        ("/dev/null", "/dev/zero", "bridges[1].port: is the port of bridges[0] too"),
        ("strobe: 1", "strobe: 0", "bridges[1].strobe: 0 is used for something else too"),
        ("lines: [4, 5]", "lines: [4, 4]", "bridges[3].lines[1]: 4 is used for something else too"),
        ("siren: 6", "siren: 5", "bridges[3].siren: 5 is used for something else too"),
        ("lines: [4, 5], ", "", "bridges[3].lines: is missing, must be a list of at least 1"),
        ("bias: none", "bias: up", "bridges[3].bias: must be pull_up or pull_down or none or as_is (got 'up')"),
        ("input: 3", "input: 4", "zones[2].input: this board has 4 inputs, from 0 (got 4)"),
        ("input: 1, line", "input: 2, line", "zones[3].input: this board has 2 inputs, from 0 (got 2)"),
        (
            "bridge: B2, input: 7, line: closes_on_alarm",
            "bridge: B2, input: 7",
            "zones[1].line: this board cannot tell a cut line: closes_on_alarm or opens_on_alarm",
        ),
    ],
)
def test_each_mistake_says_what_is_allowed(old: str, new: str, mistake: str) -> None:
    assert RIGHT.count(old) == 1, old
    found = [each for each in said(RIGHT.replace(old, new)) if each.startswith(mistake)]
    assert len(found) == 1, said(RIGHT.replace(old, new))
    assert len(said(RIGHT.replace(old, new), "zh")) == len(said(RIGHT.replace(old, new)))


def test_a_faster_bus_takes_more_modules() -> None:
    modules = "".join(
        f"  - {{id: M{unit}, kind: modbus, port: /dev/zero, unit: {unit}, baud: 115200, poll_ms: 200}}\n"
        for unit in range(1, 20)
    )
    few = "facility: {id: F1, name: 园}\nbridges:\n" + "".join(modules.splitlines(keepends=True)[:11])
    assert said(few) == []
    assert any("takes about" in each for each in said("facility: {id: F1, name: 园}\nbridges:\n" + modules))


BY_USB = """\
facility: {id: F1, name: 阳光托育}
bridges:
  - {id: B1, port: auto, uid: 5f0c3a9be1d24476}
  - {id: B2, usb: "2341:0043", uid: 00000000000000a1}
  - {id: B3, port: /dev/null}
zones:
  - {id: Z01, name: 一, type: panic_24h, bridge: B1, input: 0}
  - {id: Z02, name: 二, type: panic_24h, bridge: B2, input: 0}
  - {id: Z03, name: 三, type: panic_24h, bridge: B3, input: 0}
footage: {volumes: [/]}
"""


def test_boards_that_are_found_by_usb() -> None:
    findings = examine_bytes(BY_USB.encode(), FILE)
    assert findings.mistakes == []
    assert findings.settings is not None
    first, second, _ = findings.settings.bridges
    assert (first.port, first.usb, first.uid) == (Path("auto"), None, "5f0c3a9be1d24476")
    assert (second.port, second.usb) == (None, "2341:0043")


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        (
            ", uid: 5f0c3a9be1d24476",
            "",
            "bridges[0].uid: bridges[1] is looked for by USB, too: say which board this is, see yunjian boards",
        ),
        ("5f0c3a9be1d24476", "00000000000000A1", "bridges[1].uid: is the uid of bridges[0] too"),
        ("5f0c3a9be1d24476", "ffffffffffffffff", "bridges[0].uid: this is a board without a uid: flash it"),
        ("5f0c3a9be1d24476", "5f0c", "bridges[0].uid: must be the 16 hex digits that the board tells (yunjian boards)"),
        ("port: /dev/null", "port: /dev/null, usb: A1", "bridges[2].usb: port names a port already: there is nothing"),
        ('usb: "2341:0043"', 'usb: ""', "bridges[1].usb: must be a USB serial number, or vendor:product"),
        (
            "port: /dev/null",
            "kind: modbus, unit: 1, port: auto",
            "bridges[2].port: a bus is on a port that is named, not on auto",
        ),
    ],
)
def test_searches_that_cannot_be_meant(old: str, new: str, mistake: str) -> None:
    assert old in BY_USB
    assert any(line.startswith(mistake) for line in said(BY_USB.replace(old, new)))


def test_two_serial_numbers_need_no_uid() -> None:
    text = BY_USB.replace("port: auto, uid: 5f0c3a9be1d24476", "usb: A1").replace(
        '"2341:0043", uid: 00000000000000a1', "A2"
    )
    assert said(text) == []


def test_what_is_not_plugged_in_is_a_warning(tmp_path: Path) -> None:
    tree = UsbTree(tmp_path)
    values = {"bridges": [{"id": "B1", "port": "auto"}, {"id": "B2", "usb": "A1"}, {"id": "B3", "port": "/dev/null"}]}
    assert [place for place, _ in not_plugged_in(values, tree.plugged_in)] == [
        ("bridges", 0, "port"),
        ("bridges", 1, "usb"),
    ]
    tree.plug("ttyACM0", Path("/dev/null"), "A1")
    assert list(not_plugged_in(values, tree.plugged_in)) == []
