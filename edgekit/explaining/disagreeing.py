"""The samples on which a compiled model and the float graph disagree most."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench.accuracy import resolve_metric
from edgekit.explaining.facts import WorstSample
from edgekit.recipes.recipe import Metric
from edgekit.tensors import Array, Feeds
from edgekit.transforms.quantize.noise import outputs_of, sqnr_db

MOST_SHOWN = 5


@dataclass(frozen=True)
class Judged:
    """Samples to run, and what each should give, by their position in the data that they are from.

    kind: what data that is, in a word. positions: of those that are run. targets: empty without a metric.
    """

    kind: str
    samples: Mapping[int, Feeds] | Sequence[Feeds]
    positions: Sequence[int]
    targets: Sequence[Any] = ()
    metric: str | Metric | None = None


@dataclass(frozen=True)
class Disagreements:
    """worst: samples with the most noise. lost: those that lose most of the metric. lost_count: how many lose any."""

    worst: tuple[WorstSample, ...]
    lost: tuple[WorstSample, ...]
    lost_count: int


def disagreements(
    floats: Path,
    run: Callable[[Feeds], Mapping[str, Array]],
    judged: Judged,
    *,
    progress: Callable[[int, int], None],
) -> Disagreements:
    """Run the ONNX file `floats` and the compiled model on each sample, whose values are let go before the next."""
    metric = resolve_metric(judged.metric) if judged.metric is not None else None
    references = outputs_of(floats, (judged.samples[position] for position in judged.positions))
    found: list[WorstSample] = []
    for position, expected in zip(judged.positions, references, strict=True):
        progress(len(found), len(judged.positions))
        target = judged.targets[position] if metric is not None else None
        found.append(_compared(position, expected, run(judged.samples[position]), metric, target))
    progress(len(found), len(found))
    by_noise = sorted(found, key=lambda sample: sample.sqnr_db)
    lost = sorted((sample for sample in by_noise if _loss(sample) > 0), key=_loss, reverse=True)
    return Disagreements(tuple(by_noise[:MOST_SHOWN]), tuple(lost[:MOST_SHOWN]), len(lost))


def _compared(
    index: int, expected: Mapping[str, Array], got: Mapping[str, Array], metric: Metric | None, target: Any
) -> WorstSample:
    noise = sqnr_db([expected], [got])
    if metric is None:
        return WorstSample(index, noise, _answer(expected), _answer(got))
    score = float(metric(got, target)) if math.isfinite(noise) or noise > 0 else math.nan  # NaN has no score
    return WorstSample(
        index, noise, _answer(expected), _answer(got), _shown(target), float(metric(expected, target)), score
    )


def _loss(sample: WorstSample) -> float:
    if sample.float_score is None or sample.score is None:
        return 0.0
    return math.inf if math.isnan(sample.score) else sample.float_score - sample.score


def _answer(outputs: Mapping[str, Array]) -> str:
    """The place of the largest of a row of scores; else the first values of the first output."""
    first = np.asarray(next(iter(outputs.values())))
    if first.ndim == 2 and len(first) == 1 and first.shape[1] > 1:
        return str(int(first.argmax()))
    return _shown(first)


def _shown(values: Any) -> str:
    """The first values of an array; anything else as Python shows it."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        return str(values)
    return " ".join(f"{value:.4g}" if array.dtype.kind == "f" else str(value) for value in array.reshape(-1)[:3])
