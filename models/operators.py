"""What each TensorFlow operator that NanoDet and MoveNet MultiPose use becomes in ONNX.

Pictures are NHWC in TensorFlow and NCHW in ONNX, so operators over pictures stand between two transposes;
onnxruntime takes the needless pairs out when it loads the model.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

from models.conversion import TYPES, Conversion, Operator
from models.tfjs import Array, BadGraph, Node

_TO_END = np.iinfo(np.int32).max
_TO_NCHW, _TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


def _same(op: str) -> Operator:
    """TensorFlow and ONNX mean the same by it."""
    return lambda to, node: to.one(op, *to.inputs(node))


def _folded(op: str, compute: Callable[[Array, Array], Array]) -> Operator:
    """An operator of two inputs that is computed here when both are constants (shapes are made so)."""

    def operator(to: Conversion, node: Node) -> str:
        left, right = (to.value(port) for port in node.inputs)
        if left is not None and right is not None:
            return to.constant(compute(left, right))
        return to.one(op, *to.inputs(node))

    return operator


def _placeholder(to: Conversion, node: Node) -> str:
    return node.name


def _const(to: Conversion, node: Node) -> str:
    return to.constant(to.weight(node.name))


def _padding(node: Node) -> dict[str, Any]:
    match node.text("padding"):
        case "SAME":
            return {"auto_pad": "SAME_UPPER"}
        case "VALID":
            return {}
    raise BadGraph(f"{node.name}: padding {node.text('padding')} is not known")


def _convolution(to: Conversion, node: Node) -> str:
    if node.text("data_format", "NHWC") != "NHWC":
        raise BadGraph(f"{node.name}: only NHWC is known")
    weight = to.fixed(node.inputs[1])
    group = 1
    if "epthwise" in node.op:
        height, width, group, multiplier = weight.shape
        weight = weight.reshape(height, width, 1, group * multiplier)
    weight = weight.transpose(3, 2, 0, 1)
    fused = node.texts("fused_ops")
    inputs = [to.tensor(node.inputs[0]), to.constant(weight)]
    if fused and fused[0] == "BiasAdd":
        inputs.append(to.tensor(node.inputs[2]))
    result = to.over_picture(
        "Conv",
        inputs,
        kernel_shape=list(weight.shape[2:]),
        strides=node.integers("strides")[1:3],
        dilations=node.integers("dilations")[1:3] or [1, 1],
        group=group,
        **_padding(node),
    )
    for activation in fused:
        match activation:
            case "BiasAdd":
                continue
            case "Relu":
                result = to.one("Relu", result)
            case "Relu6":
                result = to.one(
                    "Clip", result, to.constant(np.array(0, np.float32)), to.constant(np.array(6, np.float32))
                )
            case _:
                raise BadGraph(f"{node.name}: fused {activation} is not known")
    return result


def _max_pool(to: Conversion, node: Node) -> str:
    kernel, strides = node.integers("ksize")[1:3], node.integers("strides")[1:3]
    return to.over_picture("MaxPool", to.inputs(node), kernel_shape=kernel, strides=strides, **_padding(node))


def _resize(to: Conversion, node: Node) -> str:
    if node.attributes.get("align_corners") or not node.attributes.get("half_pixel_centers"):
        raise BadGraph(f"{node.name}: only half-pixel centres are known")
    picture = to.one("Transpose", to.tensor(node.inputs[0]), perm=_TO_NCHW)
    size = to.value(node.inputs[1])
    wanted = to.one("Cast", to.tensor(node.inputs[1]), to=TensorProto.INT64) if size is None else to.whole(*size)
    kept = to.one("Slice", to.one("Shape", picture), to.whole(0), to.whole(2))
    full = to.one("Concat", kept, wanted, axis=0)
    resized = to.one("Resize", picture, "", "", full, mode="linear", coordinate_transformation_mode="half_pixel")
    return to.one("Transpose", resized, perm=_TO_NHWC)


def _pad(to: Conversion, node: Node) -> str:
    before_after = to.fixed(node.inputs[1])
    filling = to.fixed(node.inputs[2]) if node.op == "PadV2" else np.zeros(1, np.float32)
    pads = to.whole(*before_after[:, 0], *before_after[:, 1])
    return to.one("Pad", to.tensor(node.inputs[0]), pads, to.constant(filling.astype(np.float32).reshape(())))


def _transpose(to: Conversion, node: Node) -> str:
    return to.one("Transpose", to.tensor(node.inputs[0]), perm=[int(each) for each in to.fixed(node.inputs[1])])


def _cast(to: Conversion, node: Node) -> str:
    return to.one("Cast", to.tensor(node.inputs[0]), to=TYPES[node.text("DstT")])


def _concat(to: Conversion, node: Node) -> str:
    *parts, axis = node.inputs
    return to.one("Concat", *(to.tensor(port) for port in parts), axis=int(to.fixed(axis)))


def _reduce(op: str) -> Operator:
    def operator(to: Conversion, node: Node) -> str:
        axes = [int(each) for each in np.atleast_1d(to.fixed(node.inputs[1]))]
        keep = int(bool(node.attributes.get("keep_dims", False)))
        values = to.tensor(node.inputs[0])
        if op == "ReduceSum":  # takes its axes as an input since opset 13; the others since opset 18
            return to.one(op, values, to.whole(*axes), keepdims=keep)
        return to.one(op, values, axes=axes, keepdims=keep)

    return operator


def _arg_max(to: Conversion, node: Node) -> str:
    index = to.one("ArgMax", to.tensor(node.inputs[0]), axis=int(to.fixed(node.inputs[1])), keepdims=0)
    return to.one("Cast", index, to=TYPES[node.text("output_type")])


def _counted(op: str) -> Operator:
    """ONNX counts in int64, the graphs go on with int32."""
    return lambda to, node: to.one("Cast", to.one(op, *to.inputs(node)), to=TensorProto.INT32)


def _shaped(op: str) -> Operator:
    """The second input is a shape, a list of repeats or of indices: int64 in ONNX."""

    def operator(to: Conversion, node: Node) -> str:
        value = to.value(node.inputs[1])
        if value is not None:
            return to.one(op, to.tensor(node.inputs[0]), to.constant(value.astype(np.int64)))
        shape = to.one("Cast", to.tensor(node.inputs[1]), to=TensorProto.INT64)
        return to.one(op, to.tensor(node.inputs[0]), shape)

    return operator


def _fill(to: Conversion, node: Node) -> str:
    shape = to.one("Cast", to.tensor(node.inputs[0]), to=TensorProto.INT64)
    return to.one("Expand", to.tensor(node.inputs[1]), shape)


def _expand_dims(to: Conversion, node: Node) -> str:
    return to.one("Unsqueeze", to.tensor(node.inputs[0]), to.whole(int(to.fixed(node.inputs[1]))))


def _squeeze(to: Conversion, node: Node) -> str:
    return to.one("Squeeze", to.tensor(node.inputs[0]), to.whole(*node.integers("squeeze_dims")))


def _pack(to: Conversion, node: Node) -> str:
    axis = node.integer("axis")
    return to.one("Concat", *(to.one("Unsqueeze", each, to.whole(axis)) for each in to.inputs(node)), axis=axis)


def _unpack(to: Conversion, node: Node) -> list[str]:
    axis = node.integer("axis")
    parts = to.emit("Split", to.inputs(node), outputs=node.integer("num"), axis=axis)
    return [to.one("Squeeze", part, to.whole(axis)) for part in parts]


def _split(to: Conversion, node: Node) -> list[str]:
    axis, values = node.inputs
    return to.emit("Split", [to.tensor(values)], outputs=node.integer("num_split"), axis=int(to.fixed(axis)))


def _split_v(to: Conversion, node: Node) -> list[str]:
    values, sizes, axis = node.inputs
    lengths = to.fixed(sizes)
    return to.emit("Split", [to.tensor(values), to.whole(*lengths)], outputs=len(lengths), axis=int(to.fixed(axis)))


def _strided_slice(to: Conversion, node: Node) -> str:
    """Python's x[a:b:c, i, None]: each bit of a mask says something about one place of the brackets."""
    starts, ends, steps = (to.fixed(port) for port in node.inputs[1:4])
    if node.integer("ellipsis_mask"):
        raise BadGraph(f"{node.name}: an ellipsis is not known")
    first: list[int] = []
    last: list[int] = []
    stride: list[int] = []
    axes: list[int] = []
    dropped: list[int] = []
    added: list[int] = []
    axis = 0
    for place in range(len(starts)):
        bit = 1 << place
        if node.integer("new_axis_mask") & bit:
            added.append(axis + len(added))
            continue
        start, end, step = int(starts[place]), int(ends[place]), int(steps[place])
        if node.integer("shrink_axis_mask") & bit:
            end, step = (_TO_END if start == -1 else start + 1), 1
            dropped.append(axis)
        else:
            start = 0 if node.integer("begin_mask") & bit else start
            end = _TO_END if node.integer("end_mask") & bit else end
        first.append(start)
        last.append(end)
        stride.append(step)
        axes.append(axis)
        axis += 1
    if dropped and added:
        raise BadGraph(f"{node.name}: dropping and adding axes at once is not known")
    result = to.tensor(node.inputs[0])
    if axes:
        result = to.one("Slice", result, to.whole(*first), to.whole(*last), to.whole(*axes), to.whole(*stride))
    if dropped:
        result = to.one("Squeeze", result, to.whole(*dropped))
    return to.one("Unsqueeze", result, to.whole(*added)) if added else result


def _top_k(to: Conversion, node: Node) -> list[str]:
    how_many = to.whole(int(to.fixed(node.inputs[1])))
    values, indices = to.emit("TopK", [to.tensor(node.inputs[0]), how_many], outputs=2, axis=-1, largest=1, sorted=1)
    return [values, to.one("Cast", indices, to=TensorProto.INT32)]


def _squared_difference(to: Conversion, node: Node) -> str:
    difference = to.one("Sub", *to.inputs(node))
    return to.one("Mul", difference, difference)


def _leaky_relu(to: Conversion, node: Node) -> str:
    return to.one("LeakyRelu", to.tensor(node.inputs[0]), alpha=node.number("alpha", 0.2))


def _sparse_to_dense(to: Conversion, node: Node) -> str:
    indices, shape, values, default = (to.fixed(port) for port in node.inputs)
    dense = np.full(shape, default)
    dense[tuple(indices.T) if indices.ndim == 2 else indices] = values
    return to.constant(dense)


OPERATORS: dict[str, Operator] = {
    "Abs": _same("Abs"),
    "Add": _folded("Add", np.add),
    "AddN": _same("Sum"),
    "AddV2": _folded("Add", np.add),
    "ArgMax": _arg_max,
    "Cast": _cast,
    "ConcatV2": _concat,
    "Const": _const,
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "Equal": _same("Equal"),
    "Exp": _same("Exp"),
    "ExpandDims": _expand_dims,
    "Fill": _fill,
    "FloorDiv": _same("Div"),  # of whole numbers that are never negative here: indices of cells
    "FusedDepthwiseConv2dNative": _convolution,
    "GatherNd": _shaped("GatherND"),
    "Greater": _same("Greater"),
    "GreaterEqual": _same("GreaterOrEqual"),
    "Identity": _same("Identity"),
    "LeakyRelu": _leaky_relu,
    "Less": _same("Less"),
    "LogicalAnd": _same("And"),
    "Max": _reduce("ReduceMax"),
    "MaxPool": _max_pool,
    "Maximum": _same("Max"),
    "Minimum": _same("Min"),
    "Mul": _folded("Mul", np.multiply),
    "Pack": _pack,
    "Pad": _pad,
    "PadV2": _pad,
    "Placeholder": _placeholder,
    "Range": _same("Range"),
    "RealDiv": _same("Div"),
    "Reciprocal": _same("Reciprocal"),
    "Reshape": _shaped("Reshape"),
    "ResizeBilinear": _resize,
    "Select": _same("Where"),
    "Shape": _counted("Shape"),
    "Sigmoid": _same("Sigmoid"),
    "Size": _counted("Size"),
    "SparseToDense": _sparse_to_dense,
    "Split": _split,
    "SplitV": _split_v,
    "SquaredDifference": _squared_difference,
    "Squeeze": _squeeze,
    "StridedSlice": _strided_slice,
    "Sub": _same("Sub"),
    "Sum": _reduce("ReduceSum"),
    "Tile": _shaped("Tile"),
    "TopKV2": _top_k,
    "Transpose": _transpose,
    "Unpack": _unpack,
    "_FusedConv2D": _convolution,
}
"""What each TensorFlow operator becomes."""
