"""depthwise_u8: a depthwise convolution on quantized activations: Conv of as many groups as channels in QDQ form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.ops.qlinear import qlinear_conv
from edgekit.ops.rounding import wrapped_sum
from edgekit.tensors import Array

if TYPE_CHECKING:
    import onnx

TOLERANCE_EPS = 0.0  # integer sums and one rounded f32 product: every row gives the same bits
DOMAIN = "|acc * scale| < 2**31; scale > 0 and finite"


def reference(
    x: Array,
    weights: Array,
    *,
    bias: Array,
    scale: Array,
    strides: tuple[int, int] = (1, 1),
    dilations: tuple[int, int] = (1, 1),
) -> Array:
    """`acc * scale`, float32 (rows, columns, channels): what `rounding.requantize` goes on with.

    x: (height, width, channels) uint8, padded. weights: (channels, taps_y, taps_x) int8. bias: (channels,) int32, the
    zero point of x folded in. scale: (channels,) float32. strides and dilations: (y, x).
    """
    _, taps_y, taps_x = weights.shape
    rows = (x.shape[0] - (taps_y - 1) * dilations[0] - 1) // strides[0] + 1
    columns = (x.shape[1] - (taps_x - 1) * dilations[1] - 1) // strides[1] + 1
    sums = np.zeros((rows, columns, x.shape[2]), np.int64) + bias.astype(np.int64)
    for j in range(taps_y):
        for i in range(taps_x):
            y, x0 = j * dilations[0], i * dilations[1]
            seen = x[
                y : y + (rows - 1) * strides[0] + 1 : strides[0], x0 : x0 + (columns - 1) * strides[1] + 1 : strides[1]
            ]
            sums += seen.astype(np.int64) * weights[:, j, i].astype(np.int64)
    product: Array = wrapped_sum(sums).astype(np.float32) * scale.astype(np.float32)
    return product


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
    """The op as ONNX: x (1, channels, height, width) uint8 -> y uint8, of scale 1 each.

    weights, scale: as in `reference`; bias: int32, without the zero point. zero_points: of x and of y. pads: top, left,
    bottom, right, as ONNX has them, of zero points.
    """
    return qlinear_conv(
        "depthwise_u8",
        weights[:, None],
        bias=bias,
        scale=scale,
        zero_points=zero_points,
        strides=strides,
        pads=pads,
        dilations=dilations,
        group=len(weights),
    )
