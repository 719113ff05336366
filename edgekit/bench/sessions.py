"""Sessions: a fresh process for each of several arms, all on the same CPUs, in an order drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TypeVar

from edgekit.bench.arms import Arm
from edgekit.bench.placement import Cpus
from edgekit.bench.processes import Nurseries, Worker

SESSIONS_OF_A_NURSERY = 5

T = TypeVar("T")


class Sessions:
    """Opens one session after another; a context manager that ends what they were forked from.

    threads: of the widest arm; so many CPUs a session is bound to.
    timeout_s: longest that any one command of a worker may take.
    """

    def __init__(self, *, threads: int, seed: int, timeout_s: float) -> None:
        self._cpus = Cpus(threads, seed=seed)
        self._order = random.Random(seed)  # noqa: S311 - it draws an order, nothing secret
        self._nurseries = Nurseries(timeout_s=timeout_s)
        self._opened = 0

    @contextmanager
    def session(self, arms: Sequence[Arm]) -> Iterator[list[Worker]]:
        """A new worker for each arm, in a drawn order, at a drawn place; they end with the block."""
        if self._opened % SESSIONS_OF_A_NURSERY == 0:
            self._nurseries.renew()
        self._opened += 1
        cpus, place = self._cpus.draw(), self._order.getrandbits(32)
        with ExitStack() as stack:
            workers = [
                stack.enter_context(self._nurseries.worker(arm, cpus=cpus, seed=place)) for arm in self.shuffled(arms)
            ]
            with self._cpus.watched():
                yield workers

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The same in the next order that the seed gives."""
        return self._order.sample(items, len(items))

    def __enter__(self) -> Sessions:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._nurseries.__exit__(kind, error, trace)
