"""Real inputs: where they come from, and how they are brought to other sizes without being made up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.errors import RecipeError, TensorError
from edgekit.feeds import feeds_at, real_feeds
from edgekit.recipes.recipe import Recipe
from edgekit.tensors import TensorSpec

BATCH = {"batch": (1, 8)}
IMAGE = TensorSpec("float32", ("batch", 2), BATCH, name="image")
FRAMES = TensorSpec("float32", ("batch", "time", 2), BATCH | {"time": (1, 9)}, name="frames")


def image(value: float) -> dict[str, Any]:
    return {"image": np.array([[value, -value]], np.float32)}


def recipe(**data: Any) -> Recipe:
    return Recipe("tiny", lambda: pytest.fail("the model is not needed"), {"image": IMAGE}, ("scores",), **data)


def test_calibration_data_comes_first_and_no_more_is_read_than_asked_for() -> None:
    def endless() -> Any:
        for value in range(4):
            yield image(value)
        pytest.fail("read past the samples that were asked for")

    found = real_feeds(recipe(calibration=endless, evaluation=lambda: [(image(9), 0)], metric="top1"), 4)
    assert [sample["image"][0, 0] for sample in found] == [0, 1, 2, 3]


def test_evaluation_data_serves_where_there_is_no_calibration() -> None:
    found = real_feeds(recipe(evaluation=lambda: [(image(9), 0)], metric="top1"), 4)
    assert [sample["image"][0, 0] for sample in found] == [9]


@pytest.mark.parametrize("data", [{}, {"calibration": list}])
def test_recipe_without_samples_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="recipe 'tiny' has no real inputs; give it calibration or evaluation data"):
        real_feeds(recipe(**data), 4)


def test_sample_that_does_not_fit_the_recipe_is_refused() -> None:
    with pytest.raises(TensorError, match="'image' is float64"):
        real_feeds(recipe(calibration=lambda: [{"image": np.zeros((1, 2))}]), 1)


def test_batch_is_filled_with_different_samples_in_turn() -> None:
    batch = feeds_at([IMAGE], [image(1), image(2), image(3)], {"batch": 5})["image"]
    np.testing.assert_array_equal(batch[:, 0], [1, 2, 3, 1, 2])
    np.testing.assert_array_equal(batch[:, 1], -batch[:, 0])


def test_batch_of_one_is_the_first_sample() -> None:
    np.testing.assert_array_equal(feeds_at([IMAGE], [image(4), image(5)], {"batch": 1})["image"], [[4, -4]])


def test_other_dimensions_repeat_or_cut_the_sample() -> None:
    frames = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    longer = feeds_at([FRAMES], [{"frames": frames}], {"batch": 1, "time": 7})["frames"]
    shorter = feeds_at([FRAMES], [{"frames": frames}], {"batch": 1, "time": 2})["frames"]
    np.testing.assert_array_equal(longer[0], frames[0, [0, 1, 2, 0, 1, 2, 0]])
    np.testing.assert_array_equal(shorter[0], frames[0, :2])


def test_samples_of_several_lengths_form_one_batch() -> None:
    short, long = np.full((1, 2, 2), 1, np.float32), np.full((1, 5, 2), 2, np.float32)
    batch = feeds_at([FRAMES], [{"frames": short}, {"frames": long}], {"batch": 2, "time": 4})["frames"]
    assert batch.shape == (2, 4, 2)
    assert (batch[0] == 1).all()
    assert (batch[1] == 2).all()


def test_inputs_of_one_sample_stay_together() -> None:
    pair = (TensorSpec("float32", ("batch", 1), BATCH, name="a"), TensorSpec("int64", ("batch",), BATCH, name="b"))
    samples = [{"a": np.full((1, 1), i, np.float32), "b": np.array([10 * i])} for i in range(3)]
    feeds = feeds_at(pair, samples, {"batch": 8})
    np.testing.assert_array_equal(feeds["b"], 10 * feeds["a"][:, 0])


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_fixed_shapes_are_left_as_they_are(shape: tuple[int, ...]) -> None:
    spec = TensorSpec("float32", shape, name="x")
    array = np.ones(shape, np.float32)
    assert feeds_at([spec], [{"x": array}], {})["x"].shape == shape


def test_result_is_contiguous() -> None:
    frames = np.arange(6, dtype=np.float32).reshape(1, 2, 3).transpose(0, 2, 1)
    assert feeds_at([FRAMES], [{"frames": frames}], {"batch": 4, "time": 2})["frames"].flags.c_contiguous
