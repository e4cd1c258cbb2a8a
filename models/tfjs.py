"""Reading a TensorFlow.js graph model: a JSON file with the graph, and binary shards with the weights."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Attribute = int | float | bool | str | list[int] | list[str]

_WEIGHT_TYPES = {"float32": np.float32, "int32": np.int32, "bool": np.bool_}


class BadGraph(ValueError):
    """The files are no TensorFlow.js graph model, or one that this reader does not know. The text says why."""


@dataclass(frozen=True, slots=True)
class Port:
    """One output of a node: its node's name and which output."""

    node: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the graph. Control inputs are left out: inference has none."""

    name: str
    op: str
    inputs: tuple[Port, ...]
    attributes: dict[str, Attribute]

    def integer(self, key: str, default: int = 0) -> int:
        """An attribute that is a whole number."""
        value = self.attributes.get(key, default)
        if not isinstance(value, int):
            raise BadGraph(f"{self.name}: {key} is {value!r}, not a whole number")
        return value

    def number(self, key: str, default: float) -> float:
        """An attribute that is a number."""
        value = self.attributes.get(key, default)
        if not isinstance(value, int | float):
            raise BadGraph(f"{self.name}: {key} is {value!r}, not a number")
        return float(value)

    def text(self, key: str, default: str = "") -> str:
        """An attribute that is text, such as a padding or a data type."""
        value = self.attributes.get(key, default)
        if not isinstance(value, str):
            raise BadGraph(f"{self.name}: {key} is {value!r}, not text")
        return value

    def integers(self, key: str) -> list[int]:
        """An attribute that is a list of whole numbers; empty when it is absent."""
        value = self.attributes.get(key, [])
        if not isinstance(value, list):
            raise BadGraph(f"{self.name}: {key} is {value!r}, not a list")
        return [int(each) for each in value]

    def texts(self, key: str) -> list[str]:
        """An attribute that is a list of texts; empty when it is absent."""
        value = self.attributes.get(key, [])
        if not isinstance(value, list):
            raise BadGraph(f"{self.name}: {key} is {value!r}, not a list")
        return [str(each) for each in value]


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole model. `outputs` are in the order of their names, so that every reading gives the same."""

    nodes: dict[str, Node]
    weights: dict[str, Array]
    outputs: tuple[Port, ...]


def read(path: Path) -> Graph:
    """The graph model at `path`, its weight shards beside it.

    Raises BadGraph when it is something else, OSError when a file cannot be read.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        nodes = {each["name"]: _node(each) for each in document["modelTopology"]["node"]}
        groups = document["weightsManifest"]
        weights: dict[str, Array] = {}
        for group in groups:
            stored = b"".join((path.parent / shard).read_bytes() for shard in group["paths"])
            weights |= _weights(group["weights"], stored)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise BadGraph(f"{path.name} is no TensorFlow.js graph model: {error}") from error
    used = {port.node for node in nodes.values() for port in node.inputs}
    ends = sorted(name for name, node in nodes.items() if name not in used and node.op not in ("Const", "NoOp"))
    return Graph(nodes, weights, tuple(Port(name) for name in ends))


def _weights(entries: list[dict[str, Any]], stored: bytes) -> dict[str, Array]:
    weights: dict[str, Array] = {}
    at = 0
    for entry in entries:
        final = _WEIGHT_TYPES.get(entry["dtype"])
        if final is None:
            raise BadGraph(f"weight {entry['name']} has the unknown type {entry['dtype']}")
        quantised = entry.get("quantization", {}).get("dtype")
        if quantised not in (None, "float16"):
            raise BadGraph(f"weight {entry['name']} is quantised to {quantised}; only float16 is read")
        kind = np.dtype(np.float16 if quantised else final).newbyteorder("<")
        size_bytes = int(np.prod(entry["shape"], dtype=np.int64)) * kind.itemsize
        values = np.frombuffer(stored[at : at + size_bytes], kind).reshape(entry["shape"])
        weights[entry["name"]] = values.astype(final)
        at += size_bytes
    if at != len(stored):
        raise BadGraph(f"the weights are {len(stored)} bytes long; the manifest describes {at}")
    return weights


def _node(entry: dict[str, Any]) -> Node:
    inputs = tuple(_port(each) for each in entry.get("input", []) if not each.startswith("^"))
    given = entry.get("attr", {})
    attributes = {key: value for key, raw in given.items() if (value := _attribute(raw)) is not None}
    return Node(entry["name"], entry["op"], inputs, attributes)


def _port(name: str) -> Port:
    node, _, index = name.partition(":")
    return Port(node, int(index or 0))


def _attribute(raw: dict[str, Any]) -> Attribute | None:
    """One attribute as a plain value; None for kinds that no operator here asks for."""
    match raw:
        case {"i": value}:
            return int(value)
        case {"f": value}:
            return float(value)
        case {"b": value}:
            return bool(value)
        case {"s": value}:
            return base64.b64decode(value).decode()
        case {"type": value}:
            return str(value)
        case {"shape": {"dim": dimensions}}:
            return [int(each["size"]) for each in dimensions]
        case {"list": {"i": values}}:
            return [int(each) for each in values]
        case {"list": {"s": values}}:
            return [base64.b64decode(each).decode() for each in values]
    return None
