"""Cases of border_u8: rows that follow one another, that lie apart, and that share their borders."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from case import Case, Expected, Memories
from images import GAP

from edgekit.ops import border_u8

FRAMES = ((1, 1, 1, 1), (0, 1, 0, 1), (0, 0, 0, 0), (2, 0, 3, 1), (1, 1, 0, 0), (0, 0, 2, 2))


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(3)
    for rows, columns, channels in ((1, 1, 1), (25, 5, 64), (4, 3, 7), (2, 9, 20)):
        image = rng.integers(0, 256, (rows, columns, channels)).astype(np.uint8)
        for frame in FRAMES:
            for gap in (0, 5, "shared"):
                yield _case(image, frame, gap, value=int(rng.integers(0, 256)))


def _case(image, frame: tuple[int, int, int, int], gap, *, value: int) -> Case:
    rows, columns, channels = image.shape
    top, bottom, left, right = frame
    padded = border_u8.reference(image, top=top, bottom=bottom, left=left, right=right, value=value)
    stride = (columns + max(left, right) if gap == "shared" else padded.shape[1]) * channels
    stride += 0 if gap == "shared" else gap
    wanted = np.full((len(padded) - 1) * stride + padded[0].size, GAP, np.uint8)
    before = wanted.copy()
    for y, line in enumerate(padded):
        wanted[y * stride : y * stride + line.size] = line.ravel()
    for y, line in enumerate(image):
        start = (top + y) * stride + left * channels
        before[start : start + line.size] = line.ravel()
    memories = Memories()
    output = memories.put(before, offset=3)
    memories.put(np.zeros(64, np.uint8))  # what lies behind the image must stay as it is
    params = {
        "output": output,
        "rows": rows,
        "columns": columns,
        "pixel_bytes": channels,
        "top": top,
        "bottom": bottom,
        "left": left,
        "right": right,
        "row_stride": stride,
        "value": value,
    }
    name = f"{rows}x{columns}x{channels}-{frame}-{gap}"
    return Case(name, "border_u8", params, memories.buffers(), (Expected(output, wanted),))
