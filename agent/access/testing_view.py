"""PURE. Drills and tests in words."""

from collections.abc import Iterator, Mapping
from datetime import tzinfo
from typing import Any, Final

from agent.access.console import clean
from agent.access.times import shown
from agent.facts import Text

STATES: Final = {
    "pressed": Text("收到，等平台回执……", "pressed, waiting for the platforms ..."),
    "release": Text("请松开按钮", "let go of the button"),
}

KINDS: Final = {
    "drill": Text("演练", "drill"),
    "walk": Text("步行测试", "walk test"),
    "button": Text("按钮测试", "test of a button"),
}

_WHY: Final = {
    "not_pressed": Text("没有等到按下", "nothing was pressed in time"),
    "no_receipt": Text("有平台没有回执", "a platform sent no receipt"),
    "rejected": Text("有平台拒收", "a platform rejected it"),
    "no_platform": Text("没有平台可报", "there is no platform to tell"),
    "stopped": Text("测试被中断，见 yunjian events", "the test was ended, see yunjian events"),
}

COLUMNS: Final = (
    Text("时间", "time"),
    Text("防区", "zone"),
    Text("名称", "name"),
    Text("方式", "kind"),
    Text("操作人", "who"),
    Text("结果", "result"),
    Text("原因", "reason"),
    Text("报警板 ms", "board ms"),
    Text("发出 ms", "published ms"),
    Text("各平台回执 ms", "receipts ms"),
)
"""What a row of the register tells."""


def drill_words(drill: Mapping[str, Any]) -> Text:
    """A drill, and for how long."""
    kind = KINDS.get(str(drill.get("kind")), Text("演练", "drill"))
    zones, minutes = ", ".join(drill.get("zones", ())), float(drill.get("left_s", 0)) / 60
    return Text(
        f"{kind.zh}开始：{zones}，最长 {minutes:.0f} 分钟，别的防区照常报警；10 秒内连按三次或按住一分钟是真的",
        f"{kind.en} begun: {zones}, for {minutes:.0f} min at most. Every other zone is real, and so is a button"
        " pressed three times within 10 s or held for a minute",
    )


def result_lines(result: Mapping[str, Any]) -> Iterator[Text]:
    """The way of the press, a line for each step, in milliseconds after the contact closed."""
    path = result.get("path")
    if not isinstance(path, dict):
        return
    name = clean(f"{result.get('zone_id')} {result.get('zone_name')}")
    yield Text(f"触点 {name}：0 ms", f"contact {name}: 0 ms")
    yield _step(Text("报警板 -> 主机", "board -> host"), path.get("board_ms"))
    yield _step(Text("主机发出", "published"), path.get("published_ms"))
    for platform, leg in path.get("platforms", {}).items():
        to = clean(platform)
        yield _step(Text(f"平台 {to} 的 MQTT 确认", f"acknowledged by the broker of {to}"), leg.get("acknowledged_ms"))
        if leg.get("receipted_ms") is not None or not leg.get("done"):
            case = clean(leg.get("case_no") or "")
            more = Text(f"，案件号 {case}" if case else "", f", case {case}" if case else "")
            found = _step(Text(f"平台 {to} 的回执", f"receipt of {to}"), leg.get("receipted_ms"))
            yield Text(found.zh + more.zh, found.en + more.en)


def verdict_words(result: Mapping[str, Any]) -> Text:
    """Whether it went through, and why not."""
    if result.get("passed"):
        return Text("通过，已记入测试记录", "passed, and entered into the register of tests")
    why = _WHY.get(str(result.get("why")), Text("未知原因", "for an unknown reason"))
    return Text(f"没有通过：{why.zh}", f"failed: {why.en}")


def row(test: Mapping[str, Any], where: tzinfo) -> tuple[Text, ...]:
    """One test, as `COLUMNS` says."""
    path = test.get("path") if isinstance(test.get("path"), dict) else {}
    assert isinstance(path, dict)
    passed, why = bool(test.get("passed")), test.get("why")
    receipts = ", ".join(
        f"{clean(name)} {_ms(leg.get('receipted_ms') or leg.get('acknowledged_ms'))}"
        for name, leg in path.get("platforms", {}).items()
    )
    at_ns = test.get("at_ns")
    return (
        _same(shown(at_ns, where) if isinstance(at_ns, int) else ""),
        _same(clean(test.get("zone_id") or "")),
        _same(_cell(clean(test.get("zone_name") or ""))),
        KINDS.get(str(test.get("kind")), _same(clean(test.get("kind") or ""))),
        _same(_cell(clean(test.get("who") or ""))),
        Text("通过", "passed") if passed else Text("没有通过", "failed"),
        _WHY.get(str(why), _same("")) if why else _same(""),
        _same(_ms(path.get("board_ms"))),
        _same(_ms(path.get("published_ms"))),
        _same(receipts),
    )


def _step(what: Text, ms: Any) -> Text:
    told = f"{ms:.1f} ms" if isinstance(ms, int | float) else ""
    return Text(f"{what.zh}：{told or '没有'}", f"{what.en}: {told or 'none'}")


def _ms(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else ""


def _same(text: str) -> Text:
    return Text(text, text)


def _cell(text: str) -> str:
    """A spreadsheet takes what begins like this for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
