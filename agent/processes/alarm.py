"""The alarm process: boards, zones, incidents and uplinks. Builds everything from leaf to root, and stops in order.

Never loads video, models or numpy: what reads buttons must start fast and stay small.
"""

import logging
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from agent.boards.contract import Board
from agent.clock import Clock, SystemClock
from agent.delivery.mqtt import BrokerAddress, Route, RouteTo, TlsFiles
from agent.delivery.payload import Identity, Topics
from agent.delivery.rows import InputKey
from agent.delivery.store import AlarmStore, Opened
from agent.desk import Desk
from agent.facts import InputChanged, InputState, Stamp
from agent.fingerprint import fingerprint, from_pem
from agent.health import Liveness
from agent.inbox import InputReport, LinkReport, Site, SnapshotReport
from agent.processes.alarm_boards import boards_of, neighbours_of
from agent.processes.alarm_outputs import outputs_of, room_areas_of, sound_rules_of
from agent.processes.alarm_shutdown import shut_down_of
from agent.processes.alarm_verbs import alarm_verbs
from agent.processes.board_faults import LOOK_EVERY_S, BoardFaults, newest_boots
from agent.safety.arming import area_of
from agent.safety.zones import Zone, ZoneType
from agent.settings.calendars import calendar_of
from agent.settings.load import load
from agent.settings.models import Platform, Settings
from agent.wire import Server
from firmware_bridge.reports import InputEvent, LinkChanged, Snapshot

log = logging.getLogger(__name__)

STORE_OPENS_S: Final = 5.0
"""The buttons do not wait longer than this for the database."""

_BROKER_PORTS = {"mqtt": 1883, "mqtts": 8883}


def main(settings_file: Path) -> int:
    """Watch the buttons until SIGTERM or SIGINT; 0 when it stopped in order. Raises SettingsError."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = load(settings_file)
    clock = SystemClock()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    liveness = Liveness(clock)
    identity = identity_of(settings)
    boards: dict[str, Board] = {}

    def acknowledge(bridge_id: str, key: InputKey) -> None:
        board = boards.get(bridge_id)
        if board is not None:
            board.acknowledge(*key)

    def opened(found: Opened) -> None:
        desk.post(found)

    store = AlarmStore(settings.paths.data / "alarm.db", clock, opened)
    shut_down = shut_down_of(settings.paths.runtime, settings.power.command)
    desk = Desk(site_of(settings), identity, store, clock, acknowledge, liveness.beat, shut_down, boards)
    routes = [_route(settings, platform, desk, clock) for platform in settings.platforms]
    for route, platform in zip(routes, settings.platforms, strict=True):
        desk.dispatch.add(route, platform.role, platform.receipts == "required")
    neighbours = neighbours_of(settings)
    boards.update(boards_of(settings, lambda bridge_id: report_of(bridge_id, desk, clock), clock, neighbours))
    faults = BoardFaults(boards, desk.post, identity.boot, clock)
    verbs = alarm_verbs(desk, store, boards, told_of(settings), names_of(settings), clock)
    server = Server(settings.paths.runtime / "alarm.sock", verbs)
    if store.start(STORE_OPENS_S):
        neighbours.take_over(newest_boots(store, clock))
    else:
        log.error("alarm.db is not open; buttons work without it")
    desk.start()
    for route in routes:
        route.start()
    for board in boards.values():
        board.start()
    serving = _listens(server)
    liveness.ready()
    while not stopping.is_set():
        clock.wait(stopping, LOOK_EVERY_S)
        faults.look()
        serving = serving or _listens(server)
    liveness.stopping()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Told twice, it would end by the second signal while the interpreter winds up, and look like a crash.
        signal.signal(number, signal.SIG_IGN)
    # The store before the routes: a route may wait for a broker or a name server for longer than we are given.
    stops = [server.stop, *(board.stop for board in boards.values()), desk.stop, store.stop]
    return 0 if stopped_in_order([*stops, *(route.stop for route in routes)]) else 1


def _listens(server: Server) -> bool:
    """Open the console's socket. Where that fails the buttons go on without it, and it is tried again."""
    try:
        server.start()
    except OSError as error:
        log.error("%s cannot be opened; buttons work without it: %s", server.path, error.strerror)  # noqa: TRY400  # no place in the code is meant
        return False
    return True


def stopped_in_order(stops: Iterable[Callable[[], None]]) -> bool:
    """Stop everything in this order; one that hangs keeps none of the others from it."""
    in_order = True
    for stop in stops:
        try:
            stop()
        except RuntimeError as error:
            log.error("%s", error)  # noqa: TRY400  # where it hangs is another thread
            in_order = False
    return in_order


def identity_of(settings: Settings) -> Identity:
    """Who this machine is to the platforms; a new `boot` at every call."""
    facility = settings.facility
    location = facility.location
    return Identity(
        facility=facility.id,
        edge=facility.edge,
        zone_of_time=ZoneInfo(facility.time_zone),
        boot=uuid.uuid4().hex,
        address=location.address,
        longitude=location.longitude,
        latitude=location.latitude,
    )


def site_of(settings: Settings) -> Site:
    """What the desk watches."""
    processes = ["web"]
    if any(camera.record for camera in settings.cameras):
        processes.append("record")
    if any(camera.count_people for camera in settings.cameras):
        processes.append("vision")
    zones = zones_of(settings)
    time_zone = ZoneInfo(settings.facility.time_zone)
    return Site(
        zones=zones,
        names=names_of(settings),
        processes=tuple(sorted(processes)),
        bridges=tuple(bridge.id for bridge in settings.bridges),
        outputs=outputs_of(settings),
        sound_rules=sound_rules_of(settings),
        room_areas=room_areas_of(settings, zones),
        presence_s=settings.alarms.presence_s,
        areas=tuple(
            area_of(area.id, area.name, area.exit_delay_s, area.entry_delay_s, zones) for area in settings.areas
        ),
        calendars={
            area.id: calendar_of(area.calendar, time_zone) for area in settings.areas if area.calendar is not None
        },
        machine_boot=machine_boot(),
        test_every_days=settings.tests.every_days,
        shutdown_after_battery_low_s=settings.power.shutdown_after_battery_low_s,
    )


def machine_boot() -> str:
    """Which boot of the machine this is; empty where the kernel does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def zones_of(settings: Settings) -> tuple[Zone, ...]:
    """The zones as the desk knows them. What a bare contact cannot tell is not watched for."""
    return tuple(
        Zone(
            zone.id, zone.name, ZoneType(zone.type), zone.bridge, zone.input, zone.room, zone.cameras,
            supervised=zone.line == "end_of_line",
            area=zone.area,
            entry=zone.entry,
            held_open_s=zone.held_open_s if zone.type == "perimeter" else 0,
            kind=zone.kind if zone.type == "environment" else "",
            silent=zone.silent and zone.type == "panic_24h",
        )
        for zone in settings.zones
    )  # fmt: skip


def told_of(settings: Settings) -> dict[str, str]:
    """Who this is, as `status` tells it; the console shows times in this zone."""
    facility = settings.facility
    return {"facility": facility.id, "facility_name": facility.name, "time_zone": facility.time_zone}


def names_of(settings: Settings) -> dict[str, str]:
    """What people call the subjects of conditions."""
    return {
        **{f"room/{room.id}": room.name for room in settings.rooms},
        **{f"camera/{camera.id}": camera.name for camera in settings.cameras},
        **{f"zone/{zone.id}": zone.name for zone in settings.zones},
        **{f"area/{area.id}": area.name for area in settings.areas},
        **{f"output/{output.id}": output.name for output in settings.outputs},
        **{f"bridge/{bridge.id}": bridge.id for bridge in settings.bridges},
        **{f"platform/{platform.id}": platform.id for platform in settings.platforms},
        **{f"process/{name}": name for name in ("alarm", "record", "vision", "web")},
        **{f"camera/{camera.id}/sub": f"{camera.name} (sub)" for camera in settings.cameras},
        **{f"volume/{volume}": str(volume) for volume in settings.footage.volumes},
    }


def report_of(bridge_id: str, desk: Desk, clock: Clock) -> Callable[[InputEvent | Snapshot | LinkChanged], None]:
    """What a board tells, as facts for the desk."""

    def at(mono_ns: int) -> Stamp:
        return Stamp(clock.wall_ns() - (clock.mono_ns() - mono_ns), mono_ns, clock.quality())

    def report(told: InputEvent | Snapshot | LinkChanged) -> None:
        match told:
            case InputEvent():
                fact = InputChanged(
                    bridge_id=bridge_id,
                    board_uid=told.board_uid,
                    boot_id=told.boot_id,
                    event_id=told.event_id,
                    input_no=told.input_no,
                    previous=InputState(told.previous),
                    state=InputState(told.state),
                    at=at(told.received_mono_ns),
                    count=told.count,
                    late=told.late,
                )
                desk.post(InputReport(fact, told.pressed_mono_ns))
            case Snapshot():
                states = {number: InputState(state) for number, state in told.states.items()}
                desk.post(SnapshotReport(bridge_id, states, at(told.received_mono_ns)))
            case LinkChanged():
                desk.post(LinkReport(bridge_id, told.up, told.reason))

    return report


def _route(settings: Settings, platform: Platform, desk: Desk, clock: Clock) -> Route:
    facility = settings.facility
    tls = platform.tls
    to = RouteTo(
        platform=platform.id,
        brokers=tuple(_broker(url) for url in platform.brokers),
        topics=Topics(platform.topic_prefix, facility.id, facility.edge),
        client_id=f"{facility.id}.{facility.edge}.{platform.id}",
        username=platform.username,
        password_file=platform.password_file,
        tls=None if tls is None else TlsFiles(tls.ca_file, tls.certificate_file, tls.key_file),
        keepalive_s=platform.keepalive_s,
    )
    return Route(to, desk.post, lambda: {**desk.birth(), "device_key": device_fingerprint(settings)}, clock)


def device_fingerprint(settings: Settings) -> str | None:
    """The fingerprint of the key that signs this machine's footage (agent/fingerprint.py): who keeps it outside can
    tell later whether footage is authentic. None until the record process has made one."""
    try:
        return fingerprint(from_pem((settings.paths.data / "device.pub").read_text(encoding="ascii")))
    except (OSError, ValueError):
        return None


def _broker(url: str) -> BrokerAddress:
    parts = urlsplit(url)
    assert parts.hostname is not None  # the settings' pattern asks for a host
    return BrokerAddress(parts.hostname, parts.port or _BROKER_PORTS[parts.scheme], parts.scheme == "mqtts")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
