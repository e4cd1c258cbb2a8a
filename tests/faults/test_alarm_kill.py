"""kill -9 of the alarm process at any moment: every press reaches the consumer, once by its id."""

import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.delivery.payload import input_alert_id
from tests.fakes.broker import LoopbackBroker
from tests.fakes.panel import Panel
from tests.fakes.waiting import until

pytestmark = pytest.mark.needs_debian("mosquitto")


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[Panel]:
    with LoopbackBroker(tmp_path / "broker") as broker, Panel(tmp_path / "panel", {"police": broker}) as panel:
        yield panel


def _ids_of_presses(panel: Panel) -> list[str]:
    return [input_alert_id(each["board_uid"], each["boot_id"], each["event_id"]) for each in panel.made()]


def _press(panel: Panel) -> None:
    """Press until the board has made an event of it: with both processors busy, 60 ms may pass unseen."""
    before = len(panel.made())
    for _ in range(20):
        panel.board.press(hold_s=0.06)
        for _ in range(25):
            time.sleep(0.02)
            if len(panel.made()) > before:
                return
    raise AssertionError("the board sees no press")


def test_killed_between_publish_and_commit(panel: Panel) -> None:
    panel.start()
    with closing(sqlite3.connect(panel.folder / "data" / "alarm.db", isolation_level=None)) as held:
        held.execute("BEGIN IMMEDIATE")  # the store cannot commit
        panel.board.press()
        until(lambda: panel.taken("police", "panic", "triggered"), 5, "published without a commit")
        assert panel.board.status()["uncommitted"] > 0, "acknowledged before the commit"
        panel.end(signal.SIGKILL)
        assert held.execute("SELECT count(*) FROM events").fetchone() == (0,)
        held.execute("ROLLBACK")
    panel.start()
    until(lambda: panel.board.status()["uncommitted"] == 0, 10, "the board is acknowledged")
    until(lambda: panel.taken("police", "panic", "restored"), 5, "the release arrives")
    (press,) = panel.taken("police", "panic", "triggered")
    assert press["id"] == _ids_of_presses(panel)[0]
    assert press["times"] >= 2, "the repeat after the crash went out under the same id"
    (incident,) = panel.ask("incidents", open_only=True)["incidents"]
    assert (incident["latched"], incident["count"]) == (True, 1)
    assert press["body"]["data"]["incident_id"] == incident["id"]


def test_killed_at_random_moments(panel: Panel) -> None:
    moments = random.Random(3)
    panel.start()
    for _ in range(12):
        for _ in range(2):
            _press(panel)
            time.sleep(moments.random() * 0.1)
        time.sleep(moments.random() * 0.05)
        panel.end(signal.SIGKILL)
        if moments.random() < 0.4:
            _press(panel)
        panel.start(wait=False)
        time.sleep(moments.random() * 0.9)
    until(panel.ready, 20, "the panel is back")
    until(lambda: panel.board.status()["uncommitted"] == 0, 20, "every event of the board is acknowledged")
    expected = _ids_of_presses(panel)
    assert len(expected) > 20
    until(lambda: {alert["id"] for alert in panel.taken("police")} >= set(expected), 20, "every press arrives")
    got = [alert["id"] for alert in panel.taken("police", "panic", "triggered")]
    assert sorted(got) == sorted(expected), "exactly once by id"
    numbers = [alert["seq"] for alert in panel.taken("police")]
    assert len(set(numbers)) == len(numbers), "a sequence number was used twice"
    until(lambda: all(each["waiting"] == 0 for each in panel.status()["platforms"]), 20, "everything is receipted")


def test_restart_keeps_the_latch_until_a_person_resets_it(panel: Panel) -> None:
    panel.start()
    panel.board.press(hold_s=0.1)
    until(lambda: panel.taken("police", "panic", "restored"), 5, "press and release")
    panel.end(signal.SIGKILL)
    panel.start()
    (incident,) = panel.ask("incidents", open_only=True)["incidents"]
    assert incident["latched"]
    assert incident["state"] == "restored"
    assert [zone["latched"] for zone in panel.status()["zones"]] == [True, False]
    after = panel.ask("reset", incident_id=incident["id"][:8], who="王芳", why="误报")
    assert (after["state"], after["reset_by"], after["reset_why"]) == ("closed", "王芳", "误报")
    assert panel.status()["incidents_open"] == 0
    panel.end()
    panel.start()
    assert panel.ask("incidents", open_only=True)["incidents"] == []
    assert panel.ask("incidents", open_only=False)["incidents"][0]["reset_by"] == "王芳"
