"""Calibration data: checked sample by sample, with the recipe, the sample and the input in every refusal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from models import CONV, PAIR, samples

from edgekit.errors import CalibrationError, TensorError
from edgekit.recipes.recipe import Recipe
from edgekit.transforms.quantize import Calibration

GOOD = {"query": np.zeros((1, 4), np.float32), "key": np.zeros((1, 4), np.float32)}


def pair(*feeds: Any) -> Recipe:
    return replace(PAIR, calibration=lambda: iter(feeds))


def spoiled(name: str, value: float) -> dict[str, Any]:
    array = np.zeros((1, 4), np.float32)
    array[0, 2] = value
    return GOOD | {name: array}


def test_every_sample_is_used() -> None:
    found = list(Calibration(CONV))
    assert len(found) == len(samples({"image": (1, 3, 8, 8)}))
    np.testing.assert_array_equal(found[5]["image"], samples({"image": (1, 3, 8, 8)})[5]["image"])


def test_without_calibration_data_the_way_out_is_named() -> None:
    with pytest.raises(
        CalibrationError, match="'pairnet' has no calibration data, and int8 needs real samples.*--only f32"
    ):
        Calibration(replace(PAIR, calibration=None))


def test_evaluation_data_does_not_stand_in() -> None:
    recipe = replace(PAIR, calibration=None, evaluation=lambda: [(GOOD, 0)], metric="top1")
    with pytest.raises(CalibrationError, match="has no calibration data"):
        Calibration(recipe)


def test_empty_calibration_is_refused() -> None:
    with pytest.raises(CalibrationError, match="'pairnet': the calibration data is empty"):
        Calibration(pair())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (spoiled("key", np.nan), "input 'key' holds 1 NaN or infinite values of 4.*remove or mend the sample"),
        (spoiled("query", -np.inf), "input 'query' holds 1 NaN or infinite values of 4"),
        (GOOD | {"key": np.zeros((1, 5), np.float32)}, "tensor 'key': size 5 where 4 was expected"),
        (GOOD | {"key": np.zeros(4, np.float32)}, r"tensor 'key' has shape \(4,\); expected 2 dimensions"),
        (GOOD | {"key": np.zeros((1, 4))}, "tensor 'key' is float64; expected float32"),
        (GOOD | {"kye": GOOD["key"]}, "unknown input 'kye'; did you mean 'key'"),
        ({"query": GOOD["query"]}, "input 'key' is missing"),
        (np.zeros((1, 4), np.float32), r"is a ndarray; expected \{name: array\}"),
        ((GOOD, 3), r"is a tuple; expected \{name: array\}"),
    ],
    ids=["nan", "inf", "size", "rank", "dtype", "unknown name", "missing name", "bare array", "labelled"],
)
def test_bad_sample_is_refused_with_recipe_index_and_input(bad: Any, message: str) -> None:
    with pytest.raises(CalibrationError, match=f"'pairnet': calibration sample 2:? {message}"):
        Calibration(pair(GOOD, GOOD, bad))


def test_cause_is_kept() -> None:
    with pytest.raises(CalibrationError) as failure:
        Calibration(pair({}))
    assert isinstance(failure.value.__cause__, TensorError)


def test_samples_are_asked_for_anew_each_time_and_never_all_held() -> None:
    asked = []
    calibration = Calibration(replace(PAIR, calibration=lambda: asked.append(1) or iter([GOOD] * 3)))
    assert len(list(calibration)) == len(list(calibration)) == calibration.count == 3
    assert len(asked) == 3  # the first time to check them all


def test_a_sample_that_turns_bad_later_is_refused_as_it_passes_by() -> None:
    good, bad = [GOOD, GOOD], [GOOD, spoiled("key", np.nan)]
    calls = iter([good, bad])
    calibration = Calibration(replace(PAIR, calibration=lambda: next(calls)))
    with pytest.raises(CalibrationError, match="calibration sample 1: input 'key' holds 1 NaN"):
        list(calibration)


def test_digest_is_of_values_however_they_lie_in_memory() -> None:
    values = np.arange(8, dtype=np.float32).reshape(4, 2)
    strided, packed = values.T[:1], np.ascontiguousarray(values.T[:1])
    assert not strided.flags.c_contiguous
    one, other = (Calibration(pair({"query": array, "key": array})).sha256 for array in (strided, packed))
    assert one == other


def test_digest_tells_inputs_apart() -> None:
    zeros, ones = np.zeros((1, 4), np.float32), np.ones((1, 4), np.float32)
    one, other = ({"query": zeros, "key": ones}, {"query": ones, "key": zeros})
    assert Calibration(pair(one)).sha256 != Calibration(pair(other)).sha256


def test_digest_does_not_depend_on_the_order_of_names() -> None:
    backwards = dict(reversed(GOOD.items()))
    assert Calibration(pair(backwards)).sha256 == Calibration(pair(GOOD)).sha256


def test_digest_tells_values_and_order_apart() -> None:
    other = GOOD | {"key": np.ones((1, 4), np.float32)}
    digests = {Calibration(pair(*feeds)).sha256 for feeds in ((GOOD, other), (other, GOOD), (GOOD, GOOD), (GOOD,))}
    assert len(digests) == 4
    assert Calibration(pair(GOOD, other)).sha256 in digests
