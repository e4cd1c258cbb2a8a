"""Situations over time, and what must hold whatever happens."""

from hypothesis import given
from hypothesis import strategies as st

from agent.vision.boxes import Box
from agent.vision.tracks import BIRTH_SCORE, KEEP_S, Tracks, step


def person(x: float, y: float = 0.3, score: float = 0.8, height: float = 0.3) -> Box:
    """Somebody whose middle is at `x` and whose head is at `y`."""
    return Box(x - height / 8, y, x + height / 8, y + height, score)


def play(looks: list[list[Box]], every_s: float = 0.5) -> list[Tracks]:
    """The tracks after each look."""
    tracks, states = Tracks(), []
    for number, boxes in enumerate(looks):
        tracks = step(tracks, boxes, number * every_s)
        states.append(tracks)
    return states


def test_somebody_who_stays_is_one_person_with_one_id() -> None:
    states = play([[person(0.5)]] * 10)
    assert [state.count() for state in states] == [0] + [1] * 9
    assert {track.id for state in states for track in state.people} == {1}


def test_somebody_who_walks_through_keeps_the_id() -> None:
    states = play([[person(0.1 + 0.06 * number)] for number in range(12)])
    assert {track.id for state in states for track in state.people} == {1}


def test_two_who_pass_each_other_stay_two() -> None:
    looks = [[person(0.2 + 0.05 * n, y=0.3), person(0.8 - 0.05 * n, y=0.45)] for n in range(12)]
    assert all(state.count() == 2 for state in play(looks)[1:])


def test_somebody_hidden_for_a_moment_stays_counted() -> None:
    states = play([[person(0.5)]] * 4 + [[]] * 2 + [[person(0.52)]] * 2)
    assert [state.count() for state in states][1:] == [1] * 7
    assert states[-1].people[0].id == 1


def test_somebody_who_left_is_forgotten_after_seconds_not_frames() -> None:
    for every_s in (0.1, 0.5):
        gone = round(KEEP_S / every_s) + 1
        states = play([[person(0.5)]] * 4 + [[]] * gone, every_s)
        assert states[-1].count() == 0
        assert states[3 + gone // 2].count() == 1


def test_somebody_at_the_edge_leaves_sooner() -> None:
    states = play([[person(0.03)]] * 4 + [[]])
    assert [state.count() for state in states][-2:] == [1, 0]


def test_a_flicker_of_one_look_is_nobody() -> None:
    states = play([[]] * 2 + [[person(0.5)]] + [[]] * 4)
    assert all(state.count() == 0 for state in states)


def test_a_faint_box_begins_nobody_but_keeps_somebody() -> None:
    assert all(not state.people for state in play([[person(0.5, score=BIRTH_SCORE - 0.01)]] * 5))
    states = play([[person(0.5)]] * 2 + [[person(0.5, score=0.31)]] * 8)
    assert states[-1].count() == 1


def test_key_frames_seconds_apart_still_find_the_same_people() -> None:
    states = play([[person(0.3), person(0.7)]] * 5, every_s=4)
    assert states[-1].count() == 2
    assert {track.id for track in states[-1].people} == {1, 2}


boxes = st.builds(
    person, x=st.floats(0.05, 0.95), y=st.floats(0, 0.6), score=st.floats(0.3, 1), height=st.floats(0.05, 0.4)
)


@given(st.lists(st.tuples(st.floats(0.05, 5), st.lists(boxes, max_size=6)), max_size=20))
def test_whatever_comes(looks: list[tuple[float, list[Box]]]) -> None:
    tracks, now_s, known = Tracks(), 0.0, set[int]()
    for wait_s, found in looks:
        now_s += wait_s
        before = tracks
        tracks = step(tracks, found, now_s)
        ids = [track.id for track in tracks.people]
        assert len(ids) == len(set(ids))
        assert not (set(ids) - {track.id for track in before.people}) & known, "an id was used twice"
        known |= set(ids)
        assert all(number < tracks.next_id for number in ids)
        assert len([track for track in tracks.people if track.seen_s == now_s]) <= len(found)
        assert all(now_s - track.seen_s < KEEP_S for track in tracks.people)
        assert tracks.next_id - before.next_id <= sum(box.score >= BIRTH_SCORE for box in found)
