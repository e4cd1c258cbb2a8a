"""PURE. The board's ring of events that the host has not committed yet (PROTOCOL.md, 7).

Invariants
1. At most `PLACES` events; a press of a panic button never leaves but by `forget` (the host committed it), or by
   being counted into a younger event of the same input when the ring is full of presses.
2. Events stand in the order in which they happened.
3. What was given up otherwise sets `lost`, which stays until the next snapshot.
4. Every uncommitted press has a cell in EEPROM; the writes that keep it so are in `writes`. What takes the place of
   another press is written before that one is cleared: no power cut between two writes loses both.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from firmware_bridge.eeprom import CELLS, PLACES, PanicCell, Write, cell_write
from firmware_bridge.messages import Event, LineState

COMMIT_WAIT_MS: Final = (2000, 4000, 8000)
"""An event that was received and not committed is sent again after this wait; the last one stays."""

OLD_AFTER_MS: Final = 0xFFFF
"""The age of an event stops here."""


@dataclass(frozen=True, slots=True)
class Held:
    """One event in the ring. `cell` is its place in EEPROM (presses only).

    `again_ns` is when it is sent again: None until it was received in this session, which means at once.
    """

    event: Event
    is_press: bool
    cell: int | None = None
    again_ns: int | None = None
    times: int = 0
    old: bool = False


class Ring:
    """The events of one board, oldest first."""

    def __init__(self, cells: list[PanicCell | None], still_alarm: Callable[[int], bool]) -> None:
        """Start with what EEPROM held; `still_alarm` says whether an input is in alarm now."""
        self.lost = False
        self.writes: list[Write] = []
        self._still_alarm = still_alarm
        self._cells: list[PanicCell | None] = list(cells)
        self._last_used = CELLS - 1
        self._held: list[Held] = []
        for number, cell in self._kept():
            event, instead_of = _from_cell(cell), None
            if len(self._held) >= PLACES:
                event, instead_of = self._make_room(event, is_press=True)
            if event.count != cell.count:
                self._keep(number, _cell_of(event))
            self._held.append(Held(event, True, number))
            if instead_of is not None:
                self._keep(instead_of, None)

    def __len__(self) -> int:
        return len(self._held)

    @property
    def events(self) -> list[Event]:
        """What is held, oldest first."""
        return [held.event for held in self._held]

    @property
    def presses(self) -> int:
        """How many of them are presses of a panic button."""
        return sum(held.is_press for held in self._held)

    def known_in_alarm(self, input_no: int) -> bool:
        """True when EEPROM says that this input was in alarm and that an event tells or told it."""
        return any(cell is not None and cell.input_no == input_no for cell in self._cells)

    def add(self, event: Event, is_press: bool) -> None:
        """An input changed."""
        instead_of = None
        if len(self._held) >= PLACES:
            event, instead_of = self._make_room(event, is_press)
        cell = None
        if is_press:
            cell = self._free_cell()
            self._keep(cell, _cell_of(event))
        if instead_of is not None:
            self._keep(instead_of, None)
        if self.lost:
            event = replace(event, lost_before=True)
        if len(self._held) < PLACES:
            self._held.append(Held(event, is_press, cell))

    def forget(self, boot_id: int, event_id: int) -> None:
        """The host has committed this event. An unknown key changes nothing."""
        for at, held in enumerate(self._held):
            if (held.event.boot_id, held.event.event_id) == (boot_id, event_id):
                del self._held[at]
                if held.cell is not None:
                    self._committed(held.cell)
                return

    def restored(self, input_no: int) -> None:
        """The input has left the alarm state: a committed press of it may be forgotten."""
        for number, cell in enumerate(self._cells):
            if cell is not None and cell.committed and cell.input_no == input_no:
                self._keep(number, None)

    def session_began(self) -> None:
        """Everything is to be sent anew."""
        self._held = [replace(held, again_ns=None, times=0) for held in self._held]

    def next_due(self, now_ns: int) -> Event | None:
        """The event to send now: first the oldest that was not received in this session."""
        for held in self._held:
            if held.again_ns is None:
                return held.event
        return next((held.event for held in self._held if held.again_ns is not None and held.again_ns <= now_ns), None)

    def all_received(self) -> bool:
        """True when nothing waits for its first sending in this session."""
        return all(held.again_ns is not None for held in self._held)

    def received(self, boot_id: int, event_id: int, now_ns: int) -> None:
        """The host has this event in memory; its commit is awaited."""
        for at, held in enumerate(self._held):
            if (held.event.boot_id, held.event.event_id) == (boot_id, event_id):
                wait_ms = COMMIT_WAIT_MS[min(held.times, len(COMMIT_WAIT_MS) - 1)]
                self._held[at] = replace(held, again_ns=now_ns + wait_ms * 1_000_000, times=held.times + 1)

    def deadline_ns(self) -> int | None:
        """When the next repeat is due; None when nothing awaits its commit."""
        return min((held.again_ns for held in self._held if held.again_ns is not None), default=None)

    def grow_old(self, now_ms: int) -> None:
        """Time passes. `now_ms` is the board's time, modulo 2^32."""
        for at, held in enumerate(self._held):
            if not held.old and (now_ms - held.event.t_ms) % (1 << 32) >= OLD_AFTER_MS:
                self._held[at] = replace(held, old=True)

    def age_ms(self, now_ms: int) -> int:
        """Since the oldest event of this boot, stops at `OLD_AFTER_MS`; 0 when there is none."""
        oldest = next((held for held in self._held if not held.event.from_latch), None)
        if oldest is None:
            return 0
        return OLD_AFTER_MS if oldest.old else min(OLD_AFTER_MS, (now_ms - oldest.event.t_ms) % (1 << 32))

    def _kept(self) -> list[tuple[int, PanicCell]]:
        """The places that hold an uncommitted press, oldest first. A power cut between writing one and clearing the
        other leaves two with one key: the one that counts more is kept."""
        newest: dict[tuple[int, int], tuple[int, PanicCell]] = {}
        for number, cell in enumerate(self._cells):
            if cell is None or cell.committed:
                continue
            other = newest.get((cell.boot_id, cell.event_id))
            if other is not None and other[1].count >= cell.count:
                self._keep(number, None)
                continue
            if other is not None:
                self._keep(other[0], None)
            newest[cell.boot_id, cell.event_id] = (number, cell)
        return [newest[key] for key in sorted(newest)]

    def _make_room(self, event: Event, is_press: bool) -> tuple[Event, int | None]:
        """Give up what tells least. The event to add, which may count for more than itself, and the cell of the press
        whose place it takes, to be cleared when the event is kept."""
        at = next((at for at, held in enumerate(self._held) if not held.is_press), None)
        if at is not None:
            del self._held[at]
            self.lost = True
            return event, None
        if not is_press:
            self.lost = True  # it is the new one that tells least: add() finds no room for it
            return event, None
        same = [at for at, held in enumerate(self._held) if held.event.input_no == event.input_no]
        if same:
            old = self._held.pop(same[-1])
            return replace(event, count=min(0xFFFF, old.event.count + event.count)), old.cell
        self._merge_two()
        return event, None

    def _merge_two(self) -> None:
        """Sixteen presses of at most fifteen other inputs: some input has two; the younger one counts for both."""
        newest_of: dict[int, int] = {}
        for at, held in enumerate(self._held):
            earlier = newest_of.get(held.event.input_no)
            if earlier is not None:
                merged = replace(held.event, count=min(0xFFFF, self._held[earlier].event.count + held.event.count))
                cell = self._free_cell()
                if cell is None:
                    cell = held.cell
                # Before the two are cleared: a power cut counts twice.
                self._keep(cell, _cell_of(merged))
                if held.cell != cell:
                    self._keep(held.cell, None)
                self._held[at] = replace(held, event=merged, cell=cell)
                self._drop(earlier)
                return
            newest_of[held.event.input_no] = at
        self._drop(0)  # more panic inputs than places: no board is built so
        self.lost = True

    def _drop(self, at: int) -> None:
        held = self._held.pop(at)
        if held.cell is not None:
            self._keep(held.cell, None)

    def _committed(self, number: int) -> None:
        cell = self._cells[number]
        if cell is None:
            return
        newer = any(held.is_press and held.event.input_no == cell.input_no for held in self._held)
        keep = self._still_alarm(cell.input_no) and not newer
        self._keep(number, replace(cell, committed=True) if keep else None)

    def _free_cell(self) -> int | None:
        """An empty cell, else one that only says that a button is still held; None only at a start that finds
        seventeen presses. The search begins behind the last one used, so that all of them wear alike: EEPROM bears
        100000 writes (ATmega328P data sheet)."""
        in_turn = [(self._last_used + step) % CELLS for step in range(1, CELLS + 1)]
        free = next((number for number in in_turn if self._cells[number] is None), None)
        if free is None:
            free = next((number for number in in_turn if _is_committed(self._cells[number])), None)
        if free is not None:
            self._last_used = free
        return free

    def _keep(self, number: int | None, cell: PanicCell | None) -> None:
        if number is None:
            return
        self._cells[number] = cell
        self.writes.append(cell_write(number, cell))


def _is_committed(cell: PanicCell | None) -> bool:
    return cell is not None and cell.committed


def _cell_of(event: Event) -> PanicCell:
    return PanicCell(event.input_no, event.boot_id, event.event_id, event.count, event.previous)


def _from_cell(cell: PanicCell) -> Event:
    return Event(
        boot_id=cell.boot_id,
        event_id=cell.event_id,
        t_ms=0,
        input_no=cell.input_no,
        previous=cell.previous,
        state=LineState.ALARM,
        adc=0,
        count=cell.count,
        from_latch=True,
    )
