"""The link end to end: a host and a board, byte by byte, over lines that lose, spoil, delay and are cut."""

import random

import pytest

from firmware_bridge import eeprom
from firmware_bridge import messages as say
from firmware_bridge.board import Board
from firmware_bridge.frame import Deframer, Frame, Kind
from firmware_bridge.link import HostLink
from firmware_bridge.messages import LineState, ResetCause
from firmware_bridge.reports import InputEvent, LinkChanged, Snapshot
from tests.fakes.serial_line import Badness
from tests.firmware_bridge.end_to_end import survives
from tests.firmware_bridge.world import ALARM, MS, NORMAL, UID, World

S = 1000 * MS
BAD_LINES = {
    "good": Badness(),
    "slow": Badness(delay_ns=100 * MS),
    "lossy": Badness(loss=0.2),
    "spoiling": Badness(corruption=0.2),
    "all": Badness(loss=0.2, corruption=0.1, delay_ns=30 * MS),
}


def test_from_opening_the_port_to_the_first_snapshot() -> None:
    world = World()
    world.run(300 * MS)
    assert [type(report) for report in world.reports] == [LinkChanged, Snapshot]
    up, snapshot = world.reports
    assert isinstance(up, LinkChanged)
    assert (up.up, up.reason, up.board_uid, up.firmware) == (True, "heard", UID.hex(), "0.1.0")
    assert isinstance(snapshot, Snapshot)
    assert snapshot.states == {0: "normal", 1: "normal"}


def test_a_press_is_reported_with_its_time_committed_and_forgotten() -> None:
    world = World()
    world.run(2 * S)
    pressed_ns = world.now_ns
    world.press()
    alarm, normal = world.events()
    assert (alarm.input_no, alarm.previous, alarm.state, alarm.count, alarm.late) == (0, "normal", "alarm", 1, False)
    assert (normal.previous, normal.state, normal.event_id) == ("alarm", "normal", alarm.event_id + 1)
    assert alarm.received_mono_ns - pressed_ns <= 45 * MS, "30 ms of debouncing, one sample, 27 bytes of line"
    assert abs(alarm.pressed_mono_ns - pressed_ns) <= 12 * MS, "one sample of 10 ms, one count of 1 ms"
    world.run(100 * MS)
    assert world.board is not None
    assert world.board.held == []


def test_nothing_is_forgotten_before_its_commit() -> None:
    world = World()
    world.commit_after_ns = None
    world.run(1 * S)
    world.press()
    world.hold(1, ALARM, 30 * S)
    assert world.board is not None
    assert len(world.board.held) == 3, "the press, the release, the door: received, not committed"
    assert len(world.events()) == 3, "repeats of what waits for its commit are not reported"
    world.commit_after_ns = 5 * MS
    world.run(100 * MS)
    assert world.board.held == []


def test_a_lost_commit_is_made_good_by_the_repeat() -> None:
    world = World()
    world.run(1 * S)
    world.commit_after_ns = None
    world.press()
    assert world.link is not None
    for event in world.events():
        world.link.acknowledge(event.board_uid, event.boot_id, event.event_id)
    lost = Deframer().feed(world.link.to_send())
    assert [frame.kind for frame in lost] == [Kind.ACK] * 2
    world.run(3 * S)
    assert world.board is not None
    assert world.board.held == []
    assert len(world.events()) == 2


@pytest.mark.parametrize("line", BAD_LINES)
@pytest.mark.parametrize("seed", range(3))
def test_every_press_arrives_once_over_a_bad_line(line: str, seed: int) -> None:
    world = World(BAD_LINES[line], seed)
    world.run(5 * S)
    for _ in range(40):
        world.press(hold_ns=60 * MS, after_ns=540 * MS)
    world.run(60 * S)
    assert len(world.presses_made()) == 40
    told = [event for event in world.events() if event.state == "alarm"]
    assert [event.event_id for event in told] == sorted(event.event_id for event in told), "in order"
    keys = [(event.board_uid, event.boot_id, event.event_id) for event in told]
    assert keys == world.presses_made(), "each once"
    assert world.board is not None
    assert world.board.held == []


@pytest.mark.parametrize("seed", range(6))
def test_every_press_survives_every_fault(seed: int) -> None:
    """Loss, corruption, cut cables, host kills, dead disks, power cuts of the board: none of them loses a press."""
    chance = random.Random(seed)
    world = World(Badness(loss=0.1, corruption=0.1, delay_ns=5 * MS), seed)
    world.run(2 * S)
    for _ in range(60):
        match chance.choice([0, 1, 2, 3, 4, 4, 4, 5]):
            case 0:
                world.replug()
            case 1:
                world.host_kill()
                world.run(chance.randrange(2000) * MS)
                world.host_start()
            case 2:
                world.power_off()
                world.run(chance.randrange(500) * MS)
                world.power_on()
                world.run(60 * MS)
            case 3:
                world.commit_after_ns = None
            case 4:
                world.commit_after_ns = chance.randrange(200) * MS
            case _:
                world.hold(1, chance.choice([NORMAL, ALARM]), 100 * MS)
        # Not longer than the ring holds, release events included: merging presses has a test of its own.
        if world.board is not None and len(world.board.held) < 10:
            world.press(hold_ns=50 * MS, after_ns=chance.randrange(60, 400) * MS)
    world.commit_after_ns = 5 * MS
    world.run(90 * S)
    assert len(world.presses_made()) > 5
    assert set(world.presses_made()) <= set(world.store.committed), "delivered at least once"
    alarms = {key for key, event in world.store.committed.items() if (event.input_no, event.state) == (0, "alarm")}
    assert alarms == set(world.presses_made()), "and, by key, exactly once"
    assert world.board is not None
    assert world.board.held == []


@pytest.mark.parametrize("seed", range(4))
def test_everything_at_once(seed: int) -> None:
    survives(Board, seed, 60)


def test_a_press_while_the_host_is_down_comes_late_and_keeps_its_time() -> None:
    world = World()
    world.run(2 * S)
    world.host_kill()
    pressed_ns = world.now_ns
    world.press()
    world.run(20 * S)
    world.host_start()
    world.run(1 * S)
    alarm = world.events()[0]
    assert alarm.late
    assert abs(alarm.pressed_mono_ns - pressed_ns) <= 15 * MS
    kinds = [type(report) for report in world.reports[-4:]]
    assert kinds == [LinkChanged, InputEvent, InputEvent, Snapshot], "what is told after the events is the snapshot"


def test_a_power_cut_of_the_board_does_not_double_a_press() -> None:
    world = World()
    world.run(2 * S)
    world.commit_after_ns = None
    world.hold(0, ALARM, 300 * MS)
    (first,) = world.events()
    world.power_off()
    world.run(500 * MS)
    world.power_on()
    world.run(2 * S)
    assert world.events() == [first], "the same key, still waiting for its commit; the held button is no second press"
    world.commit_after_ns = 0
    world.run(10 * S)
    world.power_off()
    world.run(100 * MS)
    world.power_on()
    world.run(2 * S)
    assert world.events() == [first], "committed, and still held"
    world.hold(0, NORMAL, 200 * MS)
    world.press()
    assert [event.state for event in world.events()] == ["alarm", "normal", "alarm", "normal"]


def test_a_latched_press_reaches_a_new_host_under_its_key() -> None:
    world = World()
    world.run(2 * S)
    world.host_kill()
    world.press()
    world.power_off()
    world.run(1 * S)
    world.power_on(ResetCause.BROWN_OUT)
    world.host_start()
    world.run(1 * S)
    (alarm, *rest) = [event for event in world.events() if event.state == "alarm"]
    assert (alarm.boot_id, alarm.late, rest) == (1, True, [])
    assert alarm.pressed_mono_ns == alarm.received_mono_ns, "its time was lost with the power"
    assert world.board is not None
    assert world.board.held == []
    assert not any(cell for cell in eeprom.cells_of(world.image))


def test_a_board_that_restarts_is_noticed_and_says_why() -> None:
    world = World()
    world.run(2 * S)
    world.power_off()
    world.power_on(ResetCause.WATCHDOG)
    world.run(500 * MS)
    assert [(change.up, change.reason) for change in world.changes()] == [
        (True, "heard"),
        (False, "board_restarted: watchdog"),
        (True, "heard"),
    ]
    assert [snapshot.boot_id for snapshot in world.snapshots()] == [1, 2]


def test_silence_is_noticed_after_three_seconds_and_so_is_the_return() -> None:
    world = World()
    world.run(2 * S)
    silent_from_ns = world.now_ns
    world.power_off()
    world.run(3100 * MS)
    (down,) = world.changes()[1:]
    assert (down.up, down.reason) == (False, "silent")
    assert abs(down.since_mono_ns - silent_from_ns) <= 1 * S
    world.run(10 * S)
    assert len(world.changes()) == 2, "told once"
    world.power_on()
    world.run(1500 * MS)
    assert world.changes()[-1].up


def test_a_port_without_a_board_is_told_as_no_answer() -> None:
    link = HostLink()
    reports, now_ns = link.open(7 * S), 7 * S
    resets = 0
    while now_ns < 20 * S:
        deadline_ns = link.deadline_ns()
        assert deadline_ns is not None
        assert deadline_ns > now_ns, "never a busy loop"
        now_ns = deadline_ns
        reports += link.tick(now_ns)
        resets += sum(frame.kind is Kind.RESET for frame in Deframer().feed(link.to_send()))
    assert [(each.up, each.reason) for each in reports if isinstance(each, LinkChanged)] == [(False, "no_answer")]
    assert 12 <= resets <= 18, "100, 200, 400, 800 ms, then every second"


def test_a_cut_wire_to_the_board_is_told_as_deaf() -> None:
    world = World()
    world.run(2 * S)
    world._to_board.badness = Badness(loss=1.0)
    world.run(10 * S)
    assert [change.reason for change in world.changes()] == ["heard", "deaf"]
    world._to_board.badness = Badness()
    world.run(2 * S)
    assert world.changes()[-1].up


def test_without_a_host_the_board_sounds_the_siren_itself() -> None:
    world = World()
    world.run(2 * S)
    world.host_kill()
    world.run(11 * S)
    assert world.board is not None
    assert not world.board.outputs(11 * S).siren
    world.press()
    age_ns = world.now_ns - world._power_ns
    assert world.board.outputs(age_ns).siren
    assert {world.board.outputs(age_ns + at * 100 * MS).fault_led for at in range(11)} == {True, False}
    world.host_start()
    world.run(1 * S)
    assert not world.board.outputs(world.now_ns - world._power_ns).siren, "the host has it now"


def test_outputs_hold_through_a_restart_of_the_board() -> None:
    world = World()
    world.run(1 * S)
    assert world.link is not None
    world.link.output(True, False, world.now_ns)
    world.run(100 * MS)
    assert world.board is not None
    assert world.board.outputs(0).siren
    world.power_off()
    world.power_on()
    world.run(1 * S)
    assert world.board.outputs(0).siren
    assert not world.board.outputs(0).led


def test_a_stuck_input_does_not_hold_up_the_others() -> None:
    world = World(inputs=3)
    world.run(1 * S)
    world.commit_after_ns = None
    for _ in range(30):
        world.hold(1, ALARM, 70 * MS)
        world.hold(1, NORMAL, 70 * MS)
    pressed_ns = world.now_ns
    world.press()
    alarm = next(event for event in world.events() if event.input_no == 0)
    assert alarm.received_mono_ns - pressed_ns <= 60 * MS
    world.run(100 * MS)
    assert world.snapshots()[-1].received_mono_ns > pressed_ns, "an overflow forces a snapshot"


def test_a_foreign_frame_and_garbage_change_nothing() -> None:
    world = World()
    world.run(1 * S)
    assert world.link is not None
    before = len(world.reports)
    chance = random.Random(3)
    for _ in range(200):
        world.link.receive(chance.randbytes(50), world.now_ns)
        stale = Frame(Kind.EVENT, 9, 0, 0, say.Event(1, 99, 0, 0, LineState.NORMAL, LineState.ALARM, 0, 1).to_payload())
        world.link.receive(b"\x00" + stale.to_bytes(), world.now_ns)
        world.link.to_send()
    assert len(world.reports) == before
    assert world.link.up
    assert world.link.bad_frames > 100
    world.press()
    assert [event.state for event in world.events()] == ["alarm", "normal"]


def test_what_was_not_taken_is_reported_again() -> None:
    world = World()
    world.run(1 * S)
    world.commit_after_ns = None
    world.press()
    assert world.link is not None
    events = world.events()
    world.link.not_taken(list(events))
    world.run(3 * S)
    again = world.events()[2:]
    assert [event.event_id for event in again] == [event.event_id for event in events]
