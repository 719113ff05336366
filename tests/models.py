"""Tiny real torch models and their recipes; each is exported once, however many tests ask for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from torch import Tensor, nn

from edgekit.export import Exported, export
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, TensorSpec

BATCH = {"batch": (1, 6)}


class ConvNet(nn.Module):
    """(batch, 3, 8, 8) float32 -> (batch, 10) float32; two convolutions, each with a BatchNorm that does something."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(8)
        self.body = nn.Conv2d(8, 16, 3, padding=1, stride=2)
        self.body_norm = nn.BatchNorm2d(16)
        self.hidden = nn.Linear(16 * 4 * 4, 12)
        self.head = nn.Linear(12, 10)
        for norm in (self.stem_norm, self.body_norm):
            nn.init.normal_(norm.running_mean, 0.0, 0.3)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
            nn.init.normal_(norm.weight, 1.0, 0.2)
            nn.init.normal_(norm.bias, 0.0, 0.3)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.stem_norm(self.stem(image)))
        x = torch.relu(self.body_norm(self.body(x)))
        return self.head(torch.relu(self.hidden(x.flatten(1))))


class SequenceNet(nn.Module):
    """(batch, time, 4) float32 -> (batch, time, 5) float32; each step sees the mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(4, 5)

    def forward(self, frames: Tensor) -> Tensor:
        x = torch.tanh(self.project(frames))
        return x - x.mean(1, keepdim=True)


class LabelNet(nn.Module):
    """(batch, 6) float32 -> {"scores": (batch, 4) float32, "label": (batch,) int64}."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        scores = self.head(x)
        return {"scores": scores, "label": scores.argmax(1)}


class PairNet(nn.Module):
    """Two inputs (batch, 4) float32 that it treats differently -> (batch, 3) float32."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(4, 3)
        self.right = nn.Linear(4, 3)

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        return self.left(query) - torch.sigmoid(self.right(key))


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> Callable[[], nn.Module]:
    """`build` with weights that are the same each time, whatever drew random numbers before."""

    def model() -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build().eval()

    return model


def samples(shapes: dict[str, tuple[int, ...]], count: int = 16) -> list[dict[str, Array]]:
    """`count` float32 samples of each input, the same each time."""
    rng = np.random.default_rng(7)
    return [
        {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()} for _ in range(count)
    ]


def recipe_of(
    build: Callable[[], nn.Module], inputs: dict[str, TensorSpec], outputs: tuple[str, ...], **fields: Any
) -> Recipe:
    """A recipe whose calibration samples have each dynamic dimension at a size of 1, or 5 for `time`."""
    sizes = {"time": 5}
    shapes = {n: tuple(d if isinstance(d, int) else sizes.get(d, 1) for d in s.shape) for n, s in inputs.items()}
    fields = {"name": build.__name__.lower(), "calibration": lambda: samples(shapes)} | fields
    return Recipe(model=seeded(build), inputs=inputs, outputs=outputs, **fields)


CONV = recipe_of(ConvNet, {"image": TensorSpec("float32", ("batch", 3, 8, 8), BATCH)}, ("scores",))
SEQUENCE = recipe_of(
    SequenceNet, {"frames": TensorSpec("float32", ("batch", "time", 4), BATCH | {"time": (3, 40)})}, ("steps",)
)
LABEL = recipe_of(LabelNet, {"x": TensorSpec("float32", ("batch", 6), BATCH)}, ("scores", "label"))
PAIR = recipe_of(
    PairNet,
    {"query": TensorSpec("float32", ("batch", 4), BATCH), "key": TensorSpec("float32", ("batch", 4), BATCH)},
    ("distance",),
)
RECIPES = {recipe.name: recipe for recipe in (CONV, SEQUENCE, LABEL, PAIR)}


def exported(recipe: Recipe) -> Exported:
    """The recipe's export with a graph of its own, which a test may change."""
    original = _exported(recipe.name)
    return replace(original, model=ir.from_proto(ir.to_proto(original.model)))


@cache
def _exported(name: str) -> Exported:
    return export(RECIPES[name])


def initializer(model: ir.Model, name: str) -> Array:
    """A copy of a weight of the graph."""
    return np.array(model.graph.initializers[name].const_value.numpy())


def set_initializer(model: ir.Model, name: str, array: Array) -> None:
    """Give a weight of the graph another value of the same shape."""
    model.graph.initializers[name].const_value = ir.tensor(array, name=name)


def foreign_model() -> onnx.ModelProto:
    """A graph as another exporter may write it: (batch, 3, 8, 8) -> (batch, 4), float32.

    Conv, BatchNorm, a function of the model's own called twice, constants to be folded, an Identity, the same Relu
    twice, a weight twice, and a node whose output nobody reads.
    """
    rng = np.random.default_rng(3)
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    weights = {
        "kernel": rng.standard_normal((4, 3, 3, 3)),
        "gain": rng.uniform(0.5, 2, 4),
        "shift": rng.standard_normal(4),
        "mean": rng.standard_normal(4),
        "variance": rng.uniform(0.5, 2, 4),
        "half": np.full((1,), 0.5),
        "same_half": np.full((1,), 0.5),
    }
    swish = helper.make_function(
        "own",
        "Swish",
        ["x"],
        ["y"],
        [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])],
        [helper.make_opsetid("", 20)],
    )
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["conv"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["conv", "gain", "shift", "mean", "variance"], ["norm"], name="norm"),
        helper.make_node("Identity", ["norm"], ["copy"], name="identity"),
        helper.make_node("Swish", ["copy"], ["curved"], name="swish", domain="own"),
        helper.make_node("Swish", ["curved"], ["again"], name="swish_again", domain="own"),
        helper.make_node("Relu", ["again"], ["relu"], name="relu"),
        helper.make_node("Relu", ["again"], ["same_relu"], name="same_relu"),
        helper.make_node("Exp", ["relu"], ["unread"], name="unread"),
        helper.make_node("Add", ["half", "same_half"], ["one"], name="constant"),
        helper.make_node("Mul", ["relu", "one"], ["scaled"], name="scale"),
        helper.make_node("Mul", ["same_relu", "same_half"], ["halved"], name="halve"),
        helper.make_node("Add", ["scaled", "halved"], ["sum"], name="sum"),
        helper.make_node("ReduceMean", ["sum", "axes"], ["y"], name="mean", keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("x", floats, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("y", floats, ["batch", 4])],
        [onnx.numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()]
        + [onnx.numpy_helper.from_array(np.array([2, 3]), "axes")],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, functions=[swish], opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model)
    return model
