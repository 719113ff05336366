"""Cases of dense_f32: ragged sizes, batches, gaps between rows, every activation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from case import Case, Expected, Memories

from edgekit.backends.native.packing import pack_dense_f32, pack_lanes
from edgekit.backends.native.records import Space
from edgekit.ops import dense_f32
from edgekit.ops.activation_f32 import Activation

# rows, inputs, outputs
SIZES = (
    (1, 1, 1),
    (1, 5, 17),
    (1, 64, 10),
    (1, 33, 64),
    (1, 640, 128),
    (1, 7, 100),
    (2, 9, 48),
    (5, 30, 65),
    (13, 31, 32),
    (23, 70, 150),
)


def cases() -> Iterator[Case]:
    for rows, inputs, outputs in SIZES:
        yield dense_case(rows, inputs, outputs)
    for activation in Activation:
        yield dense_case(7, 20, 70, activation=activation)


def dense_case(rows: int, inputs: int, outputs: int, *, activation: int = 0) -> Case:
    """Random values, with a gap of three floats behind every row."""
    rng = np.random.default_rng(inputs)
    x = rng.normal(0, 1, (rows, inputs)).astype(np.float32)
    weights = rng.normal(0, 2 / np.sqrt(inputs), (outputs, inputs)).astype(np.float32)
    bias = rng.normal(0, 1, outputs).astype(np.float32)
    wanted = dense_f32.reference(x, weights, bias=bias, activation=activation).astype(np.float32)
    memories = Memories()
    source = memories.put(np.pad(x, ((0, 0), (0, 3))), Space.IO, offset=4)
    to = memories.room(rows * (outputs + 3) * 4, Space.IO + 1, offset=4)
    params = {
        "input": source,
        "weights": memories.put(pack_dense_f32(weights), Space.CONSTANTS),
        "bias": memories.put(pack_lanes(bias), Space.CONSTANTS),
        "output": to,
        "rows": rows,
        "inputs": inputs,
        "outputs": outputs,
        "input_stride": (inputs + 3) * 4,
        "output_stride": (outputs + 3) * 4,
        "activation": int(activation),
    }
    floor = dense_f32.magnitude(x, weights, bias=bias)
    expected = [
        Expected(to._replace(offset=to.offset + row * (outputs + 3) * 4), wanted[row], tolerance, floor)
        for tolerance in [dense_f32.tolerance_eps(inputs)]
        for row in range(rows)
    ]
    name = f"{rows}x{inputs}x{outputs}-{int(activation)}"
    return Case(name, "dense_f32", params, memories.buffers(), tuple(expected), inputs=1)
