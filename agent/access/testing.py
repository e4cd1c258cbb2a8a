"""Commands that drill and test: `drill`, `test walk`, `test button`, `test output`, `test list`. All raise
wire.WireError and wire.Refused."""

import csv
import threading
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

from agent.access import testing_view
from agent.access.console import GREEN, RED, Screen, clean
from agent.access.control import status_of
from agent.access.outputs_view import output_words
from agent.access.times import shown
from agent.access.watching import OK, WRONG, who, zone
from agent.facts import Text
from agent.wire import Refused, WireError, call

ANSWER_S: Final = 10.0
"""What a person does is answered once it is stored, and a disk may be slow."""

LOOK_EVERY_S: Final = 0.3

Values = dict[str, Any]


def drill(screen: Screen, runtime: Path, target: str, name: str, minutes: float, as_json: bool) -> int:
    """Begin a drill."""
    begun = _ask(runtime, "drill", {"target": target, "minutes": minutes, "who": _signed(name)})
    if as_json:
        screen.json(begun)
    else:
        screen.line(screen.say(testing_view.drill_words(begun)))
    return OK


def stop_drill(screen: Screen, runtime: Path, name: str, as_json: bool) -> int:
    """End the drill."""
    ended = _ask(runtime, "drill_stop", {"who": _signed(name)})
    if as_json:
        screen.json(ended)
    else:
        screen.line(screen.t("演练结束", "the drill is over"))
    return OK


def output(screen: Screen, runtime: Path, output_id: str, seconds: int, name: str, as_json: bool) -> int:
    """Have one output on for a few seconds."""
    begun = _ask(runtime, "test_output", {"output_id": output_id, "seconds": seconds, "who": _signed(name)})
    if as_json:
        screen.json(begun)
    else:
        screen.line(f"{begun.get('id')}  {clean(begun.get('name', ''))}  {screen.say(output_words(begun))}")
    return OK


def walk(screen: Screen, runtime: Path, name: str, minutes: float, as_json: bool) -> int:
    """A walk test: each zone as it is activated, until all were or Ctrl-C; 1 when one was not, or the walk was ended
    by something else."""
    begun = _ask(runtime, "drill", {"target": "all", "minutes": minutes, "who": _signed(name), "walk": True})
    names = {each["id"]: each["name"] for each in (status_of(runtime, "alarm") or {}).get("zones", ())}
    where, told, cut_short = zone(runtime), dict[str, int](), False
    if not as_json:
        screen.line(screen.say(testing_view.drill_words(begun)))
        screen.line(screen.t("逐个触发，Ctrl-C 结束", "activate each of them; Ctrl-C ends it"))
        screen.flush()
    try:
        while not set(begun["zones"]) <= set(told):
            found = _walked(runtime)
            if found is None:
                cut_short = True
                break
            for zone_id, at_ns in found.items():
                if zone_id not in told:
                    told[zone_id] = at_ns
                    _chirp(screen, zone_id, names.get(zone_id, ""), at_ns, where, as_json)
            _pause()
        _let_go(screen, runtime, name, as_json)
    except KeyboardInterrupt:
        _end_quietly(screen, runtime, name)
    except WireError:
        screen.problem(_GOES_ON)
        raise
    missing = [zone_id for zone_id in begun["zones"] if zone_id not in told]
    if as_json:
        screen.json({"seen": told, "missing": missing, "cut_short": cut_short})
    else:
        if cut_short:
            screen.line(
                screen.t("步行测试已被结束，见 yunjian events", "the walk test was ended, see yunjian events"), RED
            )
        listed = ", ".join(f"{each} {clean(names.get(each, ''))}" for each in missing)
        if missing:
            screen.line(screen.t(f"没有触发：{listed}", f"not activated: {listed}"), RED)
        else:
            screen.line(screen.t("全部触发过", "all were activated"), GREEN)
    return WRONG if missing or cut_short else OK


def button(screen: Screen, runtime: Path, zone_id: str, name: str, wait_s: float, as_json: bool) -> int:
    """Wait for a press and tell its whole way; 1 when it did not reach every platform, or nothing was pressed."""
    begun = _ask(runtime, "test_button", {"zone_id": zone_id, "wait_s": wait_s, "who": _signed(name)})
    if not as_json:
        listed = ", ".join(begun["zones"])
        screen.line(screen.t(f"请在 {wait_s:.0f} 秒内按一下：{listed}", f"press it within {wait_s:.0f} s: {listed}"))
        screen.flush()
    told = ""
    try:
        while True:
            found = call(runtime / "alarm.sock", "test_state", {"id": begun["id"]}, timeout_s=ANSWER_S)
            state = str(found.get("state"))
            if not as_json and state in ("pressed", "release") and told != state:
                told = state
                screen.line(screen.say(testing_view.STATES[state]))
                screen.flush()
            if state in ("done", "unknown"):
                break
            _pause()
    except KeyboardInterrupt:
        _end_quietly(screen, runtime, name)
        raise
    result: Values = found.get("result") or {"passed": False, "why": "stopped", "path": None}
    if as_json:
        screen.json(result)
    else:
        for line in testing_view.result_lines(result):
            screen.line(screen.say(line))
        good = bool(result.get("passed"))
        screen.line(screen.say(testing_view.verdict_words(result)), GREEN if good else RED)
    return OK if result.get("passed") else WRONG


def tests(screen: Screen, runtime: Path, from_ns: int, as_csv: bool, as_json: bool) -> int:
    """The register of tests."""
    found = list(_register(runtime, from_ns))
    if as_json:
        for each in found:
            screen.json(each)
        return OK
    where = zone(runtime)
    if as_csv:
        screen.out.write("\ufeff")  # spreadsheet programs take a file without it for one in another encoding
        writer = csv.writer(screen.out)
        writer.writerow([screen.say(each) for each in testing_view.COLUMNS])
        writer.writerows([screen.say(each) for each in testing_view.row(test, where)] for test in found)
        return OK
    if not found:
        screen.line(screen.t("没有测试记录", "no tests"))
        return OK
    rows = [tuple(screen.say(each) for each in testing_view.row(test, where)) for test in found]
    screen.table(rows, colours=[GREEN if test.get("passed") else RED for test in found])
    return OK


def _register(runtime: Path, from_ns: int) -> Iterator[Values]:
    """Oldest first, as far back as was asked."""
    pages: list[list[Values]] = []
    before: int | None = None
    while True:
        asked = {"from_ns": from_ns, "before": before}
        answer = call(runtime / "alarm.sock", "tests", asked, timeout_s=ANSWER_S)
        pages.append(answer["tests"])
        before = answer.get("next")
        if before is None:
            break
    for page in reversed(pages):
        yield from page


_GOES_ON: Final = Text("演练没有结束，到时自行结束", "the drill goes on, and ends by itself when its time is over")


def _let_go(screen: Screen, runtime: Path, name: str, as_json: bool) -> None:
    """End the walk once nothing is in alarm any more: what still is would be real."""
    told = False
    while True:
        try:
            _ask(runtime, "drill_stop", {"who": _signed(name)})
        except Refused as refusal:
            if refusal.code != "still_in_alarm":
                return  # it is over already
            if not told and not as_json:
                screen.line(screen.say(refusal.text))
                screen.flush()
            told = True
            _pause()
        else:
            return


def _end_quietly(screen: Screen, runtime: Path, name: str) -> None:
    """End it if that is possible; say so where it goes on."""
    try:
        _ask(runtime, "drill_stop", {"who": _signed(name)})
    except Refused as refusal:
        if refusal.code == "still_in_alarm":
            screen.problem(Text(f"{refusal.text.zh}；{_GOES_ON.zh}", f"{refusal.text.en}; {_GOES_ON.en}"))
    except WireError:
        screen.problem(_GOES_ON)


def _walked(runtime: Path) -> dict[str, int] | None:
    found = call(runtime / "alarm.sock", "drill_state", {}, timeout_s=ANSWER_S).get("drill")
    return found["seen"] if isinstance(found, dict) and found.get("kind") == "walk" else None


def _chirp(screen: Screen, zone_id: str, name: str, at_ns: int, where: tzinfo, as_json: bool) -> None:
    if as_json:
        screen.json({"zone_id": zone_id, "at_ns": at_ns})
    else:
        bell = "\a" if screen.is_terminal else ""
        screen.line(f"{bell}{shown(at_ns, where)}  {zone_id}  {clean(name)}", GREEN)
    screen.flush()


def _ask(runtime: Path, verb: str, asked: Values) -> Values:
    return call(runtime / "alarm.sock", verb, asked, timeout_s=ANSWER_S)


def _signed(name: str) -> str:
    """Who says that he does it, and who is logged in."""
    return f"{name} ({who()})"


def _pause() -> None:
    threading.Event().wait(LOOK_EVERY_S)
