"""A slowdown has the size that it says: on a clock of our own, so that no machine has a say in it."""

from __future__ import annotations

import pytest

from edgekit.bench import slowdown
from edgekit.bench.bound import Bound
from edgekit.bench.slowdown import MOST_SLOWDOWN, WAITING_COST_NS, slowed

TICK_NS = 10  # what a look at the clock takes


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += TICK_NS
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(slowdown.time, "perf_counter_ns", made)
    return made


def model(clock: Clock, latency_ns: int) -> Bound:
    def call() -> None:
        clock.now += latency_ns

    return Bound(write=lambda _feeds: None, call=call, read=dict)


def durations(clock: Clock, share: float, *, latency_ns: int = 750_000) -> tuple[int, int]:
    """Nanoseconds of a call, and of the write before it, once a call has been made."""
    bound = slowed(model(clock, latency_ns), share)
    bound.call()
    begin = clock.now
    bound.write({})
    written = clock.now
    bound.call()
    return clock.now - written, written - begin


@pytest.mark.parametrize("share", [0.03, 0.05, 0.10, 0.5])
@pytest.mark.parametrize("latency_ns", [13_000, 750_000, 50_000_000])
def test_the_call_takes_that_share_longer(clock: Clock, share: float, latency_ns: int) -> None:
    slow, _ = durations(clock, share, latency_ns=latency_ns)
    plain, _ = durations(clock, 0.0, latency_ns=latency_ns)
    assert slow / plain == pytest.approx(1 + share, abs=4 * TICK_NS / latency_ns)
    assert plain == pytest.approx(latency_ns + WAITING_COST_NS, abs=4 * TICK_NS)


@pytest.mark.parametrize("share", [0.0, 0.03, MOST_SLOWDOWN])
def test_every_share_waits_as_long_in_all(clock: Clock, share: float) -> None:
    """What is not waited in the call is waited before the next, so that each leaves the same traces."""
    call, write = durations(clock, share)
    assert call + write == pytest.approx(750_000 * (1 + MOST_SLOWDOWN), rel=0.002)


def test_none_is_the_model_itself(clock: Clock) -> None:
    bound = model(clock, 1000)
    assert slowed(bound, None) is bound
