"""Calibration lint: reads the calibration data once, as a stream, and says what would spoil a quantized model.

Memory is that of one sample, and 8 bytes for each sample read. docs/calibration.md explains the findings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np

from edgekit.errors import CalibrationError
from edgekit.recipes.recipe import Sample
from edgekit.tensors import Feeds, TensorSpec
from edgekit.transforms.quantize.lint_streams import (
    InputFacts,
    Predict,
    Stream,
    ValueRange,
    class_of,
    read_calibration,
    read_evaluation,
)

# Measured against chance on the shipped recipes, by draws from their own data: docs/calibration.md.
ENOUGH_SAMPLES = 100  # the next sample's largest value lies beyond those of n others with a chance of 1 / (n + 1)
DUPLICATE_SHARE = 0.05  # fewer hardly move a histogram
CLIPPED_SHARE = 0.01  # by chance at most 0.3 % of the values lie outside the range of 20 samples, 0.03 % of 100
SHIFT_LIMIT = 1.0  # deviations between calibration samples, two standard errors on top; wrong scales are beyond 1.2
SHIFT_SAMPLES = 10  # fewer do not say what the deviation between samples is
SIZES_SHARE = 0.1  # 20 sizes leave as much outside by chance
MISSING_CHANCE = 0.001  # that any class is called missing which the draw alone has left out


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with calibration data.

    kind: a word of docs/calibration.md.
    severity: with an error, a quantized model would be meaningless.
    message: what was found, the numbers, what to do.
    numbers: the same numbers by name.
    """

    kind: str
    severity: Literal["warning", "error"]
    message: str
    numbers: Mapping[str, float]


def lint_calibration(
    calibration: Iterable[Feeds],
    specs: Sequence[TensorSpec],
    *,
    evaluation: Iterable[Sample] = (),
    predict: Predict | None = None,
) -> tuple[Finding, ...]:
    """What is wrong with `calibration`, by itself and against `evaluation`; both are iterated once.

    calibration: feeds for `specs`. A leading dynamic dimension that all inputs share is a batch: its rows are samples.
    evaluation: (feeds, target). Every target is read; of the feeds `EVALUATED_SAMPLES` and a share of the rest.
    predict: the float graph: feeds -> its only output, scores with the classes on the last axis. With it, and targets
        that are single integers, classes are compared. It runs on `PREDICTED_SAMPLES` feeds and a share of the rest.

    Raises:
        TensorError: a sample has a wrong name, dtype or shape.
        CalibrationError: `predict` gives more than one output.
    """
    held_out = iter(evaluation)
    first = next(held_out, None)
    if first is None or class_of(first[1]) is None:
        predict = None
    seen = read_calibration(calibration, specs, predict)
    compared = chain([first], held_out) if first is not None and seen.samples else ()
    against = read_evaluation(compared, specs, seen)
    return tuple(finding for rule in RULES for finding in rule(seen, against))


def raise_errors(findings: Iterable[Finding]) -> None:
    """Raise the findings of severity "error" as one CalibrationError; nothing if there are none."""
    if errors := [finding.message for finding in findings if finding.severity == "error"]:
        raise CalibrationError("; ".join(errors))


# The rules: what calibration and evaluation hold -> findings.


def _too_little(seen: Stream, _: Stream) -> Iterator[Finding]:
    distinct, total = len(seen.hashes), seen.samples
    if not seen.read:
        message = f"the calibration data is empty; give at least {ENOUGH_SAMPLES} real samples"
        yield _error("no-samples", message, samples=0, enough=ENOUGH_SAMPLES)
    elif distinct == 1 < total:
        message = f"all {total} calibration samples are the same; give at least {ENOUGH_SAMPLES} different ones"
        yield _error("identical", message, samples=total, distinct=1, enough=ENOUGH_SAMPLES)
    elif 0 < distinct < ENOUGH_SAMPLES:
        message = (
            f"different calibration samples: {distinct}; in each tensor, the largest value of the next one lies beyond "
            f"theirs with a chance of 1 in {distinct + 1}: give at least {ENOUGH_SAMPLES}, better 300"
        )
        yield _warning("too-few", message, samples=total, distinct=distinct, enough=ENOUGH_SAMPLES)


def _duplicates(seen: Stream, _: Stream) -> Iterator[Finding]:
    distinct, total = len(seen.hashes), seen.samples
    share = (total - distinct) / total if distinct > 1 else 0.0
    if share >= DUPLICATE_SHARE:
        message = (
            f"{total - distinct} of {total} calibration samples ({share:.0%}) repeat another one bit for bit and count "
            f"again (limit {DUPLICATE_SHARE:.0%}): keep one of each"
        )
        yield _warning("duplicates", message, samples=total, distinct=distinct, share=share, limit=DUPLICATE_SHARE)


def _not_finite(seen: Stream, against: Stream) -> Iterator[Finding]:
    for name, stream, make in (("calibration", seen, _error), ("evaluation", against, _warning)):
        if stream.spoiled:
            message = (
                f"{stream.spoiled} of {stream.looked} {name} samples hold NaN or infinite values; "
                f"the first is {stream.first_spoiled}"
            )
            yield make("not-finite", message, spoiled=stream.spoiled, samples=stream.looked)


def _constant_inputs(seen: Stream, against: Stream) -> Iterator[Finding]:
    signals = seen.signals()
    constant = {each.spec.name: each.range.low for each in signals if each.range.constant}
    if constant and len(constant) == len(signals):
        values = ", ".join(f"{name!r} is {value:.4g}" for name, value in constant.items())
        message = (
            f"the calibration samples hold nothing: {values} everywhere; give real ones, and check what reads them"
        )
        yield _error("constant-input", message, samples=seen.samples, value=constant[signals[0].spec.name])
        return
    for name, each in seen.inputs.items():
        # A mask of ones is normal, as long as the evaluation has no other.
        differs = against.samples and against.inputs[name].range != each.range
        if each.range.constant and (each.is_signal or differs):
            message = (
                f"input {name!r} is {each.range.low:.4g} everywhere in all {seen.samples} calibration samples; "
                "let it vary as it will in use, or make it a constant of the model"
            )
            yield _warning("constant-input", message, samples=seen.samples, value=each.range.low)


def _constant_channels(seen: Stream, _: Stream) -> Iterator[Finding]:
    for each in seen.signals():
        if each.range.constant or each.channels is None:
            continue
        lows, highs = each.channels
        if stuck := np.flatnonzero(lows == highs).tolist():
            values = ", ".join(f"{index} is {lows[index]:.4g}" for index in stuck)
            message = (
                f"input {each.spec.name!r}: {len(stuck)} of {len(lows)} channels (axis 1) hold one value in all "
                f"{seen.samples} calibration samples: channel {values}; check what fills them"
            )
            yield _warning("constant-channel", message, stuck=len(stuck), channels=len(lows), samples=seen.samples)


def _clipped(seen: Stream, against: Stream) -> Iterator[Finding]:
    for each, other in _compared(seen, against):
        share = other.range.outside / other.means.weight
        if share > CLIPPED_SHARE:
            message = (
                f"input {each.spec.name!r}: {share:.1%} of the evaluation values lie outside the calibration range, "
                f"{each.range}, and would be cut off (limit {CLIPPED_SHARE:.0%}); they span {other.range} "
                f"({against.coverage}): prepare both alike, or calibrate on samples that reach as far"
            )
            yield _warning("clipped", message, share=share, limit=CLIPPED_SHARE, **_bounds(each.range, other.range))


def _shifted(seen: Stream, against: Stream) -> Iterator[Finding]:
    if seen.samples < SHIFT_SAMPLES or not against.samples:
        return
    limit = SHIFT_LIMIT + 2 * math.sqrt(1 / seen.samples + 1 / against.samples)
    for each, other in _compared(seen, against):
        mean, spread = each.distances(other)
        if max(mean, spread) > limit:
            message = (
                f"input {each.spec.name!r}: evaluation samples are unlike calibration samples: mean "
                f"{other.means.mean:.4g} against {each.means.mean:.4g}, {mean:.1f} deviations between samples away; "
                f"spread within a sample {other.spreads.mean:.4g} against {each.spreads.mean:.4g}, {spread:.1f} away "
                f"(limit {limit:.2f}; {against.coverage}): prepare both alike, and take both from one source"
            )
            yield _warning("shifted", message, mean_distance=mean, spread_distance=spread, limit=limit)


def _sizes(seen: Stream, against: Stream) -> Iterator[Finding]:
    for dim, here in seen.sizes.items():
        there = against.sizes[dim]
        share = there.outside / max(against.weight, 1.0)
        if share > SIZES_SHARE:
            message = (
                f"dimension {dim!r}: {share:.0%} of the evaluation samples have sizes that no calibration sample "
                f"reaches, which span {here} (limit {SIZES_SHARE:.0%}); evaluation spans {there} ({against.coverage}): "
                "calibrate on such sizes too"
            )
            yield _warning("sizes", message, share=share, limit=SIZES_SHARE, **_bounds(here, there))


def _missing_classes(seen: Stream, against: Stream) -> Iterator[Finding]:
    """Classes that a random draw would have hit; of 1000 classes, 300 samples leave most out by chance."""
    predictions, targets = seen.classes.total(), against.classes.total()
    chance = MISSING_CHANCE / max(len(against.classes), 1)
    absent = sorted(each for each in against.classes.items() if each[0] not in seen.classes)
    missing = [(label, count) for label, count in absent if (1 - count / targets) ** predictions < chance]
    if predictions and missing:
        named = ", ".join(f"{label} ({count})" for label, count in missing[:10])
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        message = (
            f"the float model predicts {len(missing)} of {len(against.classes)} classes for none of the {predictions} "
            f"calibration samples that it ran on; with their count in {targets} evaluation samples: {named}{more}; "
            "add samples of these classes, or draw the samples at random"
        )
        counts = {f"class {label}": count for label, count in missing}
        numbers = {"missing": len(missing), "classes": len(against.classes), "predictions": predictions}
        yield _warning("missing-classes", message, **numbers, **counts)


RULES: tuple[Callable[[Stream, Stream], Iterator[Finding]], ...] = (
    _too_little,
    _duplicates,
    _not_finite,
    _constant_inputs,
    _constant_channels,
    _clipped,
    _shifted,
    _sizes,
    _missing_classes,
)


def _warning(kind: str, message: str, **numbers: float) -> Finding:
    return Finding(kind, "warning", message, {name: float(value) for name, value in numbers.items()})


def _error(kind: str, message: str, **numbers: float) -> Finding:
    return replace(_warning(kind, message, **numbers), severity="error")


def _compared(seen: Stream, against: Stream) -> Iterator[tuple[InputFacts, InputFacts]]:
    """Signals that vary in the calibration data, each with itself in the evaluation data, if there is some."""
    if against.samples:
        yield from ((each, against.inputs[each.spec.name]) for each in seen.signals() if not each.range.constant)


def _bounds(here: ValueRange, there: ValueRange) -> dict[str, float]:
    return {"low": here.low, "high": here.high, "evaluation_low": there.low, "evaluation_high": there.high}
