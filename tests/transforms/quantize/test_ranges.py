"""Calibrators: against what quantizing the very values would cost."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.tensors import Array
from edgekit.transforms.quantize.histogram import BINS, Histogram
from edgekit.transforms.quantize.qdq import grid_of
from edgekit.transforms.quantize.ranges import CALIBRATORS, SHRINKING, Range, entropy, mse, percentile, step_of

RNG = np.random.default_rng(5)
TENSORS = {
    "uniform": RNG.uniform(-1, 1, 20000),
    "normal": RNG.normal(0, 3, 20000),
    "laplace": RNG.laplace(0, 1, 20000),
    "relu": np.maximum(RNG.normal(0, 1, 20000), 0),
    "relu6": np.clip(RNG.normal(2, 3, 20000), 0, 6),
    "outlier": np.append(RNG.normal(0, 1, 20000), 1000.0),
    "positive": RNG.gamma(1.5, 2, 20000),
    "negative": -RNG.gamma(1.5, 2, 20000),
    "lopsided": np.append(RNG.gamma(1.5, 2, 20000), -0.3),
    "background": np.where(RNG.random(20000) < 0.7, -0.81, RNG.uniform(-0.81, 2.0, 20000)),
    "tiny": RNG.laplace(0, 1e-12, 20000),
    "huge": RNG.laplace(0, 1e30, 20000),
}
TENSORS = {name: values.astype(np.float32).astype(np.float64) for name, values in TENSORS.items()}


def histogram(values: Array) -> Histogram:
    found = Histogram()
    found.add(values.astype(np.float32))
    return found


def full_range(values: Array) -> Range:
    return min(float(values.min()), 0.0), max(float(values.max()), 0.0)


def ranges_tried(values: Array) -> list[Range]:
    low, high = full_range(values)
    thresholds = [max(-low, high) * float(share) for share in SHRINKING]
    return [(max(low, -threshold), min(high, threshold)) for threshold in thresholds]


def dequantized(values: Array, found: Range) -> Array:
    """`values` as eight bits hold them."""
    grid = grid_of(found)
    low, high = (-127, 127) if grid.signed else (0, 255)
    rounded: Array = np.clip(np.round(values / grid.scale), low, high) * grid.scale
    return rounded


def error_of(values: Array, found: Range) -> float:
    """The mean squared error of really quantizing `values`."""
    return float(np.mean((dequantized(values, found) - values) ** 2))


def sqnr_db(values: Array, found: Range) -> float:
    return float(10 * np.log10(np.mean(values**2) / error_of(values, found)))


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_every_range_holds_zero_and_nothing_that_was_not_seen(name: str, calibrator: str) -> None:
    found = CALIBRATORS[calibrator](histogram(TENSORS[name]))
    least, largest = full_range(TENSORS[name])
    assert least <= found[0] <= 0 <= found[1] <= largest
    assert found[0] < found[1]
    assert all(type(edge) is float for edge in found)


@pytest.mark.parametrize("name", TENSORS)
def test_minmax_is_the_extremes_and_zero(name: str) -> None:
    assert CALIBRATORS["minmax"](histogram(TENSORS[name])) == full_range(TENSORS[name])


@pytest.mark.parametrize("name", TENSORS)
def test_mse_finds_the_least_error_of_all_it_tries(name: str) -> None:
    values = TENSORS[name]
    best = min(error_of(values, found) for found in ranges_tried(values))
    assert error_of(values, mse(histogram(values))) <= 1.05 * best


def test_mse_cuts_off_a_tail_where_that_pays_and_only_there() -> None:
    long_tail, one_far_value = TENSORS["laplace"], TENSORS["outlier"]
    assert mse(histogram(long_tail))[1] < long_tail.max()
    assert mse(histogram(one_far_value))[1] == 1000.0  # cutting it off would cost more than all the others together


def test_the_lesser_side_of_a_range_is_kept_while_the_larger_is_cut() -> None:
    """A GELU's: what is left of zero costs no step, since the grid is symmetric."""
    normal = RNG.normal(0, 1, 20000)
    values = np.where(normal > 0, RNG.gamma(0.2, 3, 20000), -0.17 * RNG.random(20000)).astype(np.float32)
    found = mse(histogram(values))
    assert found[1] < values.max()
    assert found[0] == values.min()


@pytest.mark.parametrize("name", ["uniform", "normal", "laplace", "positive", "negative", "relu", "huge"])
def test_percentile_is_that_of_the_values(name: str) -> None:
    values, found = TENSORS[name], histogram(TENSORS[name])
    low, high = percentile(found)
    width = 2 * found.limit / BINS
    assert high == pytest.approx(max(np.quantile(values, 1 - 5e-5), 0), abs=3 * width)
    assert low == pytest.approx(min(np.quantile(values, 5e-5), 0), abs=3 * width)


@pytest.mark.parametrize("name", ["outlier", "lopsided"])
def test_percentile_drops_a_single_far_value(name: str) -> None:
    values, found = TENSORS[name], percentile(histogram(TENSORS[name]))
    bulk = np.sort(np.abs(values))[-3]
    assert found[1] <= bulk * 1.2


def lost(values: Array, found: Range) -> float:
    """KL divergence as in `entropy`, level by level, on bins that numpy counts."""
    limit = histogram(values).limit
    counts, edges = np.histogram(values[values != 0], np.linspace(-limit, limit, BINS + 1))
    share = counts / counts.sum()
    reach = max(-found[0], found[1])
    inside = np.flatnonzero((edges[1:] > (-reach if found[0] < 0 else 0)) & (edges[:-1] < reach))
    kept = np.full(BINS, 1e-12)
    if inside.size < 256:
        return np.inf
    for level in range(256):
        bins = inside[np.arange(inside.size) * 256 // inside.size == level]
        filled = bins[share[bins] > 0]
        kept[filled] = share[filled].mean() if filled.size else 0.0
    return float(sum(p * np.log(p / q) for p, q in zip(share, kept, strict=True) if p > 0))


@pytest.mark.parametrize("name", TENSORS)
def test_entropy_finds_the_least_divergence_of_all_it_tries(name: str) -> None:
    values = TENSORS[name]
    best = min(lost(values, found) for found in ranges_tried(values)[::8])
    assert lost(values, entropy(histogram(values))) <= best * (1 + 1e-9)


@pytest.mark.parametrize(
    "name", ["uniform", "normal", "laplace", "relu", "relu6", "positive", "background", "lopsided"]
)
def test_entropy_cuts_off_no_more_than_the_values_bear(name: str) -> None:
    """A range that is chosen by what clipped values look like, as in the original, loses 10 dB and more on some."""
    values = TENSORS[name]
    best = max(sqnr_db(values, found) for found in ranges_tried(values))
    assert sqnr_db(values, entropy(histogram(values))) > best - 3


def test_entropy_keeps_the_bulk_and_cuts_the_outlier() -> None:
    _, high = entropy(histogram(TENSORS["outlier"]))
    assert 3 < high < 500


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_a_tensor_of_zeros_has_an_empty_range(calibrator: str) -> None:
    assert CALIBRATORS[calibrator](histogram(np.zeros(10))) == (0.0, 0.0)


@pytest.mark.parametrize("value", [3.0, -3.0, 1e-12])
@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_a_constant_tensor_is_held_within_a_step(calibrator: str, value: float) -> None:
    values = np.full(100, value, np.float32)
    found = CALIBRATORS[calibrator](histogram(values))
    assert np.abs(dequantized(values, found) - values).max() <= step_of(found)


@pytest.mark.parametrize("calibrator", ["minmax", "entropy", "mse"])
def test_zeros_behind_a_relu_do_not_shrink_the_range_of_a_search(calibrator: str) -> None:
    """Where a tensor is mostly zero, the rest of it still has to be held."""
    rest = np.abs(RNG.normal(0, 1, 2000))
    dense = CALIBRATORS[calibrator](histogram(rest))
    sparse = CALIBRATORS[calibrator](histogram(np.append(rest, np.zeros(18000))))
    assert sparse[1] >= 0.95 * dense[1]


def test_a_step_is_that_of_the_grid() -> None:
    for found in ((-1.27, 0.5), (-0.1, 1.27), (0.0, 2.55)):
        assert step_of(found) == pytest.approx(0.01)
        assert grid_of(found).scale == np.float32(step_of(found))
