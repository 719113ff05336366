"""Cases of softmax_f32: ragged rows, gaps between rows, large values, infinities."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from case import Case, Expected, Memories

from edgekit.backends.native.records import Space
from edgekit.ops import softmax_f32


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    for rows, columns in ((1, 1), (1, 10), (1, 12), (3, 7), (2, 16), (5, 33), (2, 1000)):
        yield _case(f"{rows}x{columns}", rng.normal(0, 3, (rows, columns)), gap=0)
        yield _case(f"{rows}x{columns}-large", rng.normal(0, 100, (rows, columns)) - 3e4, gap=3)
    some = np.array([[-np.inf, 2, 1, -np.inf, 0, -3e38]])
    yield _case("minus-infinity", some, gap=0)
    for special in (np.nan, np.inf):
        yield _case(f"{special}", np.where(some == 2, special, some), gap=0)
    yield _case("all-minus-infinity", np.full((1, 21), -np.inf), gap=0)


def _case(name: str, x, *, gap: int) -> Case:
    x = x.astype(np.float32)
    rows, columns = x.shape
    memories = Memories()
    wanted = softmax_f32.reference(x).astype(np.float32)
    source = memories.put(np.pad(x, ((0, 0), (0, gap))), Space.IO, offset=4)
    to = memories.room(wanted.nbytes + rows * gap * 4, Space.IO + 1, offset=4)
    stride = (columns + gap) * 4
    params = {
        "input": source,
        "output": to,
        "rows": rows,
        "columns": columns,
        "input_stride": stride,
        "output_stride": stride,
    }
    epsilons = softmax_f32.tolerance_eps(x)
    expected = [
        Expected(to._replace(offset=to.offset + row * stride), wanted[row], epsilons, floor=float(wanted[row].max()))
        for row in range(rows)
    ]
    return Case(name, "softmax_f32", params, memories.buffers(), tuple(expected), inputs=1)
