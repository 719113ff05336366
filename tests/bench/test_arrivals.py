"""The open loop: arrivals repeat for a seed, latencies are Lindley's, an endless queue is given up. No real clock."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.bench.scenarios.arrivals import PATIENCE, SPIN_NS, poisson_arrivals, serve, wait_until

MS = 1_000_000


class FakeClock:
    """Stands still but for what is added to it."""

    def __init__(self) -> None:
        self.now = 123

    def __call__(self) -> int:
        return self.now

    def pass_until(self, due: int, _clock: object) -> None:
        self.now = max(self.now, due)


def served(arrivals: list[int], services: list[int]):
    clock = FakeClock()

    def service(number: int) -> None:
        clock.now += services[number]

    return serve(arrivals, service, clock=clock, wait=clock.pass_until)


def lindley(arrivals: list[int], services: list[int]) -> list[int]:
    """W' = max(0, W + S - A): waiting times of a queue with one server; latency is waiting and service.

    Source: Lindley, "The theory of queues with a single server", 1952.
    """
    waiting, latencies = 0, []
    for number, service in enumerate(services):
        latencies.append(waiting + service)
        if number + 1 < len(arrivals):
            waiting = max(0, waiting + service - (arrivals[number + 1] - arrivals[number]))
    return latencies


def test_a_busy_server_makes_queries_wait_from_when_they_were_due() -> None:
    arrivals = [5 * MS, 6 * MS, 8 * MS, 40 * MS, 41 * MS, 100 * MS]
    found = served(arrivals, [10 * MS] * 6)
    assert found.latency_ns == (10 * MS, 19 * MS, 27 * MS, 10 * MS, 19 * MS, 10 * MS)
    assert list(found.latency_ns) == lindley(arrivals, [10 * MS] * 6)
    assert found.service_ns == (10 * MS,) * 6


@pytest.mark.parametrize("seed", range(5))
def test_latencies_are_lindleys_for_random_arrivals_and_services(seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrivals = poisson_arrivals(80.0, 300, seed=(seed,))
    services = [int(ns) for ns in rng.exponential(10 * MS, 300)]
    assert list(served(arrivals, services).latency_ns) == lindley(arrivals, services)


def test_a_stall_is_charged_to_all_that_it_keeps_waiting() -> None:
    """A closed loop would have shown a single slow call: coordinated omission."""
    arrivals = [ms * MS for ms in range(1, 101)]
    services = [MS // 2] * 100
    services[10] = 30 * MS
    late = [ns for ns in served(arrivals, services).latency_ns if ns > MS]
    assert len(late) > 25


def test_a_queue_without_end_is_given_up() -> None:
    arrivals = [ms * MS for ms in range(1, 101)]
    found = served(arrivals, [10 * MS] * 100)
    assert len(found.latency_ns) == len(found.service_ns) == PATIENCE * 100 // 10
    assert list(found.latency_ns) == lindley(arrivals, [10 * MS] * 100)[: len(found.latency_ns)]


def test_arrivals_repeat_for_a_seed_and_have_their_rate() -> None:
    first = poisson_arrivals(1000.0, 20_000, seed=(7, 1))
    assert first == poisson_arrivals(1000.0, 20_000, seed=(7, 1))
    assert first != poisson_arrivals(1000.0, 20_000, seed=(7, 2))
    gaps = np.diff([0, *first])
    assert gaps.min() >= 0
    assert gaps.mean() == pytest.approx(MS, rel=0.03)
    assert gaps.std() == pytest.approx(MS, rel=0.05)  # of an exponential distribution: as large as its mean


def test_waiting_sleeps_for_most_and_spins_for_the_rest() -> None:
    clock, slept = FakeClock(), []

    def ticking() -> int:
        clock.now += 10_000
        return clock.now

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += int(seconds * 1e9)

    due = clock.now + 5 * MS
    wait_until(due, ticking, sleep)
    assert due <= clock.now <= due + 10_000
    assert slept == [pytest.approx((5 * MS - 10_000 - SPIN_NS) / 1e9)]
    wait_until(clock.now - 1, ticking, sleep)
    assert len(slept) == 1
