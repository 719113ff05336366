"""pool_u8: AveragePool, MaxPool and their global forms between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

import numpy as np

from edgekit.tensors import Array

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
