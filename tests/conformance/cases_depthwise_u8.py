"""Cases of depthwise_u8: every width of a block, narrow images, strides, dilations, taps of any shape, gaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from case import Case, Expected, Memories
from images import put_image, room_for, spread, strides

from edgekit.backends.native.packing import fold_bias, pack_depthwise, pack_lanes
from edgekit.backends.native.records import Space
from edgekit.ops import depthwise_u8
from edgekit.ops.rounding import requantize

CHANNELS = (1, 3, 8, 15, 16, 17, 24, 32, 33, 48, 63, 64, 65, 80, 96, 104, 128, 200)


@dataclass(frozen=True)
class Shape:
    """Sizes of the output, and of what makes it."""

    rows: int
    columns: int
    channels: int
    taps: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)

    @property
    def input(self) -> tuple[int, int, int]:
        height = (self.rows - 1) * self.strides[0] + (self.taps[0] - 1) * self.dilations[0] + 1
        width = (self.columns - 1) * self.strides[1] + (self.taps[1] - 1) * self.dilations[1] + 1
        return height, width, self.channels


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(4)
    for shape in (*_widths(), *_lengths(), *_taps()):
        yield case(shape, rng)
    for channels, stride in product((8, 16, 24, 64), (1, 2)):
        shape = Shape(3, 6, channels, strides=(stride, stride))
        yield case(shape, rng, pixel_gap=3, row_gap=7)
        yield case(shape, rng, row_gap=1)
    for level, weight in ((255, 127), (255, -128), (0, -128)):
        for taps in ((3, 3), (5, 5)):
            yield case(Shape(3, 5, 64, taps), rng, level=level, weight=weight)


def _widths() -> Iterator[Shape]:
    for channels, stride in product(CHANNELS, ((1, 1), (2, 2), (2, 1))):
        yield Shape(3, 7, channels, strides=stride)


def _lengths() -> Iterator[Shape]:
    for columns, channels, stride in product((1, 2, 3, 4, 5, 8, 9, 17), (8, 16, 32, 40, 64), (1, 2, 3)):
        yield Shape(2, columns, channels, strides=(stride, stride))


def _taps() -> Iterator[Shape]:
    shapes = ((1, 1), (1, 3), (3, 1), (2, 2), (4, 3), (5, 5), (7, 7), (1, 9), (9, 1), (4, 10))
    for taps, channels in product(shapes, (3, 16, 32, 64, 70)):
        yield Shape(3, 6, channels, taps)
        yield Shape(2, 5, channels, taps, (2, 2), (1, 2))
    for channels, dilation in product((8, 16, 24, 64), ((2, 2), (2, 1), (1, 2), (4, 4))):
        yield Shape(3, 6, channels, dilations=dilation)


def case(
    shape: Shape,
    rng: np.random.Generator,
    *,
    level: int | None = None,
    weight: int | None = None,
    offset: int = 1,
    **gaps: int,
) -> Case:
    """One call on random values, or on the ones given; gaps as for `spread`, in the input and in the output."""
    x = rng.integers(0, 256, shape.input).astype(np.uint8)
    weights = rng.integers(-128, 128, (shape.channels, *shape.taps)).astype(np.int8)
    if level is not None and weight is not None:
        x[:], weights[:] = level, weight
    bias = fold_bias(rng.integers(-2000, 2000, shape.channels), weights, zero_point=int(rng.integers(0, 256)))
    scale = (rng.uniform(0.5, 2, shape.channels) / (60 * np.sqrt(shape.taps[0] * shape.taps[1]))).astype(np.float32)
    values = depthwise_u8.reference(
        x, weights, bias=bias, scale=scale, strides=shape.strides, dilations=shape.dilations
    )
    zero_point, low, high = [(0, 0, 255), (128, 0, 255), (3, 3, 200)][int(rng.integers(0, 3))]
    wanted = requantize(values, zero_point=zero_point, low=low, high=high)
    memories = Memories()
    output = room_for(memories, wanted, Space.IO, offset=4, **gaps)
    at = strides("input", x, **gaps)
    row, column = at["input_row_stride"], at["input_column_stride"]
    params = {
        "input": put_image(memories, x, offset=offset, **gaps),
        "weights": memories.put(pack_depthwise(weights), Space.CONSTANTS),
        "bias": memories.put(pack_lanes(bias), Space.CONSTANTS),
        "scale": memories.put(pack_lanes(scale), Space.CONSTANTS),
        "output": output,
        "rows": shape.rows,
        "columns": shape.columns,
        "channels": shape.channels,
        "input_row_stride": row * shape.strides[0],
        "input_column_stride": column * shape.strides[1],
        "taps_y": shape.taps[0],
        "taps_x": shape.taps[1],
        "tap_y_stride": row * shape.dilations[0],
        "tap_x_stride": column * shape.dilations[1],
        **strides("output", wanted, **gaps),
        "zero_point": zero_point,
        "low": low,
        "high": high,
    }
    name = f"{shape}-{gaps}-{level}-{weight}"
    return Case(name, "depthwise_u8", params, memories.buffers(), (Expected(output, spread(wanted, **gaps)),))
