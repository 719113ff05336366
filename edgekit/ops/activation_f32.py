"""activation_f32: the functions that float ops can apply, by their number in records (kernels/common/activation.h)."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum

import numpy as np

from edgekit.tensors import Array


class Activation(IntEnum):
    """The numbers of kernels/common/activation.h."""

    NONE = 0
    RELU = 1
    RELU6 = 2
    HARD_SWISH = 3
    SIGMOID = 4
    TANH = 5
    GELU_ERF = 6
    GELU_TANH = 7
    SILU = 8


TOLERANCE_EPS = 4.0  # of max(1, |f(x)|); measured: tanh 2.7, the others at most 2.0
DOMAIN = "every float; NaN gives NaN; hard-swish, silu and both gelus of -inf are left open: NaN or 0"


def _sigmoid(x: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-x))
    return result


def _gelu_erf(x: Array) -> Array:
    result: Array = x / 2 * np.vectorize(math.erfc, otypes=[np.float64])(-x / math.sqrt(2))
    return result


def _gelu_tanh(x: Array) -> Array:
    result: Array = x * _sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3))
    return result


FUNCTIONS: dict[Activation, Callable[[Array], Array]] = {
    Activation.NONE: lambda x: x,
    Activation.RELU: lambda x: np.maximum(x, 0),
    Activation.RELU6: lambda x: np.clip(x, 0, 6),
    Activation.HARD_SWISH: lambda x: x * np.clip(x + 3, 0, 6) / 6,
    Activation.SIGMOID: _sigmoid,
    Activation.TANH: np.tanh,
    Activation.GELU_ERF: _gelu_erf,
    Activation.GELU_TANH: _gelu_tanh,
    Activation.SILU: lambda x: x * _sigmoid(x),
}


def reference(x: Array, *, activation: int) -> Array:
    """float64 of float32 of any shape: `f(x)`."""
    with np.errstate(over="ignore", invalid="ignore"):
        return FUNCTIONS[Activation(activation)](x.astype(np.float64))
