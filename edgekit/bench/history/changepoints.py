"""Finds where the level of a series changes: E-divisive with a permutation test, numpy alone.

No library fits: ruptures brings scipy and no test, apache-otava one pinned numpy and twelve more packages, and
signal-processing-algorithms wants a numpy below 2 and searches for no end of a change, which hides passing ones.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from edgekit.bench.statistics import ALPHA, Floats, Interval

# Fewest values on either side of a change.
SHORTEST = 3
# A permutation test ends when this many permutations reach what was observed, or when fewer of RESOLUTION / level have.
RESOLUTION = 2
# Up to this size of the smaller sample the distribution of the rank-sum statistic is exact, then normal.
EXACT_UP_TO = 20


@dataclass(frozen=True)
class ChangePoint:
    """Where a series changes.

    index: position of the first value after the change.
    p: chance that a series in any other order has as clear a change, given the changes found before this one.
    """

    index: int
    p: float


def change_points(values: npt.ArrayLike, *, level: float, seed: int = 0) -> list[ChangePoint]:
    """The changes of a series, in order of position, each found at `level`.

    The series is divided where the energy statistic is largest; the values between two known changes are then
    permuted, and as long as at most a share `level` of the permutations reaches that statistic, the division
    stands and the search goes on. Values that are alike but for their order (exchangeable) give a false alarm
    with probability `level` at most, whatever their distribution; values that depend on their neighbours do so
    more often.

    values: (n,) float64; with fewer than 2 * SHORTEST, or all equal, there is no change.

    Source: Matteson and James, "A nonparametric approach for multiple change point analysis of multivariate
        data", JASA 109, 2014, with alpha = 1.
    """
    x = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    found: list[ChangePoint] = []
    while (split := _next_change(x, [0, *(point.index for point in found), len(x)], level, rng)) is not None:
        insort(found, split, key=lambda point: point.index)
    return found


def fewest_values(level: float) -> int:
    """The length of series below which no change, however clear, can be told at `level`.

    The clearest change puts the larger half of the values on one side; of the orders of n values 2 in
    (n choose n/2) do so.
    """
    n = 2 * SHORTEST
    while 2 / math.comb(n, n // 2) > level:
        n += 1
    return n


def rank_shift(before: Sequence[float], after: Sequence[float]) -> Interval:
    """How far the values after lie above those before: the median of all differences, with its 95 % interval.

    The interval is that of the rank-sum test; where there are too few values for one, its bounds are minus and
    plus infinity.

    Source: Hodges and Lehmann, "Estimates of location based on rank tests", 1963; Hollander and Wolfe,
        section 4.3.
    """
    differences = np.sort(np.subtract.outer(np.asarray(after, np.float64), np.asarray(before, np.float64)).ravel())
    left_out = _left_out(*sorted((len(before), len(after))))
    if left_out == 0:
        return Interval(float(np.median(differences)), -math.inf, math.inf)
    return Interval(float(np.median(differences)), float(differences[left_out - 1]), float(differences[-left_out]))


@dataclass(frozen=True)
class _Segment:
    """The values between two known changes, as all that the statistic needs.

    start: position of the first in the whole series.
    values: (n,) float64.
    weights: of `_weights`, which cost more than the statistic itself.
    """

    start: int
    values: Floats
    weights: tuple[Floats, Floats, Floats]


def _next_change(x: Floats, bounds: Sequence[int], level: float, rng: np.random.Generator) -> ChangePoint | None:
    """The clearest further change between the known ones; None where it is no clearer than chance."""
    segments = [
        _Segment(start, x[start:end], _weights(end - start))
        for start, end in pairwise(bounds)
        if end - start >= 2 * SHORTEST
    ]
    scores = [_scores(segment.values, segment.weights) for segment in segments]
    best = max(range(len(segments)), key=lambda position: scores[position].max(), default=None)
    if best is None or scores[best].max() <= 0:
        return None
    p = _p_value(segments, float(scores[best].max()), level, rng)
    if p > level:
        return None
    split, _end = np.unravel_index(int(scores[best].argmax()), scores[best].shape)
    return ChangePoint(segments[best].start + int(split) + 1, p)


def _weights(n: int) -> tuple[Floats, Floats, Floats]:
    """What `_scores` multiplies its sums with: (n, n) each, 0 where a side is shorter than SHORTEST.

    With a = split and b = end - split, Q = ab / (a + b) * (2 / (ab) * sum of the distances across
    - 2 / (a (a - 1)) * sum of those within the left - 2 / (b (b - 1)) * sum of those within the right).
    """
    split, end = np.mgrid[1 : n + 1, 1 : n + 1].astype(np.float64)
    inside = (split >= SHORTEST) & (end - split >= SHORTEST)
    a, b = np.where(inside, split, 2), np.where(inside, end - split, 2)
    scale = np.where(inside, a * b / (a + b), 0.0)
    across, left, right = 2 / (a * b), 1 / (a * (a - 1)), 1 / (b * (b - 1))
    return scale * (across + 2 * right), -scale * (across + left + right), -scale * right


def _scores(values: Floats, weights: tuple[Floats, Floats, Floats]) -> Floats:
    """The energy statistic Q of values [0, split) against [split, end), at [split - 1, end - 1].

    The end is searched too: a level that rises and falls back is hidden when one side is always all the rest.
    """
    sums = np.abs(np.subtract.outer(values, values)).cumsum(axis=0).cumsum(axis=1)
    within = sums.diagonal()
    scores: Floats = weights[0] * sums + weights[1] * within[:, None] + weights[2] * within
    return scores


def _p_value(segments: Sequence[_Segment], observed: float, level: float, rng: np.random.Generator) -> float:
    """The share of permutations that reach `observed`, itself counted; 1 as soon as it must exceed `level`."""
    permutations = math.ceil(RESOLUTION / level) - 1
    threshold = observed * (1 - 1e-9)  # sums in another order round otherwise
    reached = 0
    for _ in range(permutations):
        reached += max(_permuted_score(segment, rng) for segment in segments) >= threshold
        if reached == RESOLUTION:
            return 1.0
    return (reached + 1) / (permutations + 1)


def _permuted_score(segment: _Segment, rng: np.random.Generator) -> float:
    return float(_scores(rng.permutation(segment.values), segment.weights).max())


def _left_out(small: int, large: int) -> int:
    """k for which the k-th least and largest difference bound the interval: P(U < k) <= 2.5 %; or 0."""
    if small > EXACT_UP_TO:
        deviation = math.sqrt(small * large * (small + large + 1) / 12)
        return math.floor(small * large / 2 + 0.5 - NormalDist().inv_cdf(1 - ALPHA / 2) * deviation)
    allowed, total = ALPHA / 2 * math.comb(small + large, small), 0
    for k, count in enumerate(rank_sum_counts(small, large)):
        total += count
        if total > allowed:
            return k
    return 0


def rank_sum_counts(m: int, n: int) -> list[int]:
    """How many of the (m + n choose m) orders of two samples give each value of U, from 0 to m * n / 2.

    Source: the coefficients of the Gaussian binomial, prod (1 - q^(n + i)) / (1 - q^i) for i = 1..m.
    """
    counts = [1] + [0] * (m * n // 2)
    for i in range(1, m + 1):
        for u in range(len(counts) - 1, n + i - 1, -1):
            counts[u] -= counts[u - n - i]
        for u in range(i, len(counts)):
            counts[u] += counts[u - i]
    return counts
