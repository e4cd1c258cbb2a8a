"""What alerts say of zones and areas."""

from zoneinfo import ZoneInfo

import pytest

from agent.delivery.alerts import Numbered, area_alert, type_of_incident, zone_alert
from agent.delivery.payload import DURESS_TYPE, Alert, Identity
from agent.facts import ClockQuality
from agent.safety.arming import AreaState, Phase, area_of
from agent.safety.incidents import DURESS, Incident
from agent.safety.zones import TRIGGERS, Meaning, Zone, ZoneType

WHO = Identity("F0012", "edge-0001", ZoneInfo("Asia/Shanghai"), "boot-1")
NUMBERED = Numbered("00000000-0000-7000-8000-000000000001", 7, 1_795_000_000_000_000_000, ClockQuality.NTP)


def told(zone: Zone, meaning: Meaning, armed: bool | None = True, held_back: int = 0) -> Alert:
    return zone_alert(zone, meaning, "alarm", None, NUMBERED, WHO, False, armed, held_back)


@pytest.mark.parametrize(
    ("kind", "zh", "over"),
    [
        ("gas", "燃气报警：厨房", "燃气报警：已恢复：厨房"),
        ("water", "水浸报警：厨房", "水浸报警：已恢复：厨房"),
        ("other", "环境报警：厨房", "环境报警恢复：厨房"),
        ("", "环境报警：厨房", "环境报警恢复：厨房"),
    ],
)
def test_an_environment_zone_says_what_it_watches(kind: str, zh: str, over: str) -> None:
    zone = Zone("Z3", "厨房", ZoneType.ENVIRONMENT, "B1", 2, kind=kind)
    alert = told(zone, Meaning.ENVIRONMENT)
    assert (alert.summary.zh, alert.type) == (zh, "cn.tyj.alarm.environment.v1")
    assert alert.data["zone"].get("kind", "") == kind
    assert "armed" not in alert.data
    assert told(zone, Meaning.ENVIRONMENT_RESTORED).summary.zh == over


def test_a_door_says_whether_it_is_armed() -> None:
    door = Zone("Z2", "大门", ZoneType.PERIMETER, "B1", 1, area="A1")
    for meaning, priority in ((Meaning.DOOR_FORCED, 1), (Meaning.INTRUSION, 1), (Meaning.DOOR_HELD_OPEN, 2)):
        alert = told(door, meaning)
        assert (alert.priority, alert.data["armed"], alert.type) == (priority, True, f"cn.tyj.alarm.{meaning}.v1")
        assert ("evidence" in alert.data) is (priority == 1)
    assert told(door, Meaning.DOOR_OPENED, armed=False).data["armed"] is False
    assert told(door, Meaning.DOOR_CLOSED, armed=None, held_back=9).data["armed"] == "never"
    assert told(door, Meaning.DOOR_CLOSED, held_back=9).data["held_back"] == 9


def test_what_somebody_did_with_an_area() -> None:
    door = Zone("Z2", "大门", ZoneType.PERIMETER, "B1", 1, area="A1")
    area = area_of("A1", "全园", 45, 30, [door])
    state = AreaState(Phase.ARMED, "王芳", bypassed=frozenset({"Z2"}))
    armed = area_alert(area, state, "armed", "王芳", None, "", NUMBERED)
    assert (armed.summary.zh, armed.subject, armed.priority) == ("已布防：全园，旁路 Z2（王芳）", "area/A1", 4)
    left_out = area_alert(area, state, "bypassed", "王芳", door, "坏了", NUMBERED)
    assert left_out.summary.en == "zone bypassed: 大门 (王芳)"
    assert left_out.data["why"] == "坏了"


def test_every_kind_of_incident_of_a_zone_has_its_type() -> None:
    for kind in (*map(str, TRIGGERS), DURESS):
        incident = Incident("i", kind, "zone/Z2", "大门", None, True, 1, 1)
        alert_class, name = type_of_incident(incident)
        assert alert_class == ("fault" if kind == "fault" else "alarm")
        assert name == ("zone" if kind == "fault" else kind)
    assert f"cn.tyj.alarm.{DURESS}.v1" == DURESS_TYPE
