"""softmax_f32: Softmax over the last dimension."""

from __future__ import annotations

import math

import numpy as np

from edgekit.tensors import Array

DOMAIN = "every float: a row with NaN or +inf, or of -inf alone, gives NaN"


def reference(x: Array) -> Array:
    """float64 of float32 (rows, columns): `e^(x - max) / sum(e^(x - max))` of each row."""
    wide = x.astype(np.float64)
    with np.errstate(invalid="ignore"):
        powers = np.exp(wide - wide.max(axis=-1, keepdims=True))
        shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def tolerance_eps(x: Array) -> float:
    """Epsilons of the largest share of a row: 8 for e^x, for the rounded `x - max` and for the division, and
    sqrt(columns) for the sum, whose roundings are taken as independent."""
    return 8.0 + math.sqrt(x.shape[-1])
