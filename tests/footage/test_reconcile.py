"""The disk against the index: what is decided, file by file."""

from agent.footage.mending.reconcile import Known, Quarantine, Recover, Remove, gap_reason, look, settle, snap
from agent.footage.mp4.boxes_walk import Walked
from agent.footage.naming import SegmentName
from agent.footage.timeline import GapReason

START = 1_000 * 10**9
NAMED = SegmentName("cam", "main", START, 1)


def _known(path: str, state: str = "closed", size: int = 100, end_ns: int | None = START + 60) -> Known:
    return Known(path, "cam", "main", START, end_ns, size, state)


def _walked(keep: int = 80, fragments: int = 2, camera: str | None = "cam", size: int = 100) -> Walked:
    told = None if camera is None else {"camera": camera}
    return Walked(keep, fragments, 20, 180_000, 90_000, told, size_bytes=size)


def test_only_what_differs_is_walked() -> None:
    rows = [_known("same"), _known("open", "open", 0, None), _known("shorter"), _known("gone")]
    looked = look({"same": 100, "open": 70, "shorter": 60, "stranger": 5}, rows)
    assert [path for path, _ in looked.walk] == ["open", "shorter", "stranger"]
    assert [row.path for row in looked.lost] == ["gone"]


def test_a_row_lost_before_is_not_lost_again() -> None:
    assert look({}, [_known("gone", "lost")]).lost == ()


def test_a_lost_file_that_comes_back_is_walked() -> None:
    assert look({"back": 100}, [_known("back", "lost")]).walk[0][0] == "back"


def test_an_open_file_ends_where_its_last_fragment_does() -> None:
    action = settle("p", NAMED, _walked(), _known("p", "open", 0, None))
    assert action == Recover("p", 80, START, START + 2_000_000_000, 20, "recovered", cut=True)


def test_an_open_file_in_which_nothing_plays_is_removed() -> None:
    assert settle("p", NAMED, _walked(0, 0), _known("p", "open", 0, None)) == Remove("p")
    assert settle("p", NAMED, _walked(0, 0, None), None) == Remove("p")


def test_a_closed_file_in_which_nothing_plays_is_kept_for_a_person_to_see() -> None:
    assert isinstance(settle("p", NAMED, _walked(0, 0), _known("p")), Quarantine)


def test_a_stranger_is_put_in_quarantine() -> None:
    assert isinstance(settle("notes.mp4", None, _walked(), None), Quarantine)
    assert isinstance(settle("p", NAMED, _walked(camera="other"), None), Quarantine)
    assert isinstance(settle("p", NAMED, _walked(camera=None), None), Quarantine)


def test_what_is_about_to_be_deleted_is_left_to_retention() -> None:
    looked = look({"there": 100}, [_known("there", "deleting"), _known("gone", "deleting")])
    assert (looked.walk, looked.lost) == ((), ())


def test_a_file_of_another_stream_is_put_in_quarantine() -> None:
    walked = Walked(80, 2, 20, 180_000, 90_000, {"camera": "cam", "stream": "sub"})
    assert isinstance(settle("p", NAMED, walked, None), Quarantine)


def test_a_file_of_ours_without_a_row_is_indexed_again() -> None:
    action = settle("p", NAMED, _walked(), None)
    assert isinstance(action, Recover)
    assert (action.start_ns, action.end_ns) == (START, START + 2_000_000_000)


def test_a_closed_file_that_became_shorter_ends_earlier() -> None:
    row = _known("p", "closed", 100, START + 60_000_000_000)
    action = settle("p", NAMED, _walked(), row)
    assert isinstance(action, Recover)
    assert action.end_ns == START + 2_000_000_000


def test_segments_that_touch_are_snapped_and_others_not() -> None:
    length = 60 * 10**9
    assert snap(START + length, length, START + length + 25_000_000, 1500) == START + length + 25_000_000
    assert snap(START + length, length, START + length + 2 * 10**9, 1500) == START + length


def test_why_nothing_follows() -> None:
    assert gap_reason(False, True) is GapReason.POWER_LOSS
    assert gap_reason(False, False) is GapReason.RESTART
    assert gap_reason(True, True) is GapReason.INDEX_LOST
