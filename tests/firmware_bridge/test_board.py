"""What the board does that no host can see from outside: answers, what it tells again, its own lamps."""

import pytest

from firmware_bridge import eeprom
from firmware_bridge import messages as say
from firmware_bridge.board import ERRORS_MAX, Board, default_config
from firmware_bridge.frame import Deframer, Frame, Kind
from firmware_bridge.messages import InputKind, LineState, ResetCause
from tests.firmware_bridge.world import ALARM, MS, NORMAL, UID

INPUTS = [default_config(0, InputKind.PANIC), default_config(1, InputKind.CONTACT)]


def _board(image: bytes = eeprom.blank(UID), cause: ResetCause = ResetCause.POWER_ON) -> Board:
    return Board(image, INPUTS, cause)


def _said(board: Board, *frames: Frame, now_ms: int = 0) -> list[Frame]:
    for frame in frames:
        board.receive(frame.to_bytes(), now_ms * MS)
    return Deframer().feed(board.to_send())


def _reset(session: int = 1) -> Frame:
    return Frame(Kind.RESET, session, 0, 0, b"\x01")


def test_what_is_not_understood_is_answered_when_it_is_numbered_and_only_then() -> None:
    board = _board()
    _said(board, _reset())
    assert _said(board, Frame(Kind.HELLO, 1, 0, 0, b"echo")) == [], "a line that echoes must not make the board talk"
    kinds = [frame.kind for frame in _said(board, Frame(Kind.HELLO, 1, 0, 0, b"echo", numbered=True))]
    assert kinds == [Kind.ACK, Kind.ERROR]


def test_answers_do_not_pile_up_and_do_not_outlive_their_session() -> None:
    board = _board()
    _said(board, _reset())
    for number in range(20):
        _said(board, Frame(Kind.GET, 1, number, 0, b"\x09", numbered=True))
    answers = []
    for number in range(1, 20):
        answers += [frame.kind for frame in _said(board, Frame(Kind.HEARTBEAT, 1, 20, number))]
    assert answers == [Kind.ERROR] * ERRORS_MAX, "one more is under way"
    for number in range(3):
        _said(board, Frame(Kind.GET, 1, 20 + number, 5, b"\x09", numbered=True))
    assert [frame.kind for frame in _said(board, _reset(2))] == [Kind.HELLO]
    board.tick(2000 * MS)
    assert [frame.kind for frame in _said(board)] == [Kind.HEARTBEAT]


def test_an_ack_with_a_byte_too_many_commits_what_it_says() -> None:
    board = _board()
    for at in range(12):
        board.sample([ALARM, NORMAL], at * 10 * MS)
    (press,) = board.held
    _said(board, _reset(), Frame(Kind.ACK, 1, 0, 0, say.Ack(((press.boot_id, press.event_id),)).to_payload() + b"\x01"))
    assert board.held == [], "a delimiter turned into 0x01 is ignored like the tail of a newer peer"


def test_a_loss_is_told_until_a_snapshot_of_it_was_received() -> None:
    board = _board()
    _said(board, _reset())
    for at in range(400):
        board.sample([NORMAL, ALARM if at // 10 % 2 else NORMAL], at * 10 * MS)
    board.to_send()
    for session in (2, 3):
        told = _lost_told(board, session)
        assert told == [True], f"session {session}: the snapshot before was never acknowledged"


def _lost_told(board: Board, session: int) -> list[bool]:
    """Take all events of a new session and ask for the snapshot, without acknowledging it."""
    frames = _said(board, _reset(session), Frame(Kind.GET, session, 0, 0, b"\x01", numbered=True))
    for number in range(1, 18):
        frames += _said(board, Frame(Kind.HEARTBEAT, session, 1, number), now_ms=5000)
        if any(frame.kind is Kind.SNAPSHOT for frame in frames):
            break
    return [
        say.StateOfInputs.from_payload(frame.payload).lost_events for frame in frames if frame.kind is Kind.SNAPSHOT
    ]


def test_resets_by_the_watchdog_are_in_the_heartbeat() -> None:
    image = eeprom.blank(UID)
    for cause in (ResetCause.WATCHDOG, ResetCause.POWER_ON, ResetCause.WATCHDOG):
        board = _board(image, cause)
        for write in board.take_writes():
            image = eeprom.written(image, write)
    _said(board, _reset())
    board.tick(1000 * MS)
    (beat,) = _said(board)
    assert say.BoardHeartbeat.from_payload(beat.payload).watchdog_resets == 2


@pytest.mark.parametrize("uid", [b"\x00" * 8, b"\xff" * 8])
def test_a_board_without_a_name_shows_it(uid: bytes) -> None:
    board = _board(eeprom.blank(uid))
    _said(board, _reset())
    assert {board.outputs(at * 100 * MS).fault_led for at in range(20)} == {True}
    assert not _board().outputs(0).fault_led


def test_a_press_of_an_input_that_the_board_no_longer_has_is_still_told() -> None:
    image = eeprom.written(eeprom.blank(UID), eeprom.cell_write(0, eeprom.PanicCell(7, 1, 5, 1, LineState.NORMAL)))
    board = _board(image)
    (told,) = [frame for frame in _said(board, _reset()) if frame.kind is Kind.EVENT]
    assert say.Event.from_payload(told.payload).input_no == 7
    _said(board, Frame(Kind.ACK, 1, 0, 1, say.Ack(((1, 5),)).to_payload()))
    assert board.held == []
