"""Calibrators: from a histogram to the range that eight bits are spread over. All ranges hold 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edgekit.transforms.quantize.histogram import BINS, Histogram

LEVELS = 256
PERCENTILE = 99.99
SHRINKING = np.geomspace(1.0, 1 / 16, 65)  # shares of the full range that a search tries, largest first

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
    return max(low, min(edges[first], 0.0)), min(high, max(edges[last + 1], 0.0))


def mse(histogram: Histogram) -> Range:
    """The range with the least mean squared error: outside it the distance to it, inside step**2 / 12, or the value
    itself where that is rounded to 0.

    Source: the uniform rounding noise is Bennett's (1948); exact zeros have no error in any range that holds 0.
    """
    return _best(histogram, _squared_error)


def entropy(histogram: Histogram) -> Range:
    """The range that loses the least information: KL divergence of the values as quantized from the values clipped.

    Source: S. Migacz, "8-bit inference with TensorRT", GTC 2017.
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
    low, high = minmax(histogram)
    if not histogram.limit:
        return low, high
    tried = [(low * share, high * share) for share in SHRINKING.tolist()]
    return min(tried, key=lambda found: cost(histogram, found))


def _squared_error(histogram: Histogram, found: Range) -> float:
    (low, high), step = found, step_of(found)
    centres = histogram.centres()
    outside = np.maximum(centres - high, 0) + np.maximum(low - centres, 0)
    rounded = np.where(np.abs(centres) < step / 2, centres**2, step**2 / 12)
    return float((_without_zeros(histogram) * np.where(outside > 0, outside**2, rounded)).sum())


def _divergence(histogram: Histogram, found: Range) -> float:
    """KL(clipped || quantized) of the bins inside `found`, with what is outside gathered in the outermost ones."""
    step = 2 * histogram.limit / BINS
    first, last = (int((edge + histogram.limit) / step) for edge in found)
    last = min(last, BINS - 1)
    counts = _without_zeros(histogram)
    inside = counts[first : last + 1]
    if len(inside) < LEVELS:
        return np.inf
    clipped = inside.copy()
    clipped[0] += counts[:first].sum()
    clipped[-1] += counts[last + 1 :].sum()
    quantized = _spread(inside)
    p, q = clipped / clipped.sum(), quantized / max(quantized.sum(), 1.0)
    used = p > 0
    return float((p[used] * np.log(p[used] / np.maximum(q[used], 1e-12))).sum())


def _spread(counts: Floats) -> Floats:
    """Each level's counts, spread evenly over its bins that had any."""
    level = np.arange(len(counts)) * LEVELS // len(counts)
    filled = (counts > 0).astype(np.float64)
    sums, widths = np.bincount(level, counts, LEVELS), np.bincount(level, filled, LEVELS)
    shared: Floats = (sums / np.maximum(widths, 1))[level] * filled
    return shared


def _without_zeros(histogram: Histogram) -> Floats:
    """Exact zeros cost nothing in any range, and behind a ReLU they would outweigh all else."""
    counts: Floats = histogram.counts.astype(np.float64)
    counts[BINS // 2] -= histogram.zeros
    return counts
