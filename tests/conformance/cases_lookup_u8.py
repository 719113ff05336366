"""Cases of lookup_u8: every level, lengths around a register, gaps, in place, and copies."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from case import Case, Expected, Memories
from images import put_image, room_for, spread, strides

from edgekit.backends.native.records import ABSENT, Space
from edgekit.ops import lookup_u8


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(7)
    table = rng.integers(0, 256, 256).astype(np.uint8)
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    shapes = ((1, 1, 1), (1, 1, 63), (2, 3, 17), (5, 5, 24), (3, 2, 96), (1, 1, 200))
    images = [every, *(rng.integers(0, 256, shape).astype(np.uint8) for shape in shapes)]
    for image, values, in_place in product(images, (table, None), (False, True)):
        yield case(image, values, in_place=in_place)
        yield case(image, values, in_place=in_place, row_gap=3)
        yield case(image, values, in_place=in_place, pixel_gap=2, row_gap=3)


def case(image, table, *, in_place: bool = False, **gaps: int) -> Case:
    """One call; gaps as for `spread`."""
    wanted = lookup_u8.reference(image, table)
    memories = Memories()
    source = put_image(memories, image, offset=1, **gaps)
    output = source if in_place else room_for(memories, wanted, Space.IO, offset=4, **gaps)
    params = {
        "input": source,
        "table": ABSENT if table is None else memories.put(table, Space.CONSTANTS, offset=1),
        "output": output,
        **dict(zip(("rows", "columns", "channels"), image.shape, strict=True)),
        **strides("input", image, **gaps),
        **strides("output", image, **gaps),
    }
    name = f"{image.shape}-{'copy' if table is None else 'table'}-{in_place}-{gaps}"
    return Case(name, "lookup_u8", params, memories.buffers(), (Expected(output, spread(wanted, **gaps)),))
