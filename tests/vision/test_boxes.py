import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.vision.boxes import SCORE_FLOOR, Floats, iou, soft_nms

edge = st.floats(0, 1, width=32)


@st.composite
def corners(draw: st.DrawFn) -> Floats:
    """Up to twelve boxes with their corners in order."""
    rows = []
    for _ in range(draw(st.integers(0, 12))):
        x, y = sorted((draw(edge), draw(edge))), sorted((draw(edge), draw(edge)))
        rows.append([x[0], y[0], x[1], y[1]])
    return np.array(rows, np.float64).reshape(-1, 4)


def test_overlap_of_known_boxes() -> None:
    whole, half, apart, empty = [0, 0, 1, 1], [0, 0, 1, 0.5], [2, 2, 3, 3], [0.5, 0.5, 0.5, 0.5]
    found = iou(np.array([whole, half], float), np.array([whole, apart, empty], float))
    assert found.tolist() == [[1, 0, 0], [0.5, 0, 0]]


@given(corners())
def test_overlap_is_symmetric_and_a_part(boxes: Floats) -> None:
    found = iou(boxes, boxes)
    assert np.allclose(found, found.T)
    assert ((found >= 0) & (found <= 1 + 1e-9)).all()


@given(corners(), st.data())
def test_suppression_only_takes_away_and_keeps_the_best(boxes: Floats, data: st.DataObject) -> None:
    scores = np.array([data.draw(st.floats(0, 1)) for _ in boxes])
    kept = soft_nms(boxes, scores)
    assert (kept <= scores).all()
    assert ((kept == 0) | (kept >= SCORE_FLOOR)).all()
    if len(scores) and scores.max() >= SCORE_FLOOR:
        assert kept.max() == scores.max()


def test_a_second_box_around_the_same_person_falls_and_a_neighbour_stays() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 0.95], [0.7, 0, 1.7, 1]])
    person, twin, neighbour = soft_nms(boxes, np.array([0.9, 0.85, 0.8]))
    assert person == 0.9
    assert twin < 0.14
    assert neighbour > 0.7
