"""Commands that arm: `arm`, `disarm`, `bypass`, `unbypass`. All raise wire.WireError and wire.Refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from agent.access.area_view import left_out, phase_words
from agent.access.console import Screen
from agent.access.watching import OK, who
from agent.wire import call

ANSWER_S: Final = 10.0
"""What a person does is answered once it is stored, and a disk may be slow."""


def arm(
    screen: Screen, runtime: Path, area: str, name: str, bypass: Sequence[str], *, force: bool, as_json: bool
) -> int:
    """Arm an area; refused while a zone of it is not closed and not left out."""
    asked = {"area_id": area, "bypass": list(bypass), "force": force, "who": _signed(name)}
    return _acted(screen, runtime, "arm", asked, as_json)


def disarm(screen: Screen, runtime: Path, area: str, name: str, duress: bool, as_json: bool) -> int:
    """Disarm an area. Under duress nothing here looks different."""
    return _acted(screen, runtime, "disarm", {"area_id": area, "duress": duress, "who": _signed(name)}, as_json)


def bypass(screen: Screen, runtime: Path, zone: str, name: str, why: str, as_json: bool) -> int:
    """Leave a zone out for one armed period."""
    return _acted(screen, runtime, "bypass", {"zone_id": zone, "why": why, "who": _signed(name)}, as_json)


def unbypass(screen: Screen, runtime: Path, zone: str, as_json: bool) -> int:
    """Leave it out no longer."""
    return _acted(screen, runtime, "unbypass", {"zone_id": zone, "who": who()}, as_json)


def _signed(name: str) -> str:
    """Who says that he does it, and who is logged in."""
    return f"{name} ({who()})"


def _acted(screen: Screen, runtime: Path, verb: str, asked: dict[str, Any], as_json: bool) -> int:
    area = call(runtime / "alarm.sock", verb, asked, timeout_s=ANSWER_S)
    if as_json:
        screen.json(area)
        return OK
    without = left_out(area)
    words = "  ".join(each for each in (screen.say(phase_words(area)), screen.say(without)) if each)
    screen.line(f"{area.get('id')}  {area.get('name', '')}  {words}")
    return OK
