"""The recipe type refuses what it cannot use and fills in what it can."""

from __future__ import annotations

import pytest

from edgekit.errors import RecipeError, TensorError
from edgekit.recipes import Budget, Recipe
from edgekit.tensors import TensorSpec

IMAGE = TensorSpec("float32", ("batch", 3), ranges={"batch": (1, 4)})


def _never_called():
    raise AssertionError("a recipe must not load its model or data by itself")


def test_recipe_names_its_inputs_by_their_keys():
    recipe = Recipe("tiny", _never_called, {"a": IMAGE, "b": IMAGE}, ("scores",))
    assert [spec.name for spec in recipe.input_specs] == ["a", "b"]


def test_recipe_loads_nothing_when_it_is_made():
    recipe = Recipe("tiny", _never_called, {"a": IMAGE}, ("scores",), _never_called, _never_called, "top1")
    assert recipe.metric_name == "top1"


@pytest.mark.parametrize(("inputs", "outputs"), [({}, ("scores",)), ({"a": IMAGE}, ())])
def test_recipe_without_inputs_or_outputs_is_refused(inputs, outputs):
    with pytest.raises(RecipeError, match="no inputs or no outputs"):
        Recipe("tiny", _never_called, inputs, outputs)


@pytest.mark.parametrize("extra", [{"metric": "top1"}, {"evaluation": _never_called}])
def test_metric_and_evaluation_are_refused_alone(extra):
    with pytest.raises(RecipeError, match="evaluation and metric go together"):
        Recipe("tiny", _never_called, {"a": IMAGE}, ("scores",), **extra)


RAW, MAKE = {"raw": _never_called}, {"preprocess": _never_called}


@pytest.mark.parametrize("extra", [RAW, MAKE, {"postprocess": _never_called}])
def test_raw_samples_and_their_processing_are_refused_alone(extra):
    with pytest.raises(RecipeError, match="raw and preprocess go together, and postprocess needs them"):
        Recipe("tiny", _never_called, {"a": IMAGE}, ("scores",), **extra)


def test_processing_without_any_is_refused_and_an_answer_is_then_the_outputs():
    recipe = Recipe("tiny", _never_called, {"a": IMAGE}, ("scores",))
    with pytest.raises(RecipeError, match="recipe 'tiny' has no processing to time"):
        recipe.processed(None)
    assert list(recipe.raw_samples()) == []
    assert recipe.answer({"scores": 1}) == {"scores": 1}
    assert Recipe("tiny", _never_called, {"a": IMAGE}, ("scores",), **RAW, **MAKE).raw is _never_called


def test_what_raw_raises_names_the_recipe():
    recipe = Recipe("tiny", _never_called, {"a": IMAGE}, ("scores",), **RAW, **MAKE)
    with pytest.raises(RecipeError, match=r"recipe 'tiny': raw\(\) raised AssertionError"):
        list(recipe.raw_samples())


def test_inputs_that_share_a_dimension_must_allow_one_size_in_common():
    larger = TensorSpec("float32", ("batch", 3), ranges={"batch": (5, 8)})
    with pytest.raises(TensorError, match="do not meet"):
        Recipe("tiny", _never_called, {"a": IMAGE, "b": larger}, ("scores",))


@pytest.mark.parametrize("max_drop", [float("nan"), float("inf"), -0.01])
def test_budget_that_would_let_everything_pass_is_refused(max_drop: float) -> None:
    with pytest.raises(RecipeError, match="expected a finite number from 0"):
        Budget(max_drop=max_drop)
