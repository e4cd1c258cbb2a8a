"""The chore that keeps the table of holds: those of incidents, which it asks the alarm process for, and people's.

Invariants
1. The keeper's thread alone writes holds, and deletes footage: no hold comes between a decision and a deletion.
2. A hold is a row of the journal and of the table in one commit; who asked for it hears of it after that.
3. Whatever the order of starts, and however long the alarm process was away: every incident that is an alarm has its
   holds as soon as it is heard of.
4. No hold of an incident goes on for ever because the alarm process lost it (incident_terms.py), and its end is a row
   of the journal.
"""

import logging
import queue
import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Protocol

from agent.clock import Clock, stamp
from agent.facts import ClockQuality, Stamp, Text
from agent.footage.custody.journal import Journal, JournalWaits
from agent.footage.custody.journal_chain import Kind, Row
from agent.footage.fault import Fault
from agent.footage.index import Index
from agent.footage.rows import Statement
from agent.footage.upkeep import stock
from agent.footage.upkeep.due import DAY_NS
from agent.footage.upkeep.hold import Hold, cameras_of, incident_holds, released, wanted_change
from agent.footage.upkeep.incident_terms import Answered, IncidentTerms, are_unasked, over
from agent.seldom import Seldom
from agent.wire import Refused, Reply, Request, WireError, to_frame

log = logging.getLogger(__name__)

OPEN_EVERY_NS: Final = 3 * 10**9
ALL_EVERY_NS: Final = 60 * 10**9
"""Incidents that are over are asked for this often, and at once when one that was open is not any more."""

EVERYTHING_EVERY_NS: Final = 600 * 10**9
"""While an incident is told of no more, all that there are are asked for this often."""

MOST_WAITING: Final = 32
PAGE: Final = 100
PAGE_BYTES: Final = 60_000
"""Of one answer: a frame of the wire holds 64 KiB."""

_LONGEST: Final = {"who": 128, "why": 1024}

PAGES_MOST: Final = 1000
"""Of one walk through all incidents, some hundred on each: no answer makes it endless."""


class Ask(Protocol):
    """Asks the alarm process for a page of its incidents, oldest first: the newest, or those `before` them."""

    def __call__(self, open_only: bool, before: Any = None) -> tuple[Sequence[Mapping[str, Any]], Any]:
        """The page, and the `before` of the next one, None when there is none. Raises WireError and Refused."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Which cameras (storage names) see which zones and rooms."""

    zones: Mapping[str, Sequence[str]]
    rooms: Mapping[str, Sequence[str]]


class Holds:
    """See the module. The verbs may be called by any thread."""

    name = "holds"
    every_s = 0.5

    def __init__(
        self,
        index: Index,
        journal: Journal,
        clock: Clock,
        ask: Ask,
        seen: Seen,
        cameras: Mapping[str, str],
        term_ns: int,
    ) -> None:
        """`cameras`: storage name by id. `term_ns`: how long the footage of an incident is held after its end."""
        self._index, self._journal, self._clock, self._ask, self._seen = index, journal, clock, ask, seen
        self._cameras = dict(cameras)
        self._term_ns = term_ns
        self._terms = IncidentTerms(term_ns)
        self._holds: dict[str, Hold] | None = None
        self._loaded_n = self._generation = -1
        self._open_ns = self._all_ns = self._everything_ns = 0
        self._were_open: set[str] = set()
        self._walked = False
        """Whether every incident there is was looked at, and none can have come and gone since but the newest."""
        self._wishes: queue.Queue[tuple[Callable[[], dict[str, Any]], Reply]] = queue.Queue(MOST_WAITING)
        self._seldom = Seldom(log, clock)

    def current(self) -> list[Hold] | None:
        """All holds; None while they are not known. For the keeper's thread."""
        head = self._journal.head
        if head is None:
            return None
        generation = self._index.generation
        if self._holds is None or (head.n, generation) != (self._loaded_n, self._generation):
            with self._index.reading() as connection:
                if (
                    self._holds is None
                    or generation != self._generation
                    or _changed(connection, self._loaded_n, head.n)
                ):
                    self._holds = {each.id: each for each in read_holds(connection)}
            self._loaded_n, self._generation = head.n, generation
        return list(self._holds.values())

    def step(self, now: Stamp) -> None:
        """Do what people asked for, and look at the incidents."""
        while True:
            try:
                wish, reply = self._wishes.get_nowait()
            except queue.Empty:
                break
            try:
                reply.done(wish())
            except Refused as refused:
                reply.refuse(refused.code, refused.text)
            except (JournalWaits, sqlite3.Error) as error:
                reply.refuse("store_failing", Text(f"此刻无法记下：{error}", f"cannot be written down now: {error}"))
        if self.current() is not None and now.mono_ns >= self._open_ns:
            self._open_ns = now.mono_ns + OPEN_EVERY_NS
            self._look(now)

    def faults(self) -> list[Fault]:
        """None: an alarm process that is away is told by others."""
        return []

    def status(self) -> dict[str, Any]:
        """How many there are."""
        holds = list((self._holds or {}).values())
        now_ns = self._clock.wall_ns()
        active = [each for each in holds if each.active(now_ns)]
        return {"holds": {"active": len(active), "open": sum(each.to_ns is None for each in active)}}

    # Incidents.

    def _look(self, now: Stamp) -> None:
        try:
            told, _ = self._pages(True)
            are_open = {str(each.get("id")) for each in told}
            ended = self._were_open - are_open
            answered: Answered | None = None
            if now.mono_ns >= self._all_ns or ended:
                everything = now.mono_ns >= self._everything_ns and are_unasked(self.current() or (), are_open)
                closed, is_all = self._pages(False, until_known=self._walked and not everything)
                known = {str(each.get("id")) for each in closed}
                # One that is over and was not among the newest is found among all, next time.
                self._walked = ended <= known
                told = [*closed, *told]
                self._all_ns = now.mono_ns + ALL_EVERY_NS
                answered = Answered(are_open, known | are_open if is_all else None)
                if everything:
                    self._everything_ns = now.mono_ns + EVERYTHING_EVERY_NS
            self._were_open = are_open
        except (WireError, Refused) as error:
            self._walked = False
            self._seldom.say(logging.INFO, "ask", f"the incidents are not known: {error}")
            return
        try:
            for change in (change for incident in told for change in self._changes(incident, now)):
                self._put(change)
            if answered is not None:
                self._end(answered, now)
        except JournalWaits as error:
            self._seldom.say(logging.WARNING, "put", f"a hold cannot be written down: {error}")
            self._all_ns, self._walked = 0, False

    def _end(self, answered: Answered, now: Stamp) -> None:
        """Give a term to the holds of incidents that are told of no more, and write down the end of those whose term is
        over. By a time that is trusted alone. Raises JournalWaits and sqlite3.Error."""
        with self._index.reading() as connection:
            dues = stock.known_dues(connection)
        trusted_ns: int | None = None
        if dues is not None and dues.line.wanted_ns is None and now.quality in (ClockQuality.NTP, ClockQuality.RTC):
            is_near = abs(now.wall_ns - dues.line.at_ns) <= DAY_NS
            trusted_ns = max(now.wall_ns, dues.line.at_ns) if is_near else None
        for hold in self._terms.step(self.current() or (), answered, now.mono_ns, trusted_ns):
            log.warning("the incident %s is told of no more: its hold %s is given its term", hold.incident, hold.id)
            self._put(hold)
        for hold in over(self.current() or (), dues.line.sure_ns) if dues is not None else ():
            why = "its incident is told of no more, and its term is over"
            detail = {"id": hold.id, "released_ns": hold.released_ns, "released_by": "record", "why": why}
            self._put_release(hold, detail)

    def _pages(self, open_only: bool, until_known: bool = False) -> tuple[list[Mapping[str, Any]], bool]:
        """Incidents, page by page, newest pages first, and whether these are all of them; with `until_known` up to a
        page that changes nothing. Raises WireError and Refused."""
        found: list[Mapping[str, Any]] = []
        before: Any = None
        now = stamp(self._clock)
        for _ in range(PAGES_MOST):
            page, before = self._ask(open_only, before)
            found += page
            if before is None:
                return found, True
            if until_known and not any(self._changes(each, now) for each in page):
                break
        return found, False

    def _changes(self, incident: Mapping[str, Any], now: Stamp) -> list[Hold]:
        """Its holds that are not in the table as they should be."""
        cameras = cameras_of(str(incident.get("subject", "")), incident.get("room"), self._seen.zones, self._seen.rooms)
        told = incident_holds(incident, cameras, now.wall_ns, self._term_ns)
        changed = (wanted_change((self._holds or {}).get(hold.id), hold) for hold in told)
        return [each for each in changed if each is not None]

    def _put(self, hold: Hold) -> None:
        detail = {key: value for key, value in hold.values().items() if not key.startswith("released")}
        self._written(self._journal.append(Kind.HOLD, detail, put_hold(hold)), hold)

    # What people ask for.

    def verb_hold(self, request: Request, reply: Reply) -> None:
        """`hold {cameras: [id, ...] or null, from_ns, to_ns or null, who, why, days or null}` -> {holds}."""
        self._later(lambda: self._hold(request.args), reply)

    def verb_release(self, request: Request, reply: Reply) -> None:
        """`release {id: its beginning, who, why}` -> {hold}."""
        self._later(lambda: self._release(request.args), reply)

    def verb_holds(self, request: Request, reply: Reply) -> None:
        """`holds {all, start}` -> {holds, next}: the newest first, `next` is the `start` of what does not fit."""
        start = request.args.get("start", 0)
        if type(start) is not int or start < 0:
            reply.refuse("bad_request", Text("start 不对", "start is wrong"))
            return
        try:
            with self._index.reading() as connection:
                found = read_holds(connection)
        except sqlite3.Error as error:
            reply.refuse(
                "index_failing", Text(f"录像索引读不了：{error}", f"the footage index cannot be read: {error}")
            )
            return
        now_ns = self._clock.wall_ns()
        shown = [each for each in found if request.args.get("all") or each.active(now_ns)]
        shown.sort(key=lambda each: (each.from_ns, each.id), reverse=True)
        page: list[dict[str, Any]] = []
        room = PAGE_BYTES
        for hold in shown[start : start + PAGE]:
            told = self._told(hold)
            room -= len(to_frame(told))
            if page and room < 0:
                break
            page.append(told)
        more = start + len(page) if len(shown) > start + len(page) else None
        reply.done({"holds": page, "next": more})

    def _later(self, wish: Callable[[], dict[str, Any]], reply: Reply) -> None:
        try:
            self._wishes.put_nowait((wish, reply))
        except queue.Full:
            reply.refuse("busy", Text("请求太多，请再试", "too many requests, try again"))

    def _hold(self, args: Mapping[str, Any]) -> dict[str, Any]:
        if self.current() is None:
            raise JournalWaits("the journal is not known yet")
        who, why = _text(args, "who"), _text(args, "why")
        from_ns, to_ns, days = args.get("from_ns"), args.get("to_ns"), args.get("days")
        if type(from_ns) is not int or not isinstance(to_ns, int | None) or from_ns < 0:
            raise Refused("bad_range", Text("时间范围不对", "the range is wrong"))
        if to_ns is not None and not from_ns < to_ns < 1 << 62:
            raise Refused("bad_range", Text("止应晚于起", "the end must be after the beginning"))
        if days is not None and (type(days) is not int or not 1 <= days <= 36500):
            raise Refused("bad_request", Text("天数应为 1 到 36500", "days are from 1 to 36500"))
        now_ns = self._clock.wall_ns()
        until_ns = None if days is None else now_ns + days * DAY_NS
        made = [
            Hold(str(uuid.uuid4()), camera, from_ns, to_ns, who, why, None, now_ns, until_ns)
            for camera in self._named(args.get("cameras"))
        ]
        for hold in made:
            self._put(hold)
        return {"holds": [self._told(each) for each in made]}

    def _named(self, cameras: Any) -> list[str | None]:
        if cameras is None:
            return [None]
        if not isinstance(cameras, list) or not cameras or len(cameras) > 64:
            raise Refused("bad_request", Text("没有摄像机", "no cameras"))
        with self._index.reading() as connection:
            known = {row["id"]: row["uuid"] for row in connection.execute("SELECT id, uuid FROM camera")}
        known |= self._cameras
        for each in cameras:
            if each not in known:
                name = str(each)[:64]
                raise Refused("no_such_camera", Text(f"没有这台摄像机：{name}", f"there is no camera {name}"))
        return [known[each] for each in cameras]

    def _release(self, args: Mapping[str, Any]) -> dict[str, Any]:
        if self.current() is None or self._holds is None:
            raise JournalWaits("the journal is not known yet")
        who, why, prefix = _text(args, "who"), _text(args, "why"), str(args.get("id", ""))
        found = [each for each in self._holds.values() if each.id.startswith(prefix)] if prefix else []
        if len(found) != 1:
            zh, en = (
                ("没有这个封存", "there is no such hold") if not found else ("编号不唯一", "more than one begins so")
            )
            raise Refused("no_such_hold", Text(zh, en))
        (hold,) = found
        if hold.released_ns is not None:
            raise Refused("released", Text("已经解除", "it is released already"))
        if hold.incident is not None and hold.to_ns is None:
            raise Refused("incident_open", Text("警情还没有复位，不能解除", "its incident is not reset yet"))
        detail = {"id": hold.id, "released_ns": self._clock.wall_ns(), "released_by": who, "why": why}
        return {"hold": self._told(self._put_release(hold, detail))}

    def _put_release(self, hold: Hold, detail: dict[str, Any]) -> Hold:
        gone = released(hold, detail)
        self._written(self._journal.append(Kind.RELEASE, detail, put_hold(gone)), gone)
        return gone

    def _written(self, row: Row, hold: Hold) -> None:
        """A hold is in the table. Rows that came before this one, from a volume that has just come, may be holds too:
        they are looked for."""
        if self._holds is not None:
            self._holds[hold.id] = hold
        if row.n == self._loaded_n + 1:
            self._loaded_n = row.n

    def _told(self, hold: Hold) -> dict[str, Any]:
        """A hold for people: with the id of its camera instead of the storage name."""
        names = {uuid_: name for name, uuid_ in self._cameras.items()}
        camera = None if hold.camera is None else names.get(hold.camera, hold.camera)
        return {**hold.values(), "camera": camera, "active": hold.active(self._clock.wall_ns())}


_NAMES: Final = [each.name for each in fields(Hold)]


def put_hold(hold: Hold) -> Statement:
    """A row of the table `hold`, new or changed."""
    values = [getattr(hold, name) for name in _NAMES]
    return (f"INSERT OR REPLACE INTO hold ({', '.join(_NAMES)}) VALUES ({', '.join('?' for _ in _NAMES)})", values)


def _changed(connection: sqlite3.Connection, after_n: int, n: int) -> bool:
    """Whether rows of the journal since one of these numbers are about holds; what is no continuation may be."""
    about = (Kind.HOLD, Kind.RELEASE, Kind.FORK)
    found = connection.execute("SELECT 1 FROM journal WHERE n > ? AND kind IN (?, ?, ?) LIMIT 1", (after_n, *about))
    return n < after_n or found.fetchone() is not None


def read_holds(connection: sqlite3.Connection) -> list[Hold]:
    """Every hold that there ever was."""
    return [Hold(*row) for row in connection.execute(f"SELECT {', '.join(_NAMES)} FROM hold")]


def _text(args: Mapping[str, Any], key: str) -> str:
    value = args.get(key)
    if not isinstance(value, str) or not value.strip():
        words = {"who": Text("缺少操作人", "who is doing this?"), "why": Text("缺少原因", "a reason is needed")}
        raise Refused("bad_request", words[key])
    return value.strip()[: _LONGEST[key]]
