"""Databases of earlier versions, as they were written by them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from agent.delivery.schema import MIGRATIONS
from agent.safety.arming import Arm
from tests.fakes.office import Office, office
from tests.test_acts import SITE, closed

BEFORE_AREAS = Path(__file__).with_name("alarm_1.sql")
"""A press that was acknowledged and an open door, dumped from the database of the version before areas."""


def test_a_database_from_before_areas_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript(BEFORE_AREAS.read_text(encoding="utf-8"))
        assert old.execute("PRAGMA user_version").fetchone() == (1,)
    with office(path, site=SITE) as made:
        assert [(each.kind, each.acknowledged_by) for each in made.incidents()] == [("panic", "王芳")]
        assert made.police.alerts() == [], "nothing of it is told again"
        assert {body["type"] for body in made.cloud.alerts()} == {"cn.tyj.alarm.panic.v1", "cn.tyj.alarm.door.v1"}
        _area_phase_is(made, "disarmed")
        closed(made)
        made.act(Arm("李娜"))
    with office(path, site=SITE) as again:
        _area_phase_is(again, "armed")
    with closing(sqlite3.connect(path)) as new:
        assert new.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_an_area_that_was_armed_before_the_reason_was_kept_stays_armed(tmp_path: Path) -> None:
    path = tmp_path / "alarm.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript(BEFORE_AREAS.read_text(encoding="utf-8"))
        old.executescript(MIGRATIONS[1])
        old.execute("INSERT INTO areas VALUES ('A1', 'armed', 'calendar', 1, '', '[]', '[]', 7)")
        old.execute("PRAGMA user_version = 2")
    with office(path, site=SITE) as made:
        _area_phase_is(made, "armed")
        assert not made.desk.area_list()[0]["blind"], "who knows why it was armed"


def _area_phase_is(made: Office, phase: str) -> None:
    assert [area["phase"] for area in made.desk.area_list()] == [phase]
