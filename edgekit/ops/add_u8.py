"""add_u8: the sum of two quantized tensors: Add between two DequantizeLinear and a QuantizeLinear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.ops.exact import fma
from edgekit.tensors import Array

if TYPE_CHECKING:
    import onnx

TOLERANCE_EPS = 0.0  # a rounded f32 product and a fused multiply-add: every row gives the same bits
DOMAIN = "|value| < 2**31; scales finite"


def reference(a: Array, b: Array, *, a_scale: float, b_scale: float, a_zero_point: int, b_zero_point: int) -> Array:
    """float32, the shape of a: `fma(b - b_zero_point, b_scale, (a - a_zero_point) * a_scale)`.

    a, b: uint8 of one shape. Scales are those of the inputs over that of the output; what
    `rounding.requantize` goes on with.
    """
    first = (a.astype(np.float32) - np.float32(a_zero_point)) * np.float32(a_scale)
    return fma(b.astype(np.float32) - np.float32(b_zero_point), np.float32(b_scale), first)


def onnx_model(
    *, scales: tuple[float, float, float], zero_points: tuple[int, int, int], shape: tuple[int, ...]
) -> onnx.ModelProto:
    """The op as ONNX: a, b uint8 of `shape` -> y uint8; scales and zero points of a, b and y."""
    from onnx import TensorProto, helper, numpy_helper

    constants = {}
    for name, scale, zero_point in zip("aby", scales, zero_points, strict=True):
        constants[f"{name}_scale"] = np.array(scale, np.float32)
        constants[f"{name}_zero"] = np.array(zero_point, np.uint8)
    nodes = [
        helper.make_node("DequantizeLinear", ["a", "a_scale", "a_zero"], ["a_value"]),
        helper.make_node("DequantizeLinear", ["b", "b_scale", "b_zero"], ["b_value"]),
        helper.make_node("Add", ["a_value", "b_value"], ["y_value"]),
        helper.make_node("QuantizeLinear", ["y_value", "y_scale", "y_zero"], ["y"]),
    ]
    inputs, outputs = (
        [helper.make_tensor_value_info(n, TensorProto.UINT8, shape) for n in part] for part in ("ab", "y")
    )
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "add_u8", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
