"""The board's ring: random histories against a short model, and the EEPROM that backs it."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from firmware_bridge import eeprom
from firmware_bridge.eeprom import PLACES
from firmware_bridge.messages import Event, LineState
from firmware_bridge.ring import Ring

UID = bytes(range(8))


def _event(event_id: int, input_no: int, state: LineState, boot_id: int = 1) -> Event:
    previous = LineState.NORMAL if state is LineState.ALARM else LineState.ALARM
    return Event(boot_id, event_id, event_id * 10, input_no, previous, state, 700, 1)


class RingAgainstModel(RuleBasedStateMachine):
    """The model: how many presses of each input are uncommitted. The ring must always account for all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.image = eeprom.blank(UID)
        self.alarm: set[int] = set()
        self.uncommitted = [0] * 4
        self.next_id = 0
        self.boot_id = 1
        self.ring = self._new_ring()

    def _new_ring(self) -> Ring:
        return Ring(eeprom.cells_of(self.image), lambda input_no: input_no in self.alarm)

    @rule(input_no=st.integers(0, 3))
    def press(self, input_no: int) -> None:
        self.next_id += 1
        self.alarm.add(input_no)
        self.ring.add(_event(self.next_id, input_no, LineState.ALARM, self.boot_id), is_press=True)
        self.uncommitted[input_no] += 1

    @rule(input_no=st.integers(0, 3))
    def release(self, input_no: int) -> None:
        self.next_id += 1
        self.alarm.discard(input_no)
        self.ring.restored(input_no)
        self.ring.add(_event(self.next_id, input_no, LineState.NORMAL, self.boot_id), is_press=False)

    @rule(input_no=st.integers(4, 7), state=st.sampled_from([LineState.NORMAL, LineState.ALARM]))
    def contact(self, input_no: int, state: LineState) -> None:
        self.next_id += 1
        self.ring.add(_event(self.next_id, input_no, state, self.boot_id), is_press=False)

    @rule(which=st.integers(0, PLACES - 1))
    def commit(self, which: int) -> None:
        events = self.ring.events
        if which < len(events):
            event = events[which]
            self.ring.forget(event.boot_id, event.event_id)
            if event.input_no < 4 and event.state is LineState.ALARM:
                self.uncommitted[event.input_no] -= event.count

    @rule(boot_id=st.integers(0, 9), event_id=st.integers(10_000, 20_000))
    def commit_of_something_unknown(self, boot_id: int, event_id: int) -> None:
        self.ring.forget(boot_id, event_id)

    @rule()
    def send_and_receive(self) -> None:
        event = self.ring.next_due(0)
        if event is not None:
            self.ring.received(event.boot_id, event.event_id, 0)

    @rule()
    def session(self) -> None:
        self.ring.session_began()

    @rule()
    def power_cut(self) -> None:
        self._write()
        self.boot_id += 1
        self.ring = self._new_ring()
        assert all(event.from_latch for event in self.ring.events)

    @invariant()
    def no_press_is_missing(self) -> None:
        told = [0] * 4
        for event in self.ring.events:
            if event.input_no < 4 and event.state is LineState.ALARM:
                told[event.input_no] += event.count
        assert told == self.uncommitted

    @invariant()
    def the_ring_is_bounded_and_in_order(self) -> None:
        events = self.ring.events
        assert len(events) <= PLACES
        keys = [(event.boot_id, event.event_id) for event in events]
        assert keys == sorted(set(keys))

    @invariant()
    def eeprom_holds_every_press(self) -> None:
        self._write()
        kept = {
            (cell.boot_id, cell.event_id, cell.count)
            for cell in eeprom.cells_of(self.image)
            if cell is not None and not cell.committed
        }
        presses = [each for each in self.ring.events if each.input_no < 4 and each.state is LineState.ALARM]
        assert kept == {(each.boot_id, each.event_id, each.count) for each in presses}

    def _write(self) -> None:
        for write in self.ring.writes:
            self.image = eeprom.written(self.image, write)
        self.ring.writes.clear()


RingAgainstModel.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestRingAgainstModel = RingAgainstModel.TestCase


def test_sixteen_presses_and_one_more() -> None:
    ring = Ring([None] * eeprom.CELLS, lambda _: True)
    for event_id in range(1, 18):
        ring.add(_event(event_id, 0, LineState.ALARM), is_press=True)
    assert [(event.event_id, event.count) for event in ring.events][-2:] == [(15, 1), (17, 2)]
    assert not ring.lost, "every press is still told"


def test_presses_of_many_inputs_are_counted_together() -> None:
    ring = Ring([None] * eeprom.CELLS, lambda _: True)
    for event_id in range(1, 17):
        ring.add(_event(event_id, (event_id - 1) // 2, LineState.ALARM), is_press=True)
    ring.add(_event(17, 9, LineState.ALARM), is_press=True)
    assert [(event.event_id, event.count) for event in ring.events][:2] == [(2, 2), (3, 1)]
    assert ring.events[-1].event_id == 17


def test_contacts_give_way_to_presses_and_that_is_told() -> None:
    ring = Ring([None] * eeprom.CELLS, lambda _: True)
    for event_id in range(1, 17):
        ring.add(_event(event_id, 5, LineState.ALARM), is_press=False)
    ring.add(_event(17, 0, LineState.ALARM), is_press=True)
    assert [event.event_id for event in ring.events] == [*range(2, 17), 17]
    assert ring.lost
    assert ring.events[-1].lost_before


def test_presses_counted_into_one_survive_a_power_cut() -> None:
    ring = Ring([None] * eeprom.CELLS, lambda _: True)
    for number in range(1, PLACES + 1):
        ring.add(_event(number, 0, LineState.ALARM, 1), is_press=True)
    ring.add(_event(PLACES + 1, 1, LineState.ALARM, 1), is_press=True)
    image = eeprom.blank(bytes(8))
    for write in ring.writes:
        image = eeprom.written(image, write)
    again = Ring(eeprom.cells_of(image), lambda _: True)
    assert sum(event.count for event in again.events) == PLACES + 1


def _after(image: bytes, writes: list[eeprom.Write], bytes_written: int) -> bytes:
    """The image when the power goes after so many bytes; each write begins with its last byte."""
    for address, data in writes:
        for at in range(len(data) - 1, -1, -1):
            if bytes_written == 0:
                return image
            image = eeprom.written(image, eeprom.Write(address + at, data[at : at + 1]))
            bytes_written -= 1
    return image


@pytest.mark.parametrize("input_no", [0, 1], ids=["in place of the newest", "two of another become one"])
def test_no_power_cut_loses_a_press_that_another_takes_the_place_of(input_no: int) -> None:
    ring = Ring([None] * eeprom.CELLS, lambda _: True)
    for number in range(1, PLACES + 1):
        ring.add(_event(number, 0, LineState.ALARM), is_press=True)
    image = _after(eeprom.blank(UID), ring.writes, 10_000)
    ring.writes.clear()
    ring.add(_event(PLACES + 1, input_no, LineState.ALARM), is_press=True)
    for bytes_written in range(60):
        again = Ring(eeprom.cells_of(_after(image, ring.writes, bytes_written)), lambda _: True)
        assert len(again) <= PLACES
        assert sum(event.count for event in again.events) >= PLACES
        assert len({event.event_id for event in again.events}) == len(again)


def test_cells_wear_alike() -> None:
    ring = Ring([None] * eeprom.CELLS, lambda _: False)
    for number in range(1, 3 * eeprom.CELLS + 1):
        ring.add(_event(number, 0, LineState.ALARM), is_press=True)
        ring.forget(1, number)
    kept = [write.address for write in ring.writes if len(write.data) > 1]
    assert {kept.count(address) for address in kept} == {3}


def test_the_age_of_an_event_stops() -> None:
    ring = Ring([None] * eeprom.CELLS, lambda _: False)
    ring.add(_event(1, 0, LineState.ALARM), is_press=True)
    assert ring.age_ms(5010) == 5000
    ring.grow_old(70_000)
    ring.grow_old(11)
    assert ring.age_ms(11) == 0xFFFF, "49.7 days later it is no younger"
