"""What gru and lstm share: products with float32 weights, and with int8 weights and values quantized as they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.errors import MissingDependencyError
from edgekit.tensors import Array

LEAST_LARGEST = 1e-30  # a row with no value above it is quantized as if one were that large


@dataclass(frozen=True)
class QuantizedWeights:
    """levels: (outputs, inputs) int8, worth `scale` each: (outputs,) float32."""

    levels: Array
    scale: Array

    def dequantized(self) -> Array:
        """float32 (outputs, inputs)."""
        values: Array = self.levels.astype(np.float32) * self.scale.astype(np.float32)[:, None]
        return values


Weights = Array | QuantizedWeights


def multiply(x: Array, weights: Weights, *, bias: Array, nudge: float = 0.0) -> Array:
    """`x weights^T + bias`, float64 (rows, outputs); with int8 weights `x` is quantized and the sums are exact.

    x: (rows, inputs). weights: (outputs, inputs). bias: (outputs,). nudge: see `dynamic_levels`.
    """
    if not isinstance(weights, QuantizedWeights):
        product: Array = x.astype(np.float64) @ weights.astype(np.float64).T + bias
        return product
    levels, scale = dynamic_levels(x, nudge=nudge)
    sums = levels @ weights.levels.astype(np.int64).T
    scaled: Array = sums * scale.astype(np.float64) * weights.scale + bias
    return scaled


def dynamic_levels(x: Array, *, nudge: float = 0.0) -> tuple[Array, Array]:
    """Levels -127..127, int64 (rows, inputs), and what one of each row is worth, float32 (rows, 1).

    largest = max(max |x|, 1e-30); level = round(x * (127 / largest)), ties to even; scale = largest / 127; all float32.
    A row with a NaN or an infinity has the scale NaN. nudge: is added before the rounding; shows what becomes different
    where x comes out differently in its last bits, as it may from another kernel.
    """
    x = x.astype(np.float32)
    with np.errstate(invalid="ignore"):
        largest = np.maximum(np.abs(x).max(axis=1, keepdims=True), np.float32(LEAST_LARGEST))
    finite = np.isfinite(largest)
    scale = np.where(finite, largest / np.float32(127), np.float32(np.nan))
    inverse = np.float32(127) / np.where(finite, largest, np.float32(1))
    levels = np.rint((np.where(finite, x, np.float32(0)) * inverse).astype(np.float64) + nudge)
    return levels.astype(np.int64), scale


def sigmoid(x: Array) -> Array:
    """`1 / (1 + e^-x)`, float64."""
    result: Array = 0.5 + 0.5 * np.tanh(0.5 * x)
    return result


def in_order(steps: int, *, reverse: bool) -> range:
    """The steps as they are taken."""
    return range(steps - 1, -1, -1) if reverse else range(steps)


def onnx_model(kind: str, *, states: int, weights: Array, recurrent: Array, bias: Array, **attributes: object) -> Any:
    """A model of one node, GRU or LSTM, in one direction.

    x (steps, rows, inputs) and `states` states (1, rows, hidden) give y (steps, 1, rows, hidden) and the states after.
    weights, recurrent: float32 (gates * hidden, inputs or hidden). bias: float32 (2 * gates * hidden,), W's before R's.

    Raises:
        MissingDependencyError: onnx is not installed.
    """
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise MissingDependencyError("onnx", extra="export") from error
    values = {"weights": weights, "recurrent": recurrent, "bias": bias}
    constants = [numpy_helper.from_array(value.astype(np.float32)[None], name) for name, value in values.items()]
    befores, afters = ([f"{name}_{when}" for name in ("hidden", "cell")[:states]] for when in ("in", "out"))
    node = helper.make_node(
        kind, ["x", *values, "", *befores], ["y", *afters], hidden_size=recurrent.shape[1], **attributes
    )
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 3) for name in ("x", *befores)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)]
    outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 3) for name in afters]
    graph = helper.make_graph([node], kind, inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
