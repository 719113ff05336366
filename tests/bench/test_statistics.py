"""Statistics: agreement with scipy, coverage in simulation, and no interval where none exists."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.bench.statistics import (
    MINIMUM_COUNTS,
    bootstrap_mean,
    compare,
    hodges_lehmann,
    median,
    over_sessions,
    percentile,
    percentile_upper,
    signed_rank_cdf,
    throughput_per_s,
    timed_calls,
    wilson,
    withheld,
)
from edgekit.errors import MeasurementError

scipy_stats = pytest.importorskip("scipy.stats")


def chunks(sessions: int, rounds: int, rng: np.random.Generator, *, factor: float = 1.0, drift: float = 0.02):
    """Calls of about 1 ms whose sessions drift, with outliers on the slow side."""
    calls = []
    for _ in range(sessions):
        level = 1e6 * factor * math.exp(rng.normal(0, drift))
        noise = 1 + rng.exponential(0.02, (rounds, 5)) + (rng.random((rounds, 5)) < 0.1) * rng.random((rounds, 5))
        calls.append([[int(ns) for ns in chunk] for chunk in level * noise])
    return calls


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_signed_rank_cdf_counts_the_sums_of_every_sign_pattern(n: int) -> None:
    patterns = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    sums = patterns @ np.arange(1, n + 1)
    assert signed_rank_cdf(n).tolist() == (np.cumsum(np.bincount(sums)) / 2**n).tolist()


@pytest.mark.parametrize("n", [6, 7, 8, 10, 15, 20])
def test_hodges_lehmann_bounds_are_where_the_exact_signed_rank_test_turns(n: int) -> None:
    x = np.random.default_rng(n).normal(0.3, 1.0, n)
    found = hodges_lehmann(x.tolist())

    def p(location: float) -> float:
        return float(scipy_stats.wilcoxon(x - location, method="exact").pvalue)

    assert found.low < found.value < found.high
    assert p(found.low + 1e-9) > 0.05 >= p(found.low - 1e-9)
    assert p(found.high - 1e-9) > 0.05 >= p(found.high + 1e-9)


@pytest.mark.parametrize("n", [1, 5])
def test_below_six_sessions_there_is_no_interval(n: int) -> None:
    rng = np.random.default_rng(0)
    ratio = compare(chunks(n, 4, rng, factor=3.0), chunks(n, 4, rng))
    assert (ratio.low, ratio.high, ratio.sessions) == (0.0, math.inf, n)
    assert not ratio.conclusive
    assert ratio.value == pytest.approx(3.0, rel=0.1)


def test_hodges_lehmann_covers_as_often_as_its_exact_level_says() -> None:
    rng = np.random.default_rng(1)
    intervals = [hodges_lehmann(rng.standard_t(3, 8).tolist()) for _ in range(3000)]
    covered = np.mean([found.low <= 0 <= found.high for found in intervals])
    exact = 1 - 2 * signed_rank_cdf(8)[3]  # 0.961: the nearest level to 0.95 that 8 values allow
    assert abs(covered - exact) < 4 * math.sqrt(exact * (1 - exact) / 3000)


def test_compare_finds_a_known_slowdown_and_its_direction() -> None:
    rng = np.random.default_rng(2)
    head, base = chunks(12, 12, rng, factor=1.10, drift=0.005), chunks(12, 12, rng, drift=0.005)
    slower, faster = compare(head, base), compare(base, head)
    assert slower.low < 1.10 < slower.high
    assert slower.low > 1.05
    assert slower.conclusive
    assert faster.value == pytest.approx(1 / slower.value)
    assert faster.high == pytest.approx(1 / slower.low)


def test_compare_of_equal_arms_covers_one_in_simulation() -> None:
    rng = np.random.default_rng(3)
    pairs = [compare(chunks(8, 5, rng), chunks(8, 5, rng)) for _ in range(600)]
    covered = np.mean([ratio.low <= 1 <= ratio.high for ratio in pairs])
    assert 0.935 <= covered <= 0.985


def test_compare_ignores_the_first_call_and_slow_outliers_of_a_chunk() -> None:
    base = [[[5000, 100, 900, 101]] * 3] * 6
    head = [[[1, 50, 51, 7000]] * 3] * 6
    assert compare(head, base).value == pytest.approx(0.5)


def test_compare_takes_chunks_of_different_sizes_and_of_one_call() -> None:
    assert compare([[[300]] * 2] * 6, [[[9, 100, 100]] * 2] * 6).value == pytest.approx(3.0)


@pytest.mark.parametrize("head", [[], [[[1, 2]]], [[[1, 2]] * 2] * 5 + [[]]])
def test_compare_refuses_arms_that_were_not_measured_together(head: list) -> None:
    with pytest.raises(MeasurementError, match="measure them together"):
        compare(head, [[[1, 2]] * 2] * 6)


def test_timed_calls_leaves_out_the_first_of_each_chunk() -> None:
    assert timed_calls([[[9, 1, 2], [9, 3]], [[4]]]).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(("q", "least"), MINIMUM_COUNTS.items())
def test_a_percentile_is_withheld_below_its_minimum_count(q: float, least: int) -> None:
    x = np.arange(least)
    assert percentile(x[:-1], q) is None
    assert percentile(x, q) is not None


@pytest.mark.parametrize(("q", "n"), [(50, 11), (50, 384), (90, 64), (90, 501), (99, 662), (99.9, 6636)])
def test_percentile_intervals_are_scipys_binomial_ones(q: float, n: int) -> None:
    x = np.random.default_rng(n).permutation(n).astype(float)
    found = percentile(x, q)
    test = scipy_stats.quantile_test(x, q=0.0, p=q / 100)
    low, high = test.confidence_interval(0.95)
    assert found is not None
    assert (found.low, found.high) == (low, high)
    assert found.value == np.quantile(x, q / 100, method="inverted_cdf")


def test_percentile_intervals_cover_in_simulation() -> None:
    rng = np.random.default_rng(4)
    truth = {50: 1.0, 90: math.exp(scipy_stats.norm.ppf(0.9))}
    for q, expected in truth.items():
        found = [percentile(rng.lognormal(0, 1, 200), q) for _ in range(1500)]
        covered = np.mean([interval.low <= expected <= interval.high for interval in found if interval])
        assert 0.94 <= covered <= 0.98


@pytest.mark.parametrize(("q", "least"), [(50, 5), (90, 29), (95, 59), (99, 299)])
def test_an_upper_bound_exists_from_log_alpha_over_log_q_samples_on(q: float, least: int) -> None:
    assert least == math.ceil(math.log(0.05) / math.log(q / 100))
    x = np.random.default_rng(0).permutation(least)
    assert percentile_upper(x[x != 0], q) is None
    assert percentile_upper(x, q) == least - 1  # the largest of them, and no less


@pytest.mark.parametrize(("q", "n"), [(50, 40), (90, 50), (90, 500), (99, 700)])
def test_the_upper_bound_is_scipys_one_sided_one(q: float, n: int) -> None:
    x = np.random.default_rng(n).permutation(n).astype(float)
    test = scipy_stats.quantile_test(x, q=0.0, p=q / 100, alternative="less")
    assert percentile_upper(x, q) == test.confidence_interval(0.95).high


def test_the_upper_bound_holds_in_simulation() -> None:
    rng = np.random.default_rng(8)
    truth = math.exp(scipy_stats.norm.ppf(0.99))
    bounds = [percentile_upper(rng.lognormal(0, 1, 400), 99) for _ in range(2000)]
    held = np.mean([bound is not None and truth <= bound for bound in bounds])
    assert 0.94 <= held <= 0.99


def test_what_is_withheld_says_how_many_it_has_and_needs() -> None:
    found = withheld(np.arange(40), (50, 90, 99))
    assert [(part.percentile, part.count, part.needed, part.upper) for part in found] == [
        (90, 40, 64, 39.0),
        (99, 40, 662, None),
    ]
    assert withheld(np.arange(700), (50, 90, 99)) == ()


@pytest.mark.parametrize("n", [6, 7, 10, 25])
def test_the_medians_interval_is_scipys_binomial_one(n: int) -> None:
    x = np.random.default_rng(n).permutation(n).astype(float)
    low, high = scipy_stats.quantile_test(x, q=0.0, p=0.5).confidence_interval(0.95)
    found = median(x)
    assert (found.low, found.value, found.high) == (low, np.median(x), high)


@pytest.mark.parametrize("n", [1, 5])
def test_the_median_of_few_has_no_interval(n: int) -> None:
    found = median(range(n))
    assert (found.value, found.low, found.high) == (np.median(range(n)), -math.inf, math.inf)


def test_over_sessions_is_in_the_unit_of_the_values() -> None:
    found = over_sessions([100.0, 110.0, 121.0, 100.0, 110.0, 121.0, 110.0])
    assert found.value == pytest.approx(110.0)
    assert (found.low, found.high) == pytest.approx((100.0, 121.0))
    few = over_sessions([100.0, 121.0])
    assert (few.value, few.low, few.high) == (pytest.approx(110.0), 0.0, math.inf)


@pytest.mark.parametrize(("successes", "n"), [(0, 5), (1, 30), (250, 500), (978, 1000), (40, 40)])
def test_wilson_is_scipys(successes: int, n: int) -> None:
    found = wilson(successes, n)
    low, high = scipy_stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))
    assert found.value == successes / n


def test_bootstrap_agrees_with_scipys_bca() -> None:
    x = np.random.default_rng(5).gamma(1.0, 2.0, 60)
    low, high = bootstrap_mean(x, seed=0)
    theirs = scipy_stats.bootstrap((x,), np.mean, method="BCa", n_resamples=9999, rng=1).confidence_interval
    assert low == pytest.approx(theirs.low, abs=0.04 * (theirs.high - theirs.low))
    assert high == pytest.approx(theirs.high, abs=0.04 * (theirs.high - theirs.low))


def test_bootstrap_covers_the_mean_of_skewed_scores() -> None:
    rng = np.random.default_rng(6)
    bounds = [bootstrap_mean(rng.gamma(2.0, 1.0, 150), seed=i, resamples=999) for i in range(800)]
    covered = np.mean([low <= 2.0 <= high for low, high in bounds])
    assert 0.925 <= covered <= 0.975


def test_bootstrap_repeats_itself_for_a_seed_and_takes_equal_values() -> None:
    x = np.random.default_rng(7).normal(size=50)
    assert bootstrap_mean(x, seed=3) == bootstrap_mean(x, seed=3)
    assert bootstrap_mean(x, seed=3) != bootstrap_mean(x, seed=4)
    assert bootstrap_mean(np.full(9, 0.25)) == (0.25, 0.25)


def test_throughput_is_calls_a_second() -> None:
    assert throughput_per_s(5_000.0) == 200_000.0
