"""A disk that takes nothing: presses are still published, boards are not acknowledged, and a fault is told."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.broker import LoopbackBroker
from tests.fakes.panel import Panel
from tests.fakes.waiting import until

pytestmark = pytest.mark.needs_debian("mosquitto")

_UNLIMITED = resource.RLIM_INFINITY


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[Panel]:
    with LoopbackBroker(tmp_path / "broker") as broker, Panel(tmp_path / "panel", {"police": broker}) as panel:
        yield panel


def _limit_files(panel: Panel, most_bytes: int) -> None:
    """From now on every write beyond `most_bytes` of a file fails, as on a full disk."""
    resource.prlimit(panel.pid, resource.RLIMIT_FSIZE, (most_bytes, _UNLIMITED))


def _arrived(panel: Panel, count: int) -> None:
    until(lambda: len(panel.taken("police", "panic", "triggered")) == count, 5, f"press {count} arrives")


def _conditions(panel: Panel) -> set[str]:
    return {each["kind"] for each in panel.status().get("conditions", [])}


def test_full_disk_does_not_silence_a_button(panel: Panel) -> None:
    panel.start()
    _limit_files(panel, 1)
    for count in range(1, 4):
        panel.board.press(hold_s=0.1)
        _arrived(panel, count)
        until(lambda: panel.board.status()["inputs"][0] == "normal", 5, "the button is let go")
        until(lambda: panel.board.status()["settled"][0] == "normal", 5, "the board has seen it")
    assert panel.board.status()["uncommitted"] > 0, "acknowledged without a commit"
    until(lambda: "store_failing" in _conditions(panel), 10, "the fault is raised")
    until(lambda: panel.taken("police", "store_failing", "triggered"), 5, "the platform is told")
    _limit_files(panel, _UNLIMITED)
    until(lambda: panel.board.status()["uncommitted"] == 0, 20, "the board is acknowledged after the commit")
    until(lambda: panel.taken("police", "store_failing", "restored"), 10, "the restore is told")
    assert [alert["times"] for alert in panel.taken("police", "panic", "triggered")] == [1, 1, 1], "twins were sent"
    (incident,) = [each for each in panel.ask("incidents")["incidents"] if each["kind"] == "panic"]
    assert incident["count"] == 3


def test_starts_without_a_database_and_takes_it_over_later(panel: Panel) -> None:
    data = panel.folder / "data"
    (data / "alarm.db").mkdir()  # nothing can be opened there
    panel.start(wait=False)
    until(panel.ready, 30, "buttons work without a database")
    panel.board.press(hold_s=0.1)
    (press,) = until(lambda: panel.taken("police", "panic", "triggered"), 5, "the press arrives")
    assert press["seq"] is None, "no number was reserved"
    assert panel.board.status()["uncommitted"] > 0
    (data / "alarm.db").rmdir()
    until(lambda: panel.board.status()["uncommitted"] == 0, 20, "the board is acknowledged after the commit")
    until(lambda: panel.status()["store"]["ok"], 5, "the store works")
    assert panel.ask("incidents")["incidents"][0]["kind"] == "panic"


def test_damaged_database_is_set_aside(panel: Panel) -> None:
    panel.start()
    panel.board.press(hold_s=0.1)
    until(lambda: panel.taken("police", "panic", "restored"), 5, "press and release")
    numbers = [alert["seq"] for alert in panel.taken("police")]
    panel.end()
    database = panel.folder / "data" / "alarm.db"
    database.write_bytes(b"this is no database" * 1000)
    panel.start()
    panel.board.press(hold_s=0.1)
    until(lambda: len(panel.taken("police", "panic", "restored")) == 2, 5, "the second press and its release")
    assert min(alert["seq"] for alert in panel.taken("police")[len(numbers) :]) > max(numbers)
    assert list(database.parent.glob("alarm.db.damaged-*"))
