"""Cases of quantize_u8: vectors, planes to pixels, padded rows, any strides, ties, infinities and NaN."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from case import Case, Expected, Memories

from edgekit.backends.native.records import Space
from edgekit.ops import quantize_u8

# rows, columns, channels of the image
SIZES = ((1, 1, 1), (1, 1, 15), (1, 1, 64), (1, 1, 203), (2, 3, 3), (5, 7, 3), (3, 40, 3), (4, 9, 1), (2, 5, 17))
SPECIAL = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 0.5, 1.5, 2.5, -0.5, -0.0, 3e-39, 2**31, -(2.0**31)])


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    for size in SIZES:
        x = rng.uniform(-9, 9, size).astype(np.float32)
        for order in ("nhwc", "nchw", "chwn-strided"):
            yield image_case(f"{size}-{order}", x, order=order, inverse_scale=20.0, zero_point=int(rng.integers(256)))
    x = np.resize(SPECIAL.astype(np.float32), (6, 17, 3))
    for zero_point in (0, 3, 255):
        for order in ("nhwc", "nchw"):
            yield image_case(f"special-{order}-{zero_point}", x, order=order, inverse_scale=1.0, zero_point=zero_point)
            yield image_case(f"tie-{order}-{zero_point}", x, order=order, inverse_scale=1e9, zero_point=zero_point)


def image_case(name: str, x, *, order: str, inverse_scale: float, zero_point: int) -> Case:
    """x: (rows, columns, channels) float32, laid out in `order`; a strided image also gets gaps between its rows."""
    rows, columns, channels = x.shape
    memories = Memories()
    strides, laid_out = layout(x, order)
    gap = 5 if order == "chwn-strided" else 0
    levels = quantize_u8.reference(x, inverse_scale=inverse_scale, zero_point=zero_point)
    wanted = np.pad(levels.reshape(rows, -1), ((0, 0), (0, gap)), constant_values=0xC3)  # room() fills with 0xC3
    source = memories.put(laid_out, Space.IO, offset=4)
    to = memories.room(wanted.nbytes, Space.IO + 1, offset=3)
    params = {
        "input": source,
        "output": to,
        "rows": rows,
        "columns": columns,
        "channels": channels,
        **dict(zip(("input_row_stride", "input_column_stride", "input_channel_stride"), strides, strict=True)),
        "output_row_stride": wanted.shape[1],
        "output_column_stride": channels,
        "zero_point": zero_point,
        "inverse_scale": inverse_scale,
    }
    return Case(name, "quantize_u8", params, memories.buffers(), (Expected(to, wanted),), inputs=1)


def layout(x, order: str):
    """(row, column, channel) strides in bytes, and the floats of `x` as they lie in memory."""
    rows, columns, channels = x.shape
    if order == "nhwc":
        return (columns * channels * 4, channels * 4, 4), x
    if order == "nchw":
        return (columns * 4, 4, rows * columns * 4), x.transpose(2, 0, 1)
    spread = np.zeros((channels, rows, columns + 1, 2), np.float32)
    spread[:, :, :columns, 0] = x.transpose(2, 0, 1)
    return ((columns + 1) * 8, 8, rows * (columns + 1) * 8), spread
