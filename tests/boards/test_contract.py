"""The same assertions for every kind of board (agent/boards/contract.py)."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.boards.contract import Board, trouble_of
from firmware_bridge.reports import InputEvent, Snapshot
from tests.boards.desk import Taker
from tests.boards.rigs import RIGS, Rig
from tests.fakes.waiting import until

SURE_S = 0.5
"""A press that every kind must see."""


@pytest.fixture(params=sorted(RIGS))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    made = RIGS[request.param](tmp_path)
    yield made
    made.stop()


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
def board(rig: Rig, taker: Taker) -> Iterator[Board]:
    made = rig.board(taker.take)
    made.start()
    until(taker.up_now, 10, "the link is up and the snapshot told")
    yield made
    made.stop()


def keys(events: list[InputEvent]) -> list[tuple[str, int, int]]:
    return [(event.board_uid, event.boot_id, event.event_id) for event in events]


def test_it_begins_with_the_link_and_a_snapshot(rig: Rig, taker: Taker) -> None:
    rig.hold(1, True)
    board = rig.board(taker.take)
    board.start()
    try:
        until(taker.up_now, 10, "the link is up")
        heard = taker.ups()[0]
        assert heard.reason == "heard"
        assert taker.reports.index(heard) < taker.reports.index(taker.snapshots()[0])
        until(lambda: last_state(taker, 1) == "alarm", 10, "the open door is known")
        assert last_state(taker, 0) == "normal"
        status = board.status()
        assert status.up
        assert status.uid == taker.snapshots()[0].board_uid
        assert status.boot_id == taker.snapshots()[0].boot_id
    finally:
        board.stop()


def last_state(taker: Taker, input_no: int) -> str | None:
    """What an input is after all reports so far."""
    state = None
    for report in list(taker.reports):
        match report:
            case Snapshot(states=states):
                state = states.get(input_no, state)
            case InputEvent(input_no=number) if number == input_no:
                state = report.state
    return state


def test_a_press_is_told_once_with_its_time_and_then_its_release(rig: Rig, taker: Taker, board: Board) -> None:
    rig.press(0, SURE_S)
    until(lambda: taker.events(0, "normal"), 10, "press and release")
    pressed, released = taker.events()
    assert (pressed.input_no, pressed.previous, pressed.state) == (0, "normal", "alarm")
    assert (released.input_no, released.previous, released.state) == (0, "alarm", "normal")
    assert (pressed.count, pressed.late) == (1, False)
    assert pressed.received_mono_ns >= pressed.pressed_mono_ns
    assert pressed.pressed_mono_ns < released.pressed_mono_ns
    for event in taker.events():
        board.acknowledge(event.board_uid, event.boot_id, event.event_id)
        board.acknowledge(event.board_uid, event.boot_id, event.event_id)


def test_each_event_has_a_name_of_its_own(rig: Rig, taker: Taker, board: Board) -> None:
    for at in range(1, 4):
        rig.press(0, SURE_S)
        until(lambda: len(taker.events(0, "normal")) == at, 10, "press and release")  # noqa: B023
    assert len(set(keys(taker.events()))) == len(taker.events()) == 6
    board.stop()
    # SerialBoard's boot is the board's, and so are the events it still holds; only acknowledged ones may differ.
    for event in taker.events():
        board.acknowledge(event.board_uid, event.boot_id, event.event_id)


def test_both_inputs_at_once(rig: Rig, taker: Taker, board: Board) -> None:
    rig.hold(0, True)
    rig.hold(1, True)
    until(lambda: taker.events(0, "alarm") and taker.events(1, "alarm"), 10, "both")
    rig.hold(1, False)
    until(lambda: taker.events(1, "normal"), 10, "one is released")
    assert not taker.events(0, "normal")
    assert board.status().up


def test_what_is_pulled_is_down_and_never_normal(rig: Rig, taker: Taker, board: Board) -> None:
    rig.hold(0, True)
    until(lambda: taker.events(0, "alarm"), 10, "the press")
    told = len(taker.reports)
    rig.unplug()
    until(lambda: taker.downs(), 10, "the loss is told")
    assert not board.status().up
    assert [each for each in taker.reports[told:] if isinstance(each, InputEvent | Snapshot)] == []


def test_what_moved_meanwhile_is_told_when_it_is_back(rig: Rig, taker: Taker, board: Board) -> None:
    rig.unplug()
    until(lambda: taker.downs(), 10, "the loss is told")
    rig.hold(0, True)
    rig.plug()
    until(lambda: len(taker.ups()) == 2 and taker.up_now(), 10, "it is back")
    until(lambda: last_state(taker, 0) == "alarm", 10, "what moved is known")
    rig.hold(0, False)
    until(lambda: taker.events(0, "normal"), 10, "and it goes on")
    assert board.status().up


def test_the_siren_sounds_again_after_a_reconnection(rig: Rig, taker: Taker, board: Board) -> None:
    assert not rig.siren()
    board.output(True, False)
    until(rig.siren, 10, "the siren sounds")
    rig.unplug()
    until(lambda: taker.downs(), 10, "the loss is told")
    rig.plug()
    until(lambda: len(taker.ups()) == 2, 10, "it is back")
    until(rig.siren, 10, "the siren sounds")
    board.output(False, False)
    until(lambda: not rig.siren(), 10, "the siren is silent")


def test_a_trial_ends_by_itself_or_is_left_to_who_asked(rig: Rig, taker: Taker, board: Board) -> None:
    board.output(False, False)
    if not board.try_output(True, False, 1):
        assert not rig.siren()
        return
    until(rig.siren, 10, "the siren sounds")
    until(lambda: not rig.siren(), 10, "and ends")
    board.try_output(True, False, 1)
    until(rig.siren, 10, "once more")
    board.output(True, False)
    assert taker.up_now()


def test_it_tells_whether_its_outputs_can_be_trusted(rig: Rig, taker: Taker, board: Board) -> None:
    board.output(True, False)
    until(rig.siren, 10, "the siren sounds")
    until(lambda: not trouble_of(board.status()), 10, "and is known to")
    rig.unplug()
    until(lambda: taker.downs(), 10, "the loss is told")
    assert trouble_of(board.status())
    rig.plug()
    until(lambda: len(taker.ups()) == 2, 10, "it is back")
    until(lambda: not trouble_of(board.status()), 10, "as it shall be")


def test_a_report_that_was_not_taken_is_told_again(
    rig: Rig, taker: Taker, board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    taker.fails = 2
    rig.press(0, SURE_S)
    until(lambda: taker.events(0, "normal"), 15, "press and release")
    assert len(taker.events(0, "alarm")) == 1
    assert "the desk is not well" in caplog.text
    assert board.status().boot_id == taker.events()[0].boot_id


def test_it_stops_and_may_be_stopped_twice(rig: Rig, taker: Taker) -> None:
    before = set(threading.enumerate())
    never_started = rig.board(taker.take)
    never_started.stop()
    board = rig.board(taker.take)
    board.start()
    until(taker.up_now, 10, "the link is up")
    board.stop()
    board.stop()
    board.acknowledge("00", 1, 1)
    board.output(True, True)
    assert taker.downs()[-1] == "stopped"
    left = {thread for thread in set(threading.enumerate()) - before if thread.name.startswith(("board-", "modbus-"))}
    assert not left


def test_hardware_that_is_not_there_yet(rig: Rig, taker: Taker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig.unplug()
    board = rig.board(taker.take)
    board.start()
    try:
        until(lambda: taker.downs() == ["port_missing"], 10, "its absence is told, once")
        rig.plug()
        until(taker.up_now, 10, "it is found when it comes")
    finally:
        board.stop()
