"""The chores of the record process, made from the settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agent.clock import Clock
from agent.footage.custody.journal import Journal
from agent.footage.index import Index
from agent.footage.naming import camera_uuid
from agent.footage.recording.plan import MAIN, SUB
from agent.footage.recording.recorder import Recorder
from agent.footage.recording.volumes import RESERVE_BYTES
from agent.footage.upkeep.degradation import Recorded
from agent.footage.upkeep.due import DAY_NS
from agent.footage.upkeep.hold import Hold
from agent.footage.upkeep.holds import Ask, Holds, Seen
from agent.footage.upkeep.keeping import Retention
from agent.footage.upkeep.leases import Leases
from agent.footage.upkeep.rectification import Rectification
from agent.footage.upkeep.retention import GB, Policy
from agent.footage.upkeep.sweep import Sweep
from agent.settings.models import Settings
from agent.wire import WireError, call

ASK_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Scale:
    """What is of another size in tests alone: a day, and where the recorder stops."""

    day_ns: int = DAY_NS
    last_ditch_bytes: int = RESERVE_BYTES


REAL = Scale()


def policy_of(settings: Settings, day_ns: int = DAY_NS) -> Policy:
    """How long footage is kept, by the settings."""
    footage = settings.footage
    sub_days = footage.target_days if footage.sub_target_days is None else footage.sub_target_days
    return Policy(
        footage.minimum_days * day_ns,
        {MAIN: footage.target_days * day_ns, SUB: sub_days * day_ns},
        None if footage.quota_gb is None else int(footage.quota_gb * GB),
        None if footage.reserve_gb is None else int(footage.reserve_gb * GB),
        footage.overwrite == "oldest",
        day_ns,
        footage.minimum_rule,
    )


def seen_of(settings: Settings) -> Seen:
    """Which recorded cameras see which zones and rooms."""
    uuids = {
        camera.id: camera_uuid(settings.facility.id, camera.id)
        for camera in settings.cameras
        if camera.record or camera.record_sub
    }
    zones = {zone.id: [uuids[each] for each in zone.cameras if each in uuids] for zone in settings.zones}
    rooms: dict[str, list[str]] = {}
    for camera in settings.cameras:
        if camera.room is not None and camera.id in uuids:
            rooms.setdefault(camera.room, []).append(uuids[camera.id])
    return Seen(zones, rooms)


def ledger_of(
    settings: Settings, recorder: Recorder, journal: Journal, clock: Clock, boot: str
) -> tuple[Sweep, Rectification]:
    """The chores of the ledger, the second before the first."""
    reels = {plan.key: plan.subject for plan in recorder.plans}
    zone = ZoneInfo(settings.facility.time_zone)
    sweep = Sweep(recorder.index, clock, boot, reels, recorder.live_ends, zone, journal)
    return sweep, Rectification(recorder.index, boot, sweep.look_again, journal)


def holds_of(settings: Settings, index: Index, journal: Journal, clock: Clock) -> Holds:
    """The chore of holds."""
    cameras = {camera.id: camera_uuid(settings.facility.id, camera.id) for camera in settings.cameras}
    term_ns = settings.footage.incident_hold_days * DAY_NS
    ask = incidents_of(settings.paths.runtime / "alarm.sock")
    return Holds(index, journal, clock, ask, seen_of(settings), cameras, term_ns)


def incidents_of(socket: Path) -> Ask:
    """Asks the alarm process for its incidents."""

    def ask(open_only: bool, before: Any = None) -> tuple[Sequence[Mapping[str, Any]], Any]:
        asked = {"open_only": open_only, "before": before}
        answer = call(socket, "incidents", asked, timeout_s=ASK_TIMEOUT_S)
        found = answer.get("incidents")
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise WireError("an answer without a list of incidents")
        return found, answer.get("next")

    return ask


def retention_of(
    settings: Settings,
    recorder: Recorder,
    journal: Journal,
    holds: Holds,
    leases: Leases,
    clock: Clock,
    boot: str,
    scale: Scale = REAL,
) -> Retention:
    """The chore of retention."""
    importance = {camera_uuid(settings.facility.id, camera.id): camera.importance for camera in settings.cameras}

    def held() -> list[Hold] | None:
        known = holds.current()
        return None if known is None else [*known, *leases.holds(clock.mono_ns())]

    def recorded() -> list[Recorded]:
        return [Recorded(*reel, rate, importance.get(reel[0], 5)) for reel, rate in recorder.rates().items()]

    return Retention(
        recorder.index, journal, policy_of(settings, scale.day_ns), clock, boot,
        volumes=recorder.mounted, holds=held, recorded=recorded, degrade=recorder.spare,
        last_ditch_bytes=scale.last_ditch_bytes, wait_ns=scale.day_ns,
    )  # fmt: skip
