"""PURE but for the screen that it is given: how the facility is, for people and for programs.

`problems` decides what is wrong; everything else only shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

from agent.access.area_view import show_areas
from agent.access.board_words import trouble_words
from agent.access.console import FAINT, GREEN, RED, YELLOW, Screen, clean, counted
from agent.access.control import PROCESSES, Status, not_running
from agent.access.kept_view import kept_why, kept_words
from agent.access.outputs_view import show_outputs
from agent.access.testing_view import drill_words
from agent.access.times import NS, duration, shown
from agent.camera_words import words as in_words
from agent.facts import Text

Statuses = dict[str, Status | None]

OLDEST_WAITING_S: Final = 60.0
"""An alert that a platform has not taken for this long is a problem to show."""

WORDS: Final = {
    "normal": Text("正常", "normal"),
    "alarm": Text("报警", "alarm"),
    "open": Text("断线", "open circuit"),
    "short": Text("短路", "short circuit"),
    "fault": Text("故障", "fault"),
    "tamper": Text("拆动", "tamper"),
    "unknown": Text("未知", "unknown"),
    "starting": Text("启动中", "starting"),
    "recording": Text("录像中", "recording"),
    "silent": Text("没有数据", "silent"),
    "refused": Text("拒绝连接", "refused"),
    "not_video": Text("不是视频", "not video"),
    "spared": Text("空间不足，停录", "spared: too little room"),
    "stopped": Text("停止", "stopped"),
    "ntp": Text("已同步", "synchronised"),
    "rtc": Text("硬件时钟，未同步", "hardware clock, not synchronised"),
    "last_good": Text("上次关机时的时间，未同步", "from the last shutdown, not synchronised"),
    "public_security": Text("公安", "police"),
    "smart_cloud": Text("智慧托育云", "smart cloud"),
}
"""States as the processes tell them; one that is not here is shown as it came."""

_DUTIES: Final = {
    "alarm": Text("报警", "alarm"),
    "record": Text("录像", "record"),
    "vision": Text("计数", "vision"),
    "web": Text("页面", "web"),
}
_WELL: Final = ("recording", "starting", "watching", "looking", "running", "idle", "ok")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `subject` is as in facts.Condition; `alarm` marks people in danger."""

    subject: str
    text: Text
    alarm: bool = False


def word(state: Any) -> Text:
    """A state in words."""
    return WORDS.get(str(state), Text(str(state), str(state)))


def problems(found: Statuses, now_ns: int) -> list[Problem]:
    """What is wrong, the worst first; one line per subject, the alarm desk's own words before any other."""
    alarm = found.get("alarm") or {}
    told: list[Problem] = []
    count = alarm.get("incidents_open") or 0
    if count:
        zh, en = (
            f"{count} 起警情未复位，见 yunjian incidents",
            f"{counted(count, 'incident', 'incidents')} not reset, see yunjian incidents",
        )
        told.append(Problem("incidents", Text(zh, en), alarm=True))
    for zone in _each(alarm, "zones"):
        if zone.get("state") != "normal" and not _is_open_door(zone):
            state, name = word(zone.get("state")), zone.get("name") or zone.get("id")
            text = Text(f"防区 {name}：{state.zh}", f"zone {name}: {state.en}")
            told.append(Problem(f"zone/{zone.get('id')}", text, alarm=zone.get("state") == "alarm"))
    for name in PROCESSES:
        if found.get(name) is None:
            text = Text(f"进程 {name}（{_DUTIES[name].zh}）没有应答", f"process {name} does not answer")
            told.append(Problem(f"process/{name}", text))
    silent = {problem.subject for problem in told}
    for condition in _each(alarm, "conditions"):
        if condition.get("kind") == "process_silent" and condition.get("subject") in silent:
            continue
        told.append(_of_condition(condition, found))
    subjects = {problem.subject for problem in told}
    states = _of_alarm(alarm, now_ns) + _of_record(found.get("record") or {}) + _of_vision(found.get("vision") or {})
    return told + [problem for problem in states if problem.subject not in subjects]


def report(found: Statuses, runtime: str, now_ns: int) -> dict[str, Any]:
    """What `status --json` prints: each process's own words, and what is wrong."""
    told = [
        {"subject": problem.subject, "alarm": problem.alarm, "zh": problem.text.zh, "en": problem.text.en}
        for problem in problems(found, now_ns)
    ]
    return {"ok": not told, "runtime": runtime, "problems": told, "processes": found}


def show(screen: Screen, found: Statuses, runtime: str, now_ns: int, zone: tzinfo) -> None:
    """Write the whole page."""
    alarm = found.get("alarm") or {}
    name = alarm.get("facility_name") or alarm.get("facility") or screen.t("云监管", "cloud supervision")
    known = alarm.get("clock_quality")
    words = Text("未同步", "not synchronised") if known == "unknown" else word(known)
    quality = f"  {screen.t('时钟', 'clock')} {screen.say(words)}" if known else ""
    screen.line(f"{name}  {shown(now_ns, zone)}{quality}")
    wrong = problems(found, now_ns)
    if not any(found.values()):
        screen.line(screen.say(not_running(runtime)), RED)
        return
    if not wrong:
        screen.line(screen.t("一切正常", "all is well"), GREEN)
    for problem in wrong:
        screen.line(f"! {screen.say(problem.text)}", RED if problem.alarm else YELLOW)
    _processes(screen, found, now_ns)
    if isinstance(drill := alarm.get("drill"), dict):
        screen.line(screen.say(drill_words(drill)), YELLOW)
    show_areas(screen, _each(alarm, "areas"), zone)
    _zones(screen, alarm)
    show_outputs(screen, _each(alarm, "outputs"))
    _rooms(screen, alarm)
    _cameras(screen, found.get("record") or {}, now_ns)
    _routes(screen, alarm)


def _is_open_door(zone: dict[str, Any]) -> bool:
    """A door or window that stands open: no alarm by itself while nothing arms the perimeter."""
    return zone.get("type") == "perimeter" and zone.get("state") == "alarm"


def _of_condition(condition: dict[str, Any], found: Statuses) -> Problem:
    subject = str(condition.get("subject"))
    zh, en = (str(condition.get(key) or condition.get("kind")) for key in ("text_zh", "text_en"))
    detail = condition.get("detail")
    why = _why(detail) if isinstance(detail, dict) else Text("", "")
    name = _name(subject, found)
    told = subject_words(subject) if name == subject else Text(name, name)
    over = condition.get("kind") == "over_capacity"
    return Problem(subject, Text(f"{told.zh}：{zh}{why.zh}", f"{told.en}: {en}{why.en}"), alarm=over)


def subject_words(subject: str) -> Text:
    """`platform/cloud` in words, for what no process has a name for."""
    kind, _, key = subject.partition("/")
    kinds = {
        "process": Text("进程", "process"),
        "footage": Text("录像留存", "footage kept"),
        "platform": Text("平台", "platform"),
        "bridge": Text("报警板", "bridge"),
        "volume": Text("录像盘", "volume"),
        "room": Text("房间", "room"),
        "camera": Text("摄像机", "camera"),
        "zone": Text("防区", "zone"),
        "area": Text("布防区域", "area"),
        "output": Text("输出", "output"),
        "key": Text("签名密钥", "signing key"),
        "journal": Text("录像日志", "footage journal"),
        "chore": Text("录像后台工作", "upkeep of footage"),
    }
    what = kinds.get(kind) if key or kind == "footage" else None
    return Text(f"{what.zh} {key}".strip(), f"{what.en} {key}".strip()) if what else Text(subject, subject)


def _why(detail: dict[str, Any]) -> Text:
    """What a condition's detail adds for people."""
    if (kept := kept_why(detail)) is not None:
        return kept
    if "count" in detail and "capacity" in detail:
        count, capacity = clean(detail["count"]), clean(detail["capacity"])
        # It lasts until the room has been within its capacity for a while: the count may be below by now.
        return Text(f"（现 {count} 人，核定 {capacity} 人）", f" (now {count}, allowed {capacity})")
    if isinstance(zones := detail.get("zones"), str):
        return Text(f"（{clean(zones)}）", f" ({clean(zones)})")
    if (trouble := trouble_words(detail.get("reason"))) is not None:
        return Text(f"（{trouble.zh}）", f" ({trouble.en})")
    reason = in_words(clean(detail.get("reason") or detail.get("detail") or ""))
    told = Text(f"（{reason.zh}）", f" ({reason.en})") if reason.en else Text("", "")
    if "others" not in detail:
        return told
    if detail["others"]:
        return Text(f"{told.zh}，别的录像盘在录", f"{told.en}; the others go on recording")
    return Text(f"{told.zh}，现在不录像", f"{told.en}; nothing is recorded")


def _name(subject: str, found: Statuses) -> str:
    """What people call a subject such as `camera/C02`, where a process knows it."""
    kind, _, key = subject.partition("/")
    if kind == "camera" and key.endswith("/sub"):
        return f"{_name(subject.removesuffix('/sub'), found)} (sub)"
    lists = {
        "camera": ("record", "cameras", "id"),
        "room": ("alarm", "rooms", "room_id"),
        "zone": ("alarm", "zones", "id"),
        "area": ("alarm", "areas", "id"),
        "output": ("alarm", "outputs", "id"),
    }
    if kind in lists:
        process, listed, by = lists[kind]
        for each in _each(found.get(process) or {}, listed):
            if each.get(by) == key and each.get("name"):
                return str(each["name"])
    return subject


def _of_alarm(alarm: Status, now_ns: int) -> list[Problem]:
    told = []
    for bridge in _each(alarm, "bridges"):
        if bridge.get("up") is False:
            text = Text(f"报警板 {bridge.get('id')} 没有应答", f"bridge {bridge.get('id')} does not answer")
            told.append(Problem(f"bridge/{bridge.get('id')}", text))
    for platform in _each(alarm, "platforms"):
        subject, name = f"platform/{platform.get('id')}", platform.get("id")
        oldest_ns = platform.get("oldest_waiting_ns")
        if platform.get("connected") is False:
            why = _why(platform)
            text = Text(f"平台 {name} 连不上{why.zh}", f"platform {name} is not connected{why.en}")
            told.append(Problem(subject, text))
        elif isinstance(oldest_ns, int) and now_ns - oldest_ns > OLDEST_WAITING_S * NS:
            text = Text(
                f"平台 {name} 有 {platform['waiting']} 条未送达",
                f"platform {name}: {platform['waiting']} not delivered",
            )
            told.append(Problem(subject, text))
    store = alarm.get("store") or {}
    if store.get("ok") is False:
        told.append(
            Problem("store/alarm", Text(f"告警库写不了：{store.get('detail')}", f"store: {store.get('detail')}"))
        )
    return told


def _of_record(record: Status) -> list[Problem]:
    told = []
    for camera in _each(record, "cameras"):
        state = camera.get("state")
        if state not in _WELL:
            words, name = word(state), camera.get("name") or camera.get("id")
            subject, of = f"camera/{camera.get('id')}", Text("", "")
            if camera.get("stream") == "sub":
                subject, of = f"{subject}/sub", Text("（子码流）", " (sub stream)")
            why = in_words(clean(camera.get("detail") or ""))
            because = Text(f"（{why.zh}）", f" ({why.en})") if why.en else Text("", "")
            zh = f"摄像机 {name}{of.zh}：{words.zh}{because.zh}"
            told.append(Problem(subject, Text(zh, f"camera {name}{of.en}: {words.en}{because.en}")))
    for volume in _each(record, "volumes"):
        if volume.get("ok") is False:
            zh, en = f"录像盘不可用：{volume.get('detail')}", f"footage volume cannot be used: {volume.get('detail')}"
            told.append(Problem(f"volume/{volume.get('path')}", Text(zh, en)))
    index = record.get("index") or {}
    if index.get("ok") is False:
        zh, en = f"录像索引写不了：{index.get('detail')}", f"the index of footage fails: {index.get('detail')}"
        told.append(Problem("process/record", Text(zh, en)))
    return told


def _of_vision(vision: Status) -> list[Problem]:
    model = vision.get("model") or {}
    if model.get("ok") is False:
        return [Problem("model", Text(f"模型不可用：{model.get('detail')}", f"model: {model.get('detail')}"))]
    return []


def _processes(screen: Screen, found: Statuses, now_ns: int) -> None:
    rows: list[tuple[str, ...]] = []
    colours: list[str] = []
    for name in PROCESSES:
        status = found.get(name)
        label = screen.t(f"{name} {_DUTIES[name].zh}", name)
        if status is None:
            rows.append((label, screen.t("没有应答", "no answer")))
            colours.append(RED)
            continue
        age = screen.say(duration((now_ns - status.get("started_ns", now_ns)) / NS))
        rss = f"{status.get('rss_kib', 0) / 1024:.0f} MiB"
        rows.append((label, screen.t(f"运行 {age}", f"up {age}"), rss, f"pid {status.get('pid', '?')}"))
        colours.append("")
    _headed(screen, Text("进程", "Processes"), rows, colours)


def _zones(screen: Screen, alarm: Status) -> None:
    rows, colours = [], []
    for zone in _each(alarm, "zones"):
        latched = screen.t("已自锁", "latched") if zone.get("latched") else ""
        state = Text("打开", "opened") if _is_open_door(zone) else word(zone.get("state"))
        armed = screen.t("已布防", "armed") if zone.get("armed") is True and zone.get("area") else ""
        rows.append((str(zone.get("id")), str(zone.get("name", "")), screen.say(state), latched, armed))
        quiet = zone.get("state") == "normal" or _is_open_door(zone)
        colours.append("" if quiet else RED if zone.get("state") == "alarm" else YELLOW)
    _headed(screen, Text("防区", "Zones"), rows, colours)


def _rooms(screen: Screen, alarm: Status) -> None:
    rows = []
    for room in sorted(_each(alarm, "rooms"), key=lambda each: str(each.get("room_id"))):
        low, high, count = room.get("low"), room.get("high"), room.get("count")
        between = f"({low}–{high})" if low != high else ""
        people = screen.t(f"{count} 人", counted(count, "person", "people") if isinstance(count, int) else "")
        rows.append(
            (str(room.get("room_id")), str(room.get("name", "")), people, between, str(room.get("camera_id", "")))
        )
    _headed(screen, Text("在室人数", "People"), rows)


def _cameras(screen: Screen, record: Status, now_ns: int) -> None:
    rows, colours = [], []
    covered = record.get("coverage")
    for camera in _each(record, "cameras"):
        last = camera.get("last_packet_ns")
        ago = screen.say(duration((now_ns - last) / NS)) if isinstance(last, int) and last > 0 else "–"
        rate = f"{camera.get('kbit_s') or 0:.0f} kbit/s"
        codec = str(camera.get("codec") or "")
        state = screen.say(word(camera.get("state")))
        last_seen = screen.t(f"{ago}前", f"{ago} ago") if ago != "–" else "–"
        stream = f" {camera.get('stream')}" if camera.get("stream") == "sub" else ""
        share = (
            covered.get(f"camera/{camera.get('id')}{stream.replace(' ', '/')}") if isinstance(covered, dict) else None
        )
        today = screen.t(f"今日 {_percent(share)}", f"today {_percent(share)}") if isinstance(share, float) else ""
        name = str(camera.get("name", ""))
        rows.append((f"{camera.get('id')}{stream}", name, state, codec, rate, last_seen, today))
        colours.append("" if camera.get("state") in _WELL else YELLOW)
    _headed(screen, Text("摄像机", "Cameras"), rows, colours)
    for volume in _each(record, "volumes"):
        free = f"{(volume.get('free_bytes') or 0) / 1e9:.1f} GB"
        plain = screen.t("  未加密", "  not encrypted") if volume.get("encrypted") == "no" else ""
        screen.line(f"  {volume.get('path')}  {screen.t('空闲', 'free')} {free}{plain}", FAINT)
    if (kept := kept_words(record)) is not None:
        screen.line(f"  {screen.say(kept)}", FAINT)
    if isinstance(named := record.get("fingerprint"), str):
        screen.line(f"  {screen.t('设备指纹', 'device fingerprint')} {named[:11]}…", FAINT)


def _percent(share: float) -> str:
    """Rounded down: 100 is said only of what is whole."""
    return f"{int(share * 1000) / 10:g} %"


def _routes(screen: Screen, alarm: Status) -> None:
    rows, colours = [], []
    for platform in _each(alarm, "platforms"):
        up = platform.get("connected")
        state = screen.t("已连接", "connected") if up else screen.t("未连接", "not connected")
        # The agent counts as waiting whatever has no receipt; people ask what has not even left.
        unsent = max(0, (platform.get("waiting") or 0) - (platform.get("unreceipted") or 0))
        counts = screen.t(
            f"待发 {unsent}  待回执 {platform.get('unreceipted', 0)}  已回执 {platform.get('receipted', 0)}",
            f"waiting {unsent}  no receipt yet {platform.get('unreceipted', 0)}"
            f"  receipted {platform.get('receipted', 0)}",
        )
        rows.append((str(platform.get("id")), screen.say(word(platform.get("role"))), state, counts))
        colours.append("" if up else YELLOW)
    _headed(screen, Text("平台", "Platforms"), rows, colours)
    rows, colours = [], []
    for bridge in _each(alarm, "bridges"):
        state = screen.t("正常", "up") if bridge.get("up") else screen.t("没有应答", "no answer")
        rows.append((str(bridge.get("id")), str(bridge.get("port", "")), state, str(bridge.get("firmware") or "")))
        colours.append("" if bridge.get("up") else YELLOW)
    _headed(screen, Text("报警板", "Bridges"), rows, colours)


def _headed(screen: Screen, title: Text, rows: Sequence[Sequence[str]], colours: Sequence[str] = ()) -> None:
    if rows:
        screen.line(screen.say(title), FAINT)
        screen.table(rows, indent=2, colours=colours)


def _each(status: Status, key: str) -> list[dict[str, Any]]:
    found = status.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
