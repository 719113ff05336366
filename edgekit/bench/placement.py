"""Where a session runs: on which CPUs, and at which place in memory. Both are drawn anew for each session.

What was measured on a shared virtual machine with 2 cores, identical arms in processes of their own: left to the
scheduler, one arm runs on a core that a neighbour slows by 30 % while the other does not, and the session's ratio is
off by as much (standard deviation over sessions 21 % at 13 us a call, 2.6 % at 0.75 ms). Bound to one core for the
session the two meet the same neighbour, and it is 1.1 % and 0.2 %.
"""

from __future__ import annotations

import mmap
import os
import random
import sys
from collections.abc import Sequence

import numpy as np

PAGE_BYTES = 4096
_pads: list[object] = []  # held for as long as the process lives


def draw_cpus(threads: int, order: random.Random) -> tuple[int, ...]:
    """As many of this process's CPUs as there are threads; empty, which is all of them, where that leaves no choice."""
    if sys.platform != "linux":
        return ()
    allowed = sorted(os.sched_getaffinity(0))
    return tuple(sorted(order.sample(allowed, threads))) if threads < len(allowed) else ()


def settle(cpus: Sequence[int], seed: int) -> None:
    """Bind this process to `cpus`, and shift what it will allocate by amounts drawn from `seed`.

    Addresses decide which data share a cache set. All processes of a nursery would get the same ones, so that one
    arm could be lucky in every session; the shift makes its luck a part of the noise that the interval covers.
    """
    if cpus:
        os.sched_setaffinity(0, cpus)
    draw = random.Random(seed)  # noqa: S311 - a place in memory, nothing secret
    _pads.append(mmap.mmap(-1, PAGE_BYTES * draw.randrange(1, 512)))
    _pads.extend(np.empty(16 * draw.randrange(1, 512), np.uint8) for _ in range(8))
