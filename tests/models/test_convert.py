"""Tiny graphs through the converter and onnxruntime, against the same arithmetic in numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from models.convert import convert, free_height_and_width, to_bytes
from models.tfjs import BadGraph, read
from tests.models.graphs import Built, numbers, text, texts, write

Array = npt.NDArray[Any]
CHANCE = np.random.default_rng(3)


def run(model: bytes, picture: Array) -> list[Array]:
    """The outputs for one picture."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs: list[Array] = session.run(None, {session.get_inputs()[0].name: picture})
    return outputs


def converted(graph: Built, folder: Path, picture: Array) -> list[Array]:
    """The outputs of a graph, converted, for one picture."""
    return run(to_bytes(convert(read(write(graph, folder)))), picture)


def convolved(picture: Array, weight: Array, stride: int) -> Array:
    """TensorFlow's convolution with padding SAME: the odd row and column of padding at the end."""
    size, (_, height, width, _) = weight.shape[0], picture.shape
    rows, columns = -(-height // stride), -(-width // stride)
    down, across = (max((n - 1) * stride + size - m, 0) for n, m in ((rows, height), (columns, width)))
    padded = np.pad(picture, ((0, 0), (down // 2, down - down // 2), (across // 2, across - across // 2), (0, 0)))
    result = np.zeros((1, rows, columns, weight.shape[3]))
    for row in range(rows):
        for column in range(columns):
            part = padded[:, row * stride : row * stride + size, column * stride : column * stride + size]
            result[:, row, column] = np.tensordot(part, weight, ([1, 2, 3], [0, 1, 2]))
    return result


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (3, 1), (3, 2), (5, 2)])
def test_a_fused_convolution(tmp_path: Path, size: int, stride: int) -> None:
    weight = CHANCE.normal(size=(size, size, 3, 4)).astype(np.float32)
    bias = CHANCE.normal(size=4).astype(np.float32)
    graph = Built()
    graph.picture("x", 9, 8, 3)
    graph.constant("w", weight)
    graph.constant("b", bias)
    attributes = {"strides": numbers(1, stride, stride, 1), "padding": text("SAME")}
    graph.node("y", "_FusedConv2D", "x", "w", "b", fused_ops=texts("BiasAdd", "Relu6"), **attributes)
    picture = CHANCE.normal(size=(1, 9, 8, 3)).astype(np.float32)
    (found,) = converted(graph, tmp_path, picture)
    assert np.allclose(found, np.clip(convolved(picture, weight, stride) + bias, 0, 6), atol=1e-5)


def test_a_depthwise_convolution_keeps_channels_apart(tmp_path: Path) -> None:
    weight = CHANCE.normal(size=(3, 3, 2, 1)).astype(np.float32)
    graph = Built()
    graph.picture("x", 6, 6, 2)
    graph.constant("w", weight)
    graph.node("y", "DepthwiseConv2dNative", "x", "w", strides=numbers(1, 1, 1, 1), padding=text("SAME"))
    picture = CHANCE.normal(size=(1, 6, 6, 2)).astype(np.float32)
    (found,) = converted(graph, tmp_path, picture)
    for channel in range(2):
        alone = convolved(picture[..., channel : channel + 1], weight[:, :, channel : channel + 1], 1)
        assert np.allclose(found[..., channel : channel + 1], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("brackets", "masks", "expected"),
    [
        (([1, 0], [3, 0], [1, 1]), {"end_mask": 2}, lambda x: x[1:3, 0:]),
        (([0, -1], [0, 0], [1, 1]), {"begin_mask": 1, "end_mask": 1, "shrink_axis_mask": 2}, lambda x: x[:, -1]),
        (([0, 0, 0], [0, 0, 0], [1, 1, 1]), {"begin_mask": 5, "end_mask": 5, "new_axis_mask": 2}, lambda x: x[:, None]),
        (([0, 0], [0, 0], [1, 2]), {"begin_mask": 3, "end_mask": 3}, lambda x: x[:, ::2]),
        (([2], [3], [1]), {"shrink_axis_mask": 1}, lambda x: x[2]),
    ],
)
def test_slices_mean_what_python_means(tmp_path: Path, brackets: Any, masks: dict[str, int], expected: Any) -> None:
    graph = Built()
    graph.node("x", "Placeholder", dtype={"type": "DT_FLOAT"}, shape={"shape": {"dim": [{"size": "4"}, {"size": "5"}]}})
    for name, values in zip(("b", "e", "s"), brackets, strict=True):
        graph.constant(name, np.array(values, np.int32))
    graph.node("y", "StridedSlice", "x", "b", "e", "s", **{key: {"i": str(value)} for key, value in masks.items()})
    values = CHANCE.normal(size=(4, 5)).astype(np.float32)
    (found,) = converted(graph, tmp_path, values)
    assert found.tolist() == expected(values).tolist()


def test_several_outputs_and_constants_that_are_computed_beforehand(tmp_path: Path) -> None:
    graph = Built()
    graph.picture("x", 2, 2, 6)
    for name, value in {"at": 3, "half": [1, 2]}.items():
        graph.constant(name, np.array(value, np.int32))
    # A shape put together as exporters do: [0, 0, 24] + [0, 24, 0] laid in by SparseToDense, then added.
    for name, value in {"i": [[1]], "n": [2], "v": [24], "zero": 0, "rest": [1, 0]}.items():
        graph.constant(name, np.array(value, np.int32))
    graph.node("dense", "SparseToDense", "i", "n", "v", "zero")
    graph.node("shape", "AddV2", "dense", "rest")
    graph.node("flat", "Reshape", "x", "shape")
    graph.constant("sizes", np.array([2, 4], np.int32))
    graph.node("parts", "SplitV", "x", "sizes", "at")
    graph.node("one", "LeakyRelu", "parts:0", alpha={"f": 0.1})
    graph.node("two", "Sigmoid", "parts:1")
    picture = CHANCE.normal(size=(1, 2, 2, 6)).astype(np.float32)
    flat, one, two = converted(graph, tmp_path, picture)
    assert flat.tolist() == picture.reshape(1, 24).tolist()
    assert np.allclose(one, np.where(picture < 0, 0.1 * picture, picture)[..., :2])
    assert np.allclose(two, 1 / (1 + np.exp(-picture[..., 2:])), atol=1e-6)


def test_the_best_cells_are_found(tmp_path: Path) -> None:
    graph = Built()
    graph.node("x", "Placeholder", dtype={"type": "DT_FLOAT"}, shape={"shape": {"dim": [{"size": "8"}]}})
    graph.constant("k", np.array(3, np.int32))
    graph.constant("row", np.array(4, np.int32))
    graph.node("top", "TopKV2", "x", "k")
    graph.node("rows", "FloorDiv", "top:1", "row")
    graph.node("scores", "Identity", "top:0")
    values = np.array([0.1, 0.9, 0.2, 0.3, 0.8, 0.0, 0.4, 0.7], np.float32)
    rows, scores = converted(graph, tmp_path, values)
    assert rows.tolist() == [0, 1, 1]
    assert scores.tolist() == values[[1, 4, 7]].tolist()


def doubling() -> Built:
    """A convolutional graph of 32x32 NCHW pictures that halves, then doubles, then lays the cells in a row."""
    graph = Built()
    sizes = [{"size": str(size)} for size in (1, 2, 32, 32)]
    graph.node("x", "Placeholder", dtype={"type": "DT_FLOAT"}, shape={"shape": {"dim": sizes}})
    graph.constant("w", CHANCE.normal(size=(3, 3, 2, 2)).astype(np.float32))
    graph.constant("last", np.array([0, 2, 3, 1], np.int32))
    graph.constant("first", np.array([0, 3, 1, 2], np.int32))
    graph.constant("size", np.array([32, 32], np.int32))
    graph.constant("row", np.array([1, 2, -1], np.int32))
    graph.node("nhwc", "Transpose", "x", "last")
    graph.node("conv", "Conv2D", "nhwc", "w", strides=numbers(1, 2, 2, 1), padding=text("SAME"))
    graph.node("wide", "ResizeBilinear", "conv", "size", half_pixel_centers={"b": True})
    graph.node("nchw", "Transpose", "wide", "first")
    graph.node("cells", "Reshape", "nchw", "row")
    graph.constant("swap", np.array([0, 2, 1], np.int32))
    graph.node("y", "Transpose", "cells", "swap")
    return graph


def test_height_and_width_become_free_and_nothing_else_changes(tmp_path: Path) -> None:
    fixed = convert(read(write(doubling(), tmp_path)))
    free = to_bytes(free_height_and_width(fixed))
    picture = CHANCE.normal(size=(1, 2, 32, 32)).astype(np.float32)
    assert np.allclose(run(to_bytes(fixed), picture)[0], run(free, picture)[0], atol=1e-6)
    for height, width in ((64, 32), (32, 96), (128, 64)):
        (found,) = run(free, np.zeros((1, 2, height, width), np.float32))
        assert found.shape == (1, height * width, 2)


def test_a_resize_by_another_factor_is_refused(tmp_path: Path) -> None:
    graph = doubling()
    graph.constant("third", np.array([48, 48], np.int32))
    for node in graph.nodes:
        if node["name"] == "wide":
            node["input"] = ["conv", "third"]
    with pytest.raises(BadGraph, match="resize"):
        free_height_and_width(convert(read(write(graph, tmp_path))))


def test_the_same_graph_gives_the_same_bytes_in_whatever_order_its_file_is(tmp_path: Path) -> None:
    graph = doubling()
    once = to_bytes(convert(read(write(graph, tmp_path))))
    graph.nodes.reverse()
    assert to_bytes(convert(read(write(graph, tmp_path)))) == once


@pytest.mark.parametrize(
    ("op", "attributes", "says"),
    [
        ("Einsum", {}, "Einsum"),
        ("Conv2D", {"padding": text("EXPLICIT"), "strides": numbers(1, 1, 1, 1)}, "EXPLICIT"),
        ("_FusedConv2D", {"padding": text("SAME"), "strides": numbers(1, 1, 1, 1), "fused_ops": texts("Elu")}, "Elu"),
        ("ResizeBilinear", {"align_corners": {"b": True}}, "half-pixel"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, op: str, attributes: dict[str, Any], says: str) -> None:
    graph = Built()
    graph.picture("x", 4, 4, 1)
    graph.constant("w", np.zeros((1, 1, 1, 1), np.float32))
    graph.node("y", op, "x", "w", **attributes)
    with pytest.raises(BadGraph, match=says):
        convert(read(write(graph, tmp_path)))
