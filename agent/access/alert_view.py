"""Alerts and incidents on the terminal."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, Final

from agent.access.console import RED, YELLOW, Screen, counted
from agent.access.control import Delivery, Event, Incident
from agent.access.status_view import subject_words
from agent.access.times import NS, BadTime, duration, parse, shown
from agent.facts import Text
from agent.safety.conditions import MEANINGS

_DELIVERY: Final = {
    "pending": Text("待发", "waiting"),
    "sent": Text("发送中", "sending"),
    "published": Text("已发出", "sent"),
    "receipted": Text("已回执", "receipt"),
    "failed": Text("失败", "failed"),
}
_INCIDENT: Final = {
    "triggered": Text("告警中", "alarm"),
    "acknowledged": Text("已确认", "acknowledged"),
    "restored": Text("已恢复，待复位", "restored, not reset"),
    "reset": Text("已复位", "reset"),
    "closed": Text("已结束", "over"),
}
_KINDS: Final = {
    "panic": Text("一键报警", "panic button"),
    "tamper": Text("防拆", "tamper"),
    "environment": Text("环境报警", "environment"),
    "intrusion": Text("入侵", "intrusion"),
    "door_forced": Text("布防中门被打开", "opened while armed"),
    "door_held_open": Text("门长时间未关", "door held open"),
    "after_hours_presence": Text("布防中室内有人", "people in a room that is armed"),
    "fault": Text("防区线路故障", "line of a zone"),
    **{str(kind): meaning.raised for kind, meaning in MEANINGS.items()},
}
"""What an incident is about, by its kind; one that is not here is shown as it came."""

OVER: Final = ("reset", "closed")
"""The states of an incident that needs nobody any more."""

SHORTEST_ID: Final = 8


def show_events(screen: Screen, events: Sequence[Event], zone: tzinfo) -> None:
    """One line per event: when, what, and how far each platform has it."""
    rows, colours = [], []
    for event in events:
        summary = event.get("summary_zh" if screen.language == "zh" else "summary_en") or event.get("type", "")
        ways = [_way(screen, name, way, event) for name, way in sorted(event.get("delivery", {}).items())]
        rows.append((when(event, zone), str(summary), "  ".join(ways)))
        priority = event.get("priority")
        colours.append(RED if isinstance(priority, int) and priority <= 1 else "")
    screen.table(rows, colours=colours)


def when(event: Event, zone: tzinfo) -> str:
    """When it happened, in the facility's time."""
    time = str(event.get("time", ""))
    try:
        return shown(parse(time, 0, zone), zone)
    except BadTime:
        return time


def _way(screen: Screen, name: str, way: Delivery, event: Event) -> str:
    state = str(way.get("state", "?"))
    text = f"{name} {screen.say(_DELIVERY.get(state, Text(state, state)))}"
    pressed, done = event.get("pressed_ns"), way.get("receipted_ns")
    if isinstance(pressed, int) and isinstance(done, int) and done >= pressed:
        text += f" {(done - pressed) / NS:.2f} s"
    case_no = way.get("case_no")
    return f"{text} {case_no}" if case_no else text


def show_incidents(screen: Screen, incidents: Sequence[Incident], zone: tzinfo, now_ns: int) -> None:
    """One line per incident, with the beginning of its id that names it alone."""
    if not incidents:
        screen.line(screen.t("没有未复位的警情", "no open incident"))
        return
    length = _telling_length([str(incident.get("id", "")) for incident in incidents])
    rows, colours = [], []
    for incident in incidents:
        state = str(incident.get("state", ""))
        since = incident.get("triggered_ns")
        at = shown(since, zone) if isinstance(since, int) else ""
        name = " ".join(str(part) for part in (incident.get("name"), incident.get("room")) if part)
        notes = _notes(screen, incident)
        words = screen.say(_INCIDENT.get(state, Text(state, state)))
        if state not in OVER:
            lasts_ns = incident.get("restored_ns") if state == "restored" else since
            lasted = duration((now_ns - (lasts_ns or now_ns)) / NS)
            words += screen.t(f" {lasted.zh}", f" for {lasted.en}")
        kind = str(incident.get("kind", ""))
        about = screen.say(_KINDS.get(kind, Text(kind, kind)))
        subject = str(incident.get("subject", ""))
        subject = name if name and name != subject else screen.say(subject_words(subject))
        rows.append((str(incident.get("id", ""))[:length], at, about, subject, words, notes))
        colours.append("" if state in OVER else YELLOW if state == "restored" else RED)
    screen.table(rows, colours=colours)


def _notes(screen: Screen, incident: Incident) -> str:
    notes = [screen.t("演练", "drill")] if incident.get("drill") else []
    count = incident.get("count", 1)
    if isinstance(count, int) and count > 1:
        notes.append(screen.t(f"{count} 次", counted(count, "time", "times")))
    if incident.get("acknowledged_by"):
        notes.append(
            screen.t(f"{incident['acknowledged_by']} 已确认", f"acknowledged by {incident['acknowledged_by']}")
        )
    if incident.get("reset_by"):
        notes.append(
            screen.t(
                f"{incident['reset_by']} 复位：{incident.get('reset_why')}",
                f"reset by {incident['reset_by']}: {incident.get('reset_why')}",
            )
        )
    return screen.t("；", "; ").join(notes)


def show_incident(screen: Screen, incident: Incident, did: Text) -> None:
    """One line after an incident was acknowledged or reset."""
    name: Any = incident.get("name") or incident.get("subject") or ""
    screen.line(f"{str(incident.get('id', ''))[:SHORTEST_ID]}  {name}  {screen.say(did)}")


def _telling_length(ids: Sequence[str]) -> int:
    """How many characters of an id tell all of `ids` apart, at least `SHORTEST_ID`."""
    length = SHORTEST_ID
    while length < 36 and len({each[:length] for each in ids}) < len(set(ids)):
        length += 1
    return length
