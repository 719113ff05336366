"""Cases of binary_f32: same shape, repeated and scalar second operand, in place, infinities and NaN."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from case import Case, Expected, Memories

from edgekit.backends.native.records import Space
from edgekit.ops import binary_f32
from edgekit.ops.binary_f32 import Kind

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 3e38, -3e38, 1e-40, 1])


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    for kind in Kind:
        for count, b_count in ((1, 1), (100, 1), (100, 100), (37, 37), (60, 3), (96, 16), (130, 65)):
            yield binary_case(f"{kind.name}-{count}-{b_count}", rng.normal(size=count), rng.normal(size=b_count), kind)
        a, b = np.meshgrid(SPECIAL, SPECIAL)
        yield binary_case(f"{kind.name}-special", a.ravel(), b.ravel(), kind)


def binary_case(name: str, a, b, kind: Kind) -> Case:
    """Cases of 37 values write over their first operand."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    memories = Memories()
    source = memories.put(a, offset=4)
    wanted = binary_f32.reference(a, b, kind=kind)
    to = source if len(a) == 37 else memories.room(wanted.nbytes, Space.IO, offset=4)
    params = {
        "a": source,
        "b": memories.put(b, offset=4),
        "output": to,
        "count": len(a),
        "kind": int(kind),
        "b_count": len(b),
    }
    return Case(name, "binary_f32", params, memories.buffers(), (Expected(to, wanted, binary_f32.TOLERANCE_EPS),))
