"""add_u8: the sum of two quantized tensors: Add between two DequantizeLinear and a QuantizeLinear."""

from __future__ import annotations

import numpy as np

from edgekit.tensors import Array

TOLERANCE_EPS = 0.0  # a rounded f32 product and a fused multiply-add: every row gives the same bits
DOMAIN = "|value| < 2**31; scales finite"


def reference(a: Array, b: Array, *, a_scale: float, b_scale: float, a_zero_point: int, b_zero_point: int) -> Array:
    """float32, the shape of a: `fma(b - b_zero_point, b_scale, (a - a_zero_point) * a_scale)`.

    a, b: uint8 of one shape. Scales are those of the inputs over that of the output; what
    `rounding.requantize` goes on with.
    """
    first = (a.astype(np.float32) - np.float32(a_zero_point)) * np.float32(a_scale)
    second = (b.astype(np.float64) - b_zero_point) * np.float64(np.float32(b_scale))  # exact in float64
    total: Array = _sum_rounded_once(second, first.astype(np.float64))
    return total


def _sum_rounded_once(x: Array, y: Array) -> Array:
    """float32 of x + y, both float64: rounded to odd first, which makes the second rounding the only one."""
    total = x + y
    kept = total - x
    error = (x - (total - kept)) + (y - kept)  # exact: Knuth's two-sum
    bits = total.view(np.int64)
    is_even = (bits & 1) == 0
    towards = np.where((error > 0) == (total > 0), 1, -1)
    odd = np.where((error != 0) & is_even, bits + towards, bits).view(np.float64)
    rounded: Array = odd.astype(np.float32)
    return rounded
