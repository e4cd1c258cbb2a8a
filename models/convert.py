"""From a TensorFlow.js graph to ONNX, and to ONNX that takes pictures of any size.

Invariants
1. The same graph gives the same bytes: nodes are written in the order in which the outputs need them, names
   come from a counter, nothing depends on time, path or the order of a set.
2. An operator or an attribute that is not understood raises; nothing is left out silently.
"""

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper, shape_inference

from models.conversion import Conversion
from models.operators import OPERATORS
from models.tfjs import BadGraph, Graph


def convert(graph: Graph, input_shape: Sequence[int | str] | None = None) -> ModelProto:
    """The graph as an ONNX model.

    `input_shape` replaces the shape of the one input; text names a dimension that stays free. Raises BadGraph
    for what cannot be translated.
    """
    return Conversion(graph, OPERATORS).model(input_shape)


def to_bytes(model: ModelProto) -> bytes:
    """The file of a model; the same model gives the same bytes."""
    return bytes(model.SerializeToString(deterministic=True))


def free_height_and_width(model: ModelProto) -> ModelProto:
    """The same model for any height and width that are multiples of its greatest stride.

    Only the resizes to a fixed size know the size that the model was exported for: each becomes a resize by the
    factor between the two sizes. Raises BadGraph when a factor is not exactly 2 or 1/2, or when a reshape holds
    the number of cells.
    """
    shapes = _shapes(model)
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    free = ModelProto()
    free.CopyFrom(model)
    for node in free.graph.node:
        if node.op_type == "Resize":
            free.graph.initializer.append(_by_factor(node, shapes))
        elif node.op_type == "Reshape" and list(constants[node.input[1]]).count(-1) != 1:
            raise BadGraph(f"{node.name}: a reshape to {constants[node.input[1]]} holds the number of cells")
    for axis, name in ((2, "height"), (3, "width")):
        free.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    for output in free.graph.output:
        output.type.tensor_type.shape.dim[1].ClearField("value")
    return _without_unused(free)


def _shapes(model: ModelProto) -> dict[str, list[int]]:
    known = shape_inference.infer_shapes(model, data_prop=True)
    return {
        each.name: [dimension.dim_value for dimension in each.type.tensor_type.shape.dim]
        for each in [*known.graph.value_info, *known.graph.input]
    }


def _by_factor(node: NodeProto, shapes: dict[str, list[int]]) -> TensorProto:
    before, after = shapes[node.input[0]], shapes[node.output[0]]
    factors = [new / old for new, old in zip(after, before, strict=True)]
    if factors[:2] != [1, 1] or factors[2] != factors[3] or factors[2] not in (2, 0.5):
        raise BadGraph(f"{node.name}: a resize by {factors} is not known")
    scales = numpy_helper.from_array(np.array(factors, np.float32), f"{node.name}/scales")
    del node.input[2:]
    node.input.append(scales.name)
    return scales


def _without_unused(model: ModelProto) -> ModelProto:
    """Take out the nodes and constants that no output needs any more."""
    needed = {each.name for each in model.graph.output}
    kept: list[NodeProto] = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    constants = [each for each in model.graph.initializer if each.name in needed]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(constants)
    return model
