"""PURE but for the screen that it is given: areas on the terminal."""

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, Final

from agent.access.console import FAINT, GREEN, YELLOW, Screen, clean
from agent.access.times import shown
from agent.facts import Text

_PHASES: Final = {
    "disarmed": Text("未布防", "disarmed"),
    "exit_delay": Text("布防中，请离开", "arming, leave now"),
    "armed": Text("已布防", "armed"),
    "entry_delay": Text("有人进入，请撤防", "somebody came in, disarm now"),
}
_COLOURS: Final = {"disarmed": "", "armed": GREEN}


def phase_words(area: Mapping[str, Any]) -> Text:
    """Where an area stands, and for how long a delay goes on."""
    phase, left_s = str(area.get("phase")), area.get("left_s")
    words = _PHASES.get(phase, Text(phase, phase))
    if area.get("blind") is True and phase == "armed":
        return Text(f"{words.zh}（时钟不可信）", f"{words.en} (nobody knows the time)")
    if isinstance(left_s, int | float) and left_s > 0:
        return Text(f"{words.zh}（{left_s:.0f} 秒）", f"{words.en} ({left_s:.0f} s)")
    return words


def left_out(area: Mapping[str, Any]) -> Text:
    """What is bypassed, and what waits to be closed; nothing where every zone takes part."""
    zh, en = [], []
    for key, words in (("bypassed", Text("旁路", "without")), ("waiting", Text("未关好", "not closed"))):
        zones = area.get(key)
        if isinstance(zones, list) and zones:
            listed = ", ".join(clean(each) for each in zones)
            zh.append(f"{words.zh} {listed}")
            en.append(f"{words.en} {listed}")
    return Text("；".join(zh), "; ".join(en))


def show_areas(screen: Screen, areas: list[dict[str, Any]], zone: tzinfo) -> None:
    """One line for each area: how it stands, by whom and since when."""
    rows, colours = [], []
    for area in areas:
        since, who = area.get("since_ns"), clean(area.get("who") or "")
        who = screen.t("日历", "the calendar") if who == "calendar" else who
        at = shown(since, zone) if isinstance(since, int) else ""
        name = (str(area.get("id")), str(area.get("name", "")))
        rows.append((*name, screen.say(phase_words(area)), who, at, screen.say(left_out(area))))
        colours.append(_COLOURS.get(str(area.get("phase")), YELLOW))
    if rows:
        screen.line(screen.t("布防", "Areas"), FAINT)
        screen.table(rows, indent=2, colours=colours)
