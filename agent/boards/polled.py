"""PURE. One module that only speaks when it is asked: from answers and misses to changes of its inputs.

A poll reads what the inputs are at that moment, and nothing of what they were between two polls. So a change is looked
at again at once (`CONFIRM_NS`), not a whole poll later, and how long a press must last is told (`turns.press_ms`).

Modbus-RTU answers carry no number: one that comes too late looks like the answer to a newer question. So
- after a question without an answer the module is left alone for `LATE_ANSWER_NS`, and what it says meanwhile is thrown
  away: an answer that is late by less can never be taken for another;
- until `CLEAN_ANSWERS` answers in a row were in time, what comes may raise an alarm, but ends none;
- an answer that nobody waited for (`Stray`) makes the ones around it doubtful in the same way, if a question is still
  without one. If none is, another module speaks in the name of this one, which has nothing to do with it.

Invariants
1. A module is up only after `CLEAN_ANSWERS` answers in a row; `MISSES` misses that no such row interrupts put it down.
2. An input changes only after two answers that agree, at least `CONFIRM_NS` apart.
3. Nothing but an answer changes an input: a module that is not heard is down, never normal.
4. While up, whatever was told differs from what the module says only for as long as 2 needs.
5. A module that is down is asked once per `DOWN_EVERY_NS`: it costs the others on its bus no more than that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from agent.boards.telling import Change, Down, Result, Up, Whole
from agent.facts import InputState

_MS: Final = 1_000_000

MISSES: Final = 3
"""Questions in a row without a good answer: the module is not heard (design of alarms, "three misses are a fault")."""

CLEAN_ANSWERS: Final = 2
"""Answers in a row that make a module trusted: the second one cannot be a late one, too."""

CONFIRM_NS: Final = 20 * _MS
"""Two readings of a change lie this far apart: a contact bounces for a few milliseconds."""

QUICK_ASKS: Final = 3
"""A change is looked at again at once so often, then with the next poll: a contact that chatters must not take the bus
from others."""

LATE_ANSWER_NS: Final = 200 * _MS
"""A module that did not answer is left alone for this long: no module is known that takes longer than 0.2 s over its
answer, and three misses are still told within a second."""

DOWN_EVERY_NS: Final = 1000 * _MS
"""A module that is not heard is asked this often."""

_COMING_UP: Final = 5
"""A module whose inputs chatter from the first moment comes up after so many answers all the same."""


class Miss(StrEnum):
    """Why a question has no good answer."""

    SILENT = "silent"
    GARBLED = "garbled"
    WRONG = "wrong"
    REFUSED = "refused"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Answer:
    """The inputs as the module says they are; True is alarm. Monotonic ns."""

    alarms: tuple[bool, ...]
    asked_ns: int
    heard_ns: int


@dataclass(frozen=True, slots=True)
class Missed:
    """No good answer came to the last question. `detail` is for people."""

    why: Miss
    now_ns: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Stray:
    """The module said something that nobody waited for."""

    now_ns: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The bus itself is gone."""

    reason: str
    now_ns: int


@dataclass(frozen=True, slots=True)
class Contact:
    """One input: what was last told (None: nothing yet), and another reading that waits for its confirmation."""

    told: bool | None = None
    other: bool = False
    since_ns: int = 0


@dataclass(frozen=True, slots=True)
class Module:
    """One module. `ask_ns` is when to ask it next, `heard_ns` when it last gave a good answer.

    `misses` and `clean` count since the last good row and since the last miss, `quick` is what is left of `QUICK_ASKS`.
    `answered` tells of the last question, `unanswered` counts those whose answer may still come, `late` says that one
    has come so. `last` is what the answer before said while it comes up, `down_told` that its silence was told.
    """

    poll_ns: int
    contacts: tuple[Contact, ...]
    up: bool = False
    down_told: bool = False
    misses: int = 0
    clean: int = 0
    quick: int = QUICK_ASKS
    answered: bool = False
    unanswered: int = 0
    late: bool = False
    last: tuple[bool, ...] = ()
    ask_ns: int = 0
    heard_ns: int = 0

    @property
    def doubtful(self) -> bool:
        """Its next answer may not come at all, or be the answer to an older question."""
        return not self.up or self.misses > 0


def module(inputs: int, poll_ms: int, now_ns: int) -> Module:
    """A module that was not asked yet."""
    return Module(poll_ms * _MS, (Contact(),) * inputs, ask_ns=now_ns, heard_ns=now_ns)


def step(state: Module, fact: Answer | Missed | Stray | Lost) -> tuple[Module, tuple[Result, ...]]:
    """The module after `fact`, and what is to be told."""
    match fact:
        case Answer():
            return _answer(state, fact)
        case Missed():
            return _missed(state, fact)
        case Stray():
            if state.unanswered == 0:
                return state, ()
            state = replace(state, clean=0, unanswered=state.unanswered - 1, late=True)
            if not state.answered:
                return replace(state, ask_ns=max(state.ask_ns, fact.now_ns + LATE_ANSWER_NS)), ()
            return _missed(state, Missed(Miss.LATE, fact.now_ns))
        case Lost():
            state = replace(state, contacts=_settled(state.contacts))
            lost = Down(fact.reason, state.heard_ns)
            state = replace(state, up=False, down_told=False, misses=0, clean=0, last=(), late=False)
            return replace(state, answered=False, unanswered=0, ask_ns=fact.now_ns), (lost,)


def state_of(alarm: bool) -> InputState:
    """What an input that is, or is not, in alarm is called. A polled contact cannot tell a cut line."""
    return InputState.ALARM if alarm else InputState.NORMAL


def _answer(state: Module, answer: Answer) -> tuple[Module, tuple[Result, ...]]:
    if len(answer.alarms) != len(state.contacts):
        raise ValueError(f"{len(answer.alarms)} inputs answered, {len(state.contacts)} were asked")
    clean = state.clean + 1
    state = replace(state, clean=clean, answered=True, heard_ns=answer.heard_ns)
    if not state.up:
        return _coming_up(state, answer)
    if clean >= CLEAN_ANSWERS:
        state = replace(state, misses=0, late=False)
    contacts, changes = [], []
    for number, (contact, alarm) in enumerate(zip(state.contacts, answer.alarms, strict=True)):
        after, changed = _read(contact, alarm, answer.heard_ns, ends_alarms=state.misses == 0)
        contacts.append(after)
        if changed:
            previous = state_of(not alarm)
            changes.append(Change(number, previous, state_of(alarm), contact.since_ns))
    state = replace(state, contacts=tuple(contacts))
    again = any(contact.other for contact in contacts)
    quick = again and state.quick > 0
    ask_ns = answer.heard_ns + CONFIRM_NS if quick else answer.asked_ns + state.poll_ns
    left = state.quick - 1 if quick else state.quick if again else QUICK_ASKS
    return replace(state, ask_ns=ask_ns, quick=left), tuple(changes)


def _read(contact: Contact, alarm: bool, heard_ns: int, ends_alarms: bool) -> tuple[Contact, bool]:
    """The contact after a reading, and whether it has changed."""
    if alarm is contact.told:
        return replace(contact, other=False), False
    if not alarm and not ends_alarms:
        return contact, False
    if not contact.other:
        return replace(contact, other=True, since_ns=heard_ns), False
    if heard_ns - contact.since_ns < CONFIRM_NS:
        return contact, False
    return Contact(alarm), True


def _settled(contacts: Sequence[Contact]) -> tuple[Contact, ...]:
    return tuple(replace(contact, other=False) for contact in contacts)


def _coming_up(state: Module, answer: Answer) -> tuple[Module, tuple[Result, ...]]:
    """It was not heard so far. It is trusted from the second answer on, when that one says the same again."""
    agreed = state.clean >= CLEAN_ANSWERS and answer.alarms == state.last
    if not agreed and state.clean < _COMING_UP:
        return replace(state, last=answer.alarms, ask_ns=answer.heard_ns + CONFIRM_NS), ()
    results: list[Result] = [Up()]
    for number, (contact, alarm) in enumerate(zip(state.contacts, answer.alarms, strict=True)):
        if contact.told is not None and contact.told is not alarm:
            results.append(Change(number, state_of(contact.told), state_of(alarm), answer.heard_ns, late=True))
    results.append(Whole(tuple((number, state_of(alarm)) for number, alarm in enumerate(answer.alarms))))
    state = replace(
        state, contacts=tuple(Contact(alarm) for alarm in answer.alarms), up=True, misses=0, last=(), late=False
    )
    ask_ns = answer.asked_ns + state.poll_ns
    return replace(state, down_told=False, ask_ns=ask_ns, quick=QUICK_ASKS), tuple(results)


def _missed(state: Module, missed: Missed) -> tuple[Module, tuple[Result, ...]]:
    misses = min(state.misses + 1, MISSES)
    # A reading of an alarm is kept for its confirmation; one of an alarm's end is not.
    contacts = tuple(
        replace(contact, other=False) if contact.other and contact.told is True else contact
        for contact in state.contacts
    )
    # A refusal and a late answer are answers; whatever else was missed may still come.
    owed = 0 if missed.why in (Miss.REFUSED, Miss.LATE) else 1
    unanswered = min(state.unanswered + owed, MISSES)
    state = replace(state, misses=misses, clean=0, answered=False, last=(), contacts=contacts, unanswered=unanswered)
    if misses < MISSES:
        wait_ns = state.poll_ns if missed.why is Miss.REFUSED else LATE_ANSWER_NS
        return replace(state, ask_ns=missed.now_ns + wait_ns), ()
    why = Miss.LATE if state.late else missed.why
    down = Down(f"{why}: {missed.detail}" if missed.detail and why is missed.why else str(why), state.heard_ns)
    results = () if state.down_told else (down,)
    ask_ns = missed.now_ns + DOWN_EVERY_NS
    return replace(state, up=False, down_told=True, ask_ns=ask_ns, contacts=_settled(contacts)), results
