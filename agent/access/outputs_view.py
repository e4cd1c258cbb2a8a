"""PURE but for the screen that it is given: sirens, strobes and other outputs on the terminal."""

from collections.abc import Mapping
from typing import Any, Final

from agent.access.console import FAINT, RED, YELLOW, Screen, clean
from agent.facts import Text

_KINDS: Final = {
    "siren": Text("警号", "siren"),
    "strobe": Text("警灯", "strobe"),
    "led": Text("指示灯", "lamp"),
    "relay": Text("继电器", "relay"),
}


def output_words(output: Mapping[str, Any]) -> Text:
    """What an output does now."""
    if output.get("trouble"):
        why = clean(output["trouble"])
        return Text(f"不可用（{why}）", f"does not work ({why})")
    tested_s = output.get("tested_s")
    if output.get("on"):
        siren = output.get("kind") == "siren"
        return Text("鸣响", "sounding") if siren else Text("开", "on")
    if isinstance(tested_s, int | float) and tested_s > 0:
        return Text(f"测试中（{tested_s:.0f} 秒）", f"being tested ({tested_s:.0f} s)")
    return Text("备用", "on standby") if output.get("standby") else Text("关", "off")


def show_outputs(screen: Screen, outputs: list[dict[str, Any]]) -> None:
    """One line for each output."""
    rows, colours = [], []
    for output in outputs:
        kind = _KINDS.get(str(output.get("kind")), Text(str(output.get("kind")), str(output.get("kind"))))
        where = f"{output.get('bridge', '')}/{output.get('output', '')}"
        rows.append(
            (
                str(output.get("id")),
                str(output.get("name", "")),
                screen.say(kind),
                screen.say(output_words(output)),
                where,
            )
        )
        colours.append(YELLOW if output.get("trouble") else RED if output.get("on") else "")
    if rows:
        screen.line(screen.t("输出", "Outputs"), FAINT)
        screen.table(rows, indent=2, colours=colours)
