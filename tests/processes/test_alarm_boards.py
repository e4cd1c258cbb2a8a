"""From the settings to boards of every kind."""

from pathlib import Path

from agent.boards.gpio import GpioBoard
from agent.boards.modbus import ModbusBoard
from agent.clock import SystemClock
from agent.processes.alarm_boards import boards_of, resting_closed
from agent.settings.load import load
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
