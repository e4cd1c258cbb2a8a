"""Commands that look: `status`, `events`, `incidents`, and what acts on an incident."""

import io
import os
import pwd
import select
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from agent.access import control
from agent.access.alert_view import OVER, show_events, show_incident, show_incidents
from agent.access.console import Screen
from agent.access.status_view import problems, report, show
from agent.facts import Text
from agent.wire import Refused, WireError

OK: Final = 0
WRONG: Final = 1
NOT_RUNNING: Final = 3
REFUSED: Final = 4

ALL: Final = "all"
"""In the place of an incident: every one that is latched. No id begins like this."""

STATUS_EVERY_S: Final = 2.0
EVENTS_EVERY_S: Final = 1.0
EVENTS_AT_ONCE: Final = 100
"""More than one answer holds: the alarm process gives as many of the newest as fit into a frame."""

LATE_NUMBERS: Final = 20
"""A button is published before it is written, so an event may appear after one with a higher number."""


def status(screen: Screen, runtime: Path, as_json: bool) -> int:
    """Show how things are, once."""
    found = control.statuses(runtime)
    if as_json:
        screen.json(report(found, str(runtime), time.time_ns()))
    else:
        show(screen, found, str(runtime), time.time_ns(), zone_of(found.get("alarm")))
    if not any(found.values()):
        if (why := control.barred(runtime)) is None:
            return NOT_RUNNING
        screen.problem(why)
        return REFUSED
    return WRONG if problems(found, time.time_ns()) else OK


def watch_status(screen: Screen, runtime: Path, as_json: bool, turns: int | None = None) -> int:
    """Show how things are every two seconds, until Ctrl-C or for `turns` turns."""
    before: list[str] = []
    pause = threading.Event()
    result = OK
    while turns is None or turns > 0:
        page = io.StringIO()
        result = status(Screen(screen.language, page, screen.errors, painted=screen.is_painted), runtime, as_json)
        lines = page.getvalue().splitlines()
        if screen.is_terminal and not as_json:
            screen.out.write(changes(before, lines))
            before = lines
        else:
            screen.out.write(page.getvalue() + ("" if as_json else "\n"))
        screen.flush()
        turns = None if turns is None else turns - 1
        if turns != 0:
            pause.wait(STATUS_EVERY_S)
    return result


def changes(before: list[str], now: list[str]) -> str:
    """What to send to a terminal that shows `before`, so that it shows `now`: the lines that differ."""
    text = "" if before else "\x1b[2J"
    for number, line in enumerate(now):
        if number >= len(before) or before[number] != line:
            text += f"\x1b[{number + 1};1H{line}\x1b[K"
    return f"{text}\x1b[{len(now) + 1};1H\x1b[J"


def events(screen: Screen, runtime: Path, limit: int, kind: str | None, as_json: bool) -> int:
    """Show the newest events, oldest first."""
    found = control.events(runtime, limit, kind=kind)
    _print_events(screen, found, zone(runtime), as_json)
    if not found and not as_json:
        screen.line(screen.t("没有告警", "no alerts"))
    return OK


def follow_events(
    screen: Screen,
    runtime: Path,
    limit: int,
    kind: str | None,
    as_json: bool,
    until: Callable[[], bool] = lambda: False,
) -> int:
    """Show the newest events and each new one, until Ctrl-C. A desk that is away for a while is waited for."""
    found = control.events(runtime, limit, kind=kind)
    where = zone(runtime)
    seen = {event.get("id"): event.get("seq", 0) for event in found}
    _print_events(screen, found, where, as_json)
    pause, away = threading.Event(), False
    while not until():
        pause.wait(EVENTS_EVERY_S)
        if _reader_gone(screen):
            raise BrokenPipeError
        try:
            after = max(seen.values(), default=0) - LATE_NUMBERS
            found = control.events(runtime, EVENTS_AT_ONCE, after_seq=after, kind=kind)
        except WireError:
            if not away:
                screen.problem(Text("报警进程没有应答，等它回来", "the alarm process does not answer, waiting for it"))
            away = True
            continue
        away = False
        new = [event for event in found if event.get("id") not in seen]
        highest = max([*seen.values(), *(event.get("seq", 0) for event in new)], default=0)
        seen = {key: seq for key, seq in seen.items() if seq > highest - 2 * LATE_NUMBERS}
        seen.update((event.get("id"), event.get("seq", 0)) for event in new)
        _print_events(screen, new, where, as_json)
    return OK


def _reader_gone(screen: Screen) -> bool:
    """Whether the program that read our output has ended: `| head -1` must not wait for the next alert."""
    try:
        descriptor = screen.out.fileno()
    except (OSError, ValueError):
        return False  # no file: a text in memory
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(what & select.POLLERR for _, what in poll.poll(0))


def _print_events(screen: Screen, found: list[control.Event], where: tzinfo, as_json: bool) -> None:
    if as_json:
        for event in found:
            screen.json(event)
    else:
        show_events(screen, found, where)
    screen.flush()


def incidents(screen: Screen, runtime: Path, every: bool, as_json: bool) -> int:
    """Show incidents; 1 while one is open."""
    found = control.incidents(runtime, open_only=not every)
    if as_json:
        for incident in found:
            screen.json(incident)
    else:
        show_incidents(screen, found, zone(runtime), time.time_ns())
    return WRONG if any(incident.get("state") not in OVER for incident in found) else OK


def acknowledge(screen: Screen, runtime: Path, incident_id: str, as_json: bool) -> int:
    """Acknowledge an incident in the name of whoever is logged in; with ALL everything that is latched, which silences
    every siren."""
    if incident_id == ALL:
        return _acknowledge_all(screen, runtime, as_json)
    return _acted(screen, control.acknowledge(runtime, incident_id, who()), Text("已确认", "acknowledged"), as_json)


def _acknowledge_all(screen: Screen, runtime: Path, as_json: bool) -> int:
    latched = [str(each["id"]) for each in control.incidents(runtime) if each.get("latched")]
    for incident_id in latched:
        try:
            _acted(screen, control.acknowledge(runtime, incident_id, who()), Text("已确认", "acknowledged"), as_json)
        except Refused as refusal:
            if refusal.code != "no_such_incident":  # somebody reset it meanwhile
                raise
    if not latched and not as_json:
        screen.line(screen.t("没有未复位的警情", "no incident waits for a reset"))
    return OK


def reset(screen: Screen, runtime: Path, incident_id: str, why: str, as_json: bool) -> int:
    """Reset an incident in the name of whoever is logged in."""
    return _acted(screen, control.reset(runtime, incident_id, who(), why), Text("已复位", "reset"), as_json)


def _acted(screen: Screen, incident: control.Incident, did: Text, as_json: bool) -> int:
    if as_json:
        screen.json(incident)
    else:
        show_incident(screen, incident, did)
    return OK


def press(screen: Screen, runtime: Path, input_no: int, hold_s: float) -> int:
    """Press a button of the simulated board."""
    if not _is_demonstration(screen, runtime):
        return NOT_RUNNING
    control.press(runtime, input_no, hold_s)
    screen.line(screen.t(f"演示：按下了输入 {input_no}", f"demonstration: input {input_no} pressed"))
    return OK


def door(screen: Screen, runtime: Path, is_open: bool) -> int:
    """Open or close the door of the simulated board."""
    if not _is_demonstration(screen, runtime):
        return NOT_RUNNING
    control.door(runtime, is_open)
    screen.line(
        screen.t(
            f"演示：门已{'打开' if is_open else '关上'}", f"demonstration: door {'opened' if is_open else 'closed'}"
        )
    )
    return OK


def _is_demonstration(screen: Screen, runtime: Path) -> bool:
    if (runtime / "board.sock").exists():
        return True
    screen.problem(
        Text(
            f"这条命令只用于演示，{runtime} 里没有模拟板在运行；先执行 make run",
            f"this is for the demonstration, and no simulated board runs in {runtime}; start it with make run",
        )
    )
    return False


def zone(runtime: Path) -> tzinfo:
    """The facility's time zone as the alarm process tells it, else this machine's."""
    return zone_of(control.status_of(runtime, "alarm"))


def zone_of(alarm: Mapping[str, Any] | None) -> tzinfo:
    """The time zone that `alarm` names, else this machine's."""
    name = (alarm or {}).get("time_zone")
    if isinstance(name, str):
        try:
            return ZoneInfo(name)
        except (ValueError, LookupError, OSError):
            pass
    return datetime.now(UTC).astimezone().tzinfo or UTC


def who(environment: Mapping[str, str] = os.environ) -> str:
    """Who asks, for the audit: `login/uid`, the one before sudo when there was one."""
    uid = os.getuid()
    if uid == 0 and environment.get("SUDO_USER") and environment.get("SUDO_UID", "").isdecimal():
        return f"{environment['SUDO_USER']}/{environment['SUDO_UID']}"
    try:
        return f"{pwd.getpwuid(uid).pw_name}/{uid}"
    except KeyError:
        return f"uid/{uid}"
