"""Grey images to network input: bilinear resize, scaling to [0, 1], and normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import TensorError

if TYPE_CHECKING:
    from edgekit.tensors import Array


@dataclass(frozen=True)
class ImageInput:
    """What a network takes: the size in pixels, and how pixel values become numbers around zero.

    peak: the pixel value that becomes 1.0; 255 for 8-bit images.
    mean, std: of the pixels after scaling to [0, 1]; subtracted, then divided by.
    """

    height: int
    width: int
    peak: float = 255.0
    mean: float = 0.0
    std: float = 1.0


def prepare_images(pixels: Array, spec: ImageInput) -> Array:
    """Network input from grey images: (resize(pixels) / peak - mean) / std.

    pixels: (n, height, width), any real dtype. Returns (n, 1, spec.height, spec.width) float32.

    Raises:
        TensorError: `pixels` does not have three dimensions, or one of them is empty.
    """
    resized = resize_bilinear(pixels, (spec.height, spec.width))
    scale, shift = 1.0 / (spec.peak * spec.std), spec.mean / spec.std
    return (resized * np.float32(scale) - np.float32(shift))[:, None]


def resize_bilinear(images: Array, size: tuple[int, int]) -> Array:
    """Images at another size, with half-pixel centres and edges repeated; no smoothing before shrinking.

    Output pixel i stands at (i + 0.5) * size_in / size_out - 0.5 of the input and mixes its two neighbours
    there: the rule of OpenCV's INTER_LINEAR, of ONNX Resize with `half_pixel`, and of torch's
    `align_corners=False`.

    images: (n, height, width), any real dtype. size: (height, width). Returns (n, *size) float32.

    Raises:
        TensorError: `images` does not have three dimensions, or one of them is empty.
    """
    if images.ndim != 3 or 0 in images.shape:
        raise TensorError(f"images have shape {images.shape}; expected (n, height, width), none of them 0")
    values = images.astype(np.float32, copy=False)
    if values.shape[1:] == size:
        return values
    rows = _interpolation(values.shape[1], size[0])
    columns = _interpolation(values.shape[2], size[1])
    return np.ascontiguousarray(rows @ values @ columns.T)


@lru_cache(maxsize=32)
def _interpolation(size_in: int, size_out: int) -> Array:
    """The matrix that resizes one axis, two weights a row with sum 1: (size_out, size_in) float32."""
    position = (np.arange(size_out) + 0.5) * (size_in / size_out) - 0.5
    position = position.clip(0, size_in - 1)
    left = np.floor(position).astype(np.intp)
    right = np.minimum(left + 1, size_in - 1)
    matrix = np.zeros((size_out, size_in))
    np.add.at(matrix, (np.arange(size_out), left), 1.0 - (position - left))
    np.add.at(matrix, (np.arange(size_out), right), position - left)
    return matrix.astype(np.float32)
