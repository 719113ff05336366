"""float32 arithmetic that numpy lacks, to the last bit."""

from __future__ import annotations

import numpy as np

from edgekit.tensors import Array


def fma(a: Array, b: Array | np.float32 | float, c: Array | float) -> Array:
    """`a * b + c` of float32 values, rounded once.

    The product is exact in float64. Their sum is rounded to odd, so that the second rounding, to float32, is as if it
    were the only one (S. Boldo, G. Melquiond: Emulation of FMA and correctly rounded sums, 2008).
    """
    product = np.asarray(a, np.float64) * np.asarray(b, np.float64)
    addend = np.broadcast_to(np.asarray(c, np.float64), product.shape)
    total = product + addend
    rest = total - product
    error = (product - (total - rest)) + (addend - rest)
    bits = total.view(np.int64)
    step = np.where((error > 0) == (total > 0), 1, -1)
    odd = np.where((error != 0) & (bits & 1 == 0), bits + step, bits)
    return odd.view(np.float64).astype(np.float32)
