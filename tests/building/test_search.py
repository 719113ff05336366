"""Mixed precision: the layers that spoil int8 are turned back to float, or are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.bench.accuracy import Drop
from edgekit.bench.arms import Arm
from edgekit.bench.measure import Measurement
from edgekit.building.judge import Trial, judge
from edgekit.building.search import ladder, worth_a_search
from edgekit.building.variants import REFERENCE, Variant
from edgekit.recipes.recipe import Budget

LEAN = Variant("openvino", "int8", "lean-mse")
JOINED = Variant("openvino", "int8", "joined-mse")
DYNAMIC = Variant("onnxruntime", "int8", "dynamic")


def trial(variant: Variant, latency_ns: int, upper95: float | None) -> Trial:
    calls = ((((3 * latency_ns, latency_ns, latency_ns),) * 3),) * 8
    drop = None if upper95 is None else Drop(upper95, upper95, upper95, upper95, 500, 0, 5, None)
    measurement = Measurement(Arm("any", "torch", "f32", recipe="any"), 0, calls, (), (), (), (), None)
    return Trial(variant, {"model": Path("model")}, drop=drop, measurement=measurement)


def start(*trials: Trial) -> Variant | None:
    all_of_them = [trial(REFERENCE, 1000, 0.0), *trials]
    found = worth_a_search(all_of_them, judge(all_of_them, Budget(0.01)))
    return None if found is None else found.variant


def test_a_search_starts_from_what_is_faster_and_loses_too_much() -> None:
    assert start(trial(LEAN, 500, 0.2)) == LEAN


def test_nothing_is_searched_where_the_fastest_ships() -> None:
    assert start(trial(LEAN, 500, 0.001)) is None
    assert start(trial(LEAN, 500, 0.001), trial(JOINED, 600, 0.2)) is None


def test_nothing_is_searched_where_int8_is_no_faster() -> None:
    assert start(trial(LEAN, 1200, 0.2)) is None


def test_nothing_is_searched_where_accuracy_cannot_be_shown() -> None:
    assert start(trial(LEAN, 500, None)) is None


def test_of_two_about_as_fast_the_one_that_quantizes_less_is_the_start() -> None:
    assert start(trial(JOINED, 500, 0.2), trial(LEAN, 510, 0.2)) == LEAN
    assert start(trial(JOINED, 500, 0.2), trial(LEAN, 700, 0.2)) == JOINED


def test_a_method_that_cannot_mix_is_no_start() -> None:
    assert start(trial(DYNAMIC, 500, 0.2)) is None


@pytest.mark.parametrize(("layers", "rungs"), [(0, ()), (1, ()), (2, (1,)), (5, (1, 2, 3)), (9, (1, 2, 3, 5, 8))])
def test_the_ladder_leaves_at_least_one_layer_quantized(layers: int, rungs: tuple[int, ...]) -> None:
    assert ladder(layers) == rungs
