"""An open loop: queries that arrive when they are due, whether or not the last one is done, and wait their turn."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

SPIN_NS = 200_000  # a sleep ends up to 0.1 ms late; the last of each wait is spent looking at the clock
PATIENCE = 2  # a queue that is not done after so many times the span of its arrivals is given up

Clock = Callable[[], int]


@dataclass(frozen=True)
class Served:
    """What became of each query, in order of arrival, up to where the queue was given up.

    service_ns: how long it was worked on. latency_ns: from when it was due until it was done, waiting included.
    """

    service_ns: tuple[int, ...]
    latency_ns: tuple[int, ...]


def poisson_arrivals(rate_per_s: float, count: int, *, seed: Sequence[int]) -> list[int]:
    """Nanoseconds from the start at which `count` queries are due: independent exponential gaps of mean 1 / rate."""
    gaps_ns = np.random.default_rng(seed).exponential(1e9 / rate_per_s, count)
    return [int(due) for due in np.cumsum(gaps_ns)]


def wait_until(due_ns: int, clock: Clock, sleep: Callable[[float], None] = time.sleep) -> None:
    """Return when `clock` has reached `due_ns`: sleep for most of it, then spin."""
    while (left := due_ns - clock()) > 0:
        if left > 2 * SPIN_NS:
            sleep((left - SPIN_NS) / 1e9)


def serve(
    arrivals_ns: Sequence[int],
    service: Callable[[int], object],
    *,
    clock: Clock = time.perf_counter_ns,
    wait: Callable[[int, Clock], None] = wait_until,
) -> Served:
    """Serve queries one at a time, first come first served, none before it is due.

    A latency counts from when its query was due, not from when it could be begun: a slow call is charged with all
    that it keeps waiting (no coordinated omission). Where the queue grows without bound the rest is given up.

    arrivals_ns: rising, from the start. service: does the work of the query of that number.
    """
    service_ns: list[int] = []
    latency_ns: list[int] = []
    gc.disable()  # a collection would be charged to the model
    try:
        start = clock()
        give_up = start + PATIENCE * arrivals_ns[-1]
        for number, arrival in enumerate(arrivals_ns):
            due = start + arrival
            wait(due, clock)
            begin = clock()
            if begin > give_up:
                break
            service(number)
            end = clock()
            service_ns.append(end - begin)
            latency_ns.append(end - due)
    finally:
        gc.enable()
    return Served(tuple(service_ns), tuple(latency_ns))
