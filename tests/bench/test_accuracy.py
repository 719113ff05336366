"""Accuracy: scores mean what they say, intervals cover, and what cannot be scored is an error."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.bench.accuracy import (
    accuracy,
    mcnemar_p,
    paired_drop,
    resolve_metric,
    samples_needed,
    score_samples,
    top1,
)
from edgekit.errors import MeasurementError

scipy_stats = pytest.importorskip("scipy.stats")


def discordant_scores(gained: int, lost: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    reference, candidate = np.ones(n), np.ones(n)
    reference[:gained] = 0
    candidate[gained : gained + lost] = 0
    return reference, candidate


def test_top1_scores_a_class_and_a_sequence() -> None:
    scores = {"y": np.array([[0.1, 0.7, 0.2]])}
    assert (top1(scores, 1), top1(scores, 0)) == (1.0, 0.0)
    assert top1({"y": np.array([[[1, 0], [0, 1], [1, 0]]])}, np.array([0, 1, 1])) == pytest.approx(2 / 3)


def test_top1_refuses_a_batch_for_one_target_and_several_outputs() -> None:
    with pytest.raises(MeasurementError, match="one sample at a time"):
        top1({"y": np.zeros((2, 3))}, 1)
    with pytest.raises(MeasurementError, match=r"there are 2 \(a, b\)"):
        top1({"a": np.zeros((1, 3)), "b": np.zeros((1, 3))}, 1)


def test_negative_mae_is_in_the_targets_unit() -> None:
    score = resolve_metric("negative_mae")
    assert score({"y": np.array([[1.0, 4.0]], np.float32)}, [2.0, 2.0]) == -1.5
    with pytest.raises(MeasurementError, match="2 values for 3 targets"):
        score({"y": np.zeros((1, 2))}, [0, 0, 0])


def test_an_unknown_metric_names_the_nearest_and_a_function_is_itself() -> None:
    with pytest.raises(MeasurementError, match="did you mean 'top1'"):
        resolve_metric("top-1")
    assert resolve_metric(top1) is top1


def test_nan_outputs_have_no_score() -> None:
    outputs = [{"y": np.array([[0.0, 1.0]])}, {"y": np.array([[np.nan, 1.0]])}]
    with pytest.raises(MeasurementError, match="output 'y' of sample 1 holds NaN"):
        score_samples("top1", outputs, [1, 1])


def test_missing_targets_and_infinite_scores_are_refused() -> None:
    outputs = [{"y": np.array([[0.0, np.inf]])}] * 2
    with pytest.raises(MeasurementError, match="sample 1 cannot be scored"):
        score_samples("top1", outputs, [1])
    with pytest.raises(MeasurementError, match="the score of sample 0 is -inf"):
        score_samples("negative_mae", outputs, [[1, 1], [1, 1]])


def test_accuracy_of_zero_one_scores_has_wilsons_interval() -> None:
    found = accuracy(np.r_[np.ones(978), np.zeros(22)], "top1")
    low, high = scipy_stats.binomtest(978, 1000).proportion_ci(0.95, method="wilson")
    assert (found.value, found.samples) == (0.978, 1000)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_accuracy_of_other_scores_is_bootstrapped_around_the_mean() -> None:
    scores = np.random.default_rng(0).normal(-3.0, 1.0, 400)
    found = accuracy(scores, "negative_mae")
    assert found.value == pytest.approx(scores.mean())
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * scores.std() / 20, rel=0.1)


@pytest.mark.parametrize("scores", [[], [1.0]])
def test_too_few_samples_are_refused(scores: list[float]) -> None:
    with pytest.raises(MeasurementError, match=f"{len(scores)} samples allow no interval"):
        accuracy(scores, "top1")
    with pytest.raises(MeasurementError, match="allow no interval"):
        paired_drop(scores, scores)


def test_paired_drop_counts_gains_and_losses() -> None:
    reference, candidate = discordant_scores(6, 8, 500)
    drop = paired_drop(reference, candidate)
    assert (drop.gained, drop.lost, drop.samples) == (6, 8, 500)
    assert drop.value == pytest.approx(2 / 500)
    # By hand: cells + 0.5, n + 2: d = 2/502, sd = sqrt(15 - 4/502)/502, z = 1.95996 and 1.64485.
    assert drop.low == pytest.approx(0.003984 - 1.95996 * 0.0077130, abs=1e-5)
    assert drop.high == pytest.approx(0.003984 + 1.95996 * 0.0077130, abs=1e-5)
    assert drop.upper95 == pytest.approx(0.003984 + 1.64485 * 0.0077130, abs=1e-5)
    assert drop.mcnemar_p == pytest.approx(scipy_stats.binomtest(6, 14).pvalue)


def test_equal_scores_still_leave_doubt() -> None:
    drop = paired_drop(np.ones(100), np.ones(100))
    assert drop.value == 0
    assert drop.low < 0 < drop.upper95 < drop.high
    assert drop.mcnemar_p == 1.0


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (0, 7), (12, 12), (30, 11), (900, 1100)])
def test_mcnemar_is_the_exact_binomial_test(gained: int, lost: int) -> None:
    expected = scipy_stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar_p(gained, lost) == pytest.approx(expected)


@pytest.mark.parametrize(("p_gain", "p_loss", "n"), [(0.02, 0.02, 200), (0.01, 0.04, 500), (0.05, 0.1, 100)])
def test_paired_drop_covers_the_true_drop_in_simulation(p_gain: float, p_loss: float, n: int) -> None:
    rng = np.random.default_rng(8)
    drops = []
    for gained, lost, _ in rng.multinomial(n, [p_gain, p_loss, 1 - p_gain - p_loss], 2500):
        drops.append(paired_drop(*discordant_scores(int(gained), int(lost), n)))
    truth = p_loss - p_gain
    assert 0.935 <= np.mean([drop.low <= truth <= drop.high for drop in drops]) <= 0.985
    assert 0.935 <= np.mean([truth <= drop.upper95 for drop in drops]) <= 0.985


def test_paired_drop_of_other_scores_is_a_seeded_bootstrap_of_the_differences() -> None:
    rng = np.random.default_rng(9)
    reference = rng.normal(-1.0, 1.0, 300)
    candidate = reference - 0.1 + rng.normal(0, 0.05, 300)
    drop = paired_drop(reference, candidate)
    assert drop.low < 0.1 < drop.high
    assert drop.high - drop.low < 0.02  # far less than the 0.22 that unpaired scores would give
    assert drop.low < drop.upper95 < drop.high
    assert drop.mcnemar_p is None
    assert drop == paired_drop(reference, candidate)


def test_paired_drop_needs_the_same_samples() -> None:
    with pytest.raises(MeasurementError, match="3 scores against 4"):
        paired_drop(np.ones(4), np.ones(3))
    with pytest.raises(MeasurementError, match="not a finite number"):
        paired_drop([1.0, np.nan], [1.0, 1.0])


@pytest.mark.parametrize(
    ("gained", "lost", "n", "max_drop"),
    [(0, 0, 20, 0.01), (6, 8, 500, 0.01), (0, 3, 500, 0.01), (9, 4, 400, 0.002), (20, 45, 360, 0.08), (0, 1, 2, 0.6)],
)
def test_samples_needed_is_where_more_of_the_same_comes_within(gained: int, lost: int, n: int, max_drop: float) -> None:
    def upper95(times: int) -> float:
        return paired_drop(*discordant_scores(gained * times, lost * times, n * times)).upper95

    enough = next(times for times in range(1, 200) if upper95(times) <= max_drop)
    needed = samples_needed(paired_drop(*discordant_scores(gained, lost, n)), max_drop)
    assert enough > 1
    assert needed is not None
    assert n * (enough - 1) < needed <= n * enough


def test_samples_needed_without_a_difference_is_z_over_what_may_be_lost() -> None:
    drop = paired_drop(np.ones(50), np.ones(50))
    assert samples_needed(drop, 0.01) == 163  # 1.645 / (n + 2) <= 0.01
    assert samples_needed(drop, 0.001) == 1643


def test_samples_needed_of_other_scores_is_where_more_of_the_same_comes_within() -> None:
    rng = np.random.default_rng(3)
    reference = rng.normal(0, 1, 50)
    scores = reference - rng.normal(0.02, 0.1, 50)
    drop = paired_drop(reference, scores)
    needed = samples_needed(drop, drop.value + 0.005)
    assert needed is not None
    more, fewer = (
        paired_drop(np.tile(reference, k), np.tile(scores, k)) for k in (needed * 6 // 250, needed * 4 // 250)
    )
    assert more.upper95 < drop.value + 0.005 < fewer.upper95


def test_samples_needed_grows_as_less_may_be_lost_and_ends_where_no_number_is_enough() -> None:
    rng = np.random.default_rng(4)
    reference = rng.normal(0, 1, 300)
    for drop in (
        paired_drop(*discordant_scores(6, 8, 500)),
        paired_drop(reference, reference - rng.normal(0.2, 1, 300)),
    ):
        budgets = np.linspace(drop.upper95, drop.value, 40)
        *needed, never = [samples_needed(drop, budget) for budget in budgets.tolist()]
        assert needed[0] == drop.samples
        assert None not in needed
        assert needed == sorted(needed, key=int)
        assert needed[-1] > 1000 * drop.samples
        assert never is None
        assert samples_needed(drop, drop.value / 2) is None


def test_samples_needed_is_what_there_is_where_it_is_shown_and_none_for_no_loss_at_all() -> None:
    assert samples_needed(paired_drop(*discordant_scores(6, 8, 500)), 0.5) == 500
    assert samples_needed(paired_drop(np.ones(50), np.ones(50)), 0.0) is None
    assert samples_needed(paired_drop(*discordant_scores(9, 4, 400)), 0.0) is None
    assert samples_needed(paired_drop(*discordant_scores(90, 4, 400)), 0.0) == 400
    equal = np.random.default_rng(5).normal(size=30)
    assert samples_needed(paired_drop(equal, equal), 0.0) == 30
