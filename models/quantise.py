"""NanoDet with 8-bit convolutions.

What each tensor ranges over is measured once (`measure`) and committed as a table, so that the model which is
built from it has the same bytes on every machine: measuring runs the network in floating point, whose last bits
differ between processors.

Only convolutions are quantised, per channel, on the graph after onnxruntime's basic optimisation: with the
default set of operators nothing is detected any more (measured: average precision 0). Activations are unsigned and
weights signed: onnxruntime has fast convolutions for that pair on x86 and on ARM, and on x86 only for that pair
(measured with `make bench ONLY=vision`: 0.58 of the time of fp32; both signed: 1.2).
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

Ranges = dict[str, tuple[float, float]]
"""The least and the greatest value of each tensor, by its name in the optimised graph."""

_DIGITS = 6
"""Significant digits of a range in the table: far below what 8 bits resolve, far above what processors differ by."""


def optimised(model: bytes) -> bytes:
    """The model after onnxruntime's basic optimisation, which is the same on every processor."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return path.read_bytes()


def measure(model: bytes, pictures: Iterable[npt.NDArray[np.float32]]) -> Ranges:
    """What goes into and comes out of each convolution of the optimised model, over these inputs."""
    graph = onnx.load_from_string(optimised(model))
    source = graph.graph.input[0].name
    constants = {each.name for each in graph.graph.initializer}
    convolutions = [node for node in graph.graph.node if node.op_type == "Conv"]
    names = sorted({name for node in convolutions for name in (node.input[0], node.output[0])} - constants)
    known = {each.name for each in graph.graph.output}
    graph.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in known)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    asked = [name for name in names if name != source]
    ranges: Ranges = {}
    for picture in pictures:
        results = dict(zip(asked, session.run(asked, {source: picture}), strict=True)) | {source: picture}
        for name in names:
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = (min(low, float(results[name].min())), max(high, float(results[name].max())))
    return {name: (_rounded(low), _rounded(high)) for name, (low, high) in ranges.items()}


def quantise(model: bytes, ranges: Ranges) -> bytes:
    """The model with its convolutions in 8 bits. Raises KeyError when the table lacks a tensor."""
    graph = onnx.load_from_string(optimised(model))
    graph.producer_name = "yunjian"
    table = TensorsData(
        CalibrationMethod.MinMax,
        {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()},
    )
    quantiser = QDQQuantizer(
        graph,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=table,
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=["Conv"],
        extra_options={},
    )
    quantiser.quantize_model()
    result: onnx.ModelProto = quantiser.model.model
    return bytes(result.SerializeToString(deterministic=True))


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
