"""Calibrators: against what quantizing the very values would cost."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.transforms.quantize.histogram import Histogram
from edgekit.transforms.quantize.qdq import grid_of
from edgekit.transforms.quantize.ranges import CALIBRATORS, SHRINKING, Range, mse, percentile

RNG = np.random.default_rng(5)
TENSORS = {
    "uniform": RNG.uniform(-1, 1, 20000),
    "normal": RNG.normal(0, 3, 20000),
    "laplace": RNG.laplace(0, 1, 20000),
    "relu": np.maximum(RNG.normal(0, 1, 20000), 0),
    "outlier": np.append(RNG.normal(0, 1, 20000), 1000.0),
    "positive": RNG.gamma(1.5, 2, 20000),
    "lopsided": np.append(RNG.gamma(1.5, 2, 20000), -0.3),
}


def histogram(values: np.ndarray) -> Histogram:
    found = Histogram()
    found.add(values.astype(np.float32))
    return found


def error_of(values: np.ndarray, found: Range) -> float:
    """The mean squared error of really quantizing `values`."""
    grid = grid_of(found)
    low, high = (-127, 127) if grid.signed else (0, 255)
    return float(np.mean((np.clip(np.round(values / grid.scale), low, high) * grid.scale - values) ** 2))


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_every_range_holds_zero_and_nothing_that_was_not_seen(name: str, calibrator: str) -> None:
    values = TENSORS[name].astype(np.float32)
    low, high = CALIBRATORS[calibrator](histogram(values))
    assert min(values.min(), 0) <= low <= 0 <= high <= max(values.max(), 0)
    assert low < high


@pytest.mark.parametrize("name", TENSORS)
def test_mse_finds_the_least_error_of_all_it_tries(name: str) -> None:
    values = TENSORS[name]
    low, high = min(values.min(), 0), max(values.max(), 0)
    best = min(error_of(values, (low * share, high * share)) for share in SHRINKING)
    assert error_of(values, mse(histogram(values))) <= 1.05 * best


def test_mse_cuts_off_a_tail_where_that_pays_and_only_there() -> None:
    long_tail, one_far_value = TENSORS["laplace"], TENSORS["outlier"]
    assert mse(histogram(long_tail))[1] < long_tail.max()
    assert mse(histogram(one_far_value))[1] == 1000.0  # cutting it off would cost more than all the others together


@pytest.mark.parametrize("name", ["uniform", "normal", "laplace", "positive"])
def test_percentile_is_that_of_the_values(name: str) -> None:
    values, found = TENSORS[name], histogram(TENSORS[name])
    low, high = percentile(found)
    width = 2 * found.limit / 4096
    assert high == pytest.approx(np.quantile(values, 1 - 5e-5), abs=3 * width)
    assert low == pytest.approx(min(np.quantile(values, 5e-5), 0), abs=3 * width)


def test_entropy_keeps_the_bulk_and_cuts_the_outlier() -> None:
    _, high = CALIBRATORS["entropy"](histogram(TENSORS["outlier"]))
    assert 3 < high < 500


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_a_tensor_of_zeros_has_an_empty_range(calibrator: str) -> None:
    assert CALIBRATORS[calibrator](histogram(np.zeros(10))) == (0.0, 0.0)
