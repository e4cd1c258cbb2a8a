"""From the settings to outputs, what sounds, and the rooms where nobody may be while they are armed."""

from collections.abc import Iterable

from agent.safety.outputs import Level, Output, OutputKind, Pin, Rules
from agent.safety.presence import areas_of_rooms
from agent.safety.zones import Zone
from agent.settings.models import Settings


def outputs_of(settings: Settings) -> tuple[Output, ...]:
    """The outputs as the desk knows them."""
    return tuple(
        Output(each.id, each.name, OutputKind(each.kind), each.bridge, Pin(each.output), each.standby)
        for each in settings.outputs
    )


def sound_rules_of(settings: Settings) -> Rules:
    """How long what sounds."""
    alarms = settings.alarms
    levels = {kind: Level(level) for kind, level in alarms.sounds.model_dump().items()}
    return Rules(alarms.siren_s, alarms.resound_s, levels)


def room_areas_of(settings: Settings, zones: Iterable[Zone]) -> dict[str, frozenset[str]]:
    """The areas of each room: those that name it, or that have a zone in it."""
    return areas_of_rooms({area.id: area.rooms for area in settings.areas}, zones)
