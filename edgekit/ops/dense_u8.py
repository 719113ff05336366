"""dense_u8: a fully connected layer on quantized activations: Gemm between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

import numpy as np

from edgekit.ops.rounding import wrapped_sum
from edgekit.tensors import Array

TOLERANCE_EPS = 0.0  # integer sums and one rounded f32 product: every row gives the same bits
DOMAIN = "|acc * scale| < 2**31; scale > 0 and finite"


def reference(x: Array, weights: Array, *, bias: Array, scale: Array) -> Array:
    """`acc * scale`, float32 (rows, outputs): what `rounding.requantize` or the caller goes on with.

    x: (rows, inputs) uint8. weights: (outputs, inputs) int8. bias: (outputs,) int32, the zero point of x folded in.
    scale: (outputs,) float32.
    """
    sums = wrapped_sum(x.astype(np.int64) @ weights.astype(np.int64).T + bias.astype(np.int64))
    product: Array = sums.astype(np.float32) * scale.astype(np.float32)
    return product
