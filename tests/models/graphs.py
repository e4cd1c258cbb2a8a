"""Tiny TensorFlow.js graph models, written as the real ones are."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class Built:
    """A graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.weights: list[dict[str, Any]] = []
        self.stored = b""

    def node(self, name: str, op: str, *inputs: str, **attributes: dict[str, Any]) -> None:
        """One operation; an attribute as it stands in the file, such as {"i": "1"}."""
        self.nodes.append({"name": name, "op": op, "input": list(inputs), "attr": attributes})

    def picture(self, name: str, height: int, width: int, channels: int, dtype: str = "DT_FLOAT") -> None:
        """The input: one NHWC picture."""
        sizes = [{"size": str(size)} for size in (1, height, width, channels)]
        self.node(name, "Placeholder", dtype={"type": dtype}, shape={"shape": {"dim": sizes}})

    def constant(self, name: str, value: npt.NDArray[Any], half: bool = False) -> None:
        """A weight, stored in half precision if asked for."""
        self.node(name, "Const")
        entry: dict[str, Any] = {"name": name, "shape": list(value.shape), "dtype": str(value.dtype)}
        if half:
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        self.weights.append(entry)
        self.stored += value.astype(np.float16 if half else value.dtype).tobytes()


def text(value: str) -> dict[str, Any]:
    """An attribute that is text."""
    return {"s": base64.b64encode(value.encode()).decode()}


def texts(*values: str) -> dict[str, Any]:
    """An attribute that is a list of texts."""
    return {"list": {"s": [base64.b64encode(value.encode()).decode() for value in values]}}


def numbers(*values: int) -> dict[str, Any]:
    """An attribute that is a list of whole numbers, which the files hold as text."""
    return {"list": {"i": [str(value) for value in values]}}


def write(graph: Built, folder: Path) -> Path:
    """Write model.json and model.bin; the path of the former."""
    document = {
        "format": "graph-model",
        "modelTopology": {"node": graph.nodes},
        "weightsManifest": [{"paths": ["model.bin"], "weights": graph.weights}],
    }
    (folder / "model.bin").write_bytes(graph.stored)
    (folder / "model.json").write_text(json.dumps(document), "utf-8")
    return folder / "model.json"
