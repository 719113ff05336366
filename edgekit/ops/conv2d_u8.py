"""conv2d_u8: a convolution on quantized activations, with a residual on request: Conv, or Conv and Add, in QDQ form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.ops.exact import fma
from edgekit.ops.qlinear import qlinear_conv
from edgekit.ops.rounding import wrapped_sum
from edgekit.tensors import Array

if TYPE_CHECKING:
    import onnx

TOLERANCE_EPS = 0.0  # integer sums, one rounded f32 product and one fma: every row gives the same bits
DOMAIN = "|value| < 2**31; scale > 0 and finite; residual_scale finite"


def reference(
    x: Array,
    weights: Array,
    *,
    bias: Array,
    scale: Array,
    strides: tuple[int, int] = (1, 1),
    dilations: tuple[int, int] = (1, 1),
) -> Array:
    """`acc * scale`, float32 (rows, columns, outputs): what `with_residual` or `rounding.requantize` goes on with.

    x: (height, width, channels) uint8, padded. weights: (outputs, taps_y, taps_x, channels) int8. bias: (outputs,)
    int32, the zero point of x folded in. scale: (outputs,) float32. strides and dilations: (y, x).
    """
    height, width, _ = x.shape
    _, taps_y, taps_x, _ = weights.shape
    rows = (height - (taps_y - 1) * dilations[0] - 1) // strides[0] + 1
    columns = (width - (taps_x - 1) * dilations[1] - 1) // strides[1] + 1
    sums = np.tile(bias.astype(np.int64), (rows, columns, 1))
    for i in range(taps_y):
        for j in range(taps_x):
            top, left = i * dilations[0], j * dilations[1]
            seen = x[top :: strides[0], left :: strides[1]][:rows, :columns].astype(np.int64)
            sums += seen @ weights[:, i, j].astype(np.int64).T
    product: Array = wrapped_sum(sums).astype(np.float32) * scale.astype(np.float32)
    return product


def with_residual(values: Array, residual: Array, *, scale: float, zero_point: int) -> Array:
    """float32 `fma(residual - zero_point, scale, values)`; residual: uint8 of the shape of `values`."""
    return fma(residual.astype(np.float32) - np.float32(zero_point), np.float32(scale), values)


def onnx_model(
    weights: Array,
    *,
    bias: Array,
    scale: Array,
    zero_points: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilations: tuple[int, int] = (1, 1),
) -> onnx.ModelProto:
    """The op without a residual as ONNX: x (1, channels, height, width) uint8 -> y uint8, of scale 1 each.

    weights, scale: as in `reference`; bias: int32, without the zero point. zero_points: of x and of y. pads: top, left,
    bottom, right, as ONNX has them, of zero points.
    """
    return qlinear_conv(
        "conv2d_u8",
        weights.transpose(0, 3, 1, 2),
        bias=bias,
        scale=scale,
        zero_points=zero_points,
        strides=strides,
        pads=pads,
        dilations=dilations,
    )
