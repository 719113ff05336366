"""A tiny real model, y = relu(x @ weights), as an ONNX file and as a recipe, with numpy as the judge of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.tensors import TensorSpec

WEIGHTS = np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32)
INPUTS = (TensorSpec("float32", ("batch", 6), ranges={"batch": (1, 8)}, name="x"),)
OUTPUTS = (TensorSpec("float32", ("batch", 4), ranges={"batch": (1, 8)}, name="y"),)
RECIPE = """
import numpy as np
import torch
from edgekit.recipes import Recipe
from edgekit.tensors import TensorSpec

class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        weights = np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32)
        self.weights = torch.nn.Parameter(torch.from_numpy(weights))

    def forward(self, x):
        {before}
        return torch.relu(x @ self.weights)

recipe = Recipe(
    name="tiny",
    model=Tiny,
    inputs={{"x": TensorSpec("float32", ("batch", 6), ranges={{"batch": (1, 8)}})}},
    outputs=("y",),
)
"""


def reference(x: np.ndarray) -> np.ndarray:
    return np.maximum(x.astype(np.float64) @ WEIGHTS.astype(np.float64), 0)


def make_onnx(path: Path) -> Path:
    onnx = pytest.importorskip("onnx", reason="the test model is made with onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", floats, ["batch", 6])],
        [helper.make_tensor_value_info("y", floats, ["batch", 4])],
        [onnx.numpy_helper.from_array(WEIGHTS, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def make_recipe(path: Path, *, before: str = "") -> str:
    """A recipe file; `before` is a statement that runs in each forward."""
    path.write_text(RECIPE.format(before=before), encoding="utf-8")
    return f"{path}:recipe"
