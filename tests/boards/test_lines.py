"""From edges to changes, with none lost unnoticed."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent.boards import lines
from agent.boards.lines import Edge, Line
from agent.boards.telling import Change
from agent.facts import InputState

NORMAL, ALARM, FAULT = InputState.NORMAL, InputState.ALARM, InputState.FAULT
MS = 1_000_000
DEBOUNCE_NS = 30 * MS


def watched(active: bool = False) -> Line:
    line, changes = lines.opened(Line(0), active, 0)
    assert changes == ()
    return line


def test_the_contact_rested_one_debounce_before_the_stamp() -> None:
    line, (change,), lost = lines.moved(watched(), [Edge(True, 130 * MS, 1)], DEBOUNCE_NS, 140 * MS)
    assert change == Change(0, NORMAL, ALARM, 100 * MS)
    assert (line.told, lost) == (ALARM, 0)


def test_a_contact_that_rests_closed_is_in_alarm_when_it_opens() -> None:
    line, _ = lines.opened(Line(0, alarm_when=False), True, 0)
    assert line.told is NORMAL
    _, (change,), _ = lines.moved(line, [Edge(False, 50 * MS, 1)], DEBOUNCE_NS, 50 * MS)
    assert change.state is ALARM


def test_what_moved_while_nobody_watched_is_late() -> None:
    line, changes = lines.opened(watched(active=True), False, 500)
    assert changes == (Change(0, ALARM, NORMAL, 500, late=True),)
    assert line.seqno == 0


def test_a_line_that_others_hold_is_a_fault_and_never_normal() -> None:
    line, changes = lines.unavailable(watched(), 500)
    assert changes == (Change(0, NORMAL, FAULT, 500, late=True),)
    assert lines.unavailable(line, 600)[1] == ()
    assert lines.looked(line, False, 700)[1] == ()
    _, changes = lines.opened(line, True, 800)
    assert changes == (Change(0, FAULT, ALARM, 800, late=True),)


def test_a_lost_interrupt_is_found_by_the_second_look() -> None:
    line, changes = lines.looked(watched(), True, 1000)
    assert changes == (), "its edge may be on its way"
    line, changes = lines.looked(line, True, 2000)
    assert changes == (Change(0, NORMAL, ALARM, 2000),)
    line, _ = lines.looked(line, False, 3000)
    line, _ = lines.looked(line, True, 4000)
    _, changes = lines.looked(line, False, 5000)
    assert changes == (), "two looks in a row"


def test_numbers_of_edges_begin_again() -> None:
    line = replace(watched(), seqno=(1 << 32) - 1)
    _, changes, lost = lines.moved(line, [Edge(True, 50 * MS, 0)], DEBOUNCE_NS, 50 * MS)
    assert (len(changes), lost) == (1, 0)


@given(begins=st.booleans(), kept=st.lists(st.booleans(), max_size=40), resting=st.booleans())
def test_no_press_is_lost_with_its_edges(begins: bool, kept: list[bool], resting: bool) -> None:
    """Edges take turns; any of them but the last gets lost on the way. All presses are told, and the last state."""
    line, _ = lines.opened(Line(0, alarm_when=not resting), begins, 0)
    edges, level, presses = [], begins, 0
    for at in range(len(kept) + 1):
        level = not level
        presses += line.state_of(level) is ALARM
        if at == len(kept) or kept[at]:
            edges.append(Edge(level, (at + 1) * 100 * MS, at + 1))
    told = line.told
    line, changes, lost = lines.moved(line, edges, DEBOUNCE_NS, 10_000 * MS)
    assert lost == len(kept) - sum(kept)
    assert sum(change.count for change in changes if change.state is ALARM) == presses
    assert line.told is line.state_of(level)
    for change in changes:
        if change.previous is not told:
            assert change.state is ALARM, "a press that began among the lost"
        told = change.state
    assert told is line.told
