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
