"""The chore of holds: what incidents ask for, whatever the order of starts, and what people may do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.facts import ClockQuality, Text
from agent.footage.custody import journal_copy
from agent.footage.custody.journal_chain import Head, Kind, next_row
from agent.footage.upkeep.due import Dues, Line
from agent.footage.upkeep.hold import AFTER_NS, BEFORE_NS, Hold, carried
from agent.footage.upkeep.holds import Holds, Seen
from agent.footage.upkeep.stock import DUES
from agent.processes.record_chores import incidents_of
from agent.wire import MAX_FRAME_BYTES, Peer, Refused, Reply, Request, Server, to_frame
from tests.fakes.kept import DAY_S, Kept, S, in_memory

TERM_NS = 180 * 86_400 * S


class Alarm:
    """What the alarm process answers; a real socket in front of it."""

    def __init__(self, runtime: Path) -> None:
        self.socket = runtime / "alarm.sock"
        self.incidents: list[dict[str, Any]] = []
        self.asked: list[bool] = []
        self.at_once = 100
        self._server: Server | None = None

    def start(self) -> None:
        self._server = Server(self.socket, {"incidents": self._answer})
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _answer(self, request: Request, reply: Reply) -> None:
        open_only = bool(request.args["open_only"])
        self.asked.append(open_only)
        over = ("reset", "closed")
        found = [each for each in self.incidents if not open_only or each["state"] not in over]
        if (before := request.args.get("before")) is not None:
            found = found[: [each["id"] for each in found].index(before)]
        shown = found[-self.at_once :]
        reply.done({"incidents": shown, "next": shown[0]["id"] if len(shown) < len(found) else None})


class Rig(Kept):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.alarm = Alarm(folder)
        self.chore = self.make()

    def make(self) -> Holds:
        seen = Seen({"Z1": [self.a], "Z2": []}, {"R1": [self.a, self.b]})
        return Holds(
            self.index,
            self.journal,
            self.clock,
            incidents_of(self.alarm.socket),
            seen,
            {"A": self.a, "B": self.b},
            TERM_NS,
        )

    def turn(self, seconds: float = 3.0) -> dict[str, Hold]:
        self.clock.move(seconds)
        self.chore.step(self.now)
        return {each.id: each for each in self.chore.current() or []}

    def press(self, name: str = "i1", **changed: Any) -> dict[str, Any]:
        now_ns = self.clock.wall_ns()
        return {
            "id": name, "kind": "panic", "subject": "zone/Z1", "name": "button", "room": "R1", "state": "triggered",
            "triggered_ns": now_ns, "last_ns": now_ns, "restored_ns": None, "reset_ns": None, **changed,
        }  # fmt: skip

    def ask(self, verb: str, **args: Any) -> dict[str, Any]:
        """What a verb answers; the chore turns meanwhile. Raises Refused."""
        frames: list[dict[str, Any]] = []
        reply = Reply(frames.append, 1)
        getattr(self.chore, f"verb_{verb}")(Request(verb, args, Peer(1, 0, 0)), reply)
        self.turn(0.5)
        (frame,) = frames
        if not frame["ok"]:
            raise Refused(frame["error"]["code"], Text(frame["error"]["zh"], frame["error"]["en"]))
        answer: dict[str, Any] = frame["result"]
        return answer


@pytest.fixture
def rig() -> Iterator[Rig]:
    with in_memory() as folder:
        found = Rig(folder)
        yield found
        found.alarm.stop()
        found.close()


def test_an_incident_is_held_while_it_is_open_and_then_for_its_term(rig: Rig) -> None:
    rig.alarm.start()
    press = rig.press()
    rig.alarm.incidents = [press]
    (hold,) = rig.turn().values()
    assert (hold.camera, hold.from_ns, hold.to_ns, hold.until_ns) == (
        rig.a,
        press["triggered_ns"] - BEFORE_NS,
        None,
        None,
    )
    rig.clock.move(100)
    rig.alarm.incidents = [{**press, "state": "reset", "reset_ns": rig.clock.wall_ns()}]
    reset_ns = rig.clock.wall_ns()
    (after,) = rig.turn().values()
    assert (after.id, after.to_ns, after.until_ns) == (hold.id, reset_ns + AFTER_NS, reset_ns + AFTER_NS + TERM_NS)
    written = len(rig.journal_rows("hold"))
    for _ in range(50):
        rig.turn()
    assert len(rig.journal_rows("hold")) == written == 2, "nothing new is nothing written"


def test_the_alarm_process_may_start_last_or_be_away_while_an_incident_ends(rig: Rig) -> None:
    press = rig.press()
    assert rig.turn() == {}
    rig.alarm.start()
    rig.alarm.incidents = [press]
    assert len(rig.turn()) == 1
    rig.alarm.stop()
    rig.turn()
    rig.alarm.incidents = [
        {**press, "state": "reset", "reset_ns": rig.clock.wall_ns()},
        rig.press("i2", kind="tamper", subject="zone/Z2", state="reset", reset_ns=rig.clock.wall_ns()),
    ]
    rig.alarm.start()
    found = rig.turn()
    assert {(each.incident, each.camera) for each in found.values()} == {("i1", rig.a), ("i2", rig.a), ("i2", rig.b)}
    assert all(each.to_ns is not None for each in found.values())


def test_incidents_that_were_over_before_anybody_asked_are_held_however_many(rig: Rig) -> None:
    rig.alarm.at_once = 3
    rig.alarm.incidents = [rig.press(f"i{n}", state="closed", reset_ns=rig.clock.wall_ns()) for n in range(10)]
    rig.alarm.start()
    assert len(rig.turn()) == 10
    asked = len(rig.alarm.asked)
    for _ in range(25):
        rig.turn()
    assert len(rig.alarm.asked) - asked <= 25 + 2, "what is known is not asked for again and again"
    rig.alarm.stop()
    rig.turn()
    rig.alarm.incidents += [rig.press(f"j{n}", state="closed", reset_ns=rig.clock.wall_ns()) for n in range(10)]
    rig.alarm.start()
    rig.turn(60)
    assert len(rig.turn(60)) == 20


def test_an_incident_that_was_open_for_long_ends_though_many_newer_ones_are_over(rig: Rig) -> None:
    rig.alarm.at_once = 3
    old = rig.press("old")
    newer = [rig.press(f"i{n}", state="closed", reset_ns=rig.clock.wall_ns()) for n in range(10)]
    rig.alarm.incidents = [old, *newer]
    rig.alarm.start()
    assert [each.incident for each in rig.turn().values() if each.to_ns is None] == ["old"]
    rig.alarm.incidents = [{**old, "state": "reset", "reset_ns": rig.clock.wall_ns()}, *newer]
    for _ in range(22):
        found = rig.turn()
    assert all(each.to_ns is not None for each in found.values())


def test_an_incident_of_an_unknown_place_holds_every_camera_and_a_fault_none(rig: Rig) -> None:
    rig.alarm.start()
    rig.alarm.incidents = [
        rig.press("i1", subject="zone/Z9", room=None),
        rig.press("i2", kind="fault"),
        rig.press("i3", kind="camera_silent", subject="camera/C01"),
    ]
    (hold,) = rig.turn().values()
    assert (hold.incident, hold.camera) == ("i1", None)


def test_holds_survive_a_restart_and_the_loss_of_the_index(rig: Rig) -> None:
    rig.alarm.start()
    rig.alarm.incidents = [rig.press()]
    before = rig.turn()
    mine = rig.ask("hold", cameras=["B"], from_ns=5, to_ns=9, who="ann", why="complaint", days=None)["holds"][0]
    rig.ask("release", id=mine["id"][:6], who="bea", why="settled")
    before = {each.id: each for each in rig.chore.current() or []}
    rig.alarm.stop()
    rig.restart()
    rig.chore = rig.make()
    assert {each.id: each for each in rig.chore.current() or []} == before
    rig.close()
    for path in rig.folder.glob("footage.db*"):
        path.unlink()
    rig.begin()
    rig.chore = rig.make()
    assert {each.id: each for each in rig.chore.current() or []} == before


def test_people_hold_with_a_reason_and_a_term_and_release_with_a_reason(rig: Rig) -> None:
    answer = rig.ask("hold", cameras=["A", "B"], from_ns=10, to_ns=20, who="ann/1000", why="complaint", days=30)
    assert [each["camera"] for each in answer["holds"]] == ["A", "B"]
    held = rig.clock.wall_ns() + 30 * 86_400 * S
    assert all(abs(each["until_ns"] - held) < DAY_S * S for each in answer["holds"])
    listed = rig.ask("holds", all=False)
    assert {each["id"] for each in listed["holds"]} == {each["id"] for each in answer["holds"]}
    gone = rig.ask("release", id=answer["holds"][0]["id"], who="bea/1001", why="settled")["hold"]
    assert (gone["released_by"], gone["active"]) == ("bea/1001", False)
    assert len(rig.ask("holds", all=False)["holds"]) == 1
    assert len(rig.ask("holds", all=True)["holds"]) == 2
    (release,) = rig.journal_rows("release")
    assert release.told()["why"] == "settled"


@pytest.mark.parametrize(
    ("verb", "args", "code"),
    [
        ("hold", {"cameras": ["X"], "from_ns": 1, "to_ns": 2, "who": "a", "why": "b"}, "no_such_camera"),
        ("hold", {"cameras": None, "from_ns": 2, "to_ns": 2, "who": "a", "why": "b"}, "bad_range"),
        ("hold", {"cameras": None, "from_ns": "1", "to_ns": 2, "who": "a", "why": "b"}, "bad_range"),
        ("hold", {"cameras": None, "from_ns": 1, "to_ns": 2, "who": "a", "why": " "}, "bad_request"),
        ("hold", {"cameras": None, "from_ns": 1, "to_ns": 2, "who": "", "why": "b"}, "bad_request"),
        ("hold", {"cameras": None, "from_ns": 1, "to_ns": 2, "who": "a", "why": "b", "days": 0}, "bad_request"),
        ("hold", {"cameras": [], "from_ns": 1, "to_ns": 2, "who": "a", "why": "b"}, "bad_request"),
        ("release", {"id": "zz", "who": "a", "why": "b"}, "no_such_hold"),
        ("release", {"id": "", "who": "a", "why": "b"}, "no_such_hold"),
        ("holds", {"start": -1}, "bad_request"),
    ],
)
def test_what_is_asked_wrongly_is_refused_and_changes_nothing(
    rig: Rig, verb: str, args: dict[str, Any], code: str
) -> None:
    with pytest.raises(Refused) as refused:
        rig.ask(verb, **args)
    assert refused.value.code == code
    assert rig.chore.current() == []


def test_the_hold_of_an_open_incident_is_not_released_and_a_released_one_not_made_again(rig: Rig) -> None:
    rig.alarm.start()
    press = rig.press()
    rig.alarm.incidents = [press]
    (hold,) = rig.turn().values()
    with pytest.raises(Refused) as refused:
        rig.ask("release", id=hold.id, who="ann", why="in the way")
    assert refused.value.code == "incident_open"
    rig.alarm.incidents = [{**press, "state": "reset", "reset_ns": rig.clock.wall_ns()}]
    rig.turn()
    rig.ask("release", id=hold.id, who="ann", why="a false alarm")
    for _ in range(30):
        (after,) = rig.turn().values()
    assert after.released_by == "ann"


def test_many_holds_are_told_page_by_page_and_each_page_fits_a_frame(rig: Rig) -> None:
    for number in range(130):
        rig.hold(Hold(f"h{number}", rig.a, number, None, "w" * 128, "y" * 1024, None, 0, None))
    found: list[str] = []
    start: int | None = 0
    while start is not None:
        page = rig.ask("holds", all=True, start=start)
        assert len(to_frame({"v": "1.0", "id": 1, "ok": True, "result": page})) < MAX_FRAME_BYTES
        found += [each["id"] for each in page["holds"]]
        start = page["next"]
    assert len(found) == len(set(found)) == 130


def know_the_time(rig: Rig) -> None:
    """As retention notes it."""
    now = rig.now
    line = Line(now.wall_ns, now.mono_ns, "boot", started=False)
    note = ("INSERT OR REPLACE INTO note VALUES (?, ?)", (DUES, json.dumps(Dues(line, {}).values())))
    rig.index.submit(note).done.wait(5)


def live(rig: Rig, minutes: int) -> dict[str, Hold]:
    for _ in range(minutes):
        know_the_time(rig)
        found = rig.turn(60)
    return found


def test_an_incident_that_the_alarm_process_lost_ends_after_an_hour_and_is_held_for_its_term(rig: Rig) -> None:
    rig.alarm.start()
    press = rig.press()
    rig.alarm.incidents = [press]
    (hold,) = live(rig, 1).values()
    rig.alarm.incidents = [rig.press("i2", state="reset", reset_ns=rig.clock.wall_ns())]
    assert live(rig, 50)[hold.id] == hold, "not yet"
    rig.alarm.stop()
    live(rig, 20)
    rig.alarm.start()
    assert live(rig, 50)[hold.id] == hold, "an hour of answers"
    ended = live(rig, 40)[hold.id]
    assert ended.to_ns is not None
    assert ended.until_ns == ended.to_ns + TERM_NS
    assert ended.to_ns > press["triggered_ns"] + 3600 * S
    rig.alarm.incidents = [press]
    assert live(rig, 2)[hold.id].to_ns is None, "its database was given back"


def test_the_end_of_such_a_hold_is_a_row_of_the_journal(rig: Rig) -> None:
    rig.alarm.start()
    rig.alarm.incidents = [rig.press()]
    (hold,) = live(rig, 1).values()
    rig.alarm.incidents = []
    live(rig, 90)
    assert rig.journal_rows("release") == []
    rig.clock.move(TERM_NS / S + 90 * 60)
    found = live(rig, 90)[hold.id]
    (row,) = rig.journal_rows("release")
    assert found.released_by == row.told()["released_by"] == "record"
    assert found.released_ns is not None
    assert found.until_ns is not None
    assert found.released_ns >= found.until_ns


@pytest.mark.parametrize("why", ["clock", "line"])
def test_without_a_time_that_is_trusted_nothing_is_given_a_term(rig: Rig, why: str) -> None:
    rig.alarm.start()
    rig.alarm.incidents = [rig.press()]
    before = live(rig, 1)
    rig.alarm.incidents = []
    if why == "clock":
        rig.clock.now_quality = ClockQuality.UNKNOWN
        live(rig, 90)
    else:
        rig.clock.step_wall(400 * 86_400)
        for _ in range(90):
            rig.turn(60)
    assert {each.id: each for each in rig.chore.current() or []} == before


def test_what_was_carried_to_another_time_while_its_incident_was_open_has_its_term_too(rig: Rig) -> None:
    rig.alarm.start()
    press = rig.press()
    rig.alarm.incidents = [press]
    (hold,) = live(rig, 1).values()
    (moved,) = carried([hold], rig.a, hold.from_ns, hold.from_ns + 60 * S, 3600 * S)
    rig.hold(moved)
    assert live(rig, 90)[moved.id] == moved, "while it is open"
    rig.alarm.incidents = [{**press, "state": "reset", "reset_ns": rig.clock.wall_ns()}]
    found = live(rig, 90)
    assert found[moved.id].to_ns == moved.to_ns
    assert (found[moved.id].until_ns or 0) >= (found[hold.id].until_ns or 0)


def test_a_hold_that_comes_with_a_volume_while_another_is_written_holds_at_once(rig: Rig, tmp_path: Path) -> None:
    """The volume was away; the first who writes into the journal takes over what it alone knows."""
    rig.turn()
    rows = list(journal_copy.read(rig.volume))
    head = Head(rows[-1].n, rows[-1].hash) if rows else Head()
    other = Hold("held elsewhere", rig.a, 1, 2, "x", "y", None, 3, None)
    journal_copy.append(tmp_path, [*rows, next_row(head, 5, Kind.HOLD, other.values())])
    rig.journal._volumes = lambda: [rig.volume, tmp_path]
    rig.ask("hold", cameras=["B"], from_ns=10, to_ns=20, who="x", why="y")
    assert {each.camera for each in rig.chore.current() or ()} == {rig.a, rig.b}
