"""binary_f32: Add, Mul or Sub of two float tensors, of which the second one may repeat."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from edgekit.tensors import Array

TOLERANCE_EPS = 0.0  # one f32 operation
DOMAIN = "every float"


class Kind(IntEnum):
    """The numbers of kernels/binary_f32/binary_f32.h."""

    ADD = 0
    MULTIPLY = 1
    SUBTRACT = 2


def reference(a: Array, b: Array, *, kind: int) -> Array:
    """float32 (count,): `a[i] op b[i % len(b)]`. a: (count,) float32. b: (b_count,) float32, b_count divides count."""
    operation = {Kind.ADD: np.add, Kind.MULTIPLY: np.multiply, Kind.SUBTRACT: np.subtract}[Kind(kind)]
    with np.errstate(over="ignore", invalid="ignore"):
        result: Array = operation(a.astype(np.float32), np.resize(b.astype(np.float32), a.shape))
    return result
