"""layernorm_f32: LayerNormalization over the last dimension."""

from __future__ import annotations

import math

import numpy as np

from edgekit.tensors import Array

DOMAIN = "finite values whose squares stay below the largest float; rows whose mean is not large beside their spread"


def reference(x: Array, *, scale: Array, bias: Array, epsilon: float) -> Array:
    """float64 (rows, columns): `(x - mean) / sqrt(variance + epsilon) * scale + bias`.

    x: (rows, columns) float32. scale, bias: (columns,) float32.
    """
    wide = x.astype(np.float64)
    centred = wide - wide.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    normal: Array = centred / np.sqrt(variance + np.float32(epsilon)) * scale + bias
    return normal


def tolerance_eps(x: Array, *, epsilon: float) -> float:
    """Epsilons of the largest |output| or 1.

    sqrt(columns) for either sum, whose roundings are taken as independent, and as many for the mean as it is larger
    than the standard deviation: its rounding is a part of every centred value.
    """
    wide = x.astype(np.float64)
    deviation = np.sqrt(wide.var(axis=-1) + epsilon)
    offset = float((np.abs(wide).max(axis=-1) / deviation).max())
    return 4.0 + math.sqrt(x.shape[-1]) + 2 * offset
