"""Mains and battery at the desk: told as what they are, restored, and the end in order."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.facts import InputState
from agent.inbox import Site, SnapshotReport
from agent.safety.power import BACK_AFTER_S, LOST_AFTER_S
from agent.safety.zones import Zone, ZoneType
from tests.fakes.office import Office, office

SITE = Site(
    (
        Zone("Z01", "一键报警", ZoneType.PANIC_24H, "B1", 0),
        Zone("Z02", "市电", ZoneType.ENVIRONMENT, "B1", 1, kind="mains"),
        Zone("Z03", "电池", ZoneType.ENVIRONMENT, "B1", 2, kind="battery"),
    ),
    {"zone/Z02": "市电", "zone/Z03": "电池"}, (), ("B1",), shutdown_after_battery_low_s=60.0,
)  # fmt: skip
ALARM, NORMAL = InputState.ALARM, InputState.NORMAL
MAINS, BATTERY = 1, 2


def at_rest(made: Office) -> None:
    made.desk.post(SnapshotReport("B1", dict.fromkeys(range(3), NORMAL), made.clock.stamp()))
    made.turn(2)


def running_empty(made: Office) -> None:
    """The mains are lost, and the battery is low for almost as long as it takes."""
    made.change(1, ALARM, MAINS)
    made.change(2, ALARM, BATTERY)
    made.turn()
    made.turn(LOST_AFTER_S)
    made.turn(59)


def test_told_as_what_it_is_and_restored(tmp_path: Path) -> None:
    with office(tmp_path / "alarm.db", site=SITE) as made:
        at_rest(made)
        made.change(1, ALARM, MAINS)
        made.turn()
        made.turn(LOST_AFTER_S)
        (alert,) = made.police.alerts("mains_lost")
        assert (alert["type"], alert["subject"], alert["priority"]) == ("cn.tyj.fault.mains_lost.v1", "zone/Z02", 2)
        assert made.police.alerts("environment") == []
        assert [each.kind for each in made.incidents()] == ["mains_lost"]
        made.change(2, NORMAL, MAINS)
        made.turn()
        made.turn(BACK_AFTER_S)
        assert [body["data"]["state"] for body in made.police.alerts("mains_lost")] == ["triggered", "restored"]
        assert made.incidents() == []


def test_still_lost_after_a_restart_and_told_once(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with office(path, site=SITE) as first:
        at_rest(first)
        first.change(1, ALARM, MAINS)
        first.turn()
        first.turn(LOST_AFTER_S)
    with office(path, site=SITE, clock=first.clock) as second:
        for _ in range(40):
            second.turn(1)
        assert [each.kind for each in second.incidents() if each.kind == "mains_lost"] == ["mains_lost"]
        assert second.police.alerts("mains_lost") == []
        second.desk.post(SnapshotReport("B1", {0: NORMAL, 1: ALARM, 2: NORMAL}, second.clock.stamp()))
        for _ in range(40):
            second.turn(1)
        assert second.police.alerts("mains_lost") == []


def test_the_platforms_have_it_before_the_machine_is_asked(tmp_path: Path) -> None:
    with office(tmp_path / "alarm.db", site=SITE) as made:
        at_rest(made)
        made.cloud.receipts = False
        running_empty(made)
        assert made.police.alerts("shutting_down") == []
        made.turn(1)
        assert [len(route.alerts("shutting_down")) for route in (made.police, made.cloud)] == [1, 1]
        made.turn(1)
        assert made.shut_downs == [], "a platform has not receipted it"
        for body in made.cloud.alerts():
            made.cloud.receipt(body["id"])
        made.settle()
        made.turn(1)
        assert len(made.shut_downs) == 1


def test_a_platform_that_is_not_reached_is_not_waited_for_and_hears_it_later(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with office(path, site=SITE) as made:
        at_rest(made)
        made.cloud.lose()
        running_empty(made)
        made.turn(1)
        made.turn(1)
        assert len(made.shut_downs) == 1
    with office(path, site=SITE, clock=made.clock) as again:
        at_rest(again)
        states = [(body["historical"], body["data"]["state"]) for body in again.cloud.alerts("shutting_down")]
        assert states == [(True, "triggered"), (False, "restored")]


@pytest.mark.parametrize("after_s", [None, 3600.0])
def test_off_by_default_and_not_before_its_time(tmp_path: Path, after_s: float | None) -> None:
    with office(tmp_path / "alarm.db", site=replace(SITE, shutdown_after_battery_low_s=after_s)) as made:
        at_rest(made)
        running_empty(made)
        for _ in range(20):
            made.turn(10)
        assert made.shut_downs == []
        assert made.police.alerts("shutting_down") == []
        assert len(made.police.alerts("battery_low", "triggered")) == 1
