"""Brokers that refuse, die or freeze: nothing is lost, and nothing is twice for a consumer that keys on the id."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.delivery.payload import input_alert_id
from tests.fakes.broker import LoopbackBroker
from tests.fakes.panel import Panel
from tests.fakes.waiting import until

PROGRAMS = [pytest.param("mosquitto", marks=pytest.mark.needs_debian("mosquitto")), "iotcore"]


@pytest.fixture(params=PROGRAMS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoopbackBroker]:
    broker = LoopbackBroker(tmp_path / "broker", request.param)
    with broker:
        yield broker


@pytest.fixture
def panel(tmp_path: Path, broker: LoopbackBroker) -> Iterator[Panel]:
    with Panel(tmp_path / "panel", {"police": broker}) as panel:
        yield panel


def _all_arrived(panel: Panel) -> bool:
    expected = {input_alert_id(each["board_uid"], each["boot_id"], each["event_id"]) for each in panel.made()}
    return bool(expected) and {alert["id"] for alert in panel.taken("police", "panic", "triggered")} == expected


def test_press_to_receipt(panel: Panel) -> None:
    panel.start()
    panel.board.press(hold_s=0.1)
    (press,) = until(lambda: panel.taken("police", "panic", "triggered"), 5, "the press arrives")
    assert press["body"]["source"] == "/tyj/F0012/edge-0001"
    until(lambda: panel.status()["platforms"][0]["receipted"] >= 2, 5, "press and release are receipted")
    event = next(each for each in panel.ask("events", limit=10)["events"] if each["id"] == press["id"])
    assert event["delivery"]["police"]["case_no"].startswith("POLICE-")
    assert event["delivery"]["police"]["state"] == "receipted"
    assert event["pressed_ns"] <= event["delivery"]["police"]["published_ns"]
    assert panel.board.status()["uncommitted"] == 0


def test_broker_killed_during_presses_and_started_again(panel: Panel, broker: LoopbackBroker) -> None:
    panel.start()
    for round_no in range(3):
        panel.board.press(hold_s=0.06)
        if round_no == 1:
            until(lambda: panel.taken("police", "panic", "triggered"), 5, "the press arrives")
        broker.kill()
        panel.board.press(hold_s=0.06)
        until(lambda: panel.board.status()["settled"][0] == "normal", 5, "the button is let go")
        until(lambda: not panel.status()["platforms"][0]["connected"], 5, "the loss is noticed")
        broker.start()
        until(lambda: panel.status()["platforms"][0]["connected"], 5, "connected again")
    until(lambda: _all_arrived(panel), 20, "every press arrives")
    until(lambda: panel.status()["platforms"][0]["waiting"] == 0, 30, "everything is receipted")


def test_broker_that_is_not_there_at_first(panel: Panel, broker: LoopbackBroker) -> None:
    broker.kill()
    panel.start(wait=False)
    until(lambda: panel.status().get("bridges", [{"up": False}])[0]["up"], 10, "the board is up")
    panel.board.press(hold_s=0.06)
    until(lambda: panel.board.status()["settled"][0] == "normal", 5, "the button is let go")
    found = until(lambda: panel.status()["conditions"], 15, "the uplink is a fault")
    assert found[0]["kind"] == "uplink_down"
    broker.start()
    until(lambda: _all_arrived(panel), 10, "the press arrives")
    (press,) = panel.taken("police", "panic", "triggered")
    assert press["body"]["historical"] is True
    until(lambda: panel.taken("police", "uplink_down", "restored"), 5, "the restore is told")
    order = [alert["type"] for alert in panel.taken("police")]
    assert order[0] == "cn.tyj.alarm.panic.v1", "the most urgent first"


@pytest.mark.needs_debian("mosquitto")
def test_frozen_broker_is_left_for_the_second_one(tmp_path: Path) -> None:
    with LoopbackBroker(tmp_path / "a") as first, LoopbackBroker(tmp_path / "b") as second:
        panel = Panel(tmp_path / "panel", {"police": second})
        text = panel.settings_file.read_text(encoding="utf-8")
        panel.settings_file.write_text(
            text.replace(f'["{second.url}"]', f'["{first.url}", "{second.url}"]'), encoding="utf-8"
        )
        with panel:
            panel.start()
            assert panel.status()["platforms"][0]["broker"] == first.url
            first.freeze()
            panel.board.press(hold_s=0.06)
            until(lambda: _all_arrived(panel), 25, "the press arrives through the second broker")
            assert panel.status()["platforms"][0]["broker"] == second.url
            first.thaw()


def test_a_port_that_talks_nonsense_is_no_broker(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nonsense, LoopbackBroker(tmp_path / "b", "iotcore") as broker:
        panel = Panel(tmp_path / "panel", {"police": broker})
        url = f"mqtt://127.0.0.1:{nonsense.getsockname()[1]}"
        text = panel.settings_file.read_text(encoding="utf-8")
        panel.settings_file.write_text(
            text.replace(f'["{broker.url}"]', f'["{url}", "{broker.url}"]'), encoding="utf-8"
        )
        with panel:
            panel.start()
            panel.board.press(hold_s=0.06)
            until(lambda: _all_arrived(panel), 10, "the press arrives")
