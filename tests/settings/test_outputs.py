"""Outputs in the settings: what is refused, where, and what the desk is told of the rest."""

from pathlib import Path

import pytest

from agent.processes.alarm import site_of
from agent.processes.alarm_outputs import outputs_of, room_areas_of, sound_rules_of
from agent.safety.outputs import DEFAULT_LEVELS, RESOUND_S, SIREN_S, Level, Output, OutputKind, Pin, Rules
from agent.safety.presence import AFTER_S
from agent.settings.load import Findings, examine_bytes
from agent.settings.models import Settings

HEAD = """\
facility: {id: F1, name: 园}
rooms: [{id: R01, name: 一班}, {id: R02, name: 二班}]
bridges:
  - {id: B1, port: p}
  - {id: M1, kind: modbus, port: q, unit: 1, siren: 0}
"""


def found(text: str) -> Findings:
    return examine_bytes((HEAD + text).encode(), Path("/nowhere/facility.yaml"))


def settings_of(text: str) -> Settings:
    findings = found(text)
    assert findings.settings is not None, [each.text.en for each in findings.mistakes]
    return findings.settings


def outputs(*each: str) -> str:
    return "outputs:\n" + "".join(f"  - {{name: x, {one}}}\n" for one in each)


def zone(more: str) -> str:
    return f"zones: [{{id: Z1, name: x, bridge: B1, input: 0, {more}}}]\n"


@pytest.mark.parametrize(
    ("text", "key", "en"),
    [
        (outputs("id: S1, kind: siren, bridge: B9, output: siren"), "outputs[0].bridge", "no such bridge (got 'B9')"),
        (outputs("id: S1, kind: bell, bridge: B1, output: siren"), "outputs[0].kind", "must be siren or strobe or"),
        (outputs("id: S1, kind: led, bridge: B1, output: led"), "outputs[0].output", "must be siren or strobe"),
        (
            outputs("id: S1, kind: siren, bridge: B1, output: siren", "id: S2, kind: led, bridge: B1, output: siren"),
            "outputs[1].output", "is the output of outputs[0] too",
        ),
        (
            outputs("id: S1, kind: siren, bridge: B1, output: siren", "id: S1, kind: led, bridge: B1, output: strobe"),
            "outputs[1].id", "is the id of outputs[0] too",
        ),
        (
            outputs("id: S1, kind: strobe, bridge: M1, output: strobe"), "outputs[0].output",
            "the bridge M1 has no strobe in its settings",
        ),
        (
            outputs("id: S1, kind: siren, bridge: B1, output: siren, standby: true"), "outputs[0].standby",
            "there is no siren that it stands by for",
        ),
        (zone("type: tamper_24h, silent: true"), "zones[0].silent", "is for a panic_24h zone"),
        ("alarms: {resound_s: 301}\n", "alarms.resound_s", "an integer from 5 to 300"),
        ("alarms: {siren_s: 0}\n", "alarms.siren_s", "an integer from 10 to 1800"),
        ("alarms: {sounds: {duress: siren}}\n", "alarms.sounds.duress", "unknown key"),
        ("alarms: {sounds: {panic: loud}}\n", "alarms.sounds.panic", "must be siren or strobe or none"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_where_it_stands(text: str, key: str, en: str) -> None:
    findings = found(text)
    told = [(each.key, each.text.en) for each in findings.mistakes]
    assert findings.settings is None
    assert [name for name, _ in told] == [key], told
    assert en in told[0][1]


def test_a_room_of_an_area_that_is_none_is_a_mistake() -> None:
    (mistake,) = found("areas: [{id: A1, name: x, rooms: [R07]}]\n").mistakes
    assert (mistake.key, "no such room (got 'R07')" in mistake.text.en) == ("areas[0].rooms[0]", True)


def test_what_the_settings_leave_out_is_what_the_rules_say() -> None:
    plain = settings_of("")
    assert sound_rules_of(plain) == Rules(SIREN_S, RESOUND_S, DEFAULT_LEVELS)
    assert (plain.alarms.presence_s, outputs_of(plain)) == (AFTER_S, ())


def test_what_the_settings_say_is_what_the_desk_is_told() -> None:
    settings = settings_of(
        outputs(
            "id: S1, kind: siren, bridge: B1, output: siren",
            "id: S2, kind: siren, bridge: M1, output: siren, standby: true",
        )
        + "alarms: {siren_s: 60, resound_s: 10, presence_s: 0, sounds: {panic: strobe}}\n"
        + "areas: [{id: A1, name: 全园}, {id: A2, name: 二层, rooms: [R02]}]\n"
        + "zones:\n"
        + "  - {id: Z1, name: x, type: panic_24h, bridge: B1, input: 0, silent: true}\n"
        + "  - {id: Z2, name: y, type: perimeter, bridge: B1, input: 1, area: A1, room: R01}\n"
        + "  - {id: Z3, name: z, type: perimeter, bridge: B1, input: 2, area: A2, room: R01}\n"
    )
    site = site_of(settings)
    assert site.outputs == (
        Output("S1", "x", OutputKind.SIREN, "B1", Pin.SIREN),
        Output("S2", "x", OutputKind.SIREN, "M1", Pin.SIREN, standby=True),
    )
    assert (site.sound_rules.siren_s, site.sound_rules.resound_s, site.presence_s) == (60, 10, 0)
    assert site.sound_rules.levels == {**DEFAULT_LEVELS, "panic": Level.STROBE}
    assert [each.silent for each in site.zones] == [True, False, False]
    assert site.room_areas == {"R01": frozenset({"A1"}), "R02": frozenset({"A2"})}
    assert room_areas_of(settings, site.zones) == site.room_areas
    assert site.names["output/S1"] == "x"
