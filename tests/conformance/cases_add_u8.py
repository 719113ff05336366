"""Cases of add_u8: every pair of levels, lengths around a register, gaps, an output that is one of its inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from case import Case, Expected, Memories
from images import put_image, room_for, spread, strides

from edgekit.backends.native.records import Space
from edgekit.ops import add_u8
from edgekit.ops.rounding import requantize


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(6)
    levels = np.arange(256, dtype=np.uint8)
    a, b = (grid[..., None] for grid in np.meshgrid(levels, levels))
    for scales in ((1.0, 1.0), (0.5, 0.25), (0.7, 0.31), (1.9, 3.7), (1e-3, 2.0)):
        yield case(a, b, rng, scales=scales)
    for shape in ((1, 1, 1), (1, 1, 31), (1, 1, 64), (2, 3, 17), (5, 5, 24), (3, 2, 96), (1, 7, 100)):
        a, b = rng.integers(0, 256, (2, *shape)).astype(np.uint8)
        for output in ("apart", "a", "b"):
            yield case(a, b, rng, output_is=output)
            yield case(a, b, rng, output_is=output, row_gap=3)
            yield case(a, b, rng, output_is=output, pixel_gap=2, row_gap=3)


def case(
    a,
    b,
    rng: np.random.Generator,
    *,
    scales: tuple[float, float] | None = None,
    output_is: str = "apart",
    **gaps: int,
) -> Case:
    """One call; gaps as for `spread`."""
    a_scale, b_scale = scales or rng.uniform(0.2, 1.2, 2)
    a_zero_point, b_zero_point, zero_point = (int(point) for point in rng.integers(0, 256, 3))
    low, high = ((0, 255), (zero_point, 255))[int(rng.integers(0, 2))]
    values = add_u8.reference(
        a, b, a_scale=a_scale, b_scale=b_scale, a_zero_point=a_zero_point, b_zero_point=b_zero_point
    )
    wanted = requantize(values, zero_point=zero_point, low=low, high=high)
    memories = Memories()
    refs = {"a": put_image(memories, a, offset=1, **gaps), "b": put_image(memories, b, offset=2, **gaps)}
    output = room_for(memories, wanted, Space.IO, offset=4, **gaps) if output_is == "apart" else refs[output_is]
    params = {
        **refs,
        "output": output,
        **dict(zip(("rows", "columns", "channels"), a.shape, strict=True)),
        **strides("a", a, **gaps),
        **strides("b", b, **gaps),
        **strides("output", wanted, **gaps),
        "a_zero_point": a_zero_point,
        "b_zero_point": b_zero_point,
        "zero_point": zero_point,
        "low": low,
        "high": high,
        "a_scale": float(a_scale),
        "b_scale": float(b_scale),
    }
    name = f"{a.shape}-{a_scale}-{b_scale}-{output_is}-{gaps}"
    return Case(name, "add_u8", params, memories.buffers(), (Expected(output, spread(wanted, **gaps)),))
