"""Scores outputs against targets, and says with an interval how accurate a model is and how much it lost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.bench.statistics import ALPHA, Floats, bootstrap_mean, wilson
from edgekit.errors import MeasurementError, did_you_mean
from edgekit.recipes.recipe import Metric
from edgekit.tensors import Array


@dataclass(frozen=True)
class Accuracy:
    """The mean score of a model and its 95 % interval.

    metric: name of the metric; more is better.
    samples: how many it rests on.
    """

    metric: str
    value: float
    low: float
    high: float
    samples: int


@dataclass(frozen=True)
class Drop:
    """What a candidate lost against a reference on the same samples, in the metric's unit; below 0 is a gain.

    low, high: two-sided 95 % interval.
    upper95: upper end of the one-sided 95 % interval: what a budget is held against.
    gained, lost: samples that the candidate scores higher, and lower, than the reference.
    mcnemar_p: exact two-sided McNemar p for 0/1 scores, None for others.
    """

    value: float
    low: float
    high: float
    upper95: float
    samples: int
    gained: int
    lost: int
    mcnemar_p: float | None


def top1(outputs: Mapping[str, Array], target: Any) -> float:
    """Share of positions where the largest score of the only output's last axis is at `target`: 1 or 0 for a
    class.

    outputs: one array (1, classes), or (1, ..., classes) for a target of shape (...).
    target: the class, or an array of classes.
    """
    predicted = np.argmax(_only(outputs), axis=-1)
    expected = np.asarray(target)
    if predicted.size != expected.size:
        raise MeasurementError(
            f"top1: {predicted.size} predictions for {expected.size} targets; give one sample at a time"
        )
    return float(np.mean(predicted.ravel() == expected.ravel()))


def negative_mae(outputs: Mapping[str, Array], target: Any) -> float:
    """Minus the mean absolute error of the only output, in the target's unit.

    outputs: one array (1, ...); target: an array of as many values.
    """
    predicted, expected = _only(outputs).astype(np.float64), np.asarray(target, dtype=np.float64)
    if predicted.size != expected.size:
        raise MeasurementError(f"negative_mae: {predicted.size} values for {expected.size} targets")
    return -float(np.mean(np.abs(predicted.ravel() - expected.ravel())))


# Name of a metric -> its score of one sample; more is better.
METRICS: dict[str, Metric] = {"top1": top1, "negative_mae": negative_mae}
# Those that are shares of one, and are shown in percent.
PERCENT_METRICS = ("top1",)


def resolve_metric(metric: str | Metric) -> Metric:
    """The function that `metric` names, or `metric` itself.

    Raises:
        MeasurementError: no metric of that name.
    """
    if callable(metric):
        return metric
    if metric not in METRICS:
        raise MeasurementError(f"unknown metric {metric!r}; {did_you_mean(metric, METRICS)}")
    return METRICS[metric]


def score_samples(metric: str | Metric, outputs: Iterable[Mapping[str, Array]], targets: Iterable[Any]) -> Floats:
    """The score of each sample, (samples,) float64.

    Raises:
        MeasurementError: as many outputs as targets are expected; an output holds NaN; a score is not a
            finite number.
    """
    score = resolve_metric(metric)
    scores: list[float] = []
    try:
        for position, (output, target) in enumerate(zip(outputs, targets, strict=True)):
            _refuse_nan(position, output)
            scores.append(float(score(output, target)))
    except ValueError as error:
        raise MeasurementError(f"sample {len(scores)} cannot be scored: {error}") from error
    if bad := [position for position, value in enumerate(scores) if not math.isfinite(value)]:
        raise MeasurementError(f"the score of sample {bad[0]} is {scores[bad[0]]}; a metric gives a finite number")
    return np.array(scores)


def accuracy(scores: npt.ArrayLike, metric: str, *, seed: int = 0) -> Accuracy:
    """The mean of `scores`: with Wilson's interval if all are 0 or 1, else with a seeded bootstrap interval.

    scores: (samples,) as `score_samples` gives them.

    Raises:
        MeasurementError: fewer than two samples.
    """
    x = checked_scores(scores)
    if only_zero_or_one(x):
        found = wilson(int(x.sum()), len(x))
        return Accuracy(metric, found.value, found.low, found.high, len(x))
    low, high = bootstrap_mean(x, seed=seed)
    return Accuracy(metric, float(x.mean()), low, high, len(x))


def paired_drop(reference_scores: npt.ArrayLike, scores: npt.ArrayLike, *, seed: int = 0) -> Drop:
    """What a candidate with `scores` lost against the reference, on the same samples in the same order.

    0/1 scores: Wald's interval for matched proportions after 0.5 is added to each of the four cells. Source:
        Agresti and Min, "Simple improved confidence intervals for comparing matched proportions", Statistics
        in Medicine 24, 2005.
    Other scores: a seeded bootstrap of the mean difference.

    Raises:
        MeasurementError: fewer than two samples, or not as many scores as reference scores.
    """
    reference, candidate = checked_scores(reference_scores), checked_scores(scores)
    if len(reference) != len(candidate):
        raise MeasurementError(
            f"{len(candidate)} scores against {len(reference)} of the reference; score the same samples"
        )
    losses = reference - candidate
    gained, lost = int(np.count_nonzero(losses < 0)), int(np.count_nonzero(losses > 0))
    binary = only_zero_or_one(reference) and only_zero_or_one(candidate)
    if binary:
        low, high = agresti_min(gained, lost, len(losses), alpha=ALPHA / 2)
        upper = agresti_min(gained, lost, len(losses), alpha=ALPHA)[1]
    else:
        low, high, upper = bootstrap_mean(losses, levels=(ALPHA / 2, 1 - ALPHA / 2, 1 - ALPHA), seed=seed)
    p = mcnemar_p(gained, lost) if binary else None
    return Drop(float(losses.mean()), low, high, upper, len(losses), gained, lost, p)


def samples_needed(drop: Drop, max_drop: float) -> int | None:
    """How many samples would show, at the rates seen, that the drop is within `max_drop`: one-sided 95 %.

    As many as there are where these show it. None where no number would: the drop seen is not below `max_drop`; nor is
    one given where nothing at all may be lost.

    0/1 scores: the bound of `paired_drop`, with gains and losses in proportion to the samples.
    Other scores: the bound comes nearer to the drop seen as 1 / sqrt(samples).
    """
    if drop.upper95 <= max_drop:
        return drop.samples
    if max_drop <= 0 or drop.value >= max_drop:
        return None
    if drop.mcnemar_p is None:
        return math.ceil(drop.samples * ((drop.upper95 - drop.value) / (max_drop - drop.value)) ** 2)
    too_few, enough = drop.samples, 2 * drop.samples
    while _upper95_of(drop, enough) > max_drop:
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (middle, enough) if _upper95_of(drop, middle) > max_drop else (too_few, middle)
    return enough


def _upper95_of(drop: Drop, samples: int) -> float:
    """What `upper95` of 0/1 scores would be with so many samples, a share of which is gained and lost as it was."""
    gained, lost = drop.gained * samples / drop.samples, drop.lost * samples / drop.samples
    return agresti_min(gained, lost, samples, alpha=ALPHA)[1]


def mcnemar_p(gained: int, lost: int) -> float:
    """Exact two-sided p for gains and losses being equally likely: binomial over the discordant samples."""
    discordant = gained + lost
    ways, tail = 1, 0
    for k in range(min(gained, lost) + 1):
        tail += ways
        ways = ways * (discordant - k) // (k + 1)
    return min(1.0, float(2 * tail / 2**discordant))


def agresti_min(gained: float, lost: float, n: int, *, alpha: float) -> tuple[float, float]:
    """Bounds of the drop in a share of n samples, each wrong with a chance of `alpha` on its side: `paired_drop`."""
    total = n + 2
    drop = (lost - gained) / total
    deviation = math.sqrt((lost + gained + 1) - (lost - gained) ** 2 / total) / total
    half_width = NormalDist().inv_cdf(1 - alpha) * deviation
    return max(-1.0, drop - half_width), min(1.0, drop + half_width)


def _only(outputs: Mapping[str, Array]) -> Array:
    if len(outputs) != 1:
        raise MeasurementError(
            f"this metric reads a single output, and there are {len(outputs)} ({', '.join(outputs)}); "
            "give the recipe a metric function of its own"
        )
    return next(iter(outputs.values()))


def _refuse_nan(position: int, outputs: Mapping[str, Array]) -> None:
    for name, array in outputs.items():
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise MeasurementError(f"output {name!r} of sample {position} holds NaN, so it has no score")


def checked_scores(scores: npt.ArrayLike) -> Floats:
    """Scores as an array, at least two and all finite; raises MeasurementError for others."""
    x = np.asarray(scores, dtype=np.float64)
    if x.ndim != 1 or len(x) < 2:
        raise MeasurementError(
            f"{x.size} samples allow no interval; evaluate on two at the very least, and better hundreds"
        )
    if not np.isfinite(x).all():
        raise MeasurementError("a score is not a finite number; a metric gives a finite number for each sample")
    return x


def only_zero_or_one(x: Floats) -> bool:
    """Whether every score is 0 or 1: right or wrong."""
    return bool(np.isin(x, (0.0, 1.0)).all())
