"""Evidence: bounds are on the right side as often as they say, and what is not known has none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.bench.gate.evidence import Counted, LostScore, LostShare, PairedRatios, detectable, log_ratios, lost_scores
from edgekit.errors import MeasurementError

ALPHA = 0.025
LOOKS = (10, 20, 40)


def sessions(effect: float, n: int = 10, *, noise: float = 0.003, seed: int = 0) -> PairedRatios:
    draws = np.random.default_rng(seed).normal(math.log1p(effect), noise, n)
    return PairedRatios(tuple(draws.tolist()), LOOKS)


def test_paired_sessions_give_the_relative_change() -> None:
    found = sessions(0.05)
    assert found.value == pytest.approx(0.05, abs=0.003)
    assert found.low(ALPHA) < 0.05 < found.high(ALPHA)
    assert found.low(0.01) <= found.low(ALPHA) < found.value
    assert found.pairs == 10


def test_paired_sessions_are_only_looked_at_when_it_was_planned() -> None:
    with pytest.raises(MeasurementError, match="11 sessions are none of the looks"):
        sessions(0.0, 11)


def test_a_bound_that_so_few_sessions_do_not_allow_is_infinite() -> None:
    found = sessions(0.5)
    assert found.low(ALPHA / 20) == -1.0
    assert found.high(ALPHA / 20) == math.inf
    assert sessions(0.5, 20).low(ALPHA / 20) > 0.4
    assert detectable(found, 0.025, ALPHA / 20) is None or detectable(found, 0.025, ALPHA / 20) > 1


def test_bounds_of_paired_sessions_hold_as_often_as_they_say() -> None:
    wrong = sum(sessions(0.03, seed=seed).low(ALPHA) > 0.03 for seed in range(2000))
    assert wrong / 2000 < 0.0089 + 0.006  # the level of the first of three looks


def test_what_is_detectable_is_found_nine_times_in_ten() -> None:
    """The smallest detectable slowdown, as one run states it, is failed by about that share of others."""
    stated = [detectable(sessions(0.0, seed=seed), 0.025, ALPHA) for seed in range(40)]
    size = float(np.median([found for found in stated if found is not None]))
    assert 0.025 < size < 0.035
    failed = np.mean([sessions(size, seed=seed).low(ALPHA) > 0.025 for seed in range(1000, 1400)])
    assert 0.8 < failed <= 1.0


def test_needed_sessions_decide_where_the_seen_ones_did_not() -> None:
    unclear = sessions(0.0255, 10, noise=0.01, seed=3)
    needed = unclear.needed(0.025, ALPHA)
    assert needed is None or needed > 10
    clear = sessions(0.05, 10, noise=0.02, seed=1).needed(0.025, ALPHA)
    assert clear is not None
    assert 10 < clear < 60
    assert PairedRatios((0.0,) * 10, LOOKS).needed(0.0, ALPHA) is None


def test_a_count_is_exact() -> None:
    assert Counted(0.1).low(ALPHA) == Counted(0.1).high(ALPHA) == 0.1
    assert Counted(0.1).needed(0.05, ALPHA) is None


def test_five_hundred_samples_do_not_settle_one_point() -> None:
    """500 samples of which 14 are answered differently: a naive gate would call 0.4 points lost harmless."""
    found = LostShare(gained=6, lost=8, pairs=500)
    assert found.value == pytest.approx(0.004)
    assert found.low(ALPHA) < 0.01 < found.high(ALPHA)
    needed = found.needed(0.01, ALPHA)
    assert needed is not None
    later = LostShare(round(6 * needed / 500), round(8 * needed / 500), needed)
    assert later.high(ALPHA) == pytest.approx(0.01, abs=4e-4)


@pytest.mark.parametrize(
    ("drop", "discordant", "samples", "fails", "passes"),
    [
        (0.0, 0.04, 500, (0.0, 0.01), (0.0, 1.0)),
        (0.0, 0.04, 10_000, (0.0, 0.0), (0.99, 1.0)),
        (0.01, 0.04, 10_000, (0.0, 0.03), (0.0, 0.03)),
        (0.02, 0.04, 10_000, (0.99, 1.0), (0.0, 0.0)),
    ],
)
def test_the_accuracy_gate_in_simulation(
    drop: float, discordant: float, samples: int, fails: tuple[float, float], passes: tuple[float, float]
) -> None:
    chances = [(discordant - drop) / 2, (discordant + drop) / 2, 1 - discordant]
    counts = np.random.default_rng(1).multinomial(samples, chances, 3000)
    found = [LostShare(int(gained), int(lost), samples) for gained, lost, _ in counts]
    assert fails[0] <= np.mean([evidence.low(ALPHA) > 0.01 for evidence in found]) <= fails[1]
    assert passes[0] <= np.mean([evidence.high(ALPHA) <= 0.01 for evidence in found]) <= passes[1]


def test_other_scores_are_judged_by_the_paired_bootstrap() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(0, 1, 400)
    found = lost_scores(base, base - 0.1 + rng.normal(0, 0.2, 400), seed=4)
    assert isinstance(found, LostScore)
    assert found.low(ALPHA) < 0.1 < found.high(ALPHA)
    assert found.low(ALPHA) > 0.05
    assert found.needed(0.1, ALPHA) is None or found.needed(0.1, ALPHA) > 400
    assert lost_scores([1, 0, 1], [1, 1, 0]) == LostShare(1, 1, 3)


@pytest.mark.parametrize(
    ("base", "head", "message"),
    [
        ([], [], "0 samples allow no interval"),
        ([1.0], [1.0], "1 samples allow no interval"),
        ([1.0, 0.0], [1.0, math.nan], "not a finite number"),
        ([1.0, 0.0], [1.0, 0.0, 1.0], "3 scores of the head against 2"),
    ],
)
def test_scores_that_cannot_be_compared_are_refused(base: list[float], head: list[float], message: str) -> None:
    with pytest.raises(MeasurementError, match=message):
        lost_scores(base, head)


def test_log_ratios_pair_up() -> None:
    assert log_ratios([2, 4], [1, 8]) == pytest.approx((math.log(2), math.log(0.5)))
