"""Cases of dequantize_u8: vectors, pixels to planes, any strides, every level."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from case import Case, Expected, Memories

from edgekit.backends.native.records import Space
from edgekit.ops import dequantize_u8

# rows, columns, channels of the image
SIZES = ((1, 1, 1), (1, 1, 15), (1, 1, 64), (1, 1, 203), (2, 3, 3), (5, 7, 3), (3, 40, 3), (4, 9, 1), (2, 5, 17))


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    for size in SIZES:
        levels = rng.integers(0, 256, size).astype(np.uint8)
        for order in ("nhwc", "nchw", "chwn-strided"):
            yield _case(f"{size}-{order}", levels, order=order, scale=0.037, zero_point=int(rng.integers(256)))
    every = np.arange(256, dtype=np.uint8).reshape(1, 1, 256)
    for zero_point in (0, 128, 255):
        yield _case(f"every-{zero_point}", every, order="nhwc", scale=-1.3e-3, zero_point=zero_point)


def _case(name: str, levels, *, order: str, scale: float, zero_point: int) -> Case:
    rows, columns, channels = levels.shape
    memories = Memories()
    values = dequantize_u8.reference(levels, scale=scale, zero_point=zero_point)
    gap = 5 if order == "chwn-strided" else 0
    padded = np.pad(levels.reshape(rows, -1), ((0, 0), (0, gap)))
    strides, wanted = _layout(values, order)
    source = memories.put(padded, Space.IO, offset=3)
    to = memories.room(wanted.nbytes, Space.IO + 1, offset=4)
    params = {
        "input": source,
        "output": to,
        "rows": rows,
        "columns": columns,
        "channels": channels,
        "input_row_stride": padded.shape[1],
        "input_column_stride": channels,
        **dict(zip(("output_row_stride", "output_column_stride", "output_channel_stride"), strides, strict=True)),
        "zero_point": zero_point,
        "scale": scale,
    }
    return Case(name, "dequantize_u8", params, memories.buffers(), (Expected(to, wanted),), inputs=1)


def _layout(x, order: str):
    """(row, column, channel) strides in bytes, and what must stand in memory, gaps as room() fills them."""
    rows, columns, channels = x.shape
    if order == "nhwc":
        return (columns * channels * 4, channels * 4, 4), x
    if order == "nchw":
        return (columns * 4, 4, rows * columns * 4), np.ascontiguousarray(x.transpose(2, 0, 1))
    untouched = np.full(channels * rows * (columns + 1) * 8, 0xC3, np.uint8).view(np.float32)
    spread = untouched.reshape(channels, rows, columns + 1, 2)
    spread[:, :, :columns, 0] = x.transpose(2, 0, 1)
    return ((columns + 1) * 8, 8, rows * (columns + 1) * 8), spread
