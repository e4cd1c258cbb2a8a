"""PURE. Which footage is due: a time that only real time moves, and terms that are not shortened unannounced.

Retention by age asks a clock and the settings. A clock that says 2099 for a minute, or a slip of the pen in
target_days, would make a whole volume due at once. So footage is never compared with the clock: it is compared with a
time of our own, which is kept in the index, moves on at the pace of the monotonic clock, and follows a jump of the
wall clock only after that was told for a day. A term that is shortened waits for a day as well.

Invariants
1. In one boot the trusted time moves by no more than the monotonic time that passed and `credit_ns`, which is at most a
   24th of the wait and grows by a 24th of the time that passes; but for a jump that was announced for the whole wait.
2. A clock that is believed and says an earlier time is followed at once, by `trusted_ns`: fewer things are due.
3. A term is lengthened at once, and shortened after the whole wait, to no less than what was announced.
4. The wait counts only while somebody is there to tell of it.
5. What a clock is ahead after a start of the machine is lent: labels up to now are believed, and nothing is due by it
   before that clock went on evenly for the whole wait.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from agent.facts import ClockQuality, Stamp

DAY_NS: Final = 86_400 * 1_000_000_000

PRODUCT_BEGAN_NS: Final = 1_735_689_600 * 10**9
"""2025-01-01: nothing was recorded by this product before; an earlier label is a clock that was never set."""

WAIT_NS: Final = DAY_NS
"""How long a jump is told before it is acted upon: "lowering the days warns 24 h before" (design, retention)."""

CREDIT_PART: Final = 24
"""A jump of up to this part of the wait, an hour a day, is no jump: clocks are corrected, and machines restarted."""

OFF_MOST: Final = 3
"""After a start of the machine a clock that is synchronised may be ahead by so many waits (days): it was off. Or its
clock is wrong, which nothing tells apart: so this is lent alone (`Line.lent`)."""

_LOANS_MOST: Final = 32
"""A machine that is switched off every evening has two or three; of more the two oldest become one."""

TURN_MOST_NS: Final = 60 * 1_000_000_000
"""Of the time between two steps so much counts as waited: in a longer pause nobody was told of anything."""


@dataclass(frozen=True, slots=True)
class Line:
    """Time as far as retention trusts it: it is now `at_ns` (UTC) or later.

    `mono_ns` and `boot` say when the line was last moved, `credit_ns` what it may still jump. A jump that waits goes to
    `wanted_ns` and was told for `waited_ns`. `started` is set until the clock was synchronised in this boot.
    """

    at_ns: int = 0
    mono_ns: int = 0
    boot: str = ""
    credit_ns: int = 0
    wanted_ns: int | None = None
    waited_ns: int = 0
    started: bool = True
    lent: tuple[tuple[int, int], ...] = ()
    """By how much it was ahead after each start of the machine, and for how long that clock has gone on since."""

    @property
    def sure_ns(self) -> int:
        """The line without what is lent."""
        return self.at_ns - sum(ns for ns, _ in self.lent)


@dataclass(frozen=True, slots=True)
class Term:
    """How long something is kept. A shorter term that waits is `wanted_ns`, and was told for `waited_ns`."""

    ns: int
    wanted_ns: int | None = None
    waited_ns: int = 0


@dataclass(frozen=True, slots=True)
class Dues:
    """The state of it: the line, and the terms by name. `believed`: age may be told now."""

    line: Line
    terms: Mapping[str, Term]
    believed: bool = False

    def trusted_ns(self, now: Stamp) -> int:
        """The time that age is counted from: never later than it is, for all that is known."""
        at_ns = min(self.line.at_ns, now.wall_ns) if self.believed else self.line.at_ns
        return at_ns - (self.line.at_ns - self.line.sure_ns)

    def due_ns(self, name: str, now: Stamp) -> int:
        """Footage that ended before this is older than the term of that name."""
        return self.trusted_ns(now) - self.terms[name].ns

    def values(self) -> dict[str, Any]:
        """As plain values, for a note in the index."""
        return {"line": asdict(self.line), "terms": {name: asdict(term) for name, term in self.terms.items()}}


def dues_of(values: Any) -> Dues | None:
    """The state that `values` told of, or None when that is none."""
    try:
        line = Line(**values["line"])
        line = replace(line, lent=tuple((ns, waited_ns) for ns, waited_ns in line.lent))
        terms = {str(name): Term(**term) for name, term in values["terms"].items()}
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    numbers = [line.at_ns, line.mono_ns, line.credit_ns, line.waited_ns, *(n for loan in line.lent for n in loan)]
    for term in terms.values():
        numbers += [term.ns, term.waited_ns]
    optional = [each for each in (line.wanted_ns, *(term.wanted_ns for term in terms.values())) if each is not None]
    sound = all(type(each) is int for each in [*numbers, *optional]) and isinstance(line.boot, str)
    told = {each.name for each in fields(line)} - {"lent"}  # those of an earlier version lent nothing
    return Dues(line, terms) if sound and told <= values["line"].keys() else None


def clock_believed(now: Stamp, newest_ns: int | None) -> bool:
    """Whether age may be told by this clock at all: not when it is not synchronised and says a time before the end
    of the footage that was recorded last."""
    return now.quality in (ClockQuality.NTP, ClockQuality.RTC) or newest_ns is None or now.wall_ns >= newest_ns


def advance_due(
    dues: Dues | None,
    now: Stamp,
    boot: str,
    terms_ns: Mapping[str, int],
    newest_ns: int | None,
    wait_ns: int = WAIT_NS,
) -> Dues:
    """The state now. Called every few seconds; None is a beginning of which nothing is known: then all waits.

    `terms_ns` is what the settings ask for, `boot` names this boot of the machine, `newest_ns` is where the footage
    ends that was recorded last. `wait_ns` is a day but in tests.
    """
    known = dues or Dues(Line(), {})
    line = known.line
    passed = now.mono_ns - line.mono_ns if line.boot == boot and now.mono_ns >= line.mono_ns else 0
    believed = clock_believed(now, newest_ns)
    moved = replace(
        line,
        at_ns=line.at_ns + passed,
        mono_ns=now.mono_ns,
        boot=boot,
        credit_ns=min(line.credit_ns + passed // CREDIT_PART, wait_ns // CREDIT_PART),
        started=line.started or line.boot != boot,
    )
    told = min(passed, TURN_MOST_NS)
    terms = {name: _advance_term(known.terms.get(name), ns, told, wait_ns) for name, ns in terms_ns.items()}
    return Dues(_follow(moved, now, passed, wait_ns) if believed else moved, terms, believed)


def announced(dues: Dues, now: Stamp, wait_ns: int = WAIT_NS) -> int | None:
    """In how many nanoseconds of running time a jump ahead or a shorter term is acted upon; None: none waits."""
    waits = [term.waited_ns for term in dues.terms.values() if term.wanted_ns is not None]
    if dues.believed and dues.line.wanted_ns is not None and now.wall_ns > dues.line.at_ns:
        waits.append(dues.line.waited_ns)
    return max(0, wait_ns - max(waits)) if waits else None


def lent_for(dues: Dues, wait_ns: int = WAIT_NS) -> int | None:
    """In how many nanoseconds of running time nothing is lent any more; None: nothing is."""
    return max((max(0, wait_ns - waited_ns) for _, waited_ns in dues.line.lent), default=None)


def after_change(dues: Dues, now: Stamp, name: str) -> int:
    """What `due_ns` will be once every jump ahead that waits is acted upon."""
    term = dues.terms[name]
    at_ns = max(dues.trusted_ns(now), now.wall_ns) if dues.believed else dues.trusted_ns(now)
    return at_ns - (term.ns if term.wanted_ns is None else term.wanted_ns)


def _follow(line: Line, now: Stamp, passed: int, wait_ns: int) -> Line:
    """The line after a look at a clock that is believed."""
    ahead = now.wall_ns - line.at_ns
    may = line.credit_ns
    if line.started and now.quality in (ClockQuality.NTP, ClockQuality.RTC):
        may = max(may, OFF_MOST * wait_ns)
        line = replace(line, started=False)
    little = wait_ns // CREDIT_PART
    if -little <= ahead <= may:
        lent = [(ns, waited_ns + min(passed, TURN_MOST_NS)) for ns, waited_ns in line.lent]
        lent = [loan for loan in lent if loan[1] < wait_ns]
        lent += [(ahead - line.credit_ns, 0)] if ahead > line.credit_ns else []
        left = max(0, line.credit_ns - max(0, ahead))
        return replace(line, at_ns=now.wall_ns, credit_ns=left, wanted_ns=None, waited_ns=0, lent=_few(lent))
    line = replace(line, lent=tuple((ns, 0) for ns, _ in line.lent))  # another clock, or it was wrong
    told = None if line.wanted_ns is None else line.wanted_ns + passed
    if told is None or now.wall_ns > told + little or (ahead < 0) != (told < line.at_ns):
        return replace(line, wanted_ns=now.wall_ns, waited_ns=0)
    # What was announced stays announced: a smaller jump is part of it, and what creeps on is not.
    waited = line.waited_ns + min(passed, TURN_MOST_NS)
    if waited >= wait_ns:
        at_ns, still_lent = min(now.wall_ns, told + little), line.lent if ahead > 0 else ()
        return replace(line, at_ns=at_ns, wanted_ns=None, waited_ns=0, credit_ns=0, lent=still_lent)
    return replace(line, wanted_ns=told, waited_ns=waited)


def _few(lent: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    if len(lent) <= _LOANS_MOST:
        return tuple(lent)
    first, second, *rest = lent
    return ((first[0] + second[0], min(first[1], second[1])), *rest)


def _advance_term(term: Term | None, asked_ns: int, told_ns: int, wait_ns: int) -> Term:
    if term is None or asked_ns >= term.ns:
        return Term(asked_ns)
    if term.wanted_ns is None or asked_ns < term.wanted_ns:
        return Term(term.ns, asked_ns, 0)
    waited = term.waited_ns + told_ns
    return Term(asked_ns) if waited >= wait_ns else Term(term.ns, asked_ns, waited)
