"""quantize_u8: floats to levels: QuantizeLinear, with the transpose to NHWC where the floats lie otherwise."""

from __future__ import annotations

import numpy as np

from edgekit.tensors import Array

TOLERANCE_EPS = 0.0  # one f32 product, rounded: every row gives the same bits
DOMAIN = "every float: NaN gives 0, infinities give 0 and 255; inverse_scale finite"


def reference(x: Array, *, inverse_scale: float, zero_point: int) -> Array:
    """uint8 of float32 of any shape: `clamp(round(x * inverse_scale) + zero_point, 0, 255)`, ties to even."""
    with np.errstate(over="ignore", invalid="ignore"):
        products: Array = x.astype(np.float32) * np.float32(inverse_scale)
    levels: Array = np.clip(np.rint(np.nan_to_num(products, nan=-np.inf)) + zero_point, 0, 255)
    return levels.astype(np.uint8)
