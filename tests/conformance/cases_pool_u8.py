"""Cases of pool_u8: averages and maxima, whole images and small windows, every width of a block, gaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from case import Case, Expected, Memories
from images import put_image, room_for, spread, strides

from edgekit.backends.native.records import Space
from edgekit.ops import pool_u8
from edgekit.ops.rounding import requantize


@dataclass(frozen=True)
class Shape:
    """Sizes of the output, and of what makes it."""

    rows: int
    columns: int
    channels: int
    taps: tuple[int, int]
    strides: tuple[int, int] = (1, 1)

    @property
    def input(self) -> tuple[int, int, int]:
        height, width = (
            (count - 1) * stride + taps
            for count, stride, taps in zip((self.rows, self.columns), self.strides, self.taps, strict=True)
        )
        return height, width, self.channels


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(5)
    for shape, maximum in product((*_whole_images(), *_windows()), (False, True)):
        yield case(shape, rng, maximum=maximum)
        yield case(shape, rng, maximum=maximum, pixel_gap=2, row_gap=5)
    for level, taps in product((0, 255), ((8, 8), (20, 30), (1, 600), (3, 257))):
        yield case(Shape(1, 1, 40, taps), rng, maximum=False, level=level)
    yield case(Shape(4, 5, 48, (2, 2), (2, 2)), rng, maximum=True, same=True)


def _whole_images() -> Iterator[Shape]:
    for taps, channels in product(((8, 8), (7, 7), (25, 5), (1, 1), (16, 16), (17, 17)), (1, 15, 32, 64, 100, 129)):
        yield Shape(1, 1, channels, taps)


def _windows() -> Iterator[Shape]:
    for taps, strides_, channels in product(((2, 2), (3, 3), (1, 4)), ((1, 1), (2, 2), (1, 2)), (3, 8, 31, 33, 64, 80)):
        yield Shape(3, 4, channels, taps, strides_)


def case(
    shape: Shape,
    rng: np.random.Generator,
    *,
    maximum: bool,
    level: int | None = None,
    same: bool = False,
    **gaps: int,
) -> Case:
    """One call on random values, or all `level`; same: scale and zero point of the output are the input's."""
    x = rng.integers(0, 256, shape.input).astype(np.uint8) if level is None else np.full(shape.input, level, np.uint8)
    input_zero_point, zero_point = (int(point) for point in rng.integers(0, 256, 2))
    low, high = ((0, 255), (128, 255), (3, 200))[int(rng.integers(0, 3))]
    scale = np.float32(rng.uniform(0.3, 1.5) / (1 if maximum else shape.taps[0] * shape.taps[1]))
    if same:
        zero_point, scale = input_zero_point, np.float32(1)
    values = pool_u8.reference(
        x, maximum=maximum, taps=shape.taps, strides=shape.strides, zero_point=input_zero_point, scale=scale
    )
    wanted = requantize(values, zero_point=zero_point, low=low, high=high)
    memories = Memories()
    output = room_for(memories, wanted, Space.IO, offset=4, **gaps)
    at = strides("input", x, **gaps)
    row, column = at["input_row_stride"], at["input_column_stride"]
    params = {
        "input": put_image(memories, x, offset=1, **gaps),
        "output": output,
        "maximum": int(maximum),
        "rows": shape.rows,
        "columns": shape.columns,
        "channels": shape.channels,
        "input_row_stride": row * shape.strides[0],
        "input_column_stride": column * shape.strides[1],
        "taps_y": shape.taps[0],
        "taps_x": shape.taps[1],
        "tap_y_stride": row,
        "tap_x_stride": column,
        **strides("output", wanted, **gaps),
        "input_zero_point": input_zero_point,
        "zero_point": zero_point,
        "low": low,
        "high": high,
        "scale": float(scale),
    }
    name = f"{'max' if maximum else 'average'}-{shape}-{level}-{same}-{gaps}"
    return Case(name, "pool_u8", params, memories.buffers(), (Expected(output, spread(wanted, **gaps)),))
