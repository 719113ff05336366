"""What is known of a change: an estimate, and one-sided bounds as sure as one asks. Above 0 the head is worse.

Four kinds: paired sessions (times, memory), a count (bytes on disk), 0/1 scores and other scores of the same samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgekit.bench.accuracy import agresti_min, checked_scores, only_zero_or_one
from edgekit.bench.gate.sequential import level_at
from edgekit.bench.statistics import Floats, bootstrap_mean, hodges_lehmann
from edgekit.errors import MeasurementError


class Evidence(Protocol):
    """An estimated change.

    value: the estimate. pairs: pairs of sessions, or samples, behind it; 0 for what is known exactly.
    """

    @property
    def value(self) -> float: ...
    @property
    def pairs(self) -> int: ...

    def low(self, alpha: float) -> float:
        """A lower bound that is above the true change with a chance of `alpha` at most; maybe minus infinity."""

    def high(self, alpha: float) -> float:
        """An upper bound that is below the true change with a chance of `alpha` at most; maybe infinity."""

    def needed(self, threshold: float, alpha: float) -> int | None:
        """How many pairs would settle on which side of `threshold` the change lies, if it goes on as it did."""


@dataclass(frozen=True)
class PairedRatios:
    """The relative change of something measured in pairs of sessions, which may be looked at several times.

    log_ratios: log of head over base, a session each. looks: numbers of sessions after which it is looked at; the
        bounds hold for all looks together.
    """

    log_ratios: tuple[float, ...]
    looks: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.log_ratios) not in self.looks:
            raise MeasurementError(f"{len(self.log_ratios)} sessions are none of the looks {self.looks}")

    @property
    def value(self) -> float:
        return math.expm1(hodges_lehmann(self.log_ratios).value)

    @property
    def pairs(self) -> int:
        return len(self.log_ratios)

    def low(self, alpha: float) -> float:
        return math.expm1(hodges_lehmann(self.log_ratios, alpha=self._level(alpha)).low)

    def high(self, alpha: float) -> float:
        bound = hodges_lehmann(self.log_ratios, alpha=self._level(alpha)).high
        return math.inf if math.isinf(bound) else math.expm1(bound)

    def needed(self, threshold: float, alpha: float) -> int | None:
        return _by_square_root(self, threshold, alpha)

    def _level(self, alpha: float) -> float:
        return level_at(len(self.log_ratios), self.looks, alpha)


@dataclass(frozen=True)
class Counted:
    """A relative change that is known exactly, such as that of bytes on disk."""

    value: float
    pairs: int = 0

    def low(self, alpha: float) -> float:
        del alpha
        return self.value

    def high(self, alpha: float) -> float:
        del alpha
        return self.value

    def needed(self, threshold: float, alpha: float) -> int | None:
        del threshold, alpha
        return None


@dataclass(frozen=True)
class LostShare:
    """The drop of a share of right answers on the same samples: how many each side alone got right."""

    gained: int
    lost: int
    pairs: int

    @property
    def value(self) -> float:
        return (self.lost - self.gained) / self.pairs

    def low(self, alpha: float) -> float:
        return agresti_min(self.gained, self.lost, self.pairs, alpha=alpha)[0]

    def high(self, alpha: float) -> float:
        return agresti_min(self.gained, self.lost, self.pairs, alpha=alpha)[1]

    def needed(self, threshold: float, alpha: float) -> int | None:
        """By the normal limit: z^2 times the variance of a sample's loss, over the square of what is to be told."""
        distance = abs(threshold - self.value)
        variance = (self.lost + self.gained) / self.pairs - self.value**2
        return _samples_for(distance, variance, alpha)


@dataclass(frozen=True)
class LostScore:
    """The drop of a mean score on the same samples.

    losses: (samples,) float64, the base's score less the head's.
    """

    losses: Floats
    seed: int = 0
    _bounds: dict[float, float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def value(self) -> float:
        return float(self.losses.mean())

    @property
    def pairs(self) -> int:
        return len(self.losses)

    def low(self, alpha: float) -> float:
        return self._bound(alpha)

    def high(self, alpha: float) -> float:
        return self._bound(1 - alpha)

    def needed(self, threshold: float, alpha: float) -> int | None:
        return _samples_for(abs(threshold - self.value), float(self.losses.var()), alpha)

    def _bound(self, level: float) -> float:
        """Each level is resampled once: it takes a second for 10,000 samples."""
        if level not in self._bounds:
            self._bounds[level] = bootstrap_mean(self.losses, levels=(level,), seed=self.seed)[0]
        return self._bounds[level]


def lost_scores(base: npt.ArrayLike, head: npt.ArrayLike, *, seed: int = 0) -> LostShare | LostScore:
    """The evidence of two models' scores on the same samples, in the same order.

    Raises:
        MeasurementError: fewer than two samples, a score that is not finite, or not as many on both sides.
    """
    before, after = checked_scores(base), checked_scores(head)
    if len(before) != len(after):
        raise MeasurementError(f"{len(after)} scores of the head against {len(before)} of the base; score the same")
    losses = before - after
    if only_zero_or_one(before) and only_zero_or_one(after):
        return LostShare(int(np.count_nonzero(losses < 0)), int(np.count_nonzero(losses > 0)), len(losses))
    return LostScore(losses, seed)


def log_ratios(head: Sequence[float], base: Sequence[float]) -> tuple[float, ...]:
    """The log of head over base, pair by pair; both above 0."""
    return tuple(math.log(h / b) for h, b in zip(head, base, strict=True))


def detectable(evidence: Evidence, threshold: float, alpha: float) -> float | None:
    """The change that such a measurement finds to be above `threshold` 9 times in 10; None where it has no bound.

    The half width of the interval is z(alpha) standard errors; a change must exceed the threshold by that, and by
    z(0.1) more to do so 9 times in 10.
    """
    half_width = evidence.value - evidence.low(alpha)
    if math.isinf(half_width):
        return None
    return threshold + half_width * (1 + _z(0.1) / _z(alpha))


def _by_square_root(evidence: Evidence, threshold: float, alpha: float) -> int | None:
    """Half widths shrink with the square root of the number of pairs."""
    above = evidence.value > threshold
    half_width = evidence.value - evidence.low(alpha) if above else evidence.high(alpha) - evidence.value
    distance = abs(evidence.value - threshold)
    if math.isinf(half_width) or distance == 0:
        return None
    return max(evidence.pairs + 1, math.ceil(evidence.pairs * (half_width / distance) ** 2))


def _samples_for(distance: float, variance: float, alpha: float) -> int | None:
    return math.ceil(_z(alpha) ** 2 * variance / distance**2) if distance > 0 and variance > 0 else None


def _z(alpha: float) -> float:
    return NormalDist().inv_cdf(1 - alpha)
