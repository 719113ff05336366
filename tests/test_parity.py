"""Parity: good models pass at several sizes; a slightly wrong constant is caught, and the node that has it named."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import models
import numpy as np
import pytest
import torch
from models import CONV, LABEL, PAIR, RECIPES, SEQUENCE, exported, initializer, set_initializer
from torch import Tensor, nn

from edgekit.errors import ExportError, ParityError
from edgekit.export import Exported, export
from edgekit.parity import check_parity, deviation, first_divergence, onnx_function, parity_sizes, torch_outputs
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import Array, TensorSpec
from edgekit.transforms.lower import lower
from edgekit.transforms.simplify import simplify

EPSILON = float(np.finfo(np.float32).eps)


def perturbed(recipe: Recipe, name: str, change: float, *, simplified: bool = False) -> Exported:
    """The recipe's export with `change` added to one weight of the graph."""
    found = exported(recipe)
    array = initializer(found.model, name)
    array += np.float32(change)
    set_initializer(found.model, name, array)
    return replace(found, model=lower(simplify(found.model))) if simplified else found


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_good_model_passes_at_sizes_that_were_not_traced(recipe: Recipe) -> None:
    found = exported(recipe)
    checks = check_parity(recipe, found)
    sizes = [check.sizes for check in checks if check.output == recipe.outputs[0]]
    assert len(sizes) >= 3
    assert [each for each in sizes if each != found.traced_sizes]
    assert {check.output for check in checks} == set(recipe.outputs)
    assert all(check.error <= check.tolerance for check in checks)


def test_sizes_cover_both_ends_and_mix_two_dimensions() -> None:
    sizes = parity_sizes(SEQUENCE.input_specs, exported(SEQUENCE).traced_sizes)
    for expected in ({"batch": 1, "time": 3}, {"batch": 6, "time": 40}, {"batch": 1, "time": 40}):
        assert expected in sizes
    assert len({tuple(each.items()) for each in sizes}) == len(sizes)


def test_fixed_model_is_compared_once() -> None:
    assert parity_sizes([TensorSpec("float32", (1, 3), name="x")], {}) == [{}]


@pytest.mark.parametrize("simplified", [False, True], ids=["exported", "simplified"])
@pytest.mark.parametrize(
    ("weight", "op_type", "value"),
    [
        ("stem.weight", "Conv", "getitem"),
        ("body.bias", "Conv", "getitem_3"),
        ("hidden.weight", "Gemm", "linear"),
        ("hidden.bias", "Gemm", "linear"),
    ],
)
@pytest.mark.parametrize("change", [0.5, 1e-3])
def test_wrong_weight_is_traced_to_its_node(
    weight: str, op_type: str, value: str, change: float, simplified: bool
) -> None:
    found = perturbed(CONV, weight, change, simplified=simplified)
    node = next(node for node in found.model.graph if any(i and i.name == weight for i in node.inputs))
    with pytest.raises(ParityError) as failure:
        check_parity(CONV, found)
    message = str(failure.value)
    assert "'convnet': output 'scores' at batch=1 is off from torch by" in message
    assert f"The first node that differs is {node.name} ({op_type}), output '{value}'" in message
    torch_value, onnx_value = map(float, re.findall(r"(?:torch|onnx) (-?[\d.]+(?:e-?\d+)?)", message)[-2:])
    assert torch_value != onnx_value


def test_divergence_holds_both_values_at_the_named_index() -> None:
    feeds = models.samples({"query": (2, 4), "key": (2, 4)}, 1)[0]
    found = perturbed(PAIR, "right.bias", 0.25)
    divergence = first_divergence(found, feeds)
    assert divergence is not None
    assert (divergence.op_type, divergence.value) == ("Gemm", "linear_1")
    assert divergence.index in {(0, 0), (1, 0)}  # the bias of the first column
    with torch.inference_mode():
        expected = found.module.right(torch.from_numpy(feeds["key"])).numpy()
    assert divergence.torch == pytest.approx(expected[divergence.index], abs=1e-6)
    assert divergence.onnx == pytest.approx(expected[divergence.index] + 0.25, abs=1e-6)


def test_good_model_has_no_divergence() -> None:
    feeds = models.samples({"image": (2, 3, 8, 8)}, 1)[0]
    assert first_divergence(exported(CONV), feeds) is None


def test_wrong_last_layer_is_named_though_its_value_bears_the_outputs_name() -> None:
    with pytest.raises(ParityError, match=r"The first node that differs is node_linear_1 \(Gemm\), output 'scores'"):
        check_parity(CONV, perturbed(CONV, "head.bias", 1e-3))


def test_error_of_a_few_epsilons_passes() -> None:
    """What another order of summation costs must not stop a build."""
    scale = float(np.abs(initializer(exported(PAIR).model, "left.bias")).max())
    assert check_parity(PAIR, perturbed(PAIR, "left.bias", 4 * EPSILON * scale))


def test_looking_for_the_node_leaves_the_graph_as_it_was() -> None:
    found = perturbed(CONV, "body.bias", 0.5)
    with pytest.raises(ParityError):
        check_parity(CONV, found)
    assert [value.name for value in found.model.graph.outputs] == ["scores"]


def test_wrong_label_is_caught_exactly() -> None:
    found = exported(LABEL)
    scores = initializer(found.model, "head.bias")
    set_initializer(found.model, "head.bias", scores + np.array([0, 0, 0, 100], np.float32))
    feeds = models.samples({"x": (1, 6)}, 1)[0]
    error, tolerance = deviation(
        onnx_function(found.model)(feeds)["label"], torch_outputs(LABEL, found, feeds)["label"]
    )
    assert tolerance == 0
    assert error >= 1


def test_parity_errors_are_export_errors() -> None:
    assert issubclass(ParityError, ExportError)


def array(*values: Any, dtype: str = "float32") -> Array:
    return np.array(values, dtype)


@pytest.mark.parametrize(("dtype", "epsilons"), [("float64", 256), ("float32", 256), ("float16", 16)])
def test_tolerance_follows_from_the_dtype_and_the_largest_value(dtype: str, epsilons: int) -> None:
    error, tolerance = deviation(array(1, 8, dtype=dtype), array(1, 8, dtype=dtype))
    assert error == 0
    assert tolerance == epsilons * np.finfo(dtype).eps * 8


@pytest.mark.parametrize("epsilons", [250, 260])
def test_error_is_held_against_the_tolerance(epsilons: int) -> None:
    error, tolerance = deviation(array(1 + epsilons * EPSILON), array(1.0))
    assert (error <= tolerance) == (epsilons <= 256)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (array(1, np.nan), array(1, 2)),
        (array(1, 2), array(1, np.nan)),
        (array(1, np.inf), array(1, 2)),
        (array(1, 2), array(1, -np.inf)),
        (array(1, np.inf), array(1, -np.inf)),
        (array(1, np.nan), array(1, np.inf)),
        (array(1, 2), array(1, 2, 3)),
        (array(1, 2), array([1, 2])),
        (array(1, 2), array(1, 2, dtype="float64")),
        (array(1, 2, dtype="int32"), array(1, 2, dtype="int64")),
    ],
    ids=[
        "nan for 2",
        "2 for nan",
        "inf for 2",
        "2 for -inf",
        "inf for -inf",
        "nan for inf",
        "size",
        "rank",
        "f64",
        "i64",
    ],
)
def test_difference_in_kind_is_never_within_tolerance(got: Array, expected: Array) -> None:
    error, tolerance = deviation(got, expected)
    assert not error <= tolerance


def test_equal_non_finite_values_are_equal() -> None:
    values = array(1, np.nan, np.inf, -np.inf)
    error, tolerance = deviation(values.copy(), values)
    assert error == 0
    assert tolerance == 256 * EPSILON  # scaled by the largest finite value


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (array(2, 7, dtype="int64"), array(2, 8, dtype="int64")),
        (array(0, 1, dtype="uint8"), array(255, 1, dtype="uint8")),
        (array(-128, dtype="int8"), array(127, dtype="int8")),
        (array(True, False, dtype="bool"), array(True, True, dtype="bool")),
        (array(2**60 + 1, dtype="int64"), array(2**60, dtype="int64")),
    ],
    ids=["int64", "uint8", "int8", "bool", "beyond what float64 holds"],
)
def test_whole_numbers_must_be_equal(got: Array, expected: Array) -> None:
    assert deviation(expected.copy(), expected) == (0.0, 0.0)
    error, tolerance = deviation(got, expected)
    assert tolerance == 0
    assert error >= 1


def test_empty_outputs_agree() -> None:
    assert deviation(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)) == (0.0, 0.0)


def test_zero_where_zero_is_expected_has_no_slack() -> None:
    error, tolerance = deviation(array(0, 1e-30), array(0, 0))
    assert error > tolerance


class NotANumber(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log(x)


def test_outputs_that_are_nan_in_both_agree() -> None:
    """Negative samples give NaN on both sides; that is the model's own fault, not the export's."""
    recipe = models.recipe_of(NotANumber, {"x": TensorSpec("float32", (4,))}, ("y",))
    assert check_parity(recipe, export(recipe))
