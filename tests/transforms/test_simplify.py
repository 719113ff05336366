"""Simplify: the same function with fewer nodes."""

from __future__ import annotations

from collections import Counter

import models
import numpy as np
import onnx_ir as ir
import pytest
from models import RECIPES, exported, foreign_model

from edgekit.feeds import feeds_at, real_feeds
from edgekit.parity import deviation, onnx_function
from edgekit.recipes.recipe import Recipe
from edgekit.transforms.lower import lower
from edgekit.transforms.simplify import simplify

FEEDS = {"x": models.samples({"x": (5, 3, 8, 8)}, 1)[0]["x"]}


@pytest.fixture(scope="module")
def simplified() -> ir.Model:
    return lower(simplify(ir.from_proto(foreign_model())))


def operators(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


def test_outputs_stay_within_parity_tolerance(simplified: ir.Model) -> None:
    expected = onnx_function(ir.from_proto(foreign_model()))(FEEDS)["y"]
    error, tolerance = deviation(onnx_function(simplified)(FEEDS)["y"], expected)
    assert np.abs(expected).max() > 0.1
    assert error <= tolerance


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_exported_models_compute_the_same_afterwards(recipe: Recipe) -> None:
    found = exported(recipe).model
    feeds = feeds_at(recipe.input_specs, real_feeds(recipe, 4), {"batch": 4, "time": 9})
    before = onnx_function(found)(feeds)
    after = onnx_function(simplify(found))(feeds)
    assert after.keys() == before.keys()
    for name in recipe.outputs:
        error, tolerance = deviation(after[name], before[name])
        assert error <= tolerance, name


def test_batchnorm_is_folded_into_the_convolution(simplified: ir.Model) -> None:
    assert operators(simplified)["BatchNormalization"] == 0
    conv = next(node for node in simplified.graph if node.op_type == "Conv")
    assert len(conv.inputs) == 3  # the shift became its bias


def test_constants_copies_and_repeated_work_are_gone(simplified: ir.Model) -> None:
    found = operators(simplified)
    assert (found["Identity"], found["Constant"], found["Relu"]) == (0, 0, 1)


def test_nothing_is_computed_that_nobody_reads(simplified: ir.Model) -> None:
    assert operators(simplified)["Exp"] == 0
    outputs = set(simplified.graph.outputs)
    assert all(value.uses() or value in outputs for node in simplified.graph for value in node.outputs)
    assert all(value.uses() for value in simplified.graph.initializers.values())


def test_inputs_and_outputs_keep_name_dtype_and_shape(simplified: ir.Model) -> None:
    original = ir.from_proto(foreign_model())
    for kind in ("inputs", "outputs"):
        before, after = getattr(original.graph, kind), getattr(simplified.graph, kind)
        assert [(v.name, v.dtype, str(v.shape)) for v in after] == [(v.name, v.dtype, str(v.shape)) for v in before]
