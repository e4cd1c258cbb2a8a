import base64
import json
from pathlib import Path

import numpy as np
import pytest

from models.tfjs import BadGraph, Port, read
from tests.models.graphs import Built, write


def test_a_graph_is_read_whole(tmp_path: Path) -> None:
    graph = Built()
    graph.node("x", "Placeholder", dtype={"type": "DT_FLOAT"}, shape={"shape": {"dim": [{"size": "-1"}]}})
    graph.constant("w", np.array([1, 2], np.float32))
    graph.node("y", "Mul", "x", "w:0", "^x", alpha={"f": 0.5}, text={"s": base64.b64encode(b"SAME").decode()})
    found = read(write(graph, tmp_path))
    assert found.outputs == (Port("y"),)
    assert found.nodes["y"].inputs == (Port("x"), Port("w"))
    assert found.nodes["y"].number("alpha", 0) == 0.5
    assert found.nodes["y"].text("text") == "SAME"
    assert found.nodes["x"].integers("shape") == [-1]
    assert found.weights["w"].tolist() == [1, 2]


def test_half_precision_weights_come_back_as_single(tmp_path: Path) -> None:
    graph = Built()
    graph.constant("w", np.array([0.5, -2], np.float32), half=True)
    found = read(write(graph, tmp_path)).weights["w"]
    assert found.dtype == np.float32
    assert found.tolist() == [0.5, -2]


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    for text in ("", "[]", "{}", '{"modelTopology": {"node": [{}]}, "weightsManifest": []}'):
        path.write_text(text, "utf-8")
        with pytest.raises(BadGraph):
            read(path)


def test_weights_of_another_length_are_refused(tmp_path: Path) -> None:
    graph = Built()
    graph.constant("w", np.zeros(3, np.float32))
    path = write(graph, tmp_path)
    (tmp_path / "model.bin").write_bytes(bytes(16))
    with pytest.raises(BadGraph, match="16 bytes"):
        read(path)


def test_an_unknown_quantisation_is_refused(tmp_path: Path) -> None:
    graph = Built()
    graph.constant("w", np.zeros(3, np.float32))
    path = write(graph, tmp_path)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["weightsManifest"][0]["weights"][0]["quantization"] = {"dtype": "uint8", "scale": 1, "min": 0}
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(BadGraph, match="uint8"):
        read(path)
