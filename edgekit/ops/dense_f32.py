"""dense_f32: a fully connected layer: Gemm or MatMul with bias, and the activation behind it."""

from __future__ import annotations

import math

import numpy as np

from edgekit.ops import activation_f32
from edgekit.tensors import Array

DOMAIN = "finite values whose sums of |x * w| stay below the largest float; the activation's own domain"


def reference(x: Array, weights: Array, *, bias: Array, activation: int = 0) -> Array:
    """float64 (rows, outputs): `f(x @ weights.T + bias)`.

    x: (rows, inputs) float32. weights: (outputs, inputs) float32. bias: (outputs,) float32.
    """
    sums: Array = x.astype(np.float64) @ weights.astype(np.float64).T + bias
    return activation_f32.reference(sums, activation=activation)


def magnitude(x: Array, weights: Array, *, bias: Array) -> float:
    """The largest `sum |x * w| + |bias|`: what the epsilons of `tolerance_eps` count from."""
    largest: float = (np.abs(x).astype(np.float64) @ np.abs(weights).astype(np.float64).T + np.abs(bias)).max()
    return largest


def tolerance_eps(inputs: int) -> float:
    """Epsilons of `magnitude`: sqrt(inputs) for the sum, whose roundings are taken as independent, and those of the
    activation, which no function here makes steeper than 1.13."""
    return math.sqrt(inputs) + activation_f32.TOLERANCE_EPS
