"""Calibrators: from a histogram to the range that eight bits are spread over. All ranges hold 0."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edgekit.transforms.quantize.histogram import BINS, Histogram

LEVELS = 256
PERCENTILE = 99.99
SHRINKING = np.geomspace(1.0, 1 / 16, 65)  # shares of the largest magnitude that a search tries, largest first
UNSEEN = 1e-12  # probability of values that quantization cannot give, in place of 0

Range = tuple[float, float]
Floats = npt.NDArray[np.float64]


def step_of(found: Range) -> float:
    """The step of the grid over a range: s8 and symmetric where both signs occur, else u8 from 0."""
    low, high = found
    return max(-low, high) / 127 if low < 0 else high / 255


def minmax(histogram: Histogram) -> Range:
    """From the least to the largest value seen."""
    return min(histogram.low, 0.0), max(histogram.high, 0.0)


def percentile(histogram: Histogram) -> Range:
    """What holds 99.99 % of the values, as many cut off below as above."""
    low, high = minmax(histogram)
    if not histogram.limit:
        return low, high
    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    tail = (1 - PERCENTILE / 100) / 2
    edges = np.linspace(-histogram.limit, histogram.limit, BINS + 1)
    first, last = int(np.searchsorted(share, tail)), int(np.searchsorted(share, 1 - tail))
    return max(low, min(float(edges[first]), 0.0)), min(high, max(float(edges[last + 1]), 0.0))


def mse(histogram: Histogram) -> Range:
    """The range with the least mean squared error, of what lies outside and is clipped and of what is rounded inside.

    Exact zeros have no error in any range that holds 0.
    """
    return _best(histogram, _squared_error)


def entropy(histogram: Histogram) -> Range:
    """The range that loses the least information: KL divergence of the values as quantized from the values.

    Source: S. Migacz, "8-bit inference with TensorRT", GTC 2017, but for one thing: there the values are clipped before
    they are compared, which hides most of what clipping loses. It gave the outputs of ds-cnn and resnet8 11 and 8 dB
    more noise.
    """
    return _best(histogram, _divergence)


# Name of a calibrator -> its range for a histogram.
CALIBRATORS: dict[str, Callable[[Histogram], Range]] = {
    "minmax": minmax,
    "percentile": percentile,
    "entropy": entropy,
    "mse": mse,
}


def _best(histogram: Histogram, cost: Callable[[Histogram, Range], float]) -> Range:
    """The cheapest of what is left of the full range when all beyond a threshold, of either sign, is cut off."""
    low, high = minmax(histogram)
    if not histogram.limit:
        return low, high
    thresholds = SHRINKING * max(-low, high)
    tried = [(max(low, -threshold), min(high, threshold)) for threshold in thresholds.tolist()]
    return min(tried, key=lambda found: cost(histogram, found))


def _squared_error(histogram: Histogram, found: Range) -> float:
    step, reach = step_of(found), max(-found[0], found[1])
    edges = np.linspace(-histogram.limit, histogram.limit, BINS + 1)
    rounding = np.diff(_rounding_error(edges, step)) / (edges[1] - edges[0])
    outside = np.maximum(np.abs(histogram.centres()) - reach, 0)
    return float((_without_zeros(histogram) * np.where(outside > 0, outside**2, rounding)).sum())


def _rounding_error(values: Floats, step: float) -> Floats:
    """The integral from 0 of the squared distance to the nearest multiple of `step`: its difference over the ends of a
    bin tells a value that many samples share, an image's background say, from one that falls anywhere."""
    steps = np.round(values / step)
    rest = values - steps * step
    error: Floats = steps * (step**3 / 12) + rest * rest * rest / 3
    return error


def _divergence(histogram: Histogram, found: Range) -> float:
    """KL(values || quantized), where all values of a level are taken to lie evenly in its bins that had any."""
    bins = math.ceil(max(-found[0], found[1]) / histogram.limit * (BINS // 2))
    inside = slice(BINS // 2 - bins if found[0] < 0 else BINS // 2, BINS // 2 + bins)
    counts = _without_zeros(histogram)
    if len(counts[inside]) < LEVELS:
        return np.inf
    values, quantized = counts / counts.sum(), np.full(BINS, UNSEEN)
    quantized[inside] = np.maximum(_spread(values[inside]), UNSEEN)
    used = values > 0
    return float((values[used] * np.log(values[used] / quantized[used])).sum())


def _spread(shares: Floats) -> Floats:
    """Each level's share, spread evenly over its bins that had any."""
    level = np.arange(len(shares)) * LEVELS // len(shares)
    filled = (shares > 0).astype(np.float64)
    sums, widths = np.bincount(level, shares, LEVELS), np.bincount(level, filled, LEVELS)
    shared: Floats = (sums / np.maximum(widths, 1))[level] * filled
    return shared


def _without_zeros(histogram: Histogram) -> Floats:
    """Exact zeros cost nothing in any range, and behind a ReLU they would outweigh all else."""
    counts: Floats = histogram.counts.astype(np.float64)
    counts[BINS // 2] -= histogram.zeros
    return counts
