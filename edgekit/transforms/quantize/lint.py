"""Calibration lint: reads the calibration data once, as a stream, and says what would spoil a quantized model.

Memory is that of one sample, and 8 bytes for each sample read. docs/calibration.md explains the findings.
"""

from __future__ import annotations

import math
import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import chain
from typing import Any, Literal

import numpy as np

from edgekit.errors import CalibrationError, TensorError
from edgekit.recipes.recipe import Sample
from edgekit.tensors import Array, Feeds, TensorSpec, check_feeds, check_finite

Predict = Callable[[Mapping[str, Array]], Mapping[str, Array]]

# Measured against chance on the shipped recipes, by draws from their own data: docs/calibration.md.
ENOUGH_SAMPLES = 100  # the next sample's largest value lies beyond those of n others with a chance of 1 / (n + 1)
DUPLICATE_SHARE = 0.05  # fewer hardly move a histogram
CLIPPED_SHARE = 0.01  # by chance at most 0.3 % of the values lie outside the range of 20 samples, 0.03 % of 100
SHIFT_LIMIT = 1.0  # deviations between calibration samples, two standard errors on top; wrong scales are beyond 1.2
SHIFT_SAMPLES = 10  # fewer do not say what the deviation between samples is
SPREAD_FLOOR = 0.25  # of the values' own deviation: a shift far below it does not change a range of several of them
SIZES_SHARE = 0.1  # 20 sizes leave as much outside by chance
MISSING_CHANCE = 0.001  # that any class is called missing which the draw alone has left out
MOST_CHANNELS = 16  # a longer axis 1 may be time or rows of pixels, where a constant margin is normal

# Every sample is looked at up to here, then every 2nd up to twice as many, every 4th up to four times, and so on.
PREDICTED_SAMPLES = 512
EVALUATED_SAMPLES = 2000

NOT_SIGNALS = ("int64", "int32", "bool")  # token ids, masks, lengths: they have no range, and constant ones are normal


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
    if first is None or _class_of(first[1]) is None:
        predict = None
    seen = _read_calibration(calibration, specs, predict)
    compared = chain([first], held_out) if first is not None and seen.samples else ()
    against = _read_evaluation(compared, specs, seen)
    return tuple(finding for rule in RULES for finding in rule(seen, against))


def raise_errors(findings: Iterable[Finding]) -> None:
    """Raise the findings of severity "error" as one CalibrationError; nothing if there are none."""
    if errors := [finding.message for finding in findings if finding.severity == "error"]:
        raise CalibrationError("; ".join(errors))


@dataclass
class _Moments:
    """Running weighted mean and variance. Source: West, "Updating mean and variance estimates", CACM 22(9), 1979."""

    weight: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float, weight: float) -> None:
        self.weight += weight
        step = value - self.mean
        self.mean += step * weight / self.weight
        self.squares += weight * step * (value - self.mean)

    @property
    def variance(self) -> float:
        return self.squares / max(self.weight - 1, 1)


@dataclass
class _Range:
    """Smallest and largest, and the weight of what lay outside the range that it was compared with."""

    low: float = math.inf
    high: float = -math.inf
    outside: float = 0.0

    def add(self, low: float, high: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)

    @property
    def constant(self) -> bool:
        return self.low == self.high

    def __str__(self) -> str:
        return f"{self.low:.4g}..{self.high:.4g}"


@dataclass
class _Input:
    """Statistics of one input. means, spreads: of the mean and standard deviation within each sample.

    channels: smallest and largest value of each channel, where there are some.
    """

    spec: TensorSpec
    range: _Range = field(default_factory=_Range)
    means: _Moments = field(default_factory=_Moments)
    spreads: _Moments = field(default_factory=_Moments)
    channels: tuple[Array, Array] | None = None

    @property
    def is_signal(self) -> bool:
        return self.spec.dtype not in NOT_SIGNALS

    def add(self, values: Array, weight: float, against: _Range | None) -> None:
        self.range.add(values.min().item(), values.max().item())
        if not self.is_signal:
            return
        self.means.add(float(values.mean(dtype=np.float64)), weight)
        self.spreads.add(float(values.std(dtype=np.float64)), weight)
        if against is None:
            self._add_channels(values)
        else:
            margin = (against.high - against.low) / 510  # half a step of int8: what rounding may move anyway
            outside = (values < against.low - margin) | (values > against.high + margin)
            self.range.outside += weight * float(outside.mean())

    def _add_channels(self, values: Array) -> None:
        if values.ndim < 3 or isinstance(self.spec.shape[1], str) or not 2 <= values.shape[1] <= MOST_CHANNELS:
            return
        axes = (0, *range(2, values.ndim))
        lows, highs = values.min(axis=axes), values.max(axis=axes)
        known_lows, known_highs = self.channels or (lows, highs)
        self.channels = np.minimum(lows, known_lows), np.maximum(highs, known_highs)

    def distances(self, other: _Input) -> tuple[float, float]:
        """How far mean and spread of other samples are away, in this one's standard deviations between samples."""
        values = math.sqrt(self.spreads.mean**2 + self.spreads.variance + self.means.variance)
        floor = max(SPREAD_FLOOR * values, sys.float_info.min)
        mean = abs(other.means.mean - self.means.mean) / max(math.sqrt(self.means.variance), floor)
        spread = abs(other.spreads.mean - self.spreads.mean) / max(math.sqrt(self.spreads.variance), floor)
        return mean, spread


@dataclass
class _Stream:
    """What one pass over feeds leaves.

    read, looked, spoiled: feeds in all, those looked at, and of these those left out for NaN or infinity.
    samples: that the statistics are of; weight: how many they stand for. hashes: of the distinct ones, sorted.
    classes: predicted for calibration samples, or the targets of evaluation samples.
    """

    specs: Sequence[TensorSpec]
    inputs: dict[str, _Input] = field(init=False)
    sizes: dict[str, _Range] = field(init=False)
    batch: str | None = field(init=False)
    read: int = 0
    looked: int = 0
    spoiled: int = 0
    first_spoiled: str = ""
    samples: int = 0
    weight: float = 0.0
    hashes: array[int] = field(default_factory=lambda: array("Q"))
    classes: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        leading = {spec.shape[0] if spec.shape else None for spec in self.specs}
        shared = leading.pop() if len(leading) == 1 else None
        self.batch = shared if isinstance(shared, str) else None
        self.inputs = {spec.name: _Input(spec) for spec in self.specs}
        self.sizes = {dim: _Range() for spec in self.specs for dim in spec.dynamic_dims if dim != self.batch}

    def add(self, feeds: Feeds, *, weight: float = 1.0, against: _Stream | None = None) -> dict[str, Array] | None:
        """Take the feeds in; the checked feeds, or None where they hold NaN or infinity."""
        self.looked += 1
        sizes: dict[str, int] = {}
        checked = check_feeds(self.specs, feeds, sizes)
        try:
            check_finite(checked)
        except TensorError as error:
            self.spoiled += 1
            self.first_spoiled = self.first_spoiled or f"sample {self.read - 1}: {error}"
            return None
        samples = self.split(checked)
        self.samples += len(samples)
        self.weight += weight * len(samples)
        for sample in samples:
            for name, each in self.inputs.items():
                each.add(sample[name], weight, against.inputs[name].range if against else None)
        for dim, found in self.sizes.items():
            found.add(sizes[dim], sizes[dim])
            if against and not against.sizes[dim].low <= sizes[dim] <= against.sizes[dim].high:
                found.outside += weight * len(samples)
        return checked

    def split(self, feeds: dict[str, Array]) -> list[dict[str, Array]]:
        """The single samples of a batch."""
        if self.batch is None:
            return [feeds]
        rows = len(next(iter(feeds.values())))
        return [{name: values[row : row + 1] for name, values in feeds.items()} for row in range(rows)]

    def remember(self, sample: Mapping[str, Array]) -> None:
        """Keep the sample's hash, unless it is there."""
        digest = blake2b(digest_size=8)
        for spec in self.specs:
            digest.update(sample[spec.name].tobytes())
        value = int.from_bytes(digest.digest(), "little")
        place = bisect_left(self.hashes, value)
        if place == len(self.hashes) or self.hashes[place] != value:
            self.hashes.insert(place, value)

    def signals(self) -> list[_Input]:
        return [each for each in self.inputs.values() if each.is_signal]

    @property
    def coverage(self) -> str:
        return f"by {self.looked} of {self.read} evaluation samples"


def _read_calibration(calibration: Iterable[Feeds], specs: Sequence[TensorSpec], predict: Predict | None) -> _Stream:
    stream = _Stream(specs)
    for index, feeds in enumerate(calibration):
        stream.read += 1
        checked = stream.add(feeds)
        if checked is None:
            continue
        for sample in stream.split(checked):
            stream.remember(sample)
        if predict and index % _every(index, PREDICTED_SAMPLES) == 0:
            stream.classes.update(_predicted(predict(checked)))
    return stream


def _read_evaluation(evaluation: Iterable[Sample], specs: Sequence[TensorSpec], calibration: _Stream) -> _Stream:
    stream = _Stream(specs)
    for index, (feeds, target) in enumerate(evaluation):
        stream.read += 1
        found = _class_of(target)
        if found is not None:
            stream.classes[found] += 1
        every = _every(index, EVALUATED_SAMPLES)
        if index % every == 0:  # and it stands for those that are passed over: data is often sorted by class
            stream.add(feeds, weight=every, against=calibration)
    return stream


def _every(index: int, whole: int) -> int:
    """Of how many feeds one is looked at, here: 1, beyond `whole` 2, beyond twice that 4; no length need be known."""
    return 1 << (index // whole).bit_length()


def _class_of(target: Any) -> int | None:
    value = np.asarray(target)
    return int(value.item()) if value.size == 1 and value.dtype.kind in "iu" else None


def _predicted(outputs: Mapping[str, Array]) -> list[int]:
    if len(outputs) != 1:
        raise CalibrationError(
            f"classes can be compared for a single output, and there are {len(outputs)} ({', '.join(outputs)}); "
            "lint without predict"
        )
    scores = next(iter(outputs.values()))
    return [int(each) for each in np.argmax(scores, axis=-1).ravel()]


# The rules: what calibration and evaluation hold -> findings.


def _too_little(seen: _Stream, _: _Stream) -> Iterator[Finding]:
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


def _duplicates(seen: _Stream, _: _Stream) -> Iterator[Finding]:
    distinct, total = len(seen.hashes), seen.samples
    share = (total - distinct) / total if distinct > 1 else 0.0
    if share >= DUPLICATE_SHARE:
        message = (
            f"{total - distinct} of {total} calibration samples ({share:.0%}) repeat another one bit for bit and count "
            f"again (limit {DUPLICATE_SHARE:.0%}): keep one of each"
        )
        yield _warning("duplicates", message, samples=total, distinct=distinct, share=share, limit=DUPLICATE_SHARE)


def _not_finite(seen: _Stream, against: _Stream) -> Iterator[Finding]:
    for name, stream, make in (("calibration", seen, _error), ("evaluation", against, _warning)):
        if stream.spoiled:
            message = (
                f"{stream.spoiled} of {stream.looked} {name} samples hold NaN or infinite values; "
                f"the first is {stream.first_spoiled}"
            )
            yield make("not-finite", message, spoiled=stream.spoiled, samples=stream.looked)


def _constant_inputs(seen: _Stream, against: _Stream) -> Iterator[Finding]:
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


def _constant_channels(seen: _Stream, _: _Stream) -> Iterator[Finding]:
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


def _clipped(seen: _Stream, against: _Stream) -> Iterator[Finding]:
    for each, other in _compared(seen, against):
        share = other.range.outside / other.means.weight
        if share > CLIPPED_SHARE:
            message = (
                f"input {each.spec.name!r}: {share:.1%} of the evaluation values lie outside the calibration range, "
                f"{each.range}, and would be cut off (limit {CLIPPED_SHARE:.0%}); they span {other.range} "
                f"({against.coverage}): prepare both alike, or calibrate on samples that reach as far"
            )
            yield _warning("clipped", message, share=share, limit=CLIPPED_SHARE, **_bounds(each.range, other.range))


def _shifted(seen: _Stream, against: _Stream) -> Iterator[Finding]:
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


def _sizes(seen: _Stream, against: _Stream) -> Iterator[Finding]:
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


def _missing_classes(seen: _Stream, against: _Stream) -> Iterator[Finding]:
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


RULES: tuple[Callable[[_Stream, _Stream], Iterator[Finding]], ...] = (
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


def _compared(seen: _Stream, against: _Stream) -> Iterator[tuple[_Input, _Input]]:
    """Signals that vary in the calibration data, each with itself in the evaluation data, if there is some."""
    if against.samples:
        yield from ((each, against.inputs[each.spec.name]) for each in seen.signals() if not each.range.constant)


def _bounds(here: _Range, there: _Range) -> dict[str, float]:
    return {"low": here.low, "high": here.high, "evaluation_low": there.low, "evaluation_high": there.high}
