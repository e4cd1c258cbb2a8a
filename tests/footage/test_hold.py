"""Holds: what they protect, what an incident asks for, and what the journal gives back."""

from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import given

from agent.footage.upkeep.due import DAY_NS
from agent.footage.upkeep.hold import (
    AFTER_NS,
    ALARM_KINDS,
    BEFORE_NS,
    NS,
    Hold,
    Protection,
    cameras_of,
    carried,
    given_term,
    hold_of,
    incident_holds,
    released,
    replay,
    wanted_change,
)
from agent.safety import presence
from agent.safety.outputs import DEFAULT_LEVELS

T = 1_795_000_000 * NS
TERM = 180 * DAY_NS


def hold(from_ns: int, to_ns: int | None, camera: str | None = "a", **rest: int | None) -> Hold:
    return Hold("h", camera, from_ns, to_ns, "ann", "why", None, T, rest.get("until_ns"), rest.get("released_ns"))


SPANS = st.tuples(st.integers(0, 60), st.one_of(st.none(), st.integers(1, 30))).map(
    lambda pair: (pair[0], None if pair[1] is None else pair[0] + pair[1])
)
HOLDS = st.lists(
    st.builds(
        lambda span, camera, until, gone: hold(span[0], span[1], camera, until_ns=until, released_ns=gone),
        SPANS,
        st.sampled_from(["a", "b", None]),
        st.one_of(st.none(), st.integers(0, 100)),
        st.sampled_from([None, None, None, 5]),
    ),
    max_size=8,
)


@given(HOLDS, st.sampled_from(["a", "b", "c"]), st.integers(0, 90), st.integers(0, 10), st.integers(0, 100))
def test_what_is_protected_is_what_an_active_hold_overlaps(
    holds: list[Hold], camera: str, from_ns: int, length: int, now_ns: int
) -> None:
    plain = any(
        each.released_ns is None
        and (each.until_ns is None or each.until_ns > now_ns)
        and each.camera in (None, camera)
        and any((each.to_ns is None or at < each.to_ns) and at >= each.from_ns
                for at in range(from_ns, from_ns + max(length, 1)))
        for each in holds
    )  # fmt: skip
    protection = Protection(holds, now_ns)
    assert (protection.of(camera, from_ns, from_ns + length) is not None) == plain
    assert any(each.active(now_ns) and each.covers(camera, from_ns, from_ns + length) for each in holds) == plain


def test_an_open_hold_protects_all_that_follows() -> None:
    assert Protection([hold(T, None)], T).of("a", T + 10**6 * NS, T + 10**6 * NS + 1)


def press(**changed: object) -> dict[str, object]:
    return {
        "id": "i1", "kind": "panic", "subject": "zone/Z01", "name": "一键报警", "room": "R01", "state": "triggered",
        "triggered_ns": T, "last_ns": T, "restored_ns": None, "reset_ns": None, **changed,
    }  # fmt: skip


def test_an_open_incident_holds_from_30_s_before_it_on_and_a_closed_one_to_60_s_after_its_reset() -> None:
    (first,) = incident_holds(press(), ["a"], T, TERM)
    assert (first.camera, first.from_ns, first.to_ns, first.until_ns) == ("a", T - BEFORE_NS, None, None)
    assert BEFORE_NS == 30 * NS
    (after,) = incident_holds(press(state="reset", restored_ns=T + 5 * NS, reset_ns=T + 9 * NS), ["a"], T, TERM)
    assert after.id == first.id
    assert (after.to_ns, after.until_ns) == (T + 9 * NS + AFTER_NS, T + 9 * NS + AFTER_NS + TERM)
    assert AFTER_NS == 60 * NS


def test_what_arming_makes_an_alarm_holds_footage_too() -> None:
    for kind in ("intrusion", "door_forced"):
        (found,) = incident_holds(press(kind=kind), ["a"], T, TERM)
        assert (found.camera, found.from_ns) == ("a", T - BEFORE_NS)
    assert incident_holds(press(kind="door_held_open"), ["a"], T, TERM) == []


def test_whatever_sounds_holds_footage() -> None:
    of_environment = {"gas", "smoke", "water", "other"}
    assert (DEFAULT_LEVELS.keys() - of_environment) | {"environment"} == ALARM_KINDS


def test_people_after_hours_hold_the_cameras_of_their_room() -> None:
    zones, rooms = {"Z01": ["a"]}, {"R01": ["b", "c"]}
    cameras = cameras_of("room/R01", "R01", zones, rooms)
    found = incident_holds(press(kind=presence.KIND, subject="room/R01"), cameras, T, TERM)
    assert [each.camera for each in found] == ["b", "c"]


def test_one_that_closes_itself_ends_with_its_restore() -> None:
    (found,) = incident_holds(press(state="closed", restored_ns=T + 5 * NS), None, T, TERM)
    assert (found.camera, found.to_ns) == (None, T + 5 * NS + AFTER_NS)


def test_what_is_no_alarm_or_cannot_be_read_holds_nothing() -> None:
    for wrong in ({"kind": "fault"}, {"kind": "camera_silent"}, {"triggered_ns": None}, {"id": 5}, {"triggered_ns": 0}):
        assert incident_holds(press(**wrong), ["a"], T, TERM) == []


def test_the_cameras_are_those_of_the_zone_else_of_the_room_else_all() -> None:
    zones, rooms = {"Z01": ["a"], "Z02": []}, {"R01": ["b", "c"]}
    assert cameras_of("zone/Z01", "R01", zones, rooms) == ["a"]
    assert cameras_of("zone/Z02", "R01", zones, rooms) == ["b", "c"]
    assert cameras_of("zone/Z09", None, zones, rooms) is None


def test_told_again_nothing_changes_and_the_end_is_written_once() -> None:
    (first,) = incident_holds(press(), ["a"], T, TERM)
    (again,) = incident_holds(press(count=2), ["a"], T + NS, TERM)
    assert wanted_change(None, first) == first
    assert wanted_change(first, again) is None
    (ended,) = incident_holds(press(state="reset", reset_ns=T + 9 * NS), ["a"], T + 9 * NS, TERM)
    closed = wanted_change(first, ended)
    assert closed is not None
    assert (closed.to_ns, closed.made_ns) == (ended.to_ns, first.made_ns)
    assert wanted_change(closed, ended) is None
    assert wanted_change(closed, again) is None, "an old answer opens nothing again"


def test_what_a_person_released_is_not_made_again() -> None:
    (first,) = incident_holds(press(state="reset", reset_ns=T + 9 * NS), ["a"], T, TERM)
    gone = released(first, {"released_ns": T + NS, "released_by": "ann", "why": "done"})
    assert wanted_change(gone, first) is None
    assert not gone.active(T)


def test_the_journal_gives_every_hold_back() -> None:
    (first,) = incident_holds(press(), ["a"], T, TERM)
    (ended,) = incident_holds(press(state="reset", reset_ns=T + 9 * NS), ["a"], T, TERM)
    mine = Hold("m", None, T, T + 5, "ann", "complaint", None, T, None)
    rows = [
        ("hold", first.values()), ("checkpoint", {"id": "m"}), ("hold", mine.values()), ("hold", ended.values()),
        ("hold", {"id": 7}), ("release", {"id": "m", "released_ns": T + 9, "released_by": "bea", "why": "over"}),
        ("release", {"id": "unknown"}),
    ]  # fmt: skip
    found = replay(rows)
    assert found[first.id] == ended
    assert (found["m"].released_ns, found["m"].released_by) == (T + 9, "bea")
    assert set(found) == {first.id, "m"}
    assert hold_of(mine.values()) == mine


def test_an_incident_by_a_clock_that_was_set_back_since_holds_what_is_recorded_now_as_well() -> None:
    """A clock of the machine that was kept in local time is hours ahead until it is set."""
    ahead = T + 8 * 3600 * NS
    (first,) = incident_holds(press(triggered_ns=ahead), ["a"], ahead, TERM)
    during = incident_holds(press(triggered_ns=ahead), ["a"], T, TERM)
    known = {each.id: each for each in (wanted_change(first if each.id == first.id else None, each) for each in during)
             if each is not None}  # fmt: skip
    assert Protection(known.values(), T).of("a", T + 5 * NS, T + 6 * NS)
    end_ns = T + 60 * NS
    over = incident_holds(press(triggered_ns=ahead, state="reset", reset_ns=end_ns), ["a"], end_ns, TERM)
    known |= {each.id: each for each in (wanted_change(known.get(each.id), each) for each in over) if each is not None}
    protection = Protection(known.values(), end_ns)
    assert protection.of("a", T + 5 * NS, T + 6 * NS)
    assert protection.of("a", ahead, ahead + NS), "what has the wrong label"
    assert protection.of("a", end_ns + 3600 * NS, end_ns + 3601 * NS) is None, "and nothing for the hours between"
    assert protection.of("a", ahead + 30 * DAY_NS, ahead + 31 * DAY_NS) is None
    assert all(each.until_ns == end_ns + AFTER_NS + TERM for each in known.values())


@given(HOLDS, st.integers(0, 60), st.integers(1, 40), st.integers(0, 39), st.integers(1, 5))
def test_footage_that_was_held_is_held_where_it_is_moved_to(
    holds: list[Hold], from_ns: int, length: int, at: int, of: int
) -> None:
    to_ns, by_ns = from_ns + length, 10_000
    start_ns = min(from_ns + at, to_ns - 1)
    end_ns = min(start_ns + of, to_ns)
    moved = carried(holds, "a", from_ns, to_ns, by_ns)
    was = any(each.active(-1) and each.covers("a", start_ns, end_ns) for each in holds)
    assert any(each.covers("a", start_ns + by_ns, end_ns + by_ns) for each in moved) == was
    assert all(each.camera == "a" for each in moved)


def test_a_hold_that_the_wrong_clock_made_moves_with_its_term() -> None:
    """The machine began in 1970, and an incident was over before the time was known: by its own term its hold would be
    over the moment the clock is set."""
    in_1970, by_ns = 3600 * NS, T
    made = hold(in_1970, in_1970 + 60 * NS, until_ns=in_1970 + TERM)
    made = replace(made, made_ns=in_1970 + 90 * NS)
    (moved,) = carried([made], "a", in_1970, in_1970 + 120 * NS, by_ns)
    assert moved.until_ns == in_1970 + TERM + by_ns
    assert moved.active(in_1970 + by_ns + TERM - 1)


def test_a_hold_that_the_right_clock_made_keeps_its_term() -> None:
    """A person held footage of a wrong label for thirty days: not for thirty days and half a century."""
    made = hold(3600 * NS, 3660 * NS, until_ns=T + 30 * DAY_NS)
    (moved,) = carried([made], "a", 3600 * NS, 3700 * NS, T - 2 * DAY_NS)
    assert moved.until_ns == T + 30 * DAY_NS


def test_an_incident_that_ended_by_a_clock_that_was_never_set_has_no_term_yet() -> None:
    told = {"id": "i", "kind": "panic", "state": "reset", "triggered_ns": 3600 * NS, "reset_ns": 3700 * NS}
    (held,) = incident_holds(told, ["a"], 3800 * NS, TERM)
    assert (held.to_ns, held.until_ns) == (3700 * NS + AFTER_NS, None)
    assert given_term(held, T, TERM) == replace(held, until_ns=T + TERM)


def test_an_incident_that_is_told_of_again_goes_on() -> None:
    told = {"id": "i", "kind": "panic", "state": "triggered", "triggered_ns": T, "reset_ns": None}
    (held,) = incident_holds(told, ["a"], T, TERM)
    lost = given_term(held, T + DAY_NS, TERM)
    assert (lost.to_ns, lost.until_ns) == (T + DAY_NS + AFTER_NS, T + DAY_NS + AFTER_NS + TERM)
    assert wanted_change(lost, held) == held, "it was open all the time"
    (over,) = incident_holds({**told, "state": "reset", "reset_ns": T + 60 * NS}, ["a"], T, TERM)
    assert wanted_change(lost, over) is None, "and never ends earlier than it was told to"
