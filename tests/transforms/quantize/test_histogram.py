"""The streamed histogram: no count is ever lost, whatever comes in whatever order."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import CalibrationError
from edgekit.transforms.quantize.histogram import BINS, Histogram


def histogram(*batches: np.ndarray) -> Histogram:
    found = Histogram()
    for batch in batches:
        found.add(np.asarray(batch, np.float32))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_those_of_numpy_on_the_final_bins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    batches = [rng.normal(rng.normal(), 10 ** rng.uniform(-3, 3), rng.integers(1, 5000)) for _ in range(6)]
    batches = [batch.astype(np.float32) for batch in batches]
    found, values = histogram(*batches), np.concatenate(batches).astype(np.float64)
    edges = np.linspace(-found.limit, found.limit, BINS + 1)
    np.testing.assert_array_equal(found.counts, np.histogram(values, edges)[0])
    assert (found.low, found.high) == (values.min(), values.max())


def test_the_order_of_batches_does_not_matter() -> None:
    small, large = np.linspace(-0.5, 0.5, 1001), np.linspace(-70, 3, 999)
    one, other = histogram(small, large), histogram(large, small)
    np.testing.assert_array_equal(one.counts, other.counts)
    assert one.limit == other.limit == 128


def test_zeros_before_anything_else_are_counted() -> None:
    found = histogram(np.zeros(7), np.array([0.0, 1.5]))
    assert (found.zeros, found.counts.sum(), found.counts[BINS // 2]) == (8, 9, 8)


def test_a_tensor_of_zeros_has_no_bins_and_no_range() -> None:
    found = histogram(np.zeros((3, 4)))
    assert (found.limit, found.low, found.high, found.zeros) == (0.0, 0.0, 0.0, 12)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_magnitudes_are_binned(scale: float) -> None:
    found = histogram(scale * np.linspace(-1, 1, 1000))
    assert found.counts.sum() == 1000
    assert scale <= found.limit * (1 + 1e-6) <= 2.0001 * scale


def test_nothing_is_added_by_nothing() -> None:
    found = histogram(np.zeros((0, 3)))
    assert found.counts.sum() == found.zeros == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(CalibrationError, match="NaN or infinity"):
        histogram(np.array([1.0, bad]))
