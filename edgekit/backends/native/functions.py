"""Activations as functions of real values, for the tables that integer graphs look their results up in."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from edgekit.tensors import Array

if TYPE_CHECKING:
    import onnx_ir as ir


def _sigmoid(x: Array) -> Array:
    found: Array = 1.0 / (1.0 + np.exp(-x))
    return found


def _gelu(node: ir.Node, x: Array) -> Array:
    if node.attributes.get_string("approximate", "none") == "tanh":
        return np.asarray(0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * (1.0 + np.vectorize(math.erf)(x / math.sqrt(2.0))))


def _hard_sigmoid(node: ir.Node, x: Array) -> Array:
    alpha, beta = node.attributes.get_float("alpha", 0.2), node.attributes.get_float("beta", 0.5)
    return np.asarray(np.clip(alpha * x + beta, 0.0, 1.0))


FUNCTIONS: dict[str, Callable[[ir.Node, Array], Array]] = {
    "Relu": lambda _, x: np.maximum(x, 0.0),
    "LeakyRelu": lambda node, x: np.where(x < 0, node.attributes.get_float("alpha", 0.01) * x, x),
    "HardSwish": lambda _, x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "HardSigmoid": _hard_sigmoid,
    "Sigmoid": lambda _, x: _sigmoid(x),
    "Swish": lambda node, x: x * _sigmoid(node.attributes.get_float("alpha", 1.0) * x),
    "Tanh": lambda _, x: np.tanh(x),
    "Gelu": _gelu,
}
