"""The streamed histogram: no count is ever lost, whatever comes in whatever order."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import numpy as np
import pytest

from edgekit.errors import CalibrationError
from edgekit.tensors import Array
from edgekit.transforms.quantize.histogram import BINS, CHUNK, Histogram

Facts = tuple[bytes, float, float, float, int]


def histogram(*batches: Array) -> Histogram:
    found = Histogram()
    for batch in batches:
        found.add(np.asarray(batch, np.float32))
    return found


def facts(found: Histogram) -> Facts:
    return found.counts.tobytes(), found.limit, found.low, found.high, found.zeros


def assert_counts_are_those_of_numpy(found: Histogram, values: Array) -> None:
    edges = np.linspace(-found.limit, found.limit, BINS + 1)
    np.testing.assert_array_equal(found.counts, np.histogram(values.astype(np.float64), edges)[0])
    assert (found.low, found.high) == (values.min(), values.max())
    assert found.zeros == np.count_nonzero(values == 0)
    assert float(np.abs(values).max()) < found.limit


def draws(seed: int) -> list[Array]:
    """Batches of any size and scale, some of them with zeros, some behind a ReLU."""
    rng = np.random.default_rng(seed)
    batches = []
    for _ in range(6):
        batch = rng.normal(rng.normal(), 10 ** rng.uniform(-3, 3), rng.integers(1, 5000))
        batches.append(rng.choice([batch, np.maximum(batch, 0), batch * (rng.random(batch.shape) < 0.5)]))
    return [batch.astype(np.float32) for batch in batches]


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_those_of_numpy_on_the_final_bins(seed: int) -> None:
    batches = draws(seed)
    assert_counts_are_those_of_numpy(histogram(*batches), np.concatenate(batches))


@pytest.mark.parametrize("seed", range(5))
def test_neither_the_order_nor_the_size_of_batches_matters(seed: int) -> None:
    rng, batches = np.random.default_rng(seed), draws(seed)
    values = np.concatenate(batches)
    cuts = np.sort(rng.integers(0, values.size, 9))
    ways: Iterable[list[Array]] = (
        [values],
        batches[::-1],
        np.split(rng.permutation(values), cuts),
        [*values[:50], values[50:]],
    )
    assert len({facts(histogram(*way)) for way in ways}) == 1


def test_values_on_the_edges_of_bins_fall_above_them() -> None:
    edges = np.linspace(-1, 1, BINS + 1)[1:-1]
    found = histogram(edges)
    assert found.limit == 1
    assert found.counts[0] == 0
    assert set(found.counts[1:]) == {1}


@pytest.mark.parametrize("power", [-126, -100, -99, -1, 0, 1, 99, 100, 127])
def test_a_value_at_a_power_of_two_opens_the_next_limit(power: int) -> None:
    value = np.array([2.0**power, -(2.0**power)], np.float32)
    found = histogram(value)
    assert found.limit == 2.0 ** (power + 1)
    assert_counts_are_those_of_numpy(found, value)


def test_a_value_at_the_limit_doubles_it() -> None:
    found = histogram(np.array([0.6]), np.array([1.0]), np.array([-2.0]))
    assert found.limit == 4
    assert_counts_are_those_of_numpy(found, np.array([0.6, 1.0, -2.0], np.float32))


@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1e-30, 1.0, 1e30, 3.4e38])
def test_extreme_magnitudes_are_binned(scale: float) -> None:
    values = (scale * np.linspace(-1, 1, 1000)).astype(np.float32)
    found = histogram(values)
    assert_counts_are_those_of_numpy(found, values)
    assert float(np.abs(values).max()) < found.limit <= 2 * float(np.abs(values).max())


def test_magnitudes_from_one_end_to_the_other_keep_every_count() -> None:
    found = histogram(np.full(3, 1e-40), np.full(4, -1e-30), np.zeros(5), np.full(6, 3e38), np.full(7, -1.0))
    assert (found.counts[BINS // 2 - 1], found.counts[BINS // 2]) == (11, 8)  # all but 3e38 now lie about zero
    assert found.counts.sum() == 25


def test_zeros_before_anything_else_are_counted() -> None:
    found = histogram(np.zeros(7), np.array([0.0, 1.5]))
    assert (found.zeros, found.counts.sum(), found.counts[BINS // 2]) == (8, 9, 8)


def test_a_negative_zero_is_a_zero() -> None:
    found = histogram(np.array([-0.0, 0.0, -1.0]))
    assert (found.zeros, found.counts[BINS // 2], found.counts[: BINS // 2].sum()) == (2, 2, 1)


def test_a_tensor_of_zeros_has_no_bins_and_no_range() -> None:
    found = histogram(np.zeros((3, 4)))
    assert (found.limit, found.low, found.high, found.zeros) == (0.0, 0.0, 0.0, 12)


def test_nothing_is_added_by_nothing() -> None:
    found = histogram(np.array([1.0]))
    before = facts(found)
    found.add(np.zeros((0, 3), np.float32))
    assert facts(found) == before


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_and_not_counted(bad: float) -> None:
    found = histogram(np.array([1.0]))
    before = facts(found)
    with pytest.raises(CalibrationError, match="NaN or infinity"):
        found.add(np.array([100.0, bad], np.float32))
    assert facts(found) == before


def test_strided_views_and_other_float_dtypes_are_counted_like_their_values() -> None:
    values = np.random.default_rng(3).normal(0, 5, (40, 30, 20)).astype(np.float16)
    plain = histogram(values)
    for view in (values, values.astype(np.float64), np.asfortranarray(values), values[::-1], values.T):
        found = Histogram()
        found.add(view)
        assert facts(found) == facts(plain)
    every_other = Histogram()
    every_other.add(values[:, ::2])
    assert_counts_are_those_of_numpy(every_other, values[:, ::2])


def test_a_tensor_of_many_chunks_is_counted_whole() -> None:
    values = np.random.default_rng(4).standard_normal(2 * CHUNK + 3).astype(np.float32)
    values[-1] = 100
    assert_counts_are_those_of_numpy(histogram(values), values)


def test_no_copy_is_made_of_a_large_activation() -> None:
    values, found = np.ones((10, 1_000_000), np.float32), Histogram()
    tracemalloc.start()
    found.add(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < values.nbytes / 4


def test_the_centres_are_the_middles_of_the_bins() -> None:
    found = histogram(np.array([3.0, -0.1]))
    edges = np.linspace(-4, 4, BINS + 1)
    np.testing.assert_allclose(found.centres(), (edges[1:] + edges[:-1]) / 2, rtol=0, atol=1e-12)
    assert abs(found.centres()[found.counts > 0] - [-0.1, 3.0]).max() <= 4 / BINS
