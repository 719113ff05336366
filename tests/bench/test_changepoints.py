"""Change points: found where they are, in any noise, and no more false alarms than the stated level."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from edgekit.bench.history.changepoints import (
    _scores,
    _weights,
    change_points,
    fewest_values,
    rank_shift,
    rank_sum_counts,
)
from edgekit.bench.statistics import Floats

NOISE = 0.01


def levels(*parts: tuple[int, float], seed: int = 0, noise: float = NOISE) -> Floats:
    """Normal noise around each part's level for as many values as it says; logarithms, so 0.05 is 5 %."""
    means = np.concatenate([np.full(count, level) for count, level in parts])
    return means + np.random.default_rng(seed).normal(0, noise, len(means))


def places(values: Floats, *, level: float = 0.001) -> list[int]:
    return [point.index for point in change_points(values, level=level)]


@pytest.mark.parametrize("draw", ["normal", "standard_cauchy", "exponential"])
def test_noise_gives_no_more_false_alarms_than_the_level(draw: str) -> None:
    alarms = sum(bool(places(getattr(np.random.default_rng(seed), draw)(size=30), level=0.05)) for seed in range(200))
    assert alarms <= 18  # 10 expected; more than 18 would come in 0.6 % of such experiments


@pytest.mark.parametrize("seed", range(10))
def test_a_step_of_5_percent_in_1_percent_noise_is_found_where_it_is(seed: int) -> None:
    (found,) = places(levels((20, 0.0), (20, math.log(1.05)), seed=seed))
    assert abs(found - 20) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_two_steps_up_are_found(seed: int) -> None:
    first, second = places(levels((15, 0.0), (15, 0.05), (15, 0.10), seed=seed))
    assert abs(first - 15) <= 1
    assert abs(second - 30) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_a_level_that_rises_for_a_while_is_found_at_both_ends(seed: int) -> None:
    first, second = places(levels((30, 0.0), (6, 0.05), (24, 0.0), seed=seed))
    assert abs(first - 30) <= 1
    assert abs(second - 36) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_a_step_in_the_last_5_values_is_found(seed: int) -> None:
    (found,) = places(levels((35, 0.0), (5, 0.05), seed=seed))
    assert abs(found - 35) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_a_step_is_found_in_heavy_tailed_noise(seed: int) -> None:
    noise = NOISE * np.random.default_rng(seed).standard_t(2, 60)
    (found,) = places(np.where(np.arange(60) < 30, 0.0, 0.05) + noise)
    assert abs(found - 30) <= 2


def test_a_single_outlier_is_no_change() -> None:
    values = levels((40, 0.0))
    values[25] += 1.0
    assert places(values) == []


def test_a_noiseless_step_is_found_to_the_place() -> None:
    assert places(np.array([83_000.0] * 25 + [84_000.0] * 7)) == [25]


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0, 9.0, 9.0], [5.0] * 40])
def test_short_and_constant_series_have_no_change(values: list[float]) -> None:
    assert change_points(values, level=0.5) == []


def test_the_same_seed_gives_the_same_result() -> None:
    values = levels((20, 0.0), (20, 0.02))
    found = change_points(values, level=0.01, seed=7)
    assert found == change_points(values, level=0.01, seed=7)
    assert all(point.p <= 0.01 for point in found)


@pytest.mark.parametrize("n", [6, 8, 9])
def test_the_clearest_change_is_as_clear_in_two_orders_of_all(n: int) -> None:
    ones = [np.isin(np.arange(n), chosen).astype(float) for chosen in combinations(range(n), n // 2)]
    scores = [_scores(order, _weights(n)).max() for order in ones]
    assert np.sum(np.array(scores) > max(scores) * (1 - 1e-9)) == 2
    assert fewest_values(2 / math.comb(n, n // 2)) == n


@pytest.mark.parametrize(("m", "n"), [(1, 4), (3, 3), (4, 5), (2, 7)])
def test_rank_sum_counts_are_those_of_every_order(m: int, n: int) -> None:
    sums = [sum(ranks) - m * (m - 1) // 2 for ranks in combinations(range(m + n), m)]
    assert rank_sum_counts(m, n) == np.bincount(sums).tolist()[: m * n // 2 + 1]


@pytest.mark.parametrize(("m", "n"), [(3, 20), (8, 9), (12, 12), (25, 30)])
def test_the_bounds_of_a_shift_are_where_the_rank_sum_test_turns(m: int, n: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(m)
    before, after = rng.normal(0, 1, m), rng.normal(1, 1, n)
    found = rank_shift(before.tolist(), after.tolist())

    def p(shift: float) -> float:
        return float(stats.mannwhitneyu(after - shift, before, method="exact").pvalue)

    assert found.low < found.value < found.high
    assert p(found.low + 1e-9) > 0.05 >= p(found.low - 1e-9)
    assert p(found.high - 1e-9) > 0.05 >= p(found.high + 1e-9)


def test_a_shift_covers_the_true_one() -> None:
    rng = np.random.default_rng(3)
    found = [rank_shift(rng.standard_t(3, 12).tolist(), (rng.standard_t(3, 7) + 1).tolist()) for _ in range(1500)]
    covered = np.mean([interval.low <= 1 <= interval.high for interval in found])
    assert 0.94 <= covered <= 0.97


def test_too_few_values_have_no_interval() -> None:
    found = rank_shift([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    assert (found.low, found.value, found.high) == (-math.inf, 1.0, math.inf)
