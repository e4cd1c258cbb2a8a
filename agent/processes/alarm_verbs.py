"""What alarm.sock can be asked. Verbs run on the connections' threads; whatever concerns the desk is posted to it."""

import json
import os
import resource
import sqlite3
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from agent.audit import Deed
from agent.boards.contract import Board
from agent.clock import Clock
from agent.delivery import rows
from agent.delivery.store import AlarmStore, JobFailed
from agent.desk import Desk
from agent.facts import BadFact, Condition, InputChanged, Stamp, Text, decode
from agent.inbox import Call, FactReport, PersonAsks
from agent.processes.area_verbs import area_verbs
from agent.processes.drill_verbs import drill_verbs
from agent.safety.conditions import MEANINGS
from agent.safety.incidents import Happening, Incident
from agent.sounding import TEST_S, OutputTest
from agent.wire import MAX_FRAME_BYTES, Reply, Request, Verb, to_frame

_ROOM_BYTES: Final = MAX_FRAME_BYTES - 1024
"""What an answer may take in a frame, beside its envelope."""

_FUTURE_S: Final = 5.0
"""A fact from further in the future than this has a broken clock."""

_NOT_PLAIN = Text("含有无效字符或数值", "there is text that is no Unicode, or a number that is none")
_CANNOT_STORE = Text("告警存储失败，无法执行", "alerts cannot be stored: not done")


def alarm_verbs(
    desk: Desk,
    store: AlarmStore,
    boards: Mapping[str, Board],
    facility: Mapping[str, str],
    names: Mapping[str, str],
    clock: Clock,
) -> dict[str, Verb]:
    """The verbs of the alarm process. `facility` is told with the status: who this is, and its time zone."""
    started_ns = clock.wall_ns()
    return {
        "fact": partial(_fact, desk, clock),
        "status": partial(_status, desk, store, boards, facility, names, clock, started_ns),
        "events": partial(_events, store),
        "incidents": partial(_incidents, desk, store),
        "acknowledge": partial(_person, desk, Happening.ACKNOWLEDGE),
        "reset": partial(_person, desk, Happening.RESET),
        "audit": partial(_audit, store, clock),
        "test_output": partial(_test_output, desk),
        **area_verbs(desk),
        **drill_verbs(desk, store),
    }


def incident_values(incident: Incident) -> dict[str, Any]:
    """The incident as the verb `incidents` gives it."""
    return {
        "id": incident.id,
        "kind": incident.kind,
        "subject": incident.subject,
        "name": incident.name,
        "room": incident.room_id,
        "state": str(incident.state),
        "latched": incident.latched,
        "triggered_ns": incident.triggered_ns,
        "last_ns": incident.last_ns,
        "count": incident.count,
        "acknowledged_ns": incident.acknowledged_ns or None,
        "acknowledged_by": incident.acknowledged_by or None,
        "restored_ns": incident.restored_ns or None,
        "reset_ns": incident.reset_ns or None,
        "reset_by": incident.reset_by or None,
        "reset_why": incident.reset_why or None,
        "drill": incident.drill,
    }


def _fact(desk: Desk, clock: Clock, request: Request, reply: Reply) -> None:
    if not _plain(request.args):
        reply.refuse("bad_fact", _NOT_PLAIN)
        return
    process, boot, n = request.args.get("process"), request.args.get("boot"), request.args.get("n")
    if not isinstance(process, str) or not isinstance(boot, str) or type(n) is not int or not 0 <= n < 1 << 62:
        reply.refuse("bad_fact", Text("缺少进程、启动号或序号", "process, boot or n is missing"))
        return
    try:
        fact = decode(request.args.get("fact"))
        if isinstance(fact, InputChanged):
            raise BadFact("inputs are told by boards alone")
        _check_stamp(fact.at, clock)
        if isinstance(fact, Condition):
            _check_stamp(fact.since, clock)
            if len(str(fact.detail)) > 4096 or len(fact.subject) > 256:
                raise BadFact("a condition with too much to tell")
    except BadFact as error:
        reply.refuse("bad_fact", Text(f"无法识别的事实：{error}", str(error)))
        return
    desk.post(FactReport((process[:64], boot[:64], n), fact, reply.done))


def _plain(values: dict[str, Any]) -> bool:
    """Text that is Unicode, and numbers that are numbers: everything here may go out as JSON."""
    try:
        json.dumps(values, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return False
    return True


def _check_stamp(stamp: Stamp, clock: Clock) -> None:
    ahead_ns = stamp.mono_ns - clock.mono_ns()
    if stamp.mono_ns < 0 or ahead_ns > _FUTURE_S * 1e9 or not 0 <= stamp.wall_ns < 1 << 62:
        raise BadFact("a stamp from another time")


def _status(
    desk: Desk,
    store: AlarmStore,
    boards: Mapping[str, Board],
    facility: Mapping[str, str],
    names: Mapping[str, str],
    clock: Clock,
    started_ns: int,
    _request: Request,
    reply: Reply,
) -> None:
    def answer() -> None:
        state = store.state()
        reply.done(
            {
                "process": "alarm",
                **facility,
                "pid": os.getpid(),
                "started_ns": started_ns,
                "rss_kib": _rss_kib(),
                "peak_rss_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                "zones": desk.zone_list(),
                "areas": desk.area_list(),
                "drill": desk.drills.values(),
                "conditions": [_condition(each) for each in desk.watch.active()],
                "outputs": desk.sounding.values(),
                "rooms": [
                    {
                        "room_id": room.room_id,
                        "name": names.get(f"room/{room.room_id}", room.room_id),
                        "camera_id": room.camera_id,
                        "count": room.count,
                        "low": room.low,
                        "high": room.high,
                        "at_ns": room.at.wall_ns,
                    }
                    for room in desk.rooms.values()
                ],
                "platforms": desk.dispatch.status(),
                "bridges": [_bridge(bridge_id, board) for bridge_id, board in boards.items()],
                "incidents_open": len(desk.shown_incidents()),
                "store": {"ok": state.ok, "detail": state.detail, "waiting": store.waiting()},
                "clock_quality": str(clock.quality()),
            }
        )

    desk.post(Call(answer))


def _rss_kib() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # a file of the kernel, read at every ask
        return int(file.read().split()[1]) * (os.sysconf("SC_PAGE_SIZE") // 1024)


def _condition(condition: Condition) -> dict[str, Any]:
    text = MEANINGS[condition.kind].raised
    return {
        "kind": str(condition.kind),
        "subject": condition.subject,
        "since_ns": condition.since.wall_ns,
        "detail": dict(condition.detail),
        "text_zh": text.zh,
        "text_en": text.en,
    }


def _bridge(bridge_id: str, board: Board) -> dict[str, Any]:
    status = board.status()
    return {
        "id": bridge_id,
        "port": str(status.port),
        "up": status.up,
        "uid": status.uid,
        "firmware": status.firmware,
        "troubles": [str(each) for each in status.troubles],
        "silent_s": round(status.silent_s, 3),
        "frames": status.frames,
        "crc_errors": status.crc_errors,
        "resent": status.resent,
    }


def _events(store: AlarmStore, request: Request, reply: Reply) -> None:
    limit, after_seq, kind = request.args.get("limit", 20), request.args.get("after_seq"), request.args.get("kind")
    if type(limit) is not int or not 1 <= limit <= 1000:
        reply.refuse("bad_request", Text("limit 应为 1 到 1000", "limit is from 1 to 1000"))
        return
    in_range = after_seq is None or (type(after_seq) is int and abs(after_seq) < 1 << 62)
    if not in_range or not isinstance(kind, str | None):
        reply.refuse("bad_request", Text("after_seq 或 kind 不对", "after_seq or kind is wrong"))
        return
    try:
        with store.reading() as db:
            events = rows.read_events(db, limit, after_seq, kind)
    except sqlite3.Error as error:
        reply.refuse("store_failing", Text(f"无法读取告警记录：{error}", f"alerts cannot be read: {error}"))
        return
    reply.done({"events": _newest_that_fit(events)})


def _newest_that_fit(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many of the newest as one frame holds, oldest first."""
    room, first = _ROOM_BYTES, len(values)
    while first > 0:
        room -= len(to_frame(values[first - 1])) + 1
        if room < 0:
            break
        first -= 1
    return values[first:]


def _incidents(desk: Desk, store: AlarmStore, request: Request, reply: Reply) -> None:
    """`incidents {open_only, before}` -> {incidents, next}: the newest that fit, oldest first; those before them are
    asked for with `next` as `before`, until it is null."""
    open_only = request.args.get("open_only", True) is not False
    before = _place(request.args.get("before"))
    if before is None and request.args.get("before") is not None:
        reply.refuse("bad_request", Text("before 不对", "before is wrong"))
        return
    closed: list[Incident] = []
    if not open_only:
        try:
            with store.reading() as db:
                closed = rows.read_closed(db, before)
        except sqlite3.Error as error:
            reply.refuse("store_failing", Text(f"无法读取警情记录：{error}", f"incidents cannot be read: {error}"))
            return

    def answer() -> None:
        found = [each for each in desk.shown_incidents() if before is None or _place_of(each) < before]
        both = sorted([*closed, *found], key=_place_of)
        shown = _newest_that_fit([incident_values(each) for each in both])
        # No frame holds as many as were read: what was not read is older than what is shown.
        more = 0 < len(shown) < len(both)
        reply.done({"incidents": shown, "next": list(_place_of(both[-len(shown)])) if more else None})

    desk.post(Call(answer))


def _place_of(incident: Incident) -> tuple[int, str]:
    return incident.triggered_ns, incident.id


def _place(value: Any) -> tuple[int, str] | None:
    match value:
        case [int(ns), str(name)] if not isinstance(ns, bool) and abs(ns) < 1 << 62 and _plain({"id": name}):
            return ns, name
    return None


def _person(desk: Desk, happening: Happening, request: Request, reply: Reply) -> None:
    if not _plain(request.args):
        reply.refuse("bad_request", _NOT_PLAIN)
        return
    values = {key: request.args.get(key, "") for key in ("incident_id", "who", "why")}
    if not all(isinstance(value, str) for value in values.values()) or not values["who"].strip():
        reply.refuse("bad_request", Text("缺少操作人", "who is doing this?"))
        return

    def answer(found: Incident | tuple[str, Text]) -> None:
        if isinstance(found, Incident):
            reply.done(incident_values(found))
        else:
            reply.refuse(*found)

    desk.post(PersonAsks(happening, values["incident_id"], values["who"][:128], values["why"][:1024], answer))


def _test_output(desk: Desk, request: Request, reply: Reply) -> None:
    """`test_output {output_id, seconds, who}` -> the output, once its test has begun."""
    output_id, seconds, who = (request.args.get(key) for key in ("output_id", "seconds", "who"))
    named = isinstance(output_id, str) and isinstance(who, str) and bool(who.strip()) and _plain(request.args)
    if not named or type(seconds) is not int or not 1 <= seconds <= TEST_S:
        zh, en = (
            f"缺少输出编号或操作人，或秒数不是 1 到 {TEST_S}",
            f"needs output_id, who, and seconds from 1 to {TEST_S}",
        )
        reply.refuse("bad_request", Text(zh, en))
        return

    def answer(found: dict[str, Any] | tuple[str, Text]) -> None:
        if isinstance(found, dict):
            reply.done(found)
        else:
            reply.refuse(*found)

    ask = OutputTest(str(output_id), seconds, str(who)[:128], answer)
    desk.post(Call(lambda: desk.sounding.test(ask)))


def _audit(store: AlarmStore, clock: Clock, request: Request, reply: Reply) -> None:
    action, subject, who = (request.args.get(key) for key in ("action", "subject", "who"))
    detail = request.args.get("detail", {})
    named = all(isinstance(value, str) and value for value in (action, subject, who))
    if not named or not isinstance(detail, dict) or not _plain(detail):
        reply.refuse("bad_request", Text("审计记录不完整", "an audit row needs action, subject, who and detail"))
        return
    if not store.state().ok:
        reply.refuse("store_failing", _CANNOT_STORE)
        return
    deed = Deed(clock.wall_ns(), str(who), str(action), str(subject), detail)
    store.submit(partial(rows.put, write=rows.Write(deed=deed, at_ns=deed.at_ns)), _answer_audit(reply))


def _answer_audit(reply: Reply) -> Callable[[Any], None]:
    def answer(result: Any) -> None:
        if isinstance(result, JobFailed):
            reply.refuse("bad_request", Text(f"审计记录无法写入：{result}", str(result)))
        else:
            reply.done({"n": result.n, "hash": result.hash})

    return answer
