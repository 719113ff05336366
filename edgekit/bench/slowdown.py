"""Makes an arm slower by a known share, to learn what a measurement can see."""

from __future__ import annotations

import time
from dataclasses import replace

from edgekit.bench.bound import Bound
from edgekit.tensors import Feeds

WAITING_COST_NS = 1_000
MOST_SLOWDOWN = 0.10


def slowed(bound: Bound, share: float | None) -> Bound:
    """`bound`, each call of which takes `share` longer by a busy wait: a slowdown of a size that is known.

    The waiting itself costs something, and leaves traces in the caches that the next call pays for (0.05 % of 0.75 ms).
    So each share adds 1 us, 0 too, and what it waits less than `MOST_SLOWDOWN` is waited before the next call, untimed:
    the times of two shares stand to each other as 1 + share do. None leaves `bound` as it is.
    """
    if share is None:
        return bound
    clock, call, write = time.perf_counter_ns, bound.call, bound.write
    untimed, elapsed = max(0.0, MOST_SLOWDOWN - share), 0

    def wait_until(end: float) -> None:
        while clock() < end:
            pass

    def slow_call() -> None:
        nonlocal elapsed
        begin = clock()
        call()
        elapsed = clock() - begin + WAITING_COST_NS
        wait_until(begin + elapsed * (1.0 + share))

    def slow_write(feeds: Feeds) -> None:
        wait_until(clock() + elapsed * untimed)
        write(feeds)

    return replace(bound, call=slow_call, write=slow_write)
