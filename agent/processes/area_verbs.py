"""What alarm.sock can be asked of areas: arm, disarm, bypass, unbypass. The desk decides; see agent/acts.py."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from agent.desk import Desk
from agent.facts import Text
from agent.inbox import AreaAsk
from agent.safety.arming import CALENDAR, Act, Arm, Bypass, Disarm, Unbypass
from agent.wire import Reply, Request, Verb

_WHO_CHARACTERS: Final = 128
_WHY_CHARACTERS: Final = 1024
_ZONES_MOST: Final = 64


def area_verbs(desk: Desk) -> dict[str, Verb]:
    """`arm {area_id, bypass, force, who}`, `disarm {area_id, duress, who}`, `bypass {zone_id, why, who}`,
    `unbypass {zone_id, who}` -> the area. No `area_id` is the only area there is."""
    return {
        "arm": partial(_ask, desk, _arm),
        "disarm": partial(_ask, desk, _disarm),
        "bypass": partial(_ask, desk, _bypass),
        "unbypass": partial(_ask, desk, _unbypass),
    }


class _Bad(ValueError):
    """What was asked cannot be read. `text` says why."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.text = Text(zh, en)


def _ask(desk: Desk, act_of: Callable[[dict[str, Any]], Act], request: Request, reply: Reply) -> None:
    try:
        act = act_of(request.args)
        area_id = _text(request.args, "area_id", 32)
    except _Bad as error:
        reply.refuse("bad_request", error.text)
        return

    def answer(found: dict[str, Any] | tuple[str, Text]) -> None:
        if isinstance(found, dict):
            reply.done(found)
        else:
            reply.refuse(*found)

    desk.post(AreaAsk(area_id, act, answer))


def _arm(args: dict[str, Any]) -> Arm:
    bypass = args.get("bypass", [])
    if not isinstance(bypass, list) or len(bypass) > _ZONES_MOST or not all(isinstance(each, str) for each in bypass):
        raise _Bad("bypass 应为防区编号的列表", "bypass is a list of zones")
    for each in bypass:
        _plain(each)
    return Arm(_who(args), frozenset(bypass), force=_flag(args, "force"))


def _disarm(args: dict[str, Any]) -> Disarm:
    return Disarm(_who(args), duress=_flag(args, "duress"))


def _bypass(args: dict[str, Any]) -> Bypass:
    why = _text(args, "why", _WHY_CHARACTERS)
    if not why.strip():
        raise _Bad("缺少原因", "why is it bypassed?")
    return Bypass(_who(args), _zone(args), why)


def _unbypass(args: dict[str, Any]) -> Unbypass:
    return Unbypass(_who(args), _zone(args))


def _who(args: dict[str, Any]) -> str:
    who = _text(args, "who", _WHO_CHARACTERS)
    if not who.strip():
        raise _Bad("缺少操作人", "who is doing this?")
    if who.strip().lower() == CALENDAR:
        raise _Bad("操作人不能叫 calendar", "nobody is called calendar")
    return who


def _zone(args: dict[str, Any]) -> str:
    zone = _text(args, "zone_id", 32)
    if not zone:
        raise _Bad("缺少防区编号", "which zone?")
    return zone


def _flag(args: dict[str, Any], key: str) -> bool:
    value = args.get(key, False)
    if not isinstance(value, bool):
        raise _Bad(f"{key} 应为 true 或 false", f"{key} is true or false")
    return value


def _text(args: dict[str, Any], key: str, most: int) -> str:
    value = args.get(key, "")
    if not isinstance(value, str):
        raise _Bad(f"{key} 应为文字", f"{key} is a text")
    return _plain(value)[:most]


def _plain(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _Bad("含有无效字符", "there is text that is no Unicode") from error
    return text
