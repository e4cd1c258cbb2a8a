"""Writing ONNX nodes for the nodes of a TensorFlow.js graph, in the order in which the outputs need them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from models.tfjs import Array, BadGraph, Graph, Node, Port

OPSET = 17
"""Known to every onnxruntime since 1.13."""

IR_VERSION = 8
"""The ONNX file format that goes with opset 17."""

TYPES = {"DT_FLOAT": TensorProto.FLOAT, "DT_INT32": TensorProto.INT32, "DT_BOOL": TensorProto.BOOL}
"""TensorFlow's names of the types that occur."""

_TO_NCHW, _TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


class Conversion:
    """One translation under way. `operators` says what each TensorFlow operator becomes."""

    def __init__(self, graph: Graph, operators: Mapping[str, "Operator"]) -> None:
        self._graph = graph
        self._operators = operators
        self._nodes: list[NodeProto] = []
        self._initializers: list[TensorProto] = []
        self._values: dict[str, Array] = {}
        self._done: dict[str, list[str]] = {}
        self._count = 0

    def model(self, input_shape: Sequence[int | str] | None) -> ModelProto:
        """Translate everything that the outputs need."""
        inputs = []
        for node in self._graph.nodes.values():
            if node.op == "Placeholder":
                shape = input_shape or node.integers("shape")
                inputs.append(helper.make_tensor_value_info(node.name, TYPES[node.text("dtype")], list(shape)))
        for port in self._graph.outputs:
            # TensorFlow names its outputs Identity, Identity_1, ...: kept.
            self._nodes.append(helper.make_node("Identity", [self.tensor(port)], [f"output/{port.node}"]))
        outputs = [helper.make_empty_tensor_value_info(f"output/{port.node}") for port in self._graph.outputs]
        used = {name for node in self._nodes for name in node.input}
        kept = [each for each in self._initializers if each.name in used]
        model = helper.make_model(
            helper.make_graph(self._nodes, "model", inputs, outputs, kept),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="yunjian",
        )
        return _with_output_types(model)

    def tensor(self, port: Port) -> str:
        """The ONNX name of a TensorFlow output, translated first when it is not yet."""
        if port.node not in self._done:
            self._translate_up_to(port.node)
        return self._done[port.node][port.index]

    def _translate_up_to(self, name: str) -> None:
        # A stack of our own: graphs are deeper than Python's recursion limit allows.
        stack = [name]
        while stack:
            node = self._graph.nodes[stack[-1]]
            missing = [port.node for port in node.inputs if port.node not in self._done]
            if missing:
                stack.extend(reversed(missing))
                continue
            stack.pop()
            if node.name not in self._done:
                operator = self._operators.get(node.op)
                if operator is None:
                    raise BadGraph(f"operator {node.op} of {node.name} is not known")
                result = operator(self, node)
                self._done[node.name] = [result] if isinstance(result, str) else result

    def inputs(self, node: Node) -> list[str]:
        """The ONNX names of all inputs of a node."""
        return [self.tensor(port) for port in node.inputs]

    def weight(self, name: str) -> Array:
        """The stored value of a constant node."""
        return self._graph.weights[name]

    def value(self, port: Port) -> Array | None:
        """What an output always is, or None when it depends on the picture."""
        return self._values.get(self.tensor(port))

    def fixed(self, port: Port) -> Array:
        """What an output always is. Raises BadGraph when it depends on the picture."""
        value = self.value(port)
        if value is None:
            raise BadGraph(f"{port.node} is asked for as a constant and is none")
        return value

    def constant(self, value: Array) -> str:
        """A new constant."""
        name = self._name("constant")
        self._values[name] = value
        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name))
        return name

    def whole(self, *values: int) -> str:
        """A new constant list of int64, as ONNX wants axes, shapes and paddings."""
        return self.constant(np.array(values, np.int64))

    def emit(self, op: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> list[str]:
        """Write one ONNX node; its outputs."""
        names = [self._name(op) for _ in range(outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), names, name=names[0], **attributes))
        return names

    def one(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Write one ONNX node with one output."""
        return self.emit(op, inputs, **attributes)[0]

    def over_picture(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Write a node whose first input is NHWC to TensorFlow and NCHW to ONNX."""
        turned = self.one("Transpose", inputs[0], perm=_TO_NCHW)
        return self.one("Transpose", self.one(op, turned, *inputs[1:], **attributes), perm=_TO_NHWC)

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{what}_{self._count}"


Operator = Callable[[Conversion, Node], str | list[str]]
"""Writes what one TensorFlow node becomes; gives the ONNX names of its outputs."""


def _with_output_types(model: ModelProto) -> ModelProto:
    inferred = shape_inference.infer_shapes(model, data_prop=True)
    for output in inferred.graph.output:
        if output.type.tensor_type.elem_type == TensorProto.UNDEFINED:
            output.type.tensor_type.elem_type = TensorProto.FLOAT
    del inferred.graph.value_info[:]
    return inferred
