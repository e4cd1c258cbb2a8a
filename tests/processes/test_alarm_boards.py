"""From the settings to boards of every kind."""

from pathlib import Path

from agent.boards.gpio import GpioBoard
from agent.boards.modbus import ModbusBoard
from agent.clock import SystemClock
from agent.processes.alarm_boards import boards_of, resting_closed, wired_of
from agent.settings.load import load
from firmware_bridge.configuration import Wired
from firmware_bridge.messages import InputKind, InputMode
from firmware_bridge.serial_port import SerialBoard

EXAMPLE = Path(__file__).parents[2] / "configs" / "facility.example.yaml"

SETTINGS = """\
facility: {id: F1, name: 园}
bridges:
  - {id: M1, kind: modbus, port: rs485, unit: 1}
  - {id: M2, kind: modbus, port: rs485, unit: 2}
  - {id: M3, kind: modbus, port: other, unit: 2}
"""


def test_the_example_has_one_of_each_kind() -> None:
    settings = load(EXAMPLE)
    boards = boards_of(settings, lambda _bridge_id: lambda _report: None, SystemClock())
    assert {name: type(board) for name, board in boards.items()} == {
        "B1": SerialBoard,
        "B2": ModbusBoard,
        "B3": GpioBoard,
    }
    assert boards["B2"].status().port == "/dev/ttyUSB0#1"
    assert boards["B3"].status().port == "/dev/gpiochip0"
    assert resting_closed(settings, "B3") == {0}
    assert resting_closed(settings, "B2") == frozenset()
    for board in boards.values():
        assert not board.status().up
        board.stop()


def test_modules_on_one_port_share_its_bus_and_no_name(tmp_path: Path) -> None:
    (tmp_path / "facility.yaml").write_text(SETTINGS, encoding="utf-8")
    boards = boards_of(load(tmp_path / "facility.yaml"), lambda _bridge_id: lambda _report: None, SystemClock())
    buses = [board._bus for board in boards.values() if isinstance(board, ModbusBoard)]
    assert buses[0] is buses[1] is not buses[2]
    assert len({(board.status().uid, board.status().boot_id) for board in boards.values()}) == 3


WIRED = """\
facility: {id: F1, name: 园}
bridges:
  - {id: B1, port: auto}
  - {id: B2, port: board1}
areas: [{id: A1, name: 全园}]
zones:
  - {id: Z1, name: 一, type: panic_24h, bridge: B1, input: 2, line: closes_on_alarm}
  - {id: Z2, name: 二, type: perimeter, bridge: B1, input: 0, line: opens_on_alarm, area: A1}
  - {id: Z3, name: 三, type: tamper_24h, bridge: B1, input: 5}
  - {id: Z4, name: 四, type: panic_24h, bridge: B2, input: 0}
"""


def test_what_hangs_on_the_inputs_of_a_board_is_what_the_zones_say(tmp_path: Path) -> None:
    (tmp_path / "facility.yaml").write_text(WIRED, encoding="utf-8")
    settings = load(tmp_path / "facility.yaml")
    assert wired_of(settings, "B1") == {
        2: Wired(InputKind.PANIC, InputMode.CLOSES_ON_ALARM),
        0: Wired(InputKind.CONTACT, InputMode.OPENS_ON_ALARM),
        5: Wired(InputKind.CONTACT, InputMode.END_OF_LINE),
    }
    boards = boards_of(settings, lambda _bridge_id: lambda _report: None, SystemClock())
    assert {name: board.status().port for name, board in boards.items()} == {
        "B1": "auto",
        "B2": str(tmp_path / "board1"),
    }
