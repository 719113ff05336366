"""Cases of layernorm_f32: ragged rows, gaps between rows, rows of one value, offset rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from case import Case, Expected, Memories

from edgekit.backends.native.records import Space
from edgekit.ops import layernorm_f32


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    for rows, columns in ((1, 1), (1, 7), (3, 16), (2, 33), (4, 100), (3, 384), (1, 1000)):
        yield layernorm_case(f"{rows}x{columns}", rng.normal(0, 2, (rows, columns)), gap=0)
        yield layernorm_case(f"{rows}x{columns}-offset", rng.normal(5, 0.5, (rows, columns)), gap=5)
    yield layernorm_case("equal", np.full((2, 50), 3.25), gap=0)


def layernorm_case(name: str, x, *, gap: int, epsilon: float = 1e-5) -> Case:
    """`gap`: floats between rows."""
    x = x.astype(np.float32)
    rows, columns = x.shape
    rng = np.random.default_rng(columns)
    scale = rng.normal(1, 0.3, columns).astype(np.float32)
    bias = rng.normal(0, 0.3, columns).astype(np.float32)
    wanted = layernorm_f32.reference(x, scale=scale, bias=bias, epsilon=epsilon).astype(np.float32)
    memories = Memories()
    stride = (columns + gap) * 4
    source = memories.put(np.pad(x, ((0, 0), (0, gap))), Space.IO, offset=4)
    to = memories.room(rows * stride, Space.IO + 1, offset=4)
    params = {
        "input": source,
        "scale": memories.put(scale, Space.CONSTANTS, offset=4),
        "bias": memories.put(bias, Space.CONSTANTS, offset=4),
        "output": to,
        "rows": rows,
        "columns": columns,
        "input_stride": stride,
        "output_stride": stride,
        "epsilon": epsilon,
    }
    epsilons = layernorm_f32.tolerance_eps(x, epsilon=epsilon)
    floor = max(1.0, float(np.abs(wanted).max()))
    expected = [
        Expected(to._replace(offset=to.offset + row * stride), wanted[row], epsilons, floor) for row in range(rows)
    ]
    return Case(name, "layernorm_f32", params, memories.buffers(), tuple(expected), inputs=1)
