"""PURE. The name under which the events of a board go: its uid, or, where that may be another's, one that nobody had.

A consumer keys on (name, boot_id, event_id) and takes a key once. An event under a key of another event is a press that
nobody hears of. So a name is given for a boot only when no other boot can have used it.

Invariants
1. A name with a boot_id belongs to one boot of one board, as far as a host can know (PROTOCOL.md, 7a).
2. The same boot keeps its name while this object lives, and a board in good order keeps its uid as its name for ever.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from firmware_bridge.board_time import DRIFT, WRAP_MS
from firmware_bridge.messages import Hello
from firmware_bridge.reports import Trouble

ROUNDING_NS: Final = 20_000_000
"""What may lie between two spans of time in which a board has started, and they are of one boot all the same: the board
counts whole milliseconds, and both sides look at their clocks a moment after the fact."""

_MS: Final = 1_000_000
_MARK: Final = "~"


@dataclass(frozen=True, slots=True)
class Named:
    """`name` is what the keys begin with; `trouble` is why it is not the uid."""

    name: str
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class _Boot:
    """The newest boot that went under a name: from when to when it may have started, where that is known (it answered
    between a question and now), and when it was last heard."""

    boot_id: int
    started_ns: tuple[int, int] | None
    heard_ns: int


@dataclass(frozen=True, slots=True)
class _Here:
    """What is behind a bridge."""

    uid: str
    named: Named
    boot: _Boot
    plugged_in: bool = True


def plain(hello: Hello, _asked_ns: int, _now_ns: int) -> Named:
    """Every board under its uid: for who keeps no events."""
    return Named(hello.uid.hex())


class BoardNames:
    """The names of all boards of one host. Times are CLOCK_MONOTONIC in ns."""

    def __init__(self, new_mark: Callable[[], str]) -> None:
        """`new_mark` gives what was never given before: 8 random hex digits."""
        self._new_mark = new_mark
        self._newest: dict[str, _Boot] = {}
        self._here: dict[str, _Here] = {}

    def take_over(self, stored: Iterable[tuple[str, int, int]]) -> None:
        """(name, newest boot_id, when its newest event was stored): what earlier starts of the host have used. The time
        may be negative: before this start of the machine."""
        for name, boot_id, at_ns in stored:
            known = self._newest.get(name)
            if known is None or known.boot_id < boot_id:
                self._newest[name] = _Boot(boot_id, None, at_ns)

    def name(self, bridge: str, hello: Hello, asked_ns: int, now_ns: int) -> Named:
        """What the events of this board go under, which was asked behind `bridge` and has said HELLO."""
        uid = hello.uid.hex()
        boot = _Boot(hello.boot_id, (asked_ns - hello.t_ms * _MS, now_ns - hello.t_ms * _MS), now_ns)
        here = self._here.get(bridge)
        if here is not None and here.uid == uid and _same(here.boot, boot):
            named = here.named
        else:
            named = self._found(bridge, uid, boot)
        self._here[bridge] = _Here(uid, named, boot)
        if named.name == uid:
            self._newest[uid] = boot
        return named

    def gone(self, bridge: str) -> None:
        """The port of this bridge is closed: its board may come back behind another one."""
        here = self._here.get(bridge)
        if here is not None:
            self._here[bridge] = replace(here, plugged_in=False)

    def _found(self, bridge: str, uid: str, boot: _Boot) -> Named:
        if set(uid) in ({"0"}, {"f"}):
            return self._new(uid, Trouble.UID_NONE)
        if any(each.plugged_in and each.uid == uid for other, each in self._here.items() if other != bridge):
            return self._new(uid, Trouble.UID_TWICE)
        if self._fits(uid, boot):
            return Named(uid)
        return self._new(uid, Trouble.BOOT_WENT_BACK)

    def _new(self, uid: str, trouble: Trouble) -> Named:
        return Named(f"{uid}{_MARK}{self._new_mark()}", trouble)

    def _fits(self, name: str, boot: _Boot) -> bool:
        known = self._newest.get(name)
        if known is None or boot.boot_id > known.boot_id:
            return True
        return boot.boot_id == known.boot_id and _same(known, boot)


def _same(known: _Boot, boot: _Boot) -> bool:
    """Whether these are one boot."""
    if known.boot_id != boot.boot_id or boot.started_ns is None:
        return False
    first_ns, last_ns = boot.started_ns
    if known.started_ns is None:
        # It had started before its newest event was stored.
        return first_ns <= known.heard_ns + ROUNDING_NS + int(DRIFT * (boot.heard_ns - first_ns))
    apart_ns = _apart(first_ns, last_ns, *known.started_ns)
    return apart_ns <= ROUNDING_NS + int(DRIFT * abs(boot.heard_ns - known.heard_ns))


def _apart(first_ns: int, last_ns: int, known_first_ns: int, known_last_ns: int) -> int:
    """What lies between two spans of time, around the 49.7 days of the board's counter; negative when they overlap."""
    wrap_ns = WRAP_MS * _MS
    middle_ns = (first_ns + last_ns - known_first_ns - known_last_ns) // 2
    middle_ns = (middle_ns + wrap_ns // 2) % wrap_ns - wrap_ns // 2
    return abs(middle_ns) - (last_ns - first_ns + known_last_ns - known_first_ns) // 2
