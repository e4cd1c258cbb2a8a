"""Why there is no footage where no row says so: situations, and what holds for every input."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.footage.gaps import ENDED_STEP, ENDED_STOPPED, ENDED_UNTOLD, Edge, Stretch, explain, stretch_from
from agent.footage.timeline import NS, Gap

REEL = "c1/main"
HOUR = 3600 * NS


def stretch(
    number: int, from_s: int, to_s: int, ended: str = ENDED_STOPPED, boot: str = "b1", mono_s: int | None = None,
    reels: tuple[str, ...] = (REEL,),
) -> Stretch:  # fmt: skip
    mono = from_s if mono_s is None else mono_s
    return Stretch(number, boot, from_s * NS, to_s * NS, mono * NS, (mono + to_s - from_s) * NS, "ntp", reels, ended)


def told(from_s: int, to_s: int, stretches: list[Stretch]) -> list[tuple[int, int, str]]:
    pieces = explain(from_s * NS, to_s * NS, REEL, None, None, stretches)
    return [(each.from_ns // NS, (each.to_ns or 0) // NS, each.reason) for each in pieces]


def test_off_between_two_orderly_lives() -> None:
    assert told(100, 160, [stretch(1, 0, 100), stretch(2, 160, 300)]) == [(100, 160, "restart")]


def test_killed_and_powered_off() -> None:
    lives = [stretch(1, 0, 100, ENDED_UNTOLD), stretch(2, 110, 200, ENDED_UNTOLD), stretch(3, 500, 600, boot="b2")]
    (killed,) = explain(100 * NS, 110 * NS, REEL, None, None, lives)
    assert (killed.reason, killed.detail) == ("power_loss", "recorder_killed")
    (off,) = explain(200 * NS, 500 * NS, REEL, None, None, lives)
    assert (off.reason, off.detail) == ("power_loss", "machine_off")


def test_a_camera_that_was_not_configured_for_a_while() -> None:
    lives = [stretch(1, 0, 100), stretch(2, 120, 900, reels=("c2/main",)), stretch(3, 930, 990)]
    assert told(100, 930, lives) == [(100, 120, "restart"), (120, 900, "configuration"), (900, 930, "restart")]


def test_the_clock_was_set_forward_while_the_recorder_was_off() -> None:
    lives = [stretch(1, 0, 100), stretch(2, 3760, 4000, mono_s=160)]
    assert told(100, 3760, lives) == [(100, 160, "restart"), (160, 3760, "clock_step")]
    (_, step) = explain(100 * NS, 3760 * NS, REEL, None, None, lives)
    assert step.detail == "clock_set: 3600.0"


def test_the_clock_was_set_back_while_the_recorder_was_off_and_forward_again() -> None:
    lives = [stretch(1, 0, 100), stretch(2, 50, 80, mono_s=130), stretch(3, 300, 400, mono_s=170)]
    assert told(100, 300, lives) == [(100, 300, "clock_step")]
    assert told(80, 100, lives) == [(80, 90, "restart"), (90, 100, "clock_step")]


def test_the_clock_was_set_forward_while_the_recorder_ran() -> None:
    lives = [stretch(1, 0, 100, ENDED_STEP), stretch(2, 1100, 1200, mono_s=100)]
    assert told(100, 1100, lives) == [(100, 1100, "clock_step")]


def test_the_footage_on_both_sides_tells_of_a_step_when_nothing_else_is_known() -> None:
    before, after = Edge(100 * NS, "b1", 0, "unknown"), Edge(5000 * NS, "b1", 4890 * NS, "ntp")
    (piece,) = explain(100 * NS, 5000 * NS, REEL, before, after, [])
    assert piece == Gap(100 * NS, 5000 * NS, "clock_step", "clock_set: 4890.0")
    other = Edge(5000 * NS, "b2", 4890 * NS, "ntp")
    assert [each.reason for each in explain(100 * NS, 5000 * NS, REEL, before, other, [])] == ["index_lost"]


def test_a_sliver_beside_a_known_gap_belongs_to_it() -> None:
    beside = [Gap(0, 100 * NS, "camera_silent", "no packets come")]
    assert explain(100 * NS, 100 * NS + 7, REEL, None, None, [], beside) == [
        Gap(100 * NS, 100 * NS + 7, "camera_silent", "no packets come")
    ]


def test_a_stretch_survives_its_note() -> None:
    life = stretch(3, 10, 20, reels=("a/main", "b/sub"))
    assert stretch_from(life.to_text()) == life
    assert stretch_from("{}") is None
    assert stretch_from("no json") is None


stretches = st.lists(
    st.builds(
        stretch, st.just(0), st.integers(0, 500), st.integers(0, 500), st.sampled_from(["", "stopped", "step"]),
        st.sampled_from(["b1", "b2"]), st.integers(0, 1000), st.sampled_from([(REEL,), ("c2/main",)]),
    ),
    max_size=6,
)  # fmt: skip
edges = st.none() | st.builds(
    Edge, st.integers(0, 500 * NS), st.sampled_from(["b1", ""]), st.integers(0, 10**12), st.just("ntp")
)


@given(st.integers(0, 500 * NS), st.integers(1, 500 * NS), edges, edges, stretches)
def test_every_piece_is_explained_whole(
    from_ns: int, length_ns: int, before: Edge | None, after: Edge | None, lives: list[Stretch]
) -> None:
    pieces = explain(from_ns, from_ns + length_ns, REEL, before, after, lives)
    assert pieces[0].from_ns == from_ns
    assert pieces[-1].to_ns == from_ns + length_ns
    assert all(a.to_ns == b.from_ns for a, b in pairwise(pieces))
    assert all(each.from_ns < (each.to_ns or 0) for each in pieces)
    assert all(each.reason != "unrecorded" for each in pieces)
