"""PURE. Rules about boards: which keys a kind has, who shares a port, and whether a bus can be polled as wanted."""

from collections.abc import Iterator
from typing import Any, Final

from agent.boards.turns import Wire, needed_ms
from agent.facts import Text
from agent.settings.checks_usb import wrong_searches
from agent.settings.mistakes import Place
from agent.settings.sections import Section, items
from agent.settings.wording import allowed_at, show

Found = tuple[Place, Text]

_NEEDED: Final = {"tyb": (), "modbus": ("port", "unit"), "gpio": ("chip", "lines")}
_OUTPUTS: Final = ("siren", "strobe")
_KEYS: Final = {
    "tyb": {"id", "kind", "port", "usb", "uid"},
    "modbus": {
        "id", "kind", "port", "unit", "inputs", "first_address", "baud", "parity", "poll_ms", "answer_ms", *_OUTPUTS,
    },
    "gpio": {"id", "kind", "chip", "lines", "bias", "active", *_OUTPUTS},
}  # fmt: skip
_SHARED: Final = {"baud": 9600, "parity": "none", "answer_ms": 40}
"""What all modules of one bus have in common, and what it is when nothing stands there."""

_BARE: Final = ("closes_on_alarm", "opens_on_alarm")


def wrong_bridges(values: Section) -> Iterator[Found]:
    """What a board of its kind lacks, does not have, or shares with another that it must not share."""
    for number, bridge in items(values, "bridges"):
        kind = _kind(bridge)
        if kind is None:
            continue
        needed = ("port",) if kind == "tyb" and bridge.get("usb") is None else _NEEDED[kind]
        for key in needed:
            if bridge.get(key) is None:
                place = ("bridges", number, key)
                allowed = allowed_at(place)
                space = " " if allowed.zh[0].isascii() else ""
                yield place, Text(f"缺少此项，应为{space}{allowed.zh}", f"is missing, must be {allowed.en}")
        known = set().union(*_KEYS.values())
        for key in bridge:
            if key in known and key not in _KEYS[kind]:
                yield (
                    ("bridges", number, key),
                    Text(f"kind 为 {kind} 的板没有此项", f"a board of the kind {kind} has no such key"),
                )
    yield from _ports(values)
    yield from wrong_searches(values)
    yield from _lines(values)
    yield from _buses(values)
    yield from _zones(values)


def _kind(bridge: Section) -> str | None:
    kind = bridge.get("kind", "tyb")
    return kind if isinstance(kind, str) and kind in _KEYS else None


def _ports(values: Section) -> Iterator[Found]:
    """Modules of one bus share its port, with a unit each; nobody else shares one."""
    seen: dict[str, tuple[int, str]] = {}
    units: dict[tuple[str, int], int] = {}
    for number, bridge in items(values, "bridges"):
        kind, port, unit = _kind(bridge), bridge.get("port"), bridge.get("unit")
        if not isinstance(port, str) or kind is None or (kind == "tyb" and port == "auto"):
            continue
        first, first_kind = seen.setdefault(port, (number, kind))
        if first != number and (kind, first_kind) != ("modbus", "modbus"):
            text = Text(f"与 bridges[{first}] 同一串口", f"is the port of bridges[{first}] too")
            yield ("bridges", number, "port"), text
        elif type(unit) is int and units.setdefault((port, unit), number) != number:
            other = units[(port, unit)]
            text = Text(f"与 bridges[{other}] 在同一总线上地址相同", f"is the unit of bridges[{other}] on this bus too")
            yield ("bridges", number, "unit"), text


def _lines(values: Section) -> Iterator[Found]:
    """A line is one input or output of one board; so is a coil."""
    seen: dict[tuple[str, int], Place] = {}
    for number, bridge in items(values, "bridges"):
        chip, lines = bridge.get("chip"), bridge.get("lines")
        named: list[tuple[Place, Any]] = []
        if _kind(bridge) == "gpio" and isinstance(chip, str):
            named += (
                [(("bridges", number, "lines", at), line) for at, line in enumerate(lines)]
                if isinstance(lines, list)
                else []
            )
        elif _kind(bridge) == "modbus":
            chip = f"coils of {number}"
        named += [(("bridges", number, key), bridge.get(key)) for key in _OUTPUTS]
        for place, line in named:
            if isinstance(chip, str) and type(line) is int and seen.setdefault((chip, line), place) != place:
                yield place, Text(f"{show(line)} 已另有用处", f"{show(line)} is used for something else too")


def _buses(values: Section) -> Iterator[Found]:
    """One bus speaks in one way, and must come round to every module in time."""
    buses: dict[str, list[tuple[int, Section]]] = {}
    for number, bridge in items(values, "bridges"):
        if _kind(bridge) == "modbus" and isinstance(bridge.get("port"), str):
            buses.setdefault(bridge["port"], []).append((number, bridge))
    for modules in buses.values():
        first_number, first = modules[0]
        for number, bridge in modules[1:]:
            for key, default in _SHARED.items():
                wanted, given = first.get(key, default), bridge.get(key, default)
                if given != wanted:
                    zh = f"同一总线须与 bridges[{first_number}] 相同（{show(wanted)}）（{show(given)}）"
                    en = f"must be as in bridges[{first_number}] on the same bus, {show(wanted)} (got {show(given)})"
                    yield ("bridges", number, key), Text(zh, en)
        yield from _too_slow(modules)


def _too_slow(modules: list[tuple[int, Section]]) -> Iterator[Found]:
    first = modules[0][1]
    baud, answer_ms = (first.get(key, _SHARED[key]) for key in ("baud", "answer_ms"))
    polls = [(bridge.get("poll_ms", 100), number) for number, bridge in modules]
    inputs = [bridge.get("inputs", 8) for _, bridge in modules]
    numbers = [baud, answer_ms, *inputs, *(poll for poll, _ in polls)]
    if any(type(each) is not int for each in numbers) or baud < 1200:
        return
    wire = Wire(baud, "none" if first.get("parity", "none") == "none" else "even", answer_ms)
    need = round(needed_ms(wire, inputs) + 0.5)
    poll, number = min(polls)
    if poll < need:
        zh = f"这条总线查询一遍约需 {need} 毫秒：加大 poll_ms 或 baud，或减少模块（{poll}）"
        en = (
            f"this bus takes about {need} ms to be asked once: raise poll_ms or baud, or use fewer modules (got {poll})"
        )
        yield ("bridges", number, "poll_ms"), Text(zh, en)


def _zones(values: Section) -> Iterator[Found]:
    """A zone is on an input that its board has, and says how a bare contact is wired."""
    boards = {bridge.get("id"): bridge for _, bridge in items(values, "bridges") if isinstance(bridge.get("id"), str)}
    for number, zone in items(values, "zones"):
        name = zone.get("bridge")
        bridge = boards.get(name) if isinstance(name, str) else None
        kind = _kind(bridge) if bridge is not None else None
        if bridge is None or kind not in ("modbus", "gpio"):
            continue
        lines = bridge.get("lines")
        count = bridge.get("inputs", 8) if kind == "modbus" else len(lines) if isinstance(lines, list) else None
        given = zone.get("input")
        if type(count) is int and type(given) is int and given >= count:
            zh, en = (
                f"这块板只有 {count} 路输入，从 0 数（{given}）",
                f"this board has {count} inputs, from 0 (got {given})",
            )
            yield ("zones", number, "input"), Text(zh, en)
        if zone.get("line", "end_of_line") not in _BARE:
            zh = "这块板查不出断线，请写 closes_on_alarm 或 opens_on_alarm"
            yield (
                ("zones", number, "line"),
                Text(zh, "this board cannot tell a cut line: closes_on_alarm or opens_on_alarm"),
            )
