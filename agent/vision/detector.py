"""A picture in, boxes around people out: NanoDet by onnxruntime.

The network sees the whole picture, scaled without distortion and padded to a multiple of its stride. It takes
any size; `side` is the length of the longer edge of what it sees.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime
from av import VideoFrame

from agent.vision.boxes import SCORE_FLOOR, Box, Floats, soft_nms
from models.manifest import Input, Model

WATCH_SIDE: Final = 416
"""The size that the network was trained for."""

CENSUS_SIDE: Final = 640
"""Larger and mirrored, for a count now and then: mean error .92 against 1.42 of a single pass at 416, at 2.9
times its cost; above 832 soft pictures get worse (design of vision, "counting methods")."""

_STRIDES: Final = (8, 16, 32)
_DISTANCES: Final = 11
"""Each edge of a box is a distribution over this many distances, in strides, from the centre of its cell."""

_PERSON: Final = 0
"""The first of the 80 COCO classes."""

_CLASSES: Final = 80


class DetectorBroken(Exception):
    """The file is no model that this code understands, or onnxruntime cannot run it. The text says which."""


class Detector:
    """One loaded network. Used by one thread at a time."""

    def __init__(self, content: bytes, model: Model, threads: int = 1) -> None:
        """Build the session; onnxruntime holds Python still for some tenths of a second meanwhile.

        `content` is the checked file of `model`; `threads` run one picture. Raises DetectorBroken.
        """
        if model.decoder != "nanodet":
            raise DetectorBroken(f"{model.file}: the decoder {model.decoder} is not known")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # The pattern planner sets aside room per picture size for ever. The arena alone is the smallest and the
        # fastest: 84 MiB and 12.5 ms; with both 89 and 15.6, with neither 90 and 14.6.
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        # A thread that spins while it waits takes the processor from the recorder.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises classes that it does not publish
            raise DetectorBroken(f"{model.file}: {error}") from error
        self.model = model
        self._input = model.input

    def look(self, frame: VideoFrame, side: int = WATCH_SIDE) -> list[Box]:
        """The people in a frame, best first, after soft suppression of double boxes.

        Raises DetectorBroken when the network fails.
        """
        return self._pooled([self._pass(frame, side, mirrored=False)])

    def census(self, frame: VideoFrame, side: int = CENSUS_SIDE) -> list[Box]:
        """The same from a larger picture and its mirror image together: slower and more exact."""
        return self._pooled([self._pass(frame, side, mirrored) for mirrored in (False, True)])

    def _pooled(self, passes: Sequence[tuple[Floats, Floats]]) -> list[Box]:
        corners = np.concatenate([each[0] for each in passes])
        scores = soft_nms(corners, np.concatenate([each[1] for each in passes]))
        order = [int(index) for index in np.argsort(-scores, kind="stable") if scores[index] > 0]
        return [Box(*map(float, (*corners[index], scores[index]))) for index in order]

    def _pass(self, frame: VideoFrame, side: int, mirrored: bool) -> tuple[Floats, Floats]:
        """Corners, as parts of the picture, and scores of one run of the network."""
        picture, width, height = letterboxed(frame, side, self._input)
        if mirrored:
            picture[..., :width] = picture[..., :width][..., ::-1].copy()
        try:
            outputs = self._session.run(None, {self._input.name: picture})
        except Exception as error:
            raise DetectorBroken(f"{self.model.file}: {error}") from error
        corners, scores = decoded(outputs, picture.shape[-1] // _STRIDES[0])
        corners = np.clip(corners / np.array([width, height, width, height]), 0, 1)
        if mirrored:
            corners = np.stack([1 - corners[:, 2], corners[:, 1], 1 - corners[:, 0], corners[:, 3]], axis=-1)
        return corners, scores


def letterboxed(frame: VideoFrame, side: int, given: Input) -> tuple[npt.NDArray[np.float32], int, int]:
    """The frame as the network wants it, [1,3,H,W], and the width and height that the picture has in it.

    The picture stands at the top left; what is beside it is black.
    """
    scale = side / max(frame.width, frame.height)
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    interpolation = "AREA" if scale < 1 else "BILINEAR"
    small = frame.to_ndarray(width=width, height=height, format="bgr24", interpolation=interpolation)
    step = given.multiple_of
    padded = np.zeros((-(-height // step) * step, -(-width // step) * step, 3), np.float32)
    padded[:height, :width] = small
    padded -= np.array(given.mean, np.float32)
    padded /= np.array(given.std, np.float32)
    return np.ascontiguousarray(padded.transpose(2, 0, 1)[None]), width, height


def decoded(outputs: Sequence[npt.NDArray[Any]], columns: int) -> tuple[Floats, Floats]:
    """Corners in pixels of the network's picture, and scores, of every cell that may hold a person.

    `outputs` are, in any order, one pair per stride: class scores [1,cells,80] and distances [1,cells,44];
    `columns` is the number of cells in a row at the first stride.
    """
    classes = sorted((each[0] for each in outputs if each.shape[-1] == _CLASSES), key=len, reverse=True)
    edges = sorted((each[0] for each in outputs if each.shape[-1] == 4 * _DISTANCES), key=len, reverse=True)
    if len(classes) != len(_STRIDES) or len(edges) != len(_STRIDES):
        raise DetectorBroken(f"outputs of the shapes {[each.shape for each in outputs]} are not NanoDet's")
    corners, scores = [], []
    for stride, score, distance in zip(_STRIDES, classes, edges, strict=True):
        person = score[:, _PERSON]
        (cells,) = np.nonzero(person >= SCORE_FLOOR)
        weights = distance[cells].reshape(-1, 4, _DISTANCES)
        weights = np.exp(weights - weights.max(axis=-1, keepdims=True))
        lengths = (weights * np.arange(_DISTANCES)).sum(axis=-1) / weights.sum(axis=-1) * stride
        row, column = np.divmod(cells, columns * _STRIDES[0] // stride)
        x, y = (column + 0.5) * stride, (row + 0.5) * stride
        left, top, right, bottom = lengths.T
        corners.append(np.stack([x - left, y - top, x + right, y + bottom], axis=-1))
        scores.append(person[cells])
    return np.concatenate(corners), np.concatenate(scores)
