"""pool_u8: AveragePool, MaxPool and their global forms between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.tensors import Array

if TYPE_CHECKING:
    import onnx

TOLERANCE_EPS = 0.0  # integer sums and one rounded f32 product: every row gives the same bits
DOMAIN = "|(sum - taps * zero point) * scale| < 2**31; at most 2**23 taps"


def reference(
    x: Array,
    *,
    maximum: bool,
    taps: tuple[int, int],
    strides: tuple[int, int],
    zero_point: int,
    scale: float,
) -> Array:
    """float32 (rows, columns, channels): what `rounding.requantize` goes on with.

    x: (height, width, channels) uint8, padded. taps and strides: (y, x). zero_point: that of x. scale: of an average,
    with 1 / taps in it.
    """
    windows = np.lib.stride_tricks.sliding_window_view(x, taps, axis=(0, 1))[:: strides[0], :: strides[1]]
    if maximum:
        gathered = windows.max(axis=(-2, -1)).astype(np.int64) - zero_point
    else:
        gathered = windows.sum(axis=(-2, -1), dtype=np.int64) - zero_point * taps[0] * taps[1]
    product: Array = gathered.astype(np.float32) * np.float32(scale)
    return product


def onnx_model(
    *,
    maximum: bool,
    taps: tuple[int, int],
    strides: tuple[int, int],
    scales: tuple[float, float],
    zero_points: tuple[int, int],
    channels: int,
) -> onnx.ModelProto:
    """The op as ONNX: x (1, channels, height, width) uint8 -> y uint8; scales and zero points of x and y."""
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        **{f"{name}_scale": np.array(scale, np.float32) for name, scale in zip("xy", scales, strict=True)},
        **{f"{name}_zero": np.array(point, np.uint8) for name, point in zip("xy", zero_points, strict=True)},
    }
    pool = "MaxPool" if maximum else "AveragePool"
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "x_scale", "x_zero"], ["x_value"]),
        helper.make_node(pool, ["x_value"], ["y_value"], kernel_shape=taps, strides=strides),
        helper.make_node("QuantizeLinear", ["y_value", "y_scale", "y_zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "pool_u8",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, channels, "height", "width"])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [1, channels, "rows", "columns"])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
