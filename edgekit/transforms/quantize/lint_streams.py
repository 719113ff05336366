"""What one pass over calibration or evaluation data remembers of it: moments, ranges, hashes, classes."""

from __future__ import annotations

import math
import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np

from edgekit.errors import CalibrationError, TensorError
from edgekit.recipes.recipe import Sample
from edgekit.tensors import Array, Feeds, TensorSpec, check_feeds, check_finite

Predict = Callable[[Mapping[str, Array]], Mapping[str, Array]]

# Every sample is looked at up to here, then every 2nd up to twice as many, every 4th up to four times, and so on.
PREDICTED_SAMPLES = 512
EVALUATED_SAMPLES = 2000

SPREAD_FLOOR = 0.25  # of the values' own deviation: a shift far below it does not change a range of several of them
MOST_CHANNELS = 16  # a longer axis 1 may be time or rows of pixels, where a constant margin is normal
NOT_SIGNALS = ("int64", "int32", "bool")  # token ids, masks, lengths: they have no range, and constant ones are normal


@dataclass
class Moments:
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
class ValueRange:
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
class InputFacts:
    """Statistics of one input. means, spreads: of the mean and standard deviation within each sample.

    channels: smallest and largest value of each channel, where there are some.
    """

    spec: TensorSpec
    range: ValueRange = field(default_factory=ValueRange)
    means: Moments = field(default_factory=Moments)
    spreads: Moments = field(default_factory=Moments)
    channels: tuple[Array, Array] | None = None

    @property
    def is_signal(self) -> bool:
        return self.spec.dtype not in NOT_SIGNALS

    def add(self, values: Array, weight: float, against: ValueRange | None) -> None:
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

    def distances(self, other: InputFacts) -> tuple[float, float]:
        """How far mean and spread of other samples are away, in this one's standard deviations between samples."""
        values = math.sqrt(self.spreads.mean**2 + self.spreads.variance + self.means.variance)
        floor = max(SPREAD_FLOOR * values, sys.float_info.min)
        mean = abs(other.means.mean - self.means.mean) / max(math.sqrt(self.means.variance), floor)
        spread = abs(other.spreads.mean - self.spreads.mean) / max(math.sqrt(self.spreads.variance), floor)
        return mean, spread


@dataclass
class Stream:
    """What one pass over feeds leaves.

    read, looked, spoiled: feeds in all, those looked at, and of these those left out for NaN or infinity.
    samples: that the statistics are of; weight: how many they stand for. hashes: of the distinct ones, sorted.
    classes: predicted for calibration samples, or the targets of evaluation samples.
    """

    specs: Sequence[TensorSpec]
    inputs: dict[str, InputFacts] = field(init=False)
    sizes: dict[str, ValueRange] = field(init=False)
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
        self.inputs = {spec.name: InputFacts(spec) for spec in self.specs}
        self.sizes = {dim: ValueRange() for spec in self.specs for dim in spec.dynamic_dims if dim != self.batch}

    def add(self, feeds: Feeds, *, weight: float = 1.0, against: Stream | None = None) -> dict[str, Array] | None:
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

    def signals(self) -> list[InputFacts]:
        return [each for each in self.inputs.values() if each.is_signal]

    @property
    def coverage(self) -> str:
        return f"by {self.looked} of {self.read} evaluation samples"


def read_calibration(calibration: Iterable[Feeds], specs: Sequence[TensorSpec], predict: Predict | None) -> Stream:
    """Read every calibration sample once; `predict` sees the first ones, and a share of the rest."""
    stream = Stream(specs)
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


def read_evaluation(evaluation: Iterable[Sample], specs: Sequence[TensorSpec], calibration: Stream) -> Stream:
    """Read every target, and the feeds of the first samples and of a share of the rest, beside the calibration."""
    stream = Stream(specs)
    for index, (feeds, target) in enumerate(evaluation):
        stream.read += 1
        found = class_of(target)
        if found is not None:
            stream.classes[found] += 1
        every = _every(index, EVALUATED_SAMPLES)
        if index % every == 0:  # and it stands for those that are passed over: data is often sorted by class
            stream.add(feeds, weight=every, against=calibration)
    return stream


def _every(index: int, whole: int) -> int:
    """Of how many feeds one is looked at, here: 1, beyond `whole` 2, beyond twice that 4; no length need be known."""
    return 1 << (index // whole).bit_length()


def class_of(target: Any) -> int | None:
    """The class that a target names; None if it is not a single whole number."""
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
