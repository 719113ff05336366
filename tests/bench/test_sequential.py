"""Looks: together they err as often as they may, and no more, for normal scores and for the signed-rank test."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from edgekit.bench.gate.sequential import level_at, spent
from edgekit.bench.statistics import hodges_lehmann

LOOKS = (10, 20, 40)


@pytest.mark.parametrize("alpha", [0.025, 0.00125])
@pytest.mark.parametrize("looks", [LOOKS, (20, 40, 80), (11, 13), (8, 16, 24, 32, 40)])
def test_all_looks_together_use_up_alpha(looks: tuple[int, ...], alpha: float) -> None:
    rng, n, block = np.random.default_rng(5), 0, 50_000
    crossed = 0
    limits = [NormalDist().inv_cdf(1 - level_at(look, looks, alpha)) for look in looks]
    for _ in range(8):
        steps = np.diff([0, *looks])
        sums = np.cumsum(rng.standard_normal((block, len(looks))) * np.sqrt(steps), axis=1)
        crossed += int((sums / np.sqrt(looks) > limits).any(axis=1).sum())
        n += block
    assert abs(crossed / n - alpha) < 4 * math.sqrt(alpha / n)


def test_one_look_is_an_ordinary_test() -> None:
    assert level_at(20, (20,), 0.025) == pytest.approx(0.025, rel=1e-3)


def test_spending_grows_and_ends_at_alpha() -> None:
    shares = [spent(information, 0.025) for information in np.linspace(0, 1, 11)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(0.025)


def test_signed_rank_bounds_at_all_looks_hold_together() -> None:
    """Heavy tails, as sessions have: the chance that any look's lower bound is above the truth is 2.5 % at most."""
    rng, trials = np.random.default_rng(6), 2000
    wrong = 0
    for _ in range(trials):
        x = rng.standard_t(2, LOOKS[-1])
        wrong += any(hodges_lehmann(x[:look], alpha=level_at(look, LOOKS, 0.025)).low > 0 for look in LOOKS)
    assert 0.005 < wrong / trials < 0.025 + 3 * math.sqrt(0.025 / trials)
