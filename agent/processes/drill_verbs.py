"""What alarm.sock can be asked of drills and tests. The desk decides; see agent/drill_acts.py and button_tests.py."""

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from agent.button_tests import RECEIPTS_S, numbered_values
from agent.delivery import register
from agent.delivery.store import AlarmStore
from agent.desk import Desk
from agent.facts import Text
from agent.inbox import Call, DrillAsk
from agent.safety.drills import LONGEST_S, DrillKind
from agent.wire import Reply, Request, Verb

_WHO_CHARACTERS: Final = 128

_PAGE: Final = 100
"""Tests in one answer: a frame holds them with long names and two platforms."""

WAIT_S: Final = 600
"""A press is waited for no longer than this."""


def drill_verbs(desk: Desk, store: AlarmStore) -> dict[str, Verb]:
    """`drill {target, minutes, who, walk}` and `test_button {zone_id, wait_s, who}` -> the drill; `drill_stop {who}`;
    `drill_state {}` -> {drill}; `test_state {id}` -> {state, result}; `tests {from_ns, before}` -> {tests, next}: the
    newest, oldest first, and those before them are asked for with `next` as `before`."""
    return {
        "drill": partial(_ask, desk, _drill),
        "drill_stop": partial(_ask, desk, _stop),
        "test_button": partial(_ask, desk, _button),
        "drill_state": partial(_drill_state, desk),
        "test_state": partial(_test_state, desk),
        "tests": partial(_tests, store),
    }


class _Bad(ValueError):
    """What was asked cannot be read. `text` says why."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.text = Text(zh, en)


_Asked = tuple[DrillKind | None, str, float, str]
"""Kind, target, seconds, who."""


def _ask(desk: Desk, asked_of: Callable[[dict[str, Any]], _Asked], request: Request, reply: Reply) -> None:
    try:
        kind, target, seconds, who = asked_of(request.args)
    except _Bad as error:
        reply.refuse("bad_request", error.text)
        return

    def answer(found: dict[str, Any] | tuple[str, Text]) -> None:
        if isinstance(found, dict):
            reply.done(found)
        else:
            reply.refuse(*found)

    desk.post(DrillAsk(kind, target, seconds, who, answer))


def _drill(args: dict[str, Any]) -> _Asked:
    longest = round(LONGEST_S / 60)
    minutes = _number(args, "minutes", longest, longest)
    walk = args.get("walk", False)
    if not isinstance(walk, bool):
        raise _Bad("walk 应为 true 或 false", "walk is true or false")
    return DrillKind.WALK if walk else DrillKind.DRILL, _text(args, "target"), minutes * 60, _who(args)


def _stop(args: dict[str, Any]) -> _Asked:
    return None, "", 0.0, _who(args)


def _button(args: dict[str, Any]) -> _Asked:
    wait_s = _number(args, "wait_s", WAIT_S, 120)
    return (
        DrillKind.BUTTON,
        (args.get("zone_id") and _text(args, "zone_id")) or "buttons",
        wait_s + RECEIPTS_S,
        _who(args),
    )


def _number(args: dict[str, Any], key: str, most: int, default: float) -> float:
    value = args.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise _Bad(f"{key} 应为 0 到 {most} 的数", f"{key} is a number up to {most}")
    return float(value)


def _who(args: dict[str, Any]) -> str:
    who = _text(args, "who", _WHO_CHARACTERS)
    if not who.strip():
        raise _Bad("缺少操作人", "who is doing this?")
    return who


def _text(args: dict[str, Any], key: str, most: int = 32) -> str:
    value = args.get(key, "")
    if not isinstance(value, str) or not value:
        raise _Bad(f"缺少 {key}", f"{key} is missing")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _Bad("含有无效字符", "there is text that is no Unicode") from error
    return value[:most]


def _drill_state(desk: Desk, _request: Request, reply: Reply) -> None:
    desk.post(Call(lambda: reply.done({"drill": desk.drills.values()})))


def _test_state(desk: Desk, request: Request, reply: Reply) -> None:
    drill_id = str(request.args.get("id", ""))
    desk.post(Call(lambda: reply.done(desk.tests.state_of(drill_id))))


def _tests(store: AlarmStore, request: Request, reply: Reply) -> None:
    from_ns, before = request.args.get("from_ns", 0), request.args.get("before")
    if type(from_ns) is not int or abs(from_ns) >= 1 << 62 or (before is not None and type(before) is not int):
        reply.refuse("bad_request", Text("from_ns 或 before 不对", "from_ns or before is wrong"))
        return
    try:
        with store.reading() as db:
            found = register.read_tests(db, from_ns, before, _PAGE)
    except (sqlite3.Error, OverflowError) as error:
        reply.refuse("store_failing", Text(f"无法读取测试记录：{error}", f"tests cannot be read: {error}"))
        return
    following = found[0][0] if len(found) == _PAGE else None
    reply.done({"tests": [numbered_values(n, test) for n, test in found], "next": following})
