"""Cases of dense_u8: ragged sizes, saturation, batches, both forms of the output."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from case import Case, Expected, Memories

from edgekit.backends.native.packing import fold_bias, pack_lanes, pack_weights
from edgekit.backends.native.records import ABSENT, Space
from edgekit.ops import dense_u8
from edgekit.ops.rounding import requantize

SIZES = (
    (1, 1, 1),
    (1, 4, 16),
    (1, 5, 17),
    (1, 63, 15),
    (1, 640, 128),
    (1, 128, 8),
    (1, 8, 640),
    (3, 30, 65),
    (5, 7, 100),
)


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    for rows, inputs, outputs in SIZES:
        x = rng.integers(0, 256, (rows, inputs)).astype(np.uint8)
        weights = rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
        yield from _both(f"{rows}x{inputs}x{outputs}", x, weights, rng)
    for value, weight in ((255, 127), (255, -128), (0, -128)):
        x = np.full((1, 300), value, np.uint8)
        yield from _both(f"saturated-{value}-{weight}", x, np.full((20, 300), weight, np.int8), rng)


def _both(name: str, x, weights, rng) -> Iterator[Case]:
    outputs, inputs = weights.shape
    bias = fold_bias(rng.integers(-2000, 2000, outputs), weights, zero_point=int(rng.integers(0, 256)))
    scale = (rng.uniform(0.5, 2, outputs) / (40 * np.sqrt(inputs))).astype(np.float32)
    values = dense_u8.reference(x, weights, bias=bias, scale=scale)
    for zero_point, low, high in ((0, 0, 255), (128, 0, 255), (3, 3, 200)):
        wanted = requantize(values, zero_point=zero_point, low=low, high=high)
        yield _case(f"{name}-u8-{zero_point}-{low}-{high}", x, weights, bias, scale, wanted, (zero_point, low, high))
    yield _case(f"{name}-f32", x, weights, bias, scale, values, (0, 0, 255))


def _case(name: str, x, weights, bias, scale, wanted, clamp) -> Case:
    outputs, inputs = weights.shape
    memories = Memories()
    is_f32 = wanted.dtype == np.float32
    to = memories.room(wanted.nbytes, Space.IO, offset=4)
    params = {
        "input": memories.put(x, offset=1),
        "weights": memories.put(pack_weights(weights), Space.CONSTANTS),
        "bias": memories.put(pack_lanes(bias), Space.CONSTANTS),
        "scale": memories.put(pack_lanes(scale), Space.CONSTANTS),
        "output": ABSENT if is_f32 else to,
        "output_f32": to if is_f32 else ABSENT,
        "rows": len(x),
        "inputs": inputs,
        "outputs": outputs,
        "input_stride": inputs,
        "output_stride": outputs * wanted.itemsize,
        **dict(zip(("zero_point", "low", "high"), clamp, strict=True)),
    }
    return Case(name, "dense_u8", params, memories.buffers(), (Expected(to, wanted),))
