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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

PAGE_BYTES = 4096
BUSY = 0.25  # of a CPU's time; the process that asks the questions takes a few percent of one
LEAST_TICKS = 8  # of a hundredth of a second: a share of fewer says little
_pads: list[object] = []  # held for as long as the process lives


class Cpus:
    """Draws the CPUs of each session: as many as there are threads, among those that others leave alone.

    Which those are shows in what ran, during a session, on the CPUs that it did not use. It matters most for long
    calls: one of 50 ms never has a core to itself that another process takes every 50 ms.
    """

    def __init__(self, threads: int, *, seed: int, stat: Path = Path("/proc/stat")) -> None:
        self._threads = threads
        self._order = random.Random(seed)  # noqa: S311 - it draws CPUs, nothing secret
        self._stat = stat
        self._busy: dict[int, float] = {}
        self._used: tuple[int, ...] = ()

    def draw(self) -> tuple[int, ...]:
        """The CPUs of the next session; empty, which is all of them, where the threads leave no choice."""
        allowed = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
        if self._threads >= len(allowed):
            return ()
        quiet = [cpu for cpu in allowed if self._busy.get(cpu, 0.0) < BUSY]
        chosen = self._order.sample(quiet if len(quiet) >= self._threads else allowed, self._threads)
        self._used = tuple(sorted(chosen))
        return self._used

    @contextmanager
    def watched(self) -> Iterator[None]:
        """A session: learns from it how busy others keep the CPUs that were not drawn for it."""
        before = cpu_loads(self._stat)
        yield
        for cpu, (busy, total) in cpu_loads(self._stat).items():
            spent, passed = busy - before.get(cpu, (busy, total))[0], total - before.get(cpu, (busy, total))[1]
            if cpu not in self._used and passed >= LEAST_TICKS:
                self._busy[cpu] = spent / passed


def cpu_loads(stat: Path) -> dict[int, tuple[int, int]]:
    """Clock ticks since the start that each CPU was busy, and all of them; none where the system does not tell."""
    try:
        lines = stat.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    found = {}
    for words in (line.split() for line in lines):
        if len(words) >= 9 and words[0].startswith("cpu") and words[0][3:].isdigit():
            ticks = [int(word) for word in words[1:9]]
            found[int(words[0][3:])] = (
                sum(ticks) - ticks[3] - ticks[4],
                sum(ticks),
            )  # but idle, and waiting for a disk
    return found


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
