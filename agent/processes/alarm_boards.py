"""From the settings to boards. What only some boards need is imported when one is configured: an alarm process with a
microcontroller board alone loads neither pymodbus nor libgpiod."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agent.boards.contract import Board, new_boot_id
from agent.clock import Clock
from agent.settings.models import FOUND_BY_USB, Bridge, Settings
from firmware_bridge.configuration import Wired
from firmware_bridge.messages import InputKind, InputMode
from firmware_bridge.neighbours import Neighbours
from firmware_bridge.ports import Wanted
from firmware_bridge.reports import InputEvent, LinkChanged, Snapshot
from firmware_bridge.serial_port import SerialBoard

if TYPE_CHECKING:
    from agent.boards.bus import Bus

Report = Callable[[InputEvent | Snapshot | LinkChanged], None]


def neighbours_of(settings: Settings) -> Neighbours:
    """What the boards of this host share. Ports that the settings name are found by nobody."""
    return Neighbours(bridge.port for bridge in settings.bridges if bridge.port not in (None, FOUND_BY_USB))


def boards_of(
    settings: Settings, report_of: Callable[[str], Report], clock: Clock, neighbours: Neighbours | None = None
) -> dict[str, Board]:
    """A board for each bridge, by its id; none is started. `report_of(id)` is who takes its reports."""
    neighbours = neighbours or neighbours_of(settings)
    buses: dict[Path, Bus] = {}
    boards: dict[str, Board] = {}
    for bridge in settings.bridges:
        report, resting = report_of(bridge.id), resting_closed(settings, bridge.id)
        match bridge.kind:
            case "tyb":
                boards[bridge.id] = SerialBoard(
                    Wanted(bridge.usb) if bridge.port in (None, FOUND_BY_USB) else _path(bridge.port),
                    report,
                    bridge=bridge.id,
                    wired=wired_of(settings, bridge.id),
                    uid=bridge.uid.lower() if bridge.uid else None,
                    neighbours=neighbours,
                )
            case "modbus":
                port = _path(bridge.port)
                if port not in buses:
                    buses[port] = _bus(bridge, clock)
                boards[bridge.id] = _modbus(bridge, buses[port], resting, report, clock)
            case "gpio":
                boards[bridge.id] = _gpio(bridge, resting, report, clock)
    return boards


def resting_closed(settings: Settings, bridge_id: str) -> frozenset[int]:
    """Inputs of this bridge whose contact is closed while all is well."""
    return frozenset(
        zone.input for zone in settings.zones if zone.bridge == bridge_id and zone.line == "opens_on_alarm"
    )


def wired_of(settings: Settings, bridge_id: str) -> dict[int, Wired]:
    """What hangs on the inputs of this bridge: a panic button is kept through power loss by the board itself."""
    return {
        zone.input: Wired(
            InputKind.PANIC if zone.type == "panic_24h" else InputKind.CONTACT, InputMode[zone.line.upper()]
        )
        for zone in settings.zones
        if zone.bridge == bridge_id
    }


def _path(path: Path | None) -> Path:
    assert path is not None  # the checks of the settings ask for it
    return path


def _bus(bridge: Bridge, clock: Clock) -> "Bus":
    from agent.boards.bus import Bus
    from agent.boards.turns import Wire

    return Bus(_path(bridge.port), Wire(bridge.baud, bridge.parity, bridge.answer_ms), clock)


def _modbus(bridge: Bridge, bus: "Bus", resting: frozenset[int], report: Report, clock: Clock) -> Board:
    from agent.boards.modbus import ModbusBoard, ModuleAt

    assert bridge.unit is not None  # the checks of the settings ask for it
    at = ModuleAt(
        bridge.unit, bridge.inputs, bridge.first_address, bridge.poll_ms, bridge.siren, bridge.strobe, resting
    )
    return ModbusBoard(bus, at, new_boot_id(), report, clock)


def _gpio(bridge: Bridge, resting: frozenset[int], report: Report, clock: Clock) -> Board:
    from agent.boards.chip import Wiring
    from agent.boards.gpio import GpioBoard, LinesAt
    from agent.boards.gpiod_chip import GpiodChip

    chip = GpiodChip(_path(bridge.chip), Wiring(bridge.bias, bridge.active == "low"))
    at = LinesAt(bridge.lines or (), bridge.siren, bridge.strobe, resting)
    return GpioBoard(chip, at, new_boot_id(), report, clock)
