"""border_u8: the constant padding of an image (ONNX Pad), in place: the inner image is there already."""

from __future__ import annotations

import numpy as np

from edgekit.tensors import Array

TOLERANCE_EPS = 0.0  # bytes are set
DOMAIN = "any"


def reference(image: Array, *, top: int, bottom: int, left: int, right: int, value: int) -> Array:
    """The padded image, uint8 (top + rows + bottom, left + columns + right, channels).

    image: (rows, columns, channels) uint8.
    """
    padded: Array = np.pad(image, ((top, bottom), (left, right), (0, 0)), constant_values=value)
    return padded
