"""PURE. Boxes around people: how they overlap, and which of them mean the same person."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

SOFT_NMS_SIGMA: Final = 0.3
"""How fast a box loses score by overlapping a better one: measured best on three cameras with 2 to 9 people,
chosen on other images (design of vision, "counting methods")."""

SCORE_FLOOR: Final = 0.1
"""Boxes below this are dropped: under the lowest threshold a camera may have (0.14)."""


class Box(NamedTuple):
    """A person as seen in one frame. Corners as parts of the picture's width and height, from its top left."""

    left: float
    top: float
    right: float
    bottom: float
    score: float


def iou(corners: Floats, others: Floats) -> Floats:
    """Intersection over union of each of `corners` [n,4] with each of `others` [m,4], as [n,m].

    A row is left, top, right, bottom. An empty box overlaps nothing.
    """
    low = np.maximum(corners[:, None, :2], others[None, :, :2])
    high = np.minimum(corners[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    union = _areas(corners)[:, None] + _areas(others)[None, :] - shared
    overlap: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def soft_nms(corners: Floats, scores: Floats, sigma: float = SOFT_NMS_SIGMA, floor: float = SCORE_FLOOR) -> Floats:
    """The score of each box after every better box has taken its share from it; 0 for those below `floor`.

    A box that overlaps a better one by `iou` keeps exp(-iou^2 / sigma) of its score, so that a person half
    behind another stays, while a second box around the same person does not.
    """
    left = scores.astype(np.float64).copy()
    kept = np.zeros_like(left)
    overlap = iou(corners, corners)
    for _ in range(len(left)):
        best = int(left.argmax())
        if left[best] < floor:
            break
        kept[best] = left[best]
        left[best] = 0
        left *= np.exp(-(overlap[best] ** 2) / sigma)
    return kept


def _areas(corners: Floats) -> Floats:
    return np.asarray(np.prod(np.clip(corners[:, 2:] - corners[:, :2], 0, None), axis=-1))
