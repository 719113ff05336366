"""Turns raw times and scores into estimates with intervals; numpy and the standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import MeasurementError

Calls = Sequence[Sequence[Sequence[int]]]
"""Nanoseconds of single calls: sessions x rounds x calls of a chunk."""

Floats = npt.NDArray[np.float64]

ALPHA = 0.05

# MLPerf inference's early-stopping minimum of samples for each percentile.
MINIMUM_COUNTS = {50: 11, 90: 64, 95: 130, 99: 662, 99.9: 6636}


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % confidence interval, all in the unit of what was estimated."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Withheld:
    """A percentile that is not given, since there are fewer samples than it asks for.

    percentile: which one. count: how many samples there are. needed: its minimum count.
    upper: what it does not exceed, see `percentile_upper`; None where that cannot be said either.
    """

    percentile: float
    count: int
    needed: int
    upper: float | None


@dataclass(frozen=True)
class Ratio:
    """Head's time over base's time: below 1 the head is faster, 0.5 is twice as fast.

    low, high: the 95 % interval; 0 and infinity where there were too few sessions for one.
    sessions: pairs of sessions behind it.
    """

    value: float
    low: float
    high: float
    sessions: int

    @property
    def conclusive(self) -> bool:
        """Whether there is an interval at all, and it lies on one side of 1."""
        return self.high < 1.0 or self.low > 1.0


def compare(head: Calls, base: Calls) -> Ratio:
    """How long the head takes over how long the base takes, from calls that were measured interleaved.

    For each round, the ratio of the two chunks' minima; for each session, the median of its rounds; across
    sessions, the Hodges-Lehmann estimate on log-ratios with the exact interval of the signed-rank test.
    Sessions differ by more than rounds within one do, which is why the interval is over sessions.

    Raises:
        MeasurementError: the two were not measured in the same sessions and rounds.
    """
    log_ratios = session_log_ratios(head, base)
    location = hodges_lehmann(log_ratios)
    return Ratio(math.exp(location.value), math.exp(location.low), math.exp(location.high), len(log_ratios))


def session_log_ratios(head: Calls, base: Calls) -> list[float]:
    """For each session the median, over its rounds, of the log of the two chunks' ratio of minima.

    Raises:
        MeasurementError: as `compare`.
    """
    if [len(session) for session in head] != [len(session) for session in base] or not head or not all(head):
        raise MeasurementError("the two arms were not measured in the same sessions and rounds; measure them together")
    return [
        float(np.median([math.log(chunk_minimum(h) / chunk_minimum(b)) for h, b in zip(*pair, strict=True)]))
        for pair in zip(head, base, strict=True)
    ]


def chunk_minimum(chunk: Sequence[int]) -> int:
    """The least time of a chunk without its first call, which pays for cold caches; at least 1 ns."""
    return max(1, min(chunk[1:] or chunk))


def hodges_lehmann(values: Sequence[float], *, alpha: float = ALPHA / 2) -> Interval:
    """Centre of a symmetric distribution: the median of pairwise means, between exact signed-rank bounds.

    alpha: chance of each bound to miss the centre, on its side; 2.5 % make the 95 % interval. Where n values allow no
        bound as sure as that (the chance of the surest is 2^-n) it is infinite.

    Source: Hodges and Lehmann, "Estimates of location based on rank tests", 1963; Hollander and Wolfe,
        section 3.3.
    """
    x = np.asarray(values, dtype=np.float64)
    rows, columns = np.triu_indices(len(x))
    means = np.sort((x[rows] + x[columns]) / 2)
    left_out = int(np.searchsorted(signed_rank_cdf(len(x)), alpha, side="right"))  # P(T+ < left_out) <= alpha
    if left_out == 0:
        return Interval(float(np.median(means)), -math.inf, math.inf)
    return Interval(float(np.median(means)), float(means[left_out - 1]), float(means[len(means) - left_out]))


@lru_cache(maxsize=64)
def signed_rank_cdf(n: int) -> Floats:
    """P(T+ <= k) for k = 0..n(n+1)/2, T+ the sum of the positive ranks where each sign is a coin's toss."""
    chances = np.ones(1)
    for rank in range(1, n + 1):
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    return np.cumsum(chances)


def timed_calls(calls: Calls) -> npt.NDArray[np.int64]:
    """All calls in one array, without the first of each chunk, as `compare` leaves it out."""
    return np.array([ns for session in calls for chunk in session for ns in (chunk[1:] or chunk)], dtype=np.int64)


def percentile(samples: npt.ArrayLike, q: float) -> Interval | None:
    """The q-th percentile, an observed value, between the order statistics of its binomial 95 % interval.

    The interval takes samples as independent. It says how well these calls settle the percentile, not how
    another session would differ: differences between arms are for `compare` to judge.

    q: one of `MINIMUM_COUNTS`; with fewer samples than it asks for the percentile is withheld: None.
    """
    ordered = np.sort(np.asarray(samples))
    n = len(ordered)
    if n < MINIMUM_COUNTS[q]:
        return None
    below = _binomial_cdf(n, q / 100)  # below[k] = P(at most k of n samples lie below the true percentile)
    low = int(np.searchsorted(below, ALPHA / 2, side="right"))
    high = int(np.searchsorted(below, 1 - ALPHA / 2, side="left"))
    rank = math.ceil(round(q / 100 * n, 9)) - 1
    return Interval(float(ordered[rank]), float(ordered[max(low - 1, 0)]), float(ordered[min(high, n - 1)]))


def percentile_upper(samples: npt.ArrayLike, q: float) -> float | None:
    """What the q-th percentile does not exceed, by the one-sided 95 % binomial bound: an observed value.

    None where no observed value is as sure as that: with fewer than log(0.05) / log(q / 100) samples even the largest
    lies below the percentile more often than once in 20.
    """
    ordered = np.sort(np.asarray(samples))
    below = _binomial_cdf(len(ordered), q / 100)
    rank = int(np.searchsorted(below, 1 - ALPHA, side="left"))
    return float(ordered[rank]) if rank < len(ordered) else None


def withheld(samples: npt.ArrayLike, percentiles: Sequence[float]) -> tuple[Withheld, ...]:
    """Those of `percentiles` for which there are too few samples, with what can be said of them."""
    count = len(np.asarray(samples))
    return tuple(
        Withheld(q, count, MINIMUM_COUNTS[q], percentile_upper(samples, q))
        for q in percentiles
        if count < MINIMUM_COUNTS[q]
    )


def median(samples: npt.ArrayLike) -> Interval:
    """The median between the order statistics of its exact 95 % interval; infinite below 6 samples, with no interval.

    Source: the sign test; Conover, "Practical Nonparametric Statistics", section 3.2.
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    value = float(np.median(ordered))
    left_out = int(np.searchsorted(_binomial_cdf(len(ordered), 0.5), ALPHA / 2, side="right"))
    if left_out == 0:
        return Interval(value, -math.inf, math.inf)
    return Interval(value, float(ordered[left_out - 1]), float(ordered[len(ordered) - left_out]))


def over_sessions(values: Sequence[float]) -> Interval:
    """Centre of a positive quantity's values, one a session: `hodges_lehmann` on their logs.

    With fewer than 6 sessions there is no interval: the bounds are then 0 and infinity.
    """
    location = hodges_lehmann([math.log(value) for value in values])
    return Interval(math.exp(location.value), math.exp(location.low), math.exp(location.high))


def _binomial_cdf(n: int, p: float) -> Floats:
    """P(X <= k) for k = 0..n, X binomial."""
    k = np.arange(1, n + 1)
    log_choose = np.concatenate(([0.0], np.cumsum(np.log((n - k + 1) / k))))
    successes = np.arange(n + 1)
    cdf: Floats = np.cumsum(np.exp(log_choose + successes * math.log(p) + (n - successes) * math.log1p(-p)))
    return cdf


def throughput_per_s(latency_ns: float) -> float:
    """Calls a second, one after the other, at this latency."""
    return 1e9 / latency_ns


def wilson(successes: int, n: int) -> Interval:
    """A proportion with Wilson's 95 % score interval. Source: Wilson, JASA 22, 1927."""
    z = _z(1 - ALPHA / 2)
    p = successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return Interval(p, max(0.0, centre - half) if successes else 0.0, min(1.0, centre + half) if successes < n else 1.0)


def bootstrap_mean(
    values: npt.ArrayLike,
    *,
    levels: tuple[float, ...] = (ALPHA / 2, 1 - ALPHA / 2),
    seed: int = 0,
    resamples: int = 9999,
) -> tuple[float, ...]:
    """Bounds of the mean at `levels` by the bias-corrected and accelerated bootstrap.

    values: (n,) float64, n >= 2. Where all are equal every bound is that value: the data say nothing of their
        spread.

    Source: Efron, "Better bootstrap confidence intervals", JASA 82, 1987; the acceleration of a mean is its
        skewness / (6 sqrt n).
    """
    x = np.asarray(values, dtype=np.float64)
    deviations = x - x.mean()
    spread = float(np.sqrt(np.mean(deviations**2)))
    if spread == 0.0:
        return tuple(float(x[0]) for _ in levels)
    means = _resampled_means(x, seed, resamples)
    at_or_below = (np.count_nonzero(means < x.mean()) + np.count_nonzero(means <= x.mean())) / (2 * resamples)
    bias = _z(min(max(at_or_below, 1 / resamples), 1 - 1 / resamples))
    acceleration = float(np.mean(deviations**3)) / spread**3 / (6 * math.sqrt(len(x)))
    shifted = [bias + _z(level) for level in levels]
    adjusted = [NormalDist().cdf(bias + s / (1 - acceleration * s)) for s in shifted]
    return tuple(float(bound) for bound in np.quantile(means, adjusted))


def _resampled_means(x: Floats, seed: int, resamples: int) -> Floats:
    """Means of `resamples` draws with replacement, made in blocks that stay small in memory."""
    rng = np.random.default_rng(seed)
    block = max(1, 2_000_000 // len(x))
    blocks: list[Any] = [
        x[rng.integers(0, len(x), (min(block, resamples - done), len(x)))].mean(axis=1)
        for done in range(0, resamples, block)
    ]
    means: Floats = np.concatenate(blocks)
    return means


def _z(level: float) -> float:
    return NormalDist().inv_cdf(level)
