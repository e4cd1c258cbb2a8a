"""The way of a press to the platforms, and when a button is due for its test."""

from dataclasses import replace

import pytest

from agent.delivery.outbox import State
from agent.facts import ClockQuality, Stamp
from agent.safety.button_path import RECEIPT_WITHIN_S, Leg, Way, moved, path_values, verdict
from agent.safety.due_tests import FIRST_LOOK_S, due_tests
from agent.safety.zones import Zone, ZoneType

MS = 1_000_000
S = 1_000_000_000
DAY_NS = 86_400 * S
WAY = Way(
    "e", "Z01", "一键报警", "button", "王芳", 1, 1000 * MS, 1035 * MS, 1037 * MS, {"police": Leg(), "cloud": Leg()}
)  # fmt: skip
BUTTON = Zone("Z01", "一键报警", ZoneType.PANIC_24H, "B1", 0)


def test_a_receipt_may_overtake_the_brokers_acknowledgement() -> None:
    way = moved(WAY, "police", str(State.RECEIPTED), True, "case-1", 1080 * MS)
    assert way.legs["police"] == Leg(1080 * MS, 1080 * MS, "case-1", done=True)
    assert moved(way, "police", str(State.PUBLISHED), False, "", 1090 * MS) == way, "what is done stays"
    assert moved(way, "another", str(State.RECEIPTED), True, "", 1090 * MS) == way


def test_it_went_through_when_every_platform_has_it() -> None:
    way = moved(WAY, "police", str(State.PUBLISHED), False, "", 1050 * MS)
    way = moved(way, "police", str(State.RECEIPTED), True, "case-1", 1080 * MS)
    assert verdict(way, 1081 * MS) is None
    way = moved(way, "cloud", str(State.PUBLISHED), True, "", 1060 * MS)  # one that sends no receipts
    assert verdict(way, 1081 * MS) == ""
    values = path_values(way)
    assert (values["board_ms"], values["published_ms"]) == (35.0, 37.0)
    assert values["platforms"]["police"]["acknowledged_ms"] == 50.0
    assert values["platforms"]["police"]["receipted_ms"] == 80.0
    assert values["platforms"]["cloud"]["receipted_ms"] is None


@pytest.mark.parametrize(("state", "why"), [(State.FAILED, "rejected"), (State.PUBLISHED, "no_receipt")])
def test_it_did_not(state: State, why: str) -> None:
    way = moved(WAY, "police", str(State.RECEIPTED), True, "", 1080 * MS)
    way = moved(way, "cloud", str(state), state is State.FAILED, "", 1090 * MS)
    assert verdict(way, way.published_ns + round(RECEIPT_WITHIN_S * S) + 1) == why
    assert verdict(replace(WAY, legs={}), 0) == "no_platform"


@pytest.mark.parametrize(
    ("tested_days_ago", "up_s", "quality", "due"),
    [
        (None, FIRST_LOOK_S, ClockQuality.NTP, True),
        (None, FIRST_LOOK_S - 1, ClockQuality.NTP, None),
        (None, 1e6, ClockQuality.UNKNOWN, None),
        (6.9, 0, ClockQuality.UNKNOWN, False),
        (7.1, 1e6, ClockQuality.RTC, True),
        (-1, 1e6, ClockQuality.NTP, True),
    ],
)
def test_when_a_test_is_due(
    tested_days_ago: float | None, up_s: float, quality: ClockQuality, due: bool | None
) -> None:
    now = Stamp(20_000 * DAY_NS, round((5 + up_s) * S), quality)
    tested = {} if tested_days_ago is None else {"Z01": now.wall_ns - round(tested_days_ago * DAY_NS)}
    door = replace(BUTTON, id="Z02", type=ZoneType.PERIMETER)
    assert list(due_tests([BUTTON, door], tested, 7, now, 5 * S)) == [(BUTTON, due)]
