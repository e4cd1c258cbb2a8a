"""PURE. Rules about sirens, strobes and other outputs: where they hang, and what is silent."""

from collections.abc import Iterator
from typing import Final

from agent.facts import Text
from agent.settings.mistakes import Place
from agent.settings.sections import Section, items

Found = tuple[Place, Text]

_NAMED: Final = ("modbus", "gpio")
"""Kinds of board whose outputs are where the settings say; a microcontroller board has both."""


def wrong_outputs(values: Section) -> Iterator[Found]:
    """What hangs on an output that is not there, or on another's, and what is silent that must not be."""
    boards = {bridge.get("id"): bridge for _, bridge in items(values, "bridges") if isinstance(bridge.get("id"), str)}
    seen: dict[tuple[str, str], int] = {}
    for number, output in items(values, "outputs"):
        name, pin = output.get("bridge"), output.get("output")
        if not isinstance(name, str) or not isinstance(pin, str) or name not in boards:
            continue
        first = seen.setdefault((name, pin), number)
        if first != number:
            text = Text(f"与 outputs[{first}] 是同一块板的同一路输出", f"is the output of outputs[{first}] too")
            yield ("outputs", number, "output"), text
        board = boards[name]
        if board.get("kind", "tyb") in _NAMED and pin in ("siren", "strobe") and board.get(pin) is None:
            zh, en = f"报警板 {name} 的设置里没有 {pin}", f"the bridge {name} has no {pin} in its settings"
            yield ("outputs", number, "output"), Text(zh, en)
    yield from _standby(values)
    for number, zone in items(values, "zones"):
        if zone.get("silent") is True and isinstance(zone.get("type"), str) and zone["type"] != "panic_24h":
            text = Text("只用于 panic_24h 防区", "is for a panic_24h zone")
            yield ("zones", number, "silent"), text


def _standby(values: Section) -> Iterator[Found]:
    """What stands by stands by for something."""
    outputs = list(items(values, "outputs"))
    at_work = [output.get("kind") for _, output in outputs if output.get("standby") is not True]
    for number, output in outputs:
        kind = output.get("kind")
        if output.get("standby") is True and isinstance(kind, str) and kind not in at_work:
            zh, en = f"没有它要替补的 {kind}", f"there is no {kind} that it stands by for"
            yield ("outputs", number, "standby"), Text(zh, en)
