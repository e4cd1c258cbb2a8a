"""People where nobody is meant to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.facts import InputState
from agent.safety import presence
from agent.safety.areas import Areas
from agent.safety.arming import Area, AreaState, Phase
from agent.safety.presence import Change, Presence
from agent.safety.zones import Zone, ZoneType

S = 1_000_000_000


def walk(looks: list[tuple[float, int | None, bool]]) -> list[tuple[float, Change]]:
    state, found = Presence(), []
    for at_s, people, watched in looks:
        state, change = presence.step(state, people, watched, 20, round(at_s * S))
        if change is not None:
            found.append((at_s, change))
    return found


def test_people_who_stay_are_told_and_their_going_too() -> None:
    looks: list[tuple[float, int | None, bool]] = [(at, 1, True) for at in range(30)]
    looks += [(at, 0, True) for at in range(30, 60)]
    assert walk(looks) == [(20, Change.RAISED), (40, Change.CLEARED)]


@pytest.mark.parametrize("look", [(10.0, 0, True), (10.0, None, True), (10.0, 1, False)])
def test_time_counts_from_the_last_doubt(look: tuple[float, int | None, bool]) -> None:
    looks: list[tuple[float, int | None, bool]] = [(at, 2, True) for at in range(10)]
    looks += [look, *((at, 2, True) for at in range(11, 40))]
    assert walk(looks) == [(31, Change.RAISED)]


def test_whoever_disarms_ends_it_and_a_camera_that_is_blind_does_not() -> None:
    raised: list[tuple[float, int | None, bool]] = [(at, 1, True) for at in range(21)]
    assert walk([*raised, *((at, None, True) for at in range(21, 900))]) == [(20, Change.RAISED)]
    assert walk([*raised, (21, None, False)]) == [(20, Change.RAISED), (21, Change.CLEARED)]


@given(st.lists(st.tuples(st.integers(0, 15), st.sampled_from([None, 0, 1, 7]), st.booleans()), max_size=60))
def test_raised_and_cleared_take_turns_and_never_without_a_reason(
    steps: list[tuple[int, int | None, bool]],
) -> None:
    at, looks = 0.0, list[tuple[float, int | None, bool]]()
    for wait, people, watched in steps:
        at += wait
        looks.append((at, people, watched))
    told = walk(looks)
    assert [change for _, change in told] == [Change.RAISED, Change.CLEARED] * (len(told) // 2) + (
        [Change.RAISED] if len(told) % 2 else []
    )
    for when, change in told:
        if change is Change.RAISED:
            recent = [look for look in looks if when - 20 <= look[0] <= when]
            last = [look for look in recent if look[0] > when - 20]
            assert all(look[2] and look[1] for look in last), "somebody was seen all the time, in an armed room"


def test_rooms_belong_to_the_areas_of_their_zones_unless_the_settings_name_others() -> None:
    zones = (
        Zone("Z1", "", ZoneType.PERIMETER, "B1", 0, "R01", area="A1"),
        Zone("Z2", "", ZoneType.PERIMETER, "B1", 1, "R01", area="A2"),
        Zone("Z3", "", ZoneType.PANIC_24H, "B1", 2, "R02"),
    )
    both = frozenset({"A1", "A2"})
    assert presence.areas_of_rooms({"A1": None, "A2": None}, zones) == {"R01": both}
    assert presence.areas_of_rooms({"A1": ("R02",), "A2": None}, zones) == {
        "R01": frozenset({"A2"}), "R02": frozenset({"A1"}),
    }  # fmt: skip
    assert presence.areas_of_rooms({"A1": (), "A2": ()}, zones) == {}


@pytest.mark.parametrize("first", list(Phase))
@pytest.mark.parametrize("second", list(Phase))
def test_a_room_is_watched_while_all_of_its_areas_are_armed_and_nobody_comes_or_goes(
    first: Phase, second: Phase
) -> None:
    areas = Areas(
        [Area(name, "", 0, 0, frozenset(), frozenset()) for name in ("A1", "A2")], lambda _zone: InputState.NORMAL
    )
    areas.put("A1", AreaState(first))
    areas.put("A2", AreaState(second))
    assert presence.is_watched(frozenset({"A1"}), areas) is (first is Phase.ARMED)
    assert presence.is_watched(frozenset({"A1", "A2"}), areas) is (first is second is Phase.ARMED)
    assert not presence.is_watched(frozenset(), areas)
