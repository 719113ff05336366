"""dequantize_u8: levels to floats: DequantizeLinear, with the transpose from NHWC where the floats lie otherwise."""

from __future__ import annotations

import numpy as np

from edgekit.tensors import Array

TOLERANCE_EPS = 0.0  # one f32 product: every row gives the same bits
DOMAIN = "every level; scale finite"


def reference(levels: Array, *, scale: float, zero_point: int) -> Array:
    """float32 of uint8 of any shape: `(levels - zero_point) * scale`."""
    values: Array = (levels.astype(np.int32) - zero_point).astype(np.float32) * np.float32(scale)
    return values
