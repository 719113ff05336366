"""Rounding and saturation as every integer kernel does them."""

from __future__ import annotations

import numpy as np

from edgekit.tensors import Array


def requantize(values: Array, *, zero_point: int, low: int = 0, high: int = 255) -> Array:
    """uint8 of float32 values: `clamp(round(value) + zero_point, low, high)`, ties to even."""
    levels: Array = np.clip(np.rint(values.astype(np.float32)) + zero_point, low, high)
    return levels.astype(np.uint8)


def wrapped_sum(sums: Array) -> Array:
    """int64 sums as int32 arithmetic gives them: modulo 2**32."""
    wrapped: Array = sums.astype(np.int64).astype(np.uint64).astype(np.uint32).view(np.int32)
    return wrapped


def fused_multiply_add(a: Array, b: Array | np.float32, c: Array) -> Array:
    """float32 `a * b + c` of float32 arrays, rounded once.

    The product is exact in float64. The sum is rounded to odd there, after which rounding it to float32 gives what one
    rounding would (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
    """
    product, addend = np.multiply(a, b, dtype=np.float64), c.astype(np.float64)
    total = product + addend
    virtual = total - product
    error = (product - (total - virtual)) + (addend - virtual)
    inexact_and_even = (error != 0) & (total.view(np.int64) % 2 == 0)
    odd = np.where(inexact_and_even, np.nextafter(total, np.copysign(np.inf, error)), total)
    fused: Array = odd.astype(np.float32)
    return fused
