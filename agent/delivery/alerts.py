"""PURE. Alerts made from what the rules of safety decided."""

from dataclasses import dataclass
from typing import Any

from agent.camera_words import words
from agent.delivery.payload import Alert, Identity
from agent.facts import ClockQuality, Condition, PeopleCounted, Stamp, Text
from agent.safety import presence
from agent.safety.arming import Area, AreaState
from agent.safety.conditions import MEANINGS
from agent.safety.drills import Drill, DrillKind
from agent.safety.incidents import DURESS, Incident, Life
from agent.safety.zones import Meaning, Zone, ZoneType

PRE_ROLL_S = 30
"""Footage before an alarm that belongs to its evidence (design of alarms)."""

POST_ROLL_S = 60
"""Footage after it."""


@dataclass(frozen=True, slots=True)
class _Row:
    alert_class: str
    name: str
    priority: int
    state: str
    text: Text


_ZONES: dict[Meaning, _Row] = {
    Meaning.PANIC: _Row("alarm", "panic", 1, "triggered", Text("一键报警", "panic button pressed")),
    Meaning.PANIC_RESTORED: _Row("alarm", "panic", 2, "restored", Text("一键报警已松开", "panic button released")),
    Meaning.TAMPER: _Row("alarm", "tamper", 1, "triggered", Text("防拆报警", "tamper alarm")),
    Meaning.TAMPER_RESTORED: _Row("alarm", "tamper", 2, "restored", Text("防拆恢复", "tamper restored")),
    Meaning.ENVIRONMENT: _Row("alarm", "environment", 1, "triggered", Text("环境报警", "environment alarm")),
    Meaning.ENVIRONMENT_RESTORED: _Row(
        "alarm", "environment", 2, "restored", Text("环境报警恢复", "environment alarm restored")
    ),
    Meaning.DOOR_OPENED: _Row("alarm", "door", 3, "opened", Text("门打开", "door opened")),
    Meaning.DOOR_CLOSED: _Row("alarm", "door", 3, "closed", Text("门关闭", "door closed")),
    Meaning.DOOR_FORCED: _Row("alarm", "door_forced", 1, "triggered", Text("布防中门被打开", "opened while armed")),
    Meaning.DOOR_FORCED_RESTORED: _Row(
        "alarm", "door_forced", 2, "restored", Text("布防中打开的门已关上", "closed again after it was forced")
    ),
    Meaning.INTRUSION: _Row("alarm", "intrusion", 1, "triggered", Text("入侵报警", "intrusion")),
    Meaning.INTRUSION_RESTORED: _Row(
        "alarm", "intrusion", 2, "restored", Text("入侵的门已关上", "closed again after an intrusion")
    ),
    Meaning.DOOR_HELD_OPEN: _Row("alarm", "door_held_open", 2, "triggered", Text("门长时间未关", "door held open")),
    Meaning.DOOR_HELD_OPEN_RESTORED: _Row(
        "alarm", "door_held_open", 3, "restored", Text("长时间未关的门已关上", "door that was held open is closed")
    ),
    Meaning.FAULT: _Row("fault", "zone", 2, "triggered", Text("防区线路故障", "fault on the line of a zone")),
    Meaning.FAULT_RESTORED: _Row("fault", "zone", 3, "restored", Text("防区线路恢复", "line of a zone restored")),
}
"""Class, name in the type, priority, state and words of each meaning."""

_ENVIRONMENT = {
    "gas": Text("燃气报警", "gas alarm"),
    "smoke": Text("烟雾报警", "smoke alarm"),
    "water": Text("水浸报警", "water alarm"),
}
"""The words for an environment zone by its kind; of any other kind it is an environment alarm."""

_AREAS = {
    "armed": Text("已布防", "armed"),
    "disarmed": Text("已撤防", "disarmed"),
    "bypassed": Text("防区已旁路", "zone bypassed"),
    "unbypassed": Text("防区旁路已取消", "zone no longer bypassed"),
}

_DRILLS = {
    DrillKind.DRILL: Text("演练", "drill"),
    DrillKind.WALK: Text("步行测试", "walk test"),
    DrillKind.BUTTON: Text("按钮测试", "test of a button"),
}

_DRILL_WHY = {
    "time": Text("（到时）", " (its time is over)"),
    "real_alarm": Text("（有真实警情）", " (there is a real alarm)"),
    "restart": Text("（重新启动）", " (restarted)"),
}

_PRESENCE = Text("布防中室内有人", "people in a room that is armed")
_PRESENCE_OVER = Text("布防中的房间已无人，或已撤防", "nobody there any more, or disarmed")

_BY_PERSON = {
    Life.ACKNOWLEDGED: ("acknowledged", Text("已确认", "acknowledged")),
    Life.RESTORED: ("acknowledged", Text("已确认", "acknowledged")),
    Life.RESET: ("reset", Text("已复位", "reset")),
    Life.CLOSED: ("reset", Text("已复位", "reset")),
}


@dataclass(frozen=True, slots=True)
class Numbered:
    """What every alert needs beside its content. `pressed_ns` is 0 where no button was pressed."""

    id: str
    seq: int | None
    at_ns: int
    quality: ClockQuality
    pressed_ns: int = 0


def _place(who: Identity) -> dict[str, Any]:
    """Where the facility stands, as far as it was told; nothing rather than a false place in the Gulf of Guinea."""
    place: dict[str, Any] = {"addr": who.address} if who.address else {}
    if who.longitude or who.latitude:
        place |= {"lng": who.longitude, "lat": who.latitude}
    return {"location": place} if place else {}


def zone_alert(
    zone: Zone,
    meaning: Meaning,
    cause: str,
    incident: Incident | None,
    numbered: Numbered,
    who: Identity,
    late: bool,
    armed: bool | None,
    held_back: int = 0,
    drill: bool = False,
) -> Alert:
    """The alert for a change of a zone; `cause` is the input state that made it. `armed` is whether opening the zone is
    an alarm, None where it never is. `held_back` counts the openings before it that were not told each. A `drill` is
    told with all that a real one has."""
    row = _ZONES[meaning]
    text = row.text
    if meaning in (Meaning.ENVIRONMENT, Meaning.ENVIRONMENT_RESTORED) and zone.kind in _ENVIRONMENT:
        kind = _ENVIRONMENT[zone.kind]
        text = kind if meaning is Meaning.ENVIRONMENT else Text(f"{kind.zh}：已恢复", f"{kind.en}: restored")
    data: dict[str, Any] = {
        **({"incident_id": incident.id, "count": incident.count} if incident else {}),
        "zone": {"id": zone.id, "name": zone.name, "type": str(zone.type), "supervised": zone.supervised}
        | ({"area": zone.area} if zone.area else {})
        | ({"kind": zone.kind} if zone.kind else {}),
        **({"held_back": held_back} if held_back else {}),
        "state": row.state,
        "cause": cause,
        "room": zone.room_id,
        "cameras": list(zone.cameras),
        # No clip is cut yet: the footage is retained and can be exported, but nothing will follow by itself.
        "evidence": {"pre_s": PRE_ROLL_S, "post_s": POST_ROLL_S, "status": "none"},
        **_place(who),
        "drill": drill,
        "late": late,
    }
    if zone.type is ZoneType.PERIMETER and row.name != "tamper":
        data["armed"] = "never" if armed is None else armed
    if row.name in ("door", "door_held_open"):
        del data["evidence"]
    return _alert(
        numbered,
        row.alert_class,
        row.name,
        f"zone/{zone.id}",
        row.priority,
        _marked(Text(f"{text.zh}：{zone.name}", f"{text.en}: {zone.name}"), drill),
        data,
        incident,
    )


def _marked(text: Text, drill: bool) -> Text:
    return Text(f"【演练】{text.zh}", f"[drill] {text.en}") if drill else text


def drill_alert(drill: Drill, what: str, who: str, why: str, numbered: Numbered) -> Alert:
    """The alert that a drill has begun, or ended: `what` is begun or ended, `why` as in drill_acts.DrillActs.end."""
    kind, said = _DRILLS[drill.kind], _DRILL_WHY.get(why, Text("", ""))
    data: dict[str, Any] = {
        "state": what,
        "id": drill.id,
        "kind": str(drill.kind),
        "zones": sorted(drill.zones),
        "who": who,
        "longest_s": round((drill.until_mono_ns - drill.began_mono_ns) / 1e9),
        **({"why": why} if why else {}),
        "drill": True,
    }
    words = Text("开始", "begun") if what == "begun" else Text("结束", "ended")
    zones = ", ".join(sorted(drill.zones))
    summary = Text(f"{kind.zh}{words.zh}{said.zh}：{zones}（{who}）", f"{kind.en} {words.en}{said.en}: {zones} ({who})")
    return _alert(numbered, "alarm", "drill", f"drill/{drill.id}", 4, summary, data, None)


def area_alert(
    area: Area, state: AreaState, what: str, who: str, zone: Zone | None, why: str, numbered: Numbered
) -> Alert:
    """The alert for what somebody did with an area: `what` is armed, disarmed, bypassed or unbypassed (a zone)."""
    text = _AREAS[what]
    data: dict[str, Any] = {
        "state": what,
        "area": {"id": area.id, "name": area.name},
        "phase": str(state.phase),
        "who": who,
        "bypassed": sorted(state.bypassed),
        "waiting": sorted(state.waiting),
        **({"zone": {"id": zone.id, "name": zone.name}} if zone else {}),
        **({"why": why} if zone or why else {}),
    }
    name = zone.name if zone else area.name
    left_out = Text("", "")
    if what == "armed" and state.bypassed:
        listed = ", ".join(sorted(state.bypassed))
        left_out = Text(f"，旁路 {listed}", f", without {listed}")
    blind = Text("", "")
    if why and zone is None:
        blind = Text("，因时钟不可信" if what == "armed" else "，时钟已恢复", f", {why}")
    summary = Text(
        f"{text.zh}：{name}{left_out.zh}{blind.zh}（{who}）", f"{text.en}: {name}{left_out.en}{blind.en} ({who})"
    )
    return _alert(numbered, "alarm", "arming", f"area/{area.id}", 4, summary, data, None)


def duress_alert(incident: Incident, who: str, numbered: Numbered, at: Identity) -> Alert:
    """The alert that somebody was forced to disarm. For the platforms alone, and no siren."""
    data: dict[str, Any] = {
        "incident_id": incident.id,
        "count": incident.count,
        "state": "triggered",
        "who": who,
        "silent": True,
        "room": None,
        "evidence": {"pre_s": PRE_ROLL_S, "post_s": POST_ROLL_S, "status": "none"},
        **_place(at),
        "drill": False,
    }
    summary = Text(f"胁迫撤防：{incident.name}（{who}）", f"disarmed under duress: {incident.name} ({who})")
    return _alert(numbered, "alarm", "duress", incident.subject, 1, summary, data, incident)


def presence_alert(
    incident: Incident, over: bool, fact: PeopleCounted | None, areas: list[str], numbered: Numbered, who: Identity
) -> Alert:
    """The alert for people in a room whose areas are armed, or (`over`) for their end. `fact` is the newest count."""
    seen = {"count": fact.count, "low": fact.low, "high": fact.high, "camera": fact.camera_id} if fact else {}
    data: dict[str, Any] = {
        "incident_id": incident.id,
        "count": incident.count,
        "state": "restored" if over else "triggered",
        "room": incident.room_id,
        "areas": areas,
        "people": seen,
        "cameras": [fact.camera_id] if fact else [],
        "armed": True,
        "evidence": {"pre_s": PRE_ROLL_S, "post_s": POST_ROLL_S, "status": "none"},
        **_place(who),
        "drill": False,
    }
    text = _PRESENCE_OVER if over else _PRESENCE
    summary = Text(f"{text.zh}：{incident.name}", f"{text.en}: {incident.name}")
    return _alert(numbered, "alarm", presence.KIND, incident.subject, 2 if over else 1, summary, data, incident)


def condition_alert(
    condition: Condition, over: bool, lapsed: bool, name: str, incident: Incident | None, numbered: Numbered
) -> Alert:
    """The alert for the beginning (or, with `over`, the end) of a lasting state. `name` is its subject for people."""
    meaning = MEANINGS[condition.kind]
    text = meaning.over if over else meaning.raised
    if lapsed:
        text = Text(f"{text.zh}（无后续消息）", f"{text.en} (nothing more was heard of it)")
    data: dict[str, Any] = {
        **({"incident_id": incident.id} if incident else {}),
        "state": "restored" if over else "triggered",
        "name": name,
        "lapsed": lapsed,
        "since_ns": condition.since.wall_ns,
        "detail": dict(condition.detail),
    }
    if condition.subject.startswith("camera/") and isinstance(seen := condition.detail.get("detail"), str):
        data["detail"] |= {"text_zh": words(seen).zh, "text_en": words(seen).en}
    if condition.subject.startswith("room/"):
        data["room"] = condition.subject.removeprefix("room/")
    summary = Text(f"{text.zh}：{name}", f"{text.en}: {name}")
    priority = min(meaning.priority + 1, 3) if over else meaning.priority
    return _alert(
        numbered, str(meaning.alert_class), str(condition.kind), condition.subject, priority, summary, data, incident
    )


def person_alert(incident: Incident, who: str, why: str, numbered: Numbered) -> Alert:
    """The alert for what a person did with an incident: acknowledged or reset it."""
    state, text = _BY_PERSON[incident.state]
    alert_class, name = type_of_incident(incident)
    data: dict[str, Any] = {
        "incident_id": incident.id,
        "state": state,
        "who": who,
        "why": why,
        "room": incident.room_id,
        "count": incident.count,
        "drill": incident.drill,
    }
    summary = _marked(
        Text(f"{text.zh}：{incident.name}（{who}）", f"{text.en}: {incident.name} ({who})"), incident.drill
    )
    return _alert(numbered, alert_class, name, incident.subject, 2, summary, data, incident)


def people_message(fact: PeopleCounted, who: Identity, alert_id: str, time: str) -> dict[str, Any]:
    """The telemetry of a room's head count, as a CloudEvent."""
    return {
        "specversion": "1.0",
        "id": alert_id,
        "source": who.source,
        "type": "cn.tyj.ai.people_counted.v1",
        "subject": f"room/{fact.room_id}",
        "time": time,
        "datacontenttype": "application/json",
        "dataschema": "urn:tyj:ai:1",
        "bootid": who.boot,
        "clockquality": str(fact.at.quality),
        "data": {
            "room": fact.room_id,
            "camera": fact.camera_id,
            "count": fact.count,
            "low": fact.low,
            "high": fact.high,
            "method": fact.method,
            "model": fact.model,
            "threshold": fact.threshold,
        },
    }


def type_of_incident(incident: Incident) -> tuple[str, str]:
    """Class and name of the alerts of an incident, by its kind."""
    for meaning, row in _ZONES.items():
        if str(meaning) == incident.kind:
            return row.alert_class, row.name
    if incident.kind in (DURESS, presence.KIND):
        return "alarm", incident.kind
    for kind, what in MEANINGS.items():
        if str(kind) == incident.kind:
            return str(what.alert_class), str(kind)
    return "fault", incident.kind


def wall_of(mono_ns: int, now: Stamp) -> int:
    """The UTC nanoseconds of a monotonic moment, by the clocks `now`."""
    return now.wall_ns - (now.mono_ns - mono_ns)


def _alert(
    numbered: Numbered,
    alert_class: str,
    name: str,
    subject: str,
    priority: int,
    summary: Text,
    data: dict[str, Any],
    incident: Incident | None,
) -> Alert:
    return Alert(
        id=numbered.id,
        seq=numbered.seq,
        alert_class=alert_class,
        type=f"cn.tyj.{alert_class}.{name}.v1",
        subject=subject,
        priority=priority,
        at_ns=numbered.at_ns,
        quality=numbered.quality,
        summary=summary,
        data=data,
        incident_id=incident.id if incident else "",
        pressed_ns=numbered.pressed_ns,
    )
