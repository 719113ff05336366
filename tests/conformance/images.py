"""Images (rows, columns, channels) of uint8 in memory, with their strides, for the cases of ops on images."""

from __future__ import annotations

import numpy as np
from case import Memories

from edgekit.backends.native.records import Ref, Space
from edgekit.tensors import Array

GAP = 0xC3  # what lies between the pixels and rows of an image, and in an output before it is written


def spread(image: Array, *, pixel_gap: int = 0, row_gap: int = 0) -> Array:
    """The bytes of `image` from its first to its last one, with gaps after each pixel and each row."""
    rows, columns, channels = image.shape
    pixel = channels + pixel_gap
    held = np.full((rows, columns * pixel + row_gap), GAP, np.uint8)
    held[:, : columns * pixel].reshape(rows, columns, pixel)[:, :, :channels] = image
    return held.ravel()[: held.size - row_gap - pixel_gap]


def strides(name: str, image: Array, *, pixel_gap: int = 0, row_gap: int = 0) -> dict[str, int]:
    """`NAME_row_stride` and `NAME_column_stride` of an image that `spread` has laid out."""
    _, columns, channels = image.shape
    pixel = channels + pixel_gap
    return {f"{name}_row_stride": columns * pixel + row_gap, f"{name}_column_stride": pixel}


def put_image(memories: Memories, image: Array, space: int = Space.ARENA, *, offset: int = 0, **gaps: int) -> Ref:
    """Lay `image` out in a space; gaps as for `spread`."""
    return memories.put(spread(image, **gaps), space, offset=offset)


def room_for(memories: Memories, image: Array, space: int = Space.ARENA, *, offset: int = 0, **gaps: int) -> Ref:
    """Space for an output image, filled with what `spread` leaves in gaps."""
    return put_image(memories, np.full_like(image, GAP), space, offset=offset, **gaps)
