"""Fixtures: two tiny ONNX models of one shape, and a gate that is quick."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.bench.gate.judge import Profile, Rules

QUICK = Rules(Profile("quick", {"latency": 9.0, "load": 9.0, "rss": 9.0, "size": 0.02}, (8,)), ("latency", "size"))


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes y = relu(x @ w), x (batch, 6) float32, y (batch, 4); `value` is put into the weights,
    `doc` makes the file larger."""
    onnx = pytest.importorskip("onnx", reason="the test models are made with onnx")
    pytest.importorskip("onnxruntime", reason="the test models run on onnxruntime")

    def make(
        name: str,
        *,
        value: float | None = None,
        dtype: str = "float32",
        x: str = "x",
        doc: str = "",
        batch: int | str = "batch",
    ) -> Path:
        helper = onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        weights = np.random.default_rng(1).standard_normal((6, 4)).astype(dtype)
        if value is not None:
            weights[0, 0] = value
        nodes = [helper.make_node("MatMul", [x, "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
        if dtype.startswith("int"):
            nodes = [helper.make_node("MatMul", [x, "w"], ["y"])]
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info(x, kind, [batch, 6])],
            [helper.make_tensor_value_info("y", kind, [batch, 4])],
            [onnx.numpy_helper.from_array(weights, "w")],
            doc_string=doc,
        )
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
        return path

    return make


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Samples, and the class that the model itself gives each of them."""
    x = np.random.default_rng(2).standard_normal((300, 6)).astype(np.float32)
    weights = np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32)
    np.savez(tmp_path / "labelled.npz", x=x, target=np.argmax(np.maximum(x @ weights, 0), axis=1))
    return tmp_path / "labelled.npz"
